use crate::migrate::sql::{TokenKind, identifier, tokens};
use std::collections::BTreeSet;

pub(super) enum Piece {
    Word(String),
    Quoted(String),
    Symbol(char),
    /// What stands between the quotes, or a little more.
    Text(String),
}

/// The words of one statement, or of a function's body.
pub(super) struct Words {
    pieces: Vec<Piece>,
    /// Every word that might name something, those inside strings included.
    pub(super) mentioned: BTreeSet<String>,
    /// A name is written in a way that is not read here (`U&"…"`, `E'\x61'`).
    pub(super) is_unclear: bool,
}

impl Words {
    /// A text with an open end is cut into words without any order: bodies may be in another language.
    pub(super) fn of(text: &str) -> Self {
        let mut found = Self { pieces: Vec::new(), mentioned: BTreeSet::new(), is_unclear: false };
        let Ok(all) = tokens(text) else {
            found.mention_all(text);
            found.is_unclear = true;
            return found;
        };
        for token in all {
            let written = &text[token.range];
            let piece = match token.kind {
                TokenKind::Word => {
                    // The server folds ASCII alone where letters take several bytes, and by its locale where not.
                    found.mentioned.extend([written.to_ascii_lowercase(), written.to_lowercase()]);
                    Piece::Word(written.to_ascii_lowercase())
                }
                TokenKind::QuotedIdentifier => {
                    let name = identifier(written);
                    found.mentioned.insert(name.clone());
                    // `UESCAPE` may follow.
                    found.is_unclear |= !written.starts_with('"');
                    Piece::Quoted(name)
                }
                TokenKind::Text => {
                    found.is_unclear |= found.is_symbol_last('&');
                    let inner = found.unescaped(written);
                    found.mention_all(&inner);
                    Piece::Text(inner)
                }
                TokenKind::Symbol(symbol) => Piece::Symbol(symbol),
                TokenKind::Comment => continue,
            };
            found.pieces.push(piece);
        }
        found
    }

    /// `nextval('invoice_id_seq')`, and bodies of functions.
    fn mention_all(&mut self, text: &str) {
        for word in text.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$') {
            self.mentioned.extend([word.to_owned(), word.to_ascii_lowercase(), word.to_lowercase()]);
            // `$1` and `$tag$` stand beside a name, `a$b` is one.
            self.mentioned.extend(word.split('$').map(str::to_lowercase));
        }
        // Names that no word can be: `"B c"`, `"dash-ed"`.
        self.mentioned.extend(text.split('"').skip(1).step_by(2).map(str::to_owned));
    }

    /// The text of a string; `E'\n'` is a line break.
    fn unescaped(&mut self, written: &str) -> String {
        if !written.starts_with(['e', 'E']) {
            return written.to_owned();
        }
        let mut text = String::with_capacity(written.len());
        let mut letters = written.chars();
        while let Some(letter) = letters.next() {
            match (letter, letter == '\\') {
                (_, true) => match letters.next() {
                    Some('b' | 'f' | 'n' | 'r' | 't') => text.push('\n'),
                    Some(code) if code.is_ascii_digit() || matches!(code, 'x' | 'u' | 'U') => self.is_unclear = true,
                    Some(other) => text.push(other),
                    None => {}
                },
                (letter, false) => text.push(letter),
            }
        }
        text
    }

    fn is_symbol_last(&self, wanted: char) -> bool {
        matches!(self.pieces.last(), Some(Piece::Symbol(symbol)) if *symbol == wanted)
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn word(&self, at: usize) -> &str {
        match self.pieces.get(at) {
            Some(Piece::Word(word)) => word,
            _ => "",
        }
    }

    /// The part of a name that stands here, with quotes or without.
    pub(super) fn named(&self, at: usize) -> &str {
        match self.pieces.get(at) {
            Some(Piece::Word(name) | Piece::Quoted(name)) => name,
            _ => "",
        }
    }

    /// The key words and names without quotes, those inside strings left out.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        (0..self.pieces.len()).map(|at| self.word(at)).filter(|word| !word.is_empty())
    }

    pub(super) fn has(&self, wanted: &str) -> bool {
        self.all().any(|word| word == wanted)
    }

    pub(super) fn has_any(&self, wanted: &[&str]) -> bool {
        self.all().any(|word| wanted.contains(&word))
    }

    pub(super) fn places<'a>(&'a self, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
        (0..self.pieces.len()).filter(move |at| self.word(*at) == wanted)
    }

    pub(super) fn is_symbol(&self, at: usize, wanted: char) -> bool {
        matches!(self.pieces.get(at), Some(Piece::Symbol(symbol)) if *symbol == wanted)
    }

    pub(super) fn has_symbol(&self, wanted: char) -> bool {
        (0..self.pieces.len()).any(|at| self.is_symbol(at, wanted))
    }

    /// How often a name may stand here.
    pub(super) fn times(&self, name: &str) -> usize {
        let is_named = |piece: &&Piece| match piece {
            Piece::Word(word) => word == name || word.to_lowercase() == name,
            Piece::Quoted(quoted) => quoted == name,
            Piece::Text(text) => text.contains(name) || text.to_lowercase().contains(name),
            Piece::Symbol(_) => false,
        };
        self.pieces.iter().filter(is_named).count()
    }

    pub(super) fn text(&self, at: usize) -> Option<&str> {
        match self.pieces.get(at) {
            Some(Piece::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn behind(&self, from: usize, skipped: &[&str]) -> usize {
        (from..self.pieces.len()).find(|at| !skipped.contains(&self.word(*at))).unwrap_or(self.pieces.len())
    }

    /// The parts of the name that begins here, and what comes behind it.
    pub(super) fn path(&self, from: usize) -> Option<(Vec<String>, usize)> {
        let (mut at, mut parts) = (from, Vec::new());
        loop {
            let (Some(Piece::Word(name)) | Some(Piece::Quoted(name))) = self.pieces.get(at) else { return None };
            parts.push(name.clone());
            if !self.is_symbol(at + 1, '.') {
                return Some((parts, at + 1));
            }
            at += 2;
        }
    }

    /// The last part of the name that begins here, and what comes behind it.
    pub(super) fn name(&self, from: usize) -> Option<(String, usize)> {
        let (mut parts, end) = self.path(from)?;
        Some((parts.pop()?, end))
    }

    /// The table behind the first `ON` from here.
    pub(super) fn on_table(&self, from: usize) -> Option<String> {
        let on = (from..self.pieces.len()).find(|at| self.word(*at) == "on")?;
        self.name(self.behind(on + 1, &["only"])).map(|(name, _)| name)
    }

    /// A list of names; what stands in parentheses behind one (`f(int)`) is left out.
    pub(super) fn names(&self, from: usize, skipped: &[&str]) -> Option<Vec<String>> {
        let (mut at, mut found) = (self.behind(from, skipped), Vec::new());
        loop {
            let (name, mut end) = self.name(at)?;
            found.push(name);
            if self.is_symbol(end, '(') {
                end = (end..self.pieces.len()).find(|at| self.is_symbol(*at, ')'))? + 1;
            }
            if !self.is_symbol(end, ',') {
                return Some(found);
            }
            at = self.behind(end + 1, &["only"]);
        }
    }
}
