use super::dump_relation::{late_default, late_view, relation, sequence_owner};
use super::dump_types::{domain_check, shell, user_type};
use super::order::{Place, order};
use super::plan::{Plan, settle};
use super::quote::{identifier, literal};
use super::{ConstraintKind, Database, Extension, Refused, Relation, RelationKind, Server};
use super::{dump_parts as parts, dump_table as table};
use std::collections::BTreeMap;

/// What begins a dump: names mean the same for everybody, and a function may stand before what its body needs.
const HEAD: &str = "-- The schema, as `devdb schema --dump` writes it. Owners, privileges and rows are left out.\n\n\
    SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSET check_function_bodies = false;\n\
    SET client_min_messages = warning;\nSELECT pg_catalog.set_config('search_path', '', false);\n";

/// The tables of the migrations' history. They stand before the first migration runs, which may be a dump.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    /// None where the search path decides.
    pub schema: Option<&'a str>,
    pub tables: [&'a str; 2],
}

impl Ledger<'_> {
    pub fn has(&self, relation: &Relation) -> bool {
        self.tables.contains(&relation.name.as_str()) && self.schema.is_none_or(|schema| schema == relation.schema)
    }
}

/// A schema as SQL.
#[derive(Debug)]
pub struct Dump {
    pub text: String,
    /// What it does not hold, and what `pg_dump` does not hold either.
    pub left_out: Vec<String>,
}

/// The schema holds objects that no SQL makes again.
#[derive(Debug, thiserror::Error)]
#[error("no dump can hold {}", listed(.0))]
pub struct DumpError(pub Vec<Refused>);

fn listed(refused: &[Refused]) -> String {
    let parts: Vec<String> = refused.iter().map(|found| format!("{} ({})", found.object, found.reason)).collect();
    parts.join(", ")
}

/// The whole schema as SQL that makes it anew in an empty database, or as the first migration.
///
/// The same schema gives the same text, whatever order it was made in; what belongs to a table stands behind it.
///
/// # Errors
/// [`DumpError`] names everything that would be missing or would not load.
pub fn dump(database: &Database, ledger: &Ledger<'_>) -> Result<Dump, DumpError> {
    let plan = settle(database, ledger);
    if plan.refused.is_empty() {
        Ok(Dump { text: text(&plan), left_out: plan.left_out })
    } else {
        Err(DumpError(plan.refused))
    }
}

/// A text that changes with the schema, also with the part of it that no dump holds.
pub fn fingerprint(database: &Database, ledger: &Ledger<'_>) -> String {
    let plan = settle(database, ledger);
    let mut text = text(&plan);
    for found in &plan.refused {
        text.push_str(&format!("-- {}: {}\n", found.object, found.definition.as_deref().unwrap_or(&found.reason)));
    }
    for found in &plan.left_out {
        text.push_str(&format!("-- {found}\n"));
    }
    text
}

fn text(plan: &Plan<'_>) -> String {
    let places: BTreeMap<String, Place> =
        plan.nodes.iter().map(|(key, node)| (key.clone(), node.place.clone())).collect();
    let mut text = HEAD.to_owned();
    for key in order(&places, &plan.edges) {
        if let Some(node) = plan.nodes.get(&key).filter(|node| !node.statements.is_empty()) {
            text.push('\n');
            text.push_str(&node.statements);
        }
    }
    text
}

/// The key of the statement that only announces a type.
pub(super) fn shell_key(type_key: &str) -> String {
    format!("{type_key} shell")
}

