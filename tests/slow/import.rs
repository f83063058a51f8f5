//! A Kysely project moves over: its migrations as real Kysely runs them, and as devdb runs what it imported, come to the
//! same; and the README's page about it, command by command.

use crate::support::dice::seeds;
use crate::support::kysely::{Kysely, VERSIONS, installed};
use crate::support::postgres::Database;
use devdb::testing::Stage;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ZONE: &str = "Asia/Kolkata";

/// A copy of `tests/kysely/project` with its packages, and nothing imported yet.
pub(crate) fn project(database: &Database) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url()).var("TZ", ZONE);
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kysely/project");
    copy(&from, &stage.project());
    symlink(installed(&["project"]).join("node_modules"), stage.project().join("node_modules")).unwrap();
    stage
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The project's own command line, on this database.
fn kysely(stage: &Stage, database: &Database, words: &[&str]) -> Output {
    let mut node = Command::new(stage.project().join("node_modules/.bin/tsx"));
    node.arg("src/migration-cli.ts").args(words).current_dir(stage.project());
    node.env("DATABASE_URL", database.url()).env("TZ", ZONE).output().unwrap()
}

#[track_caller]
fn kysely_does(stage: &Stage, database: &Database, words: &[&str]) -> String {
    let output = kysely(stage, database, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn devdb(stage: &Stage, database: &Database, words: &[&str]) -> String {
    let url = database.url();
    let outcome = stage.run_all(&[&["devdb"], words, &["--database-url", &url]].concat());
    assert_eq!(outcome.code, 0, "{words:?}: {outcome}");
    outcome.stdout
}

/// The schema, and all rows but the times at which they were changed.
fn state(stage: &Stage, database: &Database) -> String {
    let tables = "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'billing') \
                  and tablename !~ '^(kysely_|devdb_)' order by 1";
    let mut state = devdb(stage, database, &["schema", "--dump"]);
    for table in database.sql(tables).lines() {
        let rows = format!("select to_jsonb(it) - 'updated_at' from {table} it order by 1");
        state.push_str(&format!("\n{table}\n{}\n", database.sql(&rows)));
    }
    state
}

#[track_caller]
fn assert_same(stage: &Stage, theirs: &Database, ours: &Database) -> String {
    let (theirs, ours) = (state(stage, theirs), state(stage, ours));
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        assert_eq!(theirs, ours, "Kysely's on the left, devdb's on the right");
    }
    assert_eq!(theirs, ours);
    ours
}

fn sql_files(stage: &Stage) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(stage.project().join("db/migrations")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_kysely_runs_and_what_devdb_runs_of_it_is_the_same_up_and_down() {
    let (theirs, ours) = (Database::create(), Database::create());
    let stage = project(&theirs);
    let imported = stage.run(["devdb", "migrate", "import", "src/migrations"]);
    assert_eq!(imported.code, 0, "{imported}");
    insta::assert_snapshot!(imported.stdout);
    assert_eq!(kysely_does(&stage, &theirs, &["latest"]).matches(" Up Success").count(), 11);
    devdb(&stage, &ours, &["migrate", "to", "latest"]);
    let full = assert_same(&stage, &theirs, &ours);
    assert!(full.contains("O'NEILL") && full.lines().count() > 150, "{full}");
    // A database that Kysely has migrated goes on with devdb, and nothing runs again.
    devdb(&stage, &theirs, &["migrate", "status"]);
    assert!(devdb(&stage, &theirs, &["migrate", "to", "latest"]).contains("nothing to do"));
    // One by one down, each undone by the other one's down part in turn.
    for name in ["20240108_billing", "20240106_reshape", "20240104_touch", "20240101_mood"] {
        kysely_does(&stage, &theirs, &["to", name]);
        devdb(&stage, &ours, &["--yes", "migrate", "to", name]);
        let left = assert_same(&stage, &theirs, &ours);
        assert_eq!(left.contains("person"), name != "20240101_mood", "{left}");
    }
    // And up again with what the other one wrote into the ledger.
    kysely_does(&stage, &ours, &["latest"]);
    devdb(&stage, &theirs, &["migrate", "to", "latest"]);
    assert_eq!(assert_same(&stage, &theirs, &ours), full);
    let before: Vec<_> = sql_files(&stage).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let again = stage.run(["devdb", "migrate", "import", "src/migrations"]);
    assert!(again.code == 0 && again.stdout.contains("0 written, 21 there already"), "{again}");
    let after: Vec<_> = sql_files(&stage).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(before, after);
}

/// A migration that inserts random values of each type, by a seed; node-postgres sends them, or devdb writes them down.
const RANDOM: &str = r#"
import { sql } from 'kysely';
let state;
const dice = (sides) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor(state / 4294967296 * sides) };
const pick = (...choices) => choices[dice(choices.length)];
const letters = ["'", '"', '\\', '\r', '\n', '\t', '$1', '$$', ';', '--', '/*', '{', '}', ',', 'E', 'x', '0', 'ß', '\u{1f600}', ' ', 'NULL', '\ufeff', '\u0001'];
const text = () => Array.from({ length: dice(9) }, () => letters[dice(letters.length)]).join('');
const many = (make) => Array.from({ length: dice(4) }, make);
const number = () => pick(0, -0, 1, -1, 0.1, 1e21, -1.5e-7, 123456789.123, Number.MAX_SAFE_INTEGER, dice(1000));
const date = () => new Date(pick(0, -62135596800000, 253402300799999, -1, 951782400000) + dice(86400000));
const json = () => pick({ a: text(), b: [number(), null, { [text()]: text() }], c: dice(2) === 1, d: date() }, {}, { z: [] });
const bytes = () => pick(Buffer.from(many(() => dice(256))), new Uint8Array(many(() => dice(256))), Buffer.from("'\\"));
const values = () => ({
  t: pick(null, text(), text() + '\ud800', number(), dice(2) === 1, 12345678901234567890n), v: text(), i: dice(100) - 50, l: 9007199254740993n - BigInt(dice(9)),
  n: pick(number(), '12345678901234567890.5'), f: pick(number(), NaN, Infinity, -Infinity), b: dice(2) === 1, y: bytes(),
  ta: many(() => pick(text(), null)), ia: [many(() => 1), many(() => 2)].filter((it, _, all) => it.length === all[0].length && it.length > 0),
  ya: many(bytes), da: many(date), j: json(), s: JSON.stringify(pick(json(), text(), many(text))), z: date(), w: date(), d: pick(date(), '2024-02-29'),
  p: pick({ toPostgres: () => text() }, { toPostgres: (prepare) => prepare([text()]) }),
});
export async function up(db) {
  // Each recording throws the same dice.
  state = SEED;
  await sql`create table t (id int generated always as identity, t text, v varchar(80), i int, l bigint, n numeric, f float8, b boolean, y bytea,
    ta text[], ia int[][], ya bytea[], da timestamptz[], j jsonb, s json, z timestamptz, w timestamp, d date, p text)`.execute(db);
  for (let row = 0; row < 60; row++) await db.insertInto('t').values(values()).execute();
}
"#;

#[test]
fn each_value_is_what_node_postgres_would_have_sent() {
    for seed in 1..=seeds().unwrap_or(2) {
        let (theirs, ours) = (Database::create(), Database::create());
        let stage = project(&theirs);
        fs::remove_dir_all(stage.project().join("src/migrations")).unwrap();
        let stage = stage.file("src/migrations/1_random.mjs", &RANDOM.replace("SEED", &seed.to_string()));
        let imported = stage.run(["devdb", "migrate", "import", "src/migrations"]);
        assert_eq!(imported.code, 0, "{imported}");
        assert!(!imported.stdout.contains("changes from run to run"), "{imported}");
        kysely_does(&stage, &theirs, &["latest"]);
        devdb(&stage, &ours, &["migrate", "to", "latest"]);
        let same = assert_same(&stage, &theirs, &ours);
        assert_eq!(same.matches("{\"b\": ").count(), 60, "seed {seed}: {same}");
    }
}

#[test]
fn a_migration_that_ends_node_or_never_ends_is_named() {
    let database = Database::create();
    let stage = project(&database)
        .file("src/one/1_ends.ts", "export const up = () => { console.error('going down'); process.exit(7) }");
    let stage =
        stage.file("src/two/1_waits.mjs", "export const up = () => new Promise(() => setInterval(() => {}, 1000))");
    let stage = stage.file("src/three/1_hangs.mjs", "export const up = () => new Promise(() => {})");
    insta::assert_snapshot!("ends", stage.run(["devdb", "migrate", "import", "src/one"]));
    insta::assert_snapshot!("waits", stage.run(["devdb", "migrate", "import", "src/two", "--timeout", "2"]));
    let hangs = stage.run(["devdb", "migrate", "import", "src/three"]);
    assert!(
        hangs.code == 1 && hangs.stderr.contains("(exit code 13) while [HOME]/project/src/three/1_hangs.mjs"),
        "{hangs}"
    );
    assert!(!stage.project().join("db").exists());
}

#[test]
fn what_is_missing_is_said_with_the_way_to_get_it() {
    let database = Database::create();
    let stage = project(&database);
    // Kysely, and nothing that reads TypeScript.
    let modules = stage.project().join("node_modules");
    let kysely = fs::canonicalize(modules.join("kysely")).unwrap();
    fs::remove_file(&modules).unwrap();
    fs::create_dir(&modules).unwrap();
    symlink(kysely, modules.join("kysely")).unwrap();
    let reads_typescript = Command::new("node").args(["-p", "Boolean(process.features.typescript)"]).output().unwrap();
    if reads_typescript.stdout.starts_with(b"false") {
        let said = stage.run(["devdb", "migrate", "import", "src/migrations"]);
        assert!(said.code == 1 && said.stderr.contains("hint: `npm install --save-dev tsx` in the project"), "{said}");
    }
    let path = tempfile::tempdir().unwrap();
    symlink("/bin/sh", path.path().join("sh")).unwrap();
    let mut devdb = Command::new(env!("CARGO_BIN_EXE_devdb"));
    devdb.args(["migrate", "import", "src/migrations"]).current_dir(stage.project());
    let output = devdb.env_clear().env("PATH", path.path()).env("HOME", stage.home()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Node.js was not found") && said.contains("hint: install Node.js"), "{said}");
}

/// The commands of the page, and the file that it shows.
fn moving_over() -> (Vec<(String, Vec<String>)>, String) {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, page) = readme.split_once("\n## Moving over\n").unwrap();
    let (page, _) = page.split_once("\n## ").unwrap();
    let (_, file) = page.split_once("```ts\n").unwrap();
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.split_once("```").unwrap().0.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.split("  #").next().unwrap().trim().to_owned(), Vec::new())),
                None => commands.last_mut().unwrap().1.push(line.to_owned()),
            }
        }
    }
    (commands, file.split_once("```").unwrap().0.to_owned())
}

