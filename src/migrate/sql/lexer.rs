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
    let mut lexer = Lexer { text, at: 0 };
    let mut found = Vec::new();
    while let Some(token) = lexer.next()? {
        found.push(token);
    }
    Ok(found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Result<Option<Token>, Unterminated> {
        self.at += self.rest().len() - self.rest().trim_start().len();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let second = self.rest()[first.len_utf8()..].chars().next();
        let kind = match (first, second) {
            ('-', Some('-')) => {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                TokenKind::Comment
            }
            ('/', Some('*')) => self.block_comment()?,
            ('\'', _) => self.quoted('\'', false, "string")?,
            ('E' | 'e', Some('\'')) => {
                self.at += 1;
                self.quoted('\'', true, "string")?
            }
            ('"', _) => {
                self.quoted('"', false, "quoted identifier")?;
                TokenKind::QuotedIdentifier
            }
            ('$', _) if self.dollar_tag().is_some() => self.dollar_quoted()?,
            _ if begins_word(first) => {
                let end = self.rest().find(|letter| !continues_word(letter)).unwrap_or(self.rest().len());
                self.at += end;
                TokenKind::Word
            }
            _ => {
                self.at += first.len_utf8();
                TokenKind::Symbol(first)
            }
        };
        Ok(Some(Token { kind, range: start..self.at }))
    }

    /// Block comments nest, unlike C's.
    fn block_comment(&mut self) -> Result<TokenKind, Unterminated> {
        let unterminated = Unterminated { offset: self.at, what: "comment" };
        let mut depth = 0_usize;
        loop {
            let Some(next) = self.rest().find(['/', '*']) else { return Err(unterminated) };
            self.at += next;
            if self.rest().starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(TokenKind::Comment);
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// A doubled quote stands for itself: closing and opening again comes to the same end.
    fn quoted(&mut self, quote: char, escapes: bool, what: &'static str) -> Result<TokenKind, Unterminated> {
        let unterminated = Unterminated { offset: self.at, what };
        self.at += 1;
        loop {
            let Some(next) = self.rest().find([quote, '\\']) else { return Err(unterminated) };
            self.at += next + 1;
            let is_backslash = self.text.as_bytes()[self.at - 1] == b'\\';
            if is_backslash && escapes {
                let Some(escaped) = self.rest().chars().next() else { return Err(unterminated) };
                self.at += escaped.len_utf8();
            } else if !is_backslash {
                if !self.rest().starts_with(quote) {
                    return Ok(TokenKind::Text);
                }
                self.at += 1;
            }
        }
    }

    /// The whole `$tag$` that stands here, if one does. `$1` is a parameter, not a tag.
    fn dollar_tag(&self) -> Option<&str> {
        let body = &self.rest()[1..];
        let end = body.find('$')?;
        let tag = &body[..end];
        let is_tag = tag.is_empty() || (tag.starts_with(begins_word) && tag.chars().all(continues_word));
        is_tag.then(|| &self.rest()[..end + 2])
    }

    fn dollar_quoted(&mut self) -> Result<TokenKind, Unterminated> {
        let tag = self.dollar_tag().unwrap_or("$$").to_owned();
        let unterminated = Unterminated { offset: self.at, what: "dollar-quoted string" };
        self.at += tag.len();
        let Some(end) = self.rest().find(&tag) else { return Err(unterminated) };
        self.at += end + tag.len();
        Ok(TokenKind::Text)
    }
}

/// The scanner counts every byte from 0x80 as a letter (`src/backend/parser/scan.l`, `ident_start`).
fn begins_word(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii()
}

fn continues_word(letter: char) -> bool {
    begins_word(letter) || letter.is_ascii_digit() || letter == '$'
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

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_tokens_never_overlap(text in any::<String>()) {
            if let Ok(found) = tokens(&text) {
                let mut at = 0;
                for token in found {
                    prop_assert!(token.range.start >= at && token.range.end > token.range.start);
                    prop_assert!(text[at..token.range.start].trim().is_empty());
                    at = token.range.end;
                }
                prop_assert!(text[at..].trim().is_empty());
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
