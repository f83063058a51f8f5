//! Every way to mix up a ledger, on a real PostgreSQL: each ends in a state that strict Kysely accepts, with the schema
//! of a database on which all files ran in their order; or in a refusal that changed nothing.

use crate::support::kysely::Kysely;
use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};
use std::fs;
use std::process::Command;

/// What the two migrations have to do with each other; the branch's ran first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interplay {
    Apart,
    /// The same columns, in another order.
    ColumnOrder,
    /// Main's says nothing any more where the branch's ran before.
    Conflict,
    /// The branch's fills the table that main's changes.
    Rows,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Downs {
    Both,
    MainOnly,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    /// `CREATE INDEX CONCURRENTLY`.
    Concurrently,
    /// `ALTER TYPE … ADD VALUE`.
    EnumValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    Gap,
    PartialDown,
    Reorder,
    Skew,
    Foreign,
    ForeignInGit,
    Renamed,
    Unknown,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) problem: Problem,
    pub(crate) interplay: Interplay,
    pub(crate) downs: Downs,
    pub(crate) form: Form,
}

const INTERPLAYS: [Interplay; 4] = [Interplay::Apart, Interplay::ColumnOrder, Interplay::Conflict, Interplay::Rows];
const DOWNS: [Downs; 3] = [Downs::Both, Downs::MainOnly, Downs::None];
const FORMS: [Form; 3] = [Form::Plain, Form::Concurrently, Form::EnumValue];
const KINDS: [&str; 3] = ["protected", "shared", "personal"];

impl Case {
    fn main(self) -> String {
        let up = match self.interplay {
            Interplay::Apart => "create table main (x int);",
            Interplay::ColumnOrder => "alter table t add column main int;",
            Interplay::Conflict => "alter table t add column main int;",
            Interplay::Rows => "alter table t add column main int default 1;",
        };
        let (more, undo) = match self.form {
            Form::Plain => ("", ""),
            Form::Concurrently => {
                ("create index concurrently main_idx on t (id);", "drop index concurrently main_idx;")
            }
            Form::EnumValue => ("alter type mood add value 'main';", ""),
        };
        let down = match self.interplay {
            Interplay::Apart => "drop table main;",
            _ => "alter table t drop column main;",
        };
        let down = if self.downs == Downs::None { String::new() } else { format!("-- migrate:down\n{undo}{down}\n") };
        format!("-- migrate:up\n{up}{more}\n{down}")
    }

    fn branch(self) -> String {
        let (up, down) = match self.interplay {
            Interplay::Apart => ("create table branch (x int);", "drop table branch;"),
            Interplay::ColumnOrder => ("alter table t add column branch int;", "alter table t drop column branch;"),
            Interplay::Conflict => ("alter table t rename to people;", "alter table people rename to t;"),
            Interplay::Rows => ("insert into t (id) values (7);", "delete from t where id = 7;"),
        };
        let down = if self.downs == Downs::Both { format!("-- migrate:down\n{down}\n") } else { String::new() };
        format!("-- migrate:up\n{up}\n{down}")
    }

    /// The strategy that is to be found, if any is.
    fn expected(self, kind: &str) -> Option<&'static str> {
        let may_replay = kind != "protected" && self.form != Form::Concurrently;
        let is_apart = self.interplay == Interplay::Apart;
        let (has_branch_down, has_main_down) = (self.downs == Downs::Both, self.downs != Downs::None);
        match self.problem {
            Problem::Gap | Problem::PartialDown => match self.form {
                Form::Plain if is_apart => Some("slide-in"),
                Form::Plain if may_replay && has_branch_down => Some("replay"),
                _ => None,
            },
            Problem::Reorder if is_apart => Some("re-stamp"),
            Problem::Reorder => (may_replay && has_branch_down && has_main_down).then_some("replay"),
            Problem::Skew | Problem::Renamed => Some("re-stamp"),
            Problem::Unknown => None,
            Problem::ForeignInGit if kind != "personal" => None,
            Problem::Foreign | Problem::ForeignInGit => {
                let is_known = is_apart && self.form == Form::Plain;
                match () {
                    () if !may_replay || !has_main_down => None,
                    () if is_known => Some("roll-back"),
                    () => has_branch_down.then_some("replay"),
                }
            }
        }
    }
}

/// A project, its database, and the folder's three migrations.
pub(crate) struct Project {
    pub(crate) stage: Stage,
    pub(crate) database: Database,
    case: Case,
}

