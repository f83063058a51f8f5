use super::lexer::{Lexer, Token, TokenKind, tokens};
use super::words::Words;
use serde::Serialize;
use std::fmt;

/// A table-level lock that gets in another's way, the weakest first (PostgreSQL documentation, 13.3.1 "Table-Level
/// Locks").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableLock {
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl TableLock {
    /// What nobody else can do to the table meanwhile.
    pub fn effect(self) -> Option<&'static str> {
        match self {
            Self::RowExclusive | Self::ShareUpdateExclusive => None,
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => Some("nobody writes meanwhile"),
            Self::AccessExclusive => Some("nobody reads or writes meanwhile"),
        }
    }
}

impl fmt::Display for TableLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RowExclusive => "row exclusive",
            Self::ShareUpdateExclusive => "share update exclusive",
            Self::Share => "share",
            Self::ShareRowExclusive => "share row exclusive",
            Self::Exclusive => "exclusive",
            Self::AccessExclusive => "access exclusive",
        })
    }
}

/// The strongest lock that a statement takes on a relation that was there before. `None` where it takes at most a
/// reader's, and where only the server could tell: functions that are called, `DO` blocks, cascades.
pub(crate) fn table_lock(statement: &str) -> Option<TableLock> {
    use TableLock::{AccessExclusive, Exclusive, RowExclusive, Share, ShareRowExclusive, ShareUpdateExclusive};
    let begins = Lexer::new(statement).flatten().find(|token| token.kind == TokenKind::Word);
    let begins = begins.map(|token| statement[token.range].to_ascii_uppercase());
    match begins.as_deref() {
        // A file of rows is one of these, and its tokens would take more memory than its text.
        Some("INSERT" | "UPDATE" | "DELETE" | "MERGE") => return Some(RowExclusive),
        Some("SELECT" | "VALUES") => return None,
        _ => {}
    }
    let tokens = tokens(statement).ok()?;
    let clauses = clauses(statement, &tokens);
    let first: Vec<&str> = clauses.first()?.iter().map(String::as_str).collect();
    let anywhere = |wanted: &str| {
        let is_word = |token: &&Token| token.kind == TokenKind::Word;
        tokens.iter().filter(is_word).any(|token| statement[token.range.clone()].eq_ignore_ascii_case(wanted))
    };
    let has = |wanted: &str| first.contains(&wanted);
    Some(match first.as_slice() {
        ["WITH", ..] if ["INSERT", "UPDATE", "DELETE", "MERGE"].into_iter().any(anywhere) => RowExclusive,
        ["COPY", _, "FROM", ..] | ["COPY", "FROM", ..] => RowExclusive,
        ["ALTER", "TABLE", ..] => clauses.iter().map(|clause| altered(clause)).max()?,
        ["CREATE" | "DROP" | "REINDEX", ..] if has("INDEX") && has("CONCURRENTLY") => ShareUpdateExclusive,
        ["REINDEX" | "VACUUM", ..] if anywhere("CONCURRENTLY") => ShareUpdateExclusive,
        ["CREATE", "INDEX", ..] | ["CREATE", "UNIQUE", "INDEX", ..] => Share,
        ["CREATE", ..] if has("TRIGGER") => ShareRowExclusive,
        ["CREATE", ..] if has("STATISTICS") => ShareUpdateExclusive,
        ["CREATE", "POLICY" | "RULE", ..] | ["CREATE", "OR", "REPLACE", "VIEW" | "RULE", ..] => AccessExclusive,
        ["CREATE", ..] if has("TABLE") && has("PARTITION") && has("OF") => AccessExclusive,
        ["CREATE", ..] if has("TABLE") && anywhere("REFERENCES") => ShareRowExclusive,
        ["CREATE", ..] if has("TABLE") && has("INHERITS") => ShareUpdateExclusive,
        ["ANALYZE" | "ANALYSE" | "COMMENT", ..] => ShareUpdateExclusive,
        ["VACUUM", ..] if !anywhere("FULL") => ShareUpdateExclusive,
        ["REFRESH", "MATERIALIZED", "VIEW", "CONCURRENTLY", ..] => Exclusive,
        ["ALTER", "INDEX", ..] => ShareUpdateExclusive,
        ["ALTER" | "DROP", "VIEW" | "MATERIALIZED" | "FOREIGN" | "POLICY" | "RULE" | "TRIGGER", ..]
        | ["DROP", "TABLE" | "INDEX", ..]
        | ["TRUNCATE" | "CLUSTER" | "REINDEX" | "REFRESH" | "VACUUM", ..] => AccessExclusive,
        ["LOCK", ..] if !has("MODE") => AccessExclusive,
        _ => return None,
    })
}

