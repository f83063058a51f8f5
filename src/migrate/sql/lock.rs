use super::lexer::{Token, TokenKind, tokens};
use serde::Serialize;
use std::fmt;

/// A table-level lock that gets in somebody's way, the weakest first (PostgreSQL documentation, 13.3.1 "Table-Level
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
    let tokens = tokens(statement).ok()?;
    let clauses = clauses(statement, &tokens);
    let first: Vec<&str> = clauses.first()?.iter().map(String::as_str).collect();
    let anywhere = |wanted: &str| {
        let is_word = |token: &&Token| token.kind == TokenKind::Word;
        tokens.iter().filter(is_word).any(|token| statement[token.range.clone()].eq_ignore_ascii_case(wanted))
    };
    let has = |wanted: &str| first.contains(&wanted);
    Some(match first.as_slice() {
        ["INSERT" | "UPDATE" | "DELETE" | "MERGE", ..] => RowExclusive,
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
