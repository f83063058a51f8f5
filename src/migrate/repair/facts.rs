use crate::migrate::{
    Direction, FileHistory, JournalRow, Layout, LedgerRow, MigrationName, MigrationSource, Script, fingerprint,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Why a migration without files cannot be undone.
pub const NO_FILE_NO_DOWN: &str = "has no down part, neither in the journal nor on a branch";

/// Where SQL that is no file of the folder comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    File,
    /// As it was executed, or would have been.
    Journal,
    Commit {
        commit: String,
        author: String,
        branch: Option<String>,
    },
}

/// How a migration can be undone.
#[derive(Debug, Clone)]
pub enum Undo {
    Script(Script, Origin),
    /// Why not, as a clause that follows the migration's name.
    Impossible(String),
}

/// What is known of a migration that a repair is about.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What its file says now; otherwise why it cannot be run.
    pub file: Result<Script, String>,
    /// What was executed, as far as that is known: the journal's text, the file's, another commit's.
    pub executed: Option<Script>,
    pub undo: Undo,
    /// The journal says that it was this user.
    pub is_mine: bool,
    /// For a missing one: where its files are.
    pub found: Option<Origin>,
    /// For a missing one: the pending file with the same statements.
    pub renamed_to: Option<MigrationName>,
}

pub type Facts = BTreeMap<String, Fact>;

/// Reads what the files, the journal and git know about these migrations.
pub(super) struct Gathering<'a> {
    pub(super) source: &'a dyn MigrationSource,
    pub(super) history: &'a dyn FileHistory,
    pub(super) rows: &'a [LedgerRow],
    pub(super) journal: &'a [JournalRow],
    /// This user's alias in the journal; empty where that is nobody.
    pub(super) alias: &'a str,
}

