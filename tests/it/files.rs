//! Files of a clone that are none, or lead out of it: refused by every verb that would read them, and never waited for.

use crate::support::postgres::Database;
use devdb::system::Captured;
use devdb::testing::{Outcome, Stage};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

type Make = fn(&Path, &Path);

const SECRET: &str = "localhost:5432:*:ada:swordfish";

const VERBS: &[&[&str]] = &[
    &["status"],
    &["plan"],
    &["to", "latest", "--yes"],
    &["up"],
    &["down"],
    &["sync"],
    &["repair", "--check"],
    &["lint"],
    &["test"],
    &["mark", "--applied", "1_a"],
    &["check", "--base", "main"],
    &["new", "more"],
];

fn git(stage: &Stage) {
    let line = "git init -q -b main && git add -A && git -c user.name=a -c user.email=a@b commit -qm a";
    assert!(Command::new("sh").args(["-c", line]).current_dir(stage.project()).status().unwrap().success());
}

fn run(stage: &Stage, verb: &[&str], url: &str) -> Outcome {
    let database: &[&str] = if matches!(verb[0], "check" | "new") { &[] } else { &["--database-url", url] };
    stage.run_all(&[&["devdb", "migrate"], verb, database].concat())
}

#[test]
fn what_is_no_regular_file_is_refused_by_every_verb_before_anything_runs() {
    let database = Database::create();
    let url = database.url();
    let place: &[(&str, Make)] = &[
        ("a symbolic link", |file, secret| symlink(secret, file).unwrap()),
        ("a symbolic link", |file, _| symlink("/dev/zero", file).unwrap()),
        ("a symbolic link", |file, _| symlink("1_a.up.sql", file).unwrap()),
        ("a symbolic link", |file, _| symlink("nowhere", file).unwrap()),
        ("a folder", |file, _| fs::create_dir(file).unwrap()),
        ("a pipe", |file, _| assert!(Command::new("mkfifo").arg(file).status().unwrap().success())),
        ("a socket", |file, _| drop(UnixListener::bind(file).unwrap())),
    ];
    for (what, make) in place {
        let stage = Stage::new().file("db/migrations/1_a.up.sql", "create table a ();\n");
        git(&stage);
        let secret = stage.home().join(".pgpass");
        fs::write(&secret, SECRET).unwrap();
        make(&stage.project().join("db/migrations/1_a.down.sql"), &secret);
        for verb in VERBS {
            let outcome = run(&stage, verb, &url);
            let said = format!("1_a.down.sql is {what} and no regular file");
            assert!(outcome.code == 1 && outcome.stderr.contains(&said), "{verb:?}: {outcome}");
            assert!(outcome.stderr.contains("hint: ") && !outcome.to_string().contains("swordfish"), "{outcome}");
        }
        assert_eq!(database.sql("select count(*) from pg_tables where schemaname = 'public'"), "0");
    }
}

#[test]
fn what_editors_leave_beside_migrations_and_other_links_stop_no_verb() {
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;\n");
    git(&stage);
    symlink("ada@laptop.4711", stage.project().join("db/migrations/.#1_a.up.sql")).unwrap();
    symlink("/etc/passwd", stage.project().join("db/migrations/README")).unwrap();
    let outcome = run(&stage, &["check", "--base", "main"], "");
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[test]
fn a_file_that_is_too_long_is_said_to_be() {
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;\n");
    let file = fs::OpenOptions::new().write(true).open(stage.project().join("db/migrations/1_a.up.sql")).unwrap();
    file.set_len((256 << 20) + 1).unwrap();
    let outcome = run(&stage, &["plan"], &Database::create().url());
    let said = "db/migrations/1_a.up.sql is longer than 256 MiB";
    assert!(outcome.code == 1 && outcome.stderr.contains(said), "{outcome}");
}

#[test]
fn a_repository_names_no_folder_outside_of_itself() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("1_a.up.sql"), "select 1;\n").unwrap();
    let dirs =
        [outside.path().display().to_string(), "link".to_owned(), "../elsewhere".to_owned(), "x/../../y".to_owned()];
    for dir in &dirs {
        let toml = format!("project = \"shop\"\n[migrations]\ndir = \"{dir}\"\n[environment.dev]\n");
        let stage = Stage::new().file("devdb.toml", &toml);
        git(&stage);
        symlink(outside.path(), stage.project().join("link")).unwrap();
        for verb in VERBS {
            let outcome = run(&stage, verb, "postgres://127.0.0.1:9/x?sslmode=disable");
            let said = outcome.stderr.contains("lies outside of") && outcome.stderr.contains("DEVDB_MIGRATIONS_DIR");
            assert!(outcome.code == 4 && said, "{dir} {verb:?}: {outcome}");
        }
    }
    // The folder that is taken where nothing is said may be a link as well.
    let stage = Stage::new();
    git(&Stage::new().file("x", ""));
    fs::create_dir(stage.project().join("db")).unwrap();
    symlink(outside.path(), stage.project().join("db/migrations")).unwrap();
    assert_eq!(run(&stage, &["status"], "postgres://127.0.0.1:9/x?sslmode=disable").code, 4);
}

