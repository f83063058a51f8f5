use super::dump_relation::{constraint, index, policy, relation, rule, sequence_owner, statistics, trigger};
use super::order::{Place, order};
use super::quote::{identifier, literal};
use super::{ConstraintKind, Database, Relation, RelationKind, Server, TypeKind, UserType};
use std::collections::{BTreeMap, BTreeSet};

/// What begins a dump: names mean the same for everybody, and a function may stand before what its body needs.
const HEAD: &str = "-- The schema, as `devdb schema --dump` writes it. Owners, privileges and rows are left out.\n\n\
    SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = false;\n\
    SET client_min_messages = warning;\nSELECT pg_catalog.set_config('search_path', '', false);\n";

/// The whole schema as SQL that makes it anew in an empty database.
///
/// The same schema gives the same text, whatever order it was made in; what belongs to a table stands behind it.
pub fn dump(database: &Database) -> String {
    let mut plan = Plan::default();
    plan.gather(database);
    plan.edges.extend(database.edges.iter().map(|edge| (edge.from.clone(), edge.to.clone())));
    let mut text = HEAD.to_owned();
    for key in order(&plan.places, &plan.edges) {
        if let Some(statements) = plan.statements.get(&key).filter(|statements| !statements.is_empty()) {
            text.push('\n');
            text.push_str(statements);
        }
    }
    text
}

#[derive(Default)]
struct Plan {
    places: BTreeMap<String, Place>,
    statements: BTreeMap<String, String>,
    edges: BTreeSet<(String, String)>,
}

impl Plan {
    fn add(&mut self, key: String, place: (u8, &str, u8, &str), statements: String) {
        self.places.insert(key.clone(), (place.0, place.1.to_owned(), place.2, place.3.to_owned()));
        self.statements.insert(key, statements);
    }

    /// Something that belongs to a relation.
    fn add_part(&mut self, key: String, owner: &Relation, place: (u8, u8, &str), statements: String) {
        self.edges.insert((key.clone(), format!("r{}", owner.oid)));
        self.add(key, (place.0, &owner.shown, place.1, place.2), statements);
    }

    fn gather(&mut self, database: &Database) {
        for schema in &database.schemas {
            let name = identifier(&schema.name);
            let mut text = if schema.name == "public" { String::new() } else { format!("CREATE SCHEMA {name};\n") };
            let is_default = schema.name == "public" && schema.comment.as_deref() == Some("standard public schema");
            if !is_default {
                text.push_str(&comment(&format!("SCHEMA {name}"), &schema.comment));
            }
            self.add(format!("n{}", schema.oid), (0, &name, 0, ""), text);
        }
        for extension in &database.extensions {
            let name = identifier(&extension.name);
            let schema = if extension.is_relocatable || extension.schema != "pg_catalog" {
                format!(" WITH SCHEMA {}", identifier(&extension.schema))
            } else {
                String::new()
            };
            self.add(
                format!("e{}", extension.oid),
                (1, &name, 0, ""),
                format!("CREATE EXTENSION IF NOT EXISTS {name}{schema};\n"),
            );
        }
        for server in &database.servers {
            self.add(format!("S{}", server.oid), (2, &server.name, 0, ""), foreign_server(server));
        }
        for found in &database.definitions {
            let text = format!("{}\n{}", found.sql, comment(&found.object, &found.comment));
            self.add(found.key.clone(), (found.group, &found.object, 0, ""), text);
        }
        for found in &database.types {
            self.add(format!("t{}", found.oid), (3, &found.shown, 0, ""), user_type(found));
        }
        for function in &database.functions {
            let kind = if function.kind == 'p' { "PROCEDURE" } else { "FUNCTION" };
            let comment = comment(&format!("{kind} {}", function.name), &function.comment);
            let text = format!("{};\n{comment}", function.definition.trim_end());
            self.add(format!("f{}", function.oid), (4, &function.name, 0, ""), text);
        }
        let by_name: BTreeMap<&str, &Relation> =
            database.relations.iter().map(|found| (found.shown.as_str(), found)).collect();
        let indexes = index_keys(&database.relations);
        for found in &database.relations {
            self.gather_relation(found, &by_name, &indexes);
        }
    }

