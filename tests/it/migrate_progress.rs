//! What a terminal shows while migrations run, and what a file gets.

use crate::support::postgres::Database;
use crate::support::terminal::Terminal;
use std::process::Command;

#[test]
fn a_terminal_shows_the_migration_that_runs_and_a_pipe_nothing_but_lines() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("1_a", "select 1;"), ("2_slow", "select pg_advisory_xact_lock(7);"), ("3_c", "select 3;")] {
        std::fs::write(folder.path().join(format!("{name}.up.sql")), text).unwrap();
    }
    let (shown, piped) = (Database::create(), Database::create());
    let devdb = |database: &Database| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devdb"));
        command
            .args(["migrate", "to", "latest"])
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .env("DEVDB_ALIAS", "ada")
            .env("DEVDB_MIGRATIONS_DIR", folder.path())
            .env("DATABASE_URL", database.url());
        command
    };
    let gate = shown.open_transaction("do 'begin perform pg_advisory_xact_lock(7); end'");
    let mut terminal = Terminal::open(&devdb(&shown));
    terminal.types(&format!("stty cols 80; '{}' migrate to latest\r", env!("CARGO_BIN_EXE_devdb")));
    terminal.shows("3 migrations to run, in one transaction");
    terminal.shows("] 1 of 3 ");
    terminal.shows("2_slow");
    drop(gate);
    terminal.shows("2_slow  Up");
    terminal.shows("3 migrations done");
    terminal.close();
    let output = devdb(&piped).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(
        stdout, "  1_a     Up  Success\n  2_slow  Up  Success\n  3_c     Up  Success\n3 migrations done\n",
        "{stderr}"
    );
    assert!(!stderr.contains(['\r', '\u{1b}', '[']) && stderr.lines().count() == 2, "{stderr:?}");
}
