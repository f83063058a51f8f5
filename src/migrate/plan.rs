use super::cuts;
use super::name::locale_compare;
use super::script::Script;
use super::sql::StatementKind;
use super::{LedgerRow, MigrationName};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

/// Which way a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Direction {
    Up,
    Down,
}

impl Direction {
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Where to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Run all that is pending.
    Latest,
    /// Undo all that was executed (Kysely's `NO_MIGRATIONS`).
    Nothing,
    /// Up to a pending migration, or down to an executed one; that one stays.
    Name(String),
    /// Up to a pending migration; nothing where that one was executed, whatever came after it.
    AtLeast(String),
    /// So many pending migrations; Kysely's `migrateUp` is one.
    Up(usize),
    /// Undo so many executed ones, the last executed first; Kysely's `migrateDown` is one.
    Down(usize),
}

impl Target {
    /// Reads `latest`, `none` or a name. Whether the name exists is known later.
    pub fn parse(text: &str) -> Self {
        match text {
            "latest" => Self::Latest,
            "none" => Self::Nothing,
            name => Self::Name(name.to_owned()),
        }
    }
}

/// Why nothing may run. The first four texts are Kysely's, word for word (0.29.9, `migrator.js`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("corrupted migrations: previously executed migration {name} is missing")]
    Missing { name: String },
    #[error(
        "corrupted migrations: expected previously executed migration {executed} to be at index {index} but {found} was found in its place. New migrations must always have a name that comes alphabetically after the last executed migration."
    )]
    OutOfOrder { executed: String, index: usize, found: String },
    #[error("corrupted migrations: previously executed migration {name} has an invalid timestamp {timestamp}")]
    BadTimestamp { name: String, timestamp: String },
    #[error("migration \"{name}\" doesn't exist")]
    Unknown { name: String },
    /// devdb's own: Kysely would leave the row, go on with older ones, and call the ledger corrupted the next time.
    #[error("migration {name} cannot be undone: it has no down part")]
    NoDown { name: String },
}

/// What to run, in order, before any file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub direction: Direction,
    pub names: Vec<MigrationName>,
    /// The newest row's time in milliseconds since the epoch; rows to come are later.
    pub newest: Option<i64>,
}

/// The ledger as Kysely reads it: in the order of execution, and free of contradictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    pub executed: Vec<String>,
    pub newest: Option<i64>,
}

/// Puts the ledger in the order of execution: by time, ties as `localeCompare` decides.
///
/// # Errors
/// [`PlanError::BadTimestamp`].
pub fn history(rows: &[LedgerRow]) -> Result<History, PlanError> {
    let mut timed = Vec::with_capacity(rows.len());
    for row in rows {
        let time = row
            .time()
            .ok_or_else(|| PlanError::BadTimestamp { name: row.name.clone(), timestamp: row.timestamp.clone() })?;
        timed.push((time, row.name.as_str()));
    }
    timed.sort_by(|left, right| left.0.cmp(&right.0).then_with(|| locale_compare(left.1, right.1)));
    let newest = timed.last().map(|(time, _)| *time);
    Ok(History { executed: timed.into_iter().map(|(_, name)| name.to_owned()).collect(), newest })
}

/// Decides what to run. `files` are sorted.
///
/// The order of the checks is Kysely's: times, missing files, order, target.
///
/// # Errors
/// [`PlanError`], all but [`PlanError::NoDown`].
pub fn route(
    files: &[MigrationName],
    rows: &[LedgerRow],
    target: &Target,
    allow_unordered: bool,
) -> Result<Route, PlanError> {
    let History { executed, newest } = history(rows)?;
    let known: BTreeMap<&str, &MigrationName> = files.iter().map(|name| (name.as_str(), name)).collect();
    let executed_files = executed
        .iter()
        .map(|name| known.get(name.as_str()).copied().ok_or_else(|| PlanError::Missing { name: name.clone() }))
        .collect::<Result<Vec<_>, _>>()?;
    if !allow_unordered {
        let mismatch = executed_files.iter().zip(files).position(|(executed, file)| *executed != file);
        if let Some(index) = mismatch {
            return Err(PlanError::OutOfOrder {
                executed: executed[index].clone(),
                index,
                found: files[index].to_string(),
            });
        }
    }
    let ran: HashSet<&str> = executed.iter().map(String::as_str).collect();
    let pending = || files.iter().filter(|name| !ran.contains(name.as_str()));
    let up = |count: usize| Route { direction: Direction::Up, names: pending().take(count).cloned().collect(), newest };
    let down = |count: usize| Route {
        direction: Direction::Down,
        names: executed_files.iter().rev().take(count).map(|name| (*name).clone()).collect(),
        newest,
    };
    Ok(match target {
        // Kysely answers "nothing to do" without looking at the target (`#runMigrations`).
        _ if files.is_empty() => up(0),
        Target::Latest => up(usize::MAX),
        Target::Nothing => down(usize::MAX),
        Target::Up(count) => up(*count),
        Target::Down(count) => down(*count),
        Target::AtLeast(name) if ran.contains(name.as_str()) => up(0),
        Target::Name(name) | Target::AtLeast(name) => {
            if let Some(index) = executed.iter().position(|executed| executed == name) {
                down(executed.len() - index - 1)
            } else if let Some(index) = pending().position(|pending| pending.as_str() == name) {
                up(index + 1)
            } else {
                return Err(PlanError::Unknown { name: name.clone() });
            }
        }
    })
}

/// Consecutive statements of one step that go to the server together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Index of the migration in the route.
    pub step: usize,
    pub statements: Range<usize>,
    /// The step's last piece: its row is written, or removed, right behind it.
    pub completes: bool,
}

/// What is committed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Transaction(Vec<Piece>),
    /// One statement that the server refuses inside a transaction, or that a file wants outside of one.
    Alone(Piece),
}

/// Cuts the steps into as few transactions as SQL allows: one, unless a statement forces an end, or what a file leaves
/// in its transaction would reach the next one.
pub fn segments(scripts: &[Script]) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut open: Vec<Piece> = Vec::new();
    let close = |open: &mut Vec<Piece>, found: &mut Vec<Segment>| {
        if !open.is_empty() {
            found.push(Segment::Transaction(std::mem::take(open)));
        }
    };
    for (step, script) in scripts.iter().enumerate() {
        let count = script.statements().len();
        let mut start = 0;
        for (index, statement) in script.statements().iter().enumerate() {
            let piece = |start: usize| Piece { step, statements: start..index + 1, completes: index + 1 == count };
            if script.is_alone(index) {
                if start < index {
                    open.push(Piece { step, statements: start..index, completes: false });
                }
                close(&mut open, &mut found);
                found.push(Segment::Alone(piece(index)));
                start = index + 1;
            } else if index + 1 == count || statement.kind == StatementKind::CommitAfter {
                open.push(piece(start));
                start = index + 1;
                if statement.kind == StatementKind::CommitAfter {
                    close(&mut open, &mut found);
                }
            }
        }
        if cuts::ends_transaction(script) {
            close(&mut open, &mut found);
        }
    }
    close(&mut open, &mut found);
    found
}
