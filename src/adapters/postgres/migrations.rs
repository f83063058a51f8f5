use super::answer::{Answer, failure, holder_row, journal_row, text};
use super::batch::{Batch, Purpose, at};
use super::blockers::Watch;
use super::cancel::Current;
use super::connect::{Session, connect};
use super::error::in_session;
use super::index;
use super::ledger::{LedgerSql, literal};
use super::links;
use super::pooler;
use super::side_tables::SideTables;
use crate::connection::Connection;
use crate::migrate::repair::Links;
use crate::migrate::sql::IndexBuild;
use crate::migrate::{
    BatchError, FailedAt, Holder, Interrupt, JournalRow, JournalState, JournalWish, LedgerRow, MigrationDatabase,
    Notice, Opened, Part, Queueing, RepairOrder, RowChange, SessionSpec, Stage, StandingIndex, Told,
};
use crate::system::{DatabaseError, Reached};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_postgres::SimpleQueryRow;

/// A session for migrations on PostgreSQL.
///
/// Everything goes as simple queries, because only they may hold several statements; messages that need no answer in
/// between are sent together (PostgreSQL documentation, "Pipelining").
pub(crate) struct PostgresMigrations {
    connection: Connection,
    spec: SessionSpec,
    sql: LedgerSql,
    session: Session,
    interrupt: Current,
    /// Where the ledger was found; a migration may change the search path.
    schema: String,
    journal: JournalState,
    /// The server's, in milliseconds since the epoch.
    clock: i64,
    /// The server process, as the ledger was last read.
    pid: i32,
    /// The session has the lock, beyond its transactions.
    is_held: bool,
}

impl PostgresMigrations {
    /// # Errors
    /// As [`connect`].
    pub(crate) async fn connect(connection: &Connection, spec: &SessionSpec) -> Result<Self, DatabaseError> {
        let session = connect(connection, &spec.application_name).await?;
        let sql = LedgerSql::new(spec);
        Ok(Self {
            connection: connection.clone(),
            spec: spec.clone(),
            sql,
            interrupt: Current::new(session.cancel()),
            session,
            schema: String::new(),
            journal: JournalState::default(),
            clock: 0,
            pid: 0,
            is_held: false,
        })
    }

    /// Queues a message; nothing is waited for.
    async fn send(&self, sql: &str) -> Result<Answer, DatabaseError> {
        let stream = self.session.client.simple_query_raw(sql).await.map_err(in_session)?;
        Ok(Answer(Box::pin(stream)))
    }