    fn gather_relation(
        &mut self,
        found: &Relation,
        by_name: &BTreeMap<&str, &Relation>,
        indexes: &BTreeMap<&str, String>,
    ) {
        let group = match found.kind {
            RelationKind::Sequence => 5,
            RelationKind::View | RelationKind::MaterializedView => 7,
            _ => 6,
        };
        let is_identity = found.sequence.as_ref().is_some_and(|sequence| sequence.is_identity);
        if is_identity {
            return;
        }
        self.add(format!("r{}", found.oid), (group, &found.shown, 0, ""), relation(found, by_name));
        if let Some((owner, statement)) = sequence_owner(found) {
            let key = format!("o{}", found.oid);
            if let Some(owner) = by_name.get(owner) {
                self.edges.insert((key.clone(), format!("r{}", owner.oid)));
            }
            self.add_part(key, found, (6, 5, &found.shown), statement);
        }
        let children: Vec<String> = found
            .children
            .iter()
            .filter_map(|child| by_name.get(child.name.as_str()))
            .map(|child| format!("r{}", child.oid))
            .collect();
        for own in &found.constraints {
            let key = format!("c{}", own.oid);
            let place = match own.kind {
                ConstraintKind::ForeignKey if own.is_inherited => continue,
                ConstraintKind::ForeignKey => (8, 0),
                ConstraintKind::Check if own.is_validated || !own.is_local => continue,
                ConstraintKind::Check => (group, 3),
                _ => (group, 1),
            };
            self.add_part(key.clone(), found, (place.0, place.1, &own.name), constraint(found, own));
            self.wait_for_partitions(&key, own.index_parent.as_deref(), &children, indexes);
        }
        for own in found.indexes.iter().filter(|index| index.constraint.is_none()) {
            let key = format!("r{}", own.oid);
            self.add_part(key.clone(), found, (group, 2, &own.name), index(found, own));
            self.wait_for_partitions(&key, own.parent.as_deref(), &children, indexes);
        }
        for own in &found.statistics {
            self.add_part(format!("s{}", own.oid), found, (group, 4, &own.name), statistics(own));
        }
        for own in &found.rules {
            self.add_part(format!("w{}", own.oid), found, (8, 1, &own.name), rule(found, own));
        }
        for own in found.triggers.iter().filter(|trigger| !trigger.is_inherited) {
            self.add_part(format!("g{}", own.oid), found, (8, 2, &own.name), trigger(found, own));
        }
        for own in &found.policies {
            self.add_part(format!("p{}", own.oid), found, (8, 3, &own.name), policy(found, own));
        }
    }

    /// A partitioned index comes behind the partitions, or each would be given an index with a name that nobody chose;
    /// a partition's own index comes behind the one that it belongs to.
    fn wait_for_partitions(
        &mut self,
        key: &str,
        parent: Option<&str>,
        children: &[String],
        indexes: &BTreeMap<&str, String>,
    ) {
        self.edges.extend(children.iter().map(|child| (key.to_owned(), child.clone())));
        if let Some(parent) = parent.and_then(|parent| indexes.get(parent)) {
            self.edges.insert((key.to_owned(), parent.clone()));
        }
    }
}

/// Which node makes the index of a name: the index's own, or its constraint's.
fn index_keys(relations: &[Relation]) -> BTreeMap<&str, String> {
    let mut keys = BTreeMap::new();
    for found in relations {
        keys.extend(found.indexes.iter().map(|index| (index.shown.as_str(), format!("r{}", index.oid))));
        let named =
            found.constraints.iter().filter_map(|own| Some((own.index_name.as_deref()?, format!("c{}", own.oid))));
        keys.extend(named);
    }
    keys
}

