use super::classify::{Diagnosis, Problem, diagnose};
use super::facts::Gathering;
use super::links::Links;
use super::loss::{Loss, losses};
use super::model::{Limits, Refused, RepairPlan, Seen};
use super::report::{RepairReport, locks};
use super::steps::RepairStep;
use super::story::stories;
use super::strategy::plan;
use crate::migrate::engine::{Event, Events, Options, poll_lock};
use crate::migrate::failed::{Failing, failed as failed_migration};
use crate::migrate::resolve::{Outcome, ask_outcome};
use crate::migrate::{
    After, BatchError, Direction, Ended, FailedAt, FileHistory, JournalEntry, JournalWish, LedgerRow, MigrateError,
    MigrationDatabase, MigrationName, MigrationSource, Notice, NoticeReport, Part, PlanError, Remains, RepairOrder,
    RepairRecord, ResultStatus, RowChange, Stage, Target, Told, route,
};
use crate::system::DatabaseError;
use std::collections::{BTreeMap, BTreeSet};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("the ledger cannot be repaired safely")]
    Refused(Refused),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// What is to be true of a migration, whatever ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    Applied(MigrationName),
    Unapplied(MigrationName),
}

impl Mark {
    pub fn name(&self) -> &MigrationName {
        match self {
            Self::Applied(name) | Self::Unapplied(name) => name,
        }
    }
}

/// Reads, plans and applies repairs of one ledger.
pub struct Repairer<'a> {
    pub source: &'a dyn MigrationSource,
    pub history: &'a dyn FileHistory,
    /// This user's alias in the journal.
    pub alias: &'a str,
    pub options: Options,
}

