//! What `devdb env` prints, read back by the real shells.

use crate::support::dice::seeds;
use crate::support::readers::readers;
use devdb::connection::{ConnectionError, Password, ShellKind, Variable, render};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::path::Path;
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

fn values() -> Vec<String> {
    let count = 750 * usize::try_from(seeds().unwrap_or(1)).unwrap();
    let very_long = "x' $(id)\n`\\\u{e9}".repeat(4000);
    NASTY.iter().map(|text| (*text).to_owned()).chain([very_long]).chain(generated(count)).collect()
}

/// What `devdb env` prints for a database with this password.
fn printed(value: &str, shell: ShellKind) -> Result<String, ConnectionError> {
    render(&[Variable::secret("PGPASSWORD", Password::new(value))], &[], shell)
}

/// Runs a program in an empty home with the files of `fill`, and takes the values that it writes, each with a NUL.
fn read_back(mut program: Command, fill: impl FnOnce(&Path)) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let modules =
        program.get_envs().find(|(name, _)| *name == "NODE_PATH").and_then(|(_, value)| value.map(Into::into));
    let modules: Option<std::ffi::OsString> = modules;
    program.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path()).env("LC_ALL", "C.UTF-8");
    program.envs(modules.map(|path| ("NODE_PATH", path))).current_dir(folder.path());
    let output = program.output().unwrap_or_else(|error| panic!("{program:?}: {error}; scripts/check installs it"));
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut read: Vec<String> = String::from_utf8(output.stdout).unwrap().split('\0').map(str::to_owned).collect();
    assert_eq!(read.pop().as_deref(), Some(""));
    read
}

/// One file for each value, in their order.
fn files(folder: &Path, values: &[String], kind: ShellKind) {
    for (number, value) in values.iter().enumerate() {
        fs::write(folder.join(format!("{number:05}")), printed(value, kind).unwrap()).unwrap();
    }
}

