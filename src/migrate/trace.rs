use super::sql::{Token, TokenKind, identifier, tokens};
use super::{Direction, Location, MigrationName, MigrationSource, SourceError};
use serde::Serialize;
use std::collections::BTreeSet;

/// A statement of a migration that touched a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touch {
    pub migration: String,
    /// `file:line:column`.
    pub location: String,
    pub statement: String,
    /// How the table was called then, where that is not its name now.
    pub then_called: Option<String>,
}

/// Finds the statements that touched a table, in the order of the names that are given.
///
/// A statement touches a table when it makes, changes, fills, empties or drops it, or an index, trigger, policy, rule,
/// comment or right of it, or refers to it by a foreign key. One that only reads it, such as a view, does not. Renames
/// are followed backwards, so that the history begins where the table did, whatever it was called then.
///
/// # Errors
/// [`SourceError`] for a file that cannot be read.
pub fn trace(
    source: &dyn MigrationSource,
    names: &[MigrationName],
    schema: Option<&str>,
    table: &str,
) -> Result<Vec<Touch>, SourceError> {
    let mut statements = Vec::new();
    for name in names {
        let Some(script) = source.script(name, Direction::Up)? else { continue };
        for at in 0..script.statements().len() {
            let text = script.sql(&(at..at + 1)).to_owned();
            statements.push((name.clone(), script.location(at), Mentions::of(&text), text));
        }
    }
    // Backwards for the name at each statement, forwards for the indexes that the table had by then.
    let mut called = Chain { schema: schema.map(str::to_owned), name: table.to_owned() };
    let mut names_then = Vec::with_capacity(statements.len());
    for (_, _, mentions, _) in statements.iter().rev() {
        if let Some(before) = mentions.called_before(&called) {
            called = before;
        }
        names_then.push(called.clone());
    }
    let mut own = BTreeSet::new();
    let mut found = Vec::new();
    for ((name, location, mentions, text), then) in statements.into_iter().zip(names_then.into_iter().rev()) {
        if mentions.touches(&then, &mut own) {
            let then_called = (then.name != table).then(|| then.name.clone());
            found.push(touch(&name, &location, text, then_called));
        }
    }
    Ok(found)
}

fn touch(name: &MigrationName, location: &Location, statement: String, then_called: Option<String>) -> Touch {
    Touch { migration: name.to_string(), location: location.to_string(), statement, then_called }
}

/// A name with or without a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain {
    schema: Option<String>,
    name: String,
}

impl Chain {
    /// Where one of them names no schema, the search path decided, and it is taken for the same.
    fn is(&self, other: &Self) -> bool {
        let same_schema = self.schema.is_none() || other.schema.is_none() || self.schema == other.schema;
        self.name == other.name && same_schema
    }
}

/// What a statement says about relations.
#[derive(Debug, Default)]
struct Mentions {
    relations: Vec<Chain>,
    /// Indexes that are made here, and the table of each.
    indexes: Vec<(String, Chain)>,
    /// Indexes that are changed or dropped here.
    index_changes: Vec<String>,
    /// From and to.
    renames: Vec<(Chain, Chain)>,
}

impl Mentions {
    fn of(text: &str) -> Self {
        let mut mentions = Self::default();
        mentions.read(text);
        mentions
    }

    /// The name before this statement, if this is where it got the one it has.
    fn called_before(&self, called: &Chain) -> Option<Chain> {
        self.renames.iter().find(|(_, to)| to.is(called)).map(|(from, _)| from.clone())
    }

    fn touches(&self, table: &Chain, own: &mut BTreeSet<String>) -> bool {
        own.extend(self.indexes.iter().filter(|(_, of)| of.is(table)).map(|(index, _)| index.clone()));
        self.relations.iter().any(|relation| relation.is(table))
            || self.index_changes.iter().any(|index| own.contains(index))
    }

    fn read(&mut self, text: &str) {
        let words = Words::of(text);
        let is_block = words.word(0) == "do";
        if is_block {
            // The body of a DO block runs now; that of a function some other time.
            for body in words.0.iter().filter_map(|piece| match piece {
                Piece::Body(body) => Some(body.as_str()),
                _ => None,
            }) {
                self.read(body);
            }
            return;
        }
        let mut at = 0;
        while at < words.0.len() {
            at = self.read_at(&words, at);
        }
    }

