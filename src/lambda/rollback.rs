//! The stack was rolled back, and an older bundle meets a ledger that is ahead of it.

use crate::migrate::repair::{Limits, Reason, RepairError, Repairer, Replay, Strategy};
use crate::migrate::{
    Event, FileHistory, FolderSource, FoundFiles, LedgerRow, MigrationDatabase, MigrationName, MigrationSource,
    Options, RunReport, history,
};
use std::collections::BTreeSet;

/// The executed migrations that are not in the bundle, if that is all that is wrong: the files are the beginning of what
/// was executed, so that nothing is pending and nothing is out of order. Empty where it is not.
pub(super) fn ahead(files: &[MigrationName], rows: &[LedgerRow], allow_unordered: bool) -> Vec<String> {
    let Ok(history) = history(rows) else { return Vec::new() };
    let executed: BTreeSet<&str> = history.executed.iter().map(String::as_str).collect();
    let files: Vec<&str> = files.iter().map(MigrationName::as_str).collect();
    let is_beginning = files.iter().zip(&history.executed).all(|(file, name)| file == name);
    let are_all_there = files.iter().all(|file| executed.contains(file));
    if !are_all_there || !(is_beginning || allow_unordered) {
        return Vec::new();
    }
    let known: BTreeSet<&str> = files.into_iter().collect();
    history.executed.iter().filter(|name| !known.contains(name.as_str())).cloned().collect()
}

/// What is said where nothing is undone.
pub(super) fn note(beyond: &[String]) -> String {
    let count = match beyond.len() {
        1 => "1 migration".to_owned(),
        count => format!("{count} migrations"),
    };
    let first = beyond.first().map_or("", String::as_str);
    format!("the database is {count} ahead of this bundle, from {first} on; nothing was undone")
}

/// Git is on laptops.
struct NoHistory;

impl FileHistory for NoHistory {
    fn head(&self) -> Option<String> {
        None
    }

    fn written(&self, _name: &str) -> Option<(String, String)> {
        None
    }

    fn find(&self, _name: &str) -> Option<FoundFiles> {
        None
    }
}

/// What undoing came to.
pub(super) enum Undone {
    /// It ran; its report may hold an error.
    Ran(RunReport),
    /// It was not tried, for this reason.
    Kept(String),
}

/// Undoes what is not in the bundle with the down parts of the journal, all in one transaction; not where one is
/// missing, and not where rows would be lost.
pub(super) async fn undo(
    source: &FolderSource,
    options: &Options,
    database: &mut dyn MigrationDatabase,
    on_event: &mut (dyn FnMut(Event) + Send),
) -> Undone {
    let repairer =
        Repairer { source: source as &dyn MigrationSource, history: &NoHistory, alias: "", options: options.clone() };
    let limits = Limits { replay: Replay::Anybodys, strategy: Some(Strategy::RollBack) };
    match repairer.plan(database, limits).await {
        Ok(None) => Undone::Kept("another run has put it right already".to_owned()),
        Ok(Some((plan, lost))) => match lost.first() {
            Some(loss) => Undone::Kept(loss.to_string()),
            None => Undone::Ran(repairer.apply(database, &plan, "rollback", on_event).await.run),
        },
        Err(RepairError::Refused(refused)) => Undone::Kept(refused.reasons.first().map_or_else(
            || "the journal does not say how".to_owned(),
            |first| match first {
                Reason::CannotUndo { name, why } => format!("{name} {why}"),
                Reason::Unknown { name } => format!("the journal does not know {name}"),
                Reason::NotTransactional { name, statement } => {
                    format!("`{statement}` in {name} cannot share a transaction")
                }
                _ => "`devdb migrate repair` on a laptop tells why".to_owned(),
            },
        )),
        Err(RepairError::Migrate(error)) => Undone::Ran(RunReport { error: Some(error), ..RunReport::default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond(files: &[&str], executed: &[&str], allow_unordered: bool) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|name| MigrationName::parse(name).unwrap()).collect();
        let time = |at: usize| format!("2026-01-02T03:04:05.{at:03}Z");
        let rows: Vec<_> = executed.iter().enumerate().map(|(at, name)| LedgerRow::new(name, &time(at))).collect();
        ahead(&files, &rows, allow_unordered)
    }

    #[test]
    fn only_the_beginning_of_what_was_executed_is_an_older_bundle() {
        assert_eq!(beyond(&["1", "2"], &["1", "2", "3", "4"], false), ["3", "4"]);
        assert_eq!(beyond(&[], &["1"], false), ["1"]);
        assert!(beyond(&["1", "2"], &["1", "2"], false).is_empty());
        // One is pending, one is in the middle, the order is another.
        assert!(beyond(&["1", "2"], &["1", "3"], false).is_empty());
        assert!(beyond(&["1", "3"], &["1", "2", "3"], false).is_empty());
        assert!(beyond(&["1", "2"], &["2", "1", "3"], false).is_empty());
        assert_eq!(beyond(&["1", "3"], &["3", "2", "1"], true), ["2"]);
        assert!(beyond(&["1", "4"], &["1", "2"], true).is_empty());
    }
}
