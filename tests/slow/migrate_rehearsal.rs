//! `devdb migrate test`: up, down and up again on a database of its own, which is gone afterwards, however that ends.

use crate::support::postgres::{Database, until};
use devdb::testing::{Outcome, Stage};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| {
        let (up, down) = text.split_once("\n--\n").unwrap_or((text, ""));
        let stage = stage.file(&format!("db/migrations/{name}.up.sql"), up);
        if down.is_empty() { stage } else { stage.file(&format!("db/migrations/{name}.down.sql"), down) }
    })
}

/// Up and down of each, with a line of two dashes between them.
const GOOD: [(&str, &str); 4] = [
    ("1_users", "create table users (id int primary key, name text, mood text);\n--\ndrop table users;"),
    ("2_rows", "insert into users values (1, 'ada', 'ok');\n--\ndelete from users;"),
    ("3_index", "create index concurrently by_name on users (name);\n--\ndrop index concurrently by_name;"),
    // A column that comes back comes back last.
    (
        "4_name",
        "alter table users drop column name;\n--\nalter table users add name text; create index by_name on users (name);",
    ),
];

/// The scratch database that was told, and whether it is still there.
fn scratch(database: &Database, said: &str) -> (String, bool) {
    let name = said.split_whitespace().find(|word| word.starts_with("devdb_test_")).unwrap_or_else(|| panic!("{said}"));
    let count = database.sql(&format!("select count(*) from pg_database where datname = '{name}'"));
    (name.to_owned(), count == "1")
}

fn test(database: &Database, files: &[(&str, &str)]) -> Outcome {
    let outcome = stage(database, files).run(["devdb", "migrate", "test"]);
    assert!(!scratch(database, &outcome.stderr).1, "{outcome}");
    outcome
}

fn masked(outcome: &Outcome) -> String {
    let shown = outcome.to_string();
    let line = |line: &str| {
        if line.starts_with("database devdb_test_") { "database [SCRATCH]".to_owned() } else { line.to_owned() }
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn honest_migrations_pass_and_the_database_that_was_named_is_left_alone() {
    let database = Database::create();
    let outcome = test(&database, &GOOD);
    insta::assert_snapshot!(masked(&outcome));
    assert_eq!(database.sql("select count(*) from pg_class where relname in ('users', 'kysely_migration')"), "0");
}

#[test]
fn what_only_a_partition_has_and_what_no_dump_may_show_are_changes_of_the_schema() {
    let files = [
        (
            "1_parent",
            "create table p (id int) partition by range (id); create table p1 partition of p default; \
             create function f() returns trigger language plpgsql as 'begin return new; end'; \
             create trigger tg after insert on p for each row execute function f();\n--\n\
             drop table p; drop function f();",
        ),
        ("2_off", "alter table p1 disable trigger tg;\n--\nalter table p1 enable trigger tg;"),
        (
            "3_mapping",
            "create foreign data wrapper w; create server s foreign data wrapper w;\n--\ndrop foreign data wrapper w cascade;",
        ),
        (
            "4_password",
            "create user mapping for public server s options (password 'x');\n--\ndrop user mapping for public server s;",
        ),
        ("5_forgets", "alter table p1 enable always trigger tg;\n--\nselect 1;"),
    ];
    let outcome = test(&Database::create(), &files);
    assert!(outcome.stdout.contains("4 of 5 passed") && !outcome.stdout.contains("changes no schema"), "{outcome}");
    assert!(outcome.stdout.contains("ALTER TABLE public.p1 ENABLE ALWAYS TRIGGER tg;"), "{outcome}");
}

#[test]
fn each_way_to_be_dishonest_is_told_apart() {
    let database = Database::create();
    let files = [
        ("1_users", "create table users (id int);\n--\ndrop table users;"),
        ("2_no_down", "alter table users add a int;"),
        ("3_lazy", "alter table users add if not exists b int;\n--\nselect 1;"),
        (
            "4_half",
            "alter table users add c int; create index if not exists by_c on users (c);\n--\ndrop index by_c; alter table users drop column c; create table left_over ();",
        ),
    ];
    let outcome = test(&database, &files);
    insta::assert_snapshot!(masked(&outcome));
    let document: serde_json::Value = {
        let outcome = stage(&database, &files).run(["devdb", "--json", "migrate", "test", "3_lazy"]);
        assert_eq!(outcome.code, 3, "{outcome}");
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    assert_eq!(document["migrations"].as_array().unwrap().len(), 1);
    assert_eq!(document["migrations"][0]["verdict"], "not_undone");
    assert_eq!(document["migrations"][0]["difference"][0], "+ b integer -- CREATE TABLE public.users (");
}

#[test]
fn a_failure_is_shown_with_its_place_and_what_it_kept_from_being_tested() {
    let database = Database::create();
    let files = [
        ("1_users", "create table users (id int);\n--\ndrop table users;"),
        ("2_down", "alter table users add a int;\n--\nalter table users\n  drop column nope;"),
        ("3_again", "create table three (id int);\n--\nalter table three rename to four;"),
        ("4_never", "select 1;\n--\nselect 1;"),
    ];
    insta::assert_snapshot!(masked(&test(&database, &files)));
    let bad = [("1_bad", "create table a ();\nselect nope;\n--\nselect 1;"), ("2_never", "select 1;\n--\nselect 1;")];
    insta::assert_snapshot!("up_failed", masked(&test(&database, &bad)));
}

#[test]
fn a_ledger_with_names_of_its_own_is_no_part_of_the_schema() {
    let database = Database::create();
    let settings =
        "project = \"shop\"\n[migrations]\nschema = \"migrate\"\ntable = \"My Ledger\"\nlock_table = \"my_lock\"\n";
    let outcome = stage(&database, &GOOD).file("devdb.toml", settings).run(["devdb", "migrate", "test"]);
    assert!(outcome.code == 0 && outcome.stdout.ends_with("4 of 4 passed\n"), "{outcome}");
}

#[test]
fn whoever_may_not_create_databases_is_told_where_to_test_instead() {
    let database = Database::create();
    let poor = stage(&database, &GOOD).var("DATABASE_URL", &database.url_as("app"));
    let outcome = poor.run(["devdb", "migrate", "test"]);
    assert_eq!(outcome.code, 1, "{outcome}");
    for text in ["permission denied to create database", "alter role app createdb", "devdb migrate test --database-url"]
    {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

#[test]
fn ctrl_c_leaves_no_database_behind() {
    let database = Database::create();
    let stage = stage(&database, &[("1_slow", "create table a (); select pg_sleep(600);\n--\ndrop table a;")]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_devdb"))
        .args(["migrate", "test"])
        .current_dir(stage.project())
        .env_clear()
        .envs([("DATABASE_URL", database.url().as_str()), ("DEVDB_ALIAS", "ada")])
        .env("HOME", stage.home())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    let (name, is_there) = scratch(&database, &said);
    assert!(is_there, "{said}");
    until(
        &database,
        &format!("select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = '{name}'"),
        "1",
    );
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
    assert!(!scratch(&database, &said).1, "{said}");
}
