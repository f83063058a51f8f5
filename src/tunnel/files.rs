//! The supervisor's files: specification, lock and log in the state folder, sockets in a short private one.

use super::{SupervisorSpec, TunnelError};
use crate::system::write_private;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(20);

/// A control path has 19 bytes behind the folder, and ssh adds 17; `sun_path` has 104 on macOS, NUL included.
const LONGEST_FOLDER: usize = 67;

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> TunnelError + '_ {
    move |source| TunnelError::File { path: path.to_owned(), source }
}

/// Where an environment's tunnel keeps its files.
#[derive(Debug, Clone)]
pub struct TunnelFiles {
    state_dir: PathBuf,
}

impl TunnelFiles {
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }

    /// What the supervisor shall keep alive.
    pub fn spec(&self) -> PathBuf {
        self.state_dir.join("tunnel.json")
    }

    /// Locked for as long as the supervisor lives; never deleted, so that everybody locks the same file.
    pub fn lock(&self) -> PathBuf {
        self.state_dir.join("tunnel.lock")
    }

    /// Locked while somebody starts or replaces the supervisor.
    pub fn startup_lock(&self) -> PathBuf {
        self.state_dir.join("tunnel.startup.lock")
    }

    pub fn log(&self) -> PathBuf {
        self.state_dir.join("tunnel.log")
    }

    /// Makes the state folder again, as private as it was.
    pub(super) fn make_state_dir(&self) -> Result<(), TunnelError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.state_dir).map_err(failed(&self.state_dir))
    }

    pub(super) fn write_spec(&self, spec: &SupervisorSpec) -> Result<(), TunnelError> {
        let path = self.spec();
        let text = serde_json::to_vec_pretty(spec).map_err(|source| TunnelError::Protocol { source: Some(source) })?;
        write_private(&path, &text).map_err(failed(&path))
    }

    /// The private folder for sockets: created with mode 0700, and refused if it is anybody else's.
    pub fn socket_folder(&self, runtime_dir: Option<&Path>) -> Result<PathBuf, TunnelError> {
        self.socket_folder_or_below(runtime_dir, Path::new("/tmp"))
    }

    /// `shared`: where other users make folders as well.
    fn socket_folder_or_below(&self, runtime_dir: Option<&Path>, shared: &Path) -> Result<PathBuf, TunnelError> {
        let owner = std::fs::metadata(&self.state_dir).map_err(failed(&self.state_dir))?.uid();
        let name = format!("{:08x}", fnv1a(self.state_dir.as_os_str().as_encoded_bytes()));
        let in_runtime = runtime_dir.map(|runtime| runtime.join("devdb"));
        // ssh expands tokens and variables in `-S`, and hands `-F` to a shell as it is for a ProxyJump.
        let is_plain = |base: &PathBuf| {
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@=".contains(byte);
            base.as_os_str().as_encoded_bytes().iter().all(is_plain)
        };
        let fits =
            |base: &PathBuf| base.is_absolute() && base.as_os_str().len() + 9 <= LONGEST_FOLDER && is_plain(base);
        let usable = |base: PathBuf| {
            let folder = base.join(&name);
            // An empty folder that is of no use is not left behind.
            self.keep(&folder).inspect_err(|_| drop(std::fs::remove_dir(&folder))).map(|()| folder.clone())
        };
        // A runtime folder that is gone (a session that ended), foreign or full is no reason to have no tunnel.
        if let Some(Ok(folder)) = in_runtime.filter(fits).map(usable) {
            return Ok(folder);
        }
        // Nor is another user who was there first.
        let mut first = None;
        for base in shared_folders(shared, owner) {
            match usable(base) {
                Ok(folder) => return Ok(folder),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or_else(|| TunnelError::ForeignFolder { path: shared.to_owned() }))
    }

    /// True when this folder, which the lock names, is still one that only its owner may enter.
    pub(super) fn owns(&self, folder: &Path) -> bool {
        let Ok(owner) = std::fs::metadata(&self.state_dir).map(|state| state.uid()) else { return false };
        let is_private = |path: &Path| {
            let metadata = std::fs::symlink_metadata(path);
            metadata.is_ok_and(|found| found.is_dir() && found.uid() == owner && found.mode() & 0o077 == 0)
        };
        folder.parent().is_some_and(is_private) && is_private(folder)
    }

    /// Makes sure that a folder which [`Self::socket_folder`] once gave is still there, still private, and takes files.
    pub(super) fn keep(&self, folder: &Path) -> Result<(), TunnelError> {
        let owner = std::fs::metadata(&self.state_dir).map_err(failed(&self.state_dir))?.uid();
        folder.parent().map_or(Ok(()), |base| private(base, owner))?;
        private(folder, owner)?;
        takes_files(folder).map_err(failed(folder))
    }
}

