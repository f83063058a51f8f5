use super::Origin;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("no devdb.toml was found in {} or above it", start.display())]
    NotFound { start: PathBuf, passed_over: Option<PathBuf> },
    #[error("{} describes no environment", file.display())]
    NoEnvironments { file: PathBuf },
    #[error("{} could not be read", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}: {message}", path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    #[error("{}:{line}: unknown key `{key}`", path.display())]
    UnknownKey { path: PathBuf, line: usize, key: String, nearest: Option<String> },
    #[error("{}:{line}: `{key}` names a person and does not belong into a committed file", path.display())]
    PersonalKey { path: PathBuf, line: usize, key: String },
    #[error("`{key}` is `{value}` ({origin}): {reason}")]
    BadValue { key: String, value: String, origin: Origin, reason: String },
    #[error("`{key}` is not set")]
    Missing { key: &'static str, environment: Option<String> },
    #[error("there is no environment `{name}` ({origin})")]
    NoSuchEnvironment { name: String, origin: Origin, known: Vec<String> },
    #[error("the state folder {} could not be used", path.display())]
    State { path: PathBuf, source: std::io::Error },
    #[error("the state folder {} belongs to somebody else", path.display())]
    ForeignState { path: PathBuf },
    #[error("{} belongs to another user (uid {owner})", path.display())]
    ForeignFile {
        path: PathBuf,
        /// The committed file there, to be named by a user who means it.
        file: PathBuf,
        owner: u32,
    },
    #[error("others may write to {}", path.display())]
    SharedFile { path: PathBuf },
    #[error("others may write to {}, so {} is not read", folder.display(), file.display())]
    SharedFolder { folder: PathBuf, file: PathBuf },
    #[error("DEVDB_TRUSTED_CONFIG is no absolute path: {}", path.display())]
    RelativeTrust { path: PathBuf },
    #[error("neither HOME nor XDG_STATE_HOME is set")]
    NoHome,
}
