//! The SQL of a table, with what it inherits. Names are shown with their schemas.

use super::dump::options;
use super::dump_relation::{counting, tablespace, using, with};
use super::plan::{Plan, refused};
use super::quote::identifier;
use super::{Column, Constraint, ConstraintKind, Generated, Identity, Refused, Relation, RelationKind};
use std::collections::BTreeMap;

type ByName<'a> = BTreeMap<&'a str, &'a Relation>;

impl Plan<'_> {
    pub(super) fn is_late_default(&self, column: &Column) -> bool {
        column.default_oid.is_some_and(|oid| self.separated.contains_key(&format!("D{oid}")))
    }
}

/// How a table comes to its parents.
#[derive(PartialEq, Eq)]
enum Heritage {
    None,
    Partition,
    /// `INHERITS`: columns and checks that are not its own come with it.
    Born,
    /// `ALTER TABLE … INHERIT` behind it: its columns stand in another order than its parents'.
    Adopted,
}

fn heritage(found: &Relation, by_name: &ByName<'_>) -> Heritage {
    match () {
        () if found.is_partition => Heritage::Partition,
        () if found.parents.is_empty() => Heritage::None,
        () if arranged(found, by_name).iter().filter(|column| column.is_local).map(|column| &column.name).eq(found
            .columns
            .iter()
            .filter(|column| column.is_local)
            .map(|column| &column.name)) =>
        {
            Heritage::Born
        }
        () => Heritage::Adopted,
    }
}

/// The columns of each parent.
fn inherited<'a>(found: &Relation, by_name: &ByName<'a>) -> impl Iterator<Item = &'a Column> {
    let parents: Vec<&Relation> =
        found.parents.iter().filter_map(|parent| by_name.get(parent.as_str()).copied()).collect();
    parents.into_iter().flat_map(|parent| &parent.columns)
}

/// The columns in the order in which `INHERITS` gives them: those of the parents first.
pub(super) fn arranged<'a>(found: &'a Relation, by_name: &ByName<'_>) -> Vec<&'a Column> {
    if found.is_partition {
        return found.columns.iter().collect();
    }
    let mut ordered: Vec<&Column> = Vec::with_capacity(found.columns.len());
    for parent in found.parents.iter().filter_map(|parent| by_name.get(parent.as_str())) {
        for above in arranged(parent, by_name) {
            let own = found.columns.iter().find(|column| column.name == above.name);
            ordered.extend(own.filter(|own| !ordered.iter().any(|other| other.name == own.name)));
        }
    }
    let rest: Vec<&Column> =
        found.columns.iter().filter(|own| !ordered.iter().any(|other| other.name == own.name)).collect();
    ordered.extend(rest);
    ordered
}

/// Why no SQL makes this table as it is.
pub(super) fn refusal(found: &Relation, by_name: &ByName<'_>) -> Option<Refused> {
    let reason = match heritage(found, by_name) {
        Heritage::None | Heritage::Partition => return None,
        Heritage::Born => conflict(found, by_name)?,
        Heritage::Adopted => {
            let is_own = found.columns.iter().all(|column| column.is_local)
                && found.constraints.iter().all(|own| own.is_local || own.kind != ConstraintKind::Check);
            let may_be_null = inherited(found, by_name)
                .any(|above| above.not_null && found.columns.iter().any(|own| own.name == above.name && !own.not_null));
            if is_own && !may_be_null {
                return None;
            }
            "no statement puts its columns in this order again"
        }
    };
    Some(refused(format!("{} {}", found.kind, found.shown), reason))
}

