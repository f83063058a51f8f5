//! Statements that refuse transactions: what an interruption, a lock and a failure leave, and how the next run goes on.

use crate::support::postgres::{Database, spec, until};
use crate::support::relay::Relay;
use devdb::connection::Connection;
use devdb::migrate::{Engine, Event, FolderSource, LedgerNames, Options, RunReport, Target};
use devdb::testing::{Outcome, Stage};
use std::path::Path;
use std::time::Duration;

const USERS: (&str, &str) = ("1_users.up.sql", "create table users (id int primary key, name text not null);\n");
const INDEX: (&str, &str) = ("2_index.up.sql", "create index concurrently by_name on users (name);\n");
const BUILD_WAITS: &str = "select count(*) from pg_stat_activity where query like 'create index concurrently%' \
                           and wait_event_type = 'Lock' and datname = current_database()";
const SESSIONS: &str =
    "select count(*) from pg_stat_activity where application_name like 'devdb/%' and datname = current_database()";
const IS_VALID: &str = "select indisvalid from pg_index where indexrelid = to_regclass('by_name')";

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

fn latest(database: &Database, files: &[(&str, &str)]) -> Outcome {
    stage(database, files).run(["devdb", "migrate", "to", "latest"])
}

/// A database in which `users` is there, by a migration.
fn with_users() -> Database {
    let database = Database::create();
    let outcome = latest(&database, &[USERS]);
    assert_eq!(outcome.code, 0, "{outcome}");
    database
}

fn ledger(database: &Database) -> String {
    database.sql("select string_agg(name, ',' order by timestamp) from kysely_migration")
}

#[track_caller]
fn assert_says(outcome: &Outcome, texts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome}");
    for text in texts {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

#[track_caller]
fn assert_index_is_built_again(stage: &Stage, database: &Database) {
    let outcome = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stderr.contains("dropped the invalid index by_name"), "{outcome}");
    assert_eq!((database.sql(IS_VALID).as_str(), ledger(database).as_str()), ("t", "1_users,2_index"));
}

/// Runs the engine with a short lock timeout, without retries, until it ends or `interrupted` says so.
fn run(database: &Database, files: &[(&str, &str)], interrupted: impl Fn() -> bool) -> Option<RunReport> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let source = FolderSource::open(dir.path(), Path::new("/")).unwrap();
    // A cancelled command ends with its runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::from_url(&database.url(), None).unwrap();
        let mut spec = spec(&LedgerNames::default());
        spec.lock_timeout = Duration::from_millis(200);
        let mut session = devdb::host::real_tools().migration_database(&connection, &spec).await.unwrap();
        let engine = Engine { source: &source, options: Options { retries: 0, ..Options::default() } };
        let mut ignore = |_: Event| {};
        let mut migrate = std::pin::pin!(engine.migrate(session.as_mut(), &Target::Latest, &mut ignore));
        loop {
            match tokio::time::timeout(Duration::from_millis(20), migrate.as_mut()).await {
                Ok(report) => return Some(report),
                Err(_) if interrupted() => return None,
                Err(_) => {}
            }
        }
    })
}

#[test]
fn a_lost_link_ends_a_concurrent_build_and_the_next_run_builds_it_again() {
    let database = with_users();
    let relay = Relay::to(crate::support::postgres::cluster().port);
    let url = database.url_at(relay.port);
    let writer = database.open_transaction("insert into users values (1, 'ada')");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            stage(&database, &[USERS, INDEX]).run(["devdb", "migrate", "to", "latest", "--database-url", &url])
        });
        until(&database, BUILD_WAITS, "1");
        relay.cut_now();
        assert_says(&running.join().unwrap(), &["error: the connection was lost"]);
    });
    // The writer is still there, so the build did not come to its end by itself.
    until(&database, SESSIONS, "0");
    assert_eq!(database.sql(IS_VALID), "f");
    drop(writer);
    assert_index_is_built_again(&stage(&database, &[USERS, INDEX]), &database);
}

#[test]
fn a_cancelled_run_ends_its_concurrent_build_even_where_the_server_does_not_look_at_the_link() {
    let database = with_users();
    let deaf = ("2_index.up.sql", format!("set client_connection_check_interval = 0;\n{}", INDEX.1));
    let writer = database.open_transaction("insert into users values (1, 'ada')");
    let report = run(&database, &[USERS, (deaf.0, &deaf.1)], || database.sql(BUILD_WAITS) == "1");
    assert!(report.is_none(), "{report:?}");
    until(&database, SESSIONS, "0");
    assert_eq!(database.sql(IS_VALID), "f");
    drop(writer);
    assert_index_is_built_again(&stage(&database, &[USERS, INDEX]), &database);
}

