use super::steps::RepairStep;
use crate::migrate::sql::Words;
use std::fmt;

/// Rows, or one column's values, that a down part would take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub migration: String,
    /// As the statement writes it, with its schema and quotes.
    pub table: String,
    /// None: whole rows.
    pub column: Option<String>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { migration, table, column } = self;
        match column {
            Some(column) => write!(f, "undoing {migration} drops the column {column} of {table}, which holds values"),
            None => write!(f, "undoing {migration} takes away the rows of {table}"),
        }
    }
}

/// What the steps that undo may take away; whether there is anything to lose, only the database knows.
pub fn losses(steps: &[RepairStep]) -> Vec<Loss> {
    let mut found: Vec<Loss> = Vec::new();
    for step in steps {
        let RepairStep::Undo { name, script, .. } = step else { continue };
        for at in 0..script.statements().len() {
            for (table, column) in taken(script.sql(&(at..at + 1))) {
                let loss = Loss { migration: name.to_string(), table, column };
                if !found.contains(&loss) {
                    found.push(loss);
                }
            }
        }
    }
    found
}

fn taken(statement: &str) -> Vec<(String, Option<String>)> {
    let words = Words::of(statement);
    let whole = |names: Vec<String>| names.into_iter().map(|name| (name, None)).collect();
    if words.is(0, "drop") && words.is(1, "table") {
        return whole(words.names(2, &["if", "exists"]));
    }
    if words.is(0, "truncate") {
        return whole(words.names(1, &["table", "only"]));
    }
    if words.is(0, "delete") {
        return whole(words.names(1, &["from", "only"]).into_iter().take(1).collect());
    }
    if !(words.is(0, "alter") && words.is(1, "table")) {
        return Vec::new();
    }
    let Some((table, end)) = words.name(words.behind(2, &["if", "exists", "only"])) else { return Vec::new() };
    let drops = (end..words.len()).filter(|at| words.is(*at, "drop"));
    let columns = drops.filter(|at| {
        const OTHERS: [&str; 5] = ["constraint", "not", "default", "identity", "expression"];
        !OTHERS.iter().any(|other| words.is(at + 1, other))
    });
    let column = |at: usize| words.name(words.behind(at + 1, &["column", "if", "exists"])).map(|(name, _)| name);
    columns.filter_map(column).map(|column| (table.clone(), Some(column))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_down_part_takes_away_is_found() {
        let said = |sql: &str| {
            let found = taken(sql).into_iter();
            found
                .map(|(table, column)| column.map_or(table.clone(), |column| format!("{table}:{column}")))
                .collect::<Vec<_>>()
        };
        assert_eq!(said("drop table if exists a, public.\"B c\" cascade"), ["a", "public.\"B c\""]);
        assert_eq!(said("alter table only a drop column if exists x, drop constraint y, drop z"), ["a:x", "a:z"]);
        assert_eq!(said("alter table a alter column x drop not null, alter y drop default"), [""; 0]);
        assert_eq!(said("truncate a, b"), ["a", "b"]);
        assert_eq!(said("delete from a using b"), ["a"]);
        assert_eq!(said("drop index i"), [""; 0]);
    }
}
