use super::{Blocker, Direction, Holder, Location, MigrationName, PlanError, SourceError, StandingIndex};
use crate::system::DatabaseError;
use std::fmt;
use std::time::Duration;

/// What is left in the database after a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remains {
    /// Everything was rolled back.
    Nothing,
    /// The same, but a sequence may have given numbers, or been set, which no rollback takes back (PostgreSQL
    /// documentation, 9.17 "Sequence Manipulation Functions").
    Sequences,
    /// An earlier transaction of the run was committed, because a statement forced it.
    Committed {
        /// Migrations that are complete, and in the ledger.
        migrations: Vec<MigrationName>,
        /// How many statements of the failed migration are committed too, without a row in the ledger.
        statements: usize,
    },
    /// A statement outside of any transaction failed, which may leave part of its work.
    Unfinished {
        /// As in [`Self::Committed`]; may be empty.
        migrations: Vec<MigrationName>,
        /// As in [`Self::Committed`], without the one that failed.
        statements: usize,
        /// The invalid index that a failed build left, with its schema. `None`: nobody knows what is left.
        index: Option<String>,
    },
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unfinished = match self {
            Self::Unfinished { index: Some(name), .. } => Some(format!("the invalid index {name} remains")),
            Self::Unfinished { index: None, .. } => Some("parts of this statement may be committed".to_owned()),
            Self::Nothing | Self::Sequences | Self::Committed { .. } => None,
        };
        match self {
            Self::Nothing => f.write_str("nothing was changed"),
            Self::Sequences => f.write_str("nothing was changed, except that sequences may have moved on"),
            Self::Committed { migrations, statements } | Self::Unfinished { migrations, statements, .. } => {
                let complete = match migrations.len() {
                    0 => None,
                    1 => Some("1 earlier migration stays".to_owned()),
                    count => Some(format!("{count} earlier migrations stay")),
                };
                let partial = match statements {
                    0 => None,
                    1 => Some("its first statement is committed already".to_owned()),
                    count => Some(format!("its first {count} statements are committed already")),
                };
                f.write_str(&[complete, partial, unfinished].into_iter().flatten().collect::<Vec<_>>().join(", and "))
            }
        }
    }
}

/// What stands in the way, probably because a run was interrupted between a statement and the ledger's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InTheWay {
    /// A valid index of the same name on the same table. Whether it is the one that the file means, nobody can tell
    /// from two spellings of it.
    Index(StandingIndex),
    /// Something of the same name.
    Perhaps,
}

/// What of a migration failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// Its text, shortened.
    Statement(String),
    /// What it deferred to its end, such as a constraint.
    Deferred,
    /// Its row could not be written to the ledger.
    Row,
}

/// A migration that the server refused.
#[derive(Debug)]
pub struct FailedMigration {
    pub migration: MigrationName,
    /// The one that ran before it in the same run.
    pub before: Option<MigrationName>,
    pub direction: Direction,
    pub location: Location,
    pub what: Failed,
    pub remains: Remains,
    pub in_the_way: Option<InTheWay>,
    /// Who had a lock that was not free in time, as far as that was seen.
    pub blockers: Vec<Blocker>,
    pub error: DatabaseError,
}

/// Why a run did not reach its target.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Before any migration ran.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("another run holds the migration lock; waited {} s for it", waited.as_secs())]
    LockBusy { holder: Option<Holder>, waited: Duration },
    #[error("{}: {}", .0.location, .0.error)]
    Failed(Box<FailedMigration>),
    /// A deferred constraint, most likely.
    #[error("the commit failed: {error}")]
    CommitFailed { remains: Remains, error: DatabaseError },
    /// The connection was lost and could not be made again in time to ask.
    #[error("the connection was lost while the migrations ran; whether they were committed is not known")]
    OutcomeUnknown { error: DatabaseError },
    /// Somebody else was faster. Nothing was changed.
    #[error("the ledger has changed since the plan was made; nothing was changed")]
    LedgerChanged,
    /// The connection was lost, and the ledger says that nothing was committed.
    #[error("the connection was lost before the migrations were committed")]
    LostBeforeCommit { remains: Remains, error: DatabaseError },
}

impl MigrateError {
    /// The database's part of it.
    pub fn database(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error)
            | Self::CommitFailed { error, .. }
            | Self::OutcomeUnknown { error }
            | Self::LostBeforeCommit { error, .. } => Some(error),
            Self::Failed(failed) => Some(&failed.error),
            Self::Plan(_) | Self::Source(_) | Self::LockBusy { .. } | Self::LedgerChanged => None,
        }
    }

    /// Who had a lock that was not free in time.
    pub fn blockers(&self) -> &[Blocker] {
        match self {
            Self::Failed(failed) => &failed.blockers,
            _ => &[],
        }
    }

    /// Whether SQL of a migration was sent before.
    pub fn has_begun(&self) -> bool {
        matches!(
            self,
            Self::Failed(_) | Self::CommitFailed { .. } | Self::LostBeforeCommit { .. } | Self::OutcomeUnknown { .. }
        )
    }

    /// What is left in the database; none when nobody knows.
    pub fn remains(&self) -> Option<&Remains> {
        match self {
            Self::CommitFailed { remains, .. } | Self::LostBeforeCommit { remains, .. } => Some(remains),
            Self::Failed(failed) => Some(&failed.remains),
            Self::OutcomeUnknown { .. } => None,
            Self::Plan(_) | Self::Source(_) | Self::Database(_) | Self::LockBusy { .. } | Self::LedgerChanged => {
                Some(&Remains::Nothing)
            }
        }
    }
}
