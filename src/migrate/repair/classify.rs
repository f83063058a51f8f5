use crate::migrate::{JournalRow, LedgerRow, MigrationName, Target, route};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is wrong with the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub enum Problem {
    /// These are pending, and migrations that sort behind them were executed: a branch ran before main.
    Gap {
        pending: Vec<String>,
        executed: Vec<String>,
    },
    /// These were undone, and migrations that were executed behind them were kept: Kysely skips what has no down part.
    PartialDown {
        undone: Vec<String>,
        kept: Vec<String>,
    },
    /// These were executed in another order than their names have.
    Reorder {
        executed: Vec<String>,
    },
    /// These have the same time, and Kysely's order of names with the same time is not that of files.
    Tie {
        names: Vec<String>,
    },
    /// Its time lies ahead of the database's clock.
    Skew {
        name: String,
        timestamp: String,
    },
    UnreadableTime {
        name: String,
        timestamp: String,
    },
    /// There is no file of that name here.
    Missing {
        name: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| names.join(", ");
        match self {
            Self::Gap { pending, executed } => {
                let is = if pending.len() == 1 { "is" } else { "are" };
                write!(f, "{} {is} pending, but {} ran already", list(pending), list(executed))
            }
            Self::PartialDown { undone, kept } => {
                let was = if undone.len() == 1 { "was" } else { "were" };
                write!(f, "{} {was} undone, but {} stayed", list(undone), list(kept))
            }
            Self::Reorder { executed } => write!(f, "executed in the order {}", list(executed)),
            Self::Tie { names } => write!(f, "{} have the same time", list(names)),
            Self::Skew { name, timestamp } => write!(f, "{name} has a time ahead of the database's clock: {timestamp}"),
            Self::UnreadableTime { name, timestamp } => write!(f, "{name} has an invalid timestamp: {timestamp}"),
            Self::Missing { name } => write!(f, "{name} was executed and has no file here"),
        }
    }
}

/// What the ledger really says, as far as it can be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Empty where Kysely accepts the ledger as it is.
    pub problems: Vec<Problem>,
    /// All names of the ledger in the order in which they were executed. Of those with the same time the first file
    /// came first; one whose time cannot be true stands where its file does.
    pub order: Vec<String>,
    /// Names whose time cannot be true: unreadable, or ahead of the clock.
    pub untrusted: BTreeSet<String>,
}

/// Compares the ledger with the files by Kysely's strict rule.
///
/// `now` is the database's clock in milliseconds since the epoch.
pub fn diagnose(files: &[MigrationName], rows: &[LedgerRow], journal: &[JournalRow], now: i64) -> Diagnosis {
    let place: BTreeMap<&str, usize> = files.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let (order, untrusted) = execution_order(&place, rows, now);
    if route(files, rows, &Target::Latest, false).is_ok() {
        return Diagnosis { problems: Vec::new(), order, untrusted };
    }
    let mut problems = Vec::new();
    for row in rows {
        match row.time() {
            None => problems.push(Problem::UnreadableTime { name: row.name.clone(), timestamp: row.timestamp.clone() }),
            Some(time) if time > now => {
                problems.push(Problem::Skew { name: row.name.clone(), timestamp: row.timestamp.clone() });
            }
            Some(_) => {}
        }
    }
    let missing = order.iter().filter(|name| !place.contains_key(name.as_str()));
    problems.extend(missing.map(|name| Problem::Missing { name: name.clone() }));
    let executed: BTreeSet<&str> = order.iter().map(String::as_str).collect();
    let newest = order.iter().filter_map(|name| place.get(name.as_str())).max();
    let holes: Vec<&MigrationName> = files
        .iter()
        .enumerate()
        .filter(|(at, name)| newest.is_some_and(|newest| at < newest) && !executed.contains(name.as_str()))
        .map(|(_, name)| name)
        .collect();
    if let Some(first) = holes.first() {
        let behind = order.iter().filter(|name| place.get(name.as_str()).is_some_and(|at| *at > place[first.as_str()]));
        let behind: Vec<String> = behind.cloned().collect();
        // What the journal knows was there once.
        let was_there = |hole: &&MigrationName| journal.iter().any(|row| row.name == hole.as_str());
        let (undone, pending): (Vec<_>, Vec<_>) = holes.into_iter().partition(was_there);
        let names = |found: Vec<&MigrationName>| found.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        if !undone.is_empty() {
            problems.push(Problem::PartialDown { undone: names(undone), kept: behind.clone() });
        }
        if !pending.is_empty() {
            problems.push(Problem::Gap { pending: names(pending), executed: behind });
        }
    }
    let known: Vec<&String> = order.iter().filter(|name| place.contains_key(name.as_str())).collect();
    let is_sorted = known.is_sorted_by_key(|name| place[name.as_str()]);
    if !is_sorted {
        problems.push(Problem::Reorder { executed: known.into_iter().cloned().collect() });
    } else if let Some(names) = tie(rows, &place).filter(|_| problems.is_empty()) {
        problems.push(Problem::Tie { names });
    }
    Diagnosis { problems, order, untrusted }
}

