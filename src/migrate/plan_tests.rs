use super::script::{Layout, Script};
use super::{Direction, LedgerRow, MigrationName, Piece, PlanError, Route, Segment, Target, route, segments};
use proptest::prelude::*;
use std::path::Path;

fn names(texts: &[&str]) -> Vec<MigrationName> {
    let mut names: Vec<MigrationName> = texts.iter().map(|text| MigrationName::parse(text).unwrap()).collect();
    names.sort();
    names
}

/// Rows one millisecond apart, in this order.
fn rows(texts: &[&str]) -> Vec<LedgerRow> {
    let time = |index: usize| format!("2026-01-02T03:04:05.{index:03}Z");
    texts.iter().enumerate().map(|(index, name)| LedgerRow::new(name, &time(index))).collect()
}

fn to(files: &[&str], executed: &[&str], target: &str) -> Result<(Direction, Vec<String>), String> {
    go(files, executed, &Target::parse(target), false)
}

fn go(
    files: &[&str],
    executed: &[&str],
    target: &Target,
    allow_unordered: bool,
) -> Result<(Direction, Vec<String>), String> {
    let Route { direction, names, .. } =
        route(&names(files), &rows(executed), target, allow_unordered).map_err(|error| error.to_string())?;
    Ok((direction, names.iter().map(ToString::to_string).collect()))
}

fn up(names: &[&str]) -> Result<(Direction, Vec<String>), String> {
    Ok((Direction::Up, names.iter().map(ToString::to_string).collect()))
}

fn down(names: &[&str]) -> Result<(Direction, Vec<String>), String> {
    Ok((Direction::Down, names.iter().map(ToString::to_string).collect()))
}

#[test]
fn latest_runs_all_that_is_pending_in_name_order() {
    assert_eq!(to(&["2", "1", "3"], &[], "latest"), up(&["1", "2", "3"]));
    assert_eq!(to(&["1", "2", "3", "4"], &["1", "2"], "latest"), up(&["3", "4"]));
    assert_eq!(to(&["1"], &["1"], "latest"), up(&[]));
}

#[test]
fn a_name_leads_up_or_down_and_stays() {
    assert_eq!(to(&["1", "2", "3"], &[], "2"), up(&["1", "2"]));
    assert_eq!(to(&["1", "2", "3", "4"], &["1", "2", "3", "4"], "2"), down(&["4", "3"]));
    assert_eq!(to(&["1", "2"], &["1", "2"], "2"), down(&[]));
    assert_eq!(to(&["1", "2", "3"], &["1", "2", "3"], "none"), down(&["3", "2", "1"]));
}

#[test]
fn at_least_a_name_never_leads_down() {
    let at_least =
        |files: &[&str], executed: &[&str], name: &str| go(files, executed, &Target::AtLeast(name.to_owned()), false);
    assert_eq!(at_least(&["1", "2", "3"], &["1"], "2"), up(&["2"]));
    assert_eq!(at_least(&["1", "2", "3", "4"], &["1", "2", "3"], "2"), up(&[]));
    assert_eq!(at_least(&["1"], &["1"], "2").unwrap_err(), "migration \"2\" doesn't exist");
}

#[test]
fn the_errors_are_kyselys_word_for_word() {
    assert_eq!(
        to(&["migration1", "migration2", "migration3"], &["migration1", "migration3"], "latest").unwrap_err(),
        "corrupted migrations: expected previously executed migration migration3 to be at index 1 but migration2 was found in its place. New migrations must always have a name that comes alphabetically after the last executed migration."
    );
    assert_eq!(
        to(&["migration2", "migration3", "migration4"], &["migration1", "migration2"], "latest").unwrap_err(),
        "corrupted migrations: previously executed migration migration1 is missing"
    );
    assert_eq!(to(&["a"], &[], "nope").unwrap_err(), "migration \"nope\" doesn't exist");
    let bad = [LedgerRow::new("a", "yesterday")];
    assert_eq!(
        route(&names(&["a"]), &bad, &Target::Latest, false).unwrap_err().to_string(),
        "corrupted migrations: previously executed migration a has an invalid timestamp yesterday"
    );
}

#[test]
fn what_is_missing_is_said_before_what_is_out_of_order() {
    assert_eq!(
        to(&["1", "2"], &["2", "3"], "nope").unwrap_err(),
        "corrupted migrations: previously executed migration 3 is missing"
    );
    assert!(go(&["2"], &["1"], &Target::Latest, true).unwrap_err().contains("1 is missing"));
}

#[test]
fn without_files_there_is_nothing_to_do_whatever_the_target() {
    assert_eq!(to(&[], &[], "nope"), up(&[]));
    assert!(to(&[], &["1"], "latest").unwrap_err().contains("1 is missing"));
}

