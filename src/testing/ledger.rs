use crate::migrate::repair::Links;
use crate::migrate::sql::IndexBuild;
use crate::migrate::{
    After, BatchError, Ended, FailedAt, Holder, Interrupt, JournalRow, JournalState, JournalWish, LedgerRow,
    MigrationDatabase, Opened, Part, Queueing, RepairOrder, RowChange, SessionSpec, Stage, StandingIndex, Told,
    kysely_time,
};
use crate::system::{DatabaseError, Reached, ServerError};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A server with nothing but a ledger, the lock, and a memory of the SQL that was committed.
///
/// SQL that contains `nonsense` fails as a syntax error would.
#[derive(Clone, Default)]
pub struct FakeLedger(Arc<Mutex<Server>>);

#[derive(Default)]
struct Server {
    rows: Option<Vec<LedgerRow>>,
    committed: Vec<String>,
    journal: Vec<JournalRow>,
    lock: Option<Holder>,
    sessions: i32,
    /// The next commit loses its connection: after it took place, or before.
    lose: Option<bool>,
}

impl FakeLedger {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session.
    pub fn connect(&self, spec: &SessionSpec) -> FakeMigrations {
        let mut server = self.server();
        server.sessions += 1;
        FakeMigrations {
            ledger: self.clone(),
            reached: Reached { certificate_name: None, encrypted: false },
            holder: Holder {
                pid: server.sessions,
                application_name: spec.application_name.clone(),
                user: "fake".to_owned(),
                since: "2026-01-02T03:04:05Z".to_owned(),
                state: "idle in transaction".to_owned(),
            },
            is_held: false,
            is_lost: false,
        }
    }

    /// The SQL that was committed, in order.
    pub fn committed(&self) -> Vec<String> {
        self.server().committed.clone()
    }

    pub fn rows(&self) -> Option<Vec<LedgerRow>> {
        self.server().rows.clone()
    }

    /// Makes the next commit lose its connection, after or before it took place.
    pub fn lose_next_commit(&self, took_place: bool) {
        self.server().lose = Some(took_place);
    }
}

/// One session of a [`FakeLedger`].
pub struct FakeMigrations {
    ledger: FakeLedger,
    reached: Reached,
    holder: Holder,
    is_held: bool,
    is_lost: bool,
}

impl FakeMigrations {
    fn check(&self) -> Result<(), DatabaseError> {
        if self.is_lost { Err(DatabaseError::Lost { source: None }) } else { Ok(()) }
    }

    fn unlock(&self) {
        let mut server = self.ledger.server();
        if server.lock.as_ref() == Some(&self.holder) {
            server.lock = None;
        }
    }

    fn end_transaction(&self) {
        if !self.is_held {
            self.unlock();
        }
    }
}

impl Drop for FakeMigrations {
    fn drop(&mut self) {
        self.unlock();
    }
}

fn nonsense(part: usize, statement: usize) -> BatchError {
    let error = ServerError {
        code: "42601".to_owned(),
        message: "syntax error at or near \"nonsense\"".to_owned(),
        detail: None,
        hint: None,
        context: None,
        position: None,
    };
    let error = DatabaseError::Server(Box::new(error));
    let at = Some(FailedAt { part, stage: Stage::Statement(statement) });
    BatchError { at, error, ended: Ended::RolledBack, blockers: Vec::new() }
}

fn change(rows: &mut Vec<LedgerRow>, journal: &mut Vec<JournalRow>, change: &RowChange) {
    let behind = |rows: &[LedgerRow], after: &After| match after {
        After::Nothing => None,
        After::Time(time) => Some(*time + 1),
        After::Row(previous) => {
            let previous = rows.iter().find(|row| row.name == previous.as_str());
            previous.and_then(LedgerRow::time).map(|time| time + 1)
        }
    };
    match change {
        RowChange::Delete { name } => {
            rows.retain(|row| row.name != name.as_str());
            journal.iter_mut().filter(|row| row.name == name.as_str()).for_each(|row| row.is_undone = true);
        }
        RowChange::Insert { name, after, journal: entry } => {
            let row = LedgerRow::new(name.as_str(), &kysely_time(behind(rows, after).unwrap_or(1_767_323_045_000)));
            if let Some(entry) = entry {
                journal.retain(|row| row.name != name.as_str());
                journal.push(JournalRow {
                    name: row.name.clone(),
                    timestamp: row.timestamp.clone(),
                    hash: entry.hash.clone(),
                    application_name: "devdb/fake/1".to_owned(),
                    git_commit: entry.git_commit.clone(),
                    is_undone: false,
                    up_sql: entry.up_sql.clone(),
                    down_sql: entry.down_sql.clone(),
                });
            }
            rows.push(row);
        }
        RowChange::Restamp { name, not_before, after, .. } => {
            let time = behind(rows, after).max(*not_before).unwrap_or(0);
            if let Some(row) = rows.iter_mut().find(|row| row.name == name.as_str()) {
                row.timestamp = kysely_time(time);
            }
        }
        RowChange::Rename { from, to } => {
            if let Some(row) = rows.iter_mut().find(|row| row.name == from.as_str()) {
                row.name = to.to_string();
            }
        }
    }
}

