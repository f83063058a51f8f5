use super::plan::{Direction, PlanError, Route, Target, route, segments};
use super::run::Run;
use super::{
    Blocker, FileHistory, Holder, JournalEntry, JournalState, JournalWish, LedgerRow, MigrateError, MigrationDatabase,
    MigrationName, MigrationResult, MigrationSource, NoticeReport, Opened, PlanReport, Remains, RunReport, Script,
    StatusReport,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a run behaves.
#[derive(Clone)]
pub struct Options {
    /// Kysely's `allowUnorderedMigrations`.
    pub allow_unordered: bool,
    /// How long to wait for another run's lock.
    pub lock_wait: Duration,
    /// How often a run is tried again after a table's lock could not be had in time.
    pub retries: usize,
    /// Knows what is checked out, which goes into the journal. Asked only where something runs: that starts a process.
    pub history: Option<Arc<dyn FileHistory>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { allow_unordered: false, lock_wait: Duration::from_secs(300), retries: 3, history: None }
    }
}

impl Options {
    /// What is checked out.
    pub(super) fn git_commit(&self) -> Option<String> {
        self.history.as_ref().and_then(|history| history.head())
    }
}

/// Whose runs may have been left behind, and who is asked before one is ended.
pub struct Recognition<'a> {
    /// The middle of `devdb/<alias>/<run>`.
    pub owner: String,
    pub ask: &'a mut (dyn FnMut(&Holder) -> bool + Send),
}

/// What happens while a run is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another run holds the lock; told again when the holder changes.
    LockBusy(Option<Holder>),
    /// What will run, in order; never empty.
    Planned { direction: Direction, names: Vec<MigrationName>, transactions: usize },
    /// This role may neither write to the journal nor make one.
    WithoutJournal,
    /// The server said something beside its answers.
    Notice(NoticeReport),
    /// A migration succeeded; it counts once its transaction is committed.
    Finished { name: MigrationName, direction: Direction },
    /// A table's lock was not free in time; everything was rolled back and is tried again.
    TableLockBusy { attempt: usize, of: usize, blockers: Vec<Blocker> },
    /// Another session was in the way of a concurrent build; its invalid index is dropped and it is built anew.
    BuildFailed { index: String, attempt: usize, of: usize },
    /// A failed build had left this invalid index; it was dropped.
    DroppedInvalidIndex { name: String },
    /// The connection was lost with the commit under way; the ledger is asked over a new one.
    AskingForOutcome,
}

/// Takes events while the run goes on.
pub(super) type Events<'a> = &'a mut (dyn FnMut(Event) + Send);

/// Runs migrations: the one engine behind every door.
pub struct Engine<'a> {
    pub source: &'a dyn MigrationSource,
    pub options: Options,
}

