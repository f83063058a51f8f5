use super::{ConstraintKind, Database, ObjectName, Relation, RelationKind};
use std::collections::BTreeSet;

/// More tables than these are drawn with their keys alone.
const WHOLE: usize = 30;

/// Tables and the foreign keys between them, ready to be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagram {
    pub tables: Vec<DiagramTable>,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagramTable {
    /// Without the schema where that is `public`.
    pub name: String,
    pub rows: Vec<DiagramRow>,
    /// Columns that are not drawn.
    pub more: usize,
    schema: String,
    plain_name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagramRow {
    pub name: String,
    pub column_type: String,
    pub not_null: bool,
    pub is_primary: bool,
    pub is_foreign: bool,
    pub is_unique: bool,
}

/// A foreign key, by the places of its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub columns: Vec<String>,
    pub to_columns: Vec<String>,
    /// At most one row leads to another.
    pub is_unique: bool,
    /// A row may lead nowhere.
    pub is_optional: bool,
}

impl Diagram {
    /// Draws all tables but partitions and those that are named; views have no keys, and are left out too.
    pub fn of(database: &Database, without: &[&str]) -> Self {
        let is_drawn = |found: &&Relation| {
            matches!(found.kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::ForeignTable)
                && !found.is_partition
                && !without.contains(&found.name.as_str())
        };
        let relations: Vec<&Relation> = database.relations.iter().filter(is_drawn).collect();
        let links = relations.iter().enumerate().flat_map(|(from, found)| links(from, found, &relations)).collect();
        let tables = relations.iter().map(|found| table(found)).collect();
        let mut diagram = Self { tables, links };
        diagram.shorten();
        diagram
    }

    /// A table with those that it refers to and those that refer to it; none if it is not there.
    pub fn around(&self, name: &ObjectName) -> Option<Self> {
        let is_it = |table: &DiagramTable| {
            table.plain_name == name.name && name.schema.as_ref().is_none_or(|schema| *schema == table.schema)
        };
        // Without a schema, the one that most people mean.
        let mut found: Vec<usize> = (0..self.tables.len()).filter(|at| is_it(&self.tables[*at])).collect();
        found.sort_by_key(|at| self.tables[*at].schema != "public");
        let middle = *found.first()?;
        let near = self.links.iter().filter(|link| link.from == middle || link.to == middle);
        let kept: BTreeSet<usize> = near.flat_map(|link| [link.from, link.to]).chain([middle]).collect();
        let kept: Vec<usize> = kept.into_iter().collect();
        let place = |at: usize| kept.iter().position(|kept| *kept == at);
        let links = self.links.iter().filter_map(|link| {
            let (from, to) = (place(link.from)?, place(link.to)?);
            Some(Link { from, to, ..link.clone() })
        });
        Some(Self { links: links.collect(), tables: kept.iter().map(|at| self.tables[*at].clone()).collect() })
    }

    /// Leaves the columns out that are no keys, where all of them would make a drawing that nobody can read.
    fn shorten(&mut self) {
        if self.tables.len() <= WHOLE {
            return;
        }
        for table in &mut self.tables {
            let all = table.rows.len();
            table.rows.retain(|row| row.is_primary || row.is_foreign);
            table.more = all - table.rows.len();
        }
    }
}

fn links(from: usize, found: &Relation, relations: &[&Relation]) -> Vec<Link> {
    let keys = found.constraints.iter().filter_map(|key| Some((key, key.references.as_ref()?)));
    let place = |shown: &str| relations.iter().position(|found| found.shown == shown);
    let link = |(key, target): (&super::Constraint, &super::Reference)| {
        let to = place(&target.shown)?;
        let nullable = |name: &String| found.columns.iter().any(|column| column.name == *name && !column.not_null);
        let same: BTreeSet<&String> = key.columns.iter().collect();
        let is_key = |kind| matches!(kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique);
        let is_unique =
            found.constraints.iter().any(|own| is_key(own.kind) && own.columns.iter().collect::<BTreeSet<_>>() == same);
        Some(Link {
            from,
            to,
            columns: key.columns.clone(),
            to_columns: target.columns.clone(),
            is_unique,
            is_optional: key.columns.iter().any(nullable),
        })
    };
    keys.filter_map(link).collect()
}

fn table(found: &Relation) -> DiagramTable {
    let is_in = |kind: ConstraintKind, name: &str, alone: bool| {
        let of_kind = found.constraints.iter().filter(|own| own.kind == kind);
        of_kind
            .filter(|own| !alone || own.columns.len() == 1)
            .any(|own| own.columns.iter().any(|column| column == name))
    };
    let rows = found.columns.iter().map(|column| DiagramRow {
        name: column.name.clone(),
        column_type: short_type(&column.column_type),
        not_null: column.not_null,
        is_primary: is_in(ConstraintKind::PrimaryKey, &column.name, false),
        is_foreign: is_in(ConstraintKind::ForeignKey, &column.name, false),
        is_unique: is_in(ConstraintKind::Unique, &column.name, true),
    });
    DiagramTable {
        name: found.shown.strip_prefix("public.").unwrap_or(&found.shown).to_owned(),
        rows: rows.collect(),
        more: 0,
        schema: found.schema.clone(),
        plain_name: found.name.clone(),
    }
}

/// The names that people write: `timestamptz`, `varchar`.
fn short_type(name: &str) -> String {
    let name = name.strip_prefix("public.").unwrap_or(name);
    let (base, zone) = match (name.strip_suffix(" with time zone"), name.strip_suffix(" without time zone")) {
        (Some(base), _) => (base, "tz"),
        (None, Some(base)) => (base, ""),
        (None, None) => (name, ""),
    };
    let base = base.replace("character varying", "varchar").replace("double precision", "float8");
    match base.split_once('(') {
        Some((word, rest)) if !zone.is_empty() => format!("{word}{zone}({rest}"),
        _ => format!("{base}{zone}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Tables with one column, and links between them by number.
    pub(in crate::schema) fn diagram(tables: usize, links: &[(usize, usize)]) -> Diagram {
        let row = |name: &str| DiagramRow {
            name: name.to_owned(),
            column_type: "integer".to_owned(),
            ..DiagramRow::default()
        };
        let table = |number: usize| DiagramTable {
            name: format!("t{number}"),
            plain_name: format!("t{number}"),
            schema: "public".to_owned(),
            rows: vec![row("id"), row("other")],
            more: 0,
        };
        let link = |(from, to): &(usize, usize)| Link {
            from: *from,
            to: *to,
            columns: vec!["other".to_owned()],
            to_columns: vec!["id".to_owned()],
            is_unique: false,
            is_optional: true,
        };
        Diagram { tables: (0..tables).map(table).collect(), links: links.iter().map(link).collect() }
    }

    #[test]
    fn types_are_written_as_people_write_them() {
        for (long, short) in [
            ("timestamp with time zone", "timestamptz"),
            ("timestamp(3) with time zone", "timestamptz(3)"),
            ("time without time zone", "time"),
            ("character varying(10)[]", "varchar(10)[]"),
            ("public.mood", "mood"),
        ] {
            assert_eq!(short_type(long), short);
        }
    }

    #[test]
    fn a_table_is_drawn_with_its_neighbours() {
        let around = diagram(5, &[(0, 1), (1, 2), (3, 4)]).around(&ObjectName::parse("t1").unwrap()).unwrap();
        let names: Vec<&str> = around.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["t0", "t1", "t2"]);
        assert_eq!(around.links.iter().map(|link| (link.from, link.to)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        assert_eq!(diagram(1, &[]).around(&ObjectName::parse("x").unwrap()), None);
    }
}