#[test]
fn unordered_mode_fills_holes_and_undoes_by_time() {
    let unordered = |files: &[&str], executed: &[&str], target: Target| go(files, executed, &target, true);
    let name = |text: &str| Target::Name(text.to_owned());
    assert_eq!(unordered(&["1", "2", "3", "4"], &["1", "3"], Target::Latest), up(&["2", "4"]));
    assert_eq!(unordered(&["1", "2", "3", "4", "5"], &["1", "3"], name("4")), up(&["2", "4"]));
    assert_eq!(unordered(&["1", "2", "3", "4"], &["1", "2", "4"], Target::Nothing), down(&["4", "2", "1"]));
    assert_eq!(unordered(&["1", "2", "3", "4", "5"], &["1", "2", "3", "5"], name("2")), down(&["5", "3"]));
    assert_eq!(unordered(&["1", "2", "3"], &["1", "3", "2"], Target::Down(1)), down(&["2"]));
    assert_eq!(unordered(&["1", "2", "3", "4"], &["1", "3"], Target::Up(1)), up(&["2"]));
}

#[test]
fn equal_times_are_ordered_as_kysely_orders_them() {
    let at = |name: &str| LedgerRow::new(name, "2024-01-01T00:00:00.000Z");
    let files = names(&["2024-01-01-create-table", "2024-01-01.2-update-table"]);
    let ledger = [at("2024-01-01.2-update-table"), at("2024-01-01-create-table")];
    assert_eq!(route(&files, &ledger, &Target::Latest, false).unwrap().names, []);
    // The trap of research 1.9: file order and `localeCompare` disagree about `_` and `-`.
    let files = names(&["2024-01-01_x", "2024-01-01-x"]);
    let error = route(&files, &[at("2024-01-01_x"), at("2024-01-01-x")], &Target::Latest, false).unwrap_err();
    assert!(matches!(error, PlanError::OutOfOrder { index: 0, .. }));
}

fn script(text: &str) -> Script {
    Script::parse(Path::new("a"), text.as_bytes(), Layout::Whole, Direction::Up).unwrap().unwrap()
}

fn piece(step: usize, statements: std::ops::Range<usize>, completes: bool) -> Piece {
    Piece { step, statements, completes }
}

#[test]
fn ordinary_migrations_are_one_transaction() {
    let found = segments(&[script("a; b"), script("c")]);
    assert_eq!(found, [Segment::Transaction(vec![piece(0, 0..2, true), piece(1, 0..1, true)])]);
}

#[test]
fn a_statement_that_refuses_a_transaction_stands_alone() {
    let found = segments(&[script("a; vacuum; b"), script("c"), script("vacuum")]);
    assert_eq!(
        found,
        [
            Segment::Transaction(vec![piece(0, 0..1, false)]),
            Segment::Alone(piece(0, 1..2, false)),
            Segment::Transaction(vec![piece(0, 2..3, true), piece(1, 0..1, true)]),
            Segment::Alone(piece(2, 0..1, true)),
        ]
    );
    let opted_out = segments(&[script("-- devdb: transaction=false\na; b")]);
    assert_eq!(opted_out, [Segment::Alone(piece(0, 0..1, false)), Segment::Alone(piece(0, 1..2, true))]);
}

#[test]
fn a_new_enum_value_is_committed_before_it_can_be_used() {
    let add = "alter type mood add value 'ok'";
    let found = segments(&[script(&format!("a; {add}; b")), script(add), script("c")]);
    assert_eq!(
        found,
        [
            Segment::Transaction(vec![piece(0, 0..2, false)]),
            Segment::Transaction(vec![piece(0, 2..3, true), piece(1, 0..1, true)]),
            Segment::Transaction(vec![piece(2, 0..1, true)]),
        ]
    );
}

proptest! {
    /// Whatever the scripts: every statement runs once and in order, and every step completes once, at its end.
    #[test]
    fn segments_cover_every_statement_once_and_in_order(kinds in prop::collection::vec(prop::collection::vec(0..3_u8, 1..5), 0..6)) {
        let text = |kinds: &Vec<u8>| kinds.iter().map(|kind| ["a", "vacuum", "alter type t add value 'x'"][usize::from(*kind)]).collect::<Vec<_>>().join(";");
        let scripts: Vec<Script> = kinds.iter().map(|kinds| script(&text(kinds))).collect();
        let mut seen = Vec::new();
        for segment in segments(&scripts) {
            let pieces = match segment {
                Segment::Transaction(pieces) => pieces,
                Segment::Alone(piece) => { prop_assert_eq!(piece.statements.len(), 1); vec![piece] }
            };
            for piece in pieces {
                let last = piece.statements.end == scripts[piece.step].statements().len();
                prop_assert_eq!(piece.completes, last);
                seen.extend(piece.statements.map(|statement| (piece.step, statement)));
            }
        }
        let all: Vec<_> = scripts.iter().enumerate().flat_map(|(step, script)| (0..script.statements().len()).map(move |statement| (step, statement))).collect();
        prop_assert_eq!(seen, all);
    }

    /// Running up to the latest and telling the ledger always leaves nothing to do, and never an error.
    #[test]
    fn after_latest_nothing_is_pending(texts in prop::collection::hash_set("[a-zA-Z0-9_-]{1,4}", 1..8)) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).filter(|text| MigrationName::parse(text).is_ok()).collect();
        let (_, ran) = to(&texts, &[], "latest").unwrap();
        let ran: Vec<&str> = ran.iter().map(String::as_str).collect();
        prop_assert_eq!(to(&texts, &ran, "latest"), up(&[]));
    }
}
