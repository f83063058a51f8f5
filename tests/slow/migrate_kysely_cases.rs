//! Kysely's own test cases (0.29.9, `test/node/src/migration.test.ts`), told to devdb: the order they come in there. Those
//! that are about a JavaScript object (a provider, a transaction, an option of a call) have no counterpart.

use crate::support::postgres::Database;
use devdb::testing::Stage;
use std::fs;

/// The files that are there, a digit each; `?` allows any order; what is typed; and what comes of it: the migrations that
/// ran, or `!` and a part of the error.
type Step = (&'static str, &'static str, &'static str);

const CASES: [(&str, &[Step]); 20] = [
    (
        "runs all unexecuted",
        &[("12", "to latest", "Up 1 2"), ("1234", "to latest", "Up 3 4"), ("1234", "to latest", "")],
    ),
    (
        "a new one before the last executed",
        &[
            ("13", "to latest", "Up 1 3"),
            ("123", "to latest", "!previously executed migration 3 to be at index 1 but 2"),
        ],
    ),
    ("the same, unordered", &[("13", "to latest", "Up 1 3"), ("1234?", "to latest", "Up 2 4")]),
    (
        "an executed one is missing",
        &[("123", "to latest", "Up 1 2 3"), ("234", "to latest", "!migration 1 is missing")],
    ),
    ("the last one is missing", &[("123", "to latest", "Up 1 2 3"), ("124", "to latest", "!migration 3 is missing")]),
    ("missing, unordered", &[("123", "to latest", "Up 1 2 3"), ("234?", "to latest", "!migration 1 is missing")]),
    (
        "the last missing, unordered",
        &[("123", "to latest", "Up 1 2 3"), ("124?", "to latest", "!migration 3 is missing")],
    ),
    ("up to a name", &[("1234", "to 2", "Up 1 2"), ("1234", "to 3", "Up 3")]),
    ("all the way down", &[("123", "to latest", "Up 1 2 3"), ("123", "to none", "Down 3 2 1")]),
    ("down to a name", &[("1234", "to latest", "Up 1 2 3 4"), ("1234", "to 2", "Down 4 3")]),
    ("up to a name, unordered", &[("13", "to latest", "Up 1 3"), ("12345?", "to 4", "Up 2 4")]),
    ("all the way down, unordered", &[("124", "to latest", "Up 1 2 4"), ("1234?", "to none", "Down 4 2 1")]),
    ("down to a name, unordered", &[("1235", "to latest", "Up 1 2 3 5"), ("12345?", "to 2", "Down 5 3")]),
    ("names not in order", &[("13", "to latest", "Up 1 3"), ("123?", "up", "Up 2"), ("123?", "down", "Down 2")]),
    ("one step up", &[("12", "up", "Up 1"), ("12", "up", "Up 2"), ("12", "up", "")]),
    ("one step up with a hole", &[("13", "to latest", "Up 1 3"), ("1234", "up", "!at index 1 but 2 was found")]),
    ("one step up, unordered", &[("13", "to latest", "Up 1 3"), ("1234?", "up", "Up 2"), ("1234?", "up", "Up 4")]),
    (
        "one step down",
        &[("12", "to latest", "Up 1 2"), ("12", "down", "Down 2"), ("12", "down", "Down 1"), ("12", "down", "")],
    ),
    ("one step down with a hole", &[("13", "to latest", "Up 1 3"), ("1234", "down", "!at index 1 but 2 was found")]),
    (
        "one step down, unordered",
        &[
            ("124", "to latest", "Up 1 2 4"),
            ("12345?", "down 2", "Down 4 2"),
            ("12345?", "down", "Down 1"),
            ("12345?", "down", ""),
        ],
    ),
];

fn write(stage: &Stage, files: &str, settings: &str) {
    let folder = stage.project().join("db/migrations");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for name in files.chars().filter(char::is_ascii_digit) {
        let text = format!("-- migrate:up\ncreate table t{name} ();\n-- migrate:down\ndrop table t{name};\n");
        fs::write(folder.join(format!("{name}.sql")), text).unwrap();
    }
    let settings = format!("project = \"shop\"\n[migrations]\nallow_unordered = {}\n{settings}", files.ends_with('?'));
    fs::write(stage.project().join("devdb.toml"), settings).unwrap();
}

/// Kysely's results in one line; an error with `!` before it.
fn run(stage: &Stage, words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let outcome = stage.run_all(&[&["devdb", "--json", "migrate"][..], &words].concat());
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    if let Some(message) = document["error"]["message"].as_str() {
        assert_eq!(document["results"], serde_json::json!([]), "{outcome}");
        return format!("!{message}");
    }
    let results = document["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == "Success"), "{outcome}");
    let names: Vec<&str> = results.iter().map(|result| result["migrationName"].as_str().unwrap()).collect();
    match results.first() {
        Some(first) => format!("{} {}", first["direction"].as_str().unwrap(), names.join(" ")),
        None => String::new(),
    }
}

fn play(settings: &str, ledger: &str) {
    let database = Database::create();
    for (case, steps) in CASES {
        database.sql("drop schema public cascade; create schema public; drop schema if exists \"My Schema\" cascade");
        let stage = Stage::new().var("DATABASE_URL", &database.url());
        let mut executed: Vec<String> = Vec::new();
        for (files, words, wanted) in steps {
            write(&stage, files, settings);
            let found = run(&stage, words);
            match wanted.strip_prefix('!') {
                Some(part) => {
                    assert!(found.starts_with("!corrupted migrations") && found.contains(part), "{case}: {found}")
                }
                None => assert_eq!(found, *wanted, "{case}: {words} with {files}"),
            }
            for name in wanted.split(' ').skip(1).filter(|_| !wanted.starts_with('!')) {
                if wanted.starts_with("Up") {
                    executed.push(name.to_owned());
                } else {
                    executed.retain(|other| other != name);
                }
            }
            let mut sorted = executed.clone();
            sorted.sort();
            let stands = database.sql(&format!(
                "select coalesce(string_agg(name, ' ' order by timestamp), ''), (select coalesce(string_agg( \
                 substr(tablename, 2), ' ' order by tablename), '') from pg_tables where tablename ~ '^t[0-9]$') from {ledger}"
            ));
            assert_eq!(stands, format!("{}|{}", executed.join(" "), sorted.join(" ")), "{case}: {words} with {files}");
        }
    }
}

#[test]
fn each_case_ends_as_in_kysely() {
    play("", "kysely_migration");
}

#[test]
fn each_case_ends_the_same_with_tables_and_a_schema_of_ones_own() {
    play("schema = \"My Schema\"\ntable = \"history\"\nlock_table = \"history lock\"\n", "\"My Schema\".history");
}

/// K34: from nothing, all at once.
#[test]
fn twenty_runs_at_once_make_one_ledger_in_a_schema_of_its_own() {
    let database = Database::create();
    std::thread::scope(|scope| {
        let run = || {
            let stage = Stage::new().var("DATABASE_URL", &database.url());
            write(&stage, "123", "schema = \"migrate\"\ntable = \"mine\"\nlock_table = \"my_lock\"\n");
            run(&stage, "to 2")
        };
        let running: Vec<_> = (0..20).map(|_| scope.spawn(run)).collect();
        let mut found: Vec<String> = running.into_iter().map(|run| run.join().unwrap()).collect();
        found.sort();
        assert_eq!(found.pop().as_deref(), Some("Up 1 2"));
        assert!(found.iter().all(String::is_empty), "{found:?}");
    });
    assert_eq!(database.sql("select string_agg(name, ' ' order by timestamp) from migrate.mine"), "1 2");
    assert_eq!(database.sql("select count(*) from pg_tables where tablename like 'kysely%'"), "0");
}

/// K28: without a transaction around it, a run still keeps the next one out until it is through.
#[test]
fn a_run_without_a_transaction_keeps_the_next_one_out() {
    let database = Database::create();
    let gate = database.open_transaction("do 'begin perform pg_advisory_xact_lock(7); end'");
    let alone = "-- devdb: transaction=false\nselect pg_advisory_lock(7), pg_advisory_unlock(7);\n";
    let slow = Stage::new().var("DATABASE_URL", &database.url()).file("db/migrations/1_slow.up.sql", alone);
    let next = Stage::new().var("DATABASE_URL", &database.url()).file("db/migrations/2_next.up.sql", "select 1;\n");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run(&slow, "to latest"));
        let waits =
            "select count(*) from pg_stat_activity where wait_event = 'advisory' and datname = current_database()";
        crate::support::postgres::until(&database, waits, "1");
        let second = scope.spawn(|| run(&next, "to latest"));
        let knocks = "select count(*) from pg_stat_activity where application_name like 'devdb/%' and datname = current_database()";
        crate::support::postgres::until(&database, knocks, "2");
        drop(gate);
        assert_eq!(first.join().unwrap(), "Up 1_slow");
        assert!(second.join().unwrap().contains("previously executed migration 1_slow is missing"));
    });
}
