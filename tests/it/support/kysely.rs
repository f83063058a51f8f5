//! Real Kysely, several versions of it, in one Node process (`tests/kysely`).

use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Each names its lock and its ledger in the same way, and takes the lock in another.
pub(crate) const VERSIONS: [&str; 3] = ["0.28", "0.29", "0.30"];

/// What a call of Kysely's Migrator returned. `results` is empty where Kysely leaves it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Name, direction, status.
    pub(crate) results: Vec<(String, String, String)>,
    pub(crate) error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MigrationResult {
    migration_name: String,
    direction: String,
    status: String,
}

impl Answer {
    /// From a document with Kysely's `results`, and `error` as a text or as devdb's object.
    pub(crate) fn from_json(document: &Value) -> Self {
        let results: Option<Vec<MigrationResult>> = serde_json::from_value(document["results"].clone()).unwrap();
        let results = results.unwrap_or_default().into_iter();
        let error = document["error"].as_str().or_else(|| document["error"]["message"].as_str());
        Self {
            results: results.map(|one| (one.migration_name, one.direction, one.status)).collect(),
            error: error.map(str::to_owned),
        }
    }
}

/// The driver; it ends with its stdin.
pub(crate) struct Kysely {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// The folder that `tests/kysely/install` has filled from npm.
pub(crate) fn installed(words: &[&str]) -> PathBuf {
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kysely/install");
    let installed = Command::new(install).args(words).stderr(Stdio::inherit()).output().unwrap();
    assert!(installed.status.success(), "{install}: Kysely cannot be installed from npm");
    PathBuf::from(String::from_utf8(installed.stdout).unwrap().trim_end())
}

impl Kysely {
    pub(crate) fn start() -> Self {
        let mut node = Command::new("node");
        let provider = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/import/sql-migration-provider.ts");
        node.arg(installed(&[]).join("migrator.mjs")).arg(provider);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    /// Starts a call; answers come in the order of the calls.
    pub(crate) fn ask(&mut self, version: &str, url: &str, folder: &Path, words: &[&str], unordered: bool) {
        let name = words.get(1);
        let line = json!({
            "kysely": version, "url": url, "folder": folder, "verb": words[0], "name": name, "unordered": unordered,
        });
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Kysely's `getMigrations`: each name, and when it was executed.
    pub(crate) fn migrations(&mut self, version: &str, url: &str, folder: &Path) -> Vec<(String, Option<String>)> {
        self.ask(version, url, folder, &["list"], false);
        let document = self.document();
        let found = document["migrations"].as_array().unwrap_or_else(|| panic!("{document}")).iter();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        found.map(|one| (text(&one["name"]).unwrap(), text(&one["executedAt"]))).collect()
    }

    fn document(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let document = self.document();
        let answer = Answer::from_json(&document);
        let broken = answer.error.as_deref().is_some_and(|error| error.starts_with("driver:"));
        assert!(!broken, "{answer:?}");
        answer
    }
}

impl Drop for Kysely {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
