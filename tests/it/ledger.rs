//! What every `MigrationDatabase` promises, asked of the fake and of a real PostgreSQL.

use crate::support::postgres::{Database, session, spec, until};
use devdb::connection::Connection;
use devdb::migrate::{
    After, Engine, Event, FailedAt, FolderSource, LedgerNames, LedgerRow, MigrateError, MigrationDatabase,
    MigrationName, Opened, Options, Part, Queueing, Remains, ResultStatus, RowChange, Stage, Target, Told,
};
use devdb::testing::FakeLedger;
use std::future::Future;
use std::path::Path;

/// Where sessions come from.
enum Server {
    Fake(FakeLedger),
    Real(Database),
}

impl Server {
    async fn session(&self) -> Box<dyn MigrationDatabase> {
        match self {
            Self::Fake(ledger) => Box::new(ledger.connect(&spec(&LedgerNames::default()))),
            Self::Real(database) => database.session().await,
        }
    }
}

fn on_both<F: Future<Output = ()>>(contract: impl Fn(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(contract(Server::Fake(FakeLedger::default())));
    runtime.block_on(contract(Server::Real(Database::create())));
}

fn name(text: &str) -> MigrationName {
    MigrationName::parse(text).unwrap()
}

fn insert(text: &str, after: After) -> Option<RowChange> {
    Some(RowChange::Insert { name: name(text), after, journal: None })
}

fn names(rows: Option<Vec<LedgerRow>>) -> Vec<String> {
    rows.unwrap().into_iter().map(|row| row.name).collect()
}

async fn locked(session: &mut dyn MigrationDatabase, create: bool) -> Option<Vec<LedgerRow>> {
    match session.open(create).await.unwrap() {
        Opened::Locked(rows) => rows,
        Opened::Busy(holder) => panic!("busy: {holder:?}"),
    }
}

#[test]
fn a_ledger_is_made_only_when_asked_for() {
    on_both(async |server| {
        let mut session = server.session().await;
        assert_eq!(session.read_ledger().await.unwrap(), None);
        assert_eq!(locked(session.as_mut(), false).await, None);
        assert_eq!(locked(session.as_mut(), true).await, Some(Vec::new()));
    });
}

#[test]
fn the_links_of_an_empty_database_are_none_and_no_transaction_stays_open() {
    on_both(async |server| {
        let mut session = server.session().await;
        assert_eq!(session.read_links().await.unwrap().links, []);
        assert_eq!(locked(session.as_mut(), true).await, Some(Vec::new()));
    });
}

#[test]
fn parts_and_their_rows_are_committed_together_in_increasing_time() {
    on_both(async |server| {
        let mut session = server.session().await;
        locked(session.as_mut(), true).await;
        // 2999: a row from a machine whose clock is ahead.
        let parts = [
            Part { statements: vec!["create table a ()"], row: insert("1", After::Time(32_472_144_000_000)) },
            Part { statements: vec!["create table b ()", "create table c ()"], row: None },
            Part { statements: vec!["create table d ()"], row: insert("2", After::Row(name("1"))) },
        ];
        let mut done = Vec::new();
        session.commit(false, &parts, &mut |index| done.push(index)).await.unwrap();
        assert_eq!(done, [0, 1, 2].map(|part| Told::Finished { part }));
        let rows = server.session().await.read_ledger().await.unwrap().unwrap();
        let times: Vec<&str> = rows.iter().map(|row| row.timestamp.as_str()).collect();
        assert_eq!(times, ["2999-01-01T00:00:00.001Z", "2999-01-01T00:00:00.002Z"]);
    });
}

#[test]
fn a_failed_part_takes_everything_with_it_and_gives_the_lock_back() {
    on_both(async |server| {
        let mut session = server.session().await;
        locked(session.as_mut(), true).await;
        let parts = [
            Part { statements: vec!["create table a ()"], row: insert("1", After::Nothing) },
            Part { statements: vec!["nonsense"], row: insert("2", After::Row(name("1"))) },
        ];
        let failure = session.commit(false, &parts, &mut |_| ()).await.unwrap_err();
        let at = FailedAt { part: 1, stage: Stage::Statement(0) };
        assert_eq!((failure.at, failure.error.code()), (Some(at), Some("42601")));
        let mut other = server.session().await;
        assert_eq!(locked(other.as_mut(), false).await, None);
    });
}

#[test]
fn the_lock_lets_one_in_and_tells_the_others_who() {
    on_both(async |server| {
        let mut first = server.session().await;
        locked(first.as_mut(), true).await;
        let mut second = server.session().await;
        let Opened::Busy(Some(holder)) = second.open(false).await.unwrap() else { panic!("not busy") };
        assert!(holder.application_name.starts_with("devdb/test/"), "{holder:?}");
        assert_eq!(holder.state, "idle in transaction");
        first.abandon().await.unwrap();
        assert_eq!(locked(second.as_mut(), false).await, None);
    });
}

#[test]
fn a_held_lock_outlives_its_transactions_until_it_is_released() {
    on_both(async |server| {
        let mut first = server.session().await;
        locked(first.as_mut(), true).await;
        first.hold().await.unwrap();
        let alone = Part { statements: vec!["select 1"], row: insert("1", After::Nothing) };
        first.run_alone(&alone, Queueing::Limited, &mut |_| ()).await.unwrap();
        let parts = [Part { statements: vec!["select 1"], row: insert("2", After::Row(name("1"))) }];
        first.commit(true, &parts, &mut |_| ()).await.unwrap();
        let mut second = server.session().await;
        assert!(matches!(second.open(false).await.unwrap(), Opened::Busy(_)));
        first.release().await.unwrap();
        assert_eq!(names(locked(second.as_mut(), false).await), ["1", "2"]);
    });
}

#[test]
fn a_dropped_session_leaves_no_lock_and_no_half() {
    on_both(async |server| {
        let mut first = server.session().await;
        locked(first.as_mut(), true).await;
        drop(first);
        let mut second = server.session().await;
        // The server notices the end of the connection when it does.
        while matches!(second.open(false).await.unwrap(), Opened::Busy(_)) {
            tokio::task::yield_now().await;
        }
        assert_eq!(second.read_ledger().await.unwrap(), None);
    });
}

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, FolderSource) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let source = FolderSource::open(dir.path(), Path::new("/")).unwrap();
    (dir, source)
}