impl Repairer<'_> {
    /// What a repair would do, and which rows it would take away; `None` where nothing is wrong. Writes nothing, locks
    /// nothing: three round trips (two where only times are wrong), one more where something would be locked, and one for each
    /// table or column that would be dropped.
    ///
    /// # Errors
    /// [`RepairError`].
    pub async fn plan(
        &self,
        database: &mut dyn MigrationDatabase,
        limits: Limits,
    ) -> Result<Option<(RepairPlan, Vec<Loss>)>, RepairError> {
        let rows = database.read_ledger().await.map_err(MigrateError::from)?.unwrap_or_default();
        let now = database.clock();
        if diagnose(self.source.names(), &rows, &[], now).problems.is_empty() {
            return Ok(None);
        }
        let journal = database.read_journal(JournalWish::Everything).await.map_err(MigrateError::from)?;
        let files = self.source.names();
        let diagnosis = diagnose(files, &rows, &journal, now);
        let gathering =
            Gathering { source: self.source, history: self.history, rows: &rows, journal: &journal, alias: self.alias };
        let facts = gathering.facts(&concerned(files, &diagnosis), &pending(files, &rows));
        // Where only times are wrong, nothing passes anything.
        let is_clock = |problem: &Problem| {
            matches!(problem, Problem::Tie { .. } | Problem::Skew { .. } | Problem::UnreadableTime { .. })
        };
        let links = if diagnosis.problems.iter().all(is_clock) {
            Links::default()
        } else {
            database.read_links().await.map_err(MigrateError::from)?
        };
        let Some(mut plan) = plan(files, &rows, &diagnosis, &facts, &links, limits).map_err(RepairError::Refused)?
        else {
            return Ok(None);
        };
        let scripts = plan.steps.iter().filter_map(RepairStep::script);
        let relations: BTreeSet<String> = scripts.flat_map(|script| locks(script).into_keys()).collect();
        let sizes = if relations.is_empty() {
            BTreeMap::new()
        } else {
            database.sizes(&relations).await.map_err(MigrateError::from)?
        };
        plan.seen = Seen { now, stories: stories(&plan.problems, &gathering, &facts, now), sizes };
        let mut lost = Vec::new();
        for loss in losses(&plan.steps) {
            let holds = database.holds_rows(&loss.table, loss.column.as_deref()).await;
            if holds.map_err(MigrateError::from)? {
                lost.push(loss);
            }
        }
        Ok(Some((plan, lost)))
    }

    /// Makes the steps of a plan in one transaction, or none of them: two round trips.
    pub async fn apply(
        &self,
        database: &mut dyn MigrationDatabase,
        plan: &RepairPlan,
        verb: &'static str,
        on_event: Events<'_>,
    ) -> RepairReport {
        let mut report = RepairReport::planned(plan);
        let commit = self.history.head();
        let record = RepairRecord {
            verb,
            plan: serde_json::to_string(&report.plan).unwrap_or_default(),
            git_commit: commit.clone(),
        };
        let parts: Vec<Part<'_>> = plan.steps.iter().map(|step| self.part(step, commit.as_deref())).collect();
        let order = RepairOrder { before: &plan.before, parts, after: Some(plan.after.clone()), record };
        let run: Vec<usize> = (0..plan.steps.len()).filter(|at| plan.steps[*at].direction().is_some()).collect();
        let mut told = |told: Told| match told {
            Told::Finished { part } => {
                if let Some(result) = run.iter().position(|step| *step == part) {
                    report.run.results[result].status = ResultStatus::Success;
                }
            }
            Told::Notice { at, notice } => report.run.notices.extend(noticed(&plan.steps[at.part], at, notice)),
        };
        let outcome = self.execute(database, &order, &mut told, on_event).await;
        report.run.notices.iter().for_each(|notice| on_event(Event::Notice(notice.clone())));
        report.applied = outcome.is_ok();
        if let Err(failure) = outcome {
            let failed = match &failure {
                Failure::Batch(failure) => failure.at.map(|at| at.part),
                Failure::Other(_) => None,
            };
            for (result, step) in run.iter().enumerate() {
                let result = &mut report.run.results[result];
                result.rolled_back = result.status == ResultStatus::Success;
                if Some(*step) == failed {
                    (result.status, result.rolled_back) = (ResultStatus::Error, true);
                }
            }
            report.run.error = Some(match failure {
                Failure::Other(error) => error,
                Failure::Batch(failure) => self::failed(plan, failure),
            });
        }
        report
    }

    /// Writes into the ledger, or takes out of it, what is named, and puts the times in order. Nothing is run.
    ///
    /// # Errors
    /// [`PlanError`] in a [`MigrateError`] where Kysely accepted the ledger before and would not afterwards; else the
    /// database's.
    pub async fn mark(
        &self,
        database: &mut dyn MigrationDatabase,
        marks: &[Mark],
        on_event: Events<'_>,
    ) -> Result<Vec<Mark>, MigrateError> {
        let rows = database.read_ledger().await?.unwrap_or_default();
        let files = self.source.names();
        let commit = self.history.head();
        let mut after = rows.clone();
        let (mut parts, mut made) = (Vec::new(), Vec::new());
        for mark in marks {
            let is_there = after.iter().any(|row| row.name == mark.name().as_str());
            match mark {
                Mark::Applied(name) if !is_there => {
                    let script = self.source.script(name, Direction::Up)?;
                    let script = script.ok_or_else(|| PlanError::Unknown { name: name.to_string() })?;
                    let entry = JournalEntry::of(self.source, name, &script, commit.as_deref());
                    let newest = after.iter().filter_map(LedgerRow::time).max();
                    let time = newest.map_or(database.clock(), |newest| (newest + 1).max(database.clock()));
                    after.push(LedgerRow::new(name.as_str(), &crate::migrate::kysely_time(time)));
                    let journal = Some(Box::new(entry));
                    let after = newest.map_or(After::Nothing, After::Time);
                    parts.push(Part {
                        statements: Vec::new(),
                        row: Some(RowChange::Insert { name: name.clone(), after, journal }),
                    });
                }
                Mark::Unapplied(name) if is_there => {
                    after.retain(|row| row.name != name.as_str());
                    parts.push(Part { statements: Vec::new(), row: Some(RowChange::Delete { name: name.clone() }) });
                }
                Mark::Unapplied(name) if !files.contains(name) => {
                    return Err(PlanError::Unknown { name: name.to_string() }.into());
                }
                Mark::Applied(_) | Mark::Unapplied(_) => continue,
            }
            made.push(mark.clone());
        }
        if made.is_empty() {
            return Ok(made);
        }
        let check = |rows: &[LedgerRow]| route(files, rows, &Target::Latest, self.options.allow_unordered);
        let accepted = check(&after);
        let is_in_order = accepted.is_ok() && !self.options.allow_unordered;
        if let (Err(error), Ok(_)) = (accepted, check(&rows)) {
            return Err(error.into());
        }
        let order: Vec<MigrationName> = files.iter().take(after.len()).cloned().collect();
        let words: Vec<String> = made
            .iter()
            .map(|mark| match mark {
                Mark::Applied(name) => format!("{name} is applied"),
                Mark::Unapplied(name) => format!("{name} is not applied"),
            })
            .collect();
        let plan = serde_json::json!(words).to_string();
        let record = RepairRecord { verb: "mark", plan, git_commit: commit };
        let order = RepairOrder { before: &rows, parts, after: is_in_order.then_some(order), record };
        match self.execute(database, &order, &mut |_| (), on_event).await {
            Ok(()) => Ok(made),
            Err(Failure::Other(error)) => Err(error),
            Err(Failure::Batch(failure)) => Err(not_committed(failure)),
        }
    }

    async fn execute(
        &self,
        database: &mut dyn MigrationDatabase,
        order: &RepairOrder<'_>,
        told: &mut (dyn FnMut(Told) + Send),
        on_event: Events<'_>,
    ) -> Result<(), Failure> {
        let found = poll_lock(database, order.before.is_empty(), self.options.lock_wait, on_event).await?;
        let mut found = found.unwrap_or_default();
        let mut before = order.before.to_vec();
        found.sort_by(|left, right| left.name.cmp(&right.name));
        before.sort_by(|left, right| left.name.cmp(&right.name));
        if found != before {
            let _ = database.abandon().await;
            return Err(MigrateError::LedgerChanged.into());
        }
        let Err(failure) = database.repair(order, told).await else { return Ok(()) };
        if failure.ended != Ended::Unknown {
            return Err(Failure::Batch(failure));
        }
        on_event(Event::AskingForOutcome);
        let signs = signs(order);
        Err(match ask_outcome(database, &signs.iter().collect::<Vec<_>>(), &self.options).await {
            Outcome::Committed => {
                (0..order.parts.len()).for_each(|part| told(Told::Finished { part }));
                return Ok(());
            }
            Outcome::RolledBack => {
                MigrateError::LostBeforeCommit { remains: Remains::Nothing, error: failure.error }.into()
            }
            Outcome::Unknown => MigrateError::OutcomeUnknown { error: failure.error }.into(),
        })
    }

    fn part<'s>(&self, step: &'s RepairStep, commit: Option<&str>) -> Part<'s> {
        let behind = |after: &Option<MigrationName>| after.clone().map_or(After::Nothing, After::Row);
        let row = match step {
            RepairStep::Undo { name, .. } => RowChange::Delete { name: name.clone() },
            RepairStep::Rename { from, to } => RowChange::Rename { from: from.clone(), to: to.clone() },
            RepairStep::Run { name, script, after } => {
                let entry = JournalEntry::of(self.source, name, script, commit);
                RowChange::Insert { name: name.clone(), after: behind(after), journal: Some(Box::new(entry)) }
            }
            RepairStep::Restamp { name, was, not_before, after } => RowChange::Restamp {
                name: name.clone(),
                was: was.clone(),
                not_before: *not_before,
                after: behind(after),
            },
        };
        let statements = step.script().map(|script| script.each(0..script.statements().len()).collect());
        Part { statements: statements.unwrap_or_default(), row: Some(row) }
    }
}

