//! Files, names and ledgers that are wrong, each with the whole message as a user reads it. What is missing here stands in
//! `migrate.rs`, `migrate_alone.rs` and beside the code that refuses it.

use crate::support::postgres::Database;
use devdb::testing::{Answer, Stage};

const USERS: (&str, &str) = ("1_users.up.sql", "create table users (id int primary key, name text not null);\n");
const LOCK: &str = "3853314791062309107";

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

/// All that the screen shows, without the line that names the database.
fn said(database: &Database, files: &[(&str, &str)]) -> String {
    let outcome = stage(database, files).run(["devdb", "migrate", "to", "latest"]).to_string();
    let kept = outcome.lines().filter(|line| !line.starts_with("database "));
    kept.map(|line| line.replace(&database.name, "[DATABASE]")).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_bad_file_is_refused_with_its_place_and_the_way_out() {
    let files = [
        ("a_typo.up.sql", "create table a (id int);\n\ncreate tabel b (id int);\n"),
        ("a_misspelled_column.up.sql", "select 'ä', nmae from users;\n"),
        ("a_key_twice.up.sql", "insert into users values (1, 'ada');\ninsert into users\n  values (1, 'bob');\n"),
        ("a_missing_value.up.sql", "insert into users values (1, null);\n"),
        ("an_error_in_a_function.up.sql", "do $$ begin perform 1 / 0; end $$;\n"),
        ("a_commit_inside.up.sql", "create table a ();\nCOMMIT;\ncreate table b ();\n"),
        ("a_copy.up.sql", "copy users from stdin;\n1\tada\n\\.\n"),
        ("a_psql_command.up.sql", "create table a ();\n\\i other.sql\n"),
        ("an_endless_string.up.sql", "select 1;\nselect 'x;\n"),
        ("nothing.up.sql", ""),
        ("only_a_comment.up.sql", "-- later\n"),
        ("no_up_part.sql", "create table a ();\n"),
        ("a_directive_misspelled.up.sql", "-- devdb: transaction=no\nselect 1;\n"),
        ("a_vacuum_in_a_function.up.sql", "do $$ begin execute 'vacuum'; end $$;\n"),
    ];
    let mut text = String::new();
    for (name, sql) in files {
        let database = Database::create();
        text += &format!("\n=== {name}\n{}\n", said(&database, &[USERS, (&format!("2_{name}"), sql)]));
        assert_eq!(database.sql("select to_regclass('users') is null and to_regclass('a') is null"), "t", "{name}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn what_editors_do_to_files_is_no_fault() {
    let database = Database::create();
    let files = [
        ("1_bom.up.sql", "\u{feff}create table bom ();\n"),
        (
            "2_crlf.sql",
            "-- migrate:up\r\ncreate function f() returns text language sql as $$\r\nselect 'x'\r\n$$;\r\n-- migrate:down\r\ndrop function f();\r\n",
        ),
        ("3_no_newline.up.sql", "select 1"),
    ];
    let outcome = stage(&database, &files).run(["devdb", "migrate", "to", "latest"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    // The same on every machine, whatever its editor writes.
    assert_eq!(database.sql("select position(chr(13) in prosrc) from pg_proc where proname = 'f'"), "0");
    let bytes = Stage::new().var("DATABASE_URL", &database.url());
    std::fs::create_dir_all(bytes.project().join("db/migrations")).unwrap();
    std::fs::write(bytes.project().join("db/migrations/4_latin.up.sql"), b"select '\xe4';\n").unwrap();
    // The folder has no files for what was executed, so another ledger must do.
    database.sql("drop table kysely_migration");
    let refused = bytes.run(["devdb", "migrate", "to", "latest"]);
    insta::assert_snapshot!("not_utf8", refused.stderr.lines().skip(1).collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_that_clash_or_do_not_fit_are_refused_before_anything_is_connected() {
    let nowhere = |name: &str| {
        Stage::new()
            .var("DATABASE_URL", "postgres://a@127.0.0.1:1/a")
            .file(&format!("db/migrations/{name}"), "select 1;")
    };
    let twice = nowhere("1_a.up.sql").file("db/migrations/1_a.sql", "-- migrate:up\nselect 1;");
    insta::assert_snapshot!("twice", twice.run(["devdb", "migrate", "to", "latest"]));
    insta::assert_snapshot!("no_up", nowhere("1_a.down.sql").run(["devdb", "migrate", "to", "latest"]));
    // No file system that devdb knows holds such a name; the two ways to ask for one are these.
    let long = "x".repeat(250);
    let new = Stage::new().run(["devdb", "migrate", "new", &long]);
    assert!(new.code == 2 && new.stderr.contains("error: the name has 265 characters; the ledger holds 255"), "{new}");
    let unwritable = Stage::new().run(["devdb", "migrate", "new", &long[..240]]);
    assert!(unwritable.code == 1 && unwritable.stderr.contains("Caused by: File name too long"), "{unwritable}");
}

#[test]
fn a_time_in_the_ledger_that_nobody_can_read_stops_everything_with_the_way_out() {
    let database = Database::create();
    assert!(said(&database, &[USERS]).contains("1 migration done"));
    database.sql("update kysely_migration set timestamp = 'yesterday'");
    insta::assert_snapshot!("bad_time", said(&database, &[USERS, ("2_b.up.sql", "select 1;")]));
}

#[test]
fn a_ledger_in_another_schema_is_not_passed_over() {
    let database = Database::create();
    database.sql("create schema app; create table app.kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null)");
    insta::assert_snapshot!("ledger_elsewhere", said(&database, &[USERS]));
    assert_eq!(database.sql("select to_regclass('users') is null"), "t");
    for (schema, ledger) in [("app", "app.kysely_migration"), ("other", "other.kysely_migration")] {
        let settings = format!("project = \"shop\"\n[migrations]\nschema = \"{schema}\"\n");
        let outcome = stage(&database, &[("1_a.up.sql", "select 1;")])
            .file("devdb.toml", &settings)
            .run(["devdb", "migrate", "to", "latest"]);
        assert_eq!(outcome.code, 0, "{outcome}");
        assert_eq!(database.sql(&format!("select name from {ledger}")), "1_a");
    }
}

#[test]
fn a_table_that_stays_locked_is_named_after_the_last_attempt() {
    let database = Database::create();
    database.sql("create table busy ()");
    let _holder = database.open_transaction("lock table busy");
    let text = "create table made ();\nset local lock_timeout = '20ms';\nalter table busy add a int;\n";
    insta::assert_snapshot!("stays_locked", said(&database, &[USERS, ("2_busy.up.sql", text)]));
    assert_eq!(database.sql("select to_regclass('made') is null"), "t");
}

/// Kysely waits in `pg_advisory_lock`, and the build waits for its transaction: the server ends the build.
#[test]
fn a_concurrent_build_that_a_waiting_kysely_kept_from_its_end_is_built_again() {
    let database = Database::create();
    let files = [
        USERS,
        ("2_held.up.sql", "select pg_advisory_lock(7), pg_advisory_unlock(7);\n"),
        ("3_index.up.sql", "create index concurrently by_name on users (name);\n"),
    ];
    let gate = database.open_transaction("do 'begin perform pg_advisory_xact_lock(7); end'");
    std::thread::scope(|scope| {
        let running = scope.spawn(|| stage(&database, &files).run(["devdb", "migrate", "up", "3"]));
        let waits = |what: &str| {
            format!(
                "select count(*) from pg_stat_activity where wait_event = 'advisory' and datname = current_database() and query like '%{what}%'"
            )
        };
        crate::support::postgres::until(&database, &waits("pg_advisory_lock(7)"), "1");
        let kysely = scope
            .spawn(|| database.sql(&format!("select pg_advisory_lock({LOCK}); select pg_advisory_unlock({LOCK})")));
        // Longer than `deadlock_timeout`, so that it is the build that finds the circle.
        let long = format!("{} and now() - query_start > interval '1.2 seconds'", waits(LOCK));
        crate::support::postgres::until(&database, &long, "1");
        drop(gate);
        let outcome = running.join().unwrap();
        kysely.join().unwrap();
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(outcome.stderr.contains("another session was in the way of the build of public.by_name; dropping what is left of it and trying again (1 of 3)"), "{outcome}");
        assert_eq!(
            outcome.stdout,
            "  1_users  Up  Success\n  2_held   Up  Success\n  3_index  Up  Success\n3 migrations done\n",
            "{outcome}"
        );
    });
    assert_eq!(database.sql("select indisvalid from pg_index where indexrelid = 'by_name'::regclass"), "t");
    assert_eq!(
        database.sql("select string_agg(name, ',' order by timestamp) from kysely_migration"),
        "1_users,2_held,3_index"
    );
}

/// As a cut connection leaves it: the server has not noticed.
#[test]
fn a_session_of_ones_own_that_a_cut_connection_left_is_ended_only_after_asking() {
    let left_by = |name: &str| {
        let database = Database::create();
        let left = format!("set application_name = '{name}'; do 'begin perform pg_advisory_xact_lock({LOCK}); end'");
        let session = database.open_transaction(&left);
        (database, session)
    };
    let run = |database: &Database, answer: Option<bool>, more: &[&str]| {
        let mut stage = stage(database, &[USERS]).var("TERM", "dumb");
        if let Some(answer) = answer {
            stage = stage.terminal();
            stage.prompter.script([Answer::Confirm(answer)]);
        }
        let outcome = stage.run_all(&[&["devdb", "migrate", "to", "latest", "--lock-wait", "0"], more].concat());
        (outcome, stage.prompter.questions())
    };
    let (database, _session) = left_by("devdb/ada/0badcafe");
    let (waited, questions) = run(&database, None, &[]);
    assert!(waited.code == 1 && questions.is_empty(), "{waited}");
    assert!(waited.stderr.contains("on a terminal devdb asks whether to end your own, and `--yes` agrees"), "{waited}");
    let (refused, questions) = run(&database, Some(false), &[]);
    assert_eq!((refused.code, questions.len()), (1, 1), "{refused}");
    assert!(questions[0].contains("devdb/ada/0badcafe (user postgres, server process "), "{questions:?}");
    let (ended, _) = run(&database, Some(true), &[]);
    assert_eq!(ended.code, 0, "{ended}");
    let (database, _session) = left_by("devdb/ada/0badcafe");
    assert_eq!(run(&database, None, &["--yes"]).0.code, 0);
    // Somebody else's, or one that only begins like it, is never asked about.
    for name in ["devdb/bob/0badcafe", "devdb/adam/0badcafe", "kysely"] {
        let (database, _session) = left_by(name);
        let (outcome, questions) = run(&database, Some(true), &["--yes"]);
        assert_eq!((outcome.code, questions.len()), (1, 0), "{outcome}");
    }
}