#[test]
fn a_lost_commit_is_told_as_the_ledger_has_it() {
    let (_dir, source) = folder(&[("1.up.sql", "select 1"), ("2.up.sql", "select 2")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    for took_place in [true, false] {
        let ledger = FakeLedger::default();
        ledger.lose_next_commit(took_place);
        let mut session = ledger.connect(&spec(&LedgerNames::default()));
        let engine = Engine { source: &source, options: Options::default() };
        let mut events = Vec::new();
        let report = runtime.block_on(engine.migrate(&mut session, &Target::Latest, &mut |event| events.push(event)));
        assert!(events.contains(&Event::AskingForOutcome));
        if took_place {
            assert!(report.error.is_none());
            assert_eq!(report.succeeded(), 2);
        } else {
            assert!(matches!(report.error, Some(MigrateError::LostBeforeCommit { remains: Remains::Nothing, .. })));
            assert!(report.results.iter().all(|result| result.status != ResultStatus::Success || result.rolled_back));
        }
    }
}

#[test]
fn a_table_that_another_session_holds_is_tried_again() {
    let (_dir, source) = folder(&[("1.up.sql", "create table made (); alter table busy add a int")]);
    let database = Database::create();
    database.sql("create table busy ()");
    let running = "pid from pg_stat_activity where query like '%pg_sleep(600)%' and datname = current_database() \
                   and pid <> pg_backend_pid()";
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let held = || database.sql("begin; lock table busy; select pg_sleep(600)");
            // It ends by being cancelled, which psql reports as a failure.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(held)).is_err()
        });
        until(&database, "select count(*) from pg_locks where relation = 'busy'::regclass and granted", "1");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let report = runtime.block_on(async {
            let connection = Connection::from_url(&database.url(), None).unwrap();
            let mut spec = spec(&LedgerNames::default());
            spec.lock_timeout = std::time::Duration::from_millis(200);
            let mut session = devdb::host::real_tools().migration_database(&connection, &spec).await.unwrap();
            let mut events = |event: Event| {
                if matches!(event, Event::TableLockBusy { attempt: 1, .. }) {
                    database.sql(&format!("select pg_cancel_backend(pid) from (select {running}) s"));
                }
            };
            let engine = Engine { source: &source, options: Options::default() };
            engine.migrate(session.as_mut(), &Target::Latest, &mut events).await
        });
        assert!(holder.join().unwrap());
        assert!(report.error.is_none(), "{:?}", report.error);
        assert_eq!(report.succeeded(), 1);
    });
}

#[test]
fn dropping_a_run_at_any_moment_leaves_schema_and_ledger_together() {
    let files: Vec<(String, String)> =
        (0..20).map(|number| (format!("{number:02}.up.sql"), format!("create table t{number:02} ()"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_dir, source) = folder(&files);
    let database = Database::create();
    // How many polls a whole run takes depends on how the server's answers arrive.
    let (mut polls, mut came_to_the_end) = (0, false);
    while !came_to_the_end {
        // A cancelled command ends with its runtime, so each run has its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut session = database.session().await;
            let engine = Engine { source: &source, options: Options::default() };
            let mut ignore = |_: Event| {};
            let mut run = Box::pin(engine.migrate(session.as_mut(), &Target::Latest, &mut ignore));
            // Dropped after so many polls, wherever that is.
            let mut left = polls;
            came_to_the_end = std::future::poll_fn(|task| {
                if left == 0 {
                    return std::task::Poll::Ready(false);
                }
                left -= 1;
                run.as_mut().poll(task).map(|report| report.error.is_none_or(|error| panic!("{error}")))
            })
            .await;
        });
        drop(runtime);
        polls += 1;
        // Gone from the server, and as many rows as tables.
        until(
            &database,
            "select (select count(*) from pg_stat_activity where application_name like 'devdb/%' and datname = current_database()) \
             || case when to_regclass('kysely_migration') is null then '0' else (xpath('/row/c/text()', \
             query_to_xml('select count(*) c from kysely_migration', false, true, '')))[1]::text end \
             = '0' || (select count(*) from pg_tables where tablename ~ '^t[0-9]{2}$')",
            "t",
        );
    }
    assert_eq!(database.sql("select count(*) from kysely_migration"), "20");
}

#[test]
fn a_session_on_a_real_server_says_whether_it_is_encrypted() {
    let database = Database::create();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = database.url().replace("sslmode=disable", "sslmode=prefer");
        let connection = Connection::from_url(&url, None).unwrap();
        let session = session(&connection, &LedgerNames::default()).await;
        assert!(session.reached().encrypted);
        assert_eq!(session.reached().certificate_name, None);
    });
}
