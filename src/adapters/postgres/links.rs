use super::answer::text;
use crate::migrate::repair::Links;
use crate::system::DatabaseError;
use tokio_postgres::SimpleQueryRow;

/// Answers with one document. Compiling the query would take longer than running it, and a snapshot of its own spares it
/// whatever the session was set to.
pub(super) const SQL: &str = concat!(
    "begin transaction isolation level repeatable read read only; set local jit = off; ",
    include_str!("catalog/links.sql"),
    "; commit"
);

pub(super) fn read(rows: &[SimpleQueryRow]) -> Result<Links, DatabaseError> {
    let document = rows.first().map(|row| text(row, 0)).unwrap_or_default();
    serde_json::from_str(&document).map_err(|error| DatabaseError::Protocol { source: Some(Box::new(error)) })
}
