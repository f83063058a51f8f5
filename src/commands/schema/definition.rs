use super::list::{rows_text, size};
use crate::schema::{Column, ConstraintKind, Generated, Identity, Policy, Relation, RelationKind, Sequence};
use crate::system::{barred, one_line};
use crate::ui::{Paint, Report, Table};

impl Report for Relation {
    fn text(&self, paint: Paint) -> String {
        let mut page = Page { text: self.heading(paint), paint };
        page.section("columns", &self.column_lines(paint));
        page.table("keys", self.constraint_rows(|kind| kind != ConstraintKind::Check));
        page.table("checks", self.constraint_rows(|kind| kind == ConstraintKind::Check));
        let by = self.referenced_by.iter();
        page.table("referenced by", by.map(|key| vec![key.table.clone(), key.name.clone(), key.definition.clone()]));
        page.table("indexes", self.index_rows());
        let triggers = self.triggers.iter();
        page.table(
            "triggers",
            triggers.map(|found| {
                vec![
                    found.name.clone(),
                    format!("{}{}", behind(&found.definition, " TRIGGER "), enabled(found.enabled)),
                    comment(&found.comment),
                ]
            }),
        );
        page.table("policies", self.policies.iter().map(policy_row));
        let rules = self.rules.iter();
        page.table(
            "rules",
            rules.map(|rule| {
                let definition = rule.definition.split_whitespace().collect::<Vec<_>>().join(" ");
                vec![
                    rule.name.clone(),
                    format!("{}{}", behind(&definition, " RULE "), enabled(rule.enabled)),
                    comment(&rule.comment),
                ]
            }),
        );
        let statistics = self.statistics.iter();
        page.table(
            "statistics",
            statistics.map(|found| {
                vec![found.name.clone(), behind(&found.definition, " STATISTICS "), comment(&found.comment)]
            }),
        );
        let title = if self.kind == RelationKind::PartitionedTable { "partitions" } else { "inherited by" };
        let children = self.children.iter();
        page.table(
            title,
            children.map(|child| {
                let kind = if child.kind == RelationKind::Table { "" } else { child.kind.word() };
                vec![child.name.clone(), child.bound.clone().unwrap_or_default(), kind.to_owned()]
            }),
        );
        if let Some(view) = &self.view {
            page.section("definition", &view.lines().map(str::to_owned).collect::<Vec<_>>());
        }
        page.text
    }
}

/// Sections below one another; an empty one is not there.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) paint: Paint,
}

impl Page {
    pub(super) fn section(&mut self, title: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        self.text.push_str(&format!("\n{}\n", self.paint.strong(title)));
        for line in lines {
            self.text.push_str(format!("  {}", one_line(line)).trim_end());
            self.text.push('\n');
        }
    }

    pub(super) fn table(&mut self, title: &str, rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        rows.into_iter().for_each(|row| table.row(row));
        self.section(title, &table.render(0).lines().map(str::to_owned).collect::<Vec<_>>());
    }
}

impl Relation {
    fn heading(&self, paint: Paint) -> String {
        let unlogged = if self.persistence == 'u' { "unlogged " } else { "" };
        let mut facts = Vec::new();
        if is_stored(self.kind) {
            facts.push(format!("{} rows", rows_text(self.rows)));
            facts.push(size(self.size_bytes));
        }
        let indexes: i64 = self.indexes.iter().filter_map(|index| index.size_bytes).sum();
        if indexes > 0 {
            facts.push(format!("indexes {}", size(Some(indexes))));
        }
        let title = format!("{unlogged}{} {}", self.kind, paint.strong(&self.shown));
        let mut text =
            format!("{title}{}\n", if facts.is_empty() { String::new() } else { format!("  {}", facts.join(" · ")) });
        text.extend(self.comment.iter().map(|comment| format!("  {}\n", barred(comment, "  "))));
        text.extend(self.notes().iter().map(|line| format!("  {}\n", one_line(line))));
        text
    }

    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        let mut note = |is: bool, text: String| {
            if is {
                notes.push(text);
            }
        };
        if let Some(key) = &self.partition_key {
            note(true, format!("partitioned by {key}"));
        }
        let parents = self.parents.join(", ");
        match &self.partition_bound {
            Some(bound) => note(true, format!("partition of {parents} {bound}")),
            None => note(!parents.is_empty(), format!("inherits {parents}")),
        }
        note(self.of_type.is_some(), format!("of type {}", self.of_type.as_deref().unwrap_or_default()));
        if let Some(server) = &self.server {
            let options: Vec<String> =
                server.options.iter().map(|option| format!("{} '{}'", option.name, option.value)).collect();
            note(true, format!("on server {} ({})", server.name, options.join(", ")));
        }
        if let Some(sequence) = &self.sequence {
            note(true, sequence_text(sequence));
            if let Some(owner) = &sequence.owned_by {
                note(true, format!("owned by {}.{}", owner.table, owner.column));
            }
        }
        note(!self.is_populated, "without data: not refreshed yet".to_owned());
        note(
            self.row_security && self.policies.is_empty(),
            "row security is enabled, and no policy lets anybody in".to_owned(),
        );
        note(self.row_security && !self.policies.is_empty(), "row security is enabled".to_owned());
        note(self.force_row_security, "row security binds the owner too".to_owned());
        note(
            !self.row_security && !self.policies.is_empty(),
            "row security is off: the policies do nothing".to_owned(),
        );
        note(self.replica_identity == 'f', "replica identity: the full row".to_owned());
        note(is_stored(self.kind) && self.replica_identity == 'n', "replica identity: nothing".to_owned());
        note(!self.options.is_empty(), format!("with {}", self.options.join(", ")));
        notes
    }

    /// One line a column, its comment on a line of its own below it.
    fn column_lines(&self, paint: Paint) -> Vec<String> {
        let mut table = Table::new();
        for column in &self.columns {
            let null = if column.not_null { "not null" } else { "" };
            table.row([column.name.clone(), column.column_type.clone(), null.to_owned(), column_facts(column)]);
        }
        let rendered = table.render(0);
        let comments = self.columns.iter().map(|column| column.comment.as_deref());
        let mut lines = Vec::new();
        for (line, comment) in rendered.lines().zip(comments) {
            lines.push(line.to_owned());
            let comment = comment.map(|comment| barred(comment, ""));
            lines.extend(comment.iter().flat_map(|text| text.lines()).map(|line| format!("  {}", paint.faint(line))));
        }
        lines
    }

    fn constraint_rows(&self, is: impl Fn(ConstraintKind) -> bool) -> Vec<Vec<String>> {
        let found = self.constraints.iter().filter(|constraint| is(constraint.kind));
        found
            .map(|constraint| {
                let inherited = if constraint.is_inherited || !constraint.is_local { "  (inherited)" } else { "" };
                vec![
                    constraint.name.clone(),
                    format!("{}{inherited}", constraint.definition),
                    comment(&constraint.comment),
                ]
            })
            .collect()
    }

    fn index_rows(&self) -> Vec<Vec<String>> {
        let row = |index: &crate::schema::Index| {
            let mut text = String::new();
            let kind = if index.is_primary {
                "primary key, "
            } else if index.constraint.is_some() && index.is_unique {
                "unique constraint, "
            } else if index.is_unique {
                "unique, "
            } else {
                ""
            };
            text.push_str(kind);
            text.push_str(&behind(&index.short, " USING "));
            for (is, word) in [
                (!index.is_valid, "invalid"),
                (index.is_clustered, "clustered"),
                (index.is_replica_identity, "replica identity"),
            ] {
                if is {
                    text.push_str(&format!(", {word}"));
                }
            }
            if let Some(parent) = &index.parent {
                text.push_str(&format!(", part of {parent}"));
            }
            vec![index.name.clone(), size(index.size_bytes), text, comment(&index.comment)]
        };
        self.indexes.iter().map(row).collect()
    }
}

