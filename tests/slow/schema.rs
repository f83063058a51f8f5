//! `devdb schema` as it is typed, on a real PostgreSQL.

mod definition;
mod diagram;
mod dump;
mod history;
mod peers;
mod round_trip;

use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};

/// A database that uses everything that a definition can hold.
pub(crate) const EVERY_FEATURE: &str = include_str!("schema/every_feature.sql");

/// What few databases have: collations, aggregates, operators, casts, text search, event triggers and their like.
pub(crate) const RARE_FEATURES: &str = include_str!("schema/rare_features.sql");

pub(crate) fn database(sql: &str) -> Database {
    let database = Database::create();
    database.sql(sql);
    database
}

pub(crate) fn stage(database: &Database) -> Stage {
    Stage::new().var("DATABASE_URL", &database.url())
}

/// Runs `devdb schema …`, and must succeed.
#[track_caller]
pub(crate) fn schema(stage: &Stage, args: &[&str]) -> Outcome {
    let argv: Vec<&str> = ["devdb", "schema", "-q"].iter().chain(args).copied().collect();
    let outcome = stage.run_all(&argv);
    assert_eq!(outcome.code, 0, "{args:?}: {outcome}");
    outcome
}