    /// Reads what begins at a word, and says where to go on.
    fn read_at(&mut self, words: &Words, at: usize) -> usize {
        let (word, before) = (words.word(at), if at > 0 { words.word(at - 1) } else { "" });
        let verb = words.word(0);
        let names_a_relation = match word {
            "table" | "view" | "sequence" | "references" | "into" | "truncate" | "copy" | "lock" => true,
            "update" => !matches!(before, "on" | "for" | "do" | "or" | "before" | "after" | "of"),
            "from" => before == "delete",
            "on" => !matches!(verb, "select" | "with" | "insert" | "update" | "delete" | "merge"),
            "column" => verb == "comment",
            "index" => {
                self.read_index(words, at);
                return at + 1;
            }
            "type" | "policy" | "trigger" | "rule" => false,
            _ => false,
        };
        if !names_a_relation {
            return at + 1;
        }
        let mut next = words.behind(at + 1, &["if", "not", "exists", "only", "table", "view", "constraint", "column"]);
        let first = next;
        while let Some((mut parts, end)) = words.chain(next) {
            if word == "column" || (word == "on" && words.word(at + 1) == "column") {
                parts.pop();
            }
            if let Some(chain) = chain(parts) {
                self.read_rename(words, &chain, end);
                self.relations.push(chain);
            }
            next = end;
            let is_list = matches!(verb, "drop" | "truncate" | "lock" | "grant" | "revoke");
            if !(is_list && words.is_comma(end)) {
                break;
            }
            next = words.behind(end + 1, &["only"]);
        }
        next.max(first).max(at + 1)
    }

    fn read_rename(&mut self, words: &Words, from: &Chain, end: usize) {
        if words.word(0) != "alter" {
            return;
        }
        match (words.word(end), words.word(end + 1)) {
            ("rename", "to") => {
                if let Some(name) = words.chain(end + 2).and_then(|(mut parts, _)| parts.pop()) {
                    self.renames.push((from.clone(), Chain { schema: from.schema.clone(), name }));
                    self.relations.push(Chain { schema: from.schema.clone(), name: from.name.clone() });
                }
            }
            ("set", "schema") => {
                if let Some(schema) = words.chain(end + 2).and_then(|(mut parts, _)| parts.pop()) {
                    self.renames.push((from.clone(), Chain { schema: Some(schema), name: from.name.clone() }));
                }
            }
            _ => {}
        }
    }

    /// `CREATE INDEX [CONCURRENTLY] [IF NOT EXISTS] name ON table`, `ALTER INDEX name`, `DROP INDEX name, …`.
    fn read_index(&mut self, words: &Words, at: usize) {
        let mut next = words.behind(at + 1, &["concurrently", "if", "not", "exists"]);
        let is_new = words.word(0) == "create";
        while let Some((mut parts, end)) = words.chain(next) {
            let Some(name) = parts.pop() else { return };
            if !is_new {
                self.index_changes.push(name);
                next = end + 1;
                if words.is_comma(end) {
                    continue;
                }
                return;
            }
            let table = words.behind(end + 1, &["only"]);
            if words.word(end) == "on"
                && let Some(of) = words.chain(table).and_then(|(parts, _)| chain(parts))
            {
                self.indexes.push((name, of));
            }
            return;
        }
    }
}

fn chain(mut parts: Vec<String>) -> Option<Chain> {
    let name = parts.pop()?;
    Some(Chain { schema: parts.pop(), name })
}

/// A statement's tokens as far as they matter.
struct Words(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    /// In lower case.
    Word(String),
    Quoted(String),
    /// A string between dollars.
    Body(String),
    Symbol(char),
}

impl Words {
    fn of(text: &str) -> Self {
        // A text that was split before has no open end.
        let found = tokens(text).unwrap_or_default();
        Self(found.iter().filter_map(|token| piece(text, token)).collect())
    }

    /// The word at a place; empty for anything else.
    fn word(&self, at: usize) -> &str {
        match self.0.get(at) {
            Some(Piece::Word(word)) => word,
            _ => "",
        }
    }

    fn is_comma(&self, at: usize) -> bool {
        matches!(self.0.get(at), Some(Piece::Symbol(',')))
    }

