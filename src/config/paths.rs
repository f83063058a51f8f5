use super::ConfigError;
use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The folder `$XDG_STATE_HOME/devdb/<project>/<environment>/<alias>/` (0700): keys, known_hosts, ssh config, caches, log, lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

/// `$XDG_STATE_HOME/devdb`; nothing is created.
pub(super) fn state_home(vars: &BTreeMap<String, String>) -> Result<PathBuf, ConfigError> {
    let base = match (vars.get("XDG_STATE_HOME"), vars.get("HOME")) {
        // The XDG base directory specification: a relative path is to be ignored.
        (Some(path), _) if Path::new(path).is_absolute() => PathBuf::from(path),
        (_, Some(home)) if !home.is_empty() => Path::new(home).join(".local/state"),
        _ => return Err(ConfigError::NoHome),
    };
    Ok(base.join("devdb"))
}

/// A folder of the user's alone.
pub(super) fn ensure_private(folder: &Path) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::State { path: folder.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let metadata = std::fs::metadata(folder).map_err(failed)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(ConfigError::ForeignState { path: folder.to_owned() });
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

impl StateDir {
    /// The folder's path; nothing is created.
    pub fn locate(
        vars: &BTreeMap<String, String>,
        project: &str,
        environment: &str,
        alias: &str,
    ) -> Result<Self, ConfigError> {
        Ok(Self(state_home(vars)?.join(project).join(environment).join(alias)))
    }

    /// Creates the folder where it is missing, and refuses one that somebody else could write to.
    pub fn ensure(&self) -> Result<&Path, ConfigError> {
        ensure_private(&self.0)?;
        Ok(&self.0)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_state_home_wins_over_home_unless_it_is_relative() {
        let both = vars(&[("XDG_STATE_HOME", "/state"), ("HOME", "/home/ada")]);
        assert_eq!(
            StateDir::locate(&both, "shop", "dev", "ada").unwrap().path(),
            Path::new("/state/devdb/shop/dev/ada")
        );
        let relative = vars(&[("XDG_STATE_HOME", "state"), ("HOME", "/home/ada")]);
        assert_eq!(
            StateDir::locate(&relative, "shop", "dev", "ada").unwrap().path(),
            Path::new("/home/ada/.local/state/devdb/shop/dev/ada")
        );
        assert!(matches!(StateDir::locate(&vars(&[]), "shop", "dev", "ada"), Err(ConfigError::NoHome)));
    }

    #[test]
    fn the_folder_is_private() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir(home.path().join("a/b"));
        std::fs::create_dir_all(state.path()).unwrap();
        std::fs::set_permissions(state.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        state.ensure().unwrap();
        assert_eq!(std::fs::metadata(state.path()).unwrap().mode() & 0o777, 0o700);
    }
}