/// The relations that a statement locks so that others must wait, as it writes them; [`table_lock`]'s, and the tables that
/// its foreign keys refer to. Names that stand for something else are among them: whether there is such a relation, only
/// the server knows.
pub(crate) fn relation_locks(statement: &str) -> Vec<(String, TableLock)> {
    const BEFORE: [&str; 16] = [
        "table",
        "view",
        "index",
        "materialized",
        "foreign",
        "if",
        "exists",
        "only",
        "concurrently",
        "full",
        "verbose",
        "analyze",
        "schema",
        "(",
        ")",
        "trigger",
    ];
    let Some(lock) = table_lock(statement).filter(|lock| lock.effect().is_some()) else { return Vec::new() };
    let words = Words::of(statement);
    let behind =
        |wanted: &str| (0..words.len()).filter(|at| words.is(*at, wanted)).map(|at| at + 1).collect::<Vec<_>>();
    let name = |at: usize| words.name(words.behind(at, &["only"])).map(|(name, _)| name);
    let named = |at: Vec<usize>, lock: TableLock| at.into_iter().filter_map(name).map(|name| (name, lock)).collect();
    let keys = || -> Vec<(String, TableLock)> { named(behind("references"), TableLock::ShareRowExclusive) };
    let is_part = words.is(2, "trigger") || ["trigger", "policy", "rule"].iter().any(|kind| words.is(1, kind));
    let is_table = (1..4).any(|at| words.is(at, "table"));
    let is_create = words.is(0, "create");
    match () {
        () if is_create && is_table => {
            let parents = behind("of").into_iter().filter(|at| words.is(at.saturating_sub(2), "partition")).collect();
            let mut found: Vec<_> = named(parents, lock);
            found.extend(keys());
            found
        }
        () if is_create && words.is(3, "view") => named(vec![4], lock),
        () if is_create && words.is(1, "rule") => named(behind("to"), lock),
        () if is_create || is_part => named(behind("on").into_iter().take(1).collect(), lock),
        () if words.is(0, "drop") || words.is(0, "truncate") || words.is(0, "lock") => {
            words.names(1, &BEFORE).into_iter().map(|name| (name, lock)).collect()
        }
        () => {
            let mut found: Vec<_> = named(vec![words.behind(1, &BEFORE)], lock);
            found.extend(keys());
            found
        }
    }
}

/// What one clause of `ALTER TABLE` asks for (PostgreSQL documentation, "ALTER TABLE": "ACCESS EXCLUSIVE lock is acquired
/// unless explicitly noted").
fn altered(clause: &[String]) -> TableLock {
    let words: Vec<&str> = clause.iter().map(String::as_str).collect();
    let has = |wanted: &str| words.contains(&wanted);
    let has_pair = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    let is_light = has_pair("VALIDATE", "CONSTRAINT")
        || has_pair("SET", "STATISTICS")
        || has_pair("CLUSTER", "ON")
        || has_pair("SET", "WITHOUT")
        || (has_pair("DETACH", "PARTITION") && has("CONCURRENTLY"));
    let is_key = has_pair("FOREIGN", "KEY") && !has("COLUMN");
    let is_trigger = has("TRIGGER") && (has("ENABLE") || has("DISABLE"));
    match () {
        () if is_light => TableLock::ShareUpdateExclusive,
        () if is_key || is_trigger => TableLock::ShareRowExclusive,
        () => TableLock::AccessExclusive,
    }
}

/// The words outside of parentheses, in upper case, cut at commas; a quoted name counts as the word `""`.
fn clauses(text: &str, tokens: &[Token]) -> Vec<Vec<String>> {
    let (mut depth, mut found) = (0_usize, vec![Vec::new()]);
    for token in tokens {
        match token.kind {
            TokenKind::Symbol('(') => depth += 1,
            TokenKind::Symbol(')') => depth = depth.saturating_sub(1),
            TokenKind::Symbol(',') if depth == 0 => found.push(Vec::new()),
            TokenKind::Word | TokenKind::QuotedIdentifier if depth == 0 => {
                let is_word = token.kind == TokenKind::Word;
                let word = if is_word { text[token.range.clone()].to_ascii_uppercase() } else { "\"\"".to_owned() };
                if let Some(clause) = found.last_mut() {
                    clause.push(word);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_locked_is_named() {
        let said = |sql: &str| {
            let found = relation_locks(sql).into_iter().map(|(name, lock)| format!("{name}: {lock}"));
            found.collect::<Vec<_>>().join(", ")
        };
        for (sql, wanted) in [
            ("alter table if exists only sales.\"Order\" add column x int", "sales.\"Order\": access exclusive"),
            ("create unique index i on only invoice (number)", "invoice: share"),
            ("create index on invoice (number)", "invoice: share"),
            (
                "create table a (b int references c, d int references s.e)",
                "c: share row exclusive, s.e: share row exclusive",
            ),
            ("create table p1 partition of p for values in (1)", "p: access exclusive"),
            ("alter table a add foreign key (x) references b", "a: share row exclusive, b: share row exclusive"),
            ("drop table if exists a, public.b cascade", "a: access exclusive, public.b: access exclusive"),
            ("create trigger t after insert on a for each row execute function f()", "a: share row exclusive"),
            ("drop policy p on a", "a: access exclusive"),
            ("truncate table only a, b", "a: access exclusive, b: access exclusive"),
            ("vacuum full a", "a: access exclusive"),
            ("insert into a values (1)", ""),
            ("create table a ()", ""),
            ("create index concurrently i on a (x)", ""),
        ] {
            assert_eq!(said(sql), wanted, "{sql}");
        }
    }
}