#[test]
fn the_page_about_moving_over_works_as_it_stands() {
    let (live, fresh) = (Database::create(), Database::create());
    let stage = project(&live).var("NO_COLOR", "1");
    let folder = stage.project();
    let bash = |line: &str| {
        let mut bash = Command::new("bash");
        bash.args(["-ec", line]).current_dir(&folder).env("DATABASE_URL", live.url()).env("TZ", ZONE);
        let names = ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"];
        let output = bash.envs(names.map(|name| (name, "ada@example.com"))).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&said));
        String::from_utf8(said).unwrap()
    };
    bash("git init -q -b main; printf 'node_modules\\n' >.gitignore; git add .; git commit -qm project");
    kysely_does(&stage, &live, &["latest"]);
    let (commands, provider) = moving_over();
    assert!(commands.len() >= 10, "{commands:?}");
    for (command, printed) in commands {
        let line = command.replace("postgres://postgres@localhost/fresh", &fresh.url());
        let said = if let Some(words) = line.strip_prefix("devdb ") {
            let (words, file) = words.split_once(" > ").map_or((words, None), |(words, file)| (words, Some(file)));
            let words: Vec<&str> = ["devdb"].into_iter().chain(words.split_whitespace()).collect();
            let outcome = stage.run_all(&words);
            assert_eq!(outcome.code, 0, "`{command}`: {outcome}");
            if let Some(file) = file {
                fs::write(folder.join(file), &outcome.stdout).unwrap();
            }
            format!("{}\n{}", outcome.stderr, outcome.stdout)
        } else {
            bash(&line)
        };
        if command.contains("--provider") {
            // The edit that stands between the commands.
            fs::write(folder.join("src/migration-provider.ts"), &provider).unwrap();
        }
        let spaceless = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in printed {
            assert!(spaceless(&said).contains(&spaceless(&line)), "`{command}` does not say `{line}`:\n{said}");
        }
    }
}

