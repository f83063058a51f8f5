//! What psql's `\d+` tells of a relation, devdb tells too.

use super::{EVERY_FEATURE, RARE_FEATURES, database, schema, stage};
use crate::support::postgres::Database;
use std::collections::BTreeSet;

/// Words of psql's that carry nothing, or that devdb says otherwise where they stand.
const FORM: &[&str] = &["policy", "for", "as", "generated", "always", "constraint", "public", "yes", "no", "object"];

/// What nobody wrote: derived from the bound, or the only one there is.
const DERIVED: &[&str] = &["Partition constraint:", "Access method: heap"];

fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty());
    words.map(str::to_lowercase).filter(|word| !FORM.contains(&word.as_str())).collect()
}

/// The statements of psql's answer, each as its words.
fn statements(answer: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut lines = answer.lines().skip(1);
    let header: Vec<&str> = lines.next().unwrap_or_default().split('|').collect();
    let mut section = String::new();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if DERIVED.iter().any(|derived| line.starts_with(derived)) {
            continue;
        }
        let mut line = line.to_owned();
        // A default may hold a line break.
        while line.contains('|') && line.split('|').count() < header.len() {
            line = line + " " + lines.next().unwrap();
        }
        let cells: Vec<&str> = line.split('|').collect();
        let said = if cells.len() == header.len() && cells.len() > 4 {
            // Only a storage that is not the type's own was chosen by somebody.
            let cells = cells.iter().zip(&header).filter(|(_, name)| **name != "Storage");
            cells.map(|(cell, _)| *cell).collect::<Vec<_>>().join(" ")
        } else if !line.starts_with(' ') && line.ends_with(':') {
            section = line;
            continue;
        } else {
            let value = line.split_once(": ").filter(|_| !line.starts_with(' ')).map_or(&*line, |(_, value)| value);
            // The parent that a partition has it from is told once, above.
            let value = value.split_once(", ON TABLE").map_or(value, |(value, _)| value);
            let inherited = value.trim_start().strip_prefix("TABLE ").filter(|_| section.starts_with("Foreign"));
            let value = inherited.and_then(|rest| rest.split_once(" CONSTRAINT ")).map_or(value, |(_, rest)| rest);
            value.replace("TABLE ", "").replace(" CLUSTER", " clustered")
        };
        let wanted = words(&said);
        found.push((line, wanted));
    }
    found
}

/// How many statements were compared, and those that are not told.
fn compare(database: &Database) -> (usize, Vec<String>) {
    let names = database.sql(
        "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname !~ '^pg_|^information_schema' order by 1",
    );
    let stage = stage(database);
    let (mut compared, mut missing) = (0, Vec::new());
    for name in names.lines() {
        let told = schema(&stage, &[name]).stdout;
        let lines: Vec<&str> = told.lines().collect();
        // A comment stands below what it is about.
        let pairs: Vec<_> = (0..lines.len()).map(|at| words(&lines[at..lines.len().min(at + 2)].join(" "))).collect();
        for (line, wanted) in statements(&database.describe(name)) {
            if !pairs.iter().any(|pair| wanted.is_subset(pair)) {
                missing.push(format!("{name}: {line}"));
            }
            compared += 1;
        }
    }
    (compared, missing)
}

#[test]
fn what_psql_tells_of_a_relation_is_told() {
    for (features, at_least) in [(EVERY_FEATURE, 150), (RARE_FEATURES, 10)] {
        let (compared, missing) = compare(&database(features));
        assert!(missing.is_empty() && compared > at_least, "{compared}: {missing:#?}");
    }
}
