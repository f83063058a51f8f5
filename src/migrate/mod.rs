//! Plain SQL migrations with their history in Kysely's own tables.
//!
//! [`Engine`] is the whole job and serves every door: the command line, the Lambda, the tests. It reads names and SQL
//! from a [`MigrationSource`], decides with [`route`] and [`segments`] (both pure), and asks a [`MigrationDatabase`] for
//! as few round trips as SQL allows: two for any number of ordinary migrations.
//!
//! The counterpart of the team's `migration-core` is `engine.rs`, of its `migration-provider` `source.rs`.

mod blocker;
mod check;
mod cuts;
mod database;
mod draft;
mod engine;
mod error;
mod failed;
mod history;
pub mod import;
mod journal;
mod ledger;
mod lint;
mod name;
mod places;
mod plan;
#[cfg(test)]
mod plan_tests;
mod preview;
mod rehearsal;
pub mod repair;
mod report;
mod resolve;
mod run;
mod script;
mod source;
pub mod sql;
mod trace;

pub use blocker::{Blocker, first_words};
pub use check::{
    Base, CheckError, CheckFinding, CheckProblem, CheckReport, Rename, Repository, RepositoryError, Tree, check,
};
pub use database::{
    After, BatchError, Ended, FailedAt, Holder, Interrupt, JournalWish, MigrationDatabase, Notice, Opened, Part,
    Queueing, RepairOrder, RepairRecord, RowChange, SessionSpec, Stage, StandingIndex, Told,
};
pub use engine::{Engine, Event, Options, Recognition};
pub use error::{Failed, FailedMigration, InTheWay, MigrateError, Remains};
pub use history::{FileHistory, FoundFiles};
pub use journal::{JournalEntry, JournalRow, JournalState, alias, fingerprint};
pub use ledger::{LEDGER_ELSEWHERE, LedgerNames, LedgerRow, kysely_time};
pub use lint::{Advice, LintFinding, LintReport, Linter, lint};
pub use name::{MigrationName, NameError};
pub use plan::{Direction, History, Piece, PlanError, Route, Segment, Target, history, route, segments};
pub use preview::{PlanReport, PlannedSegment, PlannedStatement};
pub use rehearsal::{Fingerprint, Rehearsal, RehearsalReport, Rehearsed, Scratch, Verdict};
pub use report::{
    ErrorReport, MigrationResult, MigrationState, NoticeReport, ResultStatus, RunReport, StatusReport, StatusRow,
};
pub use script::{Layout, Location, Script, ScriptError};
pub use source::{FolderSource, MigrationSource, SourceError};
pub use trace::{Touch, trace};
