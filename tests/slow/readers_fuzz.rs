//! Whatever stands in a file, a secret, an answer of a server or the process list: no reader panics, and nothing of it
//! commands the terminal. `DEVDB_TEST_SEEDS` says how often.

use crate::hostile_scene::{EVIL, assert_harmless, is_hostile};
use crate::support::dice::seeds;
use devdb::config::{COMMITTED_FILE, PERSONAL_FILE};
use devdb::connection::{ShellKind, Variable, render};
use devdb::error::CommandError;
use devdb::system::{Captured, DatabaseError, ProcessInfo, ServerError};
use devdb::testing::{FakeCloud, Stage};
use devdb::ui::{Printer, PrinterSettings, Selection};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::io::Write;
use std::sync::{Arc, Mutex};

const SETTINGS: &str = "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\n\
                        ca_file = \"ca.pem\"\n[environment.dev.tunnel]\nwriter_port = 5432\n[migrations]\ndir = \"db\"\n";
const SECRET: &str = r#"{"username":"app","password":"s3cret","dbname":"app","host":"db","port":5432}"#;
const ADDRESS: &str = "postgres://app:s3cret@127.0.0.1:1/app?sslmode=disable&application_name=x";
const SSH: &str = "-fNTL 127.0.0.1:5432:db.example.com:5432 -o ExitOnForwardFailure=yes -p 22 -J jump ec2-user@bastion";
const SSH_SETTINGS: &str = "user ec2-user\nhostname bastion\nport 22\nlocalforward 5432 [db.example.com]:5432\n";

/// Pieces that mean something to one reader or another.
const PIECES: [&str; 40] = [
    "\u{1b}[2J",
    "\u{1b}]0;x\u{7}",
    "\u{9b}",
    "\u{202e}",
    "\u{2028}",
    "\u{200b}",
    "\0",
    "\r",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "'",
    "\\",
    "`",
    "$(id)",
    "${HOME}",
    "#",
    "=",
    "[",
    "]",
    "[[",
    "{",
    "}",
    ",",
    ":",
    "-",
    "-L",
    "-o",
    "@",
    "%",
    "%00",
    "\\u001b",
    "\\x1b",
    "/",
    "\u{feff}",
    "é",
    "\u{1f600}",
    "error: forged",
];

/// A valid text with a few places that are cut out and filled with something else.
fn torn(valid: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(PIECES.to_vec()).prop_map(str::to_owned),
        2 => any::<char>().prop_map(String::from),
        1 => Just(EVIL.to_owned()),
    ];
    let tear = (0..=valid.len(), 0..12_usize, proptest::collection::vec(piece, 0..4));
    proptest::collection::vec(tear, 1..4).prop_map(move |tears| {
        let mut text = valid.to_owned();
        for (at, length, pieces) in tears {
            let at = text.floor_char_boundary(at.min(text.len()));
            let end = text.floor_char_boundary((at + length).min(text.len()));
            text.replace_range(at..end, &pieces.concat());
        }
        text
    })
}

fn each<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let seeds = u32::try_from(seeds().unwrap_or(1)).unwrap();
    let config =
        Config { cases: cases * seeds, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seeds.to_le_bytes()[0]; 32]);
    let ran = TestRunner::new_with_rng(config, rng).run(&strategy, |value| {
        test(value);
        Ok(())
    });
    ran.unwrap();
}

/// What a command shows on a terminal, and as a document.
fn shows(stage: &Stage, words: &[&str]) {
    for mode in [["--color", "always"], ["--json", "--no-input"]] {
        // A silent tunnel is waited for, and here no clock need tell how long.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let argv = [&["devdb"], &mode[..], words].concat();
        let outcome = runtime.block_on(stage.play(&argv));
        assert_ne!(outcome.code, 70, "{outcome}");
        for text in [&outcome.stdout, &outcome.stderr] {
            assert_harmless(text, &format!("{words:?}"));
            assert!(mode[0] == "--color" || !text.contains(is_hostile), "{text:?}");
        }
    }
}

