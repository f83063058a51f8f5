//! Personal, shared, protected: what each writing verb of migrate asks for before it writes.

use crate::support::postgres::Database;
use devdb::testing::{Answer, Stage};

/// Words, and the ledger behind them where `1_a` was executed before.
const VERBS: [(&[&str], &str); 5] =
    [(&["to", "latest"], "1_a,2_b"), (&["to", "none"], ""), (&["up"], "1_a,2_b"), (&["down"], ""), (&["test"], "1_a")];

fn stage(database: &Database, kind: &str) -> Stage {
    let settings = format!(
        "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nkind = \"{kind}\"\n"
    );
    Stage::new()
        .file("devdb.toml", &settings)
        .file("db/migrations/1_a.sql", "-- migrate:up\ncreate table a ();\n-- migrate:down\ndrop table a;\n")
        .file("db/migrations/2_b.sql", "-- migrate:up\ncreate table b ();\n-- migrate:down\ndrop table b;\n")
        .var("DATABASE_URL", &database.url())
}

/// One of two migrations is executed, so that each verb has something to do.
fn to_the_middle(database: &Database) {
    let half = stage(database, "personal").run(["devdb", "migrate", "to", "1_a", "--from-env"]);
    assert_eq!((half.code, ledger(database).as_str()), (0, "1_a"), "{half}");
}

fn halfway() -> Database {
    let database = Database::create();
    to_the_middle(&database);
    database
}

fn ledger(database: &Database) -> String {
    database.sql("select string_agg(name, ',' order by timestamp) from kysely_migration")
}

#[test]
fn every_writing_verb_asks_for_the_name_of_a_protected_environment_and_of_no_other() {
    // The kind, what is added to the command line, and the exit code.
    let table: [(&str, &[&str], u8); 8] = [
        ("personal", &[], 0),
        ("shared", &[], 0),
        ("shared", &["--no-input"], 0),
        ("protected", &[], 4),
        ("protected", &["--yes"], 4),
        ("protected", &["--yes", "--confirm", "prod"], 4),
        ("protected", &["--confirm", "dev"], 0),
        ("protected", &["--no-input", "--confirm", "dev"], 0),
    ];
    for (verb, written) in VERBS {
        let database = halfway();
        for (kind, more, code) in table {
            let words = [&["devdb", "migrate"], verb, &["--from-env"], more].concat();
            let outcome = stage(&database, kind).run_all(&words);
            assert_eq!(outcome.code, code, "{kind} {words:?}: {outcome}");
            assert_eq!(ledger(&database), if code == 4 { "1_a" } else { written }, "{kind} {words:?}: {outcome}");
            if code == 4 {
                assert!(
                    outcome.stderr.contains("environment dev is protected, and its name was not given"),
                    "{outcome}"
                );
                assert!(outcome.stderr.contains("add `--confirm dev` if you mean it"), "{outcome}");
            } else {
                to_the_middle(&database);
            }
        }
    }
}

/// Words, and the ledger behind them where `1_a` and `3_c` were executed before `2_b` was there.
const MENDING: [(&[&str], &str); 3] =
    [(&["repair"], "1_a,2_b,3_c"), (&["sync"], "1_a,2_b,3_c"), (&["mark", "--unapplied", "3_c"], "1_a")];

#[test]
fn the_verbs_that_mend_the_ledger_ask_for_a_yes_and_in_a_protected_environment_for_its_name() {
    // The kind, what is added to the command line, and the exit code.
    let table: [(&str, &[&str], u8); 10] = [
        ("personal", &[], 1),
        ("personal", &["--no-input"], 1),
        ("personal", &["--yes"], 0),
        ("shared", &[], 1),
        ("shared", &["--yes"], 0),
        ("protected", &[], 4),
        ("protected", &["--yes"], 4),
        ("protected", &["--yes", "--confirm", "prod"], 4),
        ("protected", &["--confirm", "dev"], 0),
        ("protected", &["--no-input", "--confirm", "dev"], 0),
    ];
    let c = "-- migrate:up\ncreate table c ();\n-- migrate:down\ndrop table c;\n";
    let mixed_up = || {
        let database = halfway();
        let branch = stage(&database, "personal").file("db/migrations/3_c.sql", c);
        std::fs::remove_file(branch.project().join("db/migrations/2_b.sql")).unwrap();
        assert_eq!(branch.run(["devdb", "migrate", "to", "latest", "--from-env"]).code, 0);
        database
    };
    for (verb, written) in MENDING {
        let mut database = mixed_up();
        for (kind, more, code) in table {
            let follows = verb == ["sync"] && kind == "protected";
            let code = if follows { 4 } else { code };
            let words = [&["devdb", "migrate"], verb, &["--from-env"], more].concat();
            let outcome = stage(&database, kind).file("db/migrations/3_c.sql", c).run_all(&words);
            assert_eq!(outcome.code, code, "{kind} {words:?}: {outcome}");
            assert_eq!(ledger(&database), if code == 0 { written } else { "1_a,3_c" }, "{kind} {words:?}: {outcome}");
            match code {
                0 => database = mixed_up(),
                1 => assert!(outcome.stderr.contains("there is no terminal to ask at"), "{outcome}"),
                _ if follows => {
                    assert!(outcome.stderr.contains("is not made to follow a branch"), "{outcome}");
                }
                _ => assert!(outcome.stderr.contains("add `--confirm dev` if you mean it"), "{outcome}"),
            }
        }
    }
}

#[test]
fn a_pasted_address_is_no_way_around_the_question_and_the_typed_name_is_the_answer() {
    let database = halfway();
    let url = database.url();
    let refused = stage(&database, "protected").run(["devdb", "--yes", "migrate", "up", "--database-url", &url]);
    assert_eq!(refused.code, 4, "{refused}");
    for (typed, code) in [("prod", 4), ("dev", 0)] {
        let asked = stage(&database, "protected").terminal().var("TERM", "dumb");
        asked.prompter.script([Answer::Text(typed.to_owned())]);
        let outcome = asked.run(["devdb", "migrate", "up", "--from-env"]);
        assert_eq!(outcome.code, code, "{typed}: {outcome}");
    }
}

#[test]
fn reading_asks_for_nothing() {
    let database = halfway();
    for words in [["status"].as_slice(), &["plan"], &["lint"]] {
        let outcome = stage(&database, "protected").run_all(&[&["devdb", "migrate"], words, &["--from-env"]].concat());
        assert!(matches!(outcome.code, 0 | 3), "{outcome}");
    }
}