impl Gathering<'_> {
    /// `executed` are those that may have to be undone; all pending files are looked at.
    pub(super) fn facts(&self, executed: &[String], pending: &[MigrationName]) -> Facts {
        let mut facts = Facts::new();
        for name in pending {
            facts.insert(name.to_string(), self.of_file(name));
        }
        for name in executed {
            let parsed = MigrationName::parse(name).ok().filter(|name| self.source.names().contains(name));
            let mut fact = match &parsed {
                Some(name) => self.of_executed(name),
                None => self.of_missing(name),
            };
            if parsed.is_none() {
                fact.renamed_to = same_statements(&fact, pending, &facts);
            }
            facts.insert(name.clone(), fact);
        }
        facts
    }

    /// The journal's row, if it is about this very execution.
    pub(super) fn entry(&self, name: &str) -> Option<&JournalRow> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        self.journal.iter().find(|entry| entry.name == name && entry.timestamp == row.timestamp && !entry.is_undone)
    }

    pub(super) fn is_mine(&self, entry: Option<&JournalRow>) -> bool {
        entry.is_some_and(|entry| !self.alias.is_empty() && entry.alias() == self.alias)
    }

    fn of_file(&self, name: &MigrationName) -> Fact {
        let file = match self.source.script(name, Direction::Up) {
            Ok(Some(script)) => without_markers(script),
            Ok(None) => Err("has no up part".to_owned()),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        let undo = Undo::Impossible("was never executed".to_owned());
        Fact { file, executed: None, undo, is_mine: false, found: None, renamed_to: None }
    }

    fn of_executed(&self, name: &MigrationName) -> Fact {
        let mut fact = self.of_file(name);
        let entry = self.entry(name.as_str());
        fact.is_mine = self.is_mine(entry);
        let is_edited = match (&fact.file, entry) {
            (Ok(script), Some(entry)) => fingerprint(script) != entry.hash,
            _ => false,
        };
        fact.executed = entry.and_then(|entry| parse(&entry.up_sql, name.as_str(), Direction::Up).ok());
        // A file that was edited since is not what was executed.
        fact.executed = fact.executed.or_else(|| fact.file.as_ref().ok().filter(|_| !is_edited).cloned());
        let kept = entry.and_then(|entry| entry.down_sql.as_deref());
        let kept = || kept.map(|text| journaled(text, name.as_str()));
        let on_disk = match self.source.script(name, Direction::Down) {
            Ok(Some(script)) => Some(match without_markers(script) {
                Ok(script) => Undo::Script(script, Origin::File),
                Err(reason) => Undo::Impossible(reason),
            }),
            Ok(None) => None,
            Err(error) => Some(Undo::Impossible(format!("cannot be undone: {error}"))),
        };
        // The file's own down part undoes what the file says, so it counts only while that is what was executed.
        let undo = if is_edited { kept() } else { on_disk.or_else(kept) };
        fact.undo = undo.unwrap_or_else(|| {
            Undo::Impossible(if is_edited {
                "was edited after it was executed, and the journal holds no down part".to_owned()
            } else {
                "has no down part".to_owned()
            })
        });
        fact
    }

    fn of_missing(&self, name: &str) -> Fact {
        let entry = self.entry(name);
        let elsewhere = self.history.find(name);
        let origin = elsewhere.as_ref().map(|found| Origin::Commit {
            commit: found.commit.clone(),
            author: found.author.clone(),
            branch: found.branch.clone(),
        });
        let read = |direction: Direction| {
            let found = elsewhere.as_ref()?;
            let ending = format!(".{}.sql", direction.word());
            let pair = found.files.iter().find(|(file, _)| file.ends_with(&ending)).map(|file| (file, Layout::Whole));
            let single = || {
                let single = format!("{name}.sql");
                found.files.iter().find(|(file, _)| *file == single).map(|file| (file, Layout::Parts))
            };
            let ((file, content), layout) = pair.or_else(single)?;
            let shown = format!("{}:{file}", found.commit.get(..7).unwrap_or(&found.commit));
            Script::parse(Path::new(&shown), content.as_slice(), layout, direction).ok().flatten()
        };
        let up = read(Direction::Up);
        let is_other = matches!((&up, entry), (Some(up), Some(entry)) if fingerprint(up) != entry.hash);
        let kept = entry.and_then(|entry| entry.down_sql.as_deref());
        let committed = || {
            let down = read(Direction::Down).filter(|_| !is_other)?;
            Some(Undo::Script(down, origin.clone()?))
        };
        let undo = kept.map(|text| journaled(text, name)).or_else(committed);
        let executed = entry.and_then(|entry| parse(&entry.up_sql, name, Direction::Up).ok());
        let found = origin.clone().or_else(|| entry.map(|_| Origin::Journal));
        Fact {
            file: Err("has no file here".to_owned()),
            executed: executed.or(up),
            undo: undo.unwrap_or_else(|| Undo::Impossible(NO_FILE_NO_DOWN.to_owned())),
            is_mine: self.is_mine(entry),
            found,
            renamed_to: None,
        }
    }
}

fn parse(text: &str, name: &str, direction: Direction) -> Result<Script, String> {
    let shown = format!("{name} ({}, from the journal)", direction.word());
    let script = Script::parse(Path::new(&shown), text, Layout::Whole, direction);
    script.map_err(|error| error.to_string())?.ok_or_else(String::new)
}

fn journaled(text: &str, name: &str) -> Undo {
    match parse(text, name, Direction::Down) {
        Ok(script) => Undo::Script(script, Origin::Journal),
        Err(reason) => Undo::Impossible(format!("cannot be undone: {reason}")),
    }
}

/// A file in the middle of a merge is nobody's intention.
fn without_markers(script: Script) -> Result<Script, String> {
    let is_marker = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    if script.standalone().lines().any(is_marker) {
        return Err("has conflict markers".to_owned());
    }
    Ok(script)
}

/// The only pending file that says what a missing one said.
fn same_statements(missing: &Fact, pending: &[MigrationName], facts: &Facts) -> Option<MigrationName> {
    let wanted = fingerprint(missing.executed.as_ref()?);
    let is_same = |name: &&MigrationName| {
        let file = facts.get(name.as_str()).and_then(|fact| fact.file.as_ref().ok());
        file.is_some_and(|script| fingerprint(script) == wanted)
    };
    let mut same = pending.iter().filter(is_same);
    same.next().filter(|_| same.next().is_none()).cloned()
}
