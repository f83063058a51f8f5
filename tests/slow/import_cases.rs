//! Small Kysely projects: what is refused, what is marked, and what becomes of files that are there already.

use crate::support::kysely;
use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};

/// A project of these migrations, each with an `up` and perhaps a `down`.
fn project_of(migrations: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    let modules = stage.project().join("node_modules");
    std::fs::create_dir(&modules).unwrap();
    std::os::unix::fs::symlink(kysely::installed(&[]).join("node_modules/kysely-0.29"), modules.join("kysely"))
        .unwrap();
    migrations.iter().fold(stage, |stage, (name, text)| {
        stage.file(&format!("src/{name}.mjs"), &format!("import {{ sql }} from 'kysely';\n{text}\n"))
    })
}

fn import(stage: &Stage, words: &[&str]) -> Outcome {
    stage.run_all(&[&["devdb", "migrate", "import", "src"], words].concat())
}

fn sql_file(stage: &Stage, file: &str) -> String {
    std::fs::read_to_string(stage.project().join("db/migrations").join(file)).unwrap_or_default()
}

const GOOD: (&str, &str) = (
    "1_good",
    "export const up = (db) => db.schema.createTable('a').addColumn('b', 'text').execute();
     export const down = (db) => db.schema.dropTable('a').execute();",
);

/// Each way in which a migration needs a look, or cannot be imported at all.
const DOUBTFUL: &[(&str, &str)] = &[
    GOOD,
    (
        "2_looks",
        "export async function up(db) {
           console.log('{\"event\":\"done\"}');
           await db.insertInto('a').values({ b: `${Math.random()} ${process.env.PATH ? 'a path' : ''}` }).executeTakeFirst();
           await sql`update a set b = ${new Date(0)}`.execute(db);
           try { await db.transaction().execute((it) => sql`delete from a`.execute(it)); } catch {}
           sql`select 1`.execute(db);
           setImmediate(() => sql`select 2`.execute(db));
         }",
    ),
    (
        "3_rows",
        "export async function up(db) { for (const it of await db.selectFrom('a').selectAll().execute()) throw it }",
    ),
    ("3_takes", "export const up = (db) => db.selectFrom('a').select('b').executeTakeFirstOrThrow();"),
    (
        "4_count",
        "export async function up(db) { const { numAffectedRows } = await sql`delete from a`.execute(db); if (numAffectedRows === 0n) await sql`select 3`.execute(db) }",
    ),
    ("5_tables", "export const up = (db) => db.introspection.getTables();"),
    (
        "6_back",
        "export async function up(db) { const it = await db.startTransaction().execute(); await it.rollback().execute() }",
    ),
    ("7_throws", "export async function up() { throw new Error('not\\ntoday') }"),
    ("8_broken", "import './nowhere.mjs'"),
    ("9_commit", "export const up = (db) => sql`commit`.execute(db);"),
    ("index", "export const all = 1;"),
];

#[test]
fn what_depends_on_rows_is_refused_and_what_needs_a_look_is_marked() {
    let stage = project_of(DOUBTFUL);
    insta::assert_snapshot!(import(&stage, &[]));
    assert!(!stage.project().join("db").exists());
}

#[test]
fn a_project_without_kysely_or_without_migrations_is_told_what_to_do() {
    let stage = Stage::new().file("src/1_a.js", "exports.up = () => {};");
    insta::assert_snapshot!(import(&stage, &[]));
    let empty = Stage::new().file("src/readme.md", "");
    insta::assert_snapshot!("no_migrations", import(&empty, &[]));
}

#[test]
fn drafts_wait_for_a_person_and_what_a_person_wrote_is_left_alone() {
    let stage = project_of(DOUBTFUL);
    let drafts = import(&stage, &["--drafts"]);
    assert_eq!(drafts.code, 3, "{drafts}");
    let marked = sql_file(&stage, "2_looks.up.sql");
    let (chance, rest) = marked.split_once("('0.").unwrap();
    let (_, rest) = rest.split_once(' ').unwrap();
    insta::assert_snapshot!("marked", format!("{chance}('[CHANCE] {rest}"));
    insta::assert_snapshot!("draft", sql_file(&stage, "3_rows.up.sql"));
    // What a person wrote instead is left alone, and a draft stops whoever comes to it.
    for file in ["3_takes", "4_count", "5_tables", "6_back", "7_throws", "8_broken", "9_commit"] {
        std::fs::write(stage.project().join(format!("db/migrations/{file}.up.sql")), "select 1;\n").unwrap();
    }
    // What was chance then is left as it was, too.
    let again = import(&stage, &[]);
    assert!(again.code == 3 && again.stdout.contains("0 written, 10 there already, 1 to fill in"), "{again}");
    assert_eq!(sql_file(&stage, "2_looks.up.sql"), marked);
    assert_eq!(import(&stage, &["--force"]).code, 3);
    assert_eq!(sql_file(&stage, "3_takes.up.sql"), "select 1;\n");
    let database = Database::create();
    let refused = stage.run(["devdb", "migrate", "to", "latest", "--database-url", &database.url()]);
    assert!(refused.code == 1 && refused.stderr.contains("3_rows.up.sql: there is no statement"), "{refused}");
}

#[test]
fn a_second_import_changes_nothing_and_a_changed_file_is_kept() {
    let stage = project_of(&[GOOD]);
    let first = import(&stage, &["--dry-run"]);
    assert!(first.code == 0 && !stage.project().join("db").exists(), "{first}");
    assert_eq!(import(&stage, &[]).code, 0);
    let written = sql_file(&stage, "1_good.up.sql");
    assert_eq!(written, "-- From 1_good.mjs (devdb migrate import).\n\ncreate table \"a\" (\"b\" text);\n");
    let stage = stage.file("db/migrations/1_good.up.sql", "select 'mine';").file("src/2_new.mjs", GOOD.1);
    let refused = import(&stage, &[]);
    assert_eq!((refused.code, sql_file(&stage, "2_new.up.sql")), (4, String::new()), "{refused}");
    insta::assert_snapshot!(refused);
    assert_eq!(import(&stage, &["--force"]).code, 0);
    assert_eq!(sql_file(&stage, "1_good.up.sql"), written);
    let again = stage.run(["devdb", "--json", "migrate", "import", "src"]);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    let outcomes: Vec<&str> =
        document["files"].as_array().unwrap().iter().map(|file| file["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["unchanged"; 4], "{again}");
    let names = std::fs::read_dir(stage.project().join("db/migrations")).unwrap().count();
    assert_eq!(names, 4, "nothing but the files is left");
}
