//! A repair as somebody sees it, and what happens to it in between: a failure, another hand, a lost connection.

use crate::repair_cases::{Case, Downs, Form, Interplay, Problem, Project};
use crate::support::postgres::{cluster, until};
use crate::support::relay::Relay;
use crate::support::terminal::Terminal;
use devdb::migrate::{Opened, RepairOrder, RepairRecord};
use std::collections::BTreeSet;
use std::process::{Command, Output};

fn mixed_up(problem: Problem, interplay: Interplay) -> Project {
    let project = Project::new(Case { problem, interplay, downs: Downs::Both, form: Form::Plain });
    project.mix_up();
    project
}

/// The real program, in a personal environment.
fn real(project: &Project, port: u16, words: &[&str]) -> Command {
    let settings = "project = \"shop\"\n[environment.dev]\nkind = \"personal\"\n";
    std::fs::write(project.stage.project().join("devdb.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
    command.arg("migrate").args(words).arg("--from-env").env_clear().env("HOME", project.stage.project());
    command.env("PATH", "/usr/bin:/bin").env("DEVDB_ALIAS", "ada").env("DATABASE_URL", project.database.url_at(port));
    command.env("DEVDB_TRUSTED_CONFIG", project.stage.project().join("devdb.toml"));
    command.current_dir(project.stage.project());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout))
}

#[test]
fn a_failure_in_the_middle_changes_nothing() {
    let case = Case { problem: Problem::Gap, interplay: Interplay::Conflict, downs: Downs::Both, form: Form::Plain };
    let project = Project::new(case);
    project.mix_up();
    // What the branch's file says now fails when it runs again.
    project.write("2_main", "-- migrate:up\nalter table t add column main int;\nselect 1/0;\n");
    let before = project.database.pg_dump_with_rows();
    let outcome = project.devdb("personal", &["repair"]);
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(outcome.stderr.contains("migration 2_main failed (up); nothing was changed"), "{outcome}");
    assert!(outcome.stderr.contains("2_main.sql:3:1: division by zero"), "{outcome}");
    let shown = "  3_branch  Down  Success, rolled back\n  2_main    Up    Error\n  3_branch  Up    NotExecuted\n";
    assert_eq!(outcome.stdout, shown, "{outcome}");
    assert_eq!(project.database.pg_dump_with_rows(), before);
}

#[test]
fn rows_that_would_be_lost_are_told_and_have_to_be_agreed_to() {
    let case = Case { problem: Problem::Foreign, interplay: Interplay::Apart, downs: Downs::Both, form: Form::Plain };
    let project = Project::new(case);
    project.mix_up();
    project.database.sql("insert into main values (1)");
    let before = project.database.pg_dump_with_rows();
    let refused = project.devdb("personal", &["repair"]);
    assert_eq!(refused.code, 4, "{refused}");
    assert!(refused.stderr.contains("undoing 2_main takes away the rows of main"), "{refused}");
    assert!(refused.stderr.contains("`devdb migrate repair --accept-data-loss`"), "{refused}");
    assert_eq!(project.database.pg_dump_with_rows(), before);
    project.database.sql("truncate main");
    assert_eq!(project.devdb("personal", &["repair"]).code, 0);
}

#[test]
fn a_ledger_that_another_hand_changes_while_the_question_is_on_the_screen_is_left_alone() {
    for other_hand in [
        "update kysely_migration set timestamp = '2020-01-01T00:00:00.000Z' where name = '3_branch'",
        "delete from kysely_migration where name = '3_branch'",
        "insert into kysely_migration values ('4_new', '2090-01-01T00:00:00.000Z')",
    ] {
        let project = mixed_up(Problem::Gap, Interplay::Apart);
        let mut terminal = Terminal::open(&real(&project, cluster().port, &[]));
        terminal.types(&format!("'{}' migrate repair --from-env; echo code $?\r", env!("CARGO_BIN_EXE_devdb")));
        terminal.shows("apply this?");
        project.database.sql(other_hand);
        let before = project.database.pg_dump_with_rows();
        terminal.types("y\r");
        terminal.shows("the ledger has changed since the plan was made; nothing was changed");
        terminal.shows("code 1");
        assert_eq!(project.database.pg_dump_with_rows(), before, "{other_hand}");
        terminal.close();
    }
}

/// A hand in psql takes no lock of Kysely's; the table's own lock is what stops it.
#[test]
fn a_ledger_that_changes_behind_the_lock_is_noticed_by_the_server() {
    // A stage brings a runtime of its own.
    let project = mixed_up(Problem::Gap, Interplay::Apart);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(is_noticed(&project));
}

