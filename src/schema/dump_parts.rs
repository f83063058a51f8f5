//! The SQL of what belongs to a relation. Names are shown with their schemas.

use super::dump::comment;
use super::dump_relation::with;
use super::quote::identifier;
use super::{Constraint, ConstraintKind, Index, Policy, Relation, RelationKind, Rule, Statistics, Trigger};

/// A check that stands alone. It goes down to the heirs: without them PostgreSQL takes none of a parent.
pub(super) fn check(found: &Relation, own: &Constraint) -> String {
    let (table, name) = (&found.shown, identifier(&own.name));
    let added = format!("ALTER TABLE {table}\n    ADD CONSTRAINT {name} {};\n", own.definition);
    added + &comment(&format!("CONSTRAINT {name} ON {table}"), &own.comment)
}

/// A constraint that stands alone. Only a foreign key of a partitioned table goes down to the partitions by itself.
pub(super) fn constraint(found: &Relation, own: &Constraint) -> String {
    let table = &found.shown;
    let name = identifier(&own.name);
    let only = if own.kind == ConstraintKind::ForeignKey && found.kind == RelationKind::PartitionedTable {
        ""
    } else {
        "ONLY "
    };
    let mut text = format!("ALTER TABLE {only}{table}\n    ADD CONSTRAINT {name} {};\n", own.definition);
    text.push_str(&index_of_constraint(found, own));
    text.push_str(&marks(table, &name, own.is_clustered, own.is_replica_identity));
    text + &comment(&format!("CONSTRAINT {name} ON {table}"), &own.comment)
}

/// What a constraint's definition does not say of its index.
fn index_of_constraint(found: &Relation, own: &Constraint) -> String {
    let Some(index) = &own.index_name else { return String::new() };
    let mut text = String::new();
    if let Some(parent) = &own.index_parent {
        text.push_str(&format!("ALTER INDEX {parent} ATTACH PARTITION {index};\n"));
    }
    if !own.index_options.is_empty() {
        text.push_str(&format!("ALTER INDEX {index} SET{};\n", with(&own.index_options).trim_start_matches(" WITH")));
    }
    text.push_str(&tablespace(index, own.tablespace.as_ref()));
    if let Some(found) = found.indexes.iter().find(|found| found.shown == *index) {
        text.push_str(&targets(found));
    }
    text + &comment(&format!("INDEX {index}"), &own.index_comment)
}

fn tablespace(index: &str, name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!("ALTER INDEX {index} SET TABLESPACE {};\n", identifier(name)))
}

fn targets(own: &Index) -> String {
    let set = |column: &super::ColumnTarget| {
        format!("ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {};\n", own.shown, column.number, column.target)
    };
    own.statistics.iter().map(set).collect()
}

pub(super) fn index(found: &Relation, own: &Index) -> String {
    let mut text = format!("{};\n", own.definition);
    if let Some(parent) = &own.parent {
        text.push_str(&format!("ALTER INDEX {parent} ATTACH PARTITION {};\n", own.shown));
    }
    text.push_str(&tablespace(&own.shown, own.tablespace.as_ref()));
    text.push_str(&targets(own));
    text.push_str(&marks(&found.shown, &identifier(&own.name), own.is_clustered, own.is_replica_identity));
    text + &comment(&format!("INDEX {}", own.shown), &own.comment)
}

fn marks(table: &str, index: &str, is_clustered: bool, is_replica_identity: bool) -> String {
    let mut text = String::new();
    if is_clustered {
        text.push_str(&format!("ALTER TABLE {table} CLUSTER ON {index};\n"));
    }
    if is_replica_identity {
        text.push_str(&format!("ALTER TABLE ONLY {table} REPLICA IDENTITY USING INDEX {index};\n"));
    }
    text
}

pub(super) fn statistics(own: &Statistics) -> String {
    let target = own
        .target
        .map_or_else(String::new, |target| format!("ALTER STATISTICS {} SET STATISTICS {target};\n", own.name));
    format!("{};\n{target}{}", own.definition, comment(&format!("STATISTICS {}", own.name), &own.comment))
}

fn enabled(letter: char) -> Option<&'static str> {
    match letter {
        'D' => Some("DISABLE"),
        'R' => Some("ENABLE REPLICA"),
        'A' => Some("ENABLE ALWAYS"),
        _ => None,
    }
}

/// A partition has its trigger from its parent's, with the parent's state.
pub(super) fn trigger(found: &Relation, own: &Trigger) -> String {
    let (table, name) = (&found.shown, identifier(&own.name));
    let made = if own.is_inherited { String::new() } else { format!("{};\n", own.definition) };
    let given = own.parent_enabled.unwrap_or('O');
    let switch = if own.enabled == given {
        String::new()
    } else {
        format!("ALTER TABLE {table} {} TRIGGER {name};\n", enabled(own.enabled).unwrap_or("ENABLE"))
    };
    format!("{made}{switch}{}", comment(&format!("TRIGGER {name} ON {table}"), &own.comment))
}

pub(super) fn rule(found: &Relation, own: &Rule) -> String {
    let name = identifier(&own.name);
    let switch = enabled(own.enabled)
        .map_or_else(String::new, |word| format!("ALTER TABLE {} {word} RULE {name};\n", found.shown));
    format!("{}\n{switch}{}", own.definition, comment(&format!("RULE {name} ON {}", found.shown), &own.comment))
}

pub(super) fn policy(found: &Relation, own: &Policy) -> String {
    let name = identifier(&own.name);
    let restrictive = if own.is_permissive { "" } else { " AS RESTRICTIVE" };
    let command = if own.command == '*' { String::new() } else { format!(" FOR {}", own.command_word()) };
    let roles = if own.roles.is_empty() { String::new() } else { format!(" TO {}", own.roles.join(", ")) };
    let part = |word: &str, expression: &Option<String>| {
        expression.as_ref().map_or_else(String::new, |expression| format!(" {word} ({expression})"))
    };
    format!(
        "CREATE POLICY {name} ON {}{restrictive}{command}{roles}{}{};\n{}",
        found.shown,
        part("USING", &own.using),
        part("WITH CHECK", &own.check),
        comment(&format!("POLICY {name} ON {}", found.shown), &own.comment)
    )
}
