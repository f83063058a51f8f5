//! `devdb migrate` as it is typed, on a real PostgreSQL.

use crate::support::postgres::{Database, until};
use crate::support::relay::Relay;
use devdb::testing::{Outcome, Stage};

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

const USERS: (&str, &str) = ("1_users.up.sql", "create table users (id int primary key, name text not null);\n");
const USERS_DOWN: (&str, &str) = ("1_users.down.sql", "drop table users;\n");
const ORDERS: (&str, &str) = (
    "2_orders.sql",
    "-- migrate:up\ncreate table orders (id int, user_id int references users);\n\
     insert into users values (1, 'ada');\n-- migrate:down\ndelete from users;\ndrop table orders;\n",
);

fn ledger(database: &Database) -> String {
    database.sql("select string_agg(name, ',' order by timestamp) from kysely_migration")
}

#[track_caller]
fn assert_code(outcome: &Outcome, code: u8) {
    assert_eq!(outcome.code, code, "{outcome}");
}

#[test]
fn latest_runs_what_is_pending_and_then_nothing() {
    let database = Database::create();
    let stage = stage(&database, &[USERS, USERS_DOWN, ORDERS]);
    let outcome = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_eq!(outcome.stdout, "  1_users   Up  Success\n  2_orders  Up  Success\n2 migrations done\n", "{outcome}");
    assert!(outcome.stderr.contains(&format!("database {} at 127.0.0.1:", database.name)), "{outcome}");
    assert!(outcome.stderr.contains("not verified (from DATABASE_URL)"), "{outcome}");
    assert_eq!(database.sql("select name from users"), "ada");
    assert_eq!(stage.run(["devdb", "migrate", "to", "latest"]).stdout, "nothing to do\n");
    // Kysely's own objects, as Kysely makes them.
    assert_eq!(database.sql("select id || is_locked from kysely_migration_lock"), "migration_lock0");
    let format =
        "select bool_and(timestamp ~ '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$') from kysely_migration";
    assert_eq!(database.sql(format), "t");
}

#[test]
fn a_name_leads_up_and_down_and_none_undoes_all() {
    let database = Database::create();
    let stage = stage(&database, &[USERS, USERS_DOWN, ORDERS]);
    assert_code(&stage.run(["devdb", "migrate", "to", "1_users"]), 0);
    assert_eq!(ledger(&database), "1_users");
    assert_code(&stage.run(["devdb", "migrate", "up"]), 0);
    assert_eq!(ledger(&database), "1_users,2_orders");
    let down = stage.run(["devdb", "migrate", "to", "1_users"]);
    assert_eq!(down.stdout, "  2_orders  Down  Success\n1 migration undone\n");
    assert_code(&stage.run(["devdb", "migrate", "to", "latest"]), 0);
    let none = stage.run(["devdb", "migrate", "to", "none"]);
    assert_eq!(none.stdout, "  2_orders  Down  Success\n  1_users   Down  Success\n2 migrations undone\n");
    assert_eq!(database.sql("select count(*) from kysely_migration"), "0");
    assert_eq!(database.sql("select to_regclass('users') is null"), "t");
}

#[test]
fn a_failure_in_the_middle_rolls_all_back_and_says_where() {
    let database = Database::create();
    let bad = ("2_bad.up.sql", "-- a comment\nselect 1;\nselect\n  nope from users;\n");
    let stage = stage(&database, &[USERS, bad, ("3_later.up.sql", "select 1;")]);
    let outcome = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_code(&outcome, 1);
    assert_eq!(
        outcome.stdout, "  1_users  Up  Success, rolled back\n  2_bad    Up  Error\n  3_later  Up  NotExecuted\n",
        "{outcome}"
    );
    for part in [
        "error: migration 2_bad failed (up); nothing was changed",
        "db/migrations/2_bad.up.sql:4:3: column \"nope\" does not exist (SQLSTATE 42703)",
        "statement: select",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome}");
    }
    assert_eq!(database.sql("select count(*) from pg_tables where tablename in ('users', 'kysely_migration')"), "0");
}