#[test]
fn settings() {
    each(100, (torn(SETTINGS), torn("alias = \"ada\"\n")), |(committed, personal)| {
        let stage = Stage::new().file(COMMITTED_FILE, &committed).file(PERSONAL_FILE, &personal).screen().terminal();
        shows(&stage, &["config", "show", "--origin"]);
    });
}

#[test]
fn secrets_and_what_is_printed_of_them() {
    each(60, torn(SECRET), |secret| {
        let cloud = Arc::new(FakeCloud::default());
        cloud.set_secret(&[Some(&secret)]);
        let stage = Stage::new().file(COMMITTED_FILE, SETTINGS).file("ca.pem", "").cloud(&cloud).screen().terminal();
        shows(&stage, &["env", "--shell", "bash"]);
        shows(&stage, &["env", "--shell", "dotenv"]);
    });
}

#[test]
fn addresses() {
    each(100, torn(ADDRESS), |address| {
        let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1").screen().terminal();
        shows(&stage, &["exec", &format!("--database-url={address}"), "--", "true"]);
    });
}

#[test]
fn values_of_env_files() {
    each(1000, torn("it's a value"), |value| {
        let Ok(line) = render(&[Variable::plain("V", value.as_str())], &[], ShellKind::Dotenv) else { return };
        let written = line.strip_prefix("V=").and_then(|line| line.strip_suffix('\n')).unwrap();
        let inside = |quote: char| written.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let read = inside('\'').or_else(|| inside('"')).unwrap_or(written);
        assert_eq!(read, value);
        assert!(!written.contains('\n') && (written.starts_with('\'') || !written.contains(['$', '`'])), "{line}");
    });
}

#[test]
fn the_process_list_and_what_ssh_says_of_it() {
    let list = (torn(SSH), torn(SSH_SETTINGS), torn("ssh"), any::<bool>());
    each(50, list, |(line, settings, name, own)| {
        let words: Vec<String> = std::iter::once("ssh").chain(line.split(' ')).map(str::to_owned).collect();
        let stage = Stage::new().file(COMMITTED_FILE, SETTINGS).file("ca.pem", "").screen().terminal();
        let table = [(4711, words.clone(), "ssh".to_owned()), (4712, words, name)];
        for (pid, command, name) in table {
            stage.processes.add(ProcessInfo { pid, name, command, own, ..ProcessInfo::default() });
        }
        stage.processes.set_output("ssh", Captured { code: 0, stdout: settings.into_bytes(), stderr: Vec::new() });
        stage.processes.listen(5432, 4711);
        for words in [&["tunnel", "ports"][..], &["tunnel", "kill-stale"], &["tunnel", "kill-stale", "--all-ports"]] {
            shows(&stage, words);
        }
        stage.prompter.questions().iter().for_each(|question| assert_harmless(question, "a question"));
    });
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_a_server() {
    let part = || torn("relation \"users\" does not exist");
    let error = (part(), part(), part(), torn("PL/pgSQL function f() line 1 at RAISE"), torn("42P01"));
    each(1000, error, |(message, detail, hint, context, code)| {
        let (detail, hint, context) = (Some(detail), Some(hint), Some(context));
        let error = ServerError { code, message, detail, hint, context, position: None };
        let screen = Screen::default();
        let stream = || Arc::new(Mutex::new(Box::new(screen.clone()) as Box<dyn Write + Send>));
        for json in [false, true] {
            let settings = PrinterSettings {
                json,
                quiet: false,
                verbose: 0,
                color_out: !json,
                color_err: !json,
                animate: false,
                screen: true,
            };
            let printer = Printer::new(settings, Selection::default(), stream(), stream());
            printer.failure(&CommandError::from(DatabaseError::Server(Box::new(error.clone()))).failure());
            printer.warning(&error.to_string());
        }
        let shown = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
        assert_harmless(&shown, "an error");
    });
}
