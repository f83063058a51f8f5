//! What commands rely on of questions, told once and checked twice: on the script of the tests, and on a person's
//! keyboard at a real terminal (script(1) gives one).

use devdb::host::Host;
use devdb::testing::{Answer, ScriptedPrompter};
use devdb::ui::Prompter;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const VARIABLE: &str = "DEVDB_TEST_QUESTION";

/// Asks one question and tells what came of it.
fn ask(prompter: &dyn Prompter, question: &str) -> String {
    let outcome = match question {
        "confirm" => prompter.confirm("end it?").map(|yes| yes.to_string()),
        "select" => {
            prompter.select("which cluster?", &["shop".to_owned(), "stock".to_owned()]).map(|index| index.to_string())
        }
        "text" => prompter.text("which name?", None),
        "default" => prompter.text("which name?", Some("ada")),
        other => panic!("`{other}` is no question"),
    };
    outcome.unwrap_or_else(|error| format!("error: {error}"))
}

/// `answer` puts a question to somebody who gives this answer, or presses these keys; without any there is nobody.
fn contract(answer: impl Fn(&str, Option<(Answer, &[u8])>) -> String) {
    let says = |question, scripted, keys: &[u8]| answer(question, Some((scripted, keys)));
    assert_eq!(says("confirm", Answer::Confirm(true), b"y\r"), "true");
    assert_eq!(says("confirm", Answer::Confirm(false), b"n\r"), "false");
    assert_eq!(says("confirm", Answer::Confirm(false), b"\r"), "false", "plain Enter means no");
    assert_eq!(says("select", Answer::Select(0), b"\r"), "0");
    assert_eq!(says("select", Answer::Select(1), b"\x1b[B\r"), "1");
    assert_eq!(says("text", Answer::Text("grace".to_owned()), b"grace\r"), "grace");
    assert_eq!(says("default", Answer::Text("ada".to_owned()), b"\r"), "ada");
    for question in ["confirm", "select", "text"] {
        assert_eq!(says(question, Answer::Cancel, b"\x03"), "error: cancelled");
        assert_eq!(answer(question, None), "error: there is no terminal to ask at");
    }
}

#[test]
fn the_scripted_prompter_keeps_the_contract() {
    contract(|question, given| {
        let prompter = ScriptedPrompter::default();
        prompter.script(given.map(|(scripted, _)| scripted));
        ask(&prompter, question)
    });
}

#[test]
fn the_terminal_keeps_the_contract() {
    contract(|question, given| match given {
        Some((_, keys)) => at_a_terminal(question, keys),
        None => outcome(&asking(&["setsid", "--wait"], question).stdin(Stdio::null()).output().unwrap().stdout),
    });
}

/// The other half of [`the_terminal_keeps_the_contract`]: the process that asks.
#[test]
fn somebody_asks() {
    if let Ok(question) = std::env::var(VARIABLE) {
        let mut screen = std::io::stdout();
        writeln!(screen, "\noutcome<{}>", ask(&*Host::from_process().prompter, &question)).unwrap();
    }
}

/// This program again, with nothing to do but to ask, below `wrapper`.
fn asking(wrapper: &[&str], question: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let (program, arguments) = wrapper.split_first().unwrap();
    let mut command = Command::new(program);
    command.args(arguments);
    if *program == "script" {
        command.arg("--command").arg(format!("'{}' {CHILD}", this.display())).arg("/dev/null");
    } else {
        command.arg(this).args(CHILD.split(' '));
    }
    command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("TERM", "xterm"), (VARIABLE, question)]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

const CHILD: &str = "--exact prompter::somebody_asks --nocapture";

fn at_a_terminal(question: &str, keys: &[u8]) -> String {
    let mut terminal =
        asking(&["script", "--quiet", "--echo", "never", "--flush"], question).stdin(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (mut shown, mut buffer, mut pressed) = (Vec::new(), [0; 1024], false);
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
        if !pressed && shown.contains(&b'?') {
            keyboard.write_all(keys).unwrap();
            pressed = true;
        }
    }
    terminal.wait().unwrap();
    outcome(&shown)
}

fn outcome(shown: &[u8]) -> String {
    let shown = String::from_utf8_lossy(shown);
    let found = shown.split_once("outcome<").and_then(|(_, rest)| rest.split_once('>'));
    found.unwrap_or_else(|| panic!("nothing came of the question: {shown}")).0.to_owned()
}