#[test]
fn a_person_may_name_any_folder_and_a_repository_any_of_its_own() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("1_a.up.sql"), "select 1;\n").unwrap();
    let dir = outside.path().display().to_string();
    let database = Database::create();
    let listed = |stage: &Stage| {
        let outcome = run(stage, &["status"], &database.url());
        assert!(outcome.stdout.contains("1_a"), "{outcome}");
    };
    let toml = "project = \"shop\"\n[environment.dev]\n";
    listed(&Stage::new().file("devdb.toml", toml).var("DEVDB_MIGRATIONS_DIR", &dir));
    let personal = format!("[migrations]\ndir = \"{dir}\"\n");
    let stage = Stage::new().file("devdb.toml", toml).file("devdb.local.toml", &personal);
    assert_eq!(run(&stage, &["status"], &database.url()).code, 4, "an unpacked archive may have brought it");
    git(&stage);
    stage.processes.set_output("git", Captured { code: 0, stdout: Vec::new(), stderr: Vec::new() });
    listed(&stage);
    stage.processes.set_output("git", Captured { code: 0, stdout: b"devdb.local.toml\0".to_vec(), stderr: Vec::new() });
    assert_eq!(run(&stage, &["status"], &database.url()).code, 4, "the clone has brought it");
    // devdb.toml of one service, migrations of another: one repository.
    let stage = Stage::new()
        .file("sql/1_a.up.sql", "select 1;\n")
        .file("api/devdb.toml", "project = \"shop\"\n[migrations]\ndir = \"../sql\"\n[environment.dev]\n");
    git(&stage);
    let config = stage.project().join("api/devdb.toml").display().to_string();
    let url = database.url();
    let outcome = stage.run_all(&["devdb", "--config", &config, "migrate", "status", "--database-url", &url]);
    assert!(outcome.stdout.contains("1_a"), "{outcome}");
    // A link that stays inside.
    let stage = Stage::new().file("devdb.toml", toml).file("sql/1_a.up.sql", "select 1;\n");
    git(&stage);
    fs::create_dir(stage.project().join("db")).unwrap();
    symlink("../sql", stage.project().join("db/migrations")).unwrap();
    listed(&stage);
}

#[test]
fn settings_are_read_from_a_regular_file_that_is_not_endless() {
    let stage = Stage::new().file("devdb.toml", "project = \"shop\"\n[environment.dev]\n");
    let personal = stage.project().join("devdb.local.toml");
    let show = |stage: &Stage| stage.run(["devdb", "config", "show"]);
    for target in ["/dev/zero", "/dev/null"] {
        symlink(target, &personal).unwrap();
        let outcome = show(&stage);
        // A device is no file of settings.
        assert_eq!(outcome.code, 0, "{outcome}");
        fs::remove_file(&personal).unwrap();
    }
    let file = fs::File::create(&personal).unwrap();
    file.set_len(2 << 20).unwrap();
    let outcome = show(&stage);
    assert!(outcome.code != 0 && outcome.stderr.contains("longer than 1048576 bytes"), "{outcome}");
    // A person's own file may be a link to where it keeps such files.
    fs::remove_file(&personal).unwrap();
    fs::write(stage.home().join("settings"), "[migrations]\ntable = \"grace\"\n").unwrap();
    symlink(stage.home().join("settings"), &personal).unwrap();
    assert!(show(&stage).stdout.contains("grace"));
}