    /// The first place from here that holds none of these words.
    fn behind(&self, from: usize, words: &[&str]) -> usize {
        (from..self.0.len()).find(|at| !words.contains(&self.word(*at))).unwrap_or(self.0.len())
    }

    /// The name that begins here, in its parts, and what comes behind it.
    fn chain(&self, from: usize) -> Option<(Vec<String>, usize)> {
        let mut parts = Vec::new();
        let mut at = from;
        loop {
            match self.0.get(at) {
                Some(Piece::Word(name) | Piece::Quoted(name)) => parts.push(name.clone()),
                _ => return None,
            }
            at += 1;
            if !matches!(self.0.get(at), Some(Piece::Symbol('.'))) {
                return Some((parts, at));
            }
            at += 1;
        }
    }
}

fn piece(text: &str, token: &Token) -> Option<Piece> {
    let written = &text[token.range.clone()];
    match token.kind {
        TokenKind::Word => Some(Piece::Word(identifier(written))),
        TokenKind::QuotedIdentifier => Some(Piece::Quoted(identifier(written))),
        TokenKind::Text if written.starts_with('$') => {
            let tag = written[1..].find('$')? + 2;
            Some(Piece::Body(written.get(tag..written.len() - tag)?.to_owned()))
        }
        TokenKind::Symbol(symbol) => Some(Piece::Symbol(symbol)),
        TokenKind::Text | TokenKind::Comment => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touches(sql: &str) -> bool {
        let table = Chain { schema: Some("public".to_owned()), name: "orders".to_owned() };
        Mentions::of(sql).touches(&table, &mut BTreeSet::from(["orders_idx".to_owned()]))
    }

    #[test]
    fn what_changes_a_table_touches_it() {
        for sql in [
            "create table if not exists orders (id int)",
            "CREATE UNLOGGED TABLE public.Orders (id int)",
            "alter table only \"orders\" add column a int",
            "alter table if exists orders rename column a to b",
            "create unique index concurrently if not exists x on orders (a)",
            "create index on only public.orders (a)",
            "drop index concurrently if exists orders_idx",
            "alter index public.orders_idx rename to y",
            "create trigger t before insert or update of a on orders for each row execute function f()",
            "create policy p on orders using (true)",
            "comment on table orders is 'x'",
            "comment on column public.orders.a is 'x'",
            "create table lines (order_id int references orders (id))",
            "alter table lines add constraint c foreign key (a) references public.orders",
            "insert into orders (a) select 1",
            "update only orders set a = 1",
            "delete from orders",
            "drop table a, b, public.orders cascade",
            "truncate orders",
            "grant select on orders to app",
            "create table orders_2024 partition of x; alter table orders attach partition orders_2024 for values in (1)",
            "do $$ begin alter table orders add a int; end $$",
            "merge into orders using x on true when matched then delete",
            "with x as (select 1) insert into orders select * from x",
        ] {
            assert!(touches(sql), "{sql}");
        }
    }

    #[test]
    fn what_only_reads_or_resembles_it_does_not() {
        for sql in [
            "create view v as select * from orders",
            "create table other.orders (id int)",
            "create table orders_old (id int)",
            "create function f() returns void language sql as $$ delete from orders $$",
            "insert into x select a from y join orders on orders.id = y.id",
            "comment on table x is 'orders'",
            "-- alter table orders\nselect 1",
            "drop index other_idx",
            "alter table lines add constraint c foreign key (a) references x on update cascade",
        ] {
            assert!(!touches(sql), "{sql}");
        }
    }

    #[test]
    fn a_renamed_table_is_followed_back_to_its_beginning() {
        let now = Chain { schema: None, name: "orders".to_owned() };
        let before = Mentions::of("alter table if exists sales.purchases rename to orders").called_before(&now);
        assert_eq!(before, Some(Chain { schema: Some("sales".to_owned()), name: "purchases".to_owned() }));
        let moved = Mentions::of("alter table purchases set schema sales");
        let now = Chain { schema: Some("sales".to_owned()), name: "purchases".to_owned() };
        assert_eq!(moved.called_before(&now), Some(Chain { schema: None, name: "purchases".to_owned() }));
        assert_eq!(Mentions::of("alter table a rename column orders to b").called_before(&now), None);
    }
}
