use super::repair::Links;
use super::sql::IndexBuild;
use super::{Blocker, JournalEntry, JournalRow, JournalState, LedgerNames, LedgerRow, MigrationName};
use crate::system::{DatabaseError, Reached};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a session for migrations is opened with.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    pub ledger: LedgerNames,
    /// `devdb/<alias>/<run>`: proves to later runs whose session holds the lock.
    pub application_name: String,
    /// How long one statement may queue for a table's lock, and stop everybody behind it.
    pub lock_timeout: Duration,
}

/// Who holds the migration lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The server process.
    pub pid: i32,
    pub application_name: String,
    pub user: String,
    /// When its transaction, or else its last query, began; as the server writes it.
    pub since: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
}

impl Holder {
    /// Whether it carries the mark of this owner's runs and does nothing, as a session does whose connection was cut: the
    /// server keeps it until it notices, which takes minutes.
    pub fn may_be_left_by(&self, owner: &str) -> bool {
        let run = self.application_name.strip_prefix("devdb/").and_then(|rest| rest.strip_prefix(owner));
        run.is_some_and(|run| run.starts_with('/')) && self.state.starts_with("idle")
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The lock is held and a transaction is open. `None`: there is no ledger yet, and no transaction either.
    Locked(Option<Vec<LedgerRow>>),
    /// Somebody else migrates. No transaction is open.
    Busy(Option<Holder>),
}

/// What a new row's time must be later than; the server's clock decides the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    Nothing,
    /// Milliseconds since the epoch.
    Time(i64),
    /// A row written earlier in this run.
    Row(MigrationName),
}

/// A change of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// With what goes into the journal, where that can be written.
    Insert { name: MigrationName, after: After, journal: Option<Box<JournalEntry>> },
    /// The journal keeps its row, marked as undone.
    Delete { name: MigrationName },
    /// A new time for a row that stays: one millisecond behind the row before it, or its own where that is later.
    Restamp {
        name: MigrationName,
        /// The ledger's text until now.
        was: String,
        /// Its own time in milliseconds since the epoch; none where that cannot be read or cannot be true.
        not_before: Option<i64>,
        after: After,
    },
    /// The file has another name than it was executed under.
    Rename { from: MigrationName, to: MigrationName },
}

/// Statements, and the row that belongs to them.
///
/// With a row, the migration ends here: what it deferred is checked, and what it set in the session is put back, before
/// the row changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    pub statements: Vec<&'a str>,
    pub row: Option<RowChange>,
}

/// What is written down about a repair before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairRecord {
    /// `repair`, `sync` or `mark`.
    pub verb: &'static str,
    /// A JSON document.
    pub plan: String,
    pub git_commit: Option<String>,
}

/// Which rows of the journal, and what of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalWish {
    /// All of them, with their SQL, which can be large.
    Everything,
    /// So many that are not undone, the newest first, without their SQL.
    Newest(usize),
}

/// Changes of the ledger that hold together: they are made all or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairOrder<'a> {
    /// The rows that the plan was made of, in any order.
    pub before: &'a [LedgerRow],
    pub parts: Vec<Part<'a>>,
    /// What must be in the ledger then, and in which order; none where that is not promised.
    pub after: Option<Vec<MigrationName>>,
    pub record: RepairRecord,
}

/// How long a statement may queue for a table's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queueing {
    /// As long as [`SessionSpec::lock_timeout`] says.
    Limited,
    /// As long as it takes.
    ///
    /// `CONCURRENTLY` asks for a lock that stops neither readers nor writers while it queues, and waits for their
    /// transactions to end. A timeout would spare nobody, and leave an invalid index behind.
    Unlimited,
}

/// An index that has the name that a statement would give, on the same table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingIndex {
    /// With its schema, quoted where it must be.
    pub name: String,
    /// False for what a failed concurrent build left behind.
    pub is_valid: bool,
    /// As the server writes it (`pg_get_indexdef`).
    pub definition: String,
}

/// How a batch that failed ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing of it remains.
    RolledBack,
    /// The connection went away between the request and the answer.
    Unknown,
}

/// What of a part failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Counted from 0.
    Statement(usize),
    /// What the migration deferred to its end.
    End,
    /// The change of the ledger's row.
    Row,
}

/// Where a batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAt {
    pub part: usize,
    pub stage: Stage,
}

/// What the server says beside its answers (PostgreSQL documentation, "Error and Notice Message Fields").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`, … in the server's language.
    pub severity: String,
    /// SQLSTATE; class 01 is a warning.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// What happens while a batch is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The part succeeded.
    Finished {
        part: usize,
    },
    Notice {
        at: FailedAt,
        notice: Notice,
    },
}

/// A batch that failed.
#[derive(Debug)]
pub struct BatchError {
    /// None when it was no part, but the commit, or what belongs to the whole batch.
    pub at: Option<FailedAt>,
    pub error: DatabaseError,
    pub ended: Ended,
    /// Who was in the way, where a lock was not free in time and somebody could be seen.
    pub blockers: Vec<Blocker>,
}