fn execution_order(place: &BTreeMap<&str, usize>, rows: &[LedgerRow], now: i64) -> (Vec<String>, BTreeSet<String>) {
    let at = |name: &str| place.get(name).copied().unwrap_or(usize::MAX);
    let is_true = |row: &&LedgerRow| row.time().is_some_and(|time| time <= now);
    let (mut trusted, mut others): (Vec<&LedgerRow>, Vec<&LedgerRow>) = rows.iter().partition(is_true);
    trusted.sort_by_key(|row| (row.time(), at(&row.name), row.name.clone()));
    others.sort_by_key(|row| (at(&row.name), row.name.clone()));
    let untrusted = others.iter().map(|row| row.name.clone()).collect();
    let mut order: Vec<String> = trusted.into_iter().map(|row| row.name.clone()).collect();
    for row in others {
        let behind = order.iter().position(|name| place.contains_key(name.as_str()) && at(name) > at(&row.name));
        order.insert(behind.unwrap_or(order.len()), row.name.clone());
    }
    (order, untrusted)
}

/// Rows of the same time, whatever else is wrong.
fn tie(rows: &[LedgerRow], place: &BTreeMap<&str, usize>) -> Option<Vec<String>> {
    let mut by_time: BTreeMap<i64, Vec<&LedgerRow>> = BTreeMap::new();
    rows.iter().for_each(|row| by_time.entry(row.time().unwrap_or_default()).or_default().push(row));
    let mut names: Vec<String> =
        by_time.into_values().filter(|rows| rows.len() > 1).flatten().map(|row| row.name.clone()).collect();
    names.sort_by_key(|name| place.get(name.as_str()).copied());
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn classes(files: &str, rows: &[(&str, i64)], undone: &[&str]) -> String {
        let files: Vec<MigrationName> = files.split(' ').map(|name| MigrationName::parse(name).unwrap()).collect();
        let rows: Vec<LedgerRow> =
            rows.iter().map(|(name, time)| LedgerRow::new(name, &crate::migrate::kysely_time(*time))).collect();
        let journal: Vec<JournalRow> =
            undone.iter().map(|name| JournalRow { name: (*name).to_owned(), ..JournalRow::default() }).collect();
        serde_json::to_string(&diagnose(&files, &rows, &journal, NOW).problems).unwrap()
    }

    #[test]
    fn each_class_is_told() {
        assert_eq!(classes("a b c", &[("a", 1), ("b", 2)], &[]), "[]");
        assert_eq!(
            classes("a b c d", &[("a", 1), ("c", 2)], &[]),
            r#"[{"class":"gap","pending":["b"],"executed":["c"]}]"#
        );
        assert_eq!(
            classes("a b c", &[("a", 1), ("c", 2)], &["b"]),
            r#"[{"class":"partial_down","undone":["b"],"kept":["c"]}]"#
        );
        assert_eq!(classes("a b", &[("b", 1), ("a", 2)], &[]), r#"[{"class":"reorder","executed":["b","a"]}]"#);
        assert_eq!(classes("B a", &[("B", 1), ("a", 1)], &[]), r#"[{"class":"tie","names":["B","a"]}]"#);
        assert_eq!(
            classes("a b", &[("a", NOW + 1), ("b", 2)], &[]),
            r#"[{"class":"skew","name":"a","timestamp":"1970-01-01T00:16:40.001Z"}]"#
        );
        assert_eq!(classes("b", &[("a", 1), ("b", 2)], &[]), r#"[{"class":"missing","name":"a"}]"#);
    }

    #[test]
    fn a_time_that_cannot_be_true_says_nothing_about_the_order() {
        let files = ["a", "b", "c"].map(|name| MigrationName::parse(name).unwrap());
        let rows = [
            LedgerRow::new("c", &crate::migrate::kysely_time(5)),
            LedgerRow::new("b", "soon"),
            LedgerRow::new("a", "2999-01-01T00:00:00.000Z"),
        ];
        let found = diagnose(&files, &rows, &[], NOW);
        assert_eq!(found.order, ["a", "b", "c"]);
        assert_eq!(found.untrusted.len(), 2);
    }
}
