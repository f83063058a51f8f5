//! `devdb migrate lint`: what squawk finds, without what devdb sees to itself.

use crate::support::postgres::Database;
use devdb::testing::Stage;

const USERS: (&str, &str) =
    ("1_users.up.sql", "create table users (id bigint generated always as identity primary key);\n");
/// The part, a comment with a letter of two bytes, and a column to point at.
const AGE: (&str, &str) = (
    "2_age.sql",
    "-- migrate:up\n-- für alle\nalter table users add age bigint;  alter table users alter column age set not null;\n\
     -- migrate:down\nalter table users drop column age;\n",
);
const INDEX: (&str, &str) = ("3_index.up.sql", "create index concurrently if not exists by_age on users (age);\n");

fn stage() -> Stage {
    [USERS, AGE, INDEX]
        .iter()
        .fold(Stage::new(), |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

#[test]
fn findings_come_with_their_place_their_rule_and_what_to_do() {
    let outcome = stage().run(["devdb", "migrate", "lint", "--all"]);
    insta::assert_snapshot!(outcome);
    let json = stage().run(["devdb", "--json", "migrate", "lint", "--all"]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let found = &document["findings"][0];
    assert_eq!((json.code, &found["line"], &found["column"]), (3, &3.into(), &71.into()), "{json}");
    assert_eq!((&found["migration"], &found["code"]), (&"2_age".into(), &"adding-not-nullable-field".into()), "{json}");
}

#[test]
fn timeouts_transactions_and_down_parts_are_nobodys_finding() {
    let quiet = stage().run(["devdb", "migrate", "lint", "1_users", "3_index"]);
    assert_eq!((quiet.stdout.as_str(), quiet.code), ("nothing found in 2 migrations\n", 0), "{quiet}");
    // Outside of a transaction what ran stays, and the next run meets it again.
    let alone =
        stage().file("db/migrations/4_alone.up.sql", "-- devdb: transaction=false\nalter table users add x text;\n");
    let found = alone.run(["devdb", "migrate", "lint", "4_alone"]);
    assert!(found.stdout.contains("4_alone.up.sql:2:19: prefer-robust-stmts"), "{found}");
}

#[test]
fn a_rule_is_left_out_by_a_flag_and_a_finding_by_a_comment() {
    let by_flag = stage().run(["devdb", "migrate", "lint", "--all", "--exclude", "adding-not-nullable-field"]);
    assert_eq!(by_flag.code, 0, "{by_flag}");
    let unknown = stage().run(["devdb", "migrate", "lint", "--all", "--exclude", "nope"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("error: there is no rule `nope`"), "{unknown}");
    let text = "-- squawk-ignore ban-drop-column\nalter table users drop column age;\n";
    let accepted = stage().file("db/migrations/4_drop.up.sql", text).run(["devdb", "migrate", "lint", "4_drop"]);
    assert_eq!(accepted.code, 0, "{accepted}");
}

#[test]
fn with_a_database_only_what_is_pending_is_looked_at() {
    let database = Database::create();
    let stage = stage().var("DATABASE_URL", &database.url());
    let pending = stage.run(["devdb", "migrate", "lint"]);
    assert!(pending.code == 3 && pending.stdout.ends_with("1 finding in 3 migrations\n"), "{pending}");
    assert_eq!(database.sql("select to_regclass('kysely_migration') is null"), "t", "nothing is written");
    assert_eq!(stage.run(["devdb", "migrate", "to", "2_age"]).code, 0);
    let rest = stage.run(["devdb", "migrate", "lint"]);
    assert_eq!((rest.stdout.as_str(), rest.code), ("nothing found in 1 migration\n", 0), "{rest}");
}

#[test]
fn without_a_database_the_ways_that_need_none_are_said() {
    let outcome = stage().run(["devdb", "migrate", "lint"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("hint: `devdb migrate lint --all`"), "{outcome}");
    let unknown = stage().run(["devdb", "migrate", "lint", "9_none"]);
    assert!(unknown.stderr.contains("error: migration \"9_none\" doesn't exist"), "{unknown}");
}
