//! What others wrote never commands the terminal: every verb's report, errors, hints and questions, fed with hostile
//! names from database, ledger, files, settings, AWS, and process list.

use crate::hostile_scene::{EVIL, EVIL_ID, EVIL_NAME, Scene, assert_harmless, identifier, literal, toml};
use crate::support::postgres::Database;
use devdb::bastion::{Group, Tags};
use devdb::system::{CloudError, ProcessInfo};
use devdb::testing::{FakeCloud, Stage};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const SETTINGS: &str = "project = \"shop\"\n\
                        [environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

/// A database whose every name and comment is hostile.
fn hostile_database() -> Database {
    let database = Database::create();
    let (name, text, label) = (identifier(EVIL_ID), literal(EVIL), literal(EVIL_ID));
    database.sql(&format!(
        "create type {name} as enum ({label}, 'b'); comment on type {name} is {text};
         create domain d as text default {text} constraint {name} check (value <> {text}); comment on domain d is {text};
         create table t ({name} int primary key, b text default {text} collate \"C\", c d,
             constraint {name} check (b <> {text}), foreign key ({name}) references t);
         comment on table t is {text}; comment on column t.b is {text}; comment on constraint {name} on t is {text};
         create table \"t{}\" (a {name}) partition by list (a);
         create table {} partition of \"t{}\" for values in ({label});
         create index i on t (b) where b <> {text}; comment on index i is {text};
         create policy {name} on t using (b = {text}); comment on policy {name} on t is {text};
         create view v as select {text}::text as {name};
         create rule {name} as on delete to t do instead notify {name}, {text};
         create function f() returns trigger language plpgsql as 'begin return null; end';
         create trigger {name} before insert on t for each row execute function f({text});
         create sequence {};",
        &EVIL_ID.replace('"', "")[1..],
        identifier(&EVIL_ID[2..]),
        &EVIL_ID.replace('"', "")[1..],
        identifier(&EVIL_ID[3..]),
    ));
    database
}

/// A ledger with a row that no file has.
fn hostile_ledger() -> Database {
    let database = Database::create();
    database.sql(&format!(
        "create table kysely_migration (name varchar(255) primary key, timestamp varchar(255) not null);
         create table kysely_migration_lock (id varchar(255) primary key, is_locked integer not null default 0);
         insert into kysely_migration_lock values ('migration_lock', 0);
         insert into kysely_migration values ({}, {})",
        literal(EVIL),
        literal(EVIL)
    ));
    database
}

fn with_database(database: &Database) -> Stage {
    Stage::new().var("DATABASE_URL", &database.url())
}

/// A cloud that refuses in hostile words, whatever is asked.
fn with_cloud() -> (Scene, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    let scene = Scene::new(Stage::new().file("devdb.toml", SETTINGS).file("ca.pem", "").cloud(&cloud));
    (scene, cloud)
}

fn refuse(cloud: &FakeCloud, times: usize) {
    let refusal = || CloudError::Refused { action: EVIL.into(), code: EVIL.into(), message: EVIL.into() };
    (1..=times).for_each(|number| cloud.fail_at(number, false, Arc::new(refusal)));
}

/// The verb says what AWS said.
fn of_aws(words: &[&str]) {
    let (mut scene, cloud) = with_cloud();
    refuse(&cloud, 64);
    scene.run(words).saw(EVIL);
}

/// An ssh of this user, or another's program, with a hostile command line on the tunnel's port.
fn with_process(name: &str, own: bool) -> Scene {
    let (scene, _cloud) = with_cloud();
    scene.stage.processes.add(ProcessInfo {
        pid: 4711,
        name: name.to_owned(),
        command: [name, "-fNL", "5432:db:5432", EVIL].map(str::to_owned).to_vec(),
        own,
        ..ProcessInfo::default()
    });
    scene.stage.processes.listen(5432, 4711);
    scene
}

fn of_processes(words: &[&str]) {
    with_process("mallory", false).run(words).saw(EVIL);
    with_process("ssh", true).run(words).saw(EVIL);
}

fn of_database(words: &[&str]) {
    let database = hostile_database();
    let mut scene = Scene::new(with_database(&database));
    scene.run(&["schema"]).saw(EVIL_ID);
    for name in ["t", "d", "v", "kysely", &identifier(EVIL_ID), "f"] {
        scene.run(&[words, &[name]].concat());
    }
    scene.saw(EVIL_ID);
    scene.run(&["schema", "--dump"]).saw(EVIL);
    scene.run(&["schema", "t", "--diagram", &format!("{EVIL_ID}.svg").replace('/', "")]);
    scene.saw(EVIL_ID);
}

