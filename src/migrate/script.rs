use super::Direction;
use super::cuts;
use super::draft::{Draft, Outline, text};
use super::places::Places;
use super::sql::{self, Reading, Refusal, Statement, StatementKind};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A place in a file, both counted from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Why a file cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    #[error("{}: the file is not UTF-8 (byte {offset})", file.display())]
    NotUtf8 { file: PathBuf, offset: usize },
    #[error("{}: byte {offset} is NUL, which no SQL can hold", file.display())]
    Nul { file: PathBuf, offset: usize },
    #[error("{location}: this {what} never ends")]
    Unterminated { location: Location, what: &'static str },
    #[error("{location}: {refusal}")]
    Refused {
        location: Location,
        refusal: Refusal,
        /// What else is refused in the file, with its line.
        others: Vec<(usize, Refusal)>,
    },
    /// The file is committed in several parts, and what this statement sets does not reach the last one.
    #[error("{location}: {what} holds until its transaction ends, and the statement in line {end} ends it")]
    CutOff { location: Location, what: &'static str, end: usize },
    #[error("{}: there is no `-- migrate:up` part", file.display())]
    NoUpPart { file: PathBuf },
    #[error("{location}: a second `-- migrate:{part}` part")]
    SecondPart { location: Location, part: &'static str },
    #[error("{location}: a statement stands before `-- migrate:up`")]
    BeforeFirstPart { location: Location },
    #[error("{location}: `{text}` is not a directive; there is `-- devdb: transaction=false`")]
    UnknownDirective { location: Location, text: String },
    #[error("{}: there is no statement in the {part} part", file.display())]
    Empty { file: PathBuf, part: &'static str },
}

/// Which part of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `NAME.up.sql` or `NAME.down.sql`: all of it.
    Whole,
    /// `NAME.sql`: what stands below `-- migrate:up` or `-- migrate:down`.
    Parts,
}

/// The SQL of one direction of one migration, split into statements.
#[derive(Debug, Clone)]
pub struct Script {
    file: PathBuf,
    text: String,
    /// This direction's part of the text.
    part: Range<usize>,
    statements: Vec<Statement>,
    transaction: bool,
    places: OnceLock<Places>,
}

impl Script {
    /// Reads one direction; `None` when a file with parts has no `-- migrate:down`.
    ///
    /// A byte order mark is dropped, and CRLF becomes LF: the same commit gives the same functions on every machine.
    ///
    /// # Errors
    /// [`ScriptError`], with the file and mostly the line.
    pub fn parse(
        file: &Path,
        bytes: impl Into<Vec<u8>>,
        layout: Layout,
        direction: Direction,
    ) -> Result<Option<Self>, ScriptError> {
        let text = text(file, bytes.into())?;
        let draft = Draft { file, text: &text };
        let mut outline = Outline::default();
        let mut trouble = None;
        let Reading { statements, refused, unterminated } = sql::read(&text, &mut |comment| {
            let found = draft.directive(comment, layout, &mut outline);
            found.unwrap_or_else(|error| {
                trouble.get_or_insert(error);
                false
            })
        });
        if let (Some(found), true) = (&unterminated, refused.is_empty()) {
            return Err(ScriptError::Unterminated { location: draft.location(found.offset), what: found.what });
        }
        trouble.map_or(Ok(()), Err)?;
        if let Some(early) = statements.iter().find(|statement| outline.is_before_parts(statement.range.start)) {
            return Err(ScriptError::BeforeFirstPart { location: draft.location(early.range.start) });
        }
        let part = match (layout, direction) {
            (Layout::Whole, _) => 0..text.len(),
            (Layout::Parts, Direction::Up) => {
                outline.up.clone().ok_or_else(|| ScriptError::NoUpPart { file: file.to_owned() })?
            }
            (Layout::Parts, Direction::Down) => match outline.down.clone() {
                Some(part) => part,
                None => return Ok(None),
            },
        };
        draft.refuse(refused.into_iter().filter(|(offset, _)| part.contains(offset)))?;
        let mut statements = statements;
        statements.retain(|statement| part.contains(&statement.range.start));
        if statements.is_empty() {
            return Err(ScriptError::Empty { file: file.to_owned(), part: direction.word() });
        }
        let applies = |offset: &usize| part.contains(offset) || outline.is_before_parts(*offset);
        let transaction = !outline.without_transaction.iter().any(applies);
        let places = OnceLock::new();
        let script = Self { file: file.to_owned(), part, statements, transaction, text, places };
        cuts::check(&script)?;
        Ok(Some(script))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// False when `-- devdb: transaction=false` opts out.
    pub fn is_transactional(&self) -> bool {
        self.transaction
    }

    /// The text from one statement to another, comments between them included, without the last semicolon.
    pub fn sql(&self, statements: &Range<usize>) -> &str {
        let first = self.statements.get(statements.start);
        let last = statements.end.checked_sub(1).and_then(|last| self.statements.get(last));
        match (first, last) {
            (Some(first), Some(last)) => self.text.get(first.range.start..last.range.end).unwrap_or_default(),
            _ => "",
        }
    }

    /// Each of these statements.
    pub fn each(&self, statements: Range<usize>) -> impl Iterator<Item = &str> {
        self.statements[statements].iter().map(|statement| &self.text[statement.range.clone()])
    }

    /// This direction's whole text, comments included.
    pub fn text(&self) -> &str {
        &self.text[self.part.clone()]
    }

    /// Where a byte of [`Self::text`] stands.
    pub fn location_in_text(&self, offset: usize) -> Location {
        self.place(self.part.start + offset)
    }

    /// Where a statement stands in [`Self::text`], in bytes.
    pub fn range_in_text(&self, statement: usize) -> Range<usize> {
        let range = &self.statements[statement].range;
        range.start - self.part.start..range.end - self.part.start
    }

    /// All statements as a text of its own that can be read back whole: with the directive that stood in the file.
    pub fn standalone(&self) -> String {
        let directive = if self.transaction { "" } else { "-- devdb: transaction=false\n" };
        format!("{directive}{}", self.sql(&(0..self.statements.len())))
    }

    /// Where a statement begins.
    pub fn location(&self, statement: usize) -> Location {
        self.place(self.statements.get(statement).map_or(0, |statement| statement.range.start))
    }

    /// Where the server's error position points to.
    ///
    /// `position` counts characters from 1, from the beginning of the statement
    /// (PostgreSQL documentation, 55.8 "Error and Notice Message Fields", field `P`).
    pub fn locate(&self, statement: usize, position: usize) -> Location {
        let start = self.statements.get(statement).map_or(0, |statement| statement.range.start);
        let into = self.text[start..].char_indices().nth(position.saturating_sub(1));
        self.place(into.map_or(self.text.len(), |(into, _)| start + into))
    }

    fn place(&self, offset: usize) -> Location {
        let places = self.places.get_or_init(|| Places::of(&self.text));
        let (line, column) = places.find(&self.text, offset);
        Location { file: self.file.clone(), line, column }
    }

    /// A statement's text, shortened for a message.
    pub fn excerpt(&self, statement: usize) -> String {
        const LINES: usize = 6;
        const WIDTH: usize = 160;
        let mut lines = self.sql(&(statement..statement + 1)).lines();
        let mut shown: Vec<String> = lines
            .by_ref()
            .take(LINES)
            .map(|line| match line.char_indices().nth(WIDTH) {
                Some((end, _)) => format!("{}…", &line[..end]),
                None => line.to_owned(),
            })
            .collect();
        if lines.next().is_some() {
            shown.push("…".to_owned());
        }
        shown.join("\n")
    }

    /// True when it must be the only one of its transaction.
    pub fn is_alone(&self, statement: usize) -> bool {
        !self.transaction || matches!(self.statements[statement].kind, StatementKind::Alone { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, layout: Layout, direction: Direction) -> Result<Option<Script>, ScriptError> {
        Script::parse(Path::new("m/a.sql"), text, layout, direction)
    }

    fn up(text: &str) -> Script {
        parse(text, Layout::Whole, Direction::Up).unwrap().unwrap()
    }

    #[test]
    fn parts_are_told_apart() {
        let text = "-- about\n-- migrate:up\ncreate table a ();\n-- migrate:down\ndrop table a;\n";
        let both = [Direction::Up, Direction::Down].map(|direction| parse(text, Layout::Parts, direction));
        let both = both.map(|script| script.unwrap().unwrap());
        assert_eq!(both[0].sql(&(0..1)), "create table a ()");
        assert_eq!(both[1].sql(&(0..1)), "drop table a");
        assert_eq!(both[1].location(0).to_string(), "m/a.sql:5:1");
        assert!(parse("-- migrate:up\nselect 1", Layout::Parts, Direction::Down).unwrap().is_none());
    }

    #[test]
    fn a_heading_inside_a_string_is_no_heading() {
        let text = "-- migrate:up\nselect $$\n-- migrate:down\n$$;";
        assert!(parse(text, Layout::Parts, Direction::Down).unwrap().is_none());
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_accepted() {
        let script = up("\u{feff}select 1;\r\n  select\r\n2;\r\n");
        assert_eq!(script.sql(&(1..2)), "select\n2");
        assert_eq!(script.location(1).to_string(), "m/a.sql:2:3");
    }

    #[test]
    fn a_directive_opts_out_of_the_transaction() {
        assert!(!up("-- devdb: transaction=false\nselect 1").is_transactional());
        assert!(up("select '\n-- devdb: transaction=false\n'").is_transactional());
        let parts = "-- migrate:up transaction:false\nselect 1;\n-- migrate:down\nselect 2";
        assert!(!parse(parts, Layout::Parts, Direction::Up).unwrap().unwrap().is_transactional());
        assert!(parse(parts, Layout::Parts, Direction::Down).unwrap().unwrap().is_transactional());
    }

    #[test]
    fn a_bad_file_is_named_with_its_line() {
        let said = |text: &str, layout| parse(text, layout, Direction::Up).unwrap_err().to_string();
        assert_eq!(
            said("select 1;\n begin;", Layout::Whole),
            "m/a.sql:2:2: this ends or begins a transaction, which is devdb's part"
        );
        assert_eq!(said("select 1;\nselect 'x", Layout::Whole), "m/a.sql:2:8: this string never ends");
        assert_eq!(said("-- nothing\n", Layout::Whole), "m/a.sql: there is no statement in the up part");
        assert_eq!(said("select 1", Layout::Parts), "m/a.sql: there is no `-- migrate:up` part");
        assert_eq!(
            said("select 1;\n-- migrate:up\nselect 2", Layout::Parts),
            "m/a.sql:1:1: a statement stands before `-- migrate:up`"
        );
        assert_eq!(
            said("-- migrate:up\nselect 1;\n-- migrate:up\n", Layout::Parts),
            "m/a.sql:3:1: a second `-- migrate:up` part"
        );
        assert!(
            said("-- devdb: transactoin=false\nselect 1", Layout::Whole).contains("m/a.sql:1:1: `transactoin=false`")
        );
        let error = Script::parse(Path::new("a"), &b"select '\xff'"[..], Layout::Whole, Direction::Up).unwrap_err();
        assert_eq!(error.to_string(), "a: the file is not UTF-8 (byte 8)");
        assert_eq!(said("select 1;\0", Layout::Whole), "m/a.sql: byte 9 is NUL, which no SQL can hold");
    }

    #[test]
    fn the_servers_position_becomes_line_and_column() {
        let script = up("select 'ä';\nselect\n  nope;");
        assert_eq!(script.locate(1, 10).to_string(), "m/a.sql:3:3");
        assert_eq!(script.excerpt(1), "select\n  nope");
    }

    #[test]
    fn a_directive_stands_behind_any_line_end() {
        assert!(!up("-- why\r-- devdb: transaction=false\rselect 1").is_transactional());
    }
}
