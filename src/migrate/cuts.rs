//! Where a file's statements are committed in several parts, and what must not depend on it.

use super::script::{Script, ScriptError};
use super::sql::{self, SavepointChange, Scope, StatementKind};

/// Whether a new transaction begins in front of this statement of the file.
fn is_cut(script: &Script, at: usize) -> bool {
    let is_behind = |before: usize| {
        script.is_alone(before) || script.statements()[before].kind == StatementKind::CommitAfter || script.is_alone(at)
    };
    at.checked_sub(1).is_some_and(is_behind)
}

/// What is set until the transaction ends must not meet a statement that ends it.
pub(super) fn check(script: &Script) -> Result<(), ScriptError> {
    let cuts: Vec<usize> = (1..script.statements().len()).filter(|at| is_cut(script, *at)).collect();
    for (at, statement) in script.statements().iter().enumerate() {
        let Some(cut) = cuts.get(cuts.partition_point(|cut| *cut <= at)) else { break };
        let what = match statement.scope {
            Scope::Free => continue,
            // The block is a transaction of its own.
            _ if !script.is_transactional() && sql::is_block(script.sql(&(at..at + 1))) => continue,
            Scope::Savepoint if script.is_transactional() && !open_savepoints(script, *cut).contains(&at) => continue,
            Scope::Savepoint => "a savepoint",
            Scope::Transaction(what) => what,
            Scope::Constraints => "`set constraints`",
        };
        let ending = if script.is_alone(*cut) { *cut } else { cut - 1 };
        return Err(ScriptError::CutOff { location: script.location(at), what, end: script.location(ending).line });
    }
    Ok(())
}

/// The statements whose savepoints are there before a statement, outermost first.
fn open_savepoints(script: &Script, end: usize) -> Vec<usize> {
    let mut open: Vec<(String, usize)> = Vec::new();
    if !script.statements().iter().any(|statement| statement.scope == Scope::Savepoint) {
        return Vec::new();
    }
    for (at, sql) in script.each(0..end).enumerate() {
        let place = |name: &String| open.iter().rposition(|(own, _)| own == name);
        match sql::savepoint(sql) {
            Some(SavepointChange::Made(name)) => open.push((name, at)),
            Some(SavepointChange::Released(name)) => open.truncate(place(&name).unwrap_or(open.len())),
            Some(SavepointChange::RolledBack(name)) => open.truncate(place(&name).map_or(open.len(), |at| at + 1)),
            None => {}
        }
    }
    open.into_iter().map(|(_, at)| at).collect()
}

/// True when what the file leaves behind in its transaction would change the meaning of the next file, and only the
/// transaction's end takes it away: `SET CONSTRAINTS`, and a savepoint that stays.
pub(super) fn ends_transaction(script: &Script) -> bool {
    let count = script.statements().len();
    script.statements().iter().any(|statement| statement.scope == Scope::Constraints)
        || !open_savepoints(script, count).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::{Direction, Layout};
    use std::path::Path;

    fn parse(text: &str) -> Result<Script, ScriptError> {
        Script::parse(Path::new("m/a.sql"), text, Layout::Whole, Direction::Up).map(Option::unwrap)
    }

    #[test]
    fn what_ends_with_a_transaction_must_not_meet_its_end() {
        let said = |text: &str| parse(text).map(|_| ()).map_err(|error| error.to_string());
        let build = "create index concurrently i on t (a)";
        for (sql, wanted) in [
            (
                format!("set local search_path = s;\nselect 1;\n{build}"),
                Err("m/a.sql:1:1: `set local` holds until its transaction ends, and the statement in line 3 ends it"),
            ),
            (
                "savepoint a;\nalter type m add value 'x';\nselect 1".to_owned(),
                Err("m/a.sql:1:1: a savepoint holds until its transaction ends, and the statement in line 2 ends it"),
            ),
            (
                "-- devdb: transaction=false\nlock table t;\nselect 1".to_owned(),
                Err(
                    "m/a.sql:2:1: a lock on a table holds until its transaction ends, and the statement in line 3 ends it",
                ),
            ),
            (format!("{build};\nset local search_path = s;\nselect 1"), Ok(())),
            (format!("savepoint a;\nselect 1;\nrelease a;\n{build}"), Ok(())),
            ("set local search_path = s;\nalter type m add value 'x'".to_owned(), Ok(())),
            ("-- devdb: transaction=false\ndo $$ begin set local x.y = 1; end $$;\nselect 1".to_owned(), Ok(())),
            (format!("set search_path = s;\n{build}"), Ok(())),
        ] {
            assert_eq!(said(&sql), wanted.map_err(str::to_owned), "{sql}");
        }
    }

    #[test]
    fn a_file_that_leaves_something_in_its_transaction_ends_it() {
        for (sql, wanted) in [
            ("savepoint a; select 1", true),
            ("savepoint a; savepoint B; rollback to savepoint a; release b", true),
            ("savepoint a; savepoint \"b\"; release savepoint a", false),
            ("set constraints all deferred", true),
            ("set local x.y = 1", false),
        ] {
            assert_eq!(ends_transaction(&parse(sql).unwrap()), wanted, "{sql}");
        }
    }
}
