use super::engine::{Event, Options, poll_lock};
use super::{LedgerRow, MigrateError, MigrationDatabase, RowChange};
use std::time::Duration;

/// How a transaction ended whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    RolledBack,
    Unknown,
}

/// Finds the truth about a lost commit in the ledger.
///
/// The lock is the fence: the old session held it inside its transaction, so once this one has it, the old transaction
/// has ended one way or the other, and its rows are there or not. That needs no right and no xid.
pub(super) async fn ask_outcome(
    database: &mut dyn MigrationDatabase,
    changes: &[&RowChange],
    options: &Options,
) -> Outcome {
    const ATTEMPTS: u32 = 5;
    for attempt in 0..ATTEMPTS {
        // Tunnels come back within seconds; a database that fails over within a minute.
        if attempt > 0 {
            tokio::time::sleep(Duration::from_secs(1) * attempt).await;
        }
        if database.reconnect().await.is_err() {
            continue;
        }
        match rows(database, options).await {
            Ok(rows) => {
                let _ = database.abandon().await;
                let took_place = |change: &&RowChange| match change {
                    RowChange::Insert { name, .. } => rows.iter().any(|row| row.name == name.as_str()),
                    RowChange::Delete { name } => !rows.iter().any(|row| row.name == name.as_str()),
                    RowChange::Rename { to, .. } => rows.iter().any(|row| row.name == to.as_str()),
                    RowChange::Restamp { name, was, .. } => {
                        !rows.iter().any(|row| row.name == name.as_str() && row.timestamp == *was)
                    }
                };
                return if changes.iter().all(took_place) { Outcome::Committed } else { Outcome::RolledBack };
            }
            Err(MigrateError::Database(error)) if error.is_lost() => {}
            Err(_) => return Outcome::Unknown,
        }
    }
    Outcome::Unknown
}

/// The rows, under the lock. If this run's own cut session still sits on it and does nothing, it is ended: the
/// application name holds the run's id, so it can be nobody else's.
async fn rows(database: &mut dyn MigrationDatabase, options: &Options) -> Result<Vec<LedgerRow>, MigrateError> {
    let mut ignore = |_: Event| {};
    let patience = Duration::from_secs(2).min(options.lock_wait);
    match poll_lock(database, false, patience, &mut ignore).await {
        Err(MigrateError::LockBusy { holder: Some(holder), .. }) if holder.state.starts_with("idle in transaction") => {
            database.end_orphan(&holder).await?;
        }
        Err(MigrateError::LockBusy { .. }) => {}
        other => return other.map(Option::unwrap_or_default),
    }
    poll_lock(database, false, options.lock_wait, &mut ignore).await.map(Option::unwrap_or_default)
}