/// Parents that disagree can be inherited from only one after the other.
fn conflict(found: &Relation, by_name: &ByName<'_>) -> Option<&'static str> {
    let disagree = found.columns.iter().any(|own| {
        let mut above = inherited(found, by_name).filter(|above| above.name == own.name);
        let Some(first) = above.next() else { return false };
        above.any(|other| {
            let stored = |column: &Column| (column.storage.unwrap_or(column.usual_storage), column.compression);
            stored(other) != stored(first) || !own.is_local && other.default != first.default
        })
    });
    disagree.then_some("its parents disagree about a column")
}

/// A partition repeats all of its parent's checks: without them it could not be attached.
pub(super) fn is_inline(found: &Relation, check: &Constraint, plan: &Plan<'_>) -> bool {
    check.kind == ConstraintKind::Check
        && plan.is_inline(&format!("c{}", check.oid), check.is_validated)
        && (found.is_partition || check.is_local)
}

pub(super) fn table(found: &Relation, plan: &Plan<'_>) -> String {
    let name = &found.shown;
    let heritage = heritage(found, &plan.by_name);
    let is_ledgers = plan.ledger.has(found);
    let kind = match (found.kind, found.persistence) {
        (RelationKind::ForeignTable, _) => "FOREIGN TABLE",
        (_, 'u') => "UNLOGGED TABLE",
        _ => "TABLE",
    };
    let kind = if is_ledgers { format!("{kind} IF NOT EXISTS") } else { kind.to_owned() };
    let parts = body(found, plan, &heritage, is_ledgers);
    let of_type = found.of_type.as_ref().map_or_else(String::new, |name| format!(" OF {name}"));
    let body = match (parts.is_empty(), &found.of_type) {
        (true, Some(_)) => String::new(),
        (true, None) => " ()".to_owned(),
        (false, _) => format!(" (\n{}\n)", parts.join(",\n")),
    };
    let inherits = match heritage {
        Heritage::Born => format!("\nINHERITS ({})", found.parents.join(", ")),
        _ => String::new(),
    };
    let partition = found.partition_key.as_ref().map_or_else(String::new, |key| format!("\nPARTITION BY {key}"));
    let server = found.server.as_ref().map_or_else(String::new, |server| {
        format!("\nSERVER {}{}", identifier(&server.name), options(&server.options))
    });
    let storage = format!("{}{}{}", using(found), with(&found.options), tablespace(found));
    let mut text = format!("CREATE {kind} {name}{of_type}{body}{inherits}{partition}{server}{storage};\n");
    match (heritage, &found.partition_bound, found.parents.first()) {
        (Heritage::Partition, Some(bound), Some(parent)) => {
            text.push_str(&format!("ALTER TABLE ONLY {parent} ATTACH PARTITION {name} {bound};\n"));
        }
        (Heritage::Adopted, ..) => {
            let inherit = |parent: &String| format!("ALTER TABLE ONLY {name} INHERIT {parent};\n");
            text.extend(found.parents.iter().map(inherit));
        }
        (Heritage::Born, ..) => {
            let columns = arranged(found, &plan.by_name);
            text.extend(columns.into_iter().map(|column| differences(found, column, plan)));
        }
        _ => {}
    }
    text
}

/// Columns and constraints, as they stand in the parentheses.
fn body(found: &Relation, plan: &Plan<'_>, heritage: &Heritage, is_ledgers: bool) -> Vec<String> {
    let is_late = |column: &Column| plan.is_late_default(column);
    let own = |column: &&Column| column.is_local || *heritage != Heritage::Born;
    let mut parts: Vec<String> = match found.of_type {
        Some(_) => found.columns.iter().filter_map(|column| typed_column(column, is_late(column))).collect(),
        None => found
            .columns
            .iter()
            .filter(own)
            .map(|column| {
                // A default that a parent would give must be taken back at once: parents may disagree.
                let is_taken_back = *heritage == Heritage::Born
                    && column.default.is_none()
                    && column.identity.is_none()
                    && inherited(found, &plan.by_name)
                        .any(|above| above.name == column.name && above.default.is_some());
                let taken_back = if is_taken_back { " DEFAULT NULL" } else { "" };
                let rest = column_rest(column, is_late(column));
                format!("    {} {}{taken_back}{rest}", identifier(&column.name), column.column_type)
            })
            .collect(),
    };
    let is_here =
        |own: &&Constraint| is_inline(found, own, plan) || is_ledgers && own.kind == ConstraintKind::PrimaryKey;
    let constraints = found.constraints.iter().filter(is_here);
    parts.extend(constraints.map(|own| format!("    CONSTRAINT {} {}", identifier(&own.name), own.definition)));
    parts
}

/// What a child says otherwise of a column that it inherits.
fn differences(found: &Relation, column: &Column, plan: &Plan<'_>) -> String {
    let above: Vec<&Column> =
        inherited(found, &plan.by_name).filter(|inherited| inherited.name == column.name).collect();
    let Some(inherited) = above.first() else { return String::new() };
    let alter = format!("ALTER TABLE ONLY {} ALTER COLUMN {}", found.shown, identifier(&column.name));
    let given = inherited.default.as_ref().filter(|_| !plan.is_late_default(inherited));
    let mut text = match (given, &column.default) {
        _ if column.is_local || column.generated.is_some() || plan.is_late_default(column) => String::new(),
        (given, own) if given == own.as_ref() => String::new(),
        (_, Some(default)) => format!("{alter} SET DEFAULT {default};\n"),
        (_, None) => format!("{alter} DROP DEFAULT;\n"),
    };
    let is_given = above.iter().any(|inherited| inherited.not_null);
    match (is_given, column.not_null) {
        (false, true) if !column.is_local => text.push_str(&format!("{alter} SET NOT NULL;\n")),
        (true, false) => text.push_str(&format!("{alter} DROP NOT NULL;\n")),
        _ => {}
    }
    if inherited.storage.is_some() && column.storage.is_none() {
        text.push_str(&format!("{alter} SET STORAGE {};\n", storage_word(column.usual_storage)));
    }
    if inherited.compression.is_some() && column.compression.is_none() {
        text.push_str(&format!("{alter} SET COMPRESSION default;\n"));
    }
    text
}

fn typed_column(column: &Column, is_late: bool) -> Option<String> {
    let column = Column { collation: None, ..column.clone() };
    let rest = column_rest(&column, is_late);
    (!rest.is_empty()).then(|| format!("    {} WITH OPTIONS{rest}", identifier(&column.name)))
}

/// All that stands behind a column's type.
fn column_rest(column: &Column, is_late: bool) -> String {
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
        (Some(expression), None) if !is_late => text.push_str(&format!(" DEFAULT {expression}")),
        _ => {}
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

pub(super) fn column_settings(found: &Relation, plan: &Plan<'_>) -> String {
    let mut text = String::new();
    for column in arranged(found, &plan.by_name) {
        let alter = format!("ALTER TABLE ONLY {} ALTER COLUMN {}", found.shown, identifier(&column.name));
        if let Some(storage) = column.storage {
            text.push_str(&format!("{alter} SET STORAGE {};\n", storage_word(storage)));
        }
        // One that came down from a parent, and that no statement sets.
        let is_foreign = found.kind == RelationKind::ForeignTable;
        if let Some(compression) = column.compression.filter(|_| !is_foreign) {
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

fn storage_word(storage: char) -> &'static str {
    match storage {
        'p' => "PLAIN",
        'e' => "EXTERNAL",
        'm' => "MAIN",
        _ => "EXTENDED",
    }
}