/// Ends, from outside, what a session is doing.
#[async_trait]
pub trait Interrupt: Send + Sync {
    /// Asks the server to end the statement that the session is running; its transaction is rolled back, and whoever waits
    /// for the answer gets SQLSTATE 57014. Best effort, two seconds at most: between two statements nothing happens.
    async fn interrupt(&self);
}

/// A session on the database that is migrated.
///
/// The lock is Kysely's: advisory, key 3853314791062309107 (Kysely 0.29.9, `postgres-adapter.js`). It is always tried,
/// never waited for: a session that blocks on it and one that builds an index concurrently wait for each other.
///
/// Dropping the session, or the future of any method, leaves either all of an open transaction or nothing of it.
#[async_trait]
pub trait MigrationDatabase: Send {
    fn reached(&self) -> &Reached;

    /// The way to end what this session does while somebody waits for it; it follows [`Self::reconnect`].
    fn interrupt(&self) -> Arc<dyn Interrupt>;

    /// The rows, or `None` without a ledger. Writes nothing, locks nothing. One round trip.
    async fn read_ledger(&mut self) -> Result<Option<Vec<LedgerRow>>, DatabaseError>;

    /// Whether the journal can be written, as the ledger was last read.
    fn journal(&self) -> JournalState;

    /// The server's clock when the ledger was last read, in milliseconds since the epoch.
    fn clock(&self) -> i64;

    /// Whether the table has rows, or, with a column, rows in which that is not null; false where there is no such
    /// table or column. One round trip. Both names as a statement writes them.
    async fn holds_rows(&mut self, table: &str, column: Option<&str>) -> Result<bool, DatabaseError>;

    /// Of these relations, written as in a statement, those that are there, and about how many rows they have as far as
    /// somebody has counted (`pg_class.reltuples`). One round trip.
    async fn sizes(&mut self, relations: &BTreeSet<String>) -> Result<BTreeMap<String, Option<u64>>, DatabaseError>;

    /// What the journal says; empty without one. Comes after the ledger was read. One round trip.
    async fn read_journal(&mut self, wish: JournalWish) -> Result<Vec<JournalRow>, DatabaseError>;

    /// What hangs on what in this database, as its catalog says. One round trip.
    async fn read_links(&mut self) -> Result<Links, DatabaseError>;

    /// Begins a transaction, tries the lock and reads the ledger. One round trip.
    ///
    /// With `create`, missing tables are made in the same transaction.
    async fn open(&mut self, create: bool) -> Result<Opened, DatabaseError>;

    /// Keeps the lock beyond the transaction, which is committed. One round trip, after two further sessions have tried
    /// whether a session stays on its server.
    ///
    /// # Errors
    /// [`DatabaseError::Pooler`] where it does not; nothing was changed then.
    async fn hold(&mut self) -> Result<(), DatabaseError>;

    /// Runs all parts and commits. One round trip, however many parts, as long as they are not many megabytes.
    ///
    /// `begin` opens a transaction first; otherwise the one of [`Self::open`] is used.
    async fn commit(
        &mut self,
        begin: bool,
        parts: &[Part<'_>],
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError>;

    /// Repairs the ledger and commits, in the transaction of [`Self::open`]. One round trip.
    ///
    /// The server compares the rows with the plan's first, writes them down, and looks at the order of the new ones
    /// before the commit; where either is wrong, the error is the server's, with SQLSTATE 55000 and without a part.
    async fn repair(&mut self, order: &RepairOrder<'_>, told: &mut (dyn FnMut(Told) + Send)) -> Result<(), BatchError>;

    /// Runs one statement outside of any transaction, then changes its row. One round trip, two with a row.
    async fn run_alone(
        &mut self,
        part: &Part<'_>,
        queueing: Queueing,
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError>;

    /// The index that stands where this one would be built; none while somebody is building it.
    async fn find_index(&mut self, index: &IndexBuild) -> Result<Option<StandingIndex>, DatabaseError>;

    /// Drops it concurrently; nothing else queues behind that.
    async fn drop_index(&mut self, index: &StandingIndex) -> Result<(), DatabaseError>;

    /// Ends the open transaction without a change.
    async fn abandon(&mut self) -> Result<(), DatabaseError>;

    /// Gives the lock back that [`Self::hold`] kept.
    async fn release(&mut self) -> Result<(), DatabaseError>;

    /// Connects anew after [`DatabaseError::Lost`], as the same run.
    async fn reconnect(&mut self) -> Result<(), DatabaseError>;

    /// Ends a session that somebody has recognized as theirs, if it still is that session and does nothing.
    async fn end_recognized(&mut self, holder: &Holder) -> Result<(), DatabaseError>;

    /// Ends the session that this very run left behind when its connection was cut; others are never touched.
    async fn end_orphan(&mut self, holder: &Holder) -> Result<(), DatabaseError>;
}