impl Plan<'_> {
    pub(super) fn gather(&mut self) {
        let database = self.database;
        for schema in &database.schemas {
            let name = identifier(&schema.name);
            let is_ledgers = self.ledger.schema == Some(schema.name.as_str());
            let text = namespace(&name, schema.comment.as_deref(), is_ledgers);
            self.add(format!("n{}", schema.oid), (0, &name, 0, ""), format!("schema {name}"), text);
        }
        for found in &database.extensions {
            let name = identifier(&found.name);
            self.add(format!("e{}", found.oid), (1, &name, 0, ""), format!("extension {name}"), extension(found));
        }
        for server in &database.servers {
            let what = format!("server {}", identifier(&server.name));
            self.add(format!("S{}", server.oid), (2, &server.name, 0, ""), what, foreign_server(server));
        }
        for found in &database.definitions {
            if found.key.starts_with('t') {
                self.add_shell(&found.key, found.object.trim_start_matches("TYPE "));
            }
            let text = format!("{}\n{}", found.sql, comment(&found.object, &found.comment));
            self.add(found.key.clone(), (found.group, &found.object, 0, ""), found.object.clone(), text);
        }
        for found in &database.types {
            let key = format!("t{}", found.oid);
            if found.range.is_some() {
                self.add_shell(&key, &found.shown);
            }
            let what = format!("{} {}", found.kind.word(), found.shown);
            for check in &found.constraints {
                let part = format!("c{}", check.oid);
                self.part(&part, &key, check.is_validated);
                if !self.is_inline(&part, check.is_validated) {
                    self.edges.insert((part.clone(), key.clone()));
                    let what = format!("constraint {} of {what}", identifier(&check.name));
                    self.add(part, (3, &found.shown, 1, &check.name), what, domain_check(found, check));
                }
            }
            let text = user_type(found, |check| self.is_inline(&format!("c{}", check.oid), check.is_validated));
            self.add(key, (3, &found.shown, 0, ""), what, text);
        }
        for function in &database.functions {
            let (word, kind) = if function.kind == 'p' { ("procedure", "PROCEDURE") } else { ("function", "FUNCTION") };
            let comment = comment(&format!("{kind} {}", function.identity), &function.comment);
            let text = format!("{};\n{comment}", function.definition.trim_end());
            let what = format!("{word} {}", function.name);
            self.add(format!("f{}", function.oid), (4, &function.name, 0, ""), what, text);
        }
        let indexes = index_keys(&database.relations);
        for found in &database.relations {
            self.gather_relation(found);
            self.gather_constraints(found, &indexes);
            self.gather_parts(found, &indexes);
        }
    }

    fn add_shell(&mut self, key: &str, name: &str) {
        self.separable.insert(key.to_owned());
        if self.separated.contains_key(key) {
            self.add(shell_key(key), (2, name, 0, ""), format!("type {name}"), shell(name));
            self.edges.insert((key.to_owned(), shell_key(key)));
        }
    }

    fn gather_relation(&mut self, found: &Relation) {
        let key = format!("r{}", found.oid);
        let is_identity = found.sequence.as_ref().is_some_and(|sequence| sequence.is_identity);
        if is_identity {
            // It is made with its column.
            return;
        }
        let what = format!("{} {}", found.kind, found.shown);
        self.refused.extend(table::refusal(found, &self.by_name));
        for column in &found.columns {
            if let Some(sequence) = column.identity_options.as_ref().and_then(|sequence| sequence.oid) {
                self.part(&format!("r{sequence}"), &key, false);
            }
            let Some(oid) = column.default_oid else { continue };
            let part = format!("D{oid}");
            self.part(&part, &key, column.generated.is_none());
            if self.separated.contains_key(&part) {
                let what = format!("default of {}.{}", found.shown, identifier(&column.name));
                self.add_part(part, found, (group(found), 0, &column.name), what, late_default(found, column));
            }
        }
        if let Some(rule) = found.rule {
            let part = format!("w{rule}");
            self.part(&part, &key, found.kind == RelationKind::View);
            if self.separated.contains_key(&part) {
                self.add_part(part, found, (group(found), 0, ""), format!("query of {what}"), late_view(found));
            }
        }
        let text = relation(found, self);
        self.add(key.clone(), (group(found), &found.shown, 0, ""), what, text);
        if let Some((owner, statement)) = sequence_owner(found) {
            let part = format!("o{}", found.oid);
            if let Some(owner) = self.by_name.get(owner) {
                self.edges.insert((part.clone(), format!("r{}", owner.oid)));
            }
            let what = format!("owner of sequence {}", found.shown);
            self.add_part(part, found, (6, 5, &found.shown), what, statement);
        }
    }

    fn gather_constraints(&mut self, found: &Relation, indexes: &BTreeMap<&str, String>) {
        for own in &found.constraints {
            let key = format!("c{}", own.oid);
            let what = format!("constraint {} of {}", identifier(&own.name), found.shown);
            let place = match own.kind {
                ConstraintKind::ForeignKey if own.is_inherited => continue,
                ConstraintKind::ForeignKey => (8, 0),
                ConstraintKind::Check => {
                    self.part(&key, &format!("r{}", found.oid), own.is_validated);
                    let is_repeated = found.is_partition || own.is_local;
                    if !(is_repeated && self.is_inline(&key, own.is_validated)) {
                        // What is only inherited comes from the parent's.
                        let text = if own.is_local { parts::check(found, own) } else { String::new() };
                        self.add_part(key.clone(), found, (group(found), 3, &own.name), what, text);
                        self.wait_for_heirs(&key, found, Some(&own.name));
                    }
                    continue;
                }
                ConstraintKind::PrimaryKey if self.ledger.has(found) => {
                    self.part(&key, &format!("r{}", found.oid), false);
                    continue;
                }
                _ => (group(found), 1),
            };
            self.add_part(key.clone(), found, (place.0, place.1, &own.name), what, parts::constraint(found, own));
            self.wait_for_heirs(&key, found, None);
            self.wait_for_parent(&key, own.index_parent.as_deref(), indexes);
        }
    }

    fn gather_parts(&mut self, found: &Relation, indexes: &BTreeMap<&str, String>) {
        let of = |word: &str, name: &str| format!("{word} {} on {}", identifier(name), found.shown);
        for own in found.indexes.iter().filter(|index| index.constraint.is_none()) {
            if !own.is_valid && !own.is_partitioned {
                self.left_out.push(format!("index {}, which is invalid", own.shown));
                continue;
            }
            let key = format!("r{}", own.oid);
            let place = (group(found), 2, own.name.as_str());
            self.add_part(key.clone(), found, place, of("index", &own.name), parts::index(found, own));
            self.wait_for_heirs(&key, found, None);
            self.wait_for_parent(&key, own.parent.as_deref(), indexes);
        }
        for own in &found.statistics {
            let place = (group(found), 4, own.name.as_str());
            self.add_part(format!("s{}", own.oid), found, place, of("statistics", &own.name), parts::statistics(own));
        }
        for own in &found.rules {
            let place = (8, 1, own.name.as_str());
            self.add_part(format!("w{}", own.oid), found, place, of("rule", &own.name), parts::rule(found, own));
        }
        for own in &found.triggers {
            let key = format!("g{}", own.oid);
            let place = (8, 2, own.name.as_str());
            self.add_part(key.clone(), found, place, of("trigger", &own.name), parts::trigger(found, own));
            self.wait_for_heirs(&key, found, None);
            if let Some(parent) = own.parent {
                self.edges.insert((key, format!("g{parent}")));
            }
        }
        for own in &found.policies {
            let place = (8, 3, own.name.as_str());
            self.add_part(format!("p{}", own.oid), found, place, of("policy", &own.name), parts::policy(found, own));
        }
    }

    /// What goes down to the partitions, or must not, comes behind them: an index would be given partitions' indexes with
    /// names that the server chose. A check goes down to all heirs, behind a check of theirs that has its name.
    fn wait_for_heirs(&mut self, key: &str, found: &Relation, check: Option<&str>) {
        let mut waiting: Vec<&Relation> = vec![found];
        while let Some(next) = waiting.pop() {
            for child in next.children.iter().filter_map(|child| self.by_name.get(child.name.as_str()).copied()) {
                self.edges.insert((key.to_owned(), format!("r{}", child.oid)));
                let same = child.constraints.iter().filter(|own| Some(own.name.as_str()) == check);
                self.edges.extend(same.map(|own| (key.to_owned(), format!("c{}", own.oid))));
                waiting.push(child);
            }
        }
    }

    /// A partition's own index comes behind the one that it belongs to.
    fn wait_for_parent(&mut self, key: &str, parent: Option<&str>, indexes: &BTreeMap<&str, String>) {
        if let Some(parent) = parent.and_then(|parent| indexes.get(parent)) {
            self.edges.insert((key.to_owned(), parent.clone()));
        }
    }
}