#[test]
fn an_error_without_position_is_found_by_counting_statements() {
    let database = Database::create();
    let bad = ("2_bad.up.sql", "insert into users values (1, 'a');\n\n  insert into users\nvalues (1, 'b');\n");
    let outcome = stage(&database, &[USERS, bad]).run(["devdb", "migrate", "to", "latest", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let error = &document["error"];
    assert_eq!(
        (&error["line"], &error["column"], &error["sqlstate"]),
        (&3.into(), &3.into(), &"23505".into()),
        "{outcome}"
    );
    assert_eq!(error["detail"], "Key (id)=(1) already exists.");
    assert_eq!(document["results"][0]["rolledBack"], true);
    assert_eq!(document["results"][1]["status"], "Error");
}

#[test]
fn status_asks_nothing_of_the_database_but_to_read() {
    let database = Database::create();
    let stage = stage(&database, &[USERS, ORDERS]);
    let outcome = stage.run(["devdb", "migrate", "status"]);
    assert_eq!(outcome.stdout, "  1_users   pending\n  2_orders  pending\n0 executed, 2 pending\n", "{outcome}");
    assert_code(&outcome, 3);
    assert_eq!(database.sql("select count(*) from pg_tables where tablename like 'kysely%'"), "0");
    assert_code(&stage.run(["devdb", "migrate", "to", "latest"]), 0);
    let outcome = stage.run(["devdb", "migrate", "status", "--json"]);
    assert_code(&outcome, 0);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["migrations"][1]["state"], "executed");
    assert_eq!(document["migrations"][1]["executed_at"].as_str().unwrap().len(), 24);
}

#[test]
fn without_rights_to_create_status_and_a_no_op_still_work() {
    let database = Database::create();
    let first = stage(&database, &[USERS]);
    assert_code(&first.run(["devdb", "migrate", "to", "latest"]), 0);
    database.sql("grant select on kysely_migration to app");
    let poor = stage(&database, &[USERS]).var("DATABASE_URL", &database.url_as("app"));
    assert_code(&poor.run(["devdb", "migrate", "status"]), 0);
    assert_eq!(poor.run(["devdb", "migrate", "to", "latest"]).stdout, "nothing to do\n");
    let refused = poor.file("db/migrations/2_x.up.sql", "create table x ();").run(["devdb", "migrate", "to", "latest"]);
    assert!(refused.stderr.contains("permission denied for schema public (SQLSTATE 42501)"), "{refused}");
}

#[test]
fn kyselys_errors_come_word_for_word() {
    let database = Database::create();
    assert_code(&stage(&database, &[USERS, ("3_c.up.sql", "select 1;")]).run(["devdb", "migrate", "to", "latest"]), 0);
    let out_of_order = stage(&database, &[USERS, ("2_b.up.sql", "select 1;"), ("3_c.up.sql", "select 1;")]);
    let outcome = out_of_order.run(["devdb", "migrate", "to", "latest"]);
    assert!(outcome.stderr.contains("error: corrupted migrations: expected previously executed migration 3_c to be at index 1 but 2_b was found in its place. New migrations must always have a name that comes alphabetically after the last executed migration.\n"), "{outcome}");
    assert_code(&out_of_order.run(["devdb", "migrate", "status"]), 3);
    let missing = stage(&database, &[USERS]).run(["devdb", "migrate", "to", "nope"]);
    assert!(
        missing.stderr.contains("error: corrupted migrations: previously executed migration 3_c is missing\n"),
        "{missing}"
    );
    let unknown = stage(&Database::create(), &[USERS]).run(["devdb", "migrate", "to", "nope"]);
    assert!(unknown.stderr.contains("error: migration \"nope\" doesn't exist\n"), "{unknown}");
}

#[test]
fn an_index_is_built_concurrently_and_an_invalid_one_is_replaced() {
    let database = Database::create();
    let index = (
        "2_index.up.sql",
        "insert into users values (1, 'a'), (2, 'a');\ncreate unique index concurrently by_name on users (name);\nselect 1;\n",
    );
    let stage = stage(&database, &[USERS, index]);
    let failed = stage.run(["devdb", "migrate", "to", "latest"]);
    assert!(
        failed.stderr.contains("1 earlier migration stays, and its first statement is committed already"),
        "{failed}"
    );
    assert!(failed.stderr.contains("2_index.up.sql:2:1: could not create unique index"), "{failed}");
    assert_eq!(ledger(&database), "1_users");
    assert_eq!(database.sql("select indisvalid from pg_index where indexrelid = 'by_name'::regclass"), "f");
    database.sql("delete from users");
    let mended =
        stage.file("db/migrations/2_index.up.sql", "create unique index concurrently by_name on users (name);\n");
    let outcome = mended.run(["devdb", "migrate", "to", "latest"]);
    assert!(outcome.stderr.contains("dropped the invalid index by_name"), "{outcome}");
    assert_eq!(database.sql("select indisvalid from pg_index where indexrelid = 'by_name'::regclass"), "t");
    assert_eq!(ledger(&database), "1_users,2_index");
    assert_eq!(database.sql("select count(*) from pg_locks l join pg_database d on d.oid = l.database where d.datname = current_database() and l.locktype = 'advisory'"), "0");
}

#[test]
fn a_new_enum_value_can_be_used_by_the_next_statement() {
    let database = Database::create();
    let files = [
        ("1_mood.up.sql", "create type mood as enum ('ok'); create table m (v mood);"),
        ("2_more.up.sql", "alter type mood add value 'good'; insert into m values ('good');"),
    ];
    let outcome = stage(&database, &files).run(["devdb", "migrate", "to", "latest"]);
    assert_code(&outcome, 0);
    assert_eq!(database.sql("select v from m"), "good");
}

#[test]
fn a_migration_that_empties_the_search_path_does_not_lose_the_ledger() {
    let database = Database::create();
    let dump = ("1_dump.up.sql", "select pg_catalog.set_config('search_path', '', false);\ncreate table public.a ();");
    assert_code(
        &stage(&database, &[dump, ("2_b.up.sql", "create table b ();")]).run(["devdb", "migrate", "to", "latest"]),
        0,
    );
    assert_eq!(database.sql("select schemaname from pg_tables where tablename = 'b'"), "public");
}

#[test]
fn a_deferred_constraint_that_fails_rolls_all_back_and_names_its_file() {
    let database = Database::create();
    let child = (
        "2_child.up.sql",
        "create table child (id int references users deferrable initially deferred);\ninsert into child values (7);",
    );
    let outcome = stage(&database, &[USERS, child]).run(["devdb", "migrate", "to", "latest"]);
    assert_code(&outcome, 1);
    assert!(outcome.stderr.contains("error: migration 2_child failed (up); nothing was changed"), "{outcome}");
    assert!(outcome.stderr.contains("this was deferred, and is checked at the end of the migration"), "{outcome}");
    assert!(outcome.stderr.contains("detail: Key (id)=(7) is not present in table \"users\"."), "{outcome}");
    assert_eq!(outcome.stdout.matches("Success, rolled back").count(), 1, "{outcome}");
    assert_eq!(database.sql("select to_regclass('users') is null"), "t");
}

#[test]
fn a_missing_down_stops_before_anything_runs() {
    let database = Database::create();
    let stage = stage(&database, &[("1_a.up.sql", "create table a ();"), ORDERS, USERS]);
    let _ = stage.run(["devdb", "migrate", "to", "latest"]);
    let outcome = stage.run(["devdb", "migrate", "to", "none"]);
    assert!(outcome.stderr.contains("error: migration 1_users cannot be undone: it has no down part"), "{outcome}");
    assert_eq!(ledger(&database), "1_a,1_users,2_orders");
}

#[test]
fn custom_tables_in_a_custom_schema_are_made_and_used() {
    let database = Database::create();
    let settings =
        "project = \"shop\"\n[migrations]\nschema = \"migrate\"\ntable = \"My Ledger\"\nlock_table = \"my_lock\"\n";
    let stage = stage(&database, &[USERS]).file("devdb.toml", settings);
    assert_code(&stage.run(["devdb", "migrate", "to", "latest"]), 0);
    assert_eq!(database.sql("select name from migrate.\"My Ledger\""), "1_users");
    assert_eq!(database.sql("select id from migrate.my_lock"), "migration_lock");
    assert_eq!(stage.run(["devdb", "migrate", "to", "latest"]).stdout, "nothing to do\n");
    assert_eq!(database.sql("select count(*) from pg_tables where tablename like 'kysely%'"), "0");
}

#[test]
fn ten_runs_at_once_apply_each_migration_once() {
    let database = Database::create();
    // A second run of the insert would break the key.
    let slow = ("2_row.up.sql", "select pg_sleep(0.1); insert into users values (1, 'once');");
    let files = [USERS, slow];
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| assert_code(&stage(&database, &files).run(["devdb", "migrate", "to", "latest"]), 0));
        }
    });
    assert_eq!(ledger(&database), "1_users,2_row");
}

