//! Whether a session stays on its server.

use super::answer::text;
use super::connect::{CONNECT_TIMEOUT, Session, connect};
use super::error::{self, in_session};
use crate::connection::Connection;
use crate::system::DatabaseError;
use std::time::{Duration, Instant};
use tokio_postgres::SimpleQueryMessage;

/// How often it is tried on servers that were there before: with other clients about, a pooler may give any of them.
const ROUNDS: usize = 5;

/// How much older than the attempt to connect a server process may look.
const MARGIN: Duration = Duration::from_millis(200);

/// Refuses a pooler in transaction mode, which lends a server for one transaction: a lock of the session would stay with a
/// server that other clients are given. It is recognised by what it does: of two further sessions, both are on the same
/// server process, or one is moved to another while the first holds its own.
///
/// A role that may not have so many sessions is not refused for that.
///
/// # Errors
/// [`DatabaseError::Pooler`], and those of connecting.
pub(super) async fn refuse(connection: &Connection, application_name: &str) -> Result<(), DatabaseError> {
    let began = Instant::now();
    let name = format!("{application_name}/look");
    let sessions = tokio::try_join!(connect(connection, &name), connect(connection, &name));
    let (one, other) = match sessions {
        Ok(sessions) => sessions,
        // too_many_connections
        Err(error) if error.code() == Some("53300") => return Ok(()),
        Err(error) => return Err(error),
    };
    for _ in 0..ROUNDS {
        let before = process(connection, &one, "").await?;
        let held = process(connection, &other, "commit; begin; ").await?;
        let again = process(connection, &one, "").await?;
        if held.pid == before.pid || again.pid != before.pid {
            return Err(DatabaseError::Pooler { address: error::address(connection) });
        }
        // Of a session that is connected directly, the process is as old as the session.
        if [before.age, held.age].iter().all(|age| *age <= began.elapsed() + MARGIN) {
            break;
        }
    }
    Ok(())
}

struct Process {
    pid: String,
    age: Duration,
}

async fn process(connection: &Connection, session: &Session, before: &str) -> Result<Process, DatabaseError> {
    let question = format!(
        "{before}select pid, extract(epoch from clock_timestamp() - backend_start) from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())"
    );
    let asking = session.client.simple_query(&question);
    let answer = tokio::time::timeout(CONNECT_TIMEOUT, asking).await.map_err(|_| error::timed_out(connection))?;
    let answer = answer.map_err(in_session)?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((text(row, 0), text(row, 1).parse().ok())),
        _ => None,
    });
    let found = row.map(|(pid, age)| Process { pid, age: age.map_or(Duration::MAX, Duration::from_secs_f64) });
    found.ok_or(DatabaseError::Protocol { source: None })
}
