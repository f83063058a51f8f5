//! `migrate sync` and `migrate mark`, on a real PostgreSQL.

use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};
use std::process::Command;

struct Project {
    stage: Stage,
    database: Database,
}

impl Project {
    fn new(kind: &str) -> Self {
        let settings = format!("project = \"shop\"\n[environment.dev]\nkind = \"{kind}\"\n");
        let project = Self { stage: Stage::new().file("devdb.toml", &settings), database: Database::create() };
        project.git(&["init", "-q"]);
        project.commit("main", "1_a", "create table a (id int);\n-- migrate:down\ndrop table a;");
        project
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"])
            .args(args);
        let output = git.current_dir(self.stage.project()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    fn commit(&self, branch: &str, name: &str, sql: &str) {
        let file = self.stage.project().join(format!("db/migrations/{name}.sql"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("-- migrate:up\n{sql}\n")).unwrap();
        self.git(&["add", "db"]);
        self.git(&["commit", "-qm", branch]);
    }

    fn devdb(&self, words: &[&str]) -> Outcome {
        let url = self.database.url();
        self.stage
            .run_all(&[&["devdb", "--yes", "--confirm", "dev", "migrate"], words, &["--database-url", &url]].concat())
    }

    fn ledger(&self) -> String {
        self.database.sql("select coalesce(string_agg(name, ',' order by timestamp), '') from kysely_migration")
    }

    fn tables(&self) -> String {
        self.database.sql("select string_agg(tablename, ',' order by tablename) from pg_tables where schemaname = 'public' and tablename !~ '_'")
    }
}

#[track_caller]
fn ends_with(outcome: &Outcome, code: u8) {
    assert_eq!(outcome.code, code, "{outcome}");
}

#[test]
fn the_database_follows_the_branch_that_is_checked_out_and_back() {
    let project = Project::new("personal");
    project.git(&["switch", "-qc", "flags"]);
    project.commit("flags", "3_flags", "create table flags (id int);\n-- migrate:down\ndrop table flags;");
    ends_with(&project.devdb(&["to", "latest"]), 0);
    project.git(&["switch", "-q", "main"]);
    project.commit("main", "2_main", "create table main (id int);\n-- migrate:down\ndrop table main;");
    let outcome = project.devdb(&["sync"]);
    ends_with(&outcome, 0);
    let shown = "  3_flags  Down  Success\n  2_main   Up    Success\n1 migration undone, 1 migration done\n";
    assert_eq!(outcome.stdout, shown, "{outcome}");
    assert_eq!((project.ledger().as_str(), project.tables().as_str()), ("1_a,2_main", "a,main"));
    project.git(&["switch", "-q", "flags"]);
    let document: serde_json::Value = serde_json::from_str(&project.devdb(&["sync", "--json"]).stdout).unwrap();
    let results = document["results"].as_array().unwrap();
    let told: Vec<_> = results.iter().map(|one| format!("{} {}", one["migrationName"], one["direction"])).collect();
    assert_eq!(told, ["\"2_main\" \"Down\"", "\"3_flags\" \"Up\""]);
    assert_eq!((&document["error"], project.tables().as_str()), (&serde_json::Value::Null, "a,flags"));
    assert_eq!(project.devdb(&["sync"]).stdout, "nothing to do\n");
}

#[test]
fn rows_in_what_would_go_stop_it_until_they_are_agreed_to() {
    let project = Project::new("personal");
    project.git(&["switch", "-qc", "flags"]);
    project.commit("flags", "3_flags", "create table flags (id int);\n-- migrate:down\ndrop table flags;");
    ends_with(&project.devdb(&["to", "latest"]), 0);
    project.database.sql("insert into flags values (1)");
    project.git(&["switch", "-q", "main"]);
    let refused = project.devdb(&["sync"]);
    ends_with(&refused, 4);
    assert!(refused.stderr.contains("`devdb migrate sync --accept-data-loss`"), "{refused}");
    ends_with(&project.devdb(&["sync", "--accept-data-loss"]), 0);
    assert_eq!(project.tables(), "a");
}

#[test]
fn a_protected_environment_follows_nobody_and_a_shared_one_keeps_what_others_ran() {
    let protected = Project::new("protected");
    ends_with(&protected.devdb(&["sync"]), 4);
    keeps_what_others_ran(&Project::new("shared"));
    let Project { stage, database } = Project::new("personal");
    // What only a file that is not trusted calls personal is shared.
    keeps_what_others_ran(&Project { stage: stage.var("DEVDB_TRUSTED_CONFIG", ""), database });
}

#[track_caller]
fn keeps_what_others_ran(shared: &Project) {
    shared.git(&["switch", "-qc", "flags"]);
    shared.commit("flags", "3_flags", "create table flags (id int);\n-- migrate:down\ndrop table flags;");
    ends_with(&shared.devdb(&["to", "latest"]), 0);
    shared.git(&["switch", "-q", "main"]);
    shared.database.sql("update devdb_migration_journal set application_name = 'devdb/bob/1' where name = '3_flags'");
    let refused = shared.devdb(&["sync"]);
    ends_with(&refused, 4);
    assert!(
        refused.stderr.contains("3_flags would have to be undone, and the journal does not say that you ran it"),
        "{refused}"
    );
    shared.database.sql("update devdb_migration_journal set application_name = 'devdb/ada/1' where name = '3_flags'");
    ends_with(&shared.devdb(&["sync"]), 0);
    assert_eq!(shared.ledger(), "1_a");
}

#[test]
fn a_logins_name_proves_nobody_where_no_environment_tells_an_alias() {
    let database = Database::create();
    let on_branch = |files: &[&str], alias: &str| {
        let stage = Stage::new().var("DATABASE_URL", &database.url()).var("USER", "ubuntu").var("DEVDB_ALIAS", alias);
        files.iter().fold(stage, |stage, name| {
            let text = format!("-- migrate:up\ncreate table {name} ();\n-- migrate:down\ndrop table {name};\n");
            stage.file(&format!("db/migrations/{name}.sql"), &text)
        })
    };
    ends_with(&on_branch(&["a1", "b2"], "").run(["devdb", "migrate", "to", "latest"]), 0);
    let refused = on_branch(&["a1"], "").run(["devdb", "--yes", "migrate", "sync"]);
    ends_with(&refused, 4);
    assert!(refused.stderr.contains("known there by your alias, or DEVDB_ALIAS"), "{refused}");
    assert_eq!(database.sql("select to_regclass('b2')"), "b2");
    ends_with(&on_branch(&["a1", "b2"], "ada").run(["devdb", "migrate", "down"]), 0);
    ends_with(&on_branch(&["a1", "b2"], "ada").run(["devdb", "migrate", "up"]), 0);
    ends_with(&on_branch(&["a1"], "ada").run(["devdb", "--yes", "migrate", "sync"]), 0);
    assert_eq!(database.sql("select to_regclass('b2')"), "");
}

#[test]
fn a_mark_changes_the_ledger_alone_and_never_into_disorder() {
    let project = Project::new("shared");
    project.commit("main", "2_b", "create table b (id int);\n-- migrate:down\ndrop table b;");
    project.commit("main", "3_c", "create table c (id int);");
    ends_with(&project.devdb(&["mark"]), 2);
    let refused = project.devdb(&["mark", "--applied", "2_b"]);
    ends_with(&refused, 1);
    assert!(refused.stderr.contains("corrupted migrations: expected previously executed migration 2_b"), "{refused}");
    let outcome = project.devdb(&["mark", "--applied", "2_b", "--applied", "1_a"]);
    ends_with(&outcome, 0);
    assert_eq!(outcome.stdout, "1_a is marked as applied\n2_b is marked as applied\n", "{outcome}");
    assert_eq!(project.ledger(), "1_a,2_b");
    assert_eq!(project.database.sql("select count(*) from pg_tables where tablename in ('a', 'b')"), "0");
    assert_eq!(project.devdb(&["mark", "--applied", "1_a"]).stdout, "the ledger says so already\n");
    ends_with(&project.devdb(&["mark", "--unapplied", "1_a"]), 1);
    ends_with(&project.devdb(&["mark", "--unapplied", "2_b"]), 0);
    assert_eq!(project.ledger(), "1_a");
    let unknown = project.devdb(&["mark", "--applied", "nope"]);
    assert!(unknown.stderr.contains("error: migration \"nope\" doesn't exist"), "{unknown}");
    // A row that nobody knows is what it is for.
    project.database.sql("insert into kysely_migration values ('0_old', '2020-01-01T00:00:00.000Z')");
    ends_with(&project.devdb(&["repair"]), 4);
    ends_with(&project.devdb(&["mark", "--unapplied", "0_old"]), 0);
    ends_with(&project.devdb(&["repair", "--check"]), 0);
}