    /// Sends a statement that nothing takes back. Dropping this future, and a link that breaks, end it on the server too: a
    /// build that is not waited for would be finished without its row.
    async fn watched(
        &self,
        sql: &str,
        queueing: Queueing,
        on_notice: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<(), DatabaseError> {
        let guard = self.session.cancel().on_drop();
        let mut listener = self.session.notices.listen();
        let outcome = match self.send_queueing(sql, queueing).await {
            Ok(mut answer) => listener.hear(&mut answer, on_notice).await,
            Err(error) => Err(error),
        };
        guard.disarm();
        if matches!(&outcome, Err(error) if error.is_lost()) {
            // The server may not know yet that the link is gone.
            self.session.cancel().send().await;
        }
        outcome
    }

    /// The answers to the settings are not waited for: the server takes one message after the other.
    async fn send_queueing(&self, sql: &str, queueing: Queueing) -> Result<Answer, DatabaseError> {
        if queueing == Queueing::Limited {
            return self.send(sql).await;
        }
        let [before, behind] = self.sql.unlimited();
        self.send(&before).await?;
        let answer = self.send(sql).await?;
        self.send(&behind).await?;
        Ok(answer)
    }

    async fn ask(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, DatabaseError> {
        self.send(sql).await?.rows().await
    }

    /// The rows of the ledger's answer; the last row names the schema. `None` when there is no table (42P01).
    async fn ledger(&mut self, answer: Answer) -> Result<Option<Vec<LedgerRow>>, DatabaseError> {
        let mut rows = match answer.rows().await {
            Ok(rows) => rows,
            Err(error) if error.code() == Some("42P01") => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(schema) = rows.pop() {
            self.schema = text(&schema, 0);
            self.journal = SideTables::state(&text(&schema, 1));
            self.clock = text(&schema, 2).parse().unwrap_or_default();
            self.pid = text(&schema, 3).parse().unwrap_or_default();
        }
        Ok(Some(rows.iter().map(|row| LedgerRow { name: text(row, 0), timestamp: text(row, 1) }).collect()))
    }

    async fn begin_and_lock(&mut self, create: bool) -> Result<Opened, DatabaseError> {
        let lock = self.send(&format!("{}{}", self.sql.begin(), self.sql.lock(create))).await?;
        let ledger = self.send(&self.sql.rows()).await?;
        let locked = lock.rows().await?.last().is_some_and(|row| text(row, 0) == "t");
        let rows = self.ledger(ledger).await?;
        if locked && rows.is_some() {
            return Ok(Opened::Locked(rows));
        }
        // Without a table the transaction has failed already; while somebody else migrates, none may stay open. Nobody
        // waits for the answer: the next message follows it in order.
        self.send("rollback").await?;
        if locked {
            return Ok(Opened::Locked(None));
        }
        Ok(Opened::Busy(self.ask(LedgerSql::holder()).await?.first().map(holder_row)))
    }

    fn watch(&self) -> Watch {
        Watch {
            connection: self.connection.clone(),
            application_name: format!("{}/watch", self.spec.application_name),
            pid: self.pid,
            lock_timeout: self.spec.lock_timeout,
        }
    }

    /// Runs the parts between `before` and `behind`, and commits.
    async fn run_batch(
        &mut self,
        before: Option<&str>,
        parts: &[Part<'_>],
        behind: Option<&str>,
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError> {
        let running = async {
            let mut batch = Batch::new(&self.session, told);
            let sent = self.send_parts(&mut batch, before, parts, behind).await;
            batch.end(sent).await
        };
        self.watch().during(running).await?;
        self.journal = after(self.journal, parts);
        Ok(())
    }

    async fn send_parts(
        &self,
        batch: &mut Batch<'_>,
        before: Option<&str>,
        parts: &[Part<'_>],
        behind: Option<&str>,
    ) -> Result<(), BatchError> {
        if let Some(before) = before {
            batch.send(Purpose::Whole, before).await?;
        }
        batch.send(Purpose::Whole, &SideTables::begin_clock()).await?;
        for (index, part) in parts.iter().enumerate() {
            for (statement, sql) in part.statements.iter().enumerate() {
                batch.send(at(index, Stage::Statement(statement)), sql).await?;
            }
            if let Some(change) = &part.row {
                if !part.statements.is_empty() {
                    batch.send(at(index, Stage::End), &self.sql.settle(self.is_held)).await?;
                }
                let journal = after(self.journal, &parts[..index]);
                batch.send(at(index, Stage::Row), &self.sql.change(change, &self.schema, journal)).await?;
            }
            batch.complete();
        }
        match behind {
            Some(behind) => batch.send(Purpose::Whole, behind).await,
            None => Ok(()),
        }
    }
}

/// Whether the journal can be written once these parts are committed.
fn after(journal: JournalState, parts: &[Part<'_>]) -> JournalState {
    let makes_it = |part: &Part<'_>| matches!(&part.row, Some(RowChange::Insert { journal: Some(_), .. }));
    if journal == JournalState::Absent && parts.iter().any(makes_it) { JournalState::Present } else { journal }
}

#[async_trait]
impl MigrationDatabase for PostgresMigrations {
    fn reached(&self) -> &Reached {
        &self.session.reached
    }

    fn interrupt(&self) -> Arc<dyn Interrupt> {
        Arc::new(self.interrupt.clone())
    }

    async fn read_ledger(&mut self) -> Result<Option<Vec<LedgerRow>>, DatabaseError> {
        let answer = self.send(&self.sql.rows()).await?;
        self.ledger(answer).await
    }

    fn journal(&self) -> JournalState {
        self.journal
    }

    fn clock(&self) -> i64 {
        self.clock
    }

    async fn holds_rows(&mut self, table: &str, column: Option<&str>) -> Result<bool, DatabaseError> {
        let condition = column.map(|column| format!(" where {column} is not null")).unwrap_or_default();
        match self.ask(&format!("select exists (select from {table}{condition})")).await {
            Ok(rows) => Ok(rows.first().is_some_and(|row| text(row, 0) == "t")),
            // No such table, column or schema.
            Err(error) if matches!(error.code(), Some("42P01" | "42703" | "3F000")) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn sizes(&mut self, relations: &BTreeSet<String>) -> Result<BTreeMap<String, Option<u64>>, DatabaseError> {
        let names: Vec<String> = relations.iter().map(|name| format!("({})", literal(name))).collect();
        let found = self
            .ask(&format!(
                "select v.name, c.reltuples::bigint from (values {}) v (name) \
                 join pg_catalog.pg_class c on c.oid = to_regclass(v.name)",
                names.join(", ")
            ))
            .await?;
        // Less than nothing: never counted (PostgreSQL documentation, "pg_class").
        Ok(found.iter().map(|row| (text(row, 0), text(row, 1).parse().ok())).collect())
    }

    async fn read_journal(&mut self, wish: JournalWish) -> Result<Vec<JournalRow>, DatabaseError> {
        if self.journal != JournalState::Present {
            return Ok(Vec::new());
        }
        let rows = self.ask(&self.sql.side().rows(&self.schema, wish)).await?;
        Ok(rows.iter().map(journal_row).collect())
    }

    async fn read_links(&mut self) -> Result<Links, DatabaseError> {
        links::read(&self.ask(links::SQL).await?)
    }

    async fn open(&mut self, create: bool) -> Result<Opened, DatabaseError> {
        self.begin_and_lock(create).await
    }

    async fn hold(&mut self) -> Result<(), DatabaseError> {
        if let Err(error) = pooler::refuse(&self.connection, &self.spec.application_name).await {
            let _ = self.ask("rollback").await;
            return Err(error);
        }
        self.ask(&self.sql.hold()).await?;
        self.is_held = true;
        Ok(())
    }

    async fn commit(
        &mut self,
        begin: bool,
        parts: &[Part<'_>],
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError> {
        let before = begin.then(|| self.sql.begin());
        self.run_batch(before.as_deref(), parts, None, told).await
    }

    async fn repair(&mut self, order: &RepairOrder<'_>, told: &mut (dyn FnMut(Told) + Send)) -> Result<(), BatchError> {
        let (ledger, side) = (self.sql.ledger(&self.schema), self.sql.side());
        let guard = SideTables::guard(&ledger, order.before);
        let before = format!("{guard}; {}", side.log(&self.schema, &ledger, &order.record));
        let behind = order.after.as_ref().map(|after| SideTables::verify(&ledger, after));
        self.run_batch(Some(&before), &order.parts, behind.as_deref(), told).await
    }

    async fn run_alone(
        &mut self,
        part: &Part<'_>,
        queueing: Queueing,
        told: &mut (dyn FnMut(Told) + Send),
    ) -> Result<(), BatchError> {
        let failed = |stage, error| failure(Some(FailedAt { part: 0, stage }), error);
        let work = Stage::Statement(0);
        self.send(&SideTables::begin_clock()).await.map_err(|error| failed(work, error))?;
        for sql in &part.statements {
            let mut on_notice = |notice| told(Told::Notice { at: FailedAt { part: 0, stage: work }, notice });
            self.watched(sql, queueing, &mut on_notice).await.map_err(|error| failed(work, error))?;
        }
        if let Some(change) = &part.row {
            // Two messages, because the first puts back what letters mean; one transaction, so that no row is written
            // where that fails.
            let settling = self.send(&format!("begin; {}", self.sql.settle(true))).await;
            let writing = self.send(&format!("{}; commit", self.sql.change(change, &self.schema, self.journal))).await;
            for (stage, answer) in [(Stage::End, settling), (Stage::Row, writing)] {
                let outcome = match answer {
                    Ok(answer) => answer.rows().await.map(|_| ()),
                    Err(error) => Err(error),
                };
                if let Err(error) = outcome {
                    let _ = self.ask("rollback").await;
                    return Err(failed(stage, error));
                }
            }
            self.journal = after(self.journal, std::slice::from_ref(part));
        }
        Ok(())
    }

    async fn find_index(&mut self, build: &IndexBuild) -> Result<Option<StandingIndex>, DatabaseError> {
        Ok(self.ask(&index::find(build)).await?.first().map(index::standing))
    }

    async fn drop_index(&mut self, index: &StandingIndex) -> Result<(), DatabaseError> {
        let drop = format!("drop index concurrently {}", index.name);
        self.watched(&drop, Queueing::Unlimited, &mut |_| ()).await
    }

    async fn abandon(&mut self) -> Result<(), DatabaseError> {
        self.ask("rollback").await.map(|_| ())
    }

    async fn release(&mut self) -> Result<(), DatabaseError> {
        self.is_held = false;
        self.ask(&self.sql.release()).await.map(|_| ())
    }

    async fn reconnect(&mut self) -> Result<(), DatabaseError> {
        self.session = connect(&self.connection, &self.spec.application_name).await?;
        self.is_held = false;
        self.interrupt.replace(self.session.cancel());
        Ok(())
    }

    async fn end_recognized(&mut self, holder: &Holder) -> Result<(), DatabaseError> {
        self.ask(&format!(
            "select pg_terminate_backend(pid, 5000) from pg_catalog.pg_stat_activity where pid = {} and application_name = {} \
             and usename = {} and state like 'idle%'",
            holder.pid,
            literal(&holder.application_name),
            literal(&holder.user)
        ))
        .await
        .map(|_| ())
    }

    async fn end_orphan(&mut self, holder: &Holder) -> Result<(), DatabaseError> {
        self.ask(&format!(
            "select pg_terminate_backend(pid) from pg_catalog.pg_stat_activity where pid = {} and application_name = {}",
            holder.pid,
            literal(&self.spec.application_name)
        ))
        .await
        .map(|_| ())
    }
}
