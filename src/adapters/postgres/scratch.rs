use super::answer::text;
use super::connect::{Session, connect};
use super::error::in_session;
use super::ledger::literal;
use crate::connection::Connection;
use crate::migrate::Scratch;
use crate::system::DatabaseError;
use async_trait::async_trait;
use std::hash::{BuildHasher, Hasher, RandomState};
use tokio_postgres::SimpleQueryMessage;

/// A database of a random name on the server of another one.
pub(crate) struct PostgresScratch {
    connection: Connection,
    application_name: String,
    name: String,
    is_removed: bool,
    orphans: Vec<String>,
    /// Its name is what tells other runs that this one lives.
    alive: Session,
}

/// Stands in front of the run's application name in the comment on the database.
const MADE_BY: &str = "made by devdb migrate test, run ";

impl PostgresScratch {
    /// # Errors
    /// As [`connect`], and the server's: 42501 without the right to create databases.
    pub(crate) async fn create(connection: &Connection, application_name: &str) -> Result<Self, DatabaseError> {
        let session = connect(connection, application_name).await?;
        let orphans = sweep(&session, application_name).await?;
        // The hasher's keys are random.
        let name = format!("devdb_test_{:016x}", RandomState::new().build_hasher().finish());
        let mut scratch = Self {
            connection: connection.clone(),
            application_name: application_name.to_owned(),
            name,
            is_removed: false,
            orphans,
            alive: session,
        };
        let made = run(&scratch.alive, &format!("create database {}", scratch.name)).await;
        // Where it could not be made there is nothing to remove; whoever is interrupted up to here cannot know.
        scratch.is_removed = made.is_err();
        made?;
        let comment = literal(&format!("{MADE_BY}{application_name}"));
        run(&scratch.alive, &format!("comment on database {} is {comment}", scratch.name)).await?;
        Ok(scratch)
    }
}

/// Removes the databases of runs that were killed, and says which. The comment proves whose they are: the same alias's,
/// and this login's own. That the run is gone, its sessions prove: there are none, neither there nor elsewhere. Whatever
/// cannot be removed stays.
async fn sweep(session: &Session, application_name: &str) -> Result<Vec<String>, DatabaseError> {
    let owner = application_name.rsplit_once('/').map_or(application_name, |(owner, _)| owner);
    let asked = format!(
        "select d.datname from pg_catalog.pg_database d join pg_catalog.pg_shdescription c on c.objoid = d.oid \
         and c.classoid = 'pg_catalog.pg_database'::regclass and starts_with(c.description, {made_by} || {owner} || '/') \
         where d.datname ~ '^devdb_test_[0-9a-f]{{16}}$' and pg_get_userbyid(d.datdba) = current_user \
         and not exists (select from pg_catalog.pg_stat_activity a where a.datid = d.oid \
         or starts_with({made_by} || a.application_name, c.description))",
        made_by = literal(MADE_BY),
        owner = literal(owner),
    );
    let found = session.client.simple_query(&asked).await.map_err(in_session)?;
    let mut removed = Vec::new();
    for message in found {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let name = text(&row, 0);
        if run(session, &format!("drop database if exists {name}")).await.is_ok() {
            removed.push(name);
        }
    }
    Ok(removed)
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

    fn orphans(&self) -> &[String] {
        &self.orphans
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
