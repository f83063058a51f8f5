//! Who is in the way of a lock. After a timeout nobody can be asked any more, so somebody looks while it is waited for.

use super::answer::{Answer, text};
use super::connect::connect;
use super::error::in_session;
use crate::connection::Connection;
use crate::migrate::{BatchError, Blocker, first_words};
use std::convert::Infallible;
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// Looks on from a connection of its own, which is opened only when something takes long enough to be waiting.
pub(super) struct Watch {
    pub(super) connection: Connection,
    pub(super) application_name: String,
    /// The server process that may have to wait.
    pub(super) pid: i32,
    /// How long it waits at most; zero: for ever, and nobody looks.
    pub(super) lock_timeout: Duration,
}

impl Watch {
    /// Awaits the work; if it fails because a lock was not free in time (55P03), the error says who had it.
    pub(super) async fn during(&self, work: impl Future<Output = Result<(), BatchError>>) -> Result<(), BatchError> {
        let mut seen = Vec::new();
        let outcome = tokio::select! {
            biased;
            outcome = work => outcome,
            never = self.look(&mut seen) => match never {},
        };
        outcome.map_err(|failure| {
            let blockers = if failure.error.code() == Some("55P03") { seen } else { Vec::new() };
            BatchError { blockers, ..failure }
        })
    }

    /// Keeps what was seen last.
    async fn look(&self, seen: &mut Vec<Blocker>) -> Infallible {
        if self.pid == 0 || self.lock_timeout.is_zero() {
            return std::future::pending().await;
        }
        tokio::time::sleep(self.lock_timeout / 2).await;
        let Ok(session) = connect(&self.connection, &self.application_name).await else {
            return std::future::pending().await;
        };
        loop {
            let asked = session.client.simple_query_raw(&tree(self.pid)).await.map_err(in_session);
            let rows = match asked {
                Ok(stream) => Answer(Box::pin(stream)).rows().await,
                Err(error) => Err(error),
            };
            let Ok(rows) = rows else { return std::future::pending().await };
            *seen = rows.iter().map(blocker).collect();
            tokio::time::sleep(self.lock_timeout / 5).await;
        }
    }
}

/// Who stops this process, and who stops them, a few steps far.
fn tree(pid: i32) -> String {
    format!(
        "with recursive tree (pid, stops, depth) as (select b, {pid}, 1 from unnest(pg_blocking_pids({pid})) b \
         union select b, t.pid, t.depth + 1 from tree t cross join lateral unnest(pg_blocking_pids(t.pid)) b \
         where t.depth < 4 and b <> {pid}) \
         select t.pid, nullif(t.stops, {pid}), a.usename, a.application_name, coalesce(a.state, ''), \
         to_char(coalesce(a.xact_start, a.query_start, a.backend_start) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
         (select string_agg(distinct case when l.granted then '' else 'waits for ' end || l.mode || ' on ' || l.relation::regclass, ', ') \
         from pg_catalog.pg_locks l where l.pid = t.pid and l.locktype = 'relation' and l.database = \
         (select oid from pg_catalog.pg_database where datname = current_database()) and l.relation in \
         (select w.relation from pg_catalog.pg_locks w where w.pid = t.stops and not w.granted)), left(a.query, 200) \
         from (select distinct on (pid) * from tree order by pid, depth) t left join pg_catalog.pg_stat_activity a on a.pid = t.pid order by t.depth, t.pid"
    )
}

fn blocker(row: &SimpleQueryRow) -> Blocker {
    Blocker {
        pid: text(row, 0).parse().unwrap_or_default(),
        stops: text(row, 1).parse().ok(),
        user: text(row, 2),
        application_name: text(row, 3),
        state: text(row, 4),
        since: text(row, 5),
        locks: spelled(&text(row, 6)),
        query: first_words(&text(row, 7)),
    }
}

/// `AccessExclusiveLock` as the documentation writes it: `access exclusive`.
fn spelled(modes: &str) -> String {
    let mut shown = String::new();
    for word in modes.split(' ') {
        if !shown.is_empty() {
            shown.push(' ');
        }
        match word.strip_suffix("Lock") {
            Some(mode) => {
                for (at, letter) in mode.char_indices() {
                    if at > 0 && letter.is_ascii_uppercase() {
                        shown.push(' ');
                    }
                    shown.push(letter.to_ascii_lowercase());
                }
            }
            None => shown.push_str(word),
        }
    }
    shown
}
