//! Brings the ledger back to what Kysely accepts: the executed migrations, in the order of their times, are the first
//! of the files.
//!
//! [`diagnose`] finds what is wrong, [`Facts`] are what the files, the journal and git know about the migrations
//! concerned, [`plan`] decides (all pure but for the gathering), and [`Repairer`] reads and applies. What is planned
//! either leaves rows that Kysely accepts, or is refused with its reasons; nothing is done half.

mod body;
mod classify;
mod deed;
mod facts;
mod footprint;
mod links;
mod loss;
mod model;
mod proof;
#[cfg(test)]
mod proof_tests;
mod reach;
mod repairer;
mod report;
mod steps;
mod story;
mod strategy;
#[cfg(test)]
mod strategy_tests;
mod words;

pub use classify::{Diagnosis, Problem, diagnose};
pub use facts::{Fact, Facts, NO_FILE_NO_DOWN, Origin, Undo};
pub use footprint::Footprint;
pub use links::{Function, Link, LinkKind, Links};
pub use loss::{Loss, losses};
pub use model::{Apart, Limits, Reason, Refused, RepairPlan, Replay, Seen, Strategy};
pub use proof::{Conflict, Part, Proof};
pub use repairer::{Mark, RepairError, Repairer};
pub use report::{LockReport, PlanReport as RepairPlanReport, RepairReport, StepReport, Work};
pub use steps::{RepairStep, rows_after};
pub use story::Story;
pub use strategy::plan;