#[test]
fn whoever_holds_the_lock_is_shown() {
    let database = Database::create();
    let holder = stage(&database, &[("1_slow.up.sql", "select pg_sleep(600);")]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| holder.run(["devdb", "migrate", "to", "latest"]));
        until(
            &database,
            "select count(*) from pg_stat_activity where query like 'select pg_sleep(600)%' and state = 'active' and datname = current_database()",
            "1",
        );
        let outcome = stage(&database, &[USERS]).run(["devdb", "migrate", "to", "latest", "--lock-wait", "0"]);
        assert_code(&outcome, 1);
        assert!(outcome.stderr.contains("Caused by: devdb/ada/"), "{outcome}");
        assert!(outcome.stderr.contains("user postgres, server process"), "{outcome}");
        database.sql("select pg_cancel_backend(pid) from pg_stat_activity where query like 'select pg_sleep(600)%' and datname = current_database()");
        assert_code(&running.join().unwrap(), 1);
    });
}

#[test]
fn after_connecting_two_round_trips_are_enough_for_one_migration_and_for_fifty() {
    let database = Database::create();
    let relay = Relay::to(crate::support::postgres::cluster().port);
    let url = database.url_at(relay.port);
    let run = |stage: &Stage| {
        relay.take_round_trips();
        let outcome = stage.run(["devdb", "migrate", "to", "latest", "--database-url", &url]);
        assert_code(&outcome, 0);
        relay.take_round_trips()
    };
    // Without TLS, scram costs three; the first run also makes the ledger, in one more.
    const CONNECT: usize = 3;
    let mut stage = stage(&database, &[USERS]);
    assert_eq!(run(&stage), CONNECT + 1 + 2);
    stage = stage.file("db/migrations/2_a.up.sql", "create table a (); select 1;");
    assert_eq!(run(&stage), CONNECT + 2);
    for number in 0..50 {
        stage = stage.file(&format!("db/migrations/3_{number:02}.up.sql"), "select 1; select 2; select 3;");
    }
    assert_eq!(run(&stage), CONNECT + 2);
    assert_eq!(run(&stage), CONNECT + 2, "nothing to do: one to look, one to end the transaction");
    assert_eq!(database.sql("select count(distinct timestamp) from kysely_migration"), "52");
}

#[test]
fn a_commit_whose_answer_was_lost_is_told_as_it_really_ended() {
    for delivered in [true, false] {
        let database = Database::create();
        let relay = Relay::to(crate::support::postgres::cluster().port);
        relay.cut_at("create table users", delivered);
        let url = database.url_at(relay.port);
        let outcome = stage(&database, &[USERS]).run(["devdb", "migrate", "to", "latest", "--database-url", &url]);
        assert!(outcome.stderr.contains("asking the database what was committed"), "{outcome}");
        if delivered {
            assert_code(&outcome, 0);
            assert_eq!(outcome.stdout, "  1_users  Up  Success\n1 migration done\n", "{outcome}");
            assert_eq!(ledger(&database), "1_users");
        } else {
            assert_code(&outcome, 1);
            assert!(outcome.stderr.contains("the connection was lost; nothing was changed"), "{outcome}");
            assert_eq!(database.sql("select to_regclass('users') is null"), "t");
        }
    }
}
