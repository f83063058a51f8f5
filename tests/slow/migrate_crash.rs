//! `kill -9`, a server that ends the session, a link that is cut: at any moment. The ledger and the schema stay together,
//! what devdb says of it is true, and the next run goes on from there.

use crate::support::dice::{Dice, seeds};
use crate::support::postgres::{Database, cluster, until};
use crate::support::relay::Relay;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Ordinary migrations, one that changes data only, and an index that refuses transactions.
const FILES: [(&str, &str, &str); 5] = [
    (
        "1_users",
        "create table users (id int primary key, name text, runs int not null default 0);",
        "drop table users;",
    ),
    (
        "2_rows",
        "insert into users select n, 'name ' || n from generate_series(1, 2000) n;\nselect pg_sleep(0.002);",
        "truncate users;",
    ),
    (
        "3_index",
        "create index concurrently if not exists by_name on users (name);",
        "drop index concurrently if exists by_name;",
    ),
    // Twice would show.
    ("4_runs", "update users set runs = runs + 1;", "update users set runs = runs - 1;"),
    (
        "5_orders",
        "create table orders (id int, user_id int references users);\nselect pg_sleep(0.002);",
        "drop table orders;",
    ),
];

/// What each migration has done, next to its row; the index apart.
const STATE: &str = "with ledger as (select unnest(xpath('/table/row/name/text()', case when to_regclass('kysely_migration') is null \
     then '<table/>'::xml else query_to_xml('select name from kysely_migration', false, false, '') end))::text as name), \
     counts as (select (xpath('/row/rows/text()', found))[1]::text::int as rows, (xpath('/row/runs/text()', found))[1]::text as runs \
     from (select case when to_regclass('users') is null then null else query_to_xml('select count(*) as rows, \
     coalesce(min(runs) || ''-'' || max(runs), ''none'') as runs from users', false, true, '') end as found) f) \
     select coalesce((select string_agg(name, ',' order by name) from ledger), ''), \
     coalesce(concat_ws(',', case when to_regclass('users') is not null then '1_users' end, \
     case when rows = 2000 then '2_rows' when rows > 0 then 'some rows' end, \
     case when runs = '1-1' then '4_runs' when runs not in ('0-0', 'none') then 'runs ' || runs end, \
     case when to_regclass('orders') is not null then '5_orders' end), ''), \
     coalesce((select case when indisvalid then 'valid' else 'invalid' end from pg_index where indexrelid = to_regclass('by_name')), 'none') \
     from counts";

const SESSIONS: &str =
    "select count(*) from pg_stat_activity where application_name like 'devdb/%' and datname = current_database()";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misfortune {
    /// SIGKILL to devdb.
    Kill,
    /// `pg_terminate_backend`.
    Terminate,
    /// Both ends are told that the connection is gone.
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    ledger: Vec<String>,
    done: Vec<String>,
    index: String,
}

/// One database that is migrated up and down, again and again, and seldom in peace.
struct World {
    database: Database,
    folder: tempfile::TempDir,
    relay: Relay,
    child: Arc<Mutex<Option<Child>>>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, up, down) in FILES {
            std::fs::write(
                folder.path().join(format!("{name}.sql")),
                format!("-- migrate:up\n{up}\n-- migrate:down\n{down}\n"),
            )
            .unwrap();
        }
        let relay = Relay::to(cluster().port);
        relay.shorten();
        Self { database: Database::create(), folder, relay, child: Arc::default() }
    }

    fn devdb(&self, target: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
        command
            .args(["--json", "migrate", "to", target])
            .env_clear()
            .env("HOME", self.folder.path())
            .env("DATABASE_URL", self.database.url_at(self.relay.port))
            .env("DEVDB_MIGRATIONS_DIR", self.folder.path())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs devdb to its end, whatever that is.
    fn run(&self, target: &str) -> Output {
        let mut child = {
            // Whoever acts before the process is known waits for it here.
            let mut slot = self.child.lock().unwrap();
            let mut child = self.devdb(target).spawn().unwrap();
            let streams = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            *slot = Some(child);
            streams
        };
        let read = |from: &mut dyn std::io::Read| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let (stdout, stderr) = (read(&mut child.0), read(&mut child.1));
        let status = self.child.lock().unwrap().take().unwrap().wait().unwrap();
        Output { status, stdout, stderr }
    }

    fn act(&self, misfortune: Misfortune) -> Box<dyn FnOnce() + Send> {
        match misfortune {
            Misfortune::Kill => {
                let child = self.child.clone();
                Box::new(move || {
                    if let Some(child) = child.lock().unwrap().as_mut() {
                        let _ = child.kill();
                    }
                })
            }
            Misfortune::Terminate => {
                let database = Database { name: self.database.name.clone() };
                Box::new(move || {
                    database.sql(
                        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'devdb/%' \
                         and datname = current_database()",
                    );
                })
            }
            Misfortune::Cut => Box::new(self.relay.scissors()),
        }
    }

    fn state(&self) -> State {
        until(&self.database, SESSIONS, "0");
        let line = self.database.sql(STATE);
        let list = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let [ledger, done, index] = <[&str; 3]>::try_from(line.split('|').collect::<Vec<_>>()).unwrap();
        State { ledger: list(ledger), done: list(done), index: index.to_owned() }
    }
}

