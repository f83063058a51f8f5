use super::classify::Diagnosis;
use super::facts::{Fact, Facts, Undo};
use super::links::Links;
use super::model::{Apart, Limits, Reason, Refused, RepairPlan, Replay, Seen, Strategy};
use super::proof::{Part, Proof};
use super::steps::RepairStep;
use crate::migrate::name::locale_compare;
use crate::migrate::sql::StatementKind;
use crate::migrate::{LedgerRow, MigrationName, Script};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Decides. `None` where nothing is wrong.
///
/// # Errors
/// [`Refused`], with everything that stands against each way.
pub fn plan(
    files: &[MigrationName],
    rows: &[LedgerRow],
    diagnosis: &Diagnosis,
    facts: &Facts,
    links: &Links,
    limits: Limits,
) -> Result<Option<RepairPlan>, Refused> {
    if diagnosis.problems.is_empty() {
        return Ok(None);
    }
    let refused = |reasons: Vec<Reason>| Refused { problems: diagnosis.problems.clone(), reasons };
    let case = Case::new(files, rows, diagnosis, facts);
    let unknown: Vec<Reason> = case.unknown.iter().map(|name| Reason::Unknown { name: name.clone() }).collect();
    if !unknown.is_empty() {
        return Err(refused(unknown));
    }
    let mut reasons = Vec::new();
    if limits.strategy != Some(Strategy::Replay) {
        match case.in_place(links, limits.replay) {
            Ok(plan) => match limits.strategy {
                Some(wanted) if wanted != plan.strategy => {
                    reasons.push(Reason::OtherStrategy { wanted, needed: plan.strategy });
                }
                _ => {
                    let is_open = plan.strategy == Strategy::SlideIn && case.replay(limits.replay).is_ok();
                    let alternatives = if is_open { vec![Strategy::Replay] } else { Vec::new() };
                    return Ok(Some(RepairPlan { alternatives, ..plan }));
                }
            },
            Err(found) => reasons.extend(found),
        }
    }
    if matches!(limits.strategy, None | Some(Strategy::Replay)) {
        match case.replay(limits.replay) {
            Ok(plan) => return Ok(Some(RepairPlan { instead: reasons, ..plan })),
            Err(found) => {
                reasons.extend(found.into_iter().filter(|reason| !reasons.contains(reason)).collect::<Vec<_>>())
            }
        }
    }
    Err(refused(reasons))
}

/// The ledger as it really is, with what has only another name put right.
struct Case<'a> {
    files: &'a [MigrationName],
    rows: &'a [LedgerRow],
    diagnosis: &'a Diagnosis,
    facts: &'a Facts,
    place: BTreeMap<&'a str, usize>,
    renames: Vec<(MigrationName, MigrationName)>,
    /// In the order of execution, under the names that they will have.
    order: Vec<String>,
    /// Of those, what has no file here.
    foreign: BTreeSet<String>,
    unknown: Vec<String>,
}

impl<'a> Case<'a> {
    fn new(files: &'a [MigrationName], rows: &'a [LedgerRow], diagnosis: &'a Diagnosis, facts: &'a Facts) -> Self {
        let place: BTreeMap<&str, usize> = files.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let (mut renames, mut foreign, mut unknown, mut order) = (Vec::new(), BTreeSet::new(), Vec::new(), Vec::new());
        let mut taken = BTreeSet::new();
        for name in &diagnosis.order {
            if place.contains_key(name.as_str()) {
                order.push(name.clone());
                continue;
            }
            let fact = facts.get(name);
            let renamed = fact.and_then(|fact| fact.renamed_to.clone()).filter(|to| taken.insert(to.clone()));
            match (renamed, MigrationName::parse(name)) {
                (Some(to), Ok(from)) => {
                    order.push(to.to_string());
                    renames.push((from, to));
                }
                (_, parsed) => {
                    if parsed.is_err() || fact.is_none_or(|fact| fact.found.is_none()) {
                        unknown.push(name.clone());
                    }
                    foreign.insert(name.clone());
                    order.push(name.clone());
                }
            }
        }
        Self { files, rows, diagnosis, facts, place, renames, order, foreign, unknown }
    }

    fn at(&self, name: &str) -> usize {
        self.place.get(name).copied().unwrap_or(usize::MAX)
    }

    /// What the facts say; a renamed one is known under its old name.
    fn fact(&self, name: &str) -> Option<&Fact> {
        let renamed = self.renames.iter().find(|(_, to)| to.as_str() == name);
        self.facts.get(renamed.map_or(name, |(from, _)| from.as_str()))
    }

