use super::ConfigError;
use super::claim::located;
use super::file::COMMITTED_FILE;
use rustix::process::{getegid, geteuid};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the walk up from the working directory found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(PathBuf),
    /// Another user's file lies in a folder that others may write to, or above one.
    Nothing {
        passed_over: Option<PathBuf>,
    },
}

/// The nearest `devdb.toml` in `start` or a folder above it. `named` is a file that the user trusts by name.
///
/// The walk ends at the first folder that others may write to: there, another user decides what lies in it
/// (CVE-2022-24765 is the same of git).
///
/// # Errors
/// The file, or its folder, belongs to another user, or others may write to the file. A file of the user's own that lies
/// in such a folder, or above it: without it the same command would mean another database.
pub(super) fn search(start: &Path, named: Option<&Path>) -> Result<Found, ConfigError> {
    let mut folders = start.ancestors();
    for folder in folders.by_ref() {
        let path = folder.join(COMMITTED_FILE);
        if path.is_file() && named.is_some_and(|named| located(named) == located(&path)) {
            return Ok(Found::File(path));
        }
        if std::fs::metadata(folder).is_ok_and(|folder| others_may_write(&folder)) {
            let above = std::iter::once(folder).chain(folders).map(|folder| folder.join(COMMITTED_FILE));
            let passed_over = above.into_iter().find(|path| path.is_file());
            let is_meant = |file: &PathBuf| check_owner(file).is_ok();
            return match passed_over {
                Some(file) if is_meant(&file) => Err(ConfigError::SharedFolder { folder: folder.to_owned(), file }),
                passed_over => Ok(Found::Nothing { passed_over }),
            };
        }
        if path.is_file() {
            check_folder(folder)?;
            check_file(&path)?;
            return Ok(Found::File(path));
        }
    }
    Ok(Found::Nothing { passed_over: None })
}

fn check_folder(folder: &Path) -> Result<(), ConfigError> {
    let owner = std::fs::metadata(folder).map(|folder| folder.uid());
    match owner {
        Ok(owner) if !is_trustworthy(owner) => {
            Err(ConfigError::ForeignFile { path: folder.to_owned(), file: folder.join(COMMITTED_FILE), owner })
        }
        _ => Ok(()),
    }
}

/// Refuses a file that another user wrote or may write, and a link that another user set.
pub(super) fn check_file(path: &Path) -> Result<(), ConfigError> {
    check_owner(path)?;
    match std::fs::metadata(path) {
        Ok(about) if about.is_file() && others_may_write(&about) => {
            Err(ConfigError::SharedFile { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

fn check_owner(path: &Path) -> Result<(), ConfigError> {
    let found = [std::fs::symlink_metadata(path), std::fs::metadata(path)];
    match found.into_iter().flatten().map(|about| about.uid()).find(|owner| !is_trustworthy(*owner)) {
        Some(owner) => {
            Err(ConfigError::ForeignFile { path: path.to_owned(), file: path.with_file_name(COMMITTED_FILE), owner })
        }
        None => Ok(()),
    }
}

/// Whether no other user wrote it, or may.
pub(super) fn is_own(about: &Metadata) -> bool {
    is_trustworthy(about.uid()) && !others_may_write(about)
}

fn is_trustworthy(owner: u32) -> bool {
    owner == 0 || owner == geteuid().as_raw()
}

/// The user's own group may write: where each user has one (umask 002) no other user is in it.
fn others_may_write(about: &Metadata) -> bool {
    let is_own_group = about.gid() == 0 || about.gid() == getegid().as_raw();
    about.mode() & 0o002 != 0 || (about.mode() & 0o020 != 0 && !is_own_group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    fn tree() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("shared/mine/deep")).unwrap();
        home
    }

    fn allow(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_walk_ends_at_a_folder_that_others_may_write_to() {
        let home = tree();
        let (shared, deep) = (home.path().join("shared"), home.path().join("shared/mine/deep"));
        let file = shared.join(COMMITTED_FILE);
        std::fs::write(&file, "").unwrap();
        assert_eq!(search(&deep, None).unwrap(), Found::File(file.clone()));
        allow(&shared, 0o1777);
        let refused = search(&deep, None).unwrap_err();
        assert!(matches!(&refused, ConfigError::SharedFolder { folder, .. } if *folder == shared), "{refused}");
        assert_eq!(search(&deep, Some(&file)).unwrap(), Found::File(file));
        let mine = home.path().join("shared/mine").join(COMMITTED_FILE);
        std::fs::write(&mine, "").unwrap();
        assert_eq!(search(&deep, None).unwrap(), Found::File(mine));
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let home = tree();
        let file = home.path().join("shared").join(COMMITTED_FILE);
        std::fs::write(&file, "").unwrap();
        allow(&file, 0o666);
        assert!(matches!(search(&home.path().join("shared"), None), Err(ConfigError::SharedFile { .. })));
        allow(&file, 0o664);
        assert!(matches!(search(&home.path().join("shared"), None), Ok(Found::File(_))));
    }
}
