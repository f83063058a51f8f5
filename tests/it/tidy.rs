//! The house rules that a compiler does not know: who may import whom, where foreign crates live, file sizes, names.
//! Each failure says the rule and what to do. `ARCHITECTURE.md` explains the rooms.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms of this crate that it may use besides itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("bin", &[]),
    ("lib", &["commands", "host", "ui"]),
    ("cli", &["commands"]),
    (
        "commands",
        &[
            "bastion",
            "cli",
            "config",
            "connection",
            "discovery",
            "error",
            "host",
            "migrate",
            "schema",
            "system",
            "tunnel",
            "ui",
        ],
    ),
    ("bastion", &["system"]),
    ("discovery", &["system"]),
    ("tunnel", &["system"]),
    ("migrate", &["system"]),
    ("schema", &["system"]),
    ("lambda", &["adapters", "connection", "migrate", "system"]),
    ("connection", &["system"]),
    ("config", &["system"]),
    ("ui", &["system"]),
    ("system", &[]),
    ("error", &["bastion", "config", "connection", "discovery", "migrate", "schema", "system", "tunnel", "ui"]),
    (
        "host",
        &["adapters", "bastion", "config", "connection", "discovery", "migrate", "schema", "system", "tunnel", "ui"],
    ),
    ("adapters", &["bastion", "connection", "discovery", "host", "migrate", "schema", "system", "tunnel", "ui"]),
    (
        "testing",
        &["bastion", "config", "connection", "discovery", "host", "migrate", "schema", "system", "tunnel", "ui"],
    ),
];

/// A foreign crate (or a prefix of several) and its only homes.
const HOMES: &[(&str, &[&str])] = &[
    ("aws_", &["adapters/aws"]),
    ("clap", &["cli", "commands"]),
    ("indicatif", &["ui"]),
    ("inquire", &["adapters/terminal"]),
    ("listeners", &["adapters/process", "adapters/sockets"]),
    ("openssh", &["adapters"]),
    ("rustls", &["adapters"]),
    ("squawk_", &["adapters/lint"]),
    ("ssh_key", &["adapters"]),
    ("sysinfo", &["adapters/process"]),
    ("tokio_postgres", &["adapters/postgres"]),
    ("tokio_rustls", &["adapters"]),
    ("toml", &["config"]),
    ("ureq", &["adapters"]),
    ("x509_parser", &["adapters"]),
];

/// Files that are longer than a page may be. This list only shrinks.
const LONG_FILES: &[&str] = &[];
const LONGEST: usize = 400;

const BANNED_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

struct Source {
    /// Path below `src`, with slashes.
    path: String,
    room: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let base = root().join("src");
    let mut files = Vec::new();
    walk(&base, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
            let room = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            Source { room, text: fs::read_to_string(&file).unwrap(), path }
        })
        .collect()
}

/// The code without comments, so that a doc link is no import.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
}

/// The names that follow `crate::` in a line, `crate::{a, b::c}` included.
fn imports(line: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, marker) in line.match_indices("crate::") {
        if line[..at].ends_with('$') {
            continue;
        }
        let rest = &line[at + marker.len()..];
        let word =
            |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
        match rest.strip_prefix('{') {
            Some(list) => names.extend(list.split(',').map(word)),
            None => {
                names.insert(word(rest));
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else {
            wrong.push(format!(
                "src/{} stands in no known room: add the room to tests/it/tidy.rs and ARCHITECTURE.md",
                source.path
            ));
            continue;
        };
        for (line, text) in code(&source.text) {
            for name in imports(text) {
                // Tests inside a room rehearse with the fakes; the product cannot, because it is built without them.
                if name == "testing" {
                    continue;
                }
                let is_room = ROOMS.iter().any(|(room, _)| *room == name);
                if is_room && name != source.room && !allowed.contains(&name.as_str()) {
                    wrong.push(format!(
                        "src/{}:{line} uses `crate::{name}`: {} may use {allowed:?}; let reception carry the value instead",
                        source.path, source.room
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn foreign_crates_stay_in_their_homes() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (line, text) in code(&source.text) {
            for (krate, homes) in HOMES {
                let used = text.match_indices(krate).any(|(at, _)| {
                    let before = text[..at].chars().next_back();
                    let after = &text[at + krate.len()..];
                    let starts_a_path =
                        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '"');
                    let is_path = if krate.ends_with('_') { after.contains("::") } else { after.starts_with("::") };
                    starts_a_path && is_path
                });
                if used && !homes.iter().any(|home| source.path.starts_with(home)) {
                    wrong.push(format!(
                        "src/{}:{line} uses `{krate}`, whose home is {homes:?}: put it behind a trait",
                        source.path
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_are_pages_with_names_that_say_something() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let excused = LONG_FILES.contains(&source.path.as_str());
        if lines > LONGEST && !excused {
            wrong.push(format!("src/{} has {lines} lines: split it by topic (the limit is {LONGEST})", source.path));
        }
        if lines <= LONGEST && excused {
            wrong.push(format!("src/{} is short enough now: take it off LONG_FILES", source.path));
        }
        let stem = source.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if BANNED_NAMES.contains(&stem) {
            wrong.push(format!("src/{}: `{stem}` says nothing; name the file after the one thing in it", source.path));
        }
        for name in ["Manager", "Helper", "Utils"] {
            if code(&source.text).any(|(_, line)| {
                line.contains(&format!("struct {name}"))
                    || line.contains(&format!("{name} {{")) && line.contains("struct ")
            }) {
                wrong.push(format!("src/{} has a type named `…{name}`: name it after what it is", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// With a repository's own configuration it runs what that says.
#[test]
fn git_is_started_in_one_way() {
    let elsewhere = sources().into_iter().filter(|source| source.path != "system/git.rs");
    let starts =
        elsewhere.filter(|source| source.text.contains("program: \"git\"") || source.text.contains("new(\"git\")"));
    let found: Vec<String> = starts.map(|source| source.path).collect();
    assert!(found.is_empty(), "{found:?}: ask through `system::git`");
}

#[test]
fn room_doors_hold_no_logic() {
    let mut wrong = Vec::new();
    for source in sources() {
        let is_door = source.path.ends_with("/mod.rs") && !source.path.starts_with("commands/");
        if is_door && code(&source.text).any(|(_, line)| line.contains("fn ")) {
            wrong.push(format!(
                "src/{}: a mod.rs is the room's doc comment and its re-exports; move the function",
                source.path
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished_in_the_source() {
    let marks = ["todo!(", "unimplemented!(", "TODO", "FIXME", "XXX"];
    let mut wrong = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                wrong.push(format!("src/{}:{} is marked unfinished: finish it, or file an issue", source.path, at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
