//! Every verb on a real terminal, in a clone whose settings are hostile and not trusted.

use crate::hostile_scene::{EVIL, EVIL_NAME, assert_harmless, toml};
use crate::hostile_text::{ROWS, SPINNER, needed, on_a_terminal};
use devdb::testing::Stage;

/// These take nothing from the settings, or from the environment that is named.
const READS_NONE: [&str; 4] = ["completions", "man", "trust", "untrust"];
/// These read the repository's own files and no environment.
const NEEDS_NO_TRUST: [&str; 5] = ["migrate new", "migrate check", "migrate import", "config show", "doctor"];

fn shows(stage: &Stage, words: &[&str]) -> String {
    // The port is no database's: what asks one is told so.
    let shown = on_a_terminal(stage, words, "postgres://ada@127.0.0.1:1/app");
    assert!(shown.contains("code "), "{words:?}: {shown:?}");
    let shown = SPINNER.iter().fold(shown, |shown, moved| shown.replace(moved, ""));
    assert_harmless(&shown, &format!("{words:?}"));
    shown
}

#[test]
fn no_verb_sends_a_real_terminal_what_a_clone_says() {
    let settings = format!("project = \"shop\"\n[environment.dev]\nregion = {}\n", toml(EVIL));
    for (verb, _) in ROWS {
        let file = format!("db/migrations/{EVIL_NAME}.up.sql");
        let stage = Stage::new().file("devdb.toml", &settings).file(&file, "select 1;");
        // A question would be answered by no one here; its words are devdb's own.
        let words: Vec<&str> =
            std::iter::once("--no-input").chain(verb.split(' ')).chain(needed(verb).iter().copied()).collect();
        let shown = shows(&stage, &words);
        let is_shown = shown.contains("mallory\\u{");
        assert!(is_shown || READS_NONE.contains(verb) || NEEDS_NO_TRUST.contains(verb), "{verb}: {shown}");
        let shown = shows(&stage, &[&["-e", EVIL], words.as_slice()].concat());
        assert!(shown.contains("mallory\\u{") || READS_NONE.contains(verb), "{verb}: {shown}");
    }
}