/// Folders of this user in one that all users share: the usual one, those that were taken instead, and a new one.
fn shared_folders(shared: &Path, owner: u32) -> impl Iterator<Item = PathBuf> {
    let usual = format!("devdb-{owner}");
    let beginning = format!("{usual}-");
    let is_ours = |entry: &std::fs::DirEntry| {
        let is_named = entry.file_name().as_encoded_bytes().starts_with(beginning.as_bytes());
        is_named && entry.metadata().is_ok_and(|found| found.is_dir() && found.uid() == owner)
    };
    let entries = std::fs::read_dir(shared).into_iter().flatten().flatten();
    let mut taken: Vec<PathBuf> = entries.filter(is_ours).map(|entry| entry.path()).collect();
    taken.sort();
    // Its keys are random: no other user can be there first.
    let new = format!("{beginning}{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff);
    [shared.join(usual)].into_iter().chain(taken).chain([shared.join(new)])
}

/// A disk without room lets one make a folder, and an empty file, and then nothing that ssh needs.
fn takes_files(folder: &Path) -> std::io::Result<()> {
    let trial = folder.join(format!(".room-{}", std::process::id()));
    let written = File::create(&trial).and_then(|mut file| file.write_all(&[b' '; 4096]));
    let _ = std::fs::remove_file(trial);
    written
}

/// Makes a folder that only its owner may enter and write to, or checks that it is one.
fn private(path: &Path, owner: u32) -> Result<(), TunnelError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(TunnelError::File { path: path.to_owned(), source }),
    }
    // Not following links: in /tmp anybody could have put one here.
    let metadata = std::fs::symlink_metadata(path).map_err(failed(path))?;
    if !metadata.is_dir() || metadata.uid() != owner {
        return Err(TunnelError::ForeignFolder { path: path.to_owned() });
    }
    if metadata.mode() & 0o777 != 0o700 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(failed(path))?;
    }
    Ok(())
}

/// FNV-1a, 32 bits: short and the same in every release.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Who holds the lock, as written by the holder. Clients read the socket's path here and never compute it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// As [`crate::system::ProcessInfo::started_at`]: with the pid it names one process.
    pub started_at: u64,
    pub version: String,
    pub socket: PathBuf,
    /// Folders that it had to leave; an ssh of its own may still carry such a path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<PathBuf>,
}

impl Holder {
    /// Every folder that it used for sockets, the present one first.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.socket.parent().map(Path::to_owned).into_iter().chain(self.left.iter().cloned()).collect()
    }
}