#[test]
fn the_server_watches_the_link_of_a_statement_outside_of_a_transaction() {
    let database = with_users();
    let text = "-- devdb: transaction=false\n\
                create table seen as select current_setting('client_connection_check_interval') as interval;\n";
    let outcome = latest(&database, &[USERS, ("2_seen.up.sql", text)]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(database.sql("select interval from seen"), "1s");
}

#[test]
fn a_statement_outside_of_a_transaction_queues_no_longer_than_the_lock_timeout() {
    let database = with_users();
    database.sql("create table orders ()");
    // Without the lock timeout this ends it, with another SQLSTATE.
    database.sql(&format!("alter database {} set statement_timeout = '10s'", database.name));
    let _reader = database.open_transaction("lock table orders in access share mode");
    // The build before it has no limit; what comes behind it has one again.
    let text = format!("-- devdb: transaction=false\n{}alter table orders add total int;\n", INDEX.1);
    let report = run(&database, &[USERS, ("2_index.up.sql", &text)], || false).unwrap();
    let error = report.error.unwrap();
    assert_eq!(error.database().and_then(|error| error.code()), Some("55P03"), "{error:?}");
    assert_eq!(database.sql(IS_VALID), "t");
}

#[test]
fn a_concurrent_build_waits_for_writers_as_long_as_it_takes() {
    let database = with_users();
    let writer = std::cell::Cell::new(Some(database.open_transaction("insert into users values (1, 'ada')")));
    let waits_long = format!("{BUILD_WAITS} and now() - query_start > interval '1 second'");
    let report = run(&database, &[USERS, INDEX], || {
        if database.sql(&waits_long) == "1" {
            drop(writer.take());
        }
        false
    });
    let report = report.unwrap();
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(database.sql(IS_VALID), "t");
}

#[test]
fn a_failed_build_names_the_invalid_index_that_stands_and_the_next_run_replaces_it() {
    let database = with_users();
    database.sql("insert into users values (1, 'a'), (2, 'a')");
    let unique = ("2_index.up.sql", "create unique index concurrently by_name on users (name);\n");
    let stage = stage(&database, &[USERS, unique]);
    let failed = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_says(
        &failed,
        &[
            "error: migration 2_index failed (up); the invalid index public.by_name remains\n",
            "hint: mend the cause and run this again: the next run drops public.by_name and builds it anew\n",
        ],
    );
    assert_eq!(failed.stdout, "  2_index  Up  Error\n", "{failed}");
    let again = stage.run(["devdb", "migrate", "to", "latest", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(document["results"][0]["rolledBack"], false, "{again}");
    database.sql("delete from users where id = 2");
    assert_index_is_built_again(&stage, &database);
}

#[test]
fn a_build_that_fails_before_it_began_leaves_nothing_and_says_so() {
    let database = with_users();
    let wrong = ("2_index.up.sql", "create index concurrently by_name on users (nope);\n");
    assert_says(&latest(&database, &[USERS, wrong]), &["migration 2_index failed (up); nothing was changed\n"]);
}

#[test]
fn an_index_that_an_interrupted_run_has_finished_is_shown_with_both_ways_out() {
    let database = with_users();
    // As if the link had been lost after the build, before the row.
    database.sql(INDEX.1);
    let failed = latest(&database, &[USERS, INDEX]);
    assert_says(
        &failed,
        &[
            "error: migration 2_index failed (up); nothing was changed\n",
            "a valid index of that name stands on that table already, probably from an interrupted run: \
             CREATE INDEX by_name ON public.users USING btree (name)\n",
            "hint: if that is the index you want, write `if not exists` into the statement; \
             if not, `drop index concurrently public.by_name`; then run this again\n",
        ],
    );
    let kept = ("2_index.up.sql", "create index concurrently if not exists by_name on users (name);\n");
    let outcome = latest(&database, &[USERS, kept]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(ledger(&database), "1_users,2_index");
}

#[test]
fn a_name_that_something_else_has_is_no_sign_of_an_interrupted_run() {
    let database = with_users();
    database.sql("create table other (name text); create index by_name on other (name)");
    let failed = latest(&database, &[USERS, INDEX]);
    assert_says(&failed, &["relation \"by_name\" already exists (SQLSTATE 42P07)"]);
    assert!(!failed.stderr.contains("interrupted"), "{failed}");
}

#[test]
fn what_an_interrupted_run_may_have_committed_already_is_said() {
    const HINT: &str = "hint: if an interrupted run has done this already, write `if not exists` into the statement, \
                        or undo it by hand; then run this again\n";
    let alone = "-- devdb: transaction=false\nalter table users add age int;\n";
    // Its first statement is committed before the build begins.
    let cut = "create table orders (id int);\ncreate index concurrently by_id on orders (id);\n";
    let whole = "create table orders (id int);\n";
    for (text, is_cut) in [(alone, true), (cut, true), (whole, false)] {
        let database = with_users();
        database.sql("alter table users add age int; create table orders (id int)");
        let failed = latest(&database, &[USERS, ("2_more.up.sql", text)]);
        assert_says(&failed, &["migration 2_more failed (up); nothing was changed\n"]);
        assert_eq!(failed.stderr.contains(HINT), is_cut, "{failed}");
    }
}

#[test]
fn a_failed_statement_that_works_in_steps_never_says_that_nothing_was_changed() {
    let database = with_users();
    let drop = ("2_drop.up.sql", "drop index concurrently nope;\n");
    assert_says(
        &latest(&database, &[USERS, drop]),
        &["migration 2_drop failed (up); parts of this statement may be committed"],
    );
}
