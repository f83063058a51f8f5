use async_trait::async_trait;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A value as the driver would have sent it (node-postgres 8.23, `prepareValue`): without a type, which the server infers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Parameter {
    Null,
    Text {
        text: String,
        /// A `Date`, or an array with one: written in the time zone of the recording.
        #[serde(default)]
        date: bool,
    },
    Bytes {
        hex: String,
    },
}

/// A statement with `$1`, `$2`, … in it, and their values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Executed {
    pub sql: String,
    pub parameters: Vec<Parameter>,
    /// Written by hand (`sql`), not by a builder.
    pub raw: bool,
}

/// What one call of `up` or `down` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Run {
    pub statements: Vec<Executed>,
    /// The first statement whose rows, or whose count of rows, somebody looked at. There were none.
    pub read: Option<usize>,
    /// It asked for the database's tables.
    pub introspected: bool,
    /// How many transactions of its own it began.
    pub transactions: usize,
    pub rolled_back: bool,
    /// It was over before its last statement was executed.
    pub not_awaited: bool,
    /// What it threw.
    pub error: Option<String>,
}

/// Two runs of each direction: the second is told that more than a year has passed, and that each statement changed a row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Recorded {
    pub up: [Run; 2],
    pub down: Option<[Run; 2]>,
    /// Variables of the environment that it asked for.
    pub variables: Vec<String>,
    /// The word `catch` stands in its source.
    pub catches: bool,
    /// False when it asks to run outside of a transaction (Kysely 0.30, `config`).
    pub transaction: bool,
}

/// One file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recording {
    Recorded(Box<Recorded>),
    /// It exports no `up`, so Kysely takes it for no migration (`FileMigrationProvider`).
    Ignored,
    /// It cannot be loaded, for this reason.
    Unreadable(String),
}

/// What to record.
#[derive(Debug, Clone)]
pub struct RecordingOrder {
    pub folder: PathBuf,
    /// Names of files in the folder.
    pub files: Vec<String>,
    /// How long a single file may take.
    pub patience: Duration,
    /// The value of `TZ`: a `Date` is written in this zone.
    pub time_zone: String,
}

/// Why nothing could be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    #[error("Node.js was not found")]
    NoNode,
    #[error("Node.js could not be started")]
    NotStarted { source: std::io::Error },
    #[error("{} belongs to no project that has Kysely", folder.display())]
    NoKysely { folder: PathBuf },
    #[error("the project's Kysely cannot be loaded: {message}")]
    KyselyBroken { message: String },
    /// `node` is its version.
    #[error("Node.js {node} does not read TypeScript, and the project has neither tsx nor ts-node")]
    NoTypeScript { node: String },
    #[error("the project's tsx or ts-node cannot be loaded: {message}")]
    TypeScriptBroken { message: String },
    #[error("{} was not done after {} s", file.display(), after.as_secs())]
    TimedOut { file: PathBuf, after: Duration },
    /// The migration ended Node.js, or never came to an end with nothing left to wait for; `said` is its last words.
    #[error("Node.js ended (exit code {code}) while {} was recorded", file.display())]
    Ended { file: PathBuf, code: i32, said: String },
    #[error("the recording cannot be understood: {line}")]
    Garbled { line: String },
}

impl RecorderError {
    /// The file, as somebody in this folder would name it.
    pub(super) fn at(order: &RecordingOrder, file: Option<&str>) -> PathBuf {
        file.map_or_else(|| order.folder.clone(), |file| order.folder.join(file))
    }

    pub fn ended(order: &RecordingOrder, file: Option<&str>, code: i32, said: String) -> Self {
        Self::Ended { file: Self::at(order, file), code, said }
    }

    pub fn timed_out(order: &RecordingOrder, file: Option<&str>) -> Self {
        Self::TimedOut { file: Self::at(order, file), after: order.patience }
    }

    pub fn no_kysely(folder: &Path) -> Self {
        Self::NoKysely { folder: folder.to_owned() }
    }
}

/// Runs migrations on a database that is not there.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// One recording a file, in the order of the files; `tell` is given the number of each that begins.
    ///
    /// # Errors
    /// [`RecorderError`] when nothing, or not everything, could be recorded. A migration that fails is a recording.
    async fn record(
        &self,
        order: &RecordingOrder,
        tell: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Vec<Recording>, RecorderError>;
}