impl Project {
    pub(crate) fn new(case: Case) -> Self {
        let database = Database::create();
        let stage = Stage::new().file(
            "db/migrations/1_base.sql",
            "-- migrate:up\ncreate table t (id int primary key); create type mood as enum ('ok');\n-- migrate:down\ndrop table t; drop type mood;\n",
        );
        Self { stage, database, case }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.stage.project().join(format!("db/migrations/{name}.sql")), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.stage.project().join(format!("db/migrations/{name}.sql"))).unwrap();
    }

    pub(crate) fn devdb(&self, kind: &str, words: &[&str]) -> Outcome {
        let settings = format!("project = \"shop\"\n[environment.dev]\nkind = \"{kind}\"\n");
        fs::write(self.stage.project().join("devdb.toml"), settings).unwrap();
        let url = self.database.url();
        let all = [&["devdb", "--yes", "--confirm", "dev", "migrate"], words, &["--database-url", &url]].concat();
        self.stage.run_all(&all)
    }

    #[track_caller]
    fn latest(&self) {
        let outcome = self.devdb("personal", &["to", "latest"]);
        assert_eq!(outcome.code, 0, "{:?} {outcome}", self.case);
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=eve", "-c", "user.email=eve@example.com", "-c", "init.defaultBranch=main"])
            .args(args);
        let output = git.current_dir(self.stage.project()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs and removes things until the ledger is what the case says.
    pub(crate) fn mix_up(&self) {
        let (main, branch) = (self.case.main(), self.case.branch());
        if self.case.problem == Problem::Gap {
            self.write("3_branch", &branch);
            self.latest();
            self.write("2_main", &main);
            return;
        }
        self.write("2_main", &main);
        self.write("3_branch", &branch);
        self.latest();
        let set_time = |name: &str, time: &str| {
            self.database.sql(&format!(
                "update kysely_migration set timestamp = '{time}' where name = '{name}'; \
                 update devdb_migration_journal set executed_at = '{time}' where name = '{name}'"
            ));
        };
        match self.case.problem {
            Problem::Gap => {}
            Problem::Reorder => set_time(
                "2_main",
                &self
                    .database
                    .sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"),
            ),
            Problem::Skew => set_time("2_main", "2099-01-01T00:00:00.000Z"),
            Problem::PartialDown => {
                // What Kysely does to a migration below one without a down part.
                let down = match self.case.interplay {
                    Interplay::Apart => "drop table main",
                    Interplay::Conflict => "alter table people drop column main",
                    _ => "alter table t drop column main",
                };
                self.database.sql(&format!("{down}; delete from kysely_migration where name = '2_main'"));
                if self.case.form == Form::Concurrently {
                    self.database.sql("drop index main_idx");
                }
            }
            Problem::Foreign => self.remove("2_main"),
            Problem::ForeignInGit => {
                self.git(&["init", "-q"]);
                self.git(&["switch", "-qc", "theirs"]);
                self.git(&["add", "db"]);
                self.git(&["commit", "-qm", "theirs"]);
                self.git(&["switch", "-qc", "mine"]);
                self.git(&["rm", "-q", "db/migrations/2_main.sql"]);
                self.git(&["commit", "-qm", "mine"]);
                self.database.sql("drop table devdb_migration_journal");
            }
            Problem::Renamed => {
                self.remove("2_main");
                self.write("2_other", &format!("-- renamed\n{main}"));
            }
            Problem::Unknown => {
                self.remove("2_main");
                self.database.sql("drop table devdb_migration_journal");
            }
        }
    }

    /// The schema of a database on which this folder's files ran in their order.
    fn fresh(&self) -> String {
        let fresh = Database::create();
        let url = fresh.url();
        let outcome =
            self.stage.run_all(&["devdb", "--confirm", "dev", "migrate", "to", "latest", "--database-url", &url]);
        assert_eq!(outcome.code, 0, "{:?} {outcome}", self.case);
        without_log(&fresh.pg_dump())
    }
}

/// The repair log is there only after a repair.
fn without_log(dump: &str) -> String {
    let sections = dump.split("\n--\n-- Name: ").filter(|section| !section.starts_with("devdb_"));
    sections.map(|section| section.trim_end().to_owned() + "\n").collect()
}

/// Takes a case through the kinds of environments, the strictest first, until one of them may repair it.
fn play(case: Case, mut kysely: Option<&mut Kysely>) {
    let project = Project::new(case);
    project.mix_up();
    for kind in KINDS {
        let about = format!("{case:?} in a {kind} environment");
        let before = project.database.pg_dump_with_rows();
        let check = project.devdb(kind, &["repair", "--check", "--accept-data-loss"]);
        let outcome = project.devdb(kind, &["repair", "--accept-data-loss", "--json"]);
        let Some(expected) = case.expected(kind) else {
            assert_eq!((check.code, outcome.code), (4, 4), "{about}: {check} {outcome}");
            assert!(outcome.stderr.contains("\"kind\""), "{about}: {outcome}");
            assert_eq!(project.database.pg_dump_with_rows(), before, "{about}");
            continue;
        };
        assert_eq!((check.code, outcome.code), (3, 0), "{about}: {check} {outcome}");
        let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(document["plan"]["strategy"], expected, "{about}: {outcome}");
        assert_eq!((&document["error"], &document["applied"]), (&serde_json::Value::Null, &true.into()), "{about}");
        if let Some(kysely) = kysely.as_mut().filter(|_| case.downs != Downs::MainOnly) {
            for version in ["0.28", "0.29"] {
                let folder = project.stage.project().join("db/migrations");
                kysely.ask(version, &project.database.url(), &folder, &["latest"], false);
                assert_eq!(kysely.answer().error, None, "{about}, Kysely {version}");
            }
        }
        project.latest();
        assert_eq!(project.devdb(kind, &["repair", "--check"]).code, 0, "{about}");
        assert_eq!(project.database.sql("select count(*) from devdb_repair_log"), "1", "{about}");
        // No down part takes a value out of a type.
        let is_left = case.problem == Problem::Foreign && case.form == Form::EnumValue;
        if !is_left && (case.problem != Problem::Reorder || expected == "re-stamp") {
            assert_eq!(without_log(&project.database.pg_dump()), project.fresh(), "{about}");
        }
        return;
    }
}

fn play_all(problem: Problem, forms: &[Form], with_kysely: bool) {
    let mut kysely = with_kysely.then(Kysely::start);
    for interplay in INTERPLAYS {
        for downs in DOWNS {
            // What the other forms change does not depend on the down parts.
            for form in forms.iter().filter(|form| **form == Form::Plain || downs == Downs::Both) {
                play(Case { problem, interplay, downs, form: *form }, kysely.as_mut());
            }
        }
    }
}

#[test]
fn a_branch_that_ran_before_main() {
    play_all(Problem::Gap, &FORMS, true);
}

#[test]
fn a_migration_without_a_down_part_that_stayed_behind() {
    play_all(Problem::PartialDown, &[Form::Plain], false);
}

#[test]
fn a_row_of_another_branch_with_a_journal() {
    play_all(Problem::Foreign, &FORMS, false);
}

#[test]
fn a_row_of_another_branch_that_only_git_knows() {
    play_all(Problem::ForeignInGit, &[Form::Plain], false);
}

#[test]
fn an_order_that_is_not_that_of_the_files() {
    for downs in DOWNS {
        // In these, nothing depends on which of the two really ran first.
        for interplay in [Interplay::Apart, Interplay::ColumnOrder, Interplay::Rows] {
            play(Case { problem: Problem::Reorder, interplay, downs, form: Form::Plain }, None);
        }
    }
}

#[test]
fn a_clock_that_was_ahead_a_file_that_was_renamed_and_a_row_that_nobody_knows() {
    let mut kysely = Kysely::start();
    for problem in [Problem::Skew, Problem::Renamed, Problem::Unknown] {
        for form in FORMS {
            play(Case { problem, interplay: Interplay::Conflict, downs: Downs::None, form }, Some(&mut kysely));
        }
    }
}

#[test]
fn names_of_the_same_time_and_times_that_nobody_can_read() {
    let mut kysely = Kysely::start();
    let case = Case { problem: Problem::Skew, interplay: Interplay::Apart, downs: Downs::None, form: Form::Plain };
    for sql in [
        "update kysely_migration set timestamp = '2026-01-01T00:00:00.000Z'",
        "update kysely_migration set timestamp = 'yesterday' where name = 'a_x'",
        "update kysely_migration set timestamp = '' where name = 'B_x'",
    ] {
        let project = Project::new(case);
        project.remove("1_base");
        for name in ["B_x", "a_x", "b_x"] {
            project.write(name, &format!("-- migrate:up\ncreate table \"{name}\" ();\n"));
        }
        project.latest();
        project.database.sql(sql);
        let outcome = project.devdb("protected", &["repair"]);
        assert_eq!(outcome.code, 0, "{sql}: {outcome}");
        for version in crate::support::kysely::VERSIONS {
            let folder = project.stage.project().join("db/migrations");
            kysely.ask(version, &project.database.url(), &folder, &["latest"], false);
            let answer = kysely.answer();
            assert_eq!((answer.error, answer.results), (None, Vec::new()), "{sql}, Kysely {version}");
        }
    }
}
