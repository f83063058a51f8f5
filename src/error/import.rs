//! The notice board's part for the import of a Kysely project.

use super::{CommandError, ErrorKind};
use crate::migrate::import::{ImportError, RecorderError, SourcesError};

const INSTALL: &str = "install Node.js 20 or newer, or add its folder to PATH";

impl From<ImportError> for CommandError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Sources(error) => sources(&error),
            ImportError::Recorder(error) => recorder(&error),
            ImportError::Folder(error) => error.into(),
            ImportError::File(error) => Self::from_error(ErrorKind::Failed, &error)
                .hint("run this again; what is complete already is left as it is"),
        }
    }
}

fn sources(error: &SourcesError) -> CommandError {
    let shown = CommandError::from_error(ErrorKind::Failed, error);
    shown.hint(match error {
        SourcesError::Unreadable { .. } | SourcesError::None { .. } => {
            "name the folder that the project's FileMigrationProvider reads"
        }
        SourcesError::Duplicate { .. } => {
            "keep one of them; if one was compiled from the other, name the folder of the sources"
        }
        SourcesError::BadName { .. } | SourcesError::LooksLikeDown { .. } => {
            "where it has run nowhere yet, rename it; else its SQL has to be kept elsewhere"
        }
    })
}

fn recorder(error: &RecorderError) -> CommandError {
    let shown = CommandError::from_error(ErrorKind::Failed, error);
    match error {
        RecorderError::NoNode | RecorderError::NotStarted { .. } => shown.hint(INSTALL),
        RecorderError::NoKysely { .. } => {
            shown.hint("install the project's packages first (npm install, pnpm install), in the project itself")
        }
        RecorderError::KyselyBroken { .. } => shown.hint("reinstall the project's packages").hint(INSTALL),
        RecorderError::NoTypeScript { .. } => {
            shown.hint("`npm install --save-dev tsx` in the project, or Node.js 22.18 or newer")
        }
        RecorderError::TypeScriptBroken { .. } => shown.hint("`npm install --save-dev tsx` in the project"),
        RecorderError::TimedOut { .. } => shown.hint(
            "it waits for something that never comes, such as rows of another database; \
             `--timeout SECONDS` gives it longer",
        ),
        RecorderError::Ended { said, .. } => {
            let mut shown = shown;
            shown.causes.extend((!said.is_empty()).then(|| said.clone()));
            shown.hint("a migration must not end the process, and everything that it awaits must come")
        }
        RecorderError::Garbled { .. } => {
            shown.hint("a migration must not write to descriptor 3: the recording comes on it")
        }
    }
}
