//! The dump, judged by `pg_dump` and by itself.

use super::{EVERY_FEATURE, database, schema, stage};
use crate::support::postgres::Database;

fn dump(database: &Database) -> String {
    let outcome = schema(&stage(database), &["--dump"]);
    assert_eq!(outcome.stderr, "", "{outcome}");
    outcome.stdout
}

/// A difference of long texts that can be read.
#[track_caller]
fn assert_same(one: &str, other: &str) {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    for (line, pair) in one.iter().zip(&other).enumerate() {
        let around = line.saturating_sub(8)..(line + 8).min(one.len()).min(other.len());
        assert!(
            pair.0 == pair.1,
            "line {line}:\n{}\n--- but\n{}",
            one[around.clone()].join("\n"),
            other[around].join("\n")
        );
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_dump_makes_the_same_schema_anew() {
    let original = database(EVERY_FEATURE);
    let text = dump(&original);
    insta::assert_snapshot!("dump", text);
    let copy = database(&text);
    assert_same(&text, &dump(&copy));
    assert_same(&original.pg_dump(), &copy.pg_dump());
}