fn group(found: &Relation) -> u8 {
    match found.kind {
        RelationKind::Sequence => 5,
        RelationKind::View | RelationKind::MaterializedView => 7,
        _ => 6,
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

/// `public` is there with a comment of its own, and the ledger's schema before the first migration.
fn namespace(name: &str, comment: Option<&str>, is_ledgers: bool) -> String {
    let made = match name {
        "public" => String::new(),
        _ if is_ledgers => format!("CREATE SCHEMA IF NOT EXISTS {name};\n"),
        _ => format!("CREATE SCHEMA {name};\n"),
    };
    let usual = (name == "public").then_some("standard public schema");
    format!("{made}{}", changed_comment(&format!("SCHEMA {name}"), comment, usual))
}

fn extension(found: &Extension) -> String {
    let name = identifier(&found.name);
    let schema = if found.is_relocatable || found.schema != "pg_catalog" {
        format!(" WITH SCHEMA {}", identifier(&found.schema))
    } else {
        String::new()
    };
    // Only the owner may comment on an extension, which on RDS is another role: the usual comment is left alone.
    let comment =
        changed_comment(&format!("EXTENSION {name}"), found.comment.as_deref(), found.usual_comment.as_deref());
    format!("CREATE EXTENSION IF NOT EXISTS {name}{schema};\n{comment}")
}

fn changed_comment(object: &str, text: Option<&str>, usual: Option<&str>) -> String {
    match text {
        _ if text == usual => String::new(),
        Some(text) => format!("COMMENT ON {object} IS {};\n", literal(text)),
        None => format!("COMMENT ON {object} IS NULL;\n"),
    }
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
