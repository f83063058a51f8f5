use super::Direction;
use super::sql::{self, SplitError, Statement, TokenKind};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

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
    #[error("{location}: {error}")]
    Sql { location: Location, error: SplitError },
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
}

impl Script {
    /// Reads one direction; `None` when a file with parts has no `-- migrate:down`.
    ///
    /// A byte order mark is dropped, and CRLF becomes LF: the same commit gives the same functions on every machine.
    ///
    /// # Errors
    /// [`ScriptError`], with the file and mostly the line.
    pub fn parse(file: &Path, bytes: &[u8], layout: Layout, direction: Direction) -> Result<Option<Self>, ScriptError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ScriptError::NotUtf8 { file: file.to_owned(), offset: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
        let draft = Draft { file, text: &text };
        let outline = draft.outline(layout)?;
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
        let mut statements = sql::split(&text[part.clone()]).map_err(|error| draft.sql(part.start, error))?;
        for statement in &mut statements {
            statement.range = statement.range.start + part.start..statement.range.end + part.start;
        }
        if statements.is_empty() {
            return Err(ScriptError::Empty { file: file.to_owned(), part: direction.word() });
        }
        let applies = |offset: &usize| part.contains(offset) || outline.is_before_parts(*offset);
        let transaction = !outline.without_transaction.iter().any(applies);
        Ok(Some(Self { file: file.to_owned(), part, statements, transaction, text }))
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

    /// This direction's whole text, comments included.
    pub fn text(&self) -> &str {
        &self.text[self.part.clone()]
    }

    /// Where a byte of [`Self::text`] stands.
    pub fn location_in_text(&self, offset: usize) -> Location {
        let mut offset = (self.part.start + offset).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        Draft { file: &self.file, text: &self.text }.location(offset)
    }

    /// All statements as a text of its own that can be read back whole: with the directive that stood in the file.
    pub fn standalone(&self) -> String {
        let directive = if self.transaction { "" } else { "-- devdb: transaction=false\n" };
        format!("{directive}{}", self.sql(&(0..self.statements.len())))
    }

    /// Where a statement begins.
    pub fn location(&self, statement: usize) -> Location {
        let offset = self.statements.get(statement).map_or(0, |statement| statement.range.start);
        Draft { file: &self.file, text: &self.text }.location(offset)
    }

    /// Where the server's error position points to, and which statement that is.
    ///
    /// `position` counts characters from 1, from the beginning of the given statements
    /// (PostgreSQL documentation, 55.8 "Error and Notice Message Fields", field `P`).
    pub fn locate(&self, statements: &Range<usize>, position: usize) -> (Location, usize) {
        let start = self.statements.get(statements.start).map_or(0, |statement| statement.range.start);
        let into = self.text[start..].char_indices().nth(position.saturating_sub(1));
        let offset = into.map_or(self.text.len(), |(into, _)| start + into);
        let within = statements.clone().rfind(|index| self.statements[*index].range.start <= offset);
        let location = Draft { file: &self.file, text: &self.text }.location(offset);
        (location, within.unwrap_or(statements.start))
    }

    /// A statement's text, shortened for a message.
    pub fn excerpt(&self, statement: usize) -> String {
        const LINES: usize = 6;
        const WIDTH: usize = 160;
        let text = self.sql(&(statement..statement + 1));
        let mut lines: Vec<String> = text
            .lines()
            .take(LINES)
            .map(|line| match line.char_indices().nth(WIDTH) {
                Some((end, _)) => format!("{}…", &line[..end]),
                None => line.to_owned(),
            })
            .collect();
        if text.lines().count() > LINES {
            lines.push("…".to_owned());
        }
        lines.join("\n")
    }
}

#[derive(Debug, Default)]
struct Outline {
    up: Option<Range<usize>>,
    down: Option<Range<usize>>,
    /// Offsets of `-- devdb: transaction=false` (and dbmate's `transaction:false`).
    without_transaction: Vec<usize>,
}

impl Outline {
    fn is_before_parts(&self, offset: usize) -> bool {
        let first = [&self.up, &self.down].into_iter().flatten().map(|part| part.start).min();
        first.is_some_and(|first| offset < first)
    }
}

struct Draft<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Draft<'_> {
    fn location(&self, offset: usize) -> Location {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Location {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn sql(&self, base: usize, error: SplitError) -> ScriptError {
        ScriptError::Sql { location: self.location(base + error.offset()), error }
    }

    /// Finds the parts and directives: line comments that begin their line, so that no string or body can fake one.
    fn outline(&self, layout: Layout) -> Result<Outline, ScriptError> {
        let tokens = sql::tokens(self.text).map_err(|error| self.sql(0, error.into()))?;
        let mut outline = Outline::default();
        let mut first_statement = None;
        for token in tokens {
            let text = &self.text[token.range.clone()];
            let begins_line =
                self.text[..token.range.start].rsplit('\n').next().is_some_and(|rest| rest.trim().is_empty());
            let comment = text.strip_prefix("--").filter(|_| token.kind == TokenKind::Comment && begins_line);
            let Some(comment) = comment.map(str::trim) else {
                if token.kind != TokenKind::Comment {
                    first_statement.get_or_insert(token.range.start);
                }
                continue;
            };
            if let Some(directive) = comment.strip_prefix("devdb:") {
                match directive.trim() {
                    "transaction=false" => outline.without_transaction.push(token.range.start),
                    "transaction=true" => {}
                    other => {
                        let location = self.location(token.range.start);
                        return Err(ScriptError::UnknownDirective { location, text: other.to_owned() });
                    }
                }
            } else if let Some(part) = comment.strip_prefix("migrate:").filter(|_| layout == Layout::Parts) {
                self.begin_part(part, token.range.start, &mut outline, first_statement)?;
            }
        }
        Ok(outline)
    }

    fn begin_part(
        &self,
        heading: &str,
        offset: usize,
        outline: &mut Outline,
        first_statement: Option<usize>,
    ) -> Result<(), ScriptError> {
        let mut words = heading.split_whitespace();
        let (name, mine, other) = match words.next() {
            Some("up") => ("up", &mut outline.up, &mut outline.down),
            Some("down") => ("down", &mut outline.down, &mut outline.up),
            _ => {
                let location = self.location(offset);
                return Err(ScriptError::UnknownDirective { location, text: format!("migrate:{heading}") });
            }
        };
        if mine.is_some() {
            return Err(ScriptError::SecondPart { location: self.location(offset), part: name });
        }
        *mine = Some(offset..self.text.len());
        match other {
            Some(other) => other.end = offset,
            None => {
                if let Some(statement) = first_statement {
                    return Err(ScriptError::BeforeFirstPart { location: self.location(statement) });
                }
            }
        }
        // dbmate's spelling of the same wish.
        if words.any(|word| word == "transaction:false") {
            outline.without_transaction.push(offset);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, layout: Layout, direction: Direction) -> Result<Option<Script>, ScriptError> {
        Script::parse(Path::new("m/a.sql"), text.as_bytes(), layout, direction)
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
        let error = Script::parse(Path::new("a"), b"select '\xff'", Layout::Whole, Direction::Up).unwrap_err();
        assert_eq!(error.to_string(), "a: the file is not UTF-8 (byte 8)");
    }

    #[test]
    fn the_servers_position_becomes_line_and_column() {
        let script = up("select 'ä';\nselect\n  nope;");
        let (location, statement) = script.locate(&(0..2), 22);
        assert_eq!((location.to_string().as_str(), statement), ("m/a.sql:3:3", 1));
        assert_eq!(script.excerpt(1), "select\n  nope");
    }
}
