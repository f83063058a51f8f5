use super::report::ErrorReport;
use super::{Direction, Engine, Event, MigrateError, MigrationDatabase, MigrationName, Opened, RunReport, Target};
use crate::system::DatabaseError;
use async_trait::async_trait;
use serde::Serialize;
use std::collections::BTreeMap;

/// A database that was made for one purpose. It is removed with the value, if nobody did it before.
#[async_trait]
pub trait Scratch: Send {
    fn name(&self) -> &str;

    /// What runs that were killed had left behind, and what was removed before this one was made.
    fn orphans(&self) -> &[String];

    /// Removes it, whoever is connected to it.
    async fn remove(&mut self) -> Result<(), DatabaseError>;
}

/// Describes the schema as text: the same text whenever it is the same. The ledger does not belong to it.
#[async_trait]
pub trait Fingerprint: Send {
    async fn take(&mut self) -> Result<String, DatabaseError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Down undoes up, and up comes to the same schema again.
    Passed,
    /// Up itself failed.
    UpFailed,
    NoDown,
    DownFailed,
    /// After down the schema is not what it was before up.
    NotUndone,
    /// Up failed after down, or came to another schema than before.
    NotRepeatable,
}

/// How one migration did.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    pub migration: MigrationName,
    pub verdict: Verdict,
    /// False for a migration of data, and for one that forgot something.
    pub changes_schema: bool,
    /// Down and up bring columns back in another order; nothing else can be done about that.
    pub reorders: bool,
    /// Lines of the schema: `-` what should be there, `+` what should not.
    pub difference: Vec<String>,
    pub error: Option<ErrorReport>,
}

#[derive(Debug, Default, Serialize)]
pub struct RehearsalReport {
    pub migrations: Vec<Rehearsed>,
    /// Those behind one that failed in a way that leaves nothing to go on from.
    pub not_reached: Vec<MigrationName>,
}

impl RehearsalReport {
    pub fn has_passed(&self) -> bool {
        self.not_reached.is_empty() && self.migrations.iter().all(|found| found.verdict == Verdict::Passed)
    }
}

/// Up, down and up again, one migration after the other, on a database that has nothing to lose.
pub struct Rehearsal<'a> {
    pub engine: Engine<'a>,
    /// Which ones; the others are run only because these need them.
    pub names: &'a [MigrationName],
}

impl Rehearsal<'_> {
    /// `on_begin` is told each name, how many came before it, and of how many.
    ///
    /// # Errors
    /// What hinders the rehearsal itself; what a migration does wrong stands in the report.
    pub async fn run(
        &self,
        database: &mut dyn MigrationDatabase,
        fingerprint: &mut dyn Fingerprint,
        on_begin: &mut (dyn FnMut(&MigrationName, usize, usize) + Send),
    ) -> Result<RehearsalReport, MigrateError> {
        // The ledger may bring a schema of its own; it must be there before the first look.
        if let Opened::Locked(_) = database.open(true).await? {
            database.hold().await?;
            database.release().await?;
        }
        let mut report = RehearsalReport::default();
        let mut before = fingerprint.take().await?;
        let files = self.engine.source.names();
        for (index, name) in files.iter().enumerate() {
            let Some(place) = self.names.iter().position(|wanted| wanted == name) else { continue };
            on_begin(name, place, self.names.len());
            let found = self.rehearse(database, fingerprint, name, index, &mut before).await?;
            let goes_on = found.goes_on;
            report.migrations.push(found.rehearsed);
            if !goes_on {
                report.not_reached = self.names.iter().filter(|wanted| *wanted > name).cloned().collect();
                break;
            }
        }
        Ok(report)
    }

    async fn rehearse(
        &self,
        database: &mut dyn MigrationDatabase,
        fingerprint: &mut dyn Fingerprint,
        name: &MigrationName,
        index: usize,
        before: &mut String,
    ) -> Result<Found, MigrateError> {
        let files = self.engine.source.names();
        if let Some(previous) = index.checked_sub(1).map(|previous| &files[previous])
            && !self.names.contains(previous)
        {
            let ready = self.go(database, &Target::Name(previous.to_string())).await?;
            if let Some(error) = ready.error {
                return Err(error);
            }
            *before = fingerprint.take().await?;
        }
        let mut found = Found::new(name);
        if let Some(error) = self.go(database, &Target::Up(1)).await?.error {
            return Ok(found.failed(Verdict::UpFailed, &error, false));
        }
        let after = fingerprint.take().await?;
        found.rehearsed.changes_schema = after != *before;
        match self.engine.source.script(name, Direction::Down) {
            Ok(Some(_)) => {}
            Ok(None) => {
                *before = after;
                return Ok(found.verdict(Verdict::NoDown));
            }
            Err(error) => {
                *before = after;
                return Ok(found.failed(Verdict::DownFailed, &error.into(), true));
            }
        }
        if let Some(error) = self.go(database, &Target::Down(1)).await?.error {
            let is_untouched = error.remains() == Some(&super::Remains::Nothing);
            *before = after;
            return Ok(found.failed(Verdict::DownFailed, &error, is_untouched));
        }
        let undone = fingerprint.take().await?;
        found.compare(Verdict::NotUndone, before, &undone);
        if let Some(error) = self.go(database, &Target::Up(1)).await?.error {
            // What down has left is in the way: that is what is to be mended.
            let verdict =
                if found.rehearsed.verdict == Verdict::Passed { Verdict::NotRepeatable } else { Verdict::NotUndone };
            return Ok(found.failed(verdict, &error, false));
        }
        let again = fingerprint.take().await?;
        if found.rehearsed.verdict == Verdict::Passed {
            found.compare(Verdict::NotRepeatable, &after, &again);
        }
        *before = again;
        Ok(found)
    }

    async fn go(&self, database: &mut dyn MigrationDatabase, target: &Target) -> Result<RunReport, MigrateError> {
        let mut ignore = |_: Event| {};
        let report = self.engine.migrate(database, target, &mut ignore).await;
        match report.error {
            // A migration's own fault, or its file's.
            Some(MigrateError::Failed(_) | MigrateError::CommitFailed { .. } | MigrateError::Source(_)) | None => {
                Ok(report)
            }
            Some(error) => Err(error),
        }
    }
}

