use super::{BastionError, Event, LocalState};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Never deleted, so that everybody locks the same file.
const TURN_FILE: &str = "bastion.lock";
const PAUSE: Duration = Duration::from_millis(200);

/// The right to change the bastion and its keys, held until it is dropped or the process ends (flock(2)).
///
/// The key pair in EC2 is the lock between computers; on one computer two runs share the folder, and the second would
/// put its keys in the place of those that the first is launching an instance with.
#[derive(Debug)]
pub struct Turn {
    file: File,
}

impl Drop for Turn {
    /// Unlocked before it is closed: a child that was forked a moment ago has the file open until it becomes another
    /// program, and would hold the lock that long.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl LocalState {
    /// Waits until no other run on this computer changes the same bastion. To be held from before the first look.
    ///
    /// Asks again and again instead of blocking in flock: it can be dropped at any time, and no thread hangs in it.
    ///
    /// # Errors
    /// [`BastionError::Local`].
    pub async fn turn(&self, tell: &(dyn Fn(Event) + Sync)) -> Result<Turn, BastionError> {
        let path = self.dir().join(TURN_FILE);
        let mut told = None;
        loop {
            if let Some(turn) = Turn::try_take(&path)? {
                return Ok(turn);
            }
            // Whoever has just taken it may not have signed yet: the next look tells.
            let holder = holder(&path);
            if holder.is_some() && holder != told {
                let pid = holder.unwrap_or_default();
                tell(Event::Told(format!("waiting for another devdb (process {pid}) to finish with this bastion")));
                told = holder;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Turn {
    fn try_take(path: &Path) -> Result<Option<Self>, BastionError> {
        let failed = |source| BastionError::Local { path: path.to_owned(), source };
        // Not truncated: the holder's pid stays readable until the next holder writes.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let pid = format!("{}\n", std::process::id());
        let signed = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(pid.as_bytes()));
        signed.map_err(failed)?;
        Ok(Some(Self { file }))
    }
}

fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[tokio::test(start_paused = true)]
    async fn the_second_waits_for_the_first_and_says_for_whom() {
        let home = tempfile::tempdir().unwrap();
        let local = LocalState::new(home.path());
        let first = local.turn(&|_| {}).await.unwrap();
        let told = Mutex::new(Vec::new());
        let tell = |event| told.lock().unwrap().push(event);
        let second = local.turn(&tell);
        tokio::pin!(second);
        let early = tokio::time::timeout(Duration::from_secs(60), &mut second).await;
        assert!(early.is_err(), "two at once");
        drop(first);
        second.await.unwrap();
        let wanted = format!("waiting for another devdb (process {}) to finish with this bastion", std::process::id());
        assert_eq!(*told.lock().unwrap(), [Event::Told(wanted)]);
    }

    #[tokio::test]
    async fn the_file_outlives_the_keys() {
        let home = tempfile::tempdir().unwrap();
        let local = LocalState::new(home.path());
        drop(local.turn(&|_| {}).await.unwrap());
        local.forget().unwrap();
        assert!(home.path().join(TURN_FILE).exists(), "or two runs could lock two files of the same name");
        assert!(!local.is_used(), "a lock is nothing of a bastion");
    }
}
