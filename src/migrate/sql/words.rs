use super::lexer::{TokenKind, tokens};

/// The tokens of one statement as they are written, without comments.
pub(crate) struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    /// A text that was split before has no open end; any other has no words.
    pub(crate) fn of(statement: &'a str) -> Self {
        let all = tokens(statement).unwrap_or_default();
        let matters = all.into_iter().filter(|token| token.kind != TokenKind::Comment);
        Self(matters.map(|token| &statement[token.range]).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is(&self, at: usize, wanted: &str) -> bool {
        self.0.get(at).is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    }

    /// The first place from here that holds none of these.
    pub(crate) fn behind(&self, from: usize, skipped: &[&str]) -> usize {
        (from..self.0.len()).find(|at| !skipped.iter().any(|word| self.is(*at, word))).unwrap_or(self.0.len())
    }

    /// The name that begins here, with its schema and quotes, and what comes behind it.
    pub(crate) fn name(&self, from: usize) -> Option<(String, usize)> {
        let mut at = from;
        let mut name = (*self.0.get(at)?).to_owned();
        while self.is(at + 1, ".") {
            name.push('.');
            name.push_str(self.0.get(at + 2)?);
            at += 2;
        }
        Some((name, at + 1))
    }

    /// A list of names.
    pub(crate) fn names(&self, from: usize, skipped: &[&str]) -> Vec<String> {
        let (mut at, mut found) = (self.behind(from, skipped), Vec::new());
        while let Some((name, end)) = self.name(at) {
            found.push(name);
            if !self.is(end, ",") {
                break;
            }
            at = self.behind(end + 1, &["only"]);
        }
        found
    }
}