/// Compares ledger and schema.
fn assert_together(state: &State, target: &str, story: &str) {
    let names: Vec<&str> = FILES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(state.ledger, names[..state.ledger.len()], "no prefix: {state:?}\n{story}");
    let done: Vec<&String> = state.ledger.iter().filter(|name| *name != "3_index").collect();
    assert_eq!(state.done.iter().collect::<Vec<_>>(), done, "{state:?}\n{story}");
    // The index cannot be built with its row; it may be there without one, never the other way around.
    let has_row = state.ledger.iter().any(|name| name == "3_index");
    match target {
        "latest" => assert!(!has_row || state.index == "valid", "{state:?}\n{story}"),
        _ => assert!(has_row || state.index == "none", "{state:?}\n{story}"),
    }
}

/// Compares what devdb said with what is.
fn assert_true(output: &Output, before: &State, after: &State, story: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    let shown = format!("{text}{}\n{before:?}\n{after:?}\n{story}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let error = document["error"]["message"].as_str();
    assert_eq!(error.is_none(), output.status.success(), "{shown}");
    if shown.contains("whether they were committed is not known") {
        return;
    }
    let results = document["results"].as_array().unwrap();
    if results.is_empty() {
        assert_eq!(before.ledger, after.ledger, "{shown}");
    }
    for result in results {
        let has_row = after.ledger.iter().any(|name| result["migrationName"] == **name);
        let counts = result["status"] == "Success" && result["rolledBack"] == false;
        assert_eq!(has_row, counts == (result["direction"] == "Up"), "{result}: {shown}");
    }
}

/// So many misfortunes at random moments, until each direction came to its end in between.
fn suffer(seed: u64, misfortunes: usize, kinds: &[Misfortune]) {
    let (mut dice, world) = (Dice::seeded(seed), World::new());
    let mut story = format!("seed {seed}");
    let (mut target, mut happened, mut in_the_middle) = ("latest", 0, 0);
    let mut before = world.state();
    while happened < misfortunes {
        let kind = kinds[dice.roll(kinds.len())];
        let (at, first, late) = (1 + dice.roll(40), dice.roll(2) == 0, dice.roll(3));
        story += &format!("\n{target}: {kind:?} at message {at}, before it is delivered: {first}, late: {late}");
        let act = world.act(kind);
        let micros = if late == 0 { dice.roll(4000) } else { 0 };
        world.relay.act_at(at, first, move || {
            // Into the middle of the server's work; how far that is, no two runs agree.
            std::thread::sleep(Duration::from_micros(micros as u64));
            act();
        });
        let output = world.run(target);
        world.relay.spare();
        let state = world.state();
        assert_together(&state, target, &story);
        if output.status.code().is_some() {
            assert_true(&output, &before, &state, &story);
        }
        happened += usize::from(!output.status.success());
        in_the_middle += usize::from(!matches!(state.ledger.len(), 0 | 5));
        if output.status.success() {
            let (rows, index) = if target == "latest" { (FILES.len(), "valid") } else { (0, "none") };
            assert_eq!((state.ledger.len(), state.index.as_str()), (rows, index), "{story}");
            target = if target == "latest" { "none" } else { "latest" };
        }
        before = state;
    }
    // Few may all strike while it connects; many do not.
    assert!(misfortunes < 25 || in_the_middle > 0, "{story}");
    // In peace it comes to its end.
    let output = world.run(target);
    assert!(output.status.success(), "{}\n{story}", String::from_utf8_lossy(&output.stderr));
    assert_together(&world.state(), target, &story);
}

#[test]
fn a_kill_at_a_random_moment_leaves_ledger_and_schema_together() {
    let misfortunes = if seeds().is_some() { 50 } else { 12 };
    (1..=seeds().unwrap_or(1)).for_each(|seed| suffer(seed, misfortunes, &[Misfortune::Kill]));
}

#[test]
fn a_session_or_link_that_ends_at_a_random_moment_is_told_as_it_really_ended() {
    let misfortunes = if seeds().is_some() { 25 } else { 8 };
    let kinds = [Misfortune::Terminate, Misfortune::Cut];
    (1..=seeds().unwrap_or(1)).for_each(|seed| suffer(100 + seed, misfortunes, &kinds));
}

/// Holds the transaction in its COMMIT, where a deferred trigger of the ledger's own row runs.
const HELD: &str = "create function hold() returns trigger language plpgsql as $$ begin \
     perform pg_sleep(600); return null; end $$;\ncreate constraint trigger hold after insert on kysely_migration \
     deferrable initially deferred for each row execute function hold();";
const IN_COMMIT: &str = "select count(*) from pg_stat_activity where query = 'commit' and wait_event = 'PgSleep' \
     and datname = current_database()";

#[test]
fn a_session_that_is_ended_or_killed_in_its_commit_has_committed_nothing() {
    for misfortune in [Misfortune::Terminate, Misfortune::Kill, Misfortune::Cut] {
        let world = World::new();
        std::fs::write(world.folder.path().join("6_held.up.sql"), HELD).unwrap();
        // Everything up to here has to be in one transaction with it.
        std::fs::remove_file(world.folder.path().join("3_index.sql")).unwrap();
        let output = std::thread::scope(|scope| {
            let running = scope.spawn(|| world.run("latest"));
            until(&world.database, IN_COMMIT, "1");
            world.act(misfortune)();
            running.join().unwrap()
        });
        let state = world.state();
        assert_eq!((&state.ledger, &state.done), (&Vec::new(), &Vec::new()), "{misfortune:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if misfortune != Misfortune::Kill {
            assert!(said.contains("the connection was lost; nothing was changed"), "{misfortune:?}: {said}");
        }
    }
}

#[test]
fn the_scratch_database_of_a_killed_test_is_removed_by_the_next_of_the_same_person_and_no_other_is() {
    let (database, folder) = (Database::create(), tempfile::tempdir().unwrap());
    let test = |alias: &str, up: &str| {
        std::fs::write(folder.path().join("1_a.sql"), format!("-- migrate:up\n{up};\n-- migrate:down\nselect 1;\n"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
        command.args(["migrate", "test"]).env_clear().env("HOME", folder.path()).current_dir(folder.path());
        command.env("DATABASE_URL", database.url()).env("DEVDB_MIGRATIONS_DIR", folder.path());
        command.env("DEVDB_ALIAS", alias).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = test("kim", "select pg_sleep(600)").spawn().unwrap();
    const ASLEEP: &str = "from pg_stat_activity where wait_event = 'PgSleep' and datname like 'devdb\\_test\\_%'";
    until(&database, &format!("select count(*) {ASLEEP}"), "1");
    let name = database.sql(&format!("select datname {ASLEEP}"));
    let said = |alias: &str| {
        let output = test(alias, "select 1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(!said("kim").contains("removed"), "its run lives");
    child.kill().unwrap();
    child.wait().unwrap();
    until(&database, "select count(*) from pg_stat_activity where application_name like 'devdb/kim/%'", "0");
    let others = ["devdb_test_0123456789abcdef", "devdb_test_fedcba9876543210"];
    for other in others {
        database.sql(&format!("create database {other} template template0"));
    }
    database.sql(&format!("comment on database {} is 'made by devdb migrate test, run devdb/kimberly/1'", others[0]));
    assert!(!said("bob").contains("removed"), "it is not theirs");
    assert!(said("kim").contains(&format!("removed {name}, which a run of yours had left when it was killed")));
    let left = format!(
        "select string_agg(datname, ' ' order by datname) from pg_database where datname in ('{name}', '{}', '{}')",
        others[0], others[1]
    );
    assert_eq!(database.sql(&left), others.join(" "));
    for other in others {
        database.sql(&format!("drop database {other}"));
    }
}
