use super::plan::{Piece, Route, Segment};
use super::sql::{StatementKind, TableLock, table_lock};
use super::{Direction, Script};
use serde::Serialize;

/// What a run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// `None` where there is nothing to do.
    pub direction: Option<Direction>,
    pub migrations: usize,
    /// Of the run's own session, after connecting, if no other run holds the lock and no broken index has to be dropped
    /// first. A run that needs its session beyond a transaction looks with two more whether it may have it.
    pub round_trips: usize,
    pub segments: Vec<PlannedSegment>,
}

/// What is committed together; a statement that refuses transactions stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedSegment {
    pub transaction: bool,
    pub statements: Vec<PlannedStatement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStatement {
    pub migration: String,
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub sql: String,
    /// The strongest lock on a relation that is there already, as far as the statement's words tell.
    pub lock: Option<TableLock>,
    /// The migration's row in the ledger changes right behind it.
    pub completes: bool,
}

impl PlanReport {
    pub(super) fn new(route: &Route, scripts: &[Script], segments: &[Segment], has_ledger: bool) -> Self {
        Self {
            direction: (!route.names.is_empty()).then_some(route.direction),
            migrations: route.names.len(),
            round_trips: round_trips(scripts, segments, has_ledger),
            segments: segments.iter().map(|segment| planned(route, scripts, segment)).collect(),
        }
    }
}

fn planned(route: &Route, scripts: &[Script], segment: &Segment) -> PlannedSegment {
    let statements = |piece: &Piece| {
        let script = &scripts[piece.step];
        let (range, completes) = (piece.statements.clone(), piece.completes);
        let migration = route.names[piece.step].to_string();
        range.clone().map(move |index| {
            let (sql, place) = (script.sql(&(index..index + 1)), script.location(index));
            PlannedStatement {
                migration: migration.clone(),
                file: place.file.display().to_string(),
                line: place.line,
                sql: sql.to_owned(),
                lock: table_lock(sql),
                completes: completes && index + 1 == range.end,
            }
        })
    };
    match segment {
        Segment::Transaction(pieces) => {
            PlannedSegment { transaction: true, statements: pieces.iter().flat_map(statements).collect() }
        }
        Segment::Alone(piece) => PlannedSegment { transaction: false, statements: statements(piece).collect() },
    }
}

/// The round trips of [`super::Engine::migrate`]: see the methods of [`super::MigrationDatabase`].
fn round_trips(scripts: &[Script], segments: &[Segment], has_ledger: bool) -> usize {
    let look = if has_ledger || segments.is_empty() { 1 } else { 2 };
    let of = |segment: &Segment| match segment {
        Segment::Transaction(_) => 1,
        Segment::Alone(piece) => {
            let kind = &scripts[piece.step].statements()[piece.statements.start].kind;
            let looks_for_index = matches!(kind, StatementKind::Alone { index: Some(_), .. });
            1 + usize::from(looks_for_index) + usize::from(piece.completes)
        }
    };
    let work: usize = segments.iter().map(of).sum();
    match segments {
        // The transaction that looked is ended.
        [] => look + usize::from(has_ledger),
        [Segment::Transaction(_)] => look + work,
        // The lock is kept beyond the first transaction, and given back.
        _ => look + 1 + work + 1,
    }
}
