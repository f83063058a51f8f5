//! What a statement leaves behind where its transaction ends or fails.

use super::kind::{Shape, has_pair, is_word};
use super::lexer::{Lexer, TokenKind, identifier, tokens};

/// How long what a statement sets is meant to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It does not depend on where a transaction ends.
    Free,
    /// Until the transaction ends; the text names it.
    Transaction(&'static str),
    /// Until the transaction ends, or it is released.
    Savepoint,
    /// `SET CONSTRAINTS`: until the transaction ends, also for the files that follow in it.
    Constraints,
}

/// How long what it sets is meant to hold, as far as its own words tell.
pub(super) fn scope(shape: &Shape<'_>) -> Scope {
    let has_pair = |first: &str, second: &str| shape.has_pair(first, second);
    match shape.words().as_slice() {
        ["SET", "LOCAL", ..] => Scope::Transaction("`set local`"),
        ["SET", "TRANSACTION", ..] => Scope::Transaction("`set transaction`"),
        ["SET", "CONSTRAINTS", ..] => Scope::Constraints,
        ["SAVEPOINT", ..] => Scope::Savepoint,
        ["LOCK", ..] => Scope::Transaction("a lock on a table"),
        ["DECLARE", ..] if shape.has("CURSOR") && !has_pair("WITH", "HOLD") => Scope::Transaction("a cursor"),
        ["CREATE", ..] if has_pair("COMMIT", "DROP") => Scope::Transaction("a table that is dropped on commit"),
        ["CREATE", ..] if has_pair("COMMIT", "DELETE") => Scope::Transaction("a table that is emptied on commit"),
        ["DO", ..] => shape.body().map_or(Scope::Free, |body| body_scope(&body)),
        _ if shape.mentions("set_config") && shape.mentions("true") => Scope::Transaction("`set_config(…, true)`"),
        _ if XACT_LOCKS.iter().any(|lock| shape.mentions(lock)) => Scope::Transaction("an advisory lock"),
        _ => Scope::Free,
    }
}

const XACT_LOCKS: [&str; 4] = [
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
];

fn body_scope(body: &[String]) -> Scope {
    let has = |wanted: &str| body.iter().any(|word| word.eq_ignore_ascii_case(wanted));
    match () {
        () if has_pair(body, "SET", "CONSTRAINTS") => Scope::Constraints,
        () if has_pair(body, "SET", "LOCAL") => Scope::Transaction("`set local`"),
        () if has("set_config") && has("true") => Scope::Transaction("`set_config(…, true)`"),
        () if has_pair(body, "COMMIT", "DROP") => Scope::Transaction("a table that is dropped on commit"),
        () if XACT_LOCKS.iter().any(|lock| has(lock)) => Scope::Transaction("an advisory lock"),
        () => Scope::Free,
    }
}

/// Whether a statement that fails outside of any transaction may have committed part of its work: it ends transactions
/// itself, goes through several objects one by one, or reaches beyond the database.
pub(crate) fn commits_within(statement: &str) -> bool {
    // The text was split before, so it has no open end.
    let tokens = tokens(statement).unwrap_or_default();
    let outer: Vec<_> =
        tokens.iter().filter(|token| token.kind == TokenKind::Word).map(|token| token.range.clone()).collect();
    let shape = Shape::new(statement, &tokens, &outer);
    match shape.words().as_slice() {
        ["CALL" | "VACUUM" | "ANALYZE" | "ANALYSE" | "CLUSTER" | "REINDEX", ..]
        | ["CREATE" | "DROP" | "ALTER", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION" | "SYSTEM", ..] => true,
        ["DO", ..] => shape
            .body()
            .is_none_or(|body| body.iter().any(|word| matches!(word.as_str(), "COMMIT" | "CALL" | "EXECUTE"))),
        _ => false,
    }
}

/// What a statement does to savepoints; names as the catalog would have them.
pub(crate) enum SavepointChange {
    Made(String),
    Released(String),
    RolledBack(String),
}

pub(crate) fn savepoint(statement: &str) -> Option<SavepointChange> {
    let first = statement.get(..9)?;
    let is_one = ["savepoint", "release", "rollback"].iter().any(|word| first.to_ascii_lowercase().starts_with(word));
    let tokens = tokens(statement).ok().filter(|_| is_one)?;
    let mut words =
        tokens.iter().filter(|token| token.kind != TokenKind::Comment).map(|token| &statement[token.range.clone()]);
    let (kind, name) = (words.next()?.to_ascii_lowercase(), identifier(words.next_back()?));
    Some(match kind.as_str() {
        "savepoint" => SavepointChange::Made(name),
        "release" => SavepointChange::Released(name),
        _ => SavepointChange::RolledBack(name),
    })
}

/// Whether it is a `DO` block.
pub(crate) fn is_block(statement: &str) -> bool {
    super::Words::of(statement).is(0, "do")
}

/// Whether a statement may take numbers from a sequence, or set one, which no rollback takes back.
pub(crate) fn may_move_sequences(statement: &str) -> bool {
    let first = Lexer::new(statement).flatten().find(|token| token.kind == TokenKind::Word);
    let begins =
        |words: &[&str]| first.as_ref().is_some_and(|first| words.iter().any(|word| is_word(statement, first, word)));
    // These need a function for it.
    let calls = begins(&["select", "update", "with", "values", "delete"]) && statement.contains('(');
    calls || begins(&["insert", "merge", "do", "call"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::sql::split;

    #[test]
    fn what_ends_with_the_transaction_is_known() {
        let scope = |sql: &str| split(sql).unwrap().remove(0).scope;
        for sql in [
            "set local search_path = s",
            "lock table t",
            "declare c cursor for select 1",
            "create temp table t (a int) on commit drop",
            "create temporary table t on commit delete rows as select 1",
            "select set_config('search_path', 's', true)",
            "do $$ begin set local search_path = s; end $$",
            "select pg_advisory_xact_lock(1)",
        ] {
            assert!(matches!(scope(sql), Scope::Transaction(_)), "{sql}");
        }
        for sql in [
            "set search_path = s",
            "set session local = 1",
            "declare c cursor with hold for select 1",
            "create temp table t (a int)",
            "select set_config('search_path', 's', false)",
            "create function f() returns void language plpgsql as $$ begin set local search_path = s; end $$",
            "insert into t values ('set local')",
        ] {
            assert_eq!(scope(sql), Scope::Free, "{sql}");
        }
        assert_eq!(scope("set constraints all deferred"), Scope::Constraints);
        assert_eq!(scope("savepoint a"), Scope::Savepoint);
    }

    #[test]
    fn what_may_commit_part_of_its_work_is_known() {
        for sql in
            ["call p()", "vacuum a, b", "do $$ begin insert into t values (1); commit; end $$", "reindex schema s"]
        {
            assert!(commits_within(sql), "{sql}");
        }
        for sql in ["do $$ begin insert into t values (1); end $$", "insert into t values (1)", "create table t ()"] {
            assert!(!commits_within(sql), "{sql}");
        }
    }
}
