use super::lexer::{Token, TokenKind, identifier};
use std::ops::Range;

/// How a statement gets along with a transaction block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementKind {
    Ordinary,
    /// The server refuses it inside a transaction block (SQLSTATE 25001).
    Alone {
        /// Set for `CREATE INDEX CONCURRENTLY` with a name: a failed build leaves an invalid index behind.
        index: Option<Box<IndexBuild>>,
        /// It says `CONCURRENTLY`: it works in several transactions, and what ends it half-way leaves half of it.
        is_concurrent: bool,
    },
    /// `ALTER TYPE … ADD VALUE`, also in a `DO` block: it may run in a transaction, but the value may not be used before
    /// the commit (SQLSTATE 55P04; PostgreSQL documentation, "ALTER TYPE", Notes).
    CommitAfter,
}

/// What `CREATE INDEX CONCURRENTLY` would build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBuild {
    /// The index's name, as it is written.
    pub name: String,
    /// The table as it is written, perhaps with a schema.
    pub table: String,
}

/// What no migration may contain, because devdb keeps the transaction and there is no psql.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this ends or begins a transaction, which is devdb's part")]
    TransactionControl,
    #[error("`COPY … FROM STDIN` needs psql to send the rows")]
    CopyFromStdin,
    #[error("`COPY … TO STDOUT` needs psql to take the rows")]
    CopyToStdout,
    #[error("this is a command of psql, not SQL")]
    MetaCommand,
    /// It would release the migration lock too.
    #[error("`DISCARD ALL` would release the migration lock")]
    DiscardAll,
    #[error("`pg_advisory_unlock_all` would release the migration lock")]
    UnlockAll,
}

/// What is looked at of one statement.
pub(super) struct Shape<'a> {
    text: &'a str,
    /// Its first tokens.
    head: &'a [Token],
    /// The words outside of parentheses, in upper case.
    outer: Vec<String>,
}

impl<'a> Shape<'a> {
    pub(super) fn new(text: &'a str, head: &'a [Token], outer: &[Range<usize>]) -> Self {
        let moves_rows = outer.first().is_some_and(|first| moves_rows(&text[first.clone()]));
        // Files of rows consist of these; nothing is decided by their words.
        let outer = if moves_rows { &[] } else { outer };
        Self { text, head, outer: outer.iter().map(|word| text[word.clone()].to_ascii_uppercase()).collect() }
    }

    pub(super) fn words(&self) -> Vec<&str> {
        self.outer.iter().map(String::as_str).collect()
    }

    pub(super) fn has(&self, wanted: &str) -> bool {
        self.outer.iter().any(|word| word == wanted)
    }

    pub(super) fn has_pair(&self, first: &str, second: &str) -> bool {
        self.outer.windows(2).any(|pair| pair[0] == first && pair[1] == second)
    }

    /// Whether the word stands anywhere in the head, parentheses included.
    pub(super) fn mentions(&self, wanted: &str) -> bool {
        self.head.iter().any(|token| is_word(self.text, token, wanted))
    }

    /// The words of a `DO` block's body, in upper case, those in strings within it too.
    pub(super) fn body(&self) -> Option<Vec<String>> {
        let is_do = self.outer.first().is_some_and(|word| word == "DO");
        let body = self.head.iter().find(|token| token.kind == TokenKind::Text).filter(|_| is_do)?;
        let words = self.text[body.range.clone()].split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        Some(words.filter(|word| !word.is_empty()).map(str::to_uppercase).collect())
    }
}

pub(super) fn is_word(text: &str, token: &Token, wanted: &str) -> bool {
    token.kind == TokenKind::Word && text[token.range.clone()].eq_ignore_ascii_case(wanted)
}

pub(super) fn has_pair(words: &[String], first: &str, second: &str) -> bool {
    words.windows(2).any(|pair| pair[0] == first && pair[1] == second)
}