/// `COMMENT ON …`, or nothing.
pub(super) fn comment(object: &str, text: &Option<String>) -> String {
    text.as_ref().map_or_else(String::new, |text| format!("COMMENT ON {object} IS {};\n", literal(text)))
}

/// `OPTIONS (…)` with a space before it, or nothing.
pub(super) fn options(options: &[super::ServerOption]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let options: Vec<String> =
        options.iter().map(|option| format!("{} {}", identifier(&option.name), literal(&option.value))).collect();
    format!(" OPTIONS ({})", options.join(", "))
}

fn foreign_server(server: &Server) -> String {
    let name = identifier(&server.name);
    let part = |word: &str, value: &Option<String>| {
        value.as_ref().map_or_else(String::new, |value| format!(" {word} {}", literal(value)))
    };
    format!(
        "CREATE SERVER {name}{}{} FOREIGN DATA WRAPPER {}{};\n{}",
        part("TYPE", &server.server_type),
        part("VERSION", &server.version),
        identifier(&server.wrapper),
        options(&server.options),
        comment(&format!("SERVER {name}"), &server.comment)
    )
}

fn user_type(found: &UserType) -> String {
    let name = &found.shown;
    let mut text = match found.kind {
        TypeKind::Enum => {
            let labels: Vec<String> = found.labels.iter().map(|label| format!("    {}", literal(label))).collect();
            format!("CREATE TYPE {name} AS ENUM (\n{}\n);\n", labels.join(",\n"))
        }
        TypeKind::Composite => {
            let collate = |collation: &Option<String>| {
                collation.as_ref().map_or_else(String::new, |name| format!(" COLLATE {name}"))
            };
            let fields = found.attributes.iter();
            let fields: Vec<String> = fields
                .map(|field| {
                    format!("    {} {}{}", identifier(&field.name), field.attribute_type, collate(&field.collation))
                })
                .collect();
            format!("CREATE TYPE {name} AS (\n{}\n);\n", fields.join(",\n"))
        }
        TypeKind::Domain => domain(found),
        TypeKind::Range => range(found),
    };
    let kind = if found.kind == TypeKind::Domain { "DOMAIN" } else { "TYPE" };
    text.push_str(&comment(&format!("{kind} {name}"), &found.comment));
    for field in &found.attributes {
        text.push_str(&comment(&format!("COLUMN {name}.{}", identifier(&field.name)), &field.comment));
    }
    for check in &found.constraints {
        text.push_str(&comment(&format!("CONSTRAINT {} ON DOMAIN {name}", identifier(&check.name)), &check.comment));
    }
    text
}

fn domain(found: &UserType) -> String {
    let mut text = format!("CREATE DOMAIN {} AS {}", found.shown, found.base.as_deref().unwrap_or_default());
    if let Some(collation) = &found.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if found.not_null {
        text.push_str(" NOT NULL");
    }
    if let Some(default) = &found.default {
        text.push_str(&format!(" DEFAULT {default}"));
    }
    for check in &found.constraints {
        text.push_str(&format!("\n    CONSTRAINT {} {}", identifier(&check.name), check.definition));
    }
    text + ";\n"
}

fn range(found: &UserType) -> String {
    let Some(range) = &found.range else { return String::new() };
    let mut parts = vec![format!("    subtype = {}", range.subtype)];
    let named = [
        ("multirange_type_name", &range.multirange),
        ("subtype_opclass", &range.opclass),
        ("collation", &range.collation),
        ("canonical", &range.canonical),
        ("subtype_diff", &range.difference),
    ];
    parts.extend(named.iter().filter_map(|(word, value)| Some(format!("    {word} = {}", value.as_ref()?))));
    format!("CREATE TYPE {} AS RANGE (\n{}\n);\n", found.shown, parts.join(",\n"))
}
