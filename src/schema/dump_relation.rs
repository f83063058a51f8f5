//! The SQL of one relation. Names are shown with their schemas.

use super::dump::comment;
use super::dump_table::{arranged, column_settings, is_inline, table};
use super::plan::Plan;
use super::quote::{identifier, literal};
use super::{Column, Relation, RelationKind, Sequence};

pub(super) fn relation(found: &Relation, plan: &Plan<'_>) -> String {
    let name = &found.shown;
    let (mut text, object) = match found.kind {
        RelationKind::Sequence => (sequence(found), "SEQUENCE"),
        RelationKind::View => (view(found, plan), "VIEW"),
        RelationKind::MaterializedView => (materialized_view(found), "MATERIALIZED VIEW"),
        RelationKind::ForeignTable => (table(found, plan), "FOREIGN TABLE"),
        RelationKind::Table | RelationKind::PartitionedTable => (table(found, plan), "TABLE"),
    };
    text.push_str(&column_settings(found, plan));
    let switches = [
        (found.row_security, "ENABLE ROW LEVEL SECURITY"),
        (found.force_row_security, "FORCE ROW LEVEL SECURITY"),
        (is_table(found) && found.replica_identity == 'f', "REPLICA IDENTITY FULL"),
        (is_table(found) && found.replica_identity == 'n', "REPLICA IDENTITY NOTHING"),
    ];
    for (_, switch) in switches.iter().filter(|(is_on, _)| *is_on) {
        text.push_str(&format!("ALTER TABLE ONLY {name} {switch};\n"));
    }
    text.push_str(&comment(&format!("{object} {name}"), &found.comment));
    for column in arranged(found, &plan.by_name) {
        text.push_str(&comment(&format!("COLUMN {name}.{}", identifier(&column.name)), &column.comment));
        text.push_str(&column.identity_options.as_ref().map_or_else(String::new, |own| identity(found, own)));
    }
    for check in found.constraints.iter().filter(|check| is_inline(found, check, plan)) {
        text.push_str(&comment(&format!("CONSTRAINT {} ON {name}", identifier(&check.name)), &check.comment));
    }
    text
}

fn is_table(found: &Relation) -> bool {
    matches!(found.kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView)
}

/// What an identity column's sequence has that its column cannot say.
fn identity(found: &Relation, sequence: &Sequence) -> String {
    let Some(name) = &sequence.name else { return String::new() };
    let switch = match sequence.persistence {
        Some('u') if found.persistence != 'u' => format!("ALTER SEQUENCE {name} SET UNLOGGED;\n"),
        Some('p') if found.persistence != 'p' => format!("ALTER SEQUENCE {name} SET LOGGED;\n"),
        _ => String::new(),
    };
    switch + &comment(&format!("SEQUENCE {name}"), &sequence.comment)
}

/// A view; where its query comes later, its columns alone, which is enough for what the query needs.
fn view(found: &Relation, plan: &Plan<'_>) -> String {
    let name = &found.shown;
    let is_late = found.rule.is_some_and(|rule| plan.separated.contains_key(&format!("w{rule}")));
    let mut text = if is_late {
        let column = |column: &Column| {
            let collation = column.collation.as_ref().map_or_else(String::new, |name| format!(" COLLATE {name}"));
            format!("    NULL::{}{collation} AS {}", column.column_type, identifier(&column.name))
        };
        let columns: Vec<String> = found.columns.iter().map(column).collect();
        format!("CREATE VIEW {name} AS\n SELECT\n{};\n", columns.join(",\n"))
    } else {
        format!("CREATE VIEW {name}{} AS\n{}\n", with(&found.options), query(found, ";"))
    };
    for column in found.columns.iter().filter(|column| !plan.is_late_default(column)) {
        if let Some(default) = &column.default {
            let column = identifier(&column.name);
            text.push_str(&format!("ALTER VIEW {name} ALTER COLUMN {column} SET DEFAULT {default};\n"));
        }
    }
    text
}

/// The query of a view that was made without it.
pub(super) fn late_view(found: &Relation) -> String {
    format!("CREATE OR REPLACE VIEW {}{} AS\n{}\n", found.shown, with(&found.options), query(found, ";"))
}

/// A default that its table was made without.
pub(super) fn late_default(found: &Relation, column: &Column) -> String {
    let kind = if found.kind == RelationKind::View { "VIEW" } else { "TABLE ONLY" };
    let (name, default) = (identifier(&column.name), column.default.as_deref().unwrap_or_default());
    format!("ALTER {kind} {} ALTER COLUMN {name} SET DEFAULT {default};\n", found.shown)
}

fn materialized_view(found: &Relation) -> String {
    let storage = format!("{}{}{}", using(found), with(&found.options), tablespace(found));
    format!("CREATE MATERIALIZED VIEW {}{storage} AS\n{}\n  WITH NO DATA;\n", found.shown, query(found, ""))
}

/// `USING …` with a space before it, or nothing.
pub(super) fn using(found: &Relation) -> String {
    found.access_method.as_ref().map_or_else(String::new, |name| format!(" USING {}", identifier(name)))
}

/// `TABLESPACE …` with a space before it, or nothing.
pub(super) fn tablespace(found: &Relation) -> String {
    found.tablespace.as_ref().map_or_else(String::new, |name| format!(" TABLESPACE {}", identifier(name)))
}

fn query(found: &Relation, end: &str) -> String {
    format!("{}{end}", found.view.as_deref().unwrap_or_default().trim_end_matches(';'))
}

/// `WITH (…)` with a space before it, or nothing. The catalog has `name=value` with the value bare.
pub(super) fn with(options: &[String]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let quoted = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        format!("{name}={}", literal(value))
    };
    format!(" WITH ({})", options.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

pub(super) fn counting(sequence: &Sequence) -> String {
    let Sequence { start, increment, min, max, cache, cycle, .. } = sequence;
    let cycle = if *cycle { " CYCLE" } else { "" };
    format!("START WITH {start} INCREMENT BY {increment} MINVALUE {min} MAXVALUE {max} CACHE {cache}{cycle}")
}

fn sequence(found: &Relation) -> String {
    let Some(sequence) = &found.sequence else { return String::new() };
    let unlogged = if found.persistence == 'u' { "UNLOGGED " } else { "" };
    format!("CREATE {unlogged}SEQUENCE {} AS {} {};\n", found.shown, sequence.sequence_type, counting(sequence))
}

/// The table that owns a sequence, and the statement that says so.
pub(super) fn sequence_owner(found: &Relation) -> Option<(&str, String)> {
    let owner = found.sequence.as_ref()?.owned_by.as_ref()?;
    let statement = format!("ALTER SEQUENCE {} OWNED BY {}.{};\n", found.shown, owner.table, identifier(&owner.column));
    Some((&owner.table, statement))
}
