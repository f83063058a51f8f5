use super::TunnelState;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The log keeps at most two files of this size.
const LARGEST: u64 = 512 * 1024;

/// How often a follower looks.
const LOOK: Duration = Duration::from_millis(250);

/// The supervisor's log: one line for each thing that happened, with its cause. It holds no secret: the supervisor has none.
pub struct Story {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Story {
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), file: Mutex::new(append(path)) }
    }

    /// Adds a line. A disk that is full is no reason to end a tunnel.
    pub fn tell(&self, at: Timestamp, line: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // The file may have been deleted, or be too large by now: look by path, not at what is open.
        let size = std::fs::metadata(&self.path).map(|metadata| metadata.len());
        if size.as_ref().is_ok_and(|size| *size > LARGEST) {
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        if file.is_none() || !size.is_ok_and(|size| size <= LARGEST) {
            *file = append(&self.path);
        }
        if let Some(file) = file.as_mut() {
            let line = line.replace(['\n', '\r'], " ");
            let _ = writeln!(file, "{at:.3} {line}");
        }
    }
}

fn append(path: &Path) -> Option<File> {
    OpenOptions::new().create(true).append(true).open(path).ok()
}

/// What is told of a change; `trouble`: so long was it not up.
pub(super) fn sentence(state: TunnelState, cause: Option<&str>, trouble: Option<SignedDuration>) -> String {
    match (state, cause, trouble) {
        (TunnelState::Up, _, Some(trouble)) => format!("up again after {:.1} s", trouble.as_secs_f64()),
        (_, Some(cause), _) => format!("{}: {cause}", state.word()),
        (_, None, _) => state.word().to_owned(),
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Absent for what did not come from devdb itself: words of a program that it runs, or of a panic.
    pub at: Option<Timestamp>,
    pub text: String,
}

impl LogLine {
    fn parse(line: &str) -> Self {
        let told = line.split_once(' ').and_then(|(at, text)| Some((at.parse().ok()?, text)));
        match told {
            Some((at, text)) => Self { at: Some(at), text: text.to_owned() },
            None => Self { at: None, text: line.to_owned() },
        }
    }
}

/// The whole story, the part that was put aside included.
pub fn read_log(path: &Path) -> Vec<LogLine> {
    let text = |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let (before, now) = (text(&path.with_extension("log.1")), text(path));
    before.lines().chain(now.lines()).filter(|line| !line.trim().is_empty()).map(LogLine::parse).collect()
}

/// Tells every line behind the first `told` ones as it is written. Ends only when telling fails.
pub async fn follow_log(
    path: &Path,
    mut told: usize,
    tell: &mut (dyn FnMut(&LogLine) -> std::io::Result<()> + Send),
) -> std::io::Result<()> {
    let mut newest = read_log(path).get(told.wrapping_sub(1)).cloned();
    loop {
        tokio::time::sleep(LOOK).await;
        let lines = read_log(path);
        // When the log was put aside once more, its oldest part is gone: go on behind the line that was told last.
        if lines.get(told.wrapping_sub(1)) != newest.as_ref() {
            let known = newest.as_ref().and_then(|newest| lines.iter().rposition(|line| line == newest));
            told = known.map_or(0, |at| at + 1);
        }
        for line in lines.iter().skip(told) {
            tell(line)?;
        }
        told = lines.len();
        newest = lines.last().cloned();
    }
}

/// The last line of a log, for an error message.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_follower_goes_on_where_he_was_although_the_log_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tunnel.log");
        let story = Story::open(&path);
        let tell = |text: &str| story.tell(Timestamp::UNIX_EPOCH, text);
        tell("starting");
        let mut heard = Vec::new();
        let mut hear = |line: &LogLine| {
            heard.push(line.text.clone());
            Ok(())
        };
        let following = follow_log(&path, 1, &mut hear);
        let writing = async {
            for (text, aside) in [("up", false), ("reconnecting: ssh ended", true), ("up again", true)] {
                tell(text);
                tokio::time::sleep(LOOK * 2).await;
                if aside {
                    std::fs::rename(&path, path.with_extension("log.1")).unwrap();
                }
            }
            tell("stopped");
            tokio::time::sleep(LOOK * 2).await;
        };
        tokio::select! {
            _ = following => {}
            () = writing => {}
        }
        assert_eq!(heard, ["up", "reconnecting: ssh ended", "up again", "stopped"]);
    }

    #[test]
    fn a_recovery_tells_how_long_the_trouble_was() {
        assert_eq!(sentence(TunnelState::Up, None, None), "up");
        let trouble = Some(SignedDuration::from_millis(1234));
        assert_eq!(sentence(TunnelState::Up, None, trouble), "up again after 1.2 s");
        let lost = sentence(TunnelState::Reconnecting, Some("ssh ended"), trouble);
        assert_eq!(lost, "reconnecting: ssh ended");
    }

    #[test]
    fn the_log_stays_small_and_comes_back_when_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tunnel.log");
        let story = Story::open(&path);
        for _ in 0..2000 {
            story.tell(Timestamp::UNIX_EPOCH, &"x".repeat(1000));
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= LARGEST + 2000);
        std::fs::remove_file(&path).unwrap();
        story.tell(Timestamp::UNIX_EPOCH, "up\nagain");
        assert_eq!(last_line(&path).unwrap(), "1970-01-01T00:00:00.000Z up again");
    }
}
