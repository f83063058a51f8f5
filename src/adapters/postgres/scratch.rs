use super::connect::{Session, connect};
use super::error::in_session;
use super::ledger::literal;
use crate::connection::Connection;
use crate::migrate::Scratch;
use crate::system::DatabaseError;
use async_trait::async_trait;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A database of a random name on the server of another one.
pub(crate) struct PostgresScratch {
    connection: Connection,
    application_name: String,
    name: String,
    is_removed: bool,
}

impl PostgresScratch {
    /// # Errors
    /// As [`connect`], and the server's: 42501 without the right to create databases.
    pub(crate) async fn create(connection: &Connection, application_name: &str) -> Result<Self, DatabaseError> {
        let session = connect(connection, application_name).await?;
        // The hasher's keys are random.
        let name = format!("devdb_test_{:016x}", RandomState::new().build_hasher().finish());
        let mut scratch = Self {
            connection: connection.clone(),
            application_name: application_name.to_owned(),
            name,
            is_removed: false,
        };
        let made = run(&session, &format!("create database {}", scratch.name)).await;
        // Where it could not be made there is nothing to remove; whoever is interrupted up to here cannot know.
        scratch.is_removed = made.is_err();
        made.map(|()| scratch)
    }
}

async fn run(session: &Session, sql: &str) -> Result<(), DatabaseError> {
    session.client.simple_query(sql).await.map(|_| ()).map_err(in_session)
}

/// Ends this run's own sessions, one of which may still be creating the database, and removes it.
async fn remove(connection: &Connection, application_name: &str, name: &str) -> Result<(), DatabaseError> {
    let session = connect(connection, &format!("{application_name}/end")).await?;
    // Waits until each one is gone (PostgreSQL documentation, "Server Signaling Functions").
    let end = format!(
        "select pg_terminate_backend(pid, 5000) from pg_catalog.pg_stat_activity where application_name = {}",
        literal(application_name)
    );
    run(&session, &end).await?;
    run(&session, &format!("drop database if exists {name} with (force)")).await
}

#[async_trait]
impl Scratch for PostgresScratch {
    fn name(&self) -> &str {
        &self.name
    }

    async fn remove(&mut self) -> Result<(), DatabaseError> {
        remove(&self.connection, &self.application_name, &self.name).await?;
        self.is_removed = true;
        Ok(())
    }
}

impl Drop for PostgresScratch {
    /// Ctrl-C and every failure come by here. Nothing can be awaited, so a thread of its own does it.
    fn drop(&mut self) {
        if self.is_removed {
            return;
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                // Whoever is interrupted is told nothing any more; the name says what the database is.
                let _ = runtime
                    .map(|runtime| runtime.block_on(remove(&self.connection, &self.application_name, &self.name)));
            });
        });
    }
}
