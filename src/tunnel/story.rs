use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The log keeps at most two files of this size.
const LARGEST: u64 = 512 * 1024;

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

/// The last line of a log, for an error message.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
    text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
