use super::engine::{Event, Events, Options};
use super::failed::{Failing, failed};
use super::plan::{Direction, Piece, Route, Segment};
use super::report::{ResultStatus, RunReport};
use super::resolve::{Outcome, ask_outcome};
use super::sql::{StatementKind, commits_within, may_move_sequences};
use super::{
    After, BatchError, Ended, FailedAt, InTheWay, JournalEntry, MigrateError, MigrationDatabase, NoticeReport, Part,
    Queueing, Remains, RowChange, Script, Stage, StandingIndex, Told,
};
use crate::system::DatabaseError;

/// One planned run, with the lock held and the opening transaction open.
pub(super) struct Run<'a> {
    pub(super) route: &'a Route,
    pub(super) scripts: &'a [Script],
    pub(super) segments: &'a [Segment],
    pub(super) options: &'a Options,
    /// One for each step of a run up.
    pub(super) journal: &'a [JournalEntry],
}

impl Run<'_> {
    /// Executes all segments: in the transaction that is open already, if one is enough.
    pub(super) async fn execute(
        &self,
        database: &mut dyn MigrationDatabase,
        report: &mut RunReport,
        on_event: Events<'_>,
    ) -> Result<(), MigrateError> {
        if let [Segment::Transaction(pieces)] = self.segments {
            return self.transaction(database, false, pieces, report, on_event).await;
        }
        database.hold().await?;
        let mut outcome = Ok(());
        for segment in self.segments {
            outcome = match segment {
                Segment::Transaction(pieces) => self.transaction(database, true, pieces, report, on_event).await,
                Segment::Alone(piece) => self.alone(database, piece, report, on_event).await,
            };
            if outcome.is_err() {
                break;
            }
        }
        // The session's end gives the lock back as well, so a failure here changes nothing.
        let _ = database.release().await;
        outcome
    }

    async fn transaction(
        &self,
        database: &mut dyn MigrationDatabase,
        begin: bool,
        pieces: &[Piece],
        report: &mut RunReport,
        on_event: Events<'_>,
    ) -> Result<(), MigrateError> {
        let parts: Vec<Part<'_>> = pieces.iter().map(|piece| self.part(piece)).collect();
        let before = report.results.clone();
        let mut told = |told: Told| match told {
            Told::Finished { part } => self.finished(&pieces[part], report, on_event),
            Told::Notice { at, notice } => self.noticed(&pieces[at.part], at.stage, notice, report, on_event),
        };
        let Err(failure) = database.commit(begin, &parts, &mut told).await else { return Ok(()) };
        let is_unknown = failure.ended == Ended::Unknown;
        let changes: Vec<&RowChange> = parts.iter().filter_map(|part| part.row.as_ref()).collect();
        if is_unknown && changes.is_empty() {
            // Only statements of an unfinished migration: the ledger cannot tell.
            return Err(MigrateError::OutcomeUnknown { error: failure.error });
        }
        if is_unknown {
            on_event(Event::AskingForOutcome);
            match ask_outcome(database, &changes, self.options).await {
                Outcome::Unknown => return Err(MigrateError::OutcomeUnknown { error: failure.error }),
                Outcome::Committed => {
                    for piece in pieces.iter().filter(|piece| piece.completes) {
                        report.results[piece.step].status = ResultStatus::Success;
                    }
                    let goes_on =
                        pieces.last().is_some_and(|piece| piece.step + 1 < self.route.names.len() || !piece.completes);
                    if !goes_on {
                        return Ok(());
                    }
                    // The lock went with the connection; the next run continues from here.
                    let begun = pieces.last().filter(|piece| !piece.completes).map_or(0, |piece| piece.statements.end);
                    let remains = self.remains_after(&report.results, begun);
                    return Err(MigrateError::LostBeforeCommit { remains, error: failure.error });
                }
                Outcome::RolledBack => {}
            }
        }
        self.roll_back(report, &before, pieces);
        let failed = failure.at.map(|at| &pieces[at.part]);
        let remains = self.remains(&before, failed.or(pieces.first()));
        let remains = self.but_sequences(remains, pieces, &failure);
        if is_unknown {
            return Err(MigrateError::LostBeforeCommit { remains, error: failure.error });
        }
        Err(match failed {
            Some(piece) => {
                let in_the_way = (is_duplicate(&failure.error) && self.is_cut(piece)).then_some(InTheWay::Perhaps);
                self.failed(report, piece, failure, remains, in_the_way)
            }
            None => MigrateError::CommitFailed { remains, error: failure.error },
        })
    }

    async fn alone(
        &self,
        database: &mut dyn MigrationDatabase,
        piece: &Piece,
        report: &mut RunReport,
        on_event: Events<'_>,
    ) -> Result<(), MigrateError> {
        let kind = &self.scripts[piece.step].statements()[piece.statements.start].kind;
        let is_concurrent = matches!(kind, StatementKind::Alone { is_concurrent: true, .. });
        let queueing = if is_concurrent { Queueing::Unlimited } else { Queueing::Limited };
        let cleared = self.clear(database, kind, on_event).await;
        let mut told = |told: Told| {
            if let Told::Notice { at, notice } = told {
                self.noticed(piece, at.stage, notice, report, on_event);
            }
        };
        let outcome = match cleared {
            Ok(()) => database.run_alone(&self.part(piece), queueing, &mut told).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => {
                self.finished(piece, report, on_event);
                Ok(())
            }
            Err(failure) if failure.ended == Ended::Unknown => {
                Err(MigrateError::OutcomeUnknown { error: failure.error })
            }
            Err(failure) => {
                let is_done = !matches!(failure.at, Some(FailedAt { stage: Stage::Statement(_), .. }));
                let done = if is_done { piece.statements.end } else { piece.statements.start };
                let remains = self.remains_after(&report.results, done);
                let sql = self.scripts[piece.step].sql(&piece.statements);
                let left = if is_done { Left::Nothing } else { look(database, kind, sql, &failure.error).await };
                let in_the_way = match (&left, kind) {
                    _ if is_done || !is_duplicate(&failure.error) => None,
                    (Left::Valid(index), _) => Some(InTheWay::Index(index.clone())),
                    (Left::Invalid(_), _) | (_, StatementKind::Alone { index: Some(_), .. }) => None,
                    (Left::Nothing | Left::Unknown, _) => Some(InTheWay::Perhaps),
                };
                let remains = match left {
                    Left::Nothing | Left::Valid(_) => {
                        self.but_sequences(remains, std::slice::from_ref(piece), &failure)
                    }
                    Left::Invalid(index) => unfinished(remains, Some(index.name)),
                    Left::Unknown => unfinished(remains, None),
                };
                let error = self.failed(report, piece, failure, remains, in_the_way);
                // No transaction was there to be rolled back.
                report.results[piece.step].rolled_back = false;
                Err(error)
            }
        }
    }

    /// Drops what a failed build of the same index left behind: the name would be taken.
    async fn clear(
        &self,
        database: &mut dyn MigrationDatabase,
        kind: &StatementKind,
        on_event: Events<'_>,
    ) -> Result<(), BatchError> {
        let StatementKind::Alone { index: Some(index), .. } = kind else { return Ok(()) };
        let clearing = async {
            if let Some(standing) = database.find_index(index).await?.filter(|standing| !standing.is_valid) {
                database.drop_index(&standing).await?;
                on_event(Event::DroppedInvalidIndex { name: index.name.clone() });
            }
            Ok(())
        };
        clearing.await.map_err(|error: DatabaseError| {
            let ended = if error.is_lost() { Ended::Unknown } else { Ended::RolledBack };
            let at = Some(FailedAt { part: 0, stage: Stage::Statement(0) });
            BatchError { at, error, ended, blockers: Vec::new() }
        })
    }

    fn part(&self, piece: &Piece) -> Part<'_> {
        let name = &self.route.names[piece.step];
        let row = piece.completes.then(|| match (self.route.direction, piece.step.checked_sub(1)) {
            (Direction::Down, _) => RowChange::Delete { name: name.clone() },
            (Direction::Up, previous) => RowChange::Insert {
                name: name.clone(),
                after: match previous {
                    Some(previous) => After::Row(self.route.names[previous].clone()),
                    None => self.route.newest.map_or(After::Nothing, After::Time),
                },
                journal: self.journal.get(piece.step).cloned().map(Box::new),
            },
        });
        Part { statements: self.scripts[piece.step].each(piece.statements.clone()).collect(), row }
    }

    fn noticed(
        &self,
        piece: &Piece,
        stage: Stage,
        notice: super::Notice,
        report: &mut RunReport,
        on_event: &mut (dyn FnMut(Event) + Send),
    ) {
        let script = &self.scripts[piece.step];
        let at = match stage {
            Stage::Statement(into) => piece.statements.start + into,
            Stage::End | Stage::Row => piece.statements.end - 1,
        };
        let notice = NoticeReport::new(self.route.names[piece.step].clone(), script.location(at), notice);
        report.keep(notice.clone());
        on_event(Event::Notice(notice));
    }

    fn finished(&self, piece: &Piece, report: &mut RunReport, on_event: &mut (dyn FnMut(Event) + Send)) {
        if piece.completes {
            report.results[piece.step].status = ResultStatus::Success;
            let name = self.route.names[piece.step].clone();
            on_event(Event::Finished { name, direction: self.route.direction });
        }
    }

    fn roll_back(&self, report: &mut RunReport, before: &[super::MigrationResult], pieces: &[Piece]) {
        for piece in pieces {
            let was = before[piece.step].status;
            let result = &mut report.results[piece.step];
            result.rolled_back = was == ResultStatus::NotExecuted && result.status == ResultStatus::Success;
        }
    }

    /// What earlier segments committed, seen from a transaction that was rolled back.
    fn remains(&self, before: &[super::MigrationResult], failed: Option<&Piece>) -> Remains {
        // The pieces of one step within one transaction are contiguous, so the first tells where the transaction began.
        let statements = failed.map_or(0, |failed| {
            let own = self.segments.iter().find_map(|segment| match segment {
                Segment::Transaction(pieces) if pieces.contains(failed) => {
                    pieces.iter().find(|piece| piece.step == failed.step)
                }
                _ => None,
            });
            own.map_or(0, |piece| piece.statements.start)
        });
        self.remains_after(before, statements)
    }

    fn remains_after(&self, committed: &[super::MigrationResult], statements: usize) -> Remains {
        let is_committed = |result: &&super::MigrationResult| result.status == ResultStatus::Success;
        let migrations: Vec<_> =
            committed.iter().filter(is_committed).map(|result| result.migration_name.clone()).collect();
        if migrations.is_empty() && statements == 0 {
            Remains::Nothing
        } else {
            Remains::Committed { migrations, statements }
        }
    }

    /// A rollback takes back what was done, but no number that a sequence has given.
    fn but_sequences(&self, remains: Remains, pieces: &[Piece], failure: &BatchError) -> Remains {
        // Class 42: the server did not understand the statement, and did nothing of it.
        let is_unread = failure.error.code().is_some_and(|code| code.starts_with("42"));
        let mut ran = pieces.iter().enumerate().map(|(part, piece)| {
            let mut statements = piece.statements.clone();
            match failure.at {
                Some(at) if part > at.part => statements.end = statements.start,
                Some(FailedAt { stage: Stage::Statement(failed), part: at }) if part == at => {
                    statements.end = statements.start + failed + usize::from(!is_unread);
                }
                _ => {}
            }
            self.scripts[piece.step].each(statements)
        });
        let moves = remains == Remains::Nothing && ran.any(|mut statements| statements.any(may_move_sequences));
        if moves { Remains::Sequences } else { remains }
    }

    /// True when the migration is not committed in one piece: an interrupted run may have left some of it.
    fn is_cut(&self, piece: &Piece) -> bool {
        let has_step = |segment: &&Segment| match segment {
            Segment::Transaction(pieces) => pieces.iter().any(|other| other.step == piece.step),
            Segment::Alone(other) => other.step == piece.step,
        };
        self.segments.iter().filter(has_step).count() > 1
    }

    fn failed(
        &self,
        report: &mut RunReport,
        piece: &Piece,
        failure: BatchError,
        remains: Remains,
        in_the_way: Option<InTheWay>,
    ) -> MigrateError {
        let result = &mut report.results[piece.step];
        result.status = ResultStatus::Error;
        result.rolled_back = !matches!(&remains, Remains::Committed { statements, .. } if *statements > 0);
        let failing = Failing {
            migration: &self.route.names[piece.step],
            before: piece.step.checked_sub(1).map(|before| &self.route.names[before]),
            direction: self.route.direction,
            script: &self.scripts[piece.step],
            statements: piece.statements.clone(),
        };
        failed(&failing, failure, remains, in_the_way)
    }
}

