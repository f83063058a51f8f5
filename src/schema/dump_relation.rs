//! The SQL of one relation and of what belongs to it. Names are shown with their schemas.

use super::dump::{comment, options};
use super::quote::{identifier, literal};
use super::{
    Column, Constraint, ConstraintKind, Generated, Identity, Index, Policy, Relation, RelationKind, Rule, Sequence,
    Statistics, Trigger,
};
use std::collections::BTreeMap;

pub(super) fn relation(found: &Relation, by_name: &BTreeMap<&str, &Relation>) -> String {
    let name = &found.shown;
    let (mut text, object) = match found.kind {
        RelationKind::Sequence => (sequence(found), "SEQUENCE"),
        RelationKind::View => {
            (format!("CREATE VIEW {name}{} AS\n{}\n", with(&found.options), query(found, ";")), "VIEW")
        }
        RelationKind::MaterializedView => (
            format!(
                "CREATE MATERIALIZED VIEW {name}{} AS\n{}\n  WITH NO DATA;\n",
                with(&found.options),
                query(found, "")
            ),
            "MATERIALIZED VIEW",
        ),
        RelationKind::ForeignTable => (table(found, by_name), "FOREIGN TABLE"),
        RelationKind::Table | RelationKind::PartitionedTable => (table(found, by_name), "TABLE"),
    };
    if found.kind == RelationKind::View {
        let defaults = found.columns.iter().filter_map(|column| Some((column, column.default.as_ref()?)));
        for (column, default) in defaults {
            text.push_str(&format!(
                "ALTER VIEW {name} ALTER COLUMN {} SET DEFAULT {default};\n",
                identifier(&column.name)
            ));
        }
    }
    text.push_str(&column_settings(found));
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
    for column in &found.columns {
        text.push_str(&comment(&format!("COLUMN {name}.{}", identifier(&column.name)), &column.comment));
    }
    for check in found.constraints.iter().filter(|check| is_inline(found, check)) {
        text.push_str(&comment(&format!("CONSTRAINT {} ON {name}", identifier(&check.name)), &check.comment));
    }
    text
}

fn is_table(found: &Relation) -> bool {
    matches!(found.kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView)
}

fn query(found: &Relation, end: &str) -> String {
    format!("{}{end}", found.view.as_deref().unwrap_or_default().trim_end_matches(';'))
}

