//! `devdb migrate check` on real clones: no database, no network.

use devdb::testing::{Outcome, Stage};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a line of shell in a folder, as somebody who has git and nothing else configured.
fn sh(folder: &Path, line: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", line])
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
        .envs([("GIT_AUTHOR_NAME", "ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .env("HOME", folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `main` has two migrations and gets a third after the branch has left it.
fn project() -> Stage {
    let stage = Stage::new()
        .file("db/migrations/20260101_users.up.sql", "create table users ();\n")
        .file("db/migrations/20260101_users.down.sql", "drop table users;\n")
        .file("db/migrations/20260201_orders.sql", "-- migrate:up\ncreate table orders ();\n");
    sh(
        &stage.project(),
        "git init -q -b main; git add -A; git commit -qm first; git switch -qc mine; git switch -q main
         echo 'select 1;' > db/migrations/20260305_flags.up.sql; git add -A; git commit -qm second; git switch -q mine",
    );
    stage
}

fn check<const N: usize>(stage: &Stage, more: [&str; N]) -> Outcome {
    stage.run_all(&[&["devdb", "migrate", "check", "--base", "main"][..], &more].concat())
}

#[test]
fn a_migration_that_sorts_before_the_bases_newest_is_named_and_the_commands_mend_it() {
    let stage = project();
    insta::assert_snapshot!("nothing_new", check(&stage, []));
    let stage = stage
        .file("db/migrations/20260301_add invoice.up.sql", "select 1;\n")
        .file("db/migrations/20260301_add invoice.down.sql", "select 1;\n")
        .file("db/migrations/20260310_needs_it.sql", "-- migrate:up\nselect 1;\n");
    sh(&stage.project(), "git add -A; git commit -qm mine");
    let outcome = check(&stage, []);
    insta::assert_snapshot!("out_of_order", outcome);
    let commands: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("  git mv ")).collect();
    sh(&stage.project(), &commands.join("\n"));
    let mended = check(&stage, ["--json"]);
    assert_eq!(mended.code, 0, "{mended}");
    let document: serde_json::Value = serde_json::from_str(&mended.stdout).unwrap();
    assert_eq!(document["newest"], "20260305_flags");
    assert_eq!(document["new"].as_array().unwrap().len(), 2, "{mended}");
    assert_eq!(document["findings"], serde_json::json!([]));
}

#[test]
fn where_any_order_is_allowed_none_is_asked_for() {
    let stage = project().file("db/migrations/20260301_early.up.sql", "select 1;\n");
    assert_eq!(check(&stage, []).code, 3);
    let stage = stage.file("devdb.toml", "project = \"shop\"\n[migrations]\nallow_unordered = true\n");
    assert_eq!(check(&stage, []).code, 0);
}

#[test]
fn what_the_base_has_is_neither_edited_nor_deleted() {
    let stage = project().file("db/migrations/20260101_users.up.sql", "create table users (id int);\n");
    fs::remove_file(stage.project().join("db/migrations/20260201_orders.sql")).unwrap();
    let outcome = check(&stage, []);
    insta::assert_snapshot!("edited_and_deleted", outcome);
    let mend = outcome.stdout.lines().find(|line| line.starts_with("  git checkout ")).unwrap();
    sh(&stage.project(), mend);
    assert_eq!(check(&stage, []).code, 0);
    // The same file, as git would commit it here.
    sh(&stage.project(), "git config core.autocrlf true");
    let stage = stage.file("db/migrations/20260101_users.up.sql", "create table users ();\r\n");
    assert_eq!(check(&stage, []).code, 0);
}

#[test]
fn a_shallow_clone_is_enough_once_it_has_the_base() {
    let stage = project().file("db/migrations/20260301_early.up.sql", "select 1;\n");
    sh(&stage.project(), "git add -A; git commit -qm mine");
    let shallow = Stage::new();
    let from = stage.project().display().to_string();
    sh(&shallow.project(), &format!("git clone -q --depth 1 --branch mine 'file://{from}' ."));
    let run = |stage: &Stage| stage.run(["devdb", "migrate", "check"]);
    insta::assert_snapshot!("shallow", run(&shallow));
    let before = run(&shallow);
    let fetch = before.stderr.split('`').find(|word| word.starts_with("git fetch")).unwrap().to_owned();
    sh(&shallow.project(), &fetch.replace("git fetch", "git fetch -q --depth 1"));
    let found = run(&shallow);
    assert!(found.code == 3 && found.stdout.contains("sorts before 20260305_flags"), "{found}");
}

#[test]
fn without_a_repository_a_reference_or_git_the_way_out_is_said() {
    let alone = Stage::new().file("db/migrations/1_a.up.sql", "select 1;\n");
    let outcome = check(&alone, []);
    assert!(outcome.code == 1 && outcome.stderr.contains("/db/migrations is in no git repository"), "{outcome}");
    let stage = project();
    for reference in ["nowhere", "--upload-pack=x", "origin/main"] {
        let argument = format!("--base={reference}");
        let outcome = stage.run(["devdb", "migrate", "check", &argument]);
        let said = format!("error: git knows no commit `{reference}` here");
        assert!(outcome.code == 1 && outcome.stderr.contains(&said), "{outcome}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_devdb"))
        .args(["migrate", "check"])
        .current_dir(stage.project())
        .env_clear()
        .envs([("PATH", "/nowhere"), ("DEVDB_ALIAS", "ada")])
        .env("HOME", stage.home())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: `git` was not found") && said.contains("hint: install git"), "{said}");
}
