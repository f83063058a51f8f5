//! Where the supervisor's sockets lie, which may vanish under it, and the lock that tells clients.

use super::files::{Holder, Lock, TunnelFiles};
use super::{SupervisorSpec, TunnelError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SOCKET: &str = "devdb.sock";

/// The supervisor's lock and folder. A logout removes /run/user/UID, and cleaners empty /tmp, while it lives on.
pub(super) struct Place {
    files: TunnelFiles,
    runtime_dir: Option<PathBuf>,
    signed: Mutex<(Lock, Holder)>,
    spec: Mutex<SupervisorSpec>,
}

/// The socket on which clients are answered, for a supervisor that uses this folder.
pub(super) fn socket_in(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

impl Place {
    /// Signs the lock.
    pub(super) fn take(
        files: TunnelFiles,
        runtime_dir: Option<PathBuf>,
        mut lock: Lock,
        holder: Holder,
        spec: SupervisorSpec,
    ) -> Result<Self, TunnelError> {
        lock.sign(&holder, &files.lock())?;
        Ok(Self { files, runtime_dir, signed: Mutex::new((lock, holder)), spec: Mutex::new(spec) })
    }

    /// The specification that is in use from now on.
    pub(super) fn uses(&self, spec: &SupervisorSpec) {
        self.spec.lock().unwrap_or_else(PoisonError::into_inner).clone_from(spec);
    }

    /// Puts the lock back, and the specification beside it, when somebody has deleted the state folder: without them
    /// nobody finds the supervisor, which still holds the ports. True when it had to.
    pub(super) fn restore(&self) -> Result<bool, TunnelError> {
        let mut signed = self.signed();
        let path = self.files.lock();
        if signed.0.lies_at(&path) {
            return Ok(false);
        }
        self.files.make_state_dir()?;
        // Somebody else may have taken the place meanwhile; whoever has the lock is found.
        let Some(mut lock) = Lock::try_take(&path)? else { return Ok(false) };
        lock.sign(&signed.1, &path)?;
        signed.0 = lock;
        self.files.write_spec(&self.spec.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(true)
    }

    fn signed(&self) -> MutexGuard<'_, (Lock, Holder)> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where clients look for the supervisor.
    pub(super) fn socket(&self) -> PathBuf {
        self.signed().1.socket.clone()
    }

    /// Every folder that was used, the present one first.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        self.signed().1.folders()
    }

    /// The private folder, made again when it has vanished, and checked as at the start. Where it cannot be had any
    /// more another one is taken, and clients find it through the lock.
    pub(super) fn folder(&self) -> Result<PathBuf, TunnelError> {
        let mut signed = self.signed();
        let (lock, holder) = &mut *signed;
        let present = holder.socket.parent().unwrap_or(Path::new("/nonexistent")).to_owned();
        // The present one is kept as long as it can be: links of this supervisor lie in it.
        if self.files.keep(&present).is_ok() {
            return Ok(present);
        }
        let folder = self.files.socket_folder(self.runtime_dir.as_deref())?;
        if folder != present {
            let mut moved = holder.clone();
            moved.left.retain(|left| *left != folder);
            moved.left.push(present);
            moved.socket = socket_in(&folder);
            // Nobody would find it where the lock does not say it is.
            lock.sign(&moved, &self.files.lock())?;
            *holder = moved;
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place below a runtime folder of its own.
    fn place(state: &Path, runtime: &Path) -> (Place, PathBuf) {
        let files = TunnelFiles::new(state);
        let folder = files.socket_folder(Some(runtime)).unwrap();
        let lock = Lock::try_take(&files.lock()).unwrap().unwrap();
        let holder =
            Holder { pid: 1, started_at: 1, version: "1".to_owned(), socket: socket_in(&folder), left: Vec::new() };
        (Place::take(files, Some(runtime.to_owned()), lock, holder, spec("db.example.com")).unwrap(), folder)
    }

    fn spec(host: &str) -> SupervisorSpec {
        let target = serde_json::json!({"name": "writer", "host": host, "port": 5432, "local_port": 5432});
        let spec = serde_json::json!({"link": null, "targets": [target], "ca_file": "/ca.pem", "hold_ms": 1000});
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_state_folder_that_was_deleted_is_put_back_with_lock_and_specification() {
        let (state, runtime) = folders();
        let home = state.path().join("shop/dev/ada");
        std::fs::create_dir_all(&home).unwrap();
        let (place, _) = place(&home, runtime.path());
        assert!(!place.restore().unwrap(), "nothing is missing");
        place.uses(&spec("new.example.com"));
        std::fs::remove_dir_all(state.path().join("shop")).unwrap();
        assert!(place.restore().unwrap());
        let files = TunnelFiles::new(&home);
        assert!(Lock::is_held(&files.lock()));
        assert_eq!(Lock::holder(&files.lock()).unwrap().socket, place.socket());
        assert_eq!(crate::tunnel::read_spec(&files.spec()).unwrap(), spec("new.example.com"));
        assert!(!place.restore().unwrap());

        std::fs::remove_file(files.lock()).unwrap();
        let other = Lock::try_take(&files.lock()).unwrap().unwrap();
        assert!(!place.restore().unwrap(), "somebody else has the place");
        drop(other);
        assert!(place.restore().unwrap());
    }

    fn folders() -> (tempfile::TempDir, tempfile::TempDir) {
        let runtime = tempfile::Builder::new().prefix("r").tempdir_in("/tmp").unwrap();
        (tempfile::tempdir().unwrap(), runtime)
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again() {
        let (state, runtime) = folders();
        let (place, folder) = place(state.path(), runtime.path());
        std::fs::remove_dir_all(runtime.path().join("devdb")).unwrap();
        assert_eq!(place.folder().unwrap(), folder);
        assert!(folder.is_dir());
        assert_eq!(place.socket(), socket_in(&folder));
    }

    #[test]
    fn without_its_runtime_folder_it_moves_and_tells_clients_where_to() {
        let (state, runtime) = folders();
        let (place, folder) = place(state.path(), runtime.path());
        std::fs::remove_dir_all(runtime.path()).unwrap();
        let new = place.folder().unwrap();
        assert!(new.starts_with("/tmp") && new != folder, "{}", new.display());
        let holder = Lock::holder(&TunnelFiles::new(state.path()).lock()).unwrap();
        assert_eq!((holder.socket.clone(), holder.folders()), (socket_in(&new), vec![new.clone(), folder]));
        std::fs::create_dir(runtime.path()).unwrap();
        assert_eq!(place.folder().unwrap(), new, "it does not move back: its links lie here");
        std::fs::remove_dir(new).unwrap();
    }

    #[test]
    fn what_somebody_put_in_place_of_the_folder_is_not_used() {
        let (state, runtime) = folders();
        let (place, folder) = place(state.path(), runtime.path());
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::remove_dir_all(runtime.path().join("devdb")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), runtime.path().join("devdb")).unwrap();
        let new = place.folder().unwrap();
        assert_ne!(new, folder);
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        std::fs::remove_dir(new).unwrap();
    }
}