/// `WITH (…)` with a space before it, or nothing. The catalog has `name=value` with the value bare.
fn with(options: &[String]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let quoted = |option: &String| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        format!("{name}={}", literal(value))
    };
    format!(" WITH ({})", options.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

fn counting(sequence: &Sequence) -> String {
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

/// A partition repeats all of its parent's checks: without them it could not be attached.
fn is_inline(found: &Relation, check: &Constraint) -> bool {
    check.kind == ConstraintKind::Check && (found.is_partition || check.is_local && check.is_validated)
}

fn table(found: &Relation, by_name: &BTreeMap<&str, &Relation>) -> String {
    let name = &found.shown;
    let kind = match (found.kind, found.persistence) {
        (RelationKind::ForeignTable, _) => "FOREIGN TABLE",
        (_, 'u') => "UNLOGGED TABLE",
        _ => "TABLE",
    };
    let own = |column: &&Column| column.is_local || found.is_partition;
    let mut parts: Vec<String> = match found.of_type {
        Some(_) => found.columns.iter().filter_map(typed_column).collect(),
        None => found
            .columns
            .iter()
            .filter(own)
            .map(|column| format!("    {} {}{}", identifier(&column.name), column.column_type, column_rest(column)))
            .collect(),
    };
    let checks = found.constraints.iter().filter(|check| is_inline(found, check));
    parts.extend(checks.map(|check| format!("    CONSTRAINT {} {}", identifier(&check.name), check.definition)));
    let of_type = found.of_type.as_ref().map_or_else(String::new, |name| format!(" OF {name}"));
    let body = match (parts.is_empty(), &found.of_type) {
        (true, Some(_)) => String::new(),
        (true, None) => " ()".to_owned(),
        (false, _) => format!(" (\n{}\n)", parts.join(",\n")),
    };
    let inherits = if found.parents.is_empty() || found.is_partition {
        String::new()
    } else {
        format!("\nINHERITS ({})", found.parents.join(", "))
    };
    let partition = found.partition_key.as_ref().map_or_else(String::new, |key| format!("\nPARTITION BY {key}"));
    let server = found.server.as_ref().map_or_else(String::new, |server| {
        format!("\nSERVER {}{}", identifier(&server.name), options(&server.options))
    });
    let storage = with(&found.options);
    let mut text = format!("CREATE {kind} {name}{of_type}{body}{inherits}{partition}{server}{storage};\n");
    if let (Some(bound), Some(parent)) = (&found.partition_bound, found.parents.first()) {
        text.push_str(&format!("ALTER TABLE ONLY {parent} ATTACH PARTITION {name} {bound};\n"));
    }
    for column in found.columns.iter().filter(|column| !own(column)) {
        text.push_str(&differences(found, column, by_name));
    }
    text
}

/// What a child says otherwise of a column that it only inherits.
fn differences(found: &Relation, column: &Column, by_name: &BTreeMap<&str, &Relation>) -> String {
    let parents = found.parents.iter().filter_map(|parent| by_name.get(parent.as_str()));
    let inherited = parents.flat_map(|parent| &parent.columns).find(|inherited| inherited.name == column.name);
    let Some(inherited) = inherited else { return String::new() };
    let alter = format!("ALTER TABLE ONLY {} ALTER COLUMN {}", found.shown, identifier(&column.name));
    let mut text = match (&inherited.default, &column.default) {
        (above, own) if above == own || column.generated.is_some() => String::new(),
        (_, Some(default)) => format!("{alter} SET DEFAULT {default};\n"),
        (_, None) => format!("{alter} DROP DEFAULT;\n"),
    };
    if column.not_null && !inherited.not_null {
        text.push_str(&format!("{alter} SET NOT NULL;\n"));
    }
    text
}

fn typed_column(column: &Column) -> Option<String> {
    let column = Column { collation: None, ..column.clone() };
    let rest = column_rest(&column);
    (!rest.is_empty()).then(|| format!("    {} WITH OPTIONS{rest}", identifier(&column.name)))
}

/// All that stands behind a column's type.
fn column_rest(column: &Column) -> String {
    let mut text = options(&column.foreign_options);
    if let Some(collation) = &column.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    match (&column.default, column.generated) {
        (Some(expression), Some(Generated::Stored)) => {
            text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) STORED"))
        }
        (Some(expression), Some(Generated::Virtual)) => {
            text.push_str(&format!(" GENERATED ALWAYS AS ({expression}) VIRTUAL"))
        }
        (Some(expression), None) => text.push_str(&format!(" DEFAULT {expression}")),
        (None, _) => {}
    }
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    if let (Some(identity), Some(sequence)) = (column.identity, &column.identity_options) {
        let when = if identity == Identity::Always { "ALWAYS" } else { "BY DEFAULT" };
        let name = sequence.name.as_ref().map_or_else(String::new, |name| format!("SEQUENCE NAME {name} "));
        text.push_str(&format!(" GENERATED {when} AS IDENTITY ({name}{})", counting(sequence)));
    }
    text
}

fn column_settings(found: &Relation) -> String {
    let mut text = String::new();
    for column in &found.columns {
        let alter = format!("ALTER TABLE ONLY {} ALTER COLUMN {}", found.shown, identifier(&column.name));
        if let Some(storage) = column.storage {
            let word = match storage {
                'p' => "PLAIN",
                'e' => "EXTERNAL",
                'm' => "MAIN",
                _ => "EXTENDED",
            };
            text.push_str(&format!("{alter} SET STORAGE {word};\n"));
        }
        if let Some(compression) = column.compression {
            text.push_str(&format!("{alter} SET COMPRESSION {};\n", if compression == 'l' { "lz4" } else { "pglz" }));
        }
        if let Some(target) = column.statistics {
            text.push_str(&format!("{alter} SET STATISTICS {target};\n"));
        }
        if !column.options.is_empty() {
            text.push_str(&format!("{alter} SET ({});\n", column.options.join(", ")));
        }
    }
    text
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
    if let (Some(parent), Some(index)) = (&own.index_parent, &own.index_name) {
        text.push_str(&format!("ALTER INDEX {parent} ATTACH PARTITION {index};\n"));
    }
    if let (Some(index), false) = (&own.index_name, own.index_options.is_empty()) {
        text.push_str(&format!("ALTER INDEX {index} SET{};\n", with(&own.index_options).trim_start_matches(" WITH")));
    }
    text.push_str(&marks(table, &name, own.is_clustered, own.is_replica_identity));
    text.push_str(&comment(&format!("CONSTRAINT {name} ON {table}"), &own.comment));
    if let Some(index) = &own.index_name {
        text.push_str(&comment(&format!("INDEX {index}"), &own.index_comment));
    }
    text
}

pub(super) fn index(found: &Relation, own: &Index) -> String {
    let mut text = format!("{};\n", own.definition);
    if let Some(parent) = &own.parent {
        text.push_str(&format!("ALTER INDEX {parent} ATTACH PARTITION {};\n", own.shown));
    }
    for column in &own.statistics {
        text.push_str(&format!(
            "ALTER INDEX {} ALTER COLUMN {} SET STATISTICS {};\n",
            own.shown, column.number, column.target
        ));
    }
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

pub(super) fn trigger(found: &Relation, own: &Trigger) -> String {
    let name = identifier(&own.name);
    let switch = enabled(own.enabled)
        .map_or_else(String::new, |word| format!("ALTER TABLE {} {word} TRIGGER {name};\n", found.shown));
    format!("{};\n{switch}{}", own.definition, comment(&format!("TRIGGER {name} ON {}", found.shown), &own.comment))
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
