use super::kind::{self, Refusal, StatementKind};
use super::lexer::{Token, TokenKind, Unterminated, tokens};
use std::ops::Range;

/// One statement of a script, without its semicolon and the comments around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Byte offsets in the text that was split.
    pub range: Range<usize>,
    pub kind: StatementKind,
}

/// Why a script cannot be run, and where (a byte offset).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("this {what} never ends")]
    Unterminated { offset: usize, what: &'static str },
    #[error("{refusal}")]
    Refused { offset: usize, refusal: Refusal },
}

impl SplitError {
    pub fn offset(self) -> usize {
        match self {
            Self::Unterminated { offset, .. } | Self::Refused { offset, .. } => offset,
        }
    }
}

impl From<Unterminated> for SplitError {
    fn from(found: Unterminated) -> Self {
        Self::Unterminated { offset: found.offset, what: found.what }
    }
}

/// Splits a script into its statements; empty ones are left out.
///
/// Parentheses and the bodies of SQL-standard functions (`BEGIN ATOMIC … END`) keep their semicolons, by the same rules
/// as psql's (`src/fe_utils/psqlscan.l`).
///
/// # Errors
/// [`SplitError`] for what never ends, and for what no migration may contain.
pub(crate) fn split(text: &str) -> Result<Vec<Statement>, SplitError> {
    let mut found = Vec::new();
    let mut current = Vec::new();
    let mut nesting = Nesting::default();
    for token in tokens(text)? {
        if token.kind == TokenKind::Comment {
            continue;
        }
        if token.kind == TokenKind::Symbol(';') && nesting.is_closed() {
            finish(text, &mut current, &mut found)?;
            nesting = Nesting::default();
            continue;
        }
        if token.kind == TokenKind::Symbol('\\') {
            return Err(SplitError::Refused { offset: token.range.start, refusal: Refusal::MetaCommand });
        }
        nesting.follow(&token, &text[token.range.clone()]);
        current.push(token);
    }
    finish(text, &mut current, &mut found)?;
    Ok(found)
}

fn finish(text: &str, current: &mut Vec<Token>, found: &mut Vec<Statement>) -> Result<(), SplitError> {
    if let (Some(first), Some(last)) = (current.first(), current.last()) {
        let range = first.range.start..last.range.end;
        let kind =
            kind::classify(text, current).map_err(|refusal| SplitError::Refused { offset: range.start, refusal })?;
        found.push(Statement { range, kind });
    }
    current.clear();
    Ok(())
}

#[derive(Default)]
struct Nesting {
    parentheses: usize,
    /// Depth of `BEGIN … END` and `CASE … END` in the body of a function.
    bodies: usize,
    /// The first words: do they create a function?
    opening: Vec<String>,
}

impl Nesting {
    fn is_closed(&self) -> bool {
        self.parentheses == 0 && self.bodies == 0
    }

    fn follow(&mut self, token: &Token, text: &str) {
        match token.kind {
            TokenKind::Symbol('(') => self.parentheses += 1,
            TokenKind::Symbol(')') => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Word if self.parentheses == 0 => {
                let word = text.to_ascii_lowercase();
                if self.creates_routine() {
                    match word.as_str() {
                        "begin" => self.bodies += 1,
                        "case" if self.bodies > 0 => self.bodies += 1,
                        "end" => self.bodies = self.bodies.saturating_sub(1),
                        _ => {}
                    }
                }
                if self.opening.len() < 4 {
                    self.opening.push(word);
                }
            }
            _ => {}
        }
    }

    fn creates_routine(&self) -> bool {
        let words: Vec<&str> = self.opening.iter().map(String::as_str).collect();
        matches!(
            words.as_slice(),
            ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statements(sql: &str) -> Vec<&str> {
        split(sql).unwrap().into_iter().map(|statement| &sql[statement.range]).collect()
    }

    #[test]
    fn semicolons_end_statements_only_where_they_may() {
        assert_eq!(statements("a; -- ;\n b ;; c"), ["a", "b", "c"]);
        assert_eq!(statements("create rule r as on insert to t do also (a; b); c").len(), 2);
        let function =
            "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end";
        assert_eq!(statements(&format!("{function}; x")), [function, "x"]);
        assert_eq!(statements("create function f() language plpgsql as $$ begin; end $$; x").len(), 2);
        assert_eq!(statements("select 'a;b'; select $x$;$x$").len(), 2);
    }

    #[test]
    fn comments_alone_are_no_statement() {
        assert!(statements("-- nothing\n/* here */ ;").is_empty());
    }

    #[test]
    fn a_meta_command_is_refused_where_it_stands() {
        let error = split("select 1;\n\\i other.sql").unwrap_err();
        assert_eq!((error.offset(), error.to_string().contains("psql")), (10, true));
        assert!(split(r"select E'\\', '\'").is_ok());
    }

    proptest! {
        #[test]
        fn splitting_never_panics(text in any::<String>()) {
            let _ = split(&text);
        }

        #[test]
        fn joined_statements_split_into_themselves(parts in prop::collection::vec("[a-z]{1,5}( '[a-z;]{0,5}')?( \\$q\\$[a-z;']{0,5}\\$q\\$)?", 0..8)) {
            let parts: Vec<String> = parts.into_iter().map(|part| format!("select {part}")).collect();
            let sql = parts.join(" ; -- x;\n");
            prop_assert_eq!(statements(&sql), parts);
        }
    }
}
