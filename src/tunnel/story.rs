use super::TunnelState;
use crate::system::append_private;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::fs::File;
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
    page: Mutex<Page>,
}

struct Page {
    file: Option<File>,
    /// Lines that could not be written since the last one that could, and why.
    lost: Option<(u64, String)>,
    /// The last line may be half written.
    is_torn: bool,
}

impl Story {
    pub fn open(path: &Path) -> Self {
        let file = append(path).ok();
        Self { path: path.to_owned(), page: Mutex::new(Page { file, lost: None, is_torn: false }) }
    }

    /// Adds a line. A disk that is full is no reason to end a tunnel; what is missing is told when there is room again.
    pub fn tell(&self, at: Timestamp, line: &str) {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let told = self.catch_up(&mut page, at).and_then(|()| self.write(&mut page, at, line));
        if let Err(error) = told {
            page.lost = Some((page.lost.take().map_or(0, |(lines, _)| lines) + 1, error.to_string()));
        }
    }

    /// Why the log is behind, if it is and still cannot be written.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.catch_up(&mut page, now);
        page.lost.as_ref().map(|(lines, why)| format!("it cannot be written ({}): {why}", count(*lines)))
    }

    fn catch_up(&self, page: &mut Page, at: Timestamp) -> std::io::Result<()> {
        let Some((lines, why)) = page.lost.clone() else { return Ok(()) };
        self.write(page, at, &format!("the log could not be written ({}): {why}", count(lines)))?;
        page.lost = None;
        Ok(())
    }

    fn write(&self, page: &mut Page, at: Timestamp, line: &str) -> std::io::Result<()> {
        // The file may have been deleted, or be too large by now: look by path, not at what is open.
        let size = std::fs::metadata(&self.path).map(|metadata| metadata.len());
        if size.as_ref().is_ok_and(|size| *size > LARGEST) {
            let _ = std::fs::rename(&self.path, self.path.with_extension("log.1"));
        }
        if page.file.is_none() || !size.is_ok_and(|size| size <= LARGEST) {
            page.file = None;
            page.file = Some(append(&self.path)?);
        }
        let Some(file) = page.file.as_mut() else { return Ok(()) };
        let start = if page.is_torn { "\n" } else { "" };
        let line = format!("{start}{at:.3} {}\n", line.replace(['\n', '\r'], " "));
        page.is_torn = true;
        file.write_all(line.as_bytes())?;
        page.is_torn = false;
        Ok(())
    }
}

fn count(lines: u64) -> String {
    if lines == 1 { "1 line is missing".to_owned() } else { format!("{lines} lines are missing") }
}

fn append(path: &Path) -> std::io::Result<File> {
    append_private(path)
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
    fn what_could_not_be_written_is_told_as_missing_when_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, away) = (folder.path().join("log/tunnel.log"), folder.path().join("away"));
        std::fs::create_dir(folder.path().join("log")).unwrap();
        let story = Story::open(&path);
        let now = Timestamp::UNIX_EPOCH;
        story.tell(now, "up");
        assert_eq!(story.trouble(now), None);
        std::fs::rename(folder.path().join("log"), &away).unwrap();
        story.tell(now, "reconnecting");
        story.tell(now, "up again");
        let trouble = story.trouble(now).unwrap();
        assert!(trouble.starts_with("it cannot be written (2 lines are missing): No such file"), "{trouble}");
        std::fs::rename(&away, folder.path().join("log")).unwrap();
        assert_eq!(story.trouble(now), None);
        story.tell(now, "stopped");
        let lines: Vec<_> = read_log(&path).into_iter().map(|line| line.text).collect();
        assert_eq!((lines.len(), lines[0].as_str(), lines[2].as_str()), (3, "up", "stopped"));
        assert!(lines[1].starts_with("the log could not be written (2 lines are missing): No such file"), "{lines:?}");
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