async fn is_noticed(project: &Project) {
    let mut session = project.database.session().await;
    let Opened::Locked(Some(rows)) = session.open(false).await.unwrap() else { panic!("the lock is free") };
    project.database.sql("delete from kysely_migration where name = '3_branch'");
    let before = project.database.pg_dump_with_rows();
    let record = RepairRecord { verb: "repair", plan: "null".to_owned(), git_commit: None };
    let order = RepairOrder { before: &rows, parts: Vec::new(), after: None, record };
    let failure = session.repair(&order, &mut |_| ()).await.unwrap_err();
    assert_eq!(failure.error.code(), Some("55000"), "{failure:?}");
    assert!(failure.error.to_string().contains("the ledger has changed since the plan was made"), "{failure:?}");
    assert_eq!(project.database.pg_dump_with_rows(), before);
}

#[test]
fn a_commit_whose_answer_was_lost_is_told_as_it_really_ended() {
    for (problem, interplay, strategy) in [
        (Problem::Gap, Interplay::Apart, "slide-in"),
        (Problem::Gap, Interplay::Conflict, "replay"),
        (Problem::Reorder, Interplay::Apart, "re-stamp"),
        (Problem::Foreign, Interplay::Apart, "roll-back"),
        (Problem::Renamed, Interplay::Conflict, "re-stamp"),
    ] {
        for delivered in [true, false] {
            let about = format!("{problem:?}, {strategy}, delivered: {delivered}");
            let project = mixed_up(problem, interplay);
            let before = project.database.pg_dump_with_rows();
            let relay = Relay::to(cluster().port);
            relay.cut_at("in share row exclusive mode", delivered);
            let output = real(&project, relay.port, &["repair", "--yes", "--json"]).output().unwrap();
            let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(document["plan"]["strategy"], strategy, "{about}: {}", said(&output));
            assert!(said(&output).contains("asking the database what was committed"), "{about}: {}", said(&output));
            let check = || project.devdb("personal", &["repair", "--check"]).code;
            if delivered {
                assert_eq!((output.status.code(), &document["applied"]), (Some(0), &true.into()), "{about}");
                let results = document["results"].as_array().unwrap();
                assert!(results.iter().all(|result| result["status"] == "Success"), "{about}: {document}");
                assert_eq!((check(), project.database.sql("select count(*) from devdb_repair_log").as_str()), (0, "1"));
                continue;
            }
            assert_eq!((output.status.code(), &document["applied"]), (Some(1), &false.into()), "{about}");
            assert!(said(&output).contains("the connection was lost; nothing was changed"), "{}", said(&output));
            assert_eq!(project.database.pg_dump_with_rows(), before, "{about}");
            assert_eq!(project.devdb("personal", &["repair"]).code, 0, "{about}");
            assert_eq!(check(), 0, "{about}");
        }
    }
}

/// Holds the transaction in its COMMIT, where deferred triggers run.
const HELD: &str = "-- migrate:up\ncreate function hold() returns trigger language plpgsql as \
     $$ begin perform pg_sleep(600); return null; end $$;\ncreate constraint trigger hold after insert on kysely_migration \
     deferrable initially deferred for each row execute function hold();\n";
const IN_COMMIT: &str = "from pg_stat_activity where query = 'commit' and wait_event = 'PgSleep' \
     and datname = current_database()";

#[test]
fn a_session_that_is_ended_in_its_commit_has_repaired_nothing() {
    let project = mixed_up(Problem::Gap, Interplay::Apart);
    project.write("2_main", HELD);
    let before = project.database.pg_dump_with_rows();
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| real(&project, cluster().port, &["repair", "--yes"]).output().unwrap());
        until(&project.database, &format!("select count(*) {IN_COMMIT}"), "1");
        project.database.sql(&format!("select pg_terminate_backend(pid) {IN_COMMIT}"));
        running.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the connection was lost; nothing was changed"), "{}", said(&output));
    assert_eq!(project.database.pg_dump_with_rows(), before);
}

