//! Notice board: room errors become a kind, a message, causes and hints. All advice of the tool stands
//! here, a page for each room.

mod bastion;
mod check;
mod cloud;
mod database;
mod import;
mod repair;
mod tunnel;

pub(crate) use bastion::reach_hints;
pub(crate) use database::describe_holder;
pub(crate) use repair::{another_plan, data_loss};
pub(crate) use tunnel::remedy_hint;

use crate::config::ConfigError;
use crate::connection::ConnectionError;
use crate::system::shell_word;
use crate::ui::{ExitStatus, Failure, PromptError};
use std::error::Error;
use std::path::Path;

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    Failed,
    Usage,
    /// A question answered "no".
    No,
    Refused,
    Cancelled,
    Bug,
    /// A wrapped program that is there and could not be started.
    NotInvoked,
    /// A wrapped program that is not there.
    ProgramNotFound,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::No => "no",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Bug => "bug",
            Self::NotInvoked => "not_invoked",
            Self::ProgramNotFound => "program_not_found",
        }
    }

    fn status(self) -> ExitStatus {
        match self {
            Self::Failed => ExitStatus::Failure,
            Self::Usage => ExitStatus::Usage,
            Self::No => ExitStatus::No,
            Self::Refused => ExitStatus::Refused,
            Self::Cancelled => ExitStatus::Cancelled,
            Self::Bug => ExitStatus::Bug,
            Self::NotInvoked => ExitStatus::NotInvoked,
            Self::ProgramNotFound => ExitStatus::ProgramNotFound,
        }
    }
}

/// A failed command, ready to be shown.
#[derive(Debug)]
pub struct CommandError {
    pub kind: ErrorKind,
    pub message: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
    /// The profile's login is what failed (`None`: the default one's).
    pub(crate) signing_in: Option<Option<String>>,
}

impl CommandError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new(), signing_in: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The error and the chain of its sources; a cause that only repeats the line above it is left out.
    pub fn from_error(kind: ErrorKind, error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::new(kind, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let above = found.causes.last().unwrap_or(&found.message);
            if !above.contains(&text) {
                found.causes.push(text);
            }
            source = cause.source();
        }
        found
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub fn status(&self) -> ExitStatus {
        self.kind.status()
    }

    pub fn failure(&self) -> Failure {
        Failure {
            kind: self.kind.name(),
            message: self.message.clone(),
            causes: self.causes.clone(),
            hints: self.hints.clone(),
        }
    }
}

impl From<PromptError> for CommandError {
    fn from(error: PromptError) -> Self {
        match error {
            PromptError::NoTerminal => Self::from_error(ErrorKind::Failed, &error)
                .hint("pass `--yes` to agree without being asked, or run the command in a terminal"),
            PromptError::Cancelled => Self::from_error(ErrorKind::Cancelled, &error),
            PromptError::Failed(_) => Self::from_error(ErrorKind::Failed, &error),
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(ErrorKind::Failed, &error)
    }
}

fn path_word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let kind = match error {
            ConfigError::ForeignFile { .. } | ConfigError::SharedFile { .. } | ConfigError::SharedFolder { .. } => {
                ErrorKind::Refused
            }
            ConfigError::RelativeTrust { .. } => ErrorKind::Usage,
            _ => ErrorKind::Failed,
        };
        let shown = Self::from_error(kind, &error);
        match error {
            ConfigError::NotFound { passed_over: Some(file), .. } => shown.hint(format!(
                "{0} was not read, because others may write to its folder; name it if you mean it: `--config {0}`",
                path_word(&file)
            )),
            ConfigError::ForeignFile { file, .. } => shown.hint(format!(
                "what another user writes is not read; if you mean it, name the file: `--config {}`",
                path_word(&file)
            )),
            ConfigError::SharedFile { path } => shown.hint(format!("`chmod go-w {}`", path_word(&path))),
            ConfigError::SharedFolder { folder, file } => shown
                .hint(format!("where the folder is yours alone: `chmod go-w {}`", path_word(&folder)))
                .hint(format!("name the file if you mean it: `--config {}`", path_word(&file))),
            ConfigError::RelativeTrust { .. } => shown.hint("give the file's absolute path"),
            ConfigError::NotFound { .. } => {
                shown.hint("change into the project's folder, or name the file: `--config path/to/devdb.toml`")
            }
            ConfigError::NoEnvironments { .. } => shown.hint(
                "add one: [environment.dev] with `region = \"eu-west-1\"` and `stack = \"YourStack\"`; the README has an example",
            ),
            ConfigError::Unreadable { .. } => shown.hint("check that the file exists and that you may read it"),
            ConfigError::Syntax { .. } => shown.hint("the format is TOML; see the README's example"),
            ConfigError::UnknownKey { nearest: Some(nearest), .. } => shown.hint(format!("did you mean `{nearest}`?")),
            ConfigError::UnknownKey { .. } => shown.hint("`devdb config show` lists the keys that are in use"),
            ConfigError::PersonalKey { key, .. } => {
                shown.hint(format!("move `{key}` to devdb.local.toml, which git ignores"))
            }
            // `config show` would stop at the same value.
            ConfigError::BadValue { origin, .. } => shown.hint(format!("correct it there: {origin}")),
            ConfigError::Missing { key: "alias", .. } => {
                shown.hint("set it with `export DEVDB_ALIAS=ada`, or as `alias = \"ada\"` in devdb.local.toml")
            }
            ConfigError::Missing { key, .. } => shown.hint(format!("set `{key}` in devdb.toml")),
            ConfigError::NoSuchEnvironment { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| shell_word(name)).collect();
                shown.hint(format!("choose one of {} with `-e NAME`", known.join(", ")))
            }
            ConfigError::State { .. } => shown.hint("check the folder's rights, or set XDG_STATE_HOME to another one"),
            ConfigError::ForeignState { .. } => shown.hint("set XDG_STATE_HOME to a folder of your own"),
            ConfigError::NoHome => shown.hint("set HOME"),
        }
    }
}

impl From<ConnectionError> for CommandError {
    fn from(error: ConnectionError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            ConnectionError::NoTokenUser => {
                shown.hint("set `iam_user` in [environment.NAME] to a user that has the role: `grant rds_iam to NAME`")
            }
            ConnectionError::Secret { id, .. } => shown
                .hint(
                    "it must be a bare password, or JSON such as {\"username\": …, \"password\": …}; \
                     `secret` in devdb.toml chooses another one",
                )
                .hint(format!(
                    "where the text is the password, keep it as {{\"password\": \"…\"}}: write that to a file, and run \
                     `aws secretsmanager put-secret-value --secret-id {} --secret-string file://secret.json`",
                    shell_word(&id)
                )),
            ConnectionError::Incomplete { what } => shown.hint(format!("set `{what}` in devdb.toml")),
            ConnectionError::Unprintable { .. } => shown.hint("change the value; no shell can hold a NUL character"),
            ConnectionError::NotForDotenv { .. } => {
                shown.hint("`devdb env --json` can hold it, and `devdb exec -- CMD` needs no file at all")
            }
            ConnectionError::CannotUnset => shown.hint("name a shell: `devdb env --unset --shell bash`"),
        }
    }
}
