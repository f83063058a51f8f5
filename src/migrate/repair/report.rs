use super::classify::Problem;
use super::facts::Origin;
use super::footprint::Footprint;
use super::steps::RepairStep;
use super::strategy::{RepairPlan, Strategy};
use crate::migrate::{MigrationName, MigrationResult, ResultStatus, RunReport};
use serde::Serialize;

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
    pub problems: Vec<Problem>,
    pub strategy: Strategy,
    pub steps: Vec<StepReport>,
    /// The executed migrations afterwards.
    pub after: Vec<MigrationName>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StepReport {
    Undo { name: MigrationName, origin: Origin, statements: usize, objects: Vec<String>, sql: String },
    Rename { from: MigrationName, to: MigrationName },
    Run { name: MigrationName, statements: usize, objects: Vec<String>, sql: String },
    Restamp { name: MigrationName, was: String },
}

impl StepReport {
    fn of(step: &RepairStep) -> Self {
        let script = step.script();
        let statements = script.map_or(0, |script| script.statements().len());
        let footprint = script.and_then(|script| Footprint::of(script).ok()).unwrap_or_default();
        let objects = footprint.owned().map(str::to_owned).collect();
        let sql = script.map(|script| script.sql(&(0..statements)).to_owned()).unwrap_or_default();
        match step {
            RepairStep::Undo { name, origin, .. } => {
                Self::Undo { name: name.clone(), origin: origin.clone(), statements, objects, sql }
            }
            RepairStep::Rename { from, to } => Self::Rename { from: from.clone(), to: to.clone() },
            RepairStep::Run { name, .. } => Self::Run { name: name.clone(), statements, objects, sql },
            RepairStep::Restamp { name, was, .. } => Self::Restamp { name: name.clone(), was: was.clone() },
        }
    }
}

impl PlanReport {
    pub fn of(plan: &RepairPlan) -> Self {
        Self {
            problems: plan.problems.clone(),
            strategy: plan.strategy,
            steps: plan.steps.iter().map(StepReport::of).collect(),
            after: plan.after.clone(),
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
        Self { run: RunReport { results, error: None }, plan: Some(PlanReport::of(plan)), applied: false }
    }

    pub fn nothing() -> Self {
        Self { run: RunReport { results: Vec::new(), error: None }, plan: None, applied: false }
    }
}