    /// The first files, as many as it takes to hold everything that stays.
    fn target(&self) -> &'a [MigrationName] {
        let newest = self.order.iter().filter_map(|name| self.place.get(name.as_str())).max();
        &self.files[..newest.map_or(0, |newest| newest + 1)]
    }

    /// Keeps what was executed, where nobody could tell the difference.
    fn in_place(&self, links: &Links, replay: Replay) -> Result<RepairPlan, Vec<Reason>> {
        let executed: BTreeSet<&str> = self.order.iter().map(String::as_str).collect();
        let holes: Vec<&str> =
            self.target().iter().map(MigrationName::as_str).filter(|name| !executed.contains(name)).collect();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for (at, name) in self.order.iter().enumerate() {
            for later in self.order[at + 1..].iter().filter(|later| !self.foreign.contains(*later)) {
                let is_inverted =
                    self.at(later) < self.at(name) && !self.is_untrusted(later) && !self.is_untrusted(name);
                if self.foreign.contains(name) || is_inverted {
                    pairs.push((name, later));
                }
            }
            let passed = |hole: &&&str| !self.foreign.contains(name) && self.at(hole) < self.at(name);
            pairs.extend(holes.iter().filter(passed).map(|hole| (*hole, name.as_str())));
        }
        let proof = (!pairs.is_empty()).then(|| Proof::new(&self.parts(&holes), links));
        let reason = |(first, second): &(&str, &str)| {
            let conflict = proof.as_ref()?.conflict(first, second)?;
            Some(Reason::Conflict { first: (*first).to_owned(), second: (*second).to_owned(), conflict })
        };
        let reasons = pairs.iter().filter_map(reason).collect();
        let undone: Vec<&str> =
            self.order.iter().rev().map(String::as_str).filter(|name| self.foreign.contains(*name)).collect();
        let strategy = match (holes.is_empty(), undone.is_empty()) {
            (false, _) => Strategy::SlideIn,
            (true, false) => Strategy::RollBack,
            (true, true) => Strategy::ReStamp,
        };
        let plan = self.finish(strategy, &undone, replay, reasons)?;
        let apart = proof.map(|proof| {
            let side = |names: Vec<&str>| names.into_iter().flat_map(|name| proof.owned(name)).collect();
            let (moved, passed) = pairs.iter().copied().unzip();
            Apart { moved: side(moved), passed: side(passed) }
        });
        Ok(RepairPlan { apart, ..plan })
    }

    /// Undoes everything from the first wrong one on, and runs it again in its turn.
    fn replay(&self, replay: Replay) -> Result<RepairPlan, Vec<Reason>> {
        let is_right = |(name, file): &(&String, &MigrationName)| name.as_str() == file.as_str();
        let right = self.order.iter().zip(self.files).take_while(is_right).count();
        let undone: Vec<&str> = self.order[right..].iter().rev().map(String::as_str).collect();
        self.finish(Strategy::Replay, &undone, replay, Vec::new())
    }

    fn finish(
        &self,
        strategy: Strategy,
        undone: &[&str],
        replay: Replay,
        mut reasons: Vec<Reason>,
    ) -> Result<RepairPlan, Vec<Reason>> {
        let mut steps: Vec<RepairStep> = Vec::new();
        // A row that is undone has its old name until then; only what stays is renamed.
        let renamed = self.renames.iter().filter(|(_, to)| !undone.contains(&to.as_str()));
        steps.extend(renamed.map(|(from, to)| RepairStep::Rename { from: from.clone(), to: to.clone() }));
        for name in undone {
            match self.undo(name, replay) {
                Ok(step) => steps.push(step),
                Err(reason) => reasons.push(reason),
            }
        }
        let mut previous: Option<(&MigrationName, Option<i64>)> = None;
        let mut after = Vec::new();
        for name in self.target() {
            let stays = self.order.iter().any(|executed| executed == name.as_str()) && !undone.contains(&name.as_str());
            let behind = previous.map(|(name, _)| name.clone());
            let time = if stays {
                let (step, time) = self.keep(name, previous);
                steps.extend(step);
                time
            } else {
                match self.run(name) {
                    Ok(script) => steps.push(RepairStep::Run { name: name.clone(), script, after: behind }),
                    Err(reason) => reasons.push(reason),
                }
                None
            };
            previous = Some((name, time));
            after.push(name.clone());
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        Ok(RepairPlan {
            problems: self.diagnosis.problems.clone(),
            strategy,
            apart: None,
            instead: Vec::new(),
            alternatives: Vec::new(),
            steps,
            before: self.rows.to_vec(),
            pending: self.files.len() - after.len(),
            after,
            seen: Seen::default(),
        })
    }

    /// A row that stays: its step if its time must change, and its time then, if that is known beforehand.
    fn keep(
        &self,
        name: &MigrationName,
        previous: Option<(&MigrationName, Option<i64>)>,
    ) -> (Option<RepairStep>, Option<i64>) {
        let old = self.renames.iter().find(|(_, to)| to == name).map_or(name, |(from, _)| from);
        let Some(row) = self.rows.iter().find(|row| row.name == old.as_str()) else { return (None, None) };
        let own = row.time();
        let is_last = self.target().last() == Some(name);
        let trusted = own.filter(|_| is_last || !self.is_untrusted(old.as_str()));
        let fits = match (previous, trusted) {
            (_, None) | (Some((_, None)), _) => false,
            (None, Some(_)) => true,
            (Some((before, Some(time))), Some(own)) => {
                own > time || (own == time && locale_compare(before.as_str(), name.as_str()) == Ordering::Less)
            }
        };
        if fits {
            return (None, own);
        }
        let not_before = own.filter(|_| !self.is_untrusted(old.as_str()));
        let time = match previous {
            Some((_, None)) => None,
            Some((_, Some(time))) => Some((time + 1).max(not_before.unwrap_or(i64::MIN))),
            None => Some(not_before.unwrap_or(0)),
        };
        let after = previous.map(|(name, _)| name.clone());
        (Some(RepairStep::Restamp { name: name.clone(), was: row.timestamp.clone(), not_before, after }), time)
    }

    fn is_untrusted(&self, name: &str) -> bool {
        self.diagnosis.untrusted.contains(name)
    }

    fn undo(&self, name: &str, replay: Replay) -> Result<RepairStep, Reason> {
        let old = self.renames.iter().find(|(_, to)| to.as_str() == name).map_or(name, |(from, _)| from.as_str());
        let own = || name.to_owned();
        let (Some(fact), Ok(parsed)) = (self.facts.get(old), MigrationName::parse(old)) else {
            return Err(Reason::Unknown { name: own() });
        };
        match replay {
            Replay::Never => return Err(Reason::Protected { name: own() }),
            Replay::Mine if !fact.is_mine => return Err(Reason::NotMine { name: own() }),
            Replay::Mine | Replay::Anybodys => {}
        }
        match &fact.undo {
            Undo::Impossible(why) => Err(Reason::CannotUndo { name: own(), why: why.clone() }),
            Undo::Script(script, origin) => {
                check_transactional(name, script)?;
                Ok(RepairStep::Undo { name: parsed, script: script.clone(), origin: origin.clone() })
            }
        }
    }

    fn run(&self, name: &MigrationName) -> Result<Script, Reason> {
        let file = self.facts.get(name.as_str()).map(|fact| &fact.file);
        match file {
            Some(Ok(script)) => check_transactional(name.as_str(), script).map(|()| script.clone()),
            Some(Err(why)) => Err(Reason::CannotRun { name: name.to_string(), why: why.clone() }),
            None => Err(Reason::Unknown { name: name.to_string() }),
        }
    }

    /// What is known of everything that ran since the first wrong one, and of what would run.
    fn parts(&self, holes: &[&str]) -> Vec<Part<'_>> {
        let executed = self.order.iter().filter_map(|name| {
            let fact = self.fact(name)?;
            let ran: Vec<&Script> = fact.executed.as_ref().or(fact.file.as_ref().ok()).into_iter().collect();
            let runs = match &fact.undo {
                // A down part alone does not tell what ran.
                Undo::Script(script, _) if self.foreign.contains(name) && !ran.is_empty() => vec![script],
                Undo::Script(..) | Undo::Impossible(_) => Vec::new(),
            };
            Some(Part { name: name.clone(), ran, runs })
        });
        let pending = holes.iter().map(|name| {
            let file = self.facts.get(*name).and_then(|fact| fact.file.as_ref().ok());
            Part { name: (*name).to_owned(), ran: Vec::new(), runs: file.into_iter().collect() }
        });
        executed.chain(pending).collect()
    }
}

/// A repair is one transaction or nothing.
fn check_transactional(name: &str, script: &Script) -> Result<(), Reason> {
    let other = script.statements().iter().position(|statement| statement.kind != StatementKind::Ordinary);
    let alone = other.or_else(|| (!script.is_transactional()).then_some(0));
    alone.map_or(Ok(()), |at| {
        let excerpt = script.excerpt(at);
        let statement = excerpt.lines().next().unwrap_or_default().to_owned();
        Err(Reason::NotTransactional { name: name.to_owned(), statement })
    })
}