#[test]
fn a_plan_that_was_reviewed_is_applied_only_while_it_is_the_same() {
    let project = mixed_up(Problem::Gap, Interplay::Apart);
    let id = |words: &[&str]| {
        let outcome = project.devdb("personal", &[&["repair", "--dry-run", "--json"], words].concat());
        let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        document["plan"]["id"].as_str().unwrap().to_owned()
    };
    let reviewed = id(&[]);
    assert_eq!((reviewed.len(), &id(&[])), (8, &reviewed));
    let replay = id(&["--strategy", "replay"]);
    let before = project.database.pg_dump_with_rows();
    let refused = |id: &str| {
        let outcome = project.devdb("personal", &["repair", "--plan", id]);
        assert_eq!(outcome.code, 4, "{outcome}");
        assert!(outcome.stderr.contains(&format!("not {id}; nothing was changed")), "{outcome}");
        assert_eq!(project.database.pg_dump_with_rows(), before);
    };
    refused(&replay);
    project.write("2_main", "-- migrate:up\ncreate table main (y int);\n");
    refused(&reviewed);
    let edited = id(&[]);
    assert_ne!(edited, reviewed);
    assert_eq!(project.devdb("personal", &["repair", "--plan", &edited]).code, 0);
    assert_eq!(project.devdb("personal", &["repair", "--plan", &edited]).stdout, "nothing to repair\n");
}

#[test]
fn a_repair_takes_the_round_trips_that_its_plan_names() {
    let project = mixed_up(Problem::Gap, Interplay::Apart);
    let relay = Relay::to(cluster().port);
    let output = real(&project, relay.port, &["repair", "--yes", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["applied"], true, "{}", said(&output));
    // Connecting without TLS and with scram, then ledger, journal and catalog.
    const BEFORE: u64 = 3 + 3;
    let taken = relay.take_round_trips() as u64;
    assert_eq!(document["plan"]["round_trips"].as_u64().map(|trips| trips + BEFORE), Some(taken));
}

/// Without what no two runs share: times, commits and the plan's id.
fn steady(text: &str) -> String {
    let is_digit = |letter: char| letter.is_ascii_hexdigit();
    let steady = |word: &str| match word.trim_end_matches(';') {
        time if time.len() == 24 && time.starts_with("20") && time.ends_with('Z') => "[TIME]".to_owned(),
        hash if matches!(hash.len(), 7 | 8) && hash.chars().all(is_digit) => "[HASH]".to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(steady).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(line).collect()
}

#[test]
fn a_plan_tells_who_and_when_what_it_locks_and_why_it_is_this_way() {
    let project = Project::new(Case {
        problem: Problem::Gap,
        interplay: Interplay::ColumnOrder,
        downs: Downs::Both,
        form: Form::Plain,
    });
    project.git(&["init", "-q"]);
    project.mix_up();
    project.git(&["add", "db"]);
    project.git(&["commit", "-qm", "all"]);
    project.database.sql("insert into t select generate_series(1, 12000)");
    project.database.sql("analyze t");
    let replay = project.devdb("personal", &["repair", "--dry-run"]);
    insta::assert_snapshot!("repair_plan_told", steady(&replay.stdout));
    let document = project.devdb("personal", &["repair", "--dry-run", "--json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let plan = &document["plan"];
    assert_eq!(
        plan["steps"][0]["locks"][0],
        serde_json::json!({"lock": "access_exclusive", "relation": "t", "rows": 12000})
    );
    assert_eq!(plan["migrations"][1]["executed_by"], "ada", "{plan}");
    assert_eq!(plan["instead"][0], "the order of 2_main and 3_branch matters: both have to do with t", "{plan}");
}

#[test]
fn what_is_shown_and_asked() {
    let case = Case { problem: Problem::Gap, interplay: Interplay::Apart, downs: Downs::Both, form: Form::Plain };
    let project = Project::new(case);
    project.mix_up();
    let shown = |words: &[&str]| {
        let outcome = project.devdb("shared", words);
        assert_eq!(outcome.code, 0, "{outcome}");
        steady(&outcome.stdout)
    };
    insta::assert_snapshot!("repair_plan_slide_in", shown(&["repair", "--dry-run"]));
    insta::assert_snapshot!("repair_plan_replay", shown(&["repair", "--dry-run", "--strategy", "replay"]));
    insta::assert_snapshot!("repair_sql", shown(&["repair", "--sql", "--strategy", "replay"]));
    let refused = project.devdb("protected", &["repair", "--strategy", "replay"]);
    insta::assert_snapshot!("repair_refused", refused.stderr.split_once('\n').unwrap().1);
    assert_eq!(shown(&["repair"]), "  2_main  Up  Success\nthe ledger is in order\n");
    assert_eq!(shown(&["repair"]), "nothing to repair\n");
    let names: BTreeSet<String> = project
        .database
        .sql("select jsonb_path_query(rows_before, '$[*].name') #>> '{}' from devdb_repair_log")
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["1_base", "3_branch"]);
}