struct Found {
    rehearsed: Rehearsed,
    goes_on: bool,
}

impl Found {
    fn new(name: &MigrationName) -> Self {
        let rehearsed = Rehearsed {
            migration: name.clone(),
            verdict: Verdict::Passed,
            changes_schema: false,
            reorders: false,
            difference: Vec::new(),
            error: None,
        };
        Self { rehearsed, goes_on: true }
    }

    fn verdict(mut self, verdict: Verdict) -> Self {
        self.rehearsed.verdict = verdict;
        self
    }

    fn failed(mut self, verdict: Verdict, error: &MigrateError, goes_on: bool) -> Self {
        self.rehearsed.error = Some(ErrorReport::from(error));
        self.goes_on = goes_on;
        self.verdict(verdict)
    }

    fn compare(&mut self, otherwise: Verdict, wanted: &str, found: &str) {
        self.rehearsed.difference = difference(wanted, found);
        if !self.rehearsed.difference.is_empty() {
            self.rehearsed.verdict = otherwise;
        } else if wanted != found {
            self.rehearsed.reorders = true;
        }
    }
}

/// The lines that only one of two schemas has, each with the statement that it belongs to; of a statement that is new or
/// gone, the first. Their order does not count: a column that comes back comes back last.
fn difference(wanted: &str, found: &str) -> Vec<String> {
    let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (text, one) in [(wanted, -1), (found, 1)] {
        for statement in text.split("\n\n") {
            let head = statement.lines().next().unwrap_or_default();
            for line in statement.lines() {
                *counts.entry((head, line.trim_end_matches(','))).or_default() += one;
            }
        }
    }
    let differing = counts.iter().filter(|(_, count)| **count != 0);
    differing
        .filter_map(|((head, line), count)| {
            let is_head = head.trim_end_matches(',') == *line;
            if !is_head && counts.get(&(*head, head.trim_end_matches(','))) != Some(&0) {
                return None;
            }
            let sign = if *count < 0 { '-' } else { '+' };
            Some(if is_head { format!("{sign} {line}") } else { format!("{sign} {} -- {head}", line.trim_start()) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_no_difference_and_a_line_is_one() {
        let table = "CREATE TABLE a (\n    x int,\n    y text\n);\n\nCREATE TABLE b (\n    x int\n);\n";
        let reordered = "CREATE TABLE a (\n    y text,\n    x int\n);\n\nCREATE TABLE b (\n    x int\n);\n";
        assert_eq!(difference(table, reordered), [""; 0]);
        let moved = "CREATE TABLE a (\n    y text\n);\n\nCREATE TABLE b (\n    x int,\n    x int\n);\n";
        assert_eq!(difference(table, moved), ["- x int -- CREATE TABLE a (", "+ x int -- CREATE TABLE b ("]);
        assert_eq!(difference("", "CREATE TYPE m;\n"), ["+ CREATE TYPE m;"]);
        assert_eq!(difference(table, ""), ["- CREATE TABLE a (", "- CREATE TABLE b ("]);
    }
}
