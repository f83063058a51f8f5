//! The Lambda function when its time runs out: ten seconds before its deadline.

use crate::support::lambda::Lambda;
use crate::support::postgres::{Database, until};
use serde_json::json;
use std::time::{Duration, Instant};

/// Three seconds for the work.
const SHORT: Duration = Duration::from_secs(13);

fn rig(name: &str, up: &str) -> (Database, Lambda) {
    let database = Database::create();
    database.sql("create table busy (id int)");
    let lambda = Lambda::start(&[("DATABASE_URL", &database.url())]);
    lambda.bundle(&[("20260101_one", "create table one (id int);", ""), (name, up, "")]);
    (database, lambda)
}

/// Why it failed, which was said in time, and left no session behind.
fn failed(database: &Database, lambda: &Lambda) -> String {
    let began = Instant::now();
    let told = lambda.invoke_for(SHORT, &lambda.request("Create", "c", json!({})));
    assert!(began.elapsed() < SHORT, "the deadline has passed");
    let sessions = "select count(*) from pg_stat_activity where application_name like 'devdb/migrate/%' and datname = current_database()";
    until(database, sessions, "0");
    told.failed().to_owned()
}

/// The reason without the number of seconds in it, which is three and what a busy machine adds to it.
fn without_seconds(reason: &str, before: &str, least: f64) -> String {
    let after = reason.strip_prefix(before).unwrap_or_else(|| panic!("not `{before}`: {reason}"));
    let (seconds, rest) = after.split_once(" s").unwrap();
    let seconds: f64 = seconds.parse().unwrap();
    assert!(seconds >= least && seconds < 8.0, "{reason}");
    rest.to_owned()
}

#[test]
fn a_statement_that_runs_is_ended_and_everything_rolled_back() {
    let (database, lambda) = rig("20260102_two", "create table two (id int);\nselect pg_sleep(600);");
    let reason = failed(&database, &lambda);
    assert_eq!(
        without_seconds(&reason, "timed out after ", 3.0),
        ": migrations/20260102_two.sql:3:1: 57014 canceling statement due to user request; nothing was changed, except that sequences may have moved on"
    );
    assert_eq!(database.sql("select coalesce(to_regclass('one'), to_regclass('kysely_migration')) is null"), "t");
}

#[test]
fn a_concurrent_build_that_waits_is_ended_and_what_it_left_is_said() {
    let (database, lambda) = rig("20260102_index", "create index concurrently busy_id on busy (id);");
    let _writer = database.open_transaction("insert into busy values (1)");
    let reason = failed(&database, &lambda);
    let end = "57014 canceling statement due to user request; 1 earlier migration stays, and the invalid index public.busy_id remains";
    assert!(without_seconds(&reason, "timed out after ", 3.0).ends_with(end), "{reason}");
    assert_eq!(database.sql("select string_agg(name, ' ') from kysely_migration"), "20260101_one");
}

#[test]
fn another_runs_lock_is_waited_for_and_its_holder_named() {
    let (database, lambda) = rig("20260102_two", "select 1;");
    let _other = database.open_transaction("do $$ begin perform pg_advisory_xact_lock(3853314791062309107); end $$");
    let reason = failed(&database, &lambda);
    // It says so itself, before it is stopped: one second less than there is, and the whole seconds of that.
    let rest = without_seconds(&reason, "another run holds the migration lock; waited ", 1.0);
    assert!(rest.starts_with(" for it; psql has it (user postgres, idle in transaction"), "{reason}");
}