/// A lock on a file, held until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Unlocked before it is closed: a child that was forked a moment ago has the file open until it becomes another
    /// program, and would hold the lock that long.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes the lock, or says that somebody else has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, TunnelError> {
        // Not truncated: the holder's own words stay readable until the next holder writes.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(failed(path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(TunnelError::File { path: path.to_owned(), source }),
        }
    }

    /// The same, with patience: somebody who only looks holds it for a moment.
    pub(super) async fn take_within(path: &Path, patience: Duration) -> Result<Option<Self>, TunnelError> {
        let limit = Instant::now() + patience;
        loop {
            match Self::try_take(path)? {
                None if Instant::now() < limit => sleep(POLL).await,
                taken => return Ok(taken),
            }
        }
    }

    /// Whether the file at this path is the locked one.
    pub(super) fn lies_at(&self, path: &Path) -> bool {
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        let (mine, there) = (self.0.metadata().map(identity), std::fs::metadata(path).map(identity));
        matches!((mine, there), (Ok(mine), Ok(there)) if mine == there)
    }

    /// True when somebody holds the lock. Asks for a shared one, so that those who ask do not disturb each other.
    pub(super) fn is_held(path: &Path) -> bool {
        let Ok(file) = File::open(path).map(Self) else { return false };
        matches!(file.0.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    /// Writes down who holds it.
    pub(super) fn sign(&mut self, holder: &Holder, path: &Path) -> Result<(), TunnelError> {
        let mut text = serde_json::to_vec(holder).unwrap_or_default();
        text.push(b'\n');
        let written = self.0.rewind().and_then(|()| self.0.write_all(&text));
        let cut = written.and_then(|()| self.0.set_len(text.len() as u64));
        cut.and_then(|()| self.0.sync_data()).map_err(failed(path))
    }

    /// Who holds it, or held it last.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.lines().next()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_folder_is_short_private_and_the_same_every_time() {
        let state = tempfile::tempdir().unwrap();
        let runtime = tempfile::Builder::new().prefix("r").tempdir_in("/tmp").unwrap();
        let files = TunnelFiles::new(state.path());
        let folder = files.socket_folder(Some(runtime.path())).unwrap();
        assert_eq!(folder, files.socket_folder(Some(runtime.path())).unwrap());
        assert!(folder.starts_with(runtime.path().join("devdb")) && folder.as_os_str().len() <= LONGEST_FOLDER);
        assert_eq!(std::fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_long_runtime_folder_is_passed_over() {
        let state = tempfile::tempdir().unwrap();
        let long = state.path().join("a".repeat(60));
        std::fs::create_dir(&long).unwrap();
        let folder = TunnelFiles::new(state.path()).socket_folder(Some(&long)).unwrap();
        assert!(folder.starts_with("/tmp"), "{}", folder.display());
        std::fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let owner = std::fs::metadata(folder.path()).unwrap().uid();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(matches!(private(&link, owner), Err(TunnelError::ForeignFolder { .. })));
    }

    #[test]
    fn another_user_who_was_first_in_the_shared_folder_stops_no_tunnel() {
        let state = tempfile::tempdir().unwrap();
        let files = TunnelFiles::new(state.path());
        let owner = std::fs::metadata(state.path()).unwrap().uid();
        let elsewhere = tempfile::tempdir().unwrap();
        let obstacles: [&dyn Fn(&Path); 3] = [
            &|usual| std::os::unix::fs::symlink(elsewhere.path(), usual).unwrap(),
            &|usual| std::fs::write(usual, "").unwrap(),
            &|usual| {
                std::fs::create_dir(usual).unwrap();
                // Only root can give a folder away; for others it is closed, which is as good.
                if std::os::unix::fs::chown(usual, Some(owner + 1), None).is_err() {
                    std::fs::remove_dir(usual).unwrap();
                    std::os::unix::fs::symlink("/", usual).unwrap();
                }
            },
        ];
        for obstacle in obstacles {
            let shared = tempfile::Builder::new().prefix("s").tempdir_in("/tmp").unwrap();
            let usual = shared.path().join(format!("devdb-{owner}"));
            obstacle(&usual);
            let folder = files.socket_folder_or_below(None, shared.path()).unwrap();
            assert!(files.owns(&folder) && !folder.starts_with(&usual), "{}", folder.display());
            assert!(folder.as_os_str().len() <= LONGEST_FOLDER, "{}", folder.display());
            assert_eq!(files.socket_folder_or_below(None, shared.path()).unwrap(), folder, "the same the next time");
            // One that looks like it and is a link is not taken.
            let base = folder.parent().unwrap();
            std::fs::remove_dir(&folder).unwrap();
            std::fs::remove_dir(base).unwrap();
            std::os::unix::fs::symlink(elsewhere.path(), base).unwrap();
            let next = files.socket_folder_or_below(None, shared.path()).unwrap();
            assert!(files.owns(&next) && next != folder);
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_lock_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tunnel.lock");
        assert!(!Lock::is_held(&path));
        let mut lock = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        let holder =
            Holder { pid: 7, started_at: 9, version: "1".to_owned(), socket: "/tmp/s".into(), left: Vec::new() };
        lock.sign(&Holder { version: "a longer one".to_owned(), ..holder.clone() }, &path).unwrap();
        lock.sign(&holder, &path).unwrap();
        assert_eq!(Lock::holder(&path), Some(holder));
        assert!(Lock::is_held(&path));
        drop(lock);
        assert!(!Lock::is_held(&path));
    }
}
