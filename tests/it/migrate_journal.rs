//! What devdb keeps beside Kysely's ledger, on a real PostgreSQL.

use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};
use std::process::Command;

const A: (&str, &str) = ("1_a.sql", "-- migrate:up\ncreate table a (id int);\n-- migrate:down\ndrop table a;\n");

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

#[track_caller]
fn done(outcome: &Outcome) {
    ends_with(outcome, 0);
}

#[track_caller]
fn ends_with(outcome: &Outcome, code: u8) {
    assert_eq!(outcome.code, code, "{outcome}");
}

#[test]
fn a_migration_leaves_what_it_takes_to_undo_it_without_its_files() {
    let database = Database::create();
    let stage = stage(&database, &[A, ("2_b.up.sql", "select 1;\n-- devdb: transaction=false\nvacuum a;")]);
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"]).args(args);
        let output = git.current_dir(stage.project()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "first"]);
    done(&stage.run(["devdb", "migrate", "to", "latest"]));
    let row = |columns: &str, name: &str| {
        database.sql(&format!("select {columns} from devdb_migration_journal where name = '{name}'"))
    };
    assert_eq!(row("up_sql || '|' || down_sql", "1_a"), "create table a (id int)|drop table a");
    assert_eq!(
        row("up_sql || '|' || (down_sql is null)", "2_b"),
        "-- devdb: transaction=false\nselect 1;\n-- devdb: transaction=false\nvacuum a|true"
    );
    assert_eq!(row("git_commit", "1_a"), git(&["rev-parse", "HEAD"]));
    assert_eq!(row("database_user || ' ' || (application_name ~ '^devdb/ada/[0-9a-f]{8}$')", "2_b"), "postgres true");
    assert_eq!(row("duration_ms between 0 and 60000", "1_a"), "t");
    assert_eq!(
        database.sql("select count(*) from devdb_migration_journal j join kysely_migration l on l.name = j.name and l.timestamp = j.executed_at"),
        "2"
    );
}

#[test]
fn what_is_undone_stays_in_the_journal_as_undone_until_it_runs_again() {
    let database = Database::create();
    let stage = stage(&database, &[A]);
    let state = || database.sql("select name || ' ' || (undone_at is not null) from devdb_migration_journal");
    done(&stage.run(["devdb", "migrate", "to", "latest"]));
    assert_eq!(state(), "1_a false");
    done(&stage.run(["devdb", "migrate", "down"]));
    assert_eq!(state(), "1_a true");
    done(&stage.run(["devdb", "migrate", "up"]));
    assert_eq!(state(), "1_a false");
    // A run that fails leaves nothing.
    let failing = stage.file("db/migrations/2_x.up.sql", "select 1/0");
    assert_eq!(failing.run(["devdb", "migrate", "to", "latest"]).code, 1);
    assert_eq!(state(), "1_a false");
}

#[test]
fn a_file_that_was_edited_after_it_was_executed_is_told_by_status() {
    let database = Database::create();
    let mut stage = stage(&database, &[A]);
    done(&stage.run(["devdb", "migrate", "to", "latest"]));
    stage = stage.file(
        "db/migrations/1_a.sql",
        "-- migrate:up\r\ncreate table a   (id int)  ; -- why\r\n-- migrate:down\r\nselect 1;",
    );
    let outcome = stage.run(["devdb", "migrate", "status"]);
    done(&outcome);
    assert!(!outcome.stderr.contains("edited"), "{outcome}");
    stage = stage.file("db/migrations/1_a.sql", "-- migrate:up\ncreate table a (id bigint);\n");
    let outcome = stage.run(["devdb", "migrate", "status"]);
    let warning = "warning: 1_a was edited after it was executed; the database has what it said before\n";
    assert!(outcome.stderr.contains(warning), "{outcome}");
    let document = stage.run(["devdb", "migrate", "status", "--json"]).stdout;
    assert!(document.contains("\"edited\":true") || document.contains("\"edited\": true"), "{document}");
    // Somebody without a journal has undone and run it since: what the journal says is of another time.
    database.sql("update kysely_migration set timestamp = '2030-01-01T00:00:00.000Z'");
    assert!(!stage.run(["devdb", "migrate", "status"]).stderr.contains("edited"));
}

#[test]
fn a_role_that_may_not_make_tables_beside_the_ledger_migrates_without_a_journal() {
    let database = Database::create();
    database.sql(
        "create schema ledger; create table ledger.kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null); \
         create schema own authorization app; grant usage on schema ledger to app; \
         grant select, insert, delete on ledger.kysely_migration to app",
    );
    let poor = stage(&database, &[("1_x.up.sql", "create table own.x ();"), ("1_x.down.sql", "drop table own.x;")])
        .file("devdb.toml", "project = \"shop\"\n[migrations]\nschema = \"ledger\"\n")
        .var("DATABASE_URL", &database.url_as("app"));
    let outcome = poor.run(["devdb", "migrate", "to", "latest"]);
    done(&outcome);
    assert!(outcome.stderr.contains("devdb_migration_journal cannot be written or made by this role"), "{outcome}");
    done(&poor.run(["devdb", "migrate", "down"]));
    ends_with(&poor.run(["devdb", "migrate", "status"]), 3);
    assert_eq!(database.sql("select count(*) from pg_tables where tablename like 'devdb%'"), "0");
    // A journal that is somebody else's is left alone too.
    let rich = stage(&database, &[("1_x.up.sql", "create table own.x ();")])
        .file("devdb.toml", "project = \"shop\"\n[migrations]\nschema = \"ledger\"\n");
    done(&rich.run(["devdb", "migrate", "to", "latest"]));
    assert_eq!(database.sql("select count(*) from ledger.devdb_migration_journal"), "1");
    done(&poor.run(["devdb", "migrate", "status"]));
    done(&poor.run(["devdb", "migrate", "down"]));
}

#[test]
fn the_schema_knows_nothing_of_the_side_tables() {
    let database = Database::create();
    let stage = stage(&database, &[A]);
    done(&stage.run(["devdb", "migrate", "to", "latest"]));
    database.sql("create table devdb_repair_log (at timestamptz)");
    for words in [vec!["schema"], vec!["schema", "--dump"], vec!["schema", "--diagram", "d.mmd"]] {
        let outcome = stage.run_all(&[&["devdb"], words.as_slice()].concat());
        done(&outcome);
        assert!(!outcome.stdout.contains("devdb_"), "{outcome}");
    }
    let drawn = std::fs::read_to_string(stage.project().join("d.mmd")).unwrap();
    assert!(!drawn.contains("devdb_"), "{drawn}");
}
