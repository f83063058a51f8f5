use super::kind::{self, Refusal, Shape, StatementKind};
use super::lexer::{Lexer, Token, TokenKind, Unterminated};
use super::scope::{self, Scope};
use std::ops::Range;

/// One statement of a script, without its semicolon and the comments around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Byte offsets in the text that was split.
    pub range: Range<usize>,
    pub kind: StatementKind,
    /// How long what it sets is meant to hold.
    pub scope: Scope,
}

/// What a text holds.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) statements: Vec<Statement>,
    /// What no migration may contain, in order.
    pub(crate) refused: Vec<(usize, Refusal)>,
    /// What never ends, and made the reading stop.
    pub(crate) unterminated: Option<Unterminated>,
}

/// The statements of a script in which nothing is wrong.
#[cfg(test)]
pub(crate) fn split(text: &str) -> Result<Vec<Statement>, Reading> {
    let reading = read(text, &mut |_| false);
    let is_right = reading.refused.is_empty() && reading.unterminated.is_none();
    if is_right { Ok(reading.statements) } else { Err(reading) }
}

/// Reads a script to its end: its statements, without empty ones, and what is wrong with it.
///
/// Parentheses and the bodies of SQL-standard functions (`BEGIN ATOMIC … END`) keep their semicolons. `on_comment` is
/// told where each comment stands; where it answers yes, the statement that is being read ends there. Time is linear in
/// the text, memory in the number of statements.
pub(crate) fn read(text: &str, on_comment: &mut dyn FnMut(Range<usize>) -> bool) -> Reading {
    let mut splitter = Splitter { text, lexer: Lexer::new(text), found: Vec::new(), refused: Vec::new() };
    let unterminated = splitter.run(on_comment).err();
    Reading { statements: splitter.found, refused: splitter.refused, unterminated }
}

struct Splitter<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    found: Vec<Statement>,
    refused: Vec<(usize, Refusal)>,
}

impl Splitter<'_> {
    fn run(&mut self, on_comment: &mut dyn FnMut(Range<usize>) -> bool) -> Result<(), Unterminated> {
        let mut current = Current::default();
        while let Some(token) = self.lexer.next().transpose()? {
            if token.kind == TokenKind::Comment {
                if on_comment(token.range) {
                    self.finish(&mut current);
                    self.lexer.set_escapes(false);
                }
                continue;
            }
            if token.kind == TokenKind::Symbol(';') && current.is_closed() {
                self.finish(&mut current);
                continue;
            }
            if token.kind == TokenKind::Symbol('\\') {
                // psql reads its commands to the end of their line.
                self.refused.push((token.range.start, Refusal::MetaCommand));
                self.lexer.skip_to(line_end(self.text, token.range.end));
                continue;
            }
            current.take(token, self.text);
        }
        self.finish(&mut current);
        Ok(())
    }

    fn finish(&mut self, current: &mut Current) {
        if let Some(start) = current.start {
            let shape = Shape::new(self.text, &current.head, &current.outer);
            match kind::classify(&shape) {
                Ok(kind) => {
                    let scope = scope::scope(&shape);
                    self.found.push(Statement { range: start..current.end, kind, scope });
                }
                Err(refusal) => {
                    self.refused.push((start, refusal));
                    if refusal == Refusal::CopyFromStdin {
                        self.lexer.skip_to(end_of_rows(self.text, current.end));
                    }
                }
            }
            if let Some(escapes) = kind::sets_escapes(&shape) {
                self.lexer.set_escapes(escapes);
            }
        }
        current.clear();
    }
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find(['\n', '\r']).map_or(text.len(), |at| from + at)
}

/// Behind the `\.` that ends the rows of a `COPY … FROM STDIN`, which are no SQL; without one they go on to the end.
fn end_of_rows(text: &str, from: usize) -> usize {
    text[from..].find("\n\\.").map_or(text.len(), |at| line_end(text, from + at + 1))
}

