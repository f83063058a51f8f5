//! Questions on a real terminal (script(1) gives one), answered as a person would.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

const PROTECTED: &str =
    "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nkind = \"protected\"\n";

/// Runs a write to a protected environment, types when it is asked, and returns what the screen showed.
fn asked_and_answered(keys: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("db/migrations")).unwrap();
    std::fs::write(folder.path().join("devdb.toml"), PROTECTED).unwrap();
    std::fs::write(folder.path().join("db/migrations/1.up.sql"), "select 1;").unwrap();
    let devdb = env!("CARGO_BIN_EXE_devdb");
    let line = format!("'{devdb}' migrate to latest --database-url postgres://app@127.0.0.1:1/app; echo code $?");
    let mut terminal = Command::new("script")
        .args(["--quiet", "--echo", "never", "--flush", "--command", &line, "/dev/null"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("TERM", "xterm"), ("DEVDB_ALIAS", "ada")])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (mut shown, mut buffer) = (Vec::new(), [0; 1024]);
    let mut answered = false;
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
        if !answered && String::from_utf8_lossy(&shown).contains("type its name to change its database:") {
            keyboard.write_all(keys).unwrap();
            answered = true;
        }
    }
    let _ = terminal.wait();
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(answered, "nothing was asked: {shown}");
    shown
}

#[test]
fn the_name_that_was_typed_opens_a_protected_environment() {
    let shown = asked_and_answered(b"dev\r");
    assert!(shown.contains("nothing listens at 127.0.0.1:1") && shown.contains("code 1"), "{shown}");
}

#[test]
fn another_name_is_refused_and_ctrl_c_cancels() {
    let shown = asked_and_answered(b"prod\r");
    assert!(shown.contains("is protected, and its name was not given") && shown.contains("code 4"), "{shown}");
    let shown = asked_and_answered(b"\x03");
    assert!(shown.contains("cancelled") && shown.contains("code 130"), "{shown}");
}
