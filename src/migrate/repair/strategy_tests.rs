//! Whatever is planned, Kysely accepts what it leaves behind; whatever is refused has a reason.

use super::classify::diagnose;
use super::facts::{Fact, Facts, Origin, Undo};
use super::links::Links;
use super::model::{Limits, Reason, Refused, RepairPlan, Replay, Strategy as Way};
use super::proof::Conflict;
use super::steps::{RepairStep, rows_after};
use super::strategy::plan;
use crate::migrate::{Direction, Layout, LedgerRow, MigrationName, Script, Target, kysely_time, route};
use proptest::prelude::*;
use std::path::Path;

const NOW: i64 = 2_000_000_000_000;
const SQL: [&str; 4] = ["alter table shared add column NAME int", "do $$ begin end $$", "vacuum shared", "select 1"];

fn name(text: &str) -> MigrationName {
    MigrationName::parse(text).unwrap()
}

fn script(text: &str) -> Script {
    Script::parse(Path::new("x.sql"), text.as_bytes(), Layout::Whole, Direction::Up).unwrap().unwrap()
}

/// Whether Kysely would accept what the plan leaves behind.
fn is_accepted(files: &[MigrationName], plan: &RepairPlan, now: i64) -> bool {
    route(files, &rows_after(&plan.before, &plan.steps, now), &Target::Latest, false).is_ok()
}

/// A migration of its own table, unless another SQL is given.
fn fact(migration: &str, sql: Option<&str>, has_down: bool, is_mine: bool) -> Fact {
    let own = format!("create table t_{} (id int)", migration.to_lowercase());
    let up = script(sql.unwrap_or(&own));
    Fact {
        file: Ok(up.clone()),
        executed: Some(up),
        undo: if has_down {
            Undo::Script(script(&format!("drop table t_{migration}")), Origin::File)
        } else {
            Undo::Impossible("has no down part".to_owned())
        },
        is_mine,
        found: Some(Origin::Journal),
        renamed_to: None,
    }
}

fn facts(found: &[(&str, Fact)]) -> Facts {
    found.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect()
}

fn rows(found: &[(&str, i64)]) -> Vec<LedgerRow> {
    found.iter().map(|(name, time)| LedgerRow::new(name, &kysely_time(*time))).collect()
}

fn planned(
    files: &[&str],
    rows: &[LedgerRow],
    facts: &Facts,
    replay: Replay,
    strategy: Option<Way>,
) -> Result<RepairPlan, Refused> {
    let files: Vec<MigrationName> = files.iter().map(|text| name(text)).collect();
    let diagnosis = diagnose(&files, rows, &[], NOW);
    let plan = plan(&files, rows, &diagnosis, facts, &Links::default(), Limits { replay, strategy })?.unwrap();
    assert!(is_accepted(&files, &plan, NOW), "{plan:?}");
    Ok(plan)
}

