//! What `devdb env` prints, read back by the real shells.

use devdb::connection::{Connection, Password, ShellKind, Tls, libpq_variables, render};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::process::Command;

/// Values that break careless quoting, before the generated ones.
const NASTY: &[&str] = &[
    "'",
    "''",
    "\"",
    "\\",
    "\\'",
    "`id`",
    "$(id)",
    "${HOME}",
    "$HOME",
    "a b",
    " lead",
    "trail ",
    "\ttab",
    "line\nbreak",
    "\n",
    "ends in newline\n",
    "-n",
    "-e \\c",
    "!!",
    "!event",
    "*",
    "?",
    "[a]",
    "~",
    "#no comment",
    "a;b",
    "a&b",
    "a|b",
    "<in",
    ">out",
    "(x)",
    "{a,b}",
    "%s%n",
    "\u{1}",
    "\u{7f}",
    "grüße",
    "日本",
    "\u{1f600}",
    "e\u{301}",
    "\r\n",
    "'\"'\"'",
    "$'\\n'",
    "\\\\",
    "EOF\n",
    "=",
    "a=b",
];

fn generated(count: usize) -> Vec<String> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let any = proptest::collection::vec(
        proptest::prop_oneof![
            4 => proptest::sample::select(vec!['\'', '"', '\\', '$', '`', '!', '\n', '\t', ' ', '-', '(', ')', '{', '}', '%', '#', '~']),
            2 => proptest::char::range('a', 'z'),
            1 => proptest::char::any(),
        ],
        1..40,
    )
    .prop_map(|letters| letters.into_iter().filter(|letter| *letter != '\0').collect::<String>())
    .prop_filter("an empty value proves nothing", |text| !text.is_empty());
    (0..count).map(|_| any.new_tree(&mut runner).unwrap().current()).collect()
}

/// Prints for each value what `devdb env` would, lets the shell `eval` it as the README says, and reads the value back.
fn read_back(shell: &str, kind: ShellKind, values: &[String]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (number, value) in values.iter().enumerate() {
        let connection = Connection {
            host: "db.example".into(),
            hostaddr: None,
            port: 5432,
            user: "app".into(),
            database: "shop".into(),
            password: Some(Password::new(value.as_str())),
            tls: Tls::Disable,
        };
        let text = render(&libpq_variables(&connection), kind).unwrap();
        fs::write(folder.path().join(format!("{number:05}")), text).unwrap();
    }
    let script = r#"for file in "$1"/*; do unset PGPASSWORD; eval "$(cat "$file")"; printf '%s\0' "$PGPASSWORD"; done"#;
    let output = Command::new(shell).args(["-c", script, shell]).arg(folder.path()).output().unwrap_or_else(|error| {
        panic!("{shell}: {error}; scripts/check installs it");
    });
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    let mut read: Vec<String> = String::from_utf8(output.stdout).unwrap().split('\0').map(str::to_owned).collect();
    assert_eq!(read.pop().as_deref(), Some(""));
    read
}

fn every_value_survives(shell: &str, kind: ShellKind) {
    let values: Vec<String> = NASTY.iter().map(|text| (*text).to_owned()).chain(generated(500)).collect();
    assert_eq!(read_back(shell, kind, &values), values);
}

#[test]
fn bash_reads_every_password_back_unchanged() {
    every_value_survives("bash", ShellKind::Bash);
}

#[test]
fn dash_reads_every_password_back_unchanged() {
    every_value_survives("dash", ShellKind::Bash);
}

#[test]
fn zsh_reads_every_password_back_unchanged() {
    every_value_survives("zsh", ShellKind::Zsh);
}
