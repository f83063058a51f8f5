use super::classify::Problem;
use super::facts::Origin;
use super::footprint::Footprint;
use super::model::{Apart, RepairPlan, Strategy};
use super::steps::{RepairStep, rows_after};
use super::story::Story;
use crate::migrate::sql::{TableLock, relation_locks};
use crate::migrate::{MigrationName, MigrationResult, ResultStatus, RunReport, Script};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a repair will do, or has done.
#[derive(Debug, Serialize)]
pub struct RepairReport {
    /// Kysely's own keys: what ran, and what was undone.
    #[serde(flatten)]
    pub run: RunReport,
    /// None where nothing was wrong.
    pub plan: Option<PlanReport>,
    /// False where it was only planned, and where it failed.
    pub applied: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    /// See [`RepairPlan::id`].
    pub id: String,
    pub problems: Vec<Problem>,
    /// Of the migrations that the problems are about.
    pub migrations: Vec<Story>,
    pub strategy: Strategy,
    pub apart: Option<Apart>,
    /// Why nothing gentler will do.
    pub instead: Vec<String>,
    pub alternatives: Vec<Strategy>,
    pub steps: Vec<StepReport>,
    /// The executed migrations afterwards.
    pub after: Vec<MigrationName>,
    /// How many files are pending then.
    pub pending: usize,
    pub transactions: usize,
    /// From the lock to the commit, if nobody holds the lock.
    pub round_trips: usize,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StepReport {
    Undo {
        name: MigrationName,
        origin: Origin,
        #[serde(flatten)]
        work: Work,
    },
    Rename {
        from: MigrationName,
        to: MigrationName,
    },
    Run {
        name: MigrationName,
        #[serde(flatten)]
        work: Work,
    },
    Restamp {
        name: MigrationName,
        was: String,
        becomes: String,
        /// Something runs before, so that the time may be later.
        or_later: bool,
    },
}

/// What a step sends to the server.
#[derive(Debug, Clone, Serialize)]
pub struct Work {
    pub statements: usize,
    pub objects: Vec<String>,
    pub locks: Vec<LockReport>,
    pub sql: String,
}

/// A relation that is there and that others must wait for.
#[derive(Debug, Clone, Serialize)]
pub struct LockReport {
    pub lock: TableLock,
    pub relation: String,
    /// About how many it has (`pg_class.reltuples`); none where nobody has counted.
    pub rows: Option<u64>,
}

impl Work {
    fn of(script: &Script, sizes: &BTreeMap<String, Option<u64>>) -> Self {
        let footprint = Footprint::of(script).unwrap_or_default();
        let lock = |(relation, lock): (String, TableLock)| {
            let rows = *sizes.get(&relation)?;
            Some(LockReport { lock, relation, rows })
        };
        let statements = script.statements().len();
        Self {
            statements,
            objects: footprint.owned().map(str::to_owned).collect(),
            locks: locks(script).into_iter().filter_map(lock).collect(),
            sql: script.sql(&(0..statements)).to_owned(),
        }
    }
}

/// The strongest lock on each relation.
pub(super) fn locks(script: &Script) -> BTreeMap<String, TableLock> {
    let mut found: BTreeMap<String, TableLock> = BTreeMap::new();
    for at in 0..script.statements().len() {
        for (relation, lock) in relation_locks(script.sql(&(at..at + 1))) {
            let known = found.entry(relation).or_insert(lock);
            *known = lock.max(*known);
        }
    }
    found
}

fn steps(plan: &RepairPlan) -> Vec<StepReport> {
    let rows = rows_after(&plan.before, &plan.steps, plan.seen.now);
    let mut or_later = false;
    let report = |step: &RepairStep| match step {
        RepairStep::Undo { name, script, origin } => {
            let work = Work::of(script, &plan.seen.sizes);
            StepReport::Undo { name: name.clone(), origin: origin.clone(), work }
        }
        RepairStep::Rename { from, to } => StepReport::Rename { from: from.clone(), to: to.clone() },
        RepairStep::Run { name, script, .. } => {
            or_later = true;
            StepReport::Run { name: name.clone(), work: Work::of(script, &plan.seen.sizes) }
        }
        RepairStep::Restamp { name, was, .. } => {
            let row = rows.iter().find(|row| row.name == name.as_str());
            let becomes = row.map(|row| row.timestamp.clone()).unwrap_or_default();
            StepReport::Restamp { name: name.clone(), was: was.clone(), becomes, or_later }
        }
    };
    plan.steps.iter().map(report).collect()
}

impl PlanReport {
    pub fn of(plan: &RepairPlan) -> Self {
        Self {
            id: plan.id(),
            problems: plan.problems.clone(),
            migrations: plan.seen.stories.clone(),
            strategy: plan.strategy,
            apart: plan.apart.clone(),
            instead: plan.instead.iter().map(ToString::to_string).collect(),
            alternatives: plan.alternatives.clone(),
            steps: steps(plan),
            after: plan.after.clone(),
            pending: plan.pending,
            transactions: 1,
            round_trips: 2,
        }
    }
}

impl RepairReport {
    /// Before anything was done.
    pub fn planned(plan: &RepairPlan) -> Self {
        let result = |step: &RepairStep| {
            let direction = step.direction()?;
            let migration_name = step.name().clone();
            Some(MigrationResult { migration_name, direction, status: ResultStatus::NotExecuted, rolled_back: false })
        };
        let results = plan.steps.iter().filter_map(result).collect();
        Self { run: RunReport { results, ..RunReport::default() }, plan: Some(PlanReport::of(plan)), applied: false }
    }

    pub fn nothing() -> Self {
        Self { run: RunReport::default(), plan: None, applied: false }
    }
}