fn told(plan: &RepairPlan) -> String {
    let step = |step: &RepairStep| match step {
        RepairStep::Undo { name, .. } => format!("-{name}"),
        RepairStep::Run { name, .. } => format!("+{name}"),
        RepairStep::Rename { from, to } => format!("{from}>{to}"),
        RepairStep::Restamp { name, .. } => format!("~{name}"),
    };
    format!("{} {}", plan.strategy.word(), plan.steps.iter().map(step).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_gap_slides_in_where_nothing_is_shared_and_is_replayed_where_it_is() {
    let rows = rows(&[("a", 1), ("c", 2)]);
    let apart = facts(&[("b", fact("b", None, true, false)), ("c", fact("c", None, true, false))]);
    for replay in [Replay::Anybodys, Replay::Mine, Replay::Never] {
        let plan = planned(&["a", "b", "c", "d"], &rows, &apart, replay, None).unwrap();
        assert_eq!(told(&plan), "slide-in +b ~c");
    }
    let wished = planned(&["a", "b", "c"], &rows, &apart, Replay::Anybodys, Some(Way::Replay)).unwrap();
    assert_eq!(told(&wished), "replay -c +b +c");
    let shared = facts(&[("b", fact("b", Some(SQL[0]), true, true)), ("c", fact("c", Some(SQL[0]), true, true))]);
    for replay in [Replay::Anybodys, Replay::Mine] {
        assert_eq!(told(&planned(&["a", "b", "c"], &rows, &shared, replay, None).unwrap()), "replay -c +b +c");
    }
    let refused = planned(&["a", "b", "c"], &rows, &shared, Replay::Never, None).unwrap_err();
    let conflict = Conflict::Shared { names: vec!["shared".to_owned()], how: Vec::new() };
    assert_eq!(
        refused.reasons,
        [
            Reason::Conflict { first: "b".to_owned(), second: "c".to_owned(), conflict },
            Reason::Protected { name: "c".to_owned() }
        ]
    );
}

#[test]
fn a_row_of_another_branch_is_undone_and_a_renamed_one_renamed() {
    let rows = rows(&[("a", 1), ("m", 2), ("n", 3)]);
    let mut known = facts(&[("m", fact("m", None, true, true)), ("n", fact("n", None, true, true))]);
    let plan = planned(&["a", "n"], &rows, &known, Replay::Mine, None).unwrap();
    assert_eq!(told(&plan), "roll-back -m");
    known.get_mut("m").unwrap().renamed_to = Some(name("k"));
    known.insert("k".to_owned(), fact("m", None, true, true));
    let plan = planned(&["a", "k", "n"], &rows, &known, Replay::Never, None).unwrap();
    assert_eq!(told(&plan), "re-stamp m>k");
    known.get_mut("m").unwrap().is_mine = false;
    known.get_mut("m").unwrap().renamed_to = None;
    let refused = planned(&["a", "n"], &rows, &known, Replay::Mine, None).unwrap_err();
    assert_eq!(refused.reasons, [Reason::NotMine { name: "m".to_owned() }]);
    known.get_mut("m").unwrap().found = None;
    let refused = planned(&["a", "n"], &rows, &known, Replay::Anybodys, None).unwrap_err();
    assert_eq!(refused.reasons, [Reason::Unknown { name: "m".to_owned() }]);
}

#[test]
fn wrong_times_are_put_right_without_running_anything() {
    let none = Facts::new();
    let tie = planned(&["B", "a"], &rows(&[("B", 5), ("a", 5)]), &none, Replay::Never, None).unwrap();
    assert_eq!(told(&tie), "re-stamp ~a");
    let mut unreadable = rows(&[("a", 5), ("b", 6), ("c", 7)]);
    unreadable[1].timestamp = "soon".to_owned();
    assert_eq!(told(&planned(&["a", "b", "c"], &unreadable, &none, Replay::Never, None).unwrap()), "re-stamp ~b");
    let ahead = rows(&[("a", 5), ("b", NOW + 1), ("c", 7)]);
    assert_eq!(told(&planned(&["a", "b", "c"], &ahead, &none, Replay::Never, None).unwrap()), "re-stamp ~b");
}

/// Anything that a ledger, a folder and what is known of them can be.
fn anything() -> impl Strategy<Value = (Vec<MigrationName>, Vec<LedgerRow>, Facts, Limits)> {
    let one = (any::<bool>(), any::<bool>(), 0..12_i64, 0..9_usize, any::<[bool; 4]>());
    let replay = prop_oneof![Just(Replay::Anybodys), Just(Replay::Mine), Just(Replay::Never)];
    let wished = prop_oneof![Just(None), Just(Some(Way::Replay)), Just(Some(Way::SlideIn)), Just(Some(Way::ReStamp))];
    (prop::collection::vec(one, 0..7), replay, wished).prop_map(|(all, replay, strategy)| {
        let (mut files, mut rows, mut facts) = (Vec::new(), Vec::new(), Facts::new());
        for (at, (is_file, is_executed, time, sql, [has_down, is_mine, is_found, is_renamed])) in
            all.into_iter().enumerate()
        {
            // Kysely's two orders disagree about these.
            let text = ["B_x", "C_x", "a-x", "a_x", "b1", "b2", "b3"][at];
            let mut fact = fact(&format!("n{at}"), SQL.get(sql).copied(), has_down, is_mine);
            fact.found = is_found.then_some(Origin::Journal);
            if is_file {
                files.push(name(text));
            } else if is_renamed {
                fact.renamed_to = files.last().cloned();
            }
            if is_executed {
                let timestamp = match time {
                    10 => "soon".to_owned(),
                    11 => kysely_time(NOW + 1000),
                    time => kysely_time(time),
                };
                rows.push(LedgerRow::new(text, &timestamp));
            }
            facts.insert(text.to_owned(), fact);
        }
        files.sort();
        // Only what is pending can be the new name of something.
        for fact in facts.values_mut() {
            let executed = |name: &MigrationName| rows.iter().any(|row| row.name == name.as_str());
            fact.renamed_to = fact.renamed_to.take().filter(|name| !executed(name));
        }
        (files, rows, facts, Limits { replay, strategy })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn whatever_is_planned_is_accepted_by_kysely_or_refused_with_a_reason((files, rows, facts, limits) in anything()) {
        let diagnosis = diagnose(&files, &rows, &[], NOW);
        let accepted = route(&files, &rows, &Target::Latest, false).is_ok();
        prop_assert_eq!(diagnosis.problems.is_empty(), accepted);
        match plan(&files, &rows, &diagnosis, &facts, &Links::default(), limits) {
            Ok(None) => prop_assert!(accepted),
            Ok(Some(plan)) => {
                prop_assert!(is_accepted(&files, &plan, NOW), "{:?}", plan);
                prop_assert_eq!(&files[..plan.after.len()], plan.after.as_slice());
                prop_assert!(!plan.steps.is_empty());
                for step in &plan.steps {
                    if let RepairStep::Undo { name, .. } = step {
                        prop_assert!(limits.replay != Replay::Never);
                        prop_assert!(limits.replay != Replay::Mine || facts[name.as_str()].is_mine);
                    }
                }
            }
            Err(refused) => prop_assert!(!refused.reasons.is_empty()),
        }
    }
}
