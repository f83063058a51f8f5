use super::error::in_session;
use crate::migrate::{BatchError, Ended, FailedAt, Holder, JournalRow};
use crate::system::DatabaseError;
use futures_util::StreamExt;
use std::pin::Pin;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, SimpleQueryStream};

/// The answer to one message, still on its way.
pub(super) struct Answer(pub(super) Pin<Box<SimpleQueryStream>>);

impl Answer {
    pub(super) async fn rows(mut self) -> Result<Vec<SimpleQueryRow>, DatabaseError> {
        let mut rows = Vec::new();
        while let Some(message) = self.0.next().await {
            if let SimpleQueryMessage::Row(row) = message.map_err(in_session)? {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

pub(super) fn text(row: &SimpleQueryRow, column: usize) -> String {
    row.try_get(column).ok().flatten().unwrap_or_default().to_owned()
}

pub(super) fn journal_row(row: &SimpleQueryRow) -> JournalRow {
    let optional = |column: usize| row.try_get(column).ok().flatten().map(str::to_owned);
    JournalRow {
        name: text(row, 0),
        timestamp: text(row, 1),
        hash: text(row, 2),
        application_name: text(row, 3),
        git_commit: optional(4),
        is_undone: text(row, 5) == "t",
        up_sql: text(row, 6),
        down_sql: optional(7),
    }
}

pub(super) fn holder_row(row: &SimpleQueryRow) -> Holder {
    Holder {
        pid: text(row, 0).parse().unwrap_or_default(),
        application_name: text(row, 1),
        user: text(row, 2),
        since: text(row, 3),
        state: text(row, 4),
    }
}

/// A failure between request and answer leaves the end unknown only if it is the connection's.
pub(super) fn failure(at: Option<FailedAt>, error: DatabaseError) -> BatchError {
    let ended =
        if matches!(error, DatabaseError::Server(_)) && !error.is_lost() { Ended::RolledBack } else { Ended::Unknown };
    BatchError { at, error, ended, blockers: Vec::new() }
}
