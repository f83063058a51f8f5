//! devdb and real Kysely from npm on one database: neither can tell that the other was there.

use crate::support::dice::{Dice, seeds};
use crate::support::kysely::{Answer, Kysely, VERSIONS};
use crate::support::postgres::Database;
use devdb::testing::Stage;
use std::fmt;
use std::fs;
use std::path::PathBuf;

fn name(dice: &mut Dice) -> String {
    format!("m{:02}", dice.roll(10))
}

enum Step {
    Add(String),
    Remove(String),
    Run { verb: &'static str, name: String, unordered: bool },
}

impl Step {
    fn random(dice: &mut Dice) -> Self {
        match dice.roll(9) {
            0 | 1 => Self::Add(name(dice)),
            2 => Self::Remove(name(dice)),
            at => {
                let verb = ["latest", "latest", "up", "down", "to", "none"][at - 3];
                Self::Run { verb, name: name(dice), unordered: dice.roll(3) == 0 }
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(name) => write!(f, "add {name}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Run { verb, name, unordered } => write!(f, "{verb} {name} unordered={unordered}"),
        }
    }
}

/// A project with a folder of migrations, and the database that everybody works on.
struct Team {
    stage: Stage,
    database: Database,
    kysely: Kysely,
}

impl Team {
    fn new() -> Self {
        let database = Database::create();
        let stage = Stage::new().var("DATABASE_URL", &database.url());
        let team = Self { stage, database, kysely: Kysely::start() };
        fs::create_dir_all(team.folder()).unwrap();
        team
    }

    fn folder(&self) -> PathBuf {
        self.stage.project().join("db/migrations")
    }

    fn add(&self, name: &str) {
        // One of them fails.
        let up = if name == "m07" { "select 1 / 0;".to_owned() } else { format!("create table \"{name}\" ();") };
        self.add_sql(name, &format!("{up}\n-- migrate:down\ndrop table \"{name}\";"));
    }

    fn add_sql(&self, name: &str, up: &str) {
        fs::write(self.folder().join(format!("{name}.sql")), format!("-- migrate:up\n{up}\n")).unwrap();
    }

    fn devdb(&self, words: &[&str], unordered: bool) -> Answer {
        let settings = format!("project = \"shop\"\n[migrations]\nallow_unordered = {unordered}\n");
        fs::write(self.stage.project().join("devdb.toml"), settings).unwrap();
        let words: &[&str] = match words {
            ["latest" | "none"] => &["to", words[0]],
            other => other,
        };
        let outcome = self.stage.run_all(&[&["devdb", "--json", "--yes", "migrate"], words].concat());
        let document = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}"));
        Answer::from_json(&document)
    }

    fn kysely(&mut self, version: &str, url: &str, words: &[&str], unordered: bool) -> Answer {
        let folder = self.folder();
        self.kysely.ask(version, url, &folder, words, unordered);
        self.kysely.answer()
    }
}

/// What was executed, in order of time, and what stands.
fn state(database: &Database) -> String {
    database.sql(
        "select coalesce(case when to_regclass('kysely_migration') is not null then (xpath('/row/names/text()', query_to_xml( \
         'select string_agg(name, '','' order by timestamp, name) as names from kysely_migration', false, true, '')))[1]::text end, '') \
         || ' | ' || coalesce((select string_agg(tablename, ',' order by tablename) from pg_tables where tablename ~ '^m\\d\\d$'), '')",
    )
}

/// Kysely's own words are to be devdb's; a server's error is told in more of them.
fn assert_same(ours: &Answer, theirs: &Answer, story: &str) {
    assert_eq!(ours.results, theirs.results, "{story}\n{ours:?}\n{theirs:?}");
    let of_kysely = |error: &&str| error.starts_with("corrupted migrations") || error.starts_with("migration \"");
    match (theirs.error.as_deref(), ours.error.as_deref()) {
        (Some(theirs), ours) if of_kysely(&theirs) => assert_eq!(ours, Some(theirs), "{story}"),
        (theirs, ours) => assert_eq!(ours.is_some(), theirs.is_some(), "{story}\n{ours:?}\n{theirs:?}"),
    }
}

/// One database has only ever seen one Kysely; on the other, whoever is at hand takes the next step.
#[test]
fn in_any_order_of_turns_both_do_the_same_and_accept_what_the_other_left() {
    let turns = if seeds().is_some() { 40 } else { 15 };
    for seed in 1..=seeds().unwrap_or(1) {
        let (mut dice, mut team) = (Dice::seeded(seed), Team::new());
        let alone = Database::create();
        let mut story = format!("seed {seed}");
        for _ in 0..turns {
            let step = Step::random(&mut dice);
            story += &format!("\n{step}");
            let (verb, name, unordered) = match &step {
                Step::Add(name) => {
                    team.add(name);
                    continue;
                }
                Step::Remove(name) => {
                    let _ = fs::remove_file(team.folder().join(format!("{name}.sql")));
                    continue;
                }
                Step::Run { verb, name, unordered } => (*verb, name.as_str(), *unordered),
            };
            let words: &[&str] = if verb == "to" { &[verb, name] } else { &[verb] };
            let theirs = team.kysely("0.29", &alone.url(), words, unordered);
            let who = ["devdb", "devdb", "devdb", "0.28", "0.29", "0.30"][dice.roll(6)];
            story += &format!(" by {who}");
            let url = team.database.url();
            let ours = match who {
                "devdb" => team.devdb(words, unordered),
                version => team.kysely(version, &url, words, unordered),
            };
            assert_same(&ours, &theirs, &story);
            assert_eq!(state(&team.database), state(&alone), "{story}\n{ours:?}\n{theirs:?}");
        }
    }
}

/// Kysely skips it without a word, undoes what came before, and calls the history corrupted from then on; devdb says so
/// before anything is done.
#[test]
fn a_migration_without_a_way_back_is_the_one_thing_that_devdb_refuses_and_kysely_does_not() {
    let mut team = Team::new();
    team.add("m01");
    team.add_sql("m02", "create table m02 ();");
    team.add("m03");
    assert_eq!(team.devdb(&["latest"], false).error, None);
    let before = state(&team.database);
    let refused = team.devdb(&["none"], false);
    assert_eq!(refused.error.as_deref(), Some("migration m02 cannot be undone: it has no down part"));
    assert_eq!((refused.results, state(&team.database)), (Vec::new(), before));
    let url = team.database.url();
    let skipped = team.kysely("0.29", &url, &["none"], false);
    assert_eq!((skipped.error, state(&team.database).as_str()), (None, "m02 | m02"));
    let corrupted = team.devdb(&["latest"], false);
    assert_same(&corrupted, &team.kysely("0.29", &url, &["latest"], false), "after a skipped one");
    assert!(corrupted.error.unwrap().starts_with("corrupted migrations: expected previously executed migration m02"));
}

#[test]
fn the_locks_of_both_exclude_each_other() {
    let mut team = Team::new();
    team.database.sql("create table story (name text)");
    for number in 0..12 {
        let name = format!("m{number:02}");
        team.add_sql(&name, &format!("select pg_sleep(0.02);\ninsert into story values ('{name}');"));
    }
    let (url, folder) = (team.database.url(), team.folder());
    let rounds = 3;
    for version in VERSIONS.repeat(rounds) {
        team.kysely.ask(version, &url, &folder, &["latest"], false);
    }
    let database = &team.database;
    let by_devdb = std::thread::scope(|scope| {
        let run = || {
            let stage =
                Stage::new().var("DATABASE_URL", &database.url()).var("DEVDB_MIGRATIONS_DIR", folder.to_str().unwrap());
            let outcome = stage.run(["devdb", "--json", "migrate", "to", "latest"]);
            Answer::from_json(&serde_json::from_str(&outcome.stdout).unwrap())
        };
        let running: Vec<_> = (0..VERSIONS.len() * rounds).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
    });
    let by_kysely: Vec<Answer> = (0..VERSIONS.len() * rounds).map(|_| team.kysely.answer()).collect();
    let answers: Vec<Answer> = by_devdb.into_iter().chain(by_kysely).collect();
    assert!(answers.iter().all(|answer| answer.error.is_none()), "{answers:?}");
    assert_eq!(answers.iter().map(|answer| answer.results.len()).sum::<usize>(), 12, "{answers:?}");
    assert_eq!(team.database.sql("select count(*) || ' ' || count(distinct name) from story"), "12 12");
}

/// Rows that Kysely itself could write, and then call corrupted: the same instant, another clock (research of Kysely
/// 0.28 to 0.29.9). devdb's are in order whoever sorts them.
#[test]
fn names_and_clocks_that_make_kysely_stumble_do_not_when_devdb_wrote_the_rows() {
    let mut team = Team::new();
    let url = team.database.url();
    for name in ["2024-01-01-x", "2024-01-01_x", "B_x", "a_x"] {
        team.add_sql(name, "select 1;");
    }
    assert_eq!(team.devdb(&["latest"], false).results.len(), 4);
    let accepted = |team: &mut Team| {
        for version in VERSIONS {
            let answer = team.kysely(version, &url, &["latest"], false);
            assert_eq!((answer.error, answer.results), (None, Vec::new()), "{version}");
        }
    };
    accepted(&mut team);
    // Somebody's clock was ahead.
    team.database.sql("update kysely_migration set timestamp = '2099-01-01T00:00:00.000Z' where name = 'a_x'");
    team.add_sql("c_x", "select 1;");
    assert_eq!(team.devdb(&["latest"], false).error, None);
    accepted(&mut team);
    // A timestamp that nobody can read: 0.29.9 is the first to say so.
    team.database.sql("update kysely_migration set timestamp = 'yesterday' where name = 'B_x'");
    let (ours, theirs) = (team.devdb(&["latest"], false), team.kysely("0.29", &url, &["latest"], false));
    assert!(theirs.error.is_some());
    assert_same(&ours, &theirs, "an unreadable timestamp");
}