fn of_ledger(words: &[&str]) {
    let database = hostile_ledger();
    let mut scene = Scene::new(with_database(&database).file("db/migrations/1_a.up.sql", "select 1"));
    scene.run(words).saw(EVIL);
}

/// A migration whose file is hostile in its name and its text, and whose statement fails in hostile words.
fn of_files(words: &[&str]) {
    let database = Database::create();
    let raise = format!(
        "do $do$ begin raise notice using message = {text}, detail = {text}, hint = {text};
         raise exception using message = {text}, detail = {text}, hint = {text}; end $do$; create index i on t (a);",
        text = literal(EVIL)
    );
    let stage = with_database(&database)
        .file(&format!("db/migrations/{EVIL_NAME}.up.sql"), &raise)
        .file(&format!("db/migrations/{EVIL_NAME}.down.sql"), &raise);
    Scene::new(stage).run(words).saw(EVIL_NAME);
    let file = format!("db/migrations/{EVIL_ID}.up.sql");
    Scene::new(with_database(&database).file(&file, "select 1")).run(words).saw(EVIL_ID);
}

fn of_git() {
    let stage = Stage::new().file(&format!("db/migrations/{EVIL_NAME}.up.sql"), "select 1;");
    let git = |line: &str| {
        let mut command = Command::new("sh");
        command.args(["-euc", line]).current_dir(stage.project()).env_clear().env("PATH", "/usr/bin:/bin");
        command.envs([("HOME", stage.home()), ("GIT_CONFIG_NOSYSTEM", Path::new("1"))]);
        assert!(command.status().unwrap().success());
    };
    git("git init -qb main; git config user.name x; git config user.email x@x; git add -A; git commit -qm 1
         git switch -qc mine; echo 'select 2;' > db/migrations/2*; echo 'select 3;' > db/migrations/1_a.up.sql
         git add -A; git commit -qm 2");
    let mut scene = Scene::new(stage);
    scene.run(&["migrate", "check", "--base", "main"]).saw(EVIL_NAME);
    scene.run(&["migrate", "check", "--base", EVIL]).saw(EVIL);
}

fn of_settings(words: &[&str]) {
    for text in [
        EVIL.to_owned(),
        format!("{} = 1", toml(EVIL)),
        SETTINGS.replace("\"eu-west-1\"", &format!("[{}]", toml(EVIL))),
    ] {
        Scene::new(Stage::new().file("devdb.toml", &text)).run(words);
    }
    let text = SETTINGS.replace(".dev]", &format!(".{}]", toml(EVIL)));
    let mut scene = Scene::new(Stage::new().file("devdb.toml", &text));
    scene.run(words).run(&[&["-e", EVIL], words].concat());
    Scene::new(Stage::new().file("devdb.toml", SETTINGS)).run(&[&["-e", EVIL], words].concat()).saw(EVIL);
}

fn of_secret(words: &[&str]) {
    let (mut scene, cloud) = with_cloud();
    let text = serde_json::json!({"username": EVIL, "password": EVIL, "dbname": EVIL}).to_string();
    cloud.set_secret(&[Some(&text)]);
    scene.run(words);
}

fn of_tags() {
    let (mut scene, cloud) = with_cloud();
    let tag = |key: &str, value: &str| (format!("devdb:{key}"), value.to_owned());
    let tags =
        Tags::from([tag("project", "shop"), tag("environment", EVIL), tag("owner", EVIL), tag("principal", EVIL)]);
    let group = |id: &str| Group {
        id: id.into(),
        name: format!("devdb-shop-{EVIL}-{EVIL}"),
        vpc_id: EVIL.into(),
        open_egress: false,
        tags: tags.clone(),
    };
    cloud.add_group(group("sg-mallory"));
    scene.run(&["bastion", "list"]).saw(EVIL);
    scene.run(&["bastion", "gc", "--all", "--dry-run"]).saw(EVIL);
    scene.run(&["bastion", "gc", "--all", "--yes"]);
}

fn of_log() {
    let (mut scene, _cloud) = with_cloud();
    assert_eq!(scene.stage.run(["devdb", "tunnel", "down"]).code, 0);
    let folder = scene.stage.home().join(".local/state/devdb/shop/dev/ada");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tunnel.log"), format!("2026-11-22T12:00:01.200Z up: {EVIL}\n{EVIL}\n")).unwrap();
    scene.run(&["tunnel", "logs"]).saw(EVIL);
}

fn of_trust() {
    let text = SETTINGS.replace("\"eu-west-1\"", &toml(EVIL));
    let stage = || Stage::new().file("devdb.toml", &text).var("DEVDB_TRUSTED_CONFIG", "");
    let mut scene = Scene::new(stage());
    scene.run(&["trust", "--show"]).run(&["status"]).run(&["trust"]);
    std::fs::write(scene.stage.project().join("devdb.toml"), text.replace("AppDbStack", "Other")).unwrap();
    scene.run(&["status"]).run(&["trust"]).saw(EVIL);
}

/// A verb, and what is foreign to it besides the settings and its own arguments.
pub(crate) const ROWS: &[(&str, fn())] = &[
    ("up", || of_aws(&["up"])),
    ("down", || of_aws(&["down", "--yes"])),
    ("status", || of_aws(&["status"])),
    ("doctor", || {
        of_aws(&["doctor"]);
        with_process("mallory", false).run(&["doctor"]).saw(EVIL);
    }),
    ("bastion up", || of_aws(&["bastion", "up"])),
    ("bastion down", || of_aws(&["bastion", "down"])),
    ("bastion status", || of_aws(&["bastion", "status"])),
    ("bastion list", || of_aws(&["bastion", "list"])),
    ("bastion allow-ip", || of_aws(&["bastion", "allow-ip"])),
    ("bastion gc", of_tags),
    ("bastion ssh", || of_aws(&["bastion", "ssh", "--dry-run", "--", EVIL])),
    ("bastion extend", || of_aws(&["bastion", "extend", "2h"])),
    ("tunnel up", || of_aws(&["tunnel", "up"])),
    ("tunnel down", || {}),
    ("tunnel restart", || of_aws(&["tunnel", "restart"])),
    ("tunnel status", || {}),
    ("tunnel logs", of_log),
    ("tunnel wait", || {}),
    ("tunnel ports", || of_processes(&["tunnel", "ports"])),
    ("tunnel kill-stale", || of_processes(&["tunnel", "kill-stale"])),
    ("env", || {
        of_aws(&["env"]);
        for shell in ["bash", "zsh", "fish", "powershell", "nu", "json", "dotenv"] {
            of_secret(&["env", "--shell", shell]);
        }
        of_secret(&["env", "--shell", "plain", "--only", "PGPASSWORD"]);
    }),
    ("exec", || {
        of_aws(&["exec", "--", "true"]);
        of_secret(&["exec", "--", EVIL]);
    }),
    ("psql", || {
        of_aws(&["psql"]);
        of_secret(&["psql"]);
    }),
    ("pgadmin", || {
        of_aws(&["pgadmin"]);
        of_secret(&["pgadmin"]);
    }),
    ("migrate to", || {
        of_ledger(&["migrate", "to", "latest"]);
        of_files(&["migrate", "to", "latest"]);
    }),
    ("migrate up", || {
        of_ledger(&["migrate", "up"]);
        of_files(&["migrate", "up"]);
    }),
    ("migrate down", || of_ledger(&["migrate", "down"])),
    ("migrate plan", || {
        of_ledger(&["migrate", "plan"]);
        of_files(&["migrate", "plan"]);
    }),
    ("migrate status", || {
        of_ledger(&["migrate", "status"]);
        of_files(&["migrate", "status"]);
    }),
    ("migrate new", || {
        let stage = Stage::new()
            .file(&format!("{EVIL_ID}/x"), "")
            .file("devdb.toml", &format!("project = \"shop\"\n[migrations]\ndir = {}\n", toml(EVIL_ID)));
        Scene::new(stage).run(&["migrate", "new", "a"]).saw(EVIL_ID);
    }),
    ("migrate check", of_git),
    ("migrate lint", || of_files(&["migrate", "lint", "--all"])),
    ("migrate test", || of_files(&["migrate", "test"])),
    ("migrate repair", || {
        of_ledger(&["migrate", "repair"]);
        of_ledger(&["migrate", "repair", "--dry-run"]);
    }),
    ("migrate sync", || of_ledger(&["migrate", "sync"])),
    ("migrate mark", || {
        let database = Database::create();
        let stage = with_database(&database).file(&format!("db/migrations/{EVIL_NAME}.up.sql"), "select 1");
        let mark = |flag| ["migrate", "mark", flag, EVIL_NAME, "--yes"];
        Scene::new(stage).run(&mark("--applied")).document(&mark("--unapplied")).saw(EVIL_NAME);
    }),
    ("migrate import", || {
        let stage = Stage::new().file(&format!("src/{EVIL_ID}.ts"), "").file(&format!("src/{EVIL_ID}.js"), "");
        Scene::new(stage).run(&["migrate", "import", "src"]).saw(EVIL_ID);
    }),
    ("schema", || of_database(&["schema"])),
    ("config show", || of_settings(&["config", "show", "--origin"])),
    ("trust", of_trust),
    ("untrust", || {}),
    ("completions", || {}),
    ("man", || {}),
];

/// The verbs that `--help` shows, found by reading it.
fn verbs(stage: &Stage, path: &[String], found: &mut BTreeSet<String>) {
    let argv: Vec<&str> = std::iter::once("devdb").chain(path.iter().map(String::as_str)).chain(["--help"]).collect();
    let help = stage.run_all(&argv).stdout;
    let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let Some(list) = list else {
        found.insert(path.join(" "));
        return;
    };
    for word in list.lines().filter_map(|line| line.split_whitespace().next()) {
        verbs(stage, &[path, &[word.to_owned()]].concat(), found);
    }
}

#[test]
fn every_verb_shows_hostile_words_as_what_can_be_seen_of_them() {
    let mut found = BTreeSet::new();
    verbs(&Stage::new(), &[], &mut found);
    let rows: BTreeSet<String> = ROWS.iter().map(|(verb, _)| (*verb).to_owned()).collect();
    assert_eq!(found, rows, "a verb needs a row in tests/slow/hostile_text.rs");
    let failed = ROWS.iter().filter(|(verb, row)| std::panic::catch_unwind(|| of_verb(verb, row)).is_err());
    assert_eq!(failed.map(|(verb, _)| *verb).collect::<Vec<_>>(), [""; 0]);
}

fn of_verb(verb: &str, row: &fn()) {
    let words: Vec<&str> = verb.split(' ').collect();
    let wrong = Stage::new().terminal().run_all(&[&["devdb", &format!("--color={EVIL}")], words.as_slice()].concat());
    assert_harmless(&wrong.stderr, verb);
    assert!(wrong.stderr.contains(r"mallory\u{1b}") && wrong.code != 0, "{wrong}");
    if !matches!(words[..], ["completions" | "man" | "trust" | "untrust"]) {
        of_settings(&[words.as_slice(), needed(verb)].concat());
    }
    row();
}

/// What the verb cannot do without.
pub(crate) fn needed(verb: &str) -> &'static [&'static str] {
    match verb {
        "bastion extend" => &["2h"],
        "exec" => &["--", "true"],
        "migrate to" => &["latest"],
        "migrate new" => &["a"],
        "migrate mark" => &["--applied", "a"],
        "migrate import" => &["src"],
        _ => &[],
    }
}