/// What a statement that failed outside of any transaction has left.
enum Left {
    Nothing,
    /// What a failed build left.
    Invalid(StandingIndex),
    /// An index that stands where it would be built.
    Valid(StandingIndex),
    /// Part of its work may be there.
    Unknown,
}

async fn look(database: &mut dyn MigrationDatabase, kind: &StatementKind, sql: &str, error: &DatabaseError) -> Left {
    match kind {
        StatementKind::Alone { index: Some(index), .. } => match database.find_index(index).await {
            Ok(Some(standing)) if !standing.is_valid => Left::Invalid(standing),
            Ok(Some(standing)) if is_duplicate(error) => Left::Valid(standing),
            Ok(_) => Left::Nothing,
            Err(_) => Left::Unknown,
        },
        StatementKind::Alone { is_concurrent: true, .. } if !is_duplicate(error) => Left::Unknown,
        _ if commits_within(sql) => Left::Unknown,
        // Any other statement is one transaction, even where no block is around it.
        _ => Left::Nothing,
    }
}

fn unfinished(committed: Remains, index: Option<String>) -> Remains {
    match committed {
        Remains::Committed { migrations, statements } => Remains::Unfinished { migrations, statements, index },
        Remains::Nothing | Remains::Sequences | Remains::Unfinished { .. } => {
            Remains::Unfinished { migrations: Vec::new(), statements: 0, index }
        }
    }
}

/// 42P07 duplicate_table (which stands for indexes too), 42701 duplicate_column, 42710 duplicate_object.
fn is_duplicate(error: &DatabaseError) -> bool {
    matches!(error.code(), Some("42P07" | "42701" | "42710"))
}