/// The statement that is being read.
#[derive(Default)]
struct Current {
    start: Option<usize>,
    end: usize,
    /// The first tokens; no decision needs more.
    head: Vec<Token>,
    /// The words outside of parentheses, unless it is one that only moves rows.
    outer: Vec<Range<usize>>,
    parentheses: usize,
    /// Depth of `BEGIN ATOMIC … END` and `CASE … END` in the body of a function.
    bodies: usize,
    /// What stood last outside of parentheses.
    last: Last,
}

/// Whether a word may be a key word: behind a dot or `AS` it is a name.
#[derive(Default, PartialEq, Eq)]
enum Last {
    #[default]
    Other,
    Begin,
    DotOrAs,
}

impl Current {
    const HEAD: usize = 256;

    fn clear(&mut self) {
        self.head.clear();
        self.outer.clear();
        (self.start, self.end, self.parentheses, self.bodies, self.last) = (None, 0, 0, 0, Last::Other);
    }

    fn is_closed(&self) -> bool {
        self.parentheses == 0 && self.bodies == 0
    }

    fn take(&mut self, token: Token, text: &str) {
        self.start.get_or_insert(token.range.start);
        self.end = token.range.end;
        match token.kind {
            TokenKind::Symbol('(') => self.parentheses += 1,
            TokenKind::Symbol(')') => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Word if self.parentheses == 0 => {
                self.follow_body(&text[token.range.clone()], text);
                let moves_rows = self.outer.first().is_some_and(|first| kind::moves_rows(&text[first.clone()]));
                if !moves_rows {
                    self.outer.push(token.range.clone());
                }
            }
            TokenKind::Symbol('.') => self.last = Last::DotOrAs,
            _ => self.last = Last::Other,
        }
        if self.head.len() < Self::HEAD {
            self.head.push(token);
        }
    }

    fn follow_body(&mut self, word: &str, text: &str) {
        let is = |wanted: &str| word.eq_ignore_ascii_case(wanted);
        let before = std::mem::take(&mut self.last);
        if is("as") {
            self.last = Last::DotOrAs;
        }
        if before == Last::DotOrAs || !(self.bodies > 0 || creates_routine(text, &self.outer)) {
            return;
        }
        match () {
            () if is("begin") => self.last = Last::Begin,
            () if is("atomic") && before == Last::Begin => self.bodies += 1,
            () if is("case") && self.bodies > 0 => self.bodies += 1,
            () if is("end") => self.bodies = self.bodies.saturating_sub(1),
            () => {}
        }
    }
}

fn creates_routine(text: &str, outer: &[Range<usize>]) -> bool {
    let is =
        |at: usize, wanted: &str| outer.get(at).is_some_and(|word| text[word.clone()].eq_ignore_ascii_case(wanted));
    let kind = if is(1, "or") && is(2, "replace") { 3 } else { 1 };
    is(0, "create") && (is(kind, "function") || is(kind, "procedure"))
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
        let names = "create function f() returns int return (select 1); create procedure p() begin atomic \
                     select t.end, t.case, 1 as end from t; insert into t values (1); end";
        assert_eq!(statements(&format!("{names}; x")).len(), 3);
        assert_eq!(statements("create function begin() returns int language sql as 'select 1'; x").len(), 2);
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
        assert_eq!(error.refused, [(10, Refusal::MetaCommand)]);
        assert!(split(r"select E'\\', '\'").is_ok());
    }

    #[test]
    fn all_that_needs_psql_is_named_and_rows_are_no_sql() {
        let dump =
            "\\restrict x\ncopy a from stdin;\n1\tit's\n\\.\n\ncopy b (c) from stdin;\n\\.\n\\unrestrict x\nselect 1;";
        let refused = vec![
            (0, Refusal::MetaCommand),
            (12, Refusal::CopyFromStdin),
            (42, Refusal::CopyFromStdin),
            (68, Refusal::MetaCommand),
        ];
        assert_eq!(split(dump).unwrap_err().refused, refused);
    }

    #[test]
    fn a_file_may_switch_the_escapes_in_its_strings() {
        let off = "set standard_conforming_strings = off; select 'it\\'s;'; set standard_conforming_strings to on; select '\\';";
        assert_eq!(statements(off).len(), 4);
        assert_eq!(statements(off)[1], "select 'it\\'s;'");
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
