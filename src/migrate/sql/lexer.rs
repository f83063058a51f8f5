use std::ops::Range;

/// What a stretch of text is (PostgreSQL documentation, 4.1 "Lexical Structure").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A key word or an identifier without quotes.
    Word,
    QuotedIdentifier,
    /// Any string constant: `'…'`, `E'…'`, `$tag$…$tag$`.
    Text,
    Comment,
    /// Any other single character.
    Symbol(char),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub range: Range<usize>,
}

/// Something that begins and never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unterminated {
    /// Where it begins.
    pub offset: usize,
    pub what: &'static str,
}

/// Splits a text into tokens; white space is left out, comments are kept.
///
/// # Errors
/// [`Unterminated`] for an open string, comment or quoted identifier. Nothing else can fail: what is not known is a
/// symbol, and the server judges it.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Unterminated> {
    Lexer::new(text).collect()
}

/// Reads one token after the other, so that a file of any size needs no memory beside its own text.
///
/// The rules are those of the server's scanner (`src/backend/parser/scan.l`).
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// `standard_conforming_strings` is off: a backslash escapes in `'…'` too.
    escapes: bool,
}

impl Iterator for Lexer<'_> {
    type Item = Result<Token, Unterminated>;

    fn next(&mut self) -> Option<Self::Item> {
        self.token().transpose()
    }
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, escapes: false }
    }

    /// From here on, a backslash escapes in plain strings, or does not.
    pub(crate) fn set_escapes(&mut self, escapes: bool) {
        self.escapes = escapes;
    }

    /// Goes on at this byte, the first of a letter.
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.at = at;
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn seek(&self, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.iter().position(|byte| wanted(*byte)).map(|ahead| self.at + ahead)
    }

    fn token(&mut self) -> Result<Option<Token>, Unterminated> {
        self.at = self.seek(|byte| !is_space(byte)).unwrap_or(self.text.len());
        let start = self.at;
        let Some(first) = self.byte(0) else { return Ok(None) };
        let kind = match (first, self.byte(1)) {
            (b'-', Some(b'-')) => {
                self.at = self.seek(is_line_end).unwrap_or(self.text.len());
                TokenKind::Comment
            }
            (b'/', Some(b'*')) => self.block_comment()?,
            (b'\'', _) => self.string(self.escapes)?,
            (b'E' | b'e', Some(b'\'')) => {
                self.at += 1;
                self.string(true)?
            }
            (b'"', _) => self.quoted_identifier()?,
            (b'U' | b'u', Some(b'&')) if self.byte(2) == Some(b'"') => {
                self.at += 2;
                self.quoted_identifier()?
            }
            (b'$', _) if self.dollar_tag().is_some() => self.dollar_quoted()?,
            _ if begins_word(first) => {
                self.at = self.seek(|byte| !continues_word(byte)).unwrap_or(self.text.len());
                TokenKind::Word
            }
            _ => {
                self.at += 1;
                TokenKind::Symbol(char::from(first))
            }
        };
        Ok(Some(Token { kind, range: start..self.at }))
    }

    /// Block comments nest, unlike C's.
    fn block_comment(&mut self) -> Result<TokenKind, Unterminated> {
        let unterminated = Unterminated { offset: self.at, what: "comment" };
        let mut depth = 0_usize;
        loop {
            self.at = self.seek(|byte| matches!(byte, b'/' | b'*')).ok_or(unterminated)?;
            match (self.byte(0), self.byte(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(TokenKind::Comment);
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    /// A string goes on behind a line end: `'a'` and `'b'` on the next line are one, with the escapes of the first part.
    fn string(&mut self, escapes: bool) -> Result<TokenKind, Unterminated> {
        self.quoted(b'\'', escapes, "string")?;
        while let Some(next) = self.continuation() {
            self.at = next;
            self.quoted(b'\'', escapes, "string")?;
        }
        Ok(TokenKind::Text)
    }

    /// The quote that continues a string that ended here (`quotecontinue` in `scan.l`).
    fn continuation(&self) -> Option<usize> {
        let mut ahead = 0;
        let mut is_new_line = false;
        loop {
            match self.byte(ahead)? {
                byte if is_line_end(byte) => is_new_line = true,
                byte if is_space(byte) => {}
                b'-' if self.byte(ahead + 1) == Some(b'-') => {
                    while !is_line_end(self.byte(ahead + 1)?) {
                        ahead += 1;
                    }
                }
                b'\'' if is_new_line => return Some(self.at + ahead),
                _ => return None,
            }
            ahead += 1;
        }
    }

    fn quoted_identifier(&mut self) -> Result<TokenKind, Unterminated> {
        self.quoted(b'"', false, "quoted identifier")?;
        Ok(TokenKind::QuotedIdentifier)
    }

    /// A doubled quote stands for itself: closing and opening again comes to the same end.
    fn quoted(&mut self, quote: u8, escapes: bool, what: &'static str) -> Result<(), Unterminated> {
        let unterminated = Unterminated { offset: self.at, what };
        self.at += 1;
        loop {
            self.at = self.seek(|byte| byte == quote || (escapes && byte == b'\\')).ok_or(unterminated)?;
            match (self.byte(0), self.byte(1)) {
                (Some(b'\\'), next) if escapes => {
                    next.ok_or(unterminated)?;
                    self.at += 1 + self.text[self.at + 1..].chars().next().map_or(1, char::len_utf8);
                }
                (_, Some(next)) if next == quote => self.at += 2,
                _ => {
                    self.at += 1;
                    return Ok(());
                }
            }
        }
    }

    /// The whole `$tag$` that stands here, if one does. `$1` is a parameter, not a tag.
    fn dollar_tag(&self) -> Option<&'a str> {
        let body = &self.text.as_bytes()[self.at + 1..];
        let end = body.iter().position(|byte| *byte == b'$' || !continues_word(*byte))?;
        let is_tag = body[end] == b'$' && !body[0].is_ascii_digit();
        is_tag.then(|| &self.text[self.at..self.at + end + 2])
    }

    fn dollar_quoted(&mut self) -> Result<TokenKind, Unterminated> {
        let tag = self.dollar_tag().unwrap_or("$$");
        let unterminated = Unterminated { offset: self.at, what: "dollar-quoted string" };
        self.at += tag.len();
        let end = self.text[self.at..].find(tag).ok_or(unterminated)?;
        self.at += end + tag.len();
        Ok(TokenKind::Text)
    }
}

/// Spaces that are not ASCII are letters to the server.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// A carriage return alone ends a line too, and with it a comment.
pub(crate) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// A name as the catalog has it: without its quotes, or folded and shortened as the server does it in a UTF-8 database,
/// where only ASCII letters are folded (PostgreSQL documentation, 4.1.1 "Identifiers and Key Words";
/// `src/backend/parser/scansup.c`).
pub(crate) fn identifier(written: &str) -> String {
    /// `NAMEDATALEN` - 1.
    const LENGTH: usize = 63;
    let quoted = written.find('"').filter(|at| matches!(at, 0 | 2)).map(|at| &written[at + 1..written.len() - 1]);
    let mut name = quoted.map_or_else(|| written.to_ascii_lowercase(), |inner| inner.replace("\"\"", "\""));
    if written.starts_with(['u', 'U']) && quoted.is_some() {
        name = unescaped(&name);
    }
    name.truncate(name.floor_char_boundary(LENGTH));
    name
}

/// The letters that `U&"…"` writes as `\0041` or `\+000041`; `UESCAPE` is not looked at.
fn unescaped(name: &str) -> String {
    let mut parts = name.split('\\');
    let mut found = parts.next().unwrap_or_default().to_owned();
    while let Some(part) = parts.next() {
        let (from, to) = if part.starts_with('+') { (1, 7) } else { (0, 4) };
        let letter =
            part.get(from..to).and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        match letter {
            Some(letter) => found.push(letter),
            // A doubled backslash stands for itself.
            None => found.push('\\'),
        }
        let rest = letter.map_or(part, |_| &part[to..]);
        let rest = if part.is_empty() { parts.next().unwrap_or_default() } else { rest };
        found.push_str(rest);
    }
    found
}

/// The scanner counts every byte from 0x80 as a letter (`src/backend/parser/scan.l`, `ident_start`).
fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn continues_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).unwrap().into_iter().map(|token| &sql[token.range]).collect()
    }

    #[test]
    fn strings_comments_and_dollar_quotes_are_one_token_each() {
        assert_eq!(texts("select 'it''s;'"), ["select", "'it''s;'"]);
        assert_eq!(texts(r"E'a\';b' x"), [r"E'a\';b'", "x"]);
        assert_eq!(texts(r"'a\' x"), [r"'a\'", "x"]);
        assert_eq!(texts("/* a /* b; */ c */ x"), ["/* a /* b; */ c */", "x"]);
        assert_eq!(texts("$f$ $$;$$ $f$ x"), ["$f$ $$;$$ $f$", "x"]);
        assert_eq!(texts("$1 a$b$ c"), ["$", "1", "a$b$", "c"]);
        assert_eq!(texts("\"a\"\";b\" -- x;\ny"), ["\"a\"\";b\"", "-- x;", "y"]);
    }

    #[test]
    fn what_never_ends_is_named_with_its_beginning() {
        assert_eq!(tokens("a 'b").unwrap_err(), Unterminated { offset: 2, what: "string" });
        assert_eq!(tokens("/* /* */").unwrap_err(), Unterminated { offset: 0, what: "comment" });
        assert_eq!(tokens("x $a$ $$").unwrap_err(), Unterminated { offset: 2, what: "dollar-quoted string" });
        assert_eq!(tokens(r"E'\").unwrap_err().what, "string");
    }

    #[test]
    fn lines_end_where_the_server_ends_them() {
        assert_eq!(texts("a -- b\rc"), ["a", "-- b", "c"]);
        assert_eq!(texts("a\u{a0}b \u{2003} c"), ["a\u{a0}b", "\u{2003}", "c"]);
        assert_eq!(texts("'a'\n'b''' 'c'"), ["'a'\n'b'''", "'c'"]);
        assert_eq!(texts("E'a' -- x\n\r '\\';' x"), ["E'a' -- x\n\r '\\';'", "x"]);
        assert_eq!(texts("'a' -- x"), ["'a'", "-- x"]);
        assert_eq!(texts("'a' /* x */\n'b'"), ["'a'", "/* x */", "'b'"]);
    }

    #[test]
    fn escapes_in_plain_strings_are_a_setting() {
        let mut lexer = Lexer::new(r"'a\' 'it\'s' c");
        assert_eq!(lexer.next().unwrap().unwrap().range, 0..4);
        lexer.set_escapes(true);
        let rest: Vec<_> = lexer.map(|token| token.unwrap().range).collect();
        assert_eq!(rest, [5..12, 13..14]);
    }

    #[test]
    fn a_name_is_folded_as_the_server_folds_it() {
        for (written, wanted) in [
            ("Übersicht_Idx", "Übersicht_idx"),
            ("\"Ab\"\"c\"", "Ab\"c"),
            ("U&\"Ab\\0041\\+000062\\\\\"", "AbAb\\"),
            ("İ", "İ"),
            ("ab$1", "ab$1"),
        ] {
            assert_eq!(identifier(written), wanted, "{written}");
        }
        assert_eq!(identifier(&"ü".repeat(40)), "ü".repeat(31));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_tokens_never_overlap(text in any::<String>()) {
            if let Ok(found) = tokens(&text) {
                let mut at = 0;
                for token in found {
                    prop_assert!(token.range.start >= at && token.range.end > token.range.start);
                    prop_assert!(text[at..token.range.start].bytes().all(is_space));
                    at = token.range.end;
                }
                prop_assert!(text[at..].bytes().all(is_space));
            }
        }

        #[test]
        fn any_text_survives_in_every_sort_of_quote(text in "[^\0$\\\\]*") {
            for quoted in [
                format!("'{}'", text.replace('\'', "''")),
                format!("E'{}'", text.replace('\'', r"\'")),
                format!("$q${text}$q$"),
                format!("\"{}\"", text.replace('"', "\"\"")),
            ] {
                let sql = format!("a {quoted} b");
                prop_assert_eq!(texts(&sql), vec!["a", quoted.as_str(), "b"]);
            }
        }
    }
}
