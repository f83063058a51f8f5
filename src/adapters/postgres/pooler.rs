//! Whether a session stays on its server.

use super::answer::text;
use super::connect::{CONNECT_TIMEOUT, Session, connect};
use super::error::{self, in_session};
use super::named::named_process;
use crate::connection::Connection;
use crate::system::DatabaseError;
use tokio_postgres::SimpleQueryMessage;

/// How often it is tried behind something that answers in the server's place: with other clients about, a pooler may give
/// the same server again by chance.
const ROUNDS: usize = 16;

/// Refuses a pooler in transaction mode, which lends a server for one transaction: a lock of the session would stay with a
/// server that other clients are given. It is recognised by what it does: of two further sessions, both are on the same
/// server process, or one is moved to another while the first holds its own. Where the process is the one that the login
/// named, nothing stands between, and one look is enough.
///
/// A role that may not have so many sessions is not refused for that.
///
/// # Errors
/// [`DatabaseError::Pooler`], and those of connecting.
pub(super) async fn refuse(connection: &Connection, application_name: &str) -> Result<(), DatabaseError> {
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
        if held == before || process(connection, &one, "").await? != before {
            return Err(DatabaseError::Pooler { address: error::address(connection) });
        }
        if named_process(&one).await == Some(before) && named_process(&other).await == Some(held) {
            break;
        }
    }
    Ok(())
}

/// The server process that runs a session's next statement.
async fn process(connection: &Connection, session: &Session, before: &str) -> Result<i32, DatabaseError> {
    let question = format!("{before}select pg_catalog.pg_backend_pid()");
    let asking = session.client.simple_query(&question);
    let answer = tokio::time::timeout(CONNECT_TIMEOUT, asking).await.map_err(|_| error::timed_out(connection))?;
    let answer = answer.map_err(in_session)?;
    let pid = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => text(row, 0).parse().ok(),
        _ => None,
    });
    pid.ok_or(DatabaseError::Protocol { source: None })
}
