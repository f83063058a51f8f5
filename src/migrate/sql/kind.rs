use super::lexer::{Token, TokenKind};

/// How a statement gets along with a transaction block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementKind {
    Ordinary,
    /// The server refuses it inside a transaction block (SQLSTATE 25001).
    Alone {
        /// Set for `CREATE INDEX CONCURRENTLY` with a name: a failed build leaves an invalid index behind.
        index: Option<IndexBuild>,
        /// It says `CONCURRENTLY`: it works in several transactions, and what ends it half-way leaves half of it.
        is_concurrent: bool,
    },
    /// `ALTER TYPE … ADD VALUE`: it may run in a transaction, but the value may not be used before the commit
    /// (SQLSTATE 55P04; PostgreSQL documentation, "ALTER TYPE", Notes).
    CommitAfter,
}

/// What `CREATE INDEX CONCURRENTLY` would build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBuild {
    /// The index's name, as the catalog has it.
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
    #[error("this is a command of psql, not SQL")]
    MetaCommand,
    /// It would release the migration lock too.
    #[error("`DISCARD ALL` would release the migration lock")]
    DiscardAll,
}

/// Classifies one statement by its words outside parentheses.
pub(super) fn classify(text: &str, tokens: &[Token]) -> Result<StatementKind, Refusal> {
    let words = outer_words(text, tokens);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let has = |wanted: &str| words.contains(&wanted);
    let has_pair = |first: &str, second: &str| words.windows(2).any(|pair| pair == [first, second]);
    Ok(match words.as_slice() {
        ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK" | "TRANSACTION", "TO", ..] => StatementKind::Ordinary,
        ["BEGIN" | "COMMIT" | "END" | "ABORT" | "ROLLBACK", ..]
        | ["START", "TRANSACTION", ..]
        | ["PREPARE", "TRANSACTION", ..] => return Err(Refusal::TransactionControl),
        ["COPY", ..] if has_pair("FROM", "STDIN") => return Err(Refusal::CopyFromStdin),
        ["DISCARD", "ALL"] => return Err(Refusal::DiscardAll),
        ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => {
            StatementKind::Alone { index: index_build(text, tokens), is_concurrent: true }
        }
        // The options may stand in parentheses: `REINDEX (CONCURRENTLY) TABLE t`.
        ["REINDEX", ..] if has("CONCURRENTLY") || inner_words(text, tokens).any(|word| word == "CONCURRENTLY") => {
            StatementKind::Alone { index: None, is_concurrent: true }
        }
        ["DROP", "INDEX", "CONCURRENTLY", ..] => StatementKind::Alone { index: None, is_concurrent: true },
        ["VACUUM", ..]
        | ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..]
        | ["ALTER", "SYSTEM", ..]
        | ["CLUSTER"]
        | ["CLUSTER", "VERBOSE"]
        | ["REINDEX", "SCHEMA" | "DATABASE" | "SYSTEM", ..] => {
            StatementKind::Alone { index: None, is_concurrent: false }
        }
        ["ALTER", "TABLE", ..] if has_pair("DETACH", "PARTITION") && has("CONCURRENTLY") => {
            StatementKind::Alone { index: None, is_concurrent: true }
        }
        ["ALTER", "DATABASE", ..] if has_pair("SET", "TABLESPACE") => {
            StatementKind::Alone { index: None, is_concurrent: false }
        }
        ["ALTER", "SUBSCRIPTION", ..] if has("REFRESH") => StatementKind::Alone { index: None, is_concurrent: false },
        ["ALTER", "TYPE", ..] if has_pair("ADD", "VALUE") => StatementKind::CommitAfter,
        _ => StatementKind::Ordinary,
    })
}

fn outer_words(text: &str, tokens: &[Token]) -> Vec<String> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for token in tokens {
        match token.kind {
            TokenKind::Symbol('(') => depth += 1,
            TokenKind::Symbol(')') => depth = depth.saturating_sub(1),
            TokenKind::Word if depth == 0 => found.push(text[token.range.clone()].to_ascii_uppercase()),
            _ => {}
        }
    }
    found
}

fn inner_words<'a>(text: &'a str, tokens: &'a [Token]) -> impl Iterator<Item = String> + 'a {
    let words = tokens.iter().filter(|token| token.kind == TokenKind::Word);
    words.map(|token| text[token.range.clone()].to_ascii_uppercase())
}

/// `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table …`; the name may be left out.
fn index_build(text: &str, tokens: &[Token]) -> Option<IndexBuild> {
    let is_word = |token: &Token, wanted: &str| {
        token.kind == TokenKind::Word && text[token.range.clone()].eq_ignore_ascii_case(wanted)
    };
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
    let name = match name.kind {
        TokenKind::QuotedIdentifier => written[1..written.len() - 1].replace("\"\"", "\""),
        _ => written.to_lowercase(),
    };
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
        assert_eq!(kind("alter type mood add value if not exists 'ok'"), StatementKind::CommitAfter);
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
        let index = IndexBuild { name: "idx_a".to_owned(), table: "public.\"Order Lines\"".to_owned() };
        assert_eq!(found, StatementKind::Alone { index: Some(index), is_concurrent: true });
        assert_eq!(
            kind("create index concurrently on t (a)"),
            StatementKind::Alone { index: None, is_concurrent: true }
        );
    }

    #[test]
    fn transaction_control_and_copy_from_stdin_are_refused() {
        for sql in ["begin", "COMMIT", "end", "abort", "rollback", "start transaction", "prepare transaction 'x'"] {
            assert!(split(sql).unwrap_err().to_string().contains("transaction"), "{sql}");
        }
        assert!(split("copy t (a, b) from stdin").unwrap_err().to_string().contains("COPY"));
    }
}