/// What looks like a heading and is none, in each place where that can stand.
const TRAPS: &str = "-- about it\n/* /* nested */\n-- migrate:down\n*/\n-- migrate:up\r\ncreate function f() returns text language sql as $b$\n\
    -- migrate:down\nselect 'x;'::text $b$;\ncreate table one (a text default E'\\'\n-- migrate:down\n', \"\n-- migrate:up\n\" int);\n\
    insert into one (a) values ('it''s\n-- migrate:down\n');\n-- migrate:down\ndrop table one;\ndrop function f();\n";

#[test]
fn the_provider_reads_what_devdb_reads_and_refuses_what_kysely_would_run_wrongly() {
    let mut kysely = Kysely::start();
    for version in VERSIONS {
        let database = Database::create();
        let stage = Stage::new()
            .var("DATABASE_URL", &database.url())
            .file("db/migrations/1_traps.sql", TRAPS)
            .file("db/migrations/2_pair.up.sql", "\u{feff}create table two (); -- $1 and ?\ncreate table three ();")
            .file("db/migrations/2_pair.down.sql", "drop table two, three")
            .file("db/migrations/.hidden.sql", "select 1 / 0;")
            .file("db/migrations/README.md", "");
        let folder = stage.project().join("db/migrations");
        let mut ask = |words: &[&str]| {
            kysely.ask(version, &database.url(), &folder, words, false);
            kysely.answer()
        };
        let up = |name: &str| (name.to_owned(), "Up".to_owned(), "Success".to_owned());
        let answer = ask(&["latest"]);
        assert_eq!((answer.results, answer.error), (vec![up("1_traps"), up("2_pair")], None), "{version}");
        assert_eq!(database.sql("select count(*) from one"), "1");
        devdb(&stage, &database, &["migrate", "status"]);
        devdb(&stage, &database, &["--yes", "migrate", "down", "1"]);
        assert_eq!(ask(&["none"]).results.len(), 1);
        devdb(&stage, &database, &["migrate", "to", "latest"]);
        assert_eq!(ask(&["none"]).error, None);
        let nothing = "select count(*) from pg_tables where schemaname = 'public' and tablename !~ '^(kysely|devdb)_'";
        assert_eq!(database.sql(nothing), "0");
        for (text, wanted) in [
            (
                "-- devdb: transaction=false\nselect 1;",
                "3_bad runs outside of a transaction: run it with `devdb migrate to 3_bad`",
            ),
            ("-- nothing yet\n", "3_bad: there is no statement in the file"),
        ] {
            fs::write(folder.join("3_bad.up.sql"), text).unwrap();
            assert_eq!(ask(&["latest"]).error.as_deref(), Some(wanted));
            assert_eq!(database.sql(nothing), "0", "the run was one transaction");
        }
    }
}

/// The provider is TypeScript that a strict project compiles.
#[test]
fn the_provider_has_types() {
    let database = Database::create();
    let stage = project(&database);
    assert_eq!(stage.run(["devdb", "migrate", "import", "--provider", "src/sql-migration-provider.ts"]).code, 0);
    fs::write(
        stage.project().join("src/use.ts"),
        "import type { MigrationProvider } from 'kysely/migration';\nimport { SqlMigrationProvider } from './sql-migration-provider';\n\
         export const provider: MigrationProvider = new SqlMigrationProvider('db/migrations');\n",
    )
    .unwrap();
    let mut tsc = Command::new(stage.project().join("node_modules/.bin/tsc"));
    tsc.args("--noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes --noUnusedLocals --target es2022 --module preserve --types node src/use.ts".split(' '));
    let output = tsc.current_dir(stage.project()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