/// Whether a statement that begins with this word only moves rows.
pub(super) fn moves_rows(first: &str) -> bool {
    ["insert", "select", "values", "update", "delete", "merge", "with"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
}

/// Classifies one statement by its words outside parentheses.
pub(super) fn classify(shape: &Shape<'_>) -> Result<StatementKind, Refusal> {
    let alone = |is_concurrent| StatementKind::Alone { index: None, is_concurrent };
    if shape.mentions("pg_advisory_unlock_all") {
        return Err(Refusal::UnlockAll);
    }
    Ok(match shape.words().as_slice() {
        ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => StatementKind::Ordinary,
        ["BEGIN" | "COMMIT" | "END" | "ABORT" | "ROLLBACK", ..]
        | ["START", "TRANSACTION", ..]
        | ["PREPARE", "TRANSACTION", ..] => return Err(Refusal::TransactionControl),
        ["COPY", ..] if shape.has_pair("FROM", "STDIN") => return Err(Refusal::CopyFromStdin),
        ["COPY", ..] if shape.has_pair("TO", "STDOUT") => return Err(Refusal::CopyToStdout),
        ["DISCARD", "ALL"] => return Err(Refusal::DiscardAll),
        ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => {
            let index = index_build(shape.text, shape.head).map(Box::new);
            StatementKind::Alone { index, is_concurrent: true }
        }
        // The options may stand in parentheses: `REINDEX (CONCURRENTLY) TABLE t`.
        ["REINDEX", ..] if shape.mentions("CONCURRENTLY") => alone(true),
        ["DROP", "INDEX", "CONCURRENTLY", ..] => alone(true),
        ["VACUUM", ..]
        | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["ALTER", "SYSTEM", ..]
        | ["CLUSTER"]
        | ["CLUSTER", "VERBOSE"]
        | ["REINDEX", "SCHEMA" | "DATABASE" | "SYSTEM", ..] => alone(false),
        ["ALTER", "TABLE", ..] if shape.has_pair("DETACH", "PARTITION") && shape.has("CONCURRENTLY") => alone(true),
        ["ALTER", "DATABASE", ..] if shape.has_pair("SET", "TABLESPACE") => alone(false),
        // Each of them refreshes, unless it is told not to (PostgreSQL documentation, "ALTER SUBSCRIPTION").
        ["ALTER", "SUBSCRIPTION", ..] if shape.has("REFRESH") || shape.has("PUBLICATION") => alone(false),
        ["ALTER", "TYPE", ..] if shape.has_pair("ADD", "VALUE") => StatementKind::CommitAfter,
        ["DO", ..] if shape.body().is_some_and(|body| has_pair(&body, "ADD", "VALUE")) => StatementKind::CommitAfter,
        _ => StatementKind::Ordinary,
    })
}

/// What a `SET standard_conforming_strings` makes of a backslash in the strings that follow: the server reads each
/// statement by the setting that the one before it left.
pub(super) fn sets_escapes(shape: &Shape<'_>) -> Option<bool> {
    let is_value = |wanted: &[&str]| {
        let last = shape.head.last().map(|token| shape.text[token.range.clone()].trim_matches('\''));
        last.is_some_and(|last| wanted.iter().any(|value| last.eq_ignore_ascii_case(value)))
    };
    let is_it = |name: &str| name == "STANDARD_CONFORMING_STRINGS";
    match shape.words().as_slice() {
        ["SET", "LOCAL" | "SESSION", name, ..] | ["SET", name, ..] if is_it(name) => {
            Some(is_value(&["off", "false", "no", "0"]))
        }
        ["RESET", name] if is_it(name) || *name == "ALL" => Some(false),
        _ => None,
    }
}

/// `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table …`; the name may be left out.
fn index_build(text: &str, tokens: &[Token]) -> Option<IndexBuild> {
    let is_word = |token: &Token, wanted: &str| is_word(text, token, wanted);
    let mut rest = tokens.iter().skip_while(|token| !is_word(token, "CONCURRENTLY")).skip(1).peekable();
    for word in ["IF", "NOT", "EXISTS"] {
        if rest.peek().is_some_and(|token| is_word(token, word)) {
            rest.next();
        }
    }
    let name = rest.next().filter(|token| !is_word(token, "ON"))?;
    rest.next().filter(|token| is_word(token, "ON"))?;
    if rest.peek().is_some_and(|token| is_word(token, "ONLY")) {
        rest.next();
    }
    let first = rest.next()?;
    let mut end = first.range.end;
    while rest.peek().is_some_and(|token| token.kind == TokenKind::Symbol('.')) {
        rest.next();
        end = rest.next()?.range.end;
    }
    let written = &text[name.range.clone()];
    // Only the parser reads this spelling.
    let is_unicode = written.starts_with(['u', 'U']) && written.contains('"');
    let name =
        if is_unicode { format!("\"{}\"", identifier(written).replace('"', "\"\"")) } else { written.to_owned() };
    Some(IndexBuild { name, table: text[first.range.start..end].to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::sql::split;

    fn kind(sql: &str) -> StatementKind {
        split(sql).unwrap().remove(0).kind
    }

    #[test]
    fn statements_that_refuse_a_transaction_are_known() {
        for sql in [
            "create index concurrently on t (a)",
            "CREATE UNIQUE INDEX /* x */ CONCURRENTLY i ON t (a)",
            "drop index concurrently if exists i",
            "reindex table concurrently t",
            "reindex (verbose, concurrently) index i",
            "reindex database shop",
            "vacuum (analyze) t",
            "create database x",
            "alter system set work_mem = '1MB'",
            "alter table t detach partition p concurrently",
            "cluster",
            "drop subscription s",
            "alter subscription s set publication p",
            "alter subscription s add publication p with (copy_data = false)",
            "alter subscription s refresh publication",
        ] {
            assert!(matches!(kind(sql), StatementKind::Alone { .. }), "{sql}");
        }
        for sql in [
            "create index concurrently_not on t (a)",
            "refresh materialized view concurrently v",
            "cluster t using i",
            "reindex table t",
            "select 'vacuum'",
            "rollback to savepoint a",
            "copy t from program 'x'",
            "comment on table t is 'begin'",
        ] {
            assert_eq!(kind(sql), StatementKind::Ordinary, "{sql}");
        }
        for sql in [
            "alter type mood add value if not exists 'ok'",
            "do $$ begin alter type mood add value 'ok'; end $$",
            "do 'begin execute ''alter type mood add  value ok''; end'",
        ] {
            assert_eq!(kind(sql), StatementKind::CommitAfter, "{sql}");
        }
    }

    #[test]
    fn what_works_in_several_transactions_is_told_apart() {
        for (sql, wanted) in [
            ("create index concurrently on t (a)", true),
            ("drop index concurrently i", true),
            ("reindex (concurrently) table t", true),
            ("reindex schema concurrently s", true),
            ("reindex (concurrently) schema s", true),
            ("alter table t detach partition p concurrently", true),
            ("reindex schema s", false),
            ("vacuum full t", false),
        ] {
            assert_eq!(kind(sql), StatementKind::Alone { index: None, is_concurrent: wanted }, "{sql}");
        }
    }

    #[test]
    fn an_index_build_knows_its_index_and_its_table() {
        let found = kind("create index concurrently if not exists Idx_A on only public.\"Order Lines\" (a)");
        let index = IndexBuild { name: "Idx_A".to_owned(), table: "public.\"Order Lines\"".to_owned() };
        assert_eq!(found, StatementKind::Alone { index: Some(Box::new(index)), is_concurrent: true });
        assert_eq!(
            kind("create index concurrently on t (a)"),
            StatementKind::Alone { index: None, is_concurrent: true }
        );
    }

    #[test]
    fn what_needs_psql_or_is_devdbs_own_part_is_refused() {
        let refused = |sql: &str| split(sql).unwrap_err();
        for (wanted, all) in [
            (Refusal::TransactionControl, "begin|COMMIT|end|abort|rollback|start transaction|prepare transaction 'x'"),
            (Refusal::CopyFromStdin, "copy t (a, b) from stdin|copy t from /* x */ STDIN with (format csv)"),
            (Refusal::CopyToStdout, "copy t to stdout|copy (select 1) to stdout"),
            (Refusal::DiscardAll, "discard all"),
            (Refusal::UnlockAll, "select pg_advisory_unlock_all()"),
        ] {
            for sql in all.split('|') {
                assert_eq!(refused(sql).refused, [(0, wanted)], "{sql}");
            }
        }
    }
}