/// What the spinner moves the cursor and clears its line with.
pub(crate) const SPINNER: [&str; 4] = ["\r", "\u{1b}[2K", "\u{1b}[1A", "\u{1b}[1B"];

/// The real program on a real terminal (script(1) gives one), and every byte that it is sent.
pub(crate) fn on_a_terminal(stage: &Stage, words: &[&str], url: &str) -> String {
    let words = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect::<Vec<_>>().join(" ");
    let line = format!("'{}' {words}; echo code $?", env!("CARGO_BIN_EXE_devdb"));
    let output = Command::new("script")
        .args(["--quiet", "--echo", "never", "--flush", "--command", &line, "/dev/null"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TERM", "xterm-256color"), ("DEVDB_ALIAS", "ada"), ("DATABASE_URL", url)])
        .env("HOME", stage.home())
        .current_dir(stage.project())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_real_terminal_is_sent_nothing_but_colours_and_the_spinners_own() {
    let (schema, ledger, fresh) = (hostile_database(), hostile_ledger(), Database::create());
    let raise = format!(
        "do $$ begin raise notice using message = {0}; perform pg_sleep(0.3); raise exception using message = {0}; end $$",
        literal(EVIL)
    );
    let stage = Stage::new().file(&format!("db/migrations/{EVIL_NAME}.up.sql"), &raise);
    let broken = Stage::new().file("devdb.toml", SETTINGS);
    let rows: [(&Stage, &[&str], &Database); 10] = [
        (&stage, &["schema"], &schema),
        (&stage, &["schema", "t"], &schema),
        (&stage, &["schema", "--dump"], &schema),
        (&stage, &["migrate", "status"], &ledger),
        (&stage, &["migrate", "to", "latest"], &ledger),
        (&stage, &["migrate", "repair"], &ledger),
        (&stage, &["migrate", "plan"], &fresh),
        (&stage, &["migrate", "to", "latest"], &fresh),
        (&broken, &["-e", EVIL, "config", "show"], &fresh),
        (&stage, &["completions", EVIL], &fresh),
    ];
    for (stage, words, database) in rows {
        let shown = on_a_terminal(stage, words, &database.url());
        assert!(shown.contains("code ") && shown.contains("mallory\\u{"), "{words:?}: {shown:?}");
        let shown = SPINNER.iter().fold(shown, |shown, moved| shown.replace(moved, ""));
        assert_harmless(&shown, &format!("{words:?}"));
    }
}
