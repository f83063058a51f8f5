//! A table that somebody else has locked: who that is, and who stands in front of whom.

use crate::support::postgres::{Database, until};
use devdb::testing::{Outcome, Stage};

const SECRET: &str = "hunter2";

fn migrate(database: &Database, words: &[&str]) -> Outcome {
    let stage = Stage::new()
        .var("DATABASE_URL", &database.url())
        .file("db/migrations/1_busy.up.sql", "create table made ();\nalter table busy add a int;\n");
    let outcome = stage.run_all(&[&["devdb", "migrate", "to", "latest", "--lock-timeout", "1"], words].concat());
    assert_eq!(outcome.code, 1, "{outcome}");
    assert_eq!(database.sql("select to_regclass('made') is null"), "t", "{outcome}");
    assert!(!format!("{outcome}").contains(SECRET), "{outcome}");
    outcome
}

#[test]
fn whoever_holds_a_table_is_shown_while_it_is_tried_again_and_whoever_waits_too() {
    let database = Database::create();
    database.sql("create table busy ()");
    let holder = database.open_transaction("lock table busy in row exclusive mode");
    let waiting = std::thread::scope(|scope| {
        let queue = scope.spawn(|| database.sql(&format!("alter table busy add b text default '{SECRET}'")));
        until(&database, "select count(*) from pg_locks where not granted and relation = 'busy'::regclass", "1");
        let document: serde_json::Value = serde_json::from_str(&migrate(&database, &["--json"]).stdout).unwrap();
        let shown = migrate(&database, &[]);
        drop(holder);
        queue.join().unwrap();
        (document, shown)
    });
    let (document, shown) = waiting;
    let blockers = document["error"]["blockers"].as_array().unwrap();
    let pid = |at: usize| blockers[at]["pid"].to_string();
    let mut text = shown.stderr.clone();
    for (at, blocker) in blockers.iter().enumerate() {
        text = text.replace(&pid(at), "[PID]").replace(blocker["since"].as_str().unwrap(), "[TIME]");
    }
    let spaceless = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
    // The first line names the database; what it is at now is told only to whoever waits long.
    let lines = text.lines().skip(1).filter(|line| !line.contains("migrating: "));
    insta::assert_snapshot!("locked", lines.map(spaceless).collect::<String>());
}