/// Its statements take no time, so there is nothing to interrupt.
struct Idle;

#[async_trait]
impl Interrupt for Idle {
    async fn interrupt(&self) {}
}

#[async_trait]
impl MigrationDatabase for FakeMigrations {
    fn reached(&self) -> &Reached {
        &self.reached
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::new(Idle)
    }

    async fn read_ledger(&mut self) -> Result<Option<Vec<LedgerRow>>, DatabaseError> {
        self.check()?;
        Ok(self.ledger.server().rows.clone())
    }

    fn journal(&self) -> JournalState {
        JournalState::Present
    }

    fn clock(&self) -> i64 {
        1_767_323_045_000
    }

    async fn holds_rows(&mut self, _table: &str, _column: Option<&str>) -> Result<bool, DatabaseError> {
        self.check().map(|()| false)
    }

    async fn sizes(&mut self, _relations: &BTreeSet<String>) -> Result<BTreeMap<String, Option<u64>>, DatabaseError> {
        self.check().map(|()| BTreeMap::new())
    }

    async fn read_journal(&mut self, _wish: JournalWish) -> Result<Vec<JournalRow>, DatabaseError> {
        self.check()?;
        Ok(self.ledger.server().journal.clone())
    }

    async fn read_links(&mut self) -> Result<Links, DatabaseError> {
        self.check().map(|()| Links::default())
    }

    async fn open(&mut self, create: bool) -> Result<Opened, DatabaseError> {
        self.check()?;
        let mut server = self.ledger.server();
        if let Some(holder) = server.lock.as_ref().filter(|holder| **holder != self.holder) {
            return Ok(Opened::Busy(Some(holder.clone())));
        }
        if server.rows.is_none() && !create {
            return Ok(Opened::Locked(None));
        }
        server.lock = Some(self.holder.clone());
        Ok(Opened::Locked(Some(server.rows.clone().unwrap_or_default())))
    }

    async fn hold(&mut self) -> Result<(), DatabaseError> {
        self.check()?;
        self.ledger.server().rows.get_or_insert_default();
        self.is_held = true;
        Ok(())
    }

    async fn commit(
        &mut self,
        _begin: bool,
        parts: &[Part<'_>],
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError> {
        let lost = || DatabaseError::Lost { source: None };
        let unknown = |error| BatchError { at: None, error, ended: Ended::Unknown, blockers: Vec::new() };
        self.check().map_err(unknown)?;
        let mut rows = self.ledger.server().rows.clone().unwrap_or_default();
        let mut journal = self.ledger.server().journal.clone();
        for (index, part) in parts.iter().enumerate() {
            if let Some(statement) = part.statements.iter().position(|sql| sql.contains("nonsense")) {
                self.end_transaction();
                return Err(nonsense(index, statement));
            }
            if let Some(row) = &part.row {
                change(&mut rows, &mut journal, row);
            }
            told(Told::Finished { part: index });
        }
        let lose = self.ledger.server().lose.take();
        if lose != Some(false) {
            let mut server = self.ledger.server();
            server.rows = Some(rows);
            server.journal = journal;
            server.committed.extend(parts.iter().map(|part| part.statements.join("; ")));
        }
        if lose.is_some() {
            self.is_lost = true;
            self.unlock();
            return Err(unknown(lost()));
        }
        self.end_transaction();
        Ok(())
    }

    async fn run_alone(
        &mut self,
        part: &Part<'_>,
        _queueing: Queueing,
        _told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError> {
        if part.statements.iter().any(|sql| sql.contains("nonsense")) {
            return Err(nonsense(0, 0));
        }
        let mut server = self.ledger.server();
        let Server { rows, journal, committed, .. } = &mut *server;
        committed.push(part.statements.join("; "));
        if let Some(row) = &part.row {
            change(rows.get_or_insert_default(), journal, row);
        }
        Ok(())
    }

    async fn repair(&mut self, order: &RepairOrder<'_>, told: &mut (dyn FnMut(Told) + Send)) -> Result<(), BatchError> {
        self.commit(false, &order.parts, told).await
    }

    async fn find_index(&mut self, _index: &IndexBuild) -> Result<Option<StandingIndex>, DatabaseError> {
        Ok(None)
    }

    async fn drop_index(&mut self, _index: &StandingIndex) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn abandon(&mut self) -> Result<(), DatabaseError> {
        self.end_transaction();
        Ok(())
    }

    async fn release(&mut self) -> Result<(), DatabaseError> {
        self.is_held = false;
        self.unlock();
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), DatabaseError> {
        self.is_lost = false;
        self.is_held = false;
        Ok(())
    }

    async fn end_recognized(&mut self, _holder: &Holder) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn end_orphan(&mut self, _holder: &Holder) -> Result<(), DatabaseError> {
        Ok(())
    }
}