impl Engine<'_> {
    /// Runs, or undoes, what leads to the target. Never fails outright: the report says how far it came.
    ///
    /// The future may be dropped at any await: the ledger and the schema stay together, because they change in the same
    /// transaction. Only a statement that refuses transactions can leave its work without its row.
    pub async fn migrate(
        &self,
        database: &mut dyn MigrationDatabase,
        target: &Target,
        on_event: Events<'_>,
    ) -> RunReport {
        self.migrate_asking(database, target, None, on_event).await
    }

    /// The same; a session of the same owner that holds the lock and does nothing is ended, if somebody agrees.
    pub async fn migrate_asking(
        &self,
        database: &mut dyn MigrationDatabase,
        target: &Target,
        mut recognition: Option<Recognition<'_>>,
        on_event: Events<'_>,
    ) -> RunReport {
        let mut attempt = 0;
        let (mut earlier, mut notices) = (Vec::new(), Vec::new());
        loop {
            let mut report = RunReport { notices: std::mem::take(&mut notices), ..RunReport::default() };
            let rest = remaining(target, earlier.len());
            let outcome = self.attempt(database, &rest, &mut report, recognition.as_mut(), on_event).await;
            match outcome {
                Err(error) if attempt < self.options.retries && is_worth_a_retry(&error) => {
                    attempt += 1;
                    let of = self.options.retries;
                    on_event(match error.remains() {
                        Some(Remains::Unfinished { index: Some(index), .. }) => {
                            Event::BuildFailed { index: index.clone(), attempt, of }
                        }
                        _ => Event::TableLockBusy { attempt, of, blockers: error.blockers().to_vec() },
                    });
                    notices = report.notices;
                    earlier.extend(report.results.into_iter().filter(MigrationResult::counts));
                    tokio::time::sleep(Duration::from_millis(500) * u32::try_from(attempt).unwrap_or(1)).await;
                }
                outcome => {
                    earlier.append(&mut report.results);
                    report.results = earlier;
                    report.error = outcome.err();
                    return report;
                }
            }
        }
    }

    /// Compares the files with the ledger, then with the journal. Two round trips; nothing is written, created or locked.
    ///
    /// # Errors
    /// The database's.
    pub async fn status(&self, database: &mut dyn MigrationDatabase) -> Result<StatusReport, MigrateError> {
        let rows = database.read_ledger().await?.unwrap_or_default();
        let problem = self.route(&rows, &Target::Latest).err();
        let mut report = StatusReport::new(self.source.names(), &rows, problem.as_ref());
        if !rows.is_empty() {
            // Each of them is a file to read, and whoever edits one edits a new one.
            const LOOKED_AT: usize = 500;
            report.mark_edited(self.source, &database.read_journal(JournalWish::Newest(LOOKED_AT)).await?);
        }
        Ok(report)
    }

    /// What [`Self::migrate`] would do. One round trip; nothing is written, created or locked.
    ///
    /// # Errors
    /// The database's, and whatever stands against the plan.
    pub async fn plan(
        &self,
        database: &mut dyn MigrationDatabase,
        target: &Target,
    ) -> Result<PlanReport, MigrateError> {
        let rows = database.read_ledger().await?;
        let (route, scripts) = self.prepare(rows.as_deref().unwrap_or_default(), target)?;
        Ok(PlanReport::new(&route, &scripts, &segments(&scripts), rows.is_some()))
    }

    fn route(&self, rows: &[LedgerRow], target: &Target) -> Result<Route, PlanError> {
        route(self.source.names(), rows, target, self.options.allow_unordered)
    }

    async fn attempt(
        &self,
        database: &mut dyn MigrationDatabase,
        target: &Target,
        report: &mut RunReport,
        recognition: Option<&mut Recognition<'_>>,
        on_event: Events<'_>,
    ) -> Result<(), MigrateError> {
        let mut rows = self.lock(database, false, recognition, on_event).await?;
        if rows.is_none() && !self.route(&[], target)?.names.is_empty() {
            rows = self.lock(database, true, None, on_event).await?;
        }
        let found = self.prepare(rows.as_deref().unwrap_or_default(), target);
        let (route, scripts) = match found {
            Ok((route, scripts)) if !route.names.is_empty() => (route, scripts),
            other => {
                if rows.is_some() {
                    // The answer stands; a connection that breaks now has nothing left to lose.
                    let _ = database.abandon().await;
                }
                return other.map(|_| ());
            }
        };
        report.plan(&route);
        let segments = segments(&scripts);
        on_event(Event::Planned {
            direction: route.direction,
            names: route.names.clone(),
            transactions: segments.len(),
        });
        let is_up = route.direction == Direction::Up;
        if is_up && database.journal() == JournalState::Unavailable {
            on_event(Event::WithoutJournal);
        }
        let commit = if is_up { self.options.git_commit() } else { None };
        let entry = |(name, script)| JournalEntry::of(self.source, name, script, commit.as_deref());
        let journal: Vec<_> = route.names.iter().zip(&scripts).filter(|_| is_up).map(entry).collect();
        Run { route: &route, scripts: &scripts, segments: &segments, options: &self.options, journal: &journal }
            .execute(database, report, on_event)
            .await
    }

    fn prepare(&self, rows: &[LedgerRow], target: &Target) -> Result<(Route, Vec<Script>), MigrateError> {
        let route = self.route(rows, target)?;
        let mut scripts = Vec::with_capacity(route.names.len());
        for name in &route.names {
            let script = self.source.script(name, route.direction)?;
            scripts.push(script.ok_or_else(|| PlanError::NoDown { name: name.to_string() })?);
        }
        Ok((route, scripts))
    }

    async fn lock(
        &self,
        database: &mut dyn MigrationDatabase,
        create: bool,
        recognition: Option<&mut Recognition<'_>>,
        on_event: Events<'_>,
    ) -> Result<Option<Vec<LedgerRow>>, MigrateError> {
        if let Some(Recognition { owner, ask }) = recognition {
            match database.open(create).await? {
                Opened::Locked(rows) => return Ok(rows),
                Opened::Busy(Some(holder)) if holder.may_be_left_by(owner) && ask(&holder) => {
                    database.end_recognized(&holder).await?;
                }
                Opened::Busy(_) => {}
            }
        }
        poll_lock(database, create, self.options.lock_wait, on_event).await
    }
}

/// Tries the lock until it is free or the time is over.
pub(super) async fn poll_lock(
    database: &mut dyn MigrationDatabase,
    create: bool,
    wait: Duration,
    on_event: Events<'_>,
) -> Result<Option<Vec<LedgerRow>>, MigrateError> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(50);
    let mut told: Option<Option<Holder>> = None;
    loop {
        let holder = match database.open(create).await? {
            Opened::Locked(rows) => return Ok(rows),
            Opened::Busy(holder) => holder,
        };
        if started.elapsed() >= wait {
            return Err(MigrateError::LockBusy { holder, waited: started.elapsed() });
        }
        if told.as_ref().is_none_or(|told| told.as_ref().map(|who| who.pid) != holder.as_ref().map(|who| who.pid)) {
            on_event(Event::LockBusy(holder.clone()));
            told = Some(holder);
        }
        tokio::time::sleep(pause.min(wait.saturating_sub(started.elapsed()))).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// What is left of a target that counts, after so many migrations were committed.
fn remaining(target: &Target, committed: usize) -> Target {
    match target {
        Target::Up(count) => Target::Up(count.saturating_sub(committed)),
        Target::Down(count) => Target::Down(count.saturating_sub(committed)),
        other => other.clone(),
    }
}

/// 55P03 lock_not_available, 40P01 deadlock_detected: another session was in the way, and nothing of the migration is
/// left but, at most, an invalid index, which the next attempt drops.
fn is_worth_a_retry(error: &MigrateError) -> bool {
    let can_begin_again = match error.remains() {
        Some(Remains::Nothing | Remains::Sequences) => true,
        Some(Remains::Committed { statements, .. } | Remains::Unfinished { statements, index: Some(_), .. }) => {
            *statements == 0
        }
        Some(Remains::Unfinished { index: None, .. }) | None => false,
    };
    can_begin_again && matches!(error.database().and_then(|error| error.code()), Some("55P03" | "40P01"))
}
