//! The notice board's part for git and the names of new migrations.

use super::{CommandError, ErrorKind};
use crate::migrate::{CheckError, NameError, RepositoryError};
use crate::system::shell_word;

impl From<RepositoryError> for CommandError {
    fn from(error: RepositoryError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            RepositoryError::NoGit => shown.hint("install git, or add its folder to PATH"),
            RepositoryError::NotARepository { .. } => {
                shown.hint("run this in a clone of the project; the base is a branch, a tag or a commit of it")
            }
            RepositoryError::NoReference { reference, is_shallow } => {
                let fetch = match reference.split_once('/') {
                    Some((remote, branch)) if is_remote(remote) => {
                        let refspec = format!("{branch}:refs/remotes/{reference}");
                        format!("git fetch {remote} {}", shell_word(&refspec))
                    }
                    _ => "git fetch --all".to_owned(),
                };
                let shown = shown.hint(format!("`{fetch}` fetches it; `git branch --all` lists what is there"));
                if is_shallow {
                    return shown.hint(
                        "this clone is shallow: in CI, fetch the whole history (actions/checkout: `fetch-depth: 0`)",
                    );
                }
                shown
            }
            RepositoryError::Failed { message, .. } if message.contains("safe.directory") => {
                shown.hint("the clone belongs to another user: `git config --global --add safe.directory \"$PWD\"`")
            }
            RepositoryError::Failed { .. } => shown,
        }
    }
}

/// git takes other words for an address or an option, and runs what they name.
fn is_remote(word: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    word.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && word.chars().all(is_plain)
}

impl From<NameError> for CommandError {
    fn from(error: NameError) -> Self {
        match &error {
            NameError::TooLate { newest } => Self::from_error(ErrorKind::Failed, &error)
                .hint(format!("name the files by hand, so that they sort after {}", shell_word(newest))),
            _ => Self::from_error(ErrorKind::Usage, &error),
        }
    }
}

impl From<CheckError> for CommandError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Source(error) => error.into(),
            CheckError::Repository(error) => error.into(),
            CheckError::Name(error) => error.into(),
        }
    }
}
