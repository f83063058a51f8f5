use crate::migrate::MigrationName;
use serde::Serialize;
use std::path::PathBuf;

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is there, with this very content.
    Unchanged,
    /// It is there, written by hand for a migration that cannot be imported, or of an earlier import of one that has other
    /// values each time.
    Kept,
    New,
    Replaced,
    /// Comments that wait for somebody to write the SQL.
    Draft,
    /// It is there with another content.
    Conflict,
    Refused,
}

/// One direction of one migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportedFile {
    pub migration: MigrationName,
    /// The file that was recorded.
    pub source: String,
    /// The SQL file's name.
    pub file: String,
    pub outcome: Outcome,
    /// What a person should look at; the same stands in the file.
    pub looks: Vec<String>,
    /// Why it cannot be imported.
    pub reason: Option<String>,
}

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    pub from: PathBuf,
    pub into: PathBuf,
    pub files: Vec<ImportedFile>,
    /// Files without an `up`, which Kysely leaves out as well.
    pub ignored: Vec<String>,
    /// False after a dry run, or when something stands against it.
    pub written: bool,
}

impl ImportReport {
    /// How many files came to this.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.files.iter().filter(|file| file.outcome == outcome).count()
    }

    /// True when nothing was, or would be, written.
    pub fn is_stopped(&self) -> bool {
        self.count(Outcome::Refused) + self.count(Outcome::Conflict) > 0
    }
}
