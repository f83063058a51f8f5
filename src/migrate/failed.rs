//! What a failure of the server means for a migration: where it is, what failed, what is left.

use super::{BatchError, FailedAt, FailedMigration, InTheWay, MigrateError, MigrationName, Remains, Script, Stage};
use super::{Direction, Failed};
use crate::system::DatabaseError;
use std::ops::Range;

/// The migration that failed, as far as the run knows it.
pub(super) struct Failing<'a> {
    pub(super) migration: &'a MigrationName,
    /// The one that ran before it in the same run.
    pub(super) before: Option<&'a MigrationName>,
    pub(super) direction: Direction,
    pub(super) script: &'a Script,
    /// What was sent of it; never empty.
    pub(super) statements: Range<usize>,
}

pub(super) fn failed(
    failing: &Failing<'_>,
    failure: BatchError,
    remains: Remains,
    in_the_way: Option<InTheWay>,
) -> MigrateError {
    let Failing { script, statements, .. } = failing;
    let position = match &failure.error {
        DatabaseError::Server(error) => error.position,
        _ => None,
    };
    let last = statements.end.saturating_sub(1);
    let (location, what) = match failure.at.map(|FailedAt { stage, .. }| stage) {
        Some(Stage::Statement(into)) => {
            let at = (statements.start + into).min(last);
            let location = position.map_or_else(|| script.location(at), |position| script.locate(at, position));
            (location, Failed::Statement(script.excerpt(at)))
        }
        Some(Stage::End) => (script.location(last), Failed::Deferred),
        Some(Stage::Row) | None => (script.location(last), Failed::Row),
    };
    MigrateError::Failed(Box::new(FailedMigration {
        migration: failing.migration.clone(),
        before: failing.before.cloned(),
        direction: failing.direction,
        location,
        what,
        remains,
        in_the_way,
        blockers: failure.blockers,
        error: failure.error,
    }))
}