#[track_caller]
fn assert_same(read: &[String], values: &[String]) {
    assert_eq!(read.len(), values.len());
    read.iter().zip(values).for_each(|(read, value)| assert_eq!(read, value));
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// All values in one script, and some as the README says it: `eval "$(devdb env)"`.
#[track_caller]
fn every_value_survives(kind: ShellKind, shell: &[&str]) {
    let values = values();
    let read = read_back(command(shell), |folder| {
        let each = |value: &String| printed(value, kind).unwrap() + "printf '%s\\0' \"$PGPASSWORD\"\n";
        fs::write(folder.join("script"), values.iter().map(each).collect::<String>()).unwrap();
    });
    assert_same(&read, &values);
    let some = &values[..NASTY.len() + 20];
    let evaluated = r#"for file in [0-9]*; do eval "$(cat "$file")"; printf '%s\0' "$PGPASSWORD"; done"#;
    let read = read_back(command(shell), |folder| {
        fs::write(folder.join("script"), evaluated).unwrap();
        files(folder, some, kind);
    });
    assert_same(&read, some);
}

#[test]
fn bash_reads_every_password_back_unchanged() {
    every_value_survives(ShellKind::Bash, &["bash", "script"]);
}

#[test]
fn dash_reads_every_password_back_unchanged() {
    every_value_survives(ShellKind::Bash, &["dash", "script"]);
}

#[test]
fn zsh_reads_every_password_back_unchanged() {
    every_value_survives(ShellKind::Zsh, &["zsh", "-f", "script"]);
}

#[test]
fn fish_reads_every_password_back_unchanged_whether_it_is_sourced_or_evaluated() {
    let values = values();
    for take in ["source $file", "eval (string split \\n <$file)"] {
        // The end of a pattern that matches nothing is an error in fish; a list is none.
        let script = format!("for file in (string match '0*' *); {take}; printf '%s\\0' $PGPASSWORD; end");
        let read = read_back(command(&["fish", "--no-config", "-c", &script]), |folder| {
            files(folder, &values, ShellKind::Fish);
        });
        assert_same(&read, &values);
    }
}

#[test]
fn nushell_reads_every_password_back_unchanged() {
    // Its JSON reader takes its time, and serde_json writes what it reads: fewer values prove as much.
    let values = values();
    let values = &values[..values.len() / 3];
    let script = "for file in (ls | get name) { open --raw $file | from json | load-env; \
                  print --no-newline $env.PGPASSWORD (char nul) }; \
                  hide-env ...('[\"PGPASSWORD\"]' | from json); if PGPASSWORD in $env { error make {msg: 'still set'} }";
    let mut nu = Command::new(readers().nu());
    nu.args(["--no-config-file", "--commands", script]);
    assert_same(&read_back(nu, |folder| files(folder, values, ShellKind::Nu)), values);
}

/// What each reader makes of one file for each value.
fn read_by_every_reader(written: &[String]) {
    let script = |names: &str, each: &str| {
        format!(
            "const fs = require('fs'); {names}
            for (const name of fs.readdirSync('.').sort()) fs.writeSync(1, {each} + '\\0')"
        )
    };
    for each in ["dotenv", "dotenv16"] {
        let names = format!("const {{parse}} = require('{each}')");
        let mut node = readers().node();
        node.args(["-e", &script(&names, "parse(fs.readFileSync(name)).PGPASSWORD")]);
        assert_same(&read_back(node, |folder| files(folder, written, ShellKind::Dotenv)), written);
    }
    let mut node = readers().node();
    node.args([
        "-e",
        &script("const {parseEnv} = require('util')", "parseEnv(fs.readFileSync(name, 'utf8')).PGPASSWORD"),
    ]);
    assert_same(&read_back(node, |folder| files(folder, written, ShellKind::Dotenv)), written);
    let mut python = Command::new(readers().python());
    python.args([
        "-c",
        "import os, sys, dotenv
for name in sorted(os.listdir()):
    sys.stdout.buffer.write(dotenv.dotenv_values(name)['PGPASSWORD'].encode() + b'\\0')",
    ]);
    assert_same(&read_back(python, |folder| files(folder, written, ShellKind::Dotenv)), written);
    for shell in [&["bash", "-c"] as &[&str], &["dash", "-c"], &["zsh", "-fc"]] {
        let mut source = command(shell);
        source.arg("set -a; for file in [0-9]*; do . ./$file; printf '%s\\0' \"$PGPASSWORD\"; done");
        assert_same(&read_back(source, |folder| files(folder, written, ShellKind::Dotenv)), written);
    }
}

#[test]
fn readers_of_env_files_agree_about_what_they_are_given_and_the_rest_is_refused() {
    let (written, refused): (Vec<String>, Vec<String>) =
        values().into_iter().partition(|value| printed(value, ShellKind::Dotenv).is_ok());
    assert!(written.len() * 4 > refused.len(), "{} of {}", refused.len(), written.len());
    for value in &refused {
        assert!(matches!(printed(value, ShellKind::Dotenv), Err(ConnectionError::NotForDotenv { .. })));
        assert!(value.contains(['\'', '\\', '\r', '\n']) || value.contains("${"), "{value:?} needs no escape");
    }
    read_by_every_reader(&written);
}

/// Values as passwords are, of what stands bare.
fn plain_values() -> Vec<String> {
    let letters: Vec<char> = ('!'..='~').filter(|letter| is_bare(&letter.to_string())).collect();
    let mut runner = TestRunner::deterministic();
    let any = proptest::collection::vec(proptest::sample::select(letters.clone()), 1..40);
    let generated = (0..300).map(|_| any.new_tree(&mut runner).unwrap().current().into_iter().collect());
    let single = letters.iter().flat_map(|letter| [letter.to_string(), format!("a{letter}"), format!("{letter}a")]);
    single.chain(generated).collect()
}

fn is_bare(value: &str) -> bool {
    printed(value, ShellKind::Dotenv).is_ok_and(|line| line == format!("PGPASSWORD={value}\n"))
}

#[test]
fn what_stands_bare_is_read_alike_by_docker_run_and_by_those_that_expand() {
    let plain = plain_values();
    assert!(["s3cret", "a-b_c.d/e:f@g%h+i,j=k", "x^y!", "[a]{b}*?"].into_iter().all(is_bare));
    assert!(
        !["=a", "a b", "a#b", "a$b", "~a", "a'b", "a\\b", "a;b", "a&b", "(a)", "a`b", "ü"].into_iter().any(is_bare)
    );
    read_by_every_reader(&plain);
    let mut node = readers().node();
    node.args([
        "-e",
        "const fs = require('fs'), {parse} = require('dotenv'), {expand} = require('dotenv-expand');
        for (const name of fs.readdirSync('.').sort())
            fs.writeSync(1, expand({parsed: parse(fs.readFileSync(name)), processEnv: {}}).parsed.PGPASSWORD + '\\0')",
    ]);
    assert_same(&read_back(node, |folder| files(folder, &plain, ShellKind::Dotenv)), &plain);

    let numbered = |(number, value): (usize, &String)| {
        printed(value, ShellKind::Dotenv).unwrap().replacen("PGPASSWORD", &format!("V{number}"), 1)
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    fs::write(&file, plain.iter().enumerate().map(numbered).collect::<String>()).unwrap();
    let seen = docker_run(&["--env-file", file.to_str().unwrap(), "image"]);
    let wanted: Vec<String> = plain.iter().enumerate().map(|(number, value)| format!("V{number}={value}")).collect();
    assert_eq!(seen, wanted);
    // What the warning is about.
    fs::write(&file, printed("a b", ShellKind::Dotenv).unwrap()).unwrap();
    assert_eq!(docker_run(&["--env-file", file.to_str().unwrap(), "image"]), ["PGPASSWORD='a b'"]);
}

#[test]
fn a_value_in_an_env_file_is_neither_run_nor_another_variable() {
    for value in
        ["x\nLD_PRELOAD=/tmp/x.so", "'\nLD_PRELOAD=/tmp/x.so", "it's $(touch pwned)", "it's `touch pwned`", "'${HOME}"]
    {
        assert!(matches!(printed(value, ShellKind::Dotenv), Err(ConnectionError::NotForDotenv { .. })), "{value:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let (mut lines, mut count) = (String::new(), 0);
    for line in values().iter().filter_map(|value| printed(value, ShellKind::Dotenv).ok()) {
        lines.push_str(&line.replacen("PGPASSWORD", &format!("V{count}"), 1));
        count += 1;
        let (_, written) = line.split_once('=').unwrap();
        assert_eq!(written.matches('\n').count(), 1, "{line:?}");
        let is_inert = written.starts_with('\'') || !written.contains(['$', '`']);
        assert!(is_inert, "{line:?}");
    }
    fs::write(&file, lines).unwrap();
    let seen = docker_run(&["--env-file", file.to_str().unwrap(), "image"]);
    assert_eq!(seen.len(), count);
    assert!(seen.iter().enumerate().all(|(number, one)| one.starts_with(&format!("V{number}="))));
}

/// What `docker run` would tell its engine about the container's environment: the real command, and an engine that
/// hears the request and refuses it.
fn docker_run(words: &[&str]) -> Vec<String> {
    use std::io::{Read, Write};
    let engine = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", engine.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        loop {
            let (mut client, _) = engine.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 65536];
            let body = loop {
                let count = client.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request);
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                if count == 0 || body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break body.to_owned();
                }
            };
            let is_create = String::from_utf8_lossy(&request).contains("/containers/create");
            let status = if is_create { "500 No" } else { "200 OK" };
            let answer =
                format!("HTTP/1.1 {status}\r\nApi-Version: 1.44\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
            client.write_all(answer.as_bytes()).unwrap();
            if is_create {
                return body;
            }
        }
    });
    let home = tempfile::tempdir().unwrap();
    let mut docker = Command::new("docker");
    docker.arg("run").args(words).env("DOCKER_HOST", address).env("DOCKER_CONFIG", home.path());
    let output = docker.output().unwrap_or_else(|error| panic!("docker: {error}; scripts/check installs it"));
    assert!(!output.status.success());
    let request: serde_json::Value = serde_json::from_str(&heard.join().unwrap()).unwrap();
    request["Env"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_set_is_taken_away_again() {
    let names = ["PGHOST", "PGPASSWORD"];
    let unset = |kind| devdb::connection::unset(&names, kind).unwrap();
    for (kind, shell) in [
        (ShellKind::Bash, &["bash", "-c"] as &[&str]),
        (ShellKind::Bash, &["dash", "-c"]),
        (ShellKind::Zsh, &["zsh", "-fc"]),
        (ShellKind::Fish, &["fish", "--no-config", "-c"]),
    ] {
        let script = format!("{}env", unset(kind));
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).arg(script).env("PGHOST", "db").env("PGPASSWORD", "x").env("PGUSER", "app");
        let output = command.output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(!shown.contains("PGHOST") && !shown.contains("PGPASSWORD") && shown.contains("PGUSER=app"), "{shown}");
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