enum Failure {
    Batch(BatchError),
    Other(MigrateError),
}

impl From<MigrateError> for Failure {
    fn from(error: MigrateError) -> Self {
        Self::Other(error)
    }
}

/// Everything that was executed from the first row on that Kysely does not find in its place.
fn concerned(files: &[MigrationName], diagnosis: &Diagnosis) -> Vec<String> {
    let is_right = |(name, file): &(&String, &MigrationName)| name.as_str() == file.as_str();
    let right = diagnosis.order.iter().zip(files).take_while(is_right).count();
    diagnosis.order[right..].to_vec()
}

fn pending(files: &[MigrationName], rows: &[LedgerRow]) -> Vec<MigrationName> {
    let executed: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    files.iter().filter(|name| !executed.contains(name.as_str())).cloned().collect()
}

/// Changes that the ledger can tell apart from what it was before, to ask it how a lost commit ended.
fn signs(order: &RepairOrder<'_>) -> Vec<RowChange> {
    let was = |name: &MigrationName| order.before.iter().find(|row| row.name == name.as_str());
    let mut signs: Vec<RowChange> = Vec::new();
    for change in order.parts.iter().filter_map(|part| part.row.as_ref()) {
        match change {
            // It ran before and runs again: its time tells.
            RowChange::Insert { name, .. } if was(name).is_some() => {
                signs.retain(|sign| !matches!(sign, RowChange::Delete { name: undone } if undone == name));
                let was = was(name).map(|row| row.timestamp.clone()).unwrap_or_default();
                signs.push(RowChange::Restamp { name: name.clone(), was, not_before: None, after: After::Nothing });
            }
            // The row is there under its old name, and its time is no sign once it is renamed.
            RowChange::Restamp { name, .. } if was(name).is_none() => {}
            other => signs.push(other.clone()),
        }
    }
    signs
}

fn failed(plan: &RepairPlan, failure: BatchError) -> MigrateError {
    let step = failure.at.map(|at| &plan.steps[at.part]);
    let (Some(step), Some(script), Some(direction)) =
        (step, step.and_then(RepairStep::script), step.and_then(RepairStep::direction))
    else {
        return not_committed(failure);
    };
    let statements = 0..script.statements().len();
    let failing = Failing { migration: step.name(), before: None, direction, script, statements };
    failed_migration(&failing, failure, Remains::Nothing, None)
}

fn noticed(step: &RepairStep, at: FailedAt, notice: Notice) -> Option<NoticeReport> {
    let script = step.script()?;
    let statement = match at.stage {
        Stage::Statement(statement) => statement,
        Stage::End | Stage::Row => script.statements().len().saturating_sub(1),
    };
    Some(NoticeReport::new(step.name().clone(), script.location(statement), notice))
}

fn not_committed(failure: BatchError) -> MigrateError {
    let is_guard = failure.at.is_none()
        && matches!(&failure.error, DatabaseError::Server(error) if error.code == "55000" && error.message.contains("has changed"));
    if is_guard {
        return MigrateError::LedgerChanged;
    }
    MigrateError::CommitFailed { remains: Remains::Nothing, error: failure.error }
}