/// It has rows of its own, or its partitions have.
fn is_stored(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView)
}

fn column_facts(column: &Column) -> String {
    let mut facts = Vec::new();
    if let Some(collation) = &column.collation {
        facts.push(format!("collate {collation}"));
    }
    match (&column.default, column.generated, column.identity) {
        (_, _, Some(Identity::Always)) => facts.push("identity, always".to_owned()),
        (_, _, Some(Identity::ByDefault)) => facts.push("identity, by default".to_owned()),
        (Some(expression), Some(Generated::Stored), _) => facts.push(format!("generated {expression} stored")),
        (Some(expression), Some(Generated::Virtual), _) => facts.push(format!("generated {expression} virtual")),
        (Some(expression), None, _) => facts.push(format!("default {expression}")),
        (None, _, _) => {}
    }
    if let Some(storage) = column.storage {
        facts.push(format!("storage {}", storage_word(storage)));
    }
    if let Some(compression) = column.compression {
        facts.push(format!("compression {}", if compression == 'l' { "lz4" } else { "pglz" }));
    }
    if let Some(target) = column.statistics {
        facts.push(format!("statistics {target}"));
    }
    facts.extend(column.options.iter().cloned());
    facts.extend(column.foreign_options.iter().map(|option| format!("{} '{}'", option.name, option.value)));
    facts.join(", ")
}

fn storage_word(letter: char) -> &'static str {
    match letter {
        'p' => "plain",
        'e' => "external",
        'm' => "main",
        _ => "extended",
    }
}

fn sequence_text(sequence: &Sequence) -> String {
    let Sequence { sequence_type, start, increment, min, max, cache, cycle, .. } = sequence;
    let cycle = if *cycle { ", cycles" } else { "" };
    format!("{sequence_type} from {start} by {increment}, {min} to {max}, cache {cache}{cycle}")
}

fn policy_row(policy: &Policy) -> Vec<String> {
    let kind = if policy.is_permissive { "" } else { "restrictive, " };
    let roles = if policy.roles.is_empty() { "everybody".to_owned() } else { policy.roles.join(", ") };
    let mut text = format!("{kind}{} to {roles}", policy.command_word().to_lowercase());
    for (word, expression) in [("using", &policy.using), ("with check", &policy.check)] {
        if let Some(expression) = expression {
            text.push_str(&format!(" {word} ({expression})"));
        }
    }
    vec![policy.name.clone(), text, comment(&policy.comment)]
}

fn enabled(letter: char) -> &'static str {
    match letter {
        'D' => "  (disabled)",
        'R' => "  (on replicas only)",
        'A' => "  (always)",
        _ => "",
    }
}

/// What stands behind a mark and, where a name follows it, behind the name: the name has a column of its own.
fn behind(definition: &str, mark: &str) -> String {
    let Some((_, rest)) = definition.split_once(mark) else { return definition.to_owned() };
    if mark == " USING " {
        return rest.to_owned();
    }
    let mut quoted = false;
    let end = rest.find(|letter: char| {
        quoted ^= letter == '"';
        letter == ' ' && !quoted
    });
    end.map_or(rest, |end| &rest[end + 1..]).trim_start_matches("AS ").to_owned()
}

fn comment(text: &Option<String>) -> String {
    text.as_ref().map_or_else(String::new, |text| format!("-- {}", text.lines().collect::<Vec<_>>().join(" ")))
}
