//! Words that command a terminal, and a box in which nothing of the kind may be shown.

use devdb::system::Captured;
use devdb::testing::{Outcome, Stage};

/// Hidden colour, clipboard, title, screen, C1, DEL, the other direction, nothing to see, line ends of every kind, and
/// lines and commands that would be taken for devdb's own.
pub(crate) const EVIL: &str = "mallory\u{1b}[8m\u{1b}]52;c;aGk=\u{7}\u{1b}[2J\u{9b}41m\u{9d}0;x\u{9c}\u{8}\u{7f}\u{202e}\u{2066}\u{200b}\u{61c}\
                               \u{feff}\u{e0041}\u{2028}\u{2029}\u{85}\u{b}\u{c}\r\nerror: forged\nhint: forged `; curl x | sh #\t$(id)";
/// The same within 63 bytes, as an identifier.
pub(crate) const EVIL_ID: &str = "mallory\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}\u{202e}\u{200b}\nerror: forged\nhint: forged `";
/// The same without control characters, as the name of a migration.
pub(crate) const EVIL_NAME: &str = "2_mallory\u{202e}\u{200b}\u{2028}`; $(id) '#";

/// What devdb colours with, and clap's headings and errors.
const OWN: [&str; 10] = ["0m", "1m", "2m", "4m", "31m", "32m", "33m", "36m", "1;33m", "1;31m"];

/// Without the escape sequences that are devdb's own.
fn without_colours(text: &str) -> String {
    OWN.iter().fold(text.to_owned(), |text, style| text.replace(&format!("\u{1b}[{style}"), ""))
}

pub(crate) fn is_hostile(letter: char) -> bool {
    matches!(letter, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}')
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(letter, '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}' | '\u{e0000}'..='\u{e007f}')
}

#[track_caller]
pub(crate) fn assert_harmless(text: &str, what: &str) {
    let plain = without_colours(text);
    assert!(!plain.contains(is_hostile), "{what}: {plain:?}");
    for line in plain.lines() {
        let words = ["error: forged", "hint: forged"].iter().any(|words| line.trim_start().starts_with(words));
        assert!(!words || line.starts_with("  "), "{what}: {plain}");
    }
}

/// A box, and what was shown in it.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    /// All that was shown, so that a test can see that the hostile text was in it at all.
    shown: String,
    /// All that the documents said, as a program reads them.
    said: String,
}

impl Scene {
    pub(crate) fn new(stage: Stage) -> Self {
        let stage = stage.terminal().screen();
        let stderr = format!("OpenSSH_9.2 {EVIL}\n").into_bytes();
        stage.processes.set_output("ssh", Captured { code: 0, stdout: Vec::new(), stderr });
        Self { stage, shown: String::new(), said: String::new() }
    }

    /// On a terminal, with colours; then with `--json`.
    #[track_caller]
    pub(crate) fn run(&mut self, words: &[&str]) -> &mut Self {
        let Outcome { stdout, stderr, .. } = self.stage.run_all(&[&["devdb", "--color", "always"], words].concat());
        assert_harmless(&stdout, &format!("stdout of {words:?}"));
        assert_harmless(&stderr, &format!("stderr of {words:?}"));
        for line in without_colours(&stderr).lines() {
            assert!(!line.trim_start().starts_with("error: forged"), "{words:?}: {stderr}");
        }
        for question in self.stage.prompter.questions() {
            assert_harmless(&question, &format!("question of {words:?}"));
        }
        self.shown.push_str(&stdout);
        self.shown.push_str(&stderr);
        self.document(words)
    }

    #[track_caller]
    pub(crate) fn document(&mut self, words: &[&str]) -> &mut Self {
        let Outcome { stdout, stderr, .. } = self.stage.run_all(&[&["devdb", "--json"], words].concat());
        for text in [&stdout, &stderr] {
            assert!(!text.contains(is_hostile), "{words:?}: {text:?}");
        }
        let is_document = !matches!(words, ["completions" | "man", ..]) && !words.contains(&"--sql");
        for text in std::iter::once(stdout.as_str()).filter(|_| is_document).chain(stderr.lines()) {
            if text.starts_with(['{', '[']) {
                let value: serde_json::Value =
                    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
                strings(&value, &mut self.said);
            }
        }
        self
    }

    /// The text was there, and stood there by its numbers; programs read it as it is.
    #[track_caller]
    pub(crate) fn saw(&mut self, hostile: &str) {
        let first = hostile.chars().find(|letter| is_hostile(*letter)).unwrap();
        let bytes: String = first.to_string().bytes().map(|byte| format!("\\{byte:03o}")).collect();
        let numbers = [format!("mallory{}", first.escape_unicode()), format!("mallory{bytes}")];
        assert!(numbers.iter().any(|number| self.shown.contains(number)), "{numbers:?} is not in {}", self.shown);
        assert!(self.said.contains(&format!("mallory{first}")), "{:?}", self.said);
        (self.shown, self.said) = (String::new(), String::new());
    }
}

fn strings(value: &serde_json::Value, said: &mut String) {
    match value {
        serde_json::Value::String(text) => said.push_str(text),
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings(value, said)),
        serde_json::Value::Object(values) => values.iter().for_each(|(key, value)| {
            said.push_str(key);
            strings(value, said);
        }),
        _ => {}
    }
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(crate) fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text of TOML that is all escapes.
pub(crate) fn toml(text: &str) -> String {
    let escaped = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_string(),
        letter => format!("\\U{:08x}", u32::from(letter)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}
