//! A file's text before it is a script: its encoding, its directives and the headings of its parts.

use super::places::Places;
use super::script::{Layout, Location, ScriptError};
use super::sql::{Refusal, is_line_end};
use std::ops::Range;
use std::path::Path;

/// The file's text as it is read.
pub(super) fn text(file: &Path, bytes: Vec<u8>) -> Result<String, ScriptError> {
    let file = || file.to_owned();
    let mut text = String::from_utf8(bytes)
        .map_err(|error| ScriptError::NotUtf8 { file: file(), offset: error.utf8_error().valid_up_to() })?;
    if let Some(offset) = text.find('\0') {
        return Err(ScriptError::Nul { file: file(), offset });
    }
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    // Most files have none, and a large one is not copied.
    Ok(if text.contains("\r\n") { text.replace("\r\n", "\n") } else { text })
}

#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) up: Option<Range<usize>>,
    pub(super) down: Option<Range<usize>>,
    /// Offsets of `-- devdb: transaction=false` (and dbmate's `transaction:false`).
    pub(super) without_transaction: Vec<usize>,
}

impl Outline {
    pub(super) fn is_before_parts(&self, offset: usize) -> bool {
        let first = [&self.up, &self.down].into_iter().flatten().map(|part| part.start).min();
        first.is_some_and(|first| offset < first)
    }
}

pub(super) struct Draft<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Draft<'_> {
    /// Counts from the beginning of the text; for the one place that an error names.
    pub(super) fn location(&self, offset: usize) -> Location {
        let (line, column) = Places::of(self.text).find(self.text, offset);
        Location { file: self.file.to_owned(), line, column }
    }

    /// # Errors
    /// [`ScriptError::Refused`] for the first, with all others.
    pub(super) fn refuse(&self, mut refused: impl Iterator<Item = (usize, Refusal)>) -> Result<(), ScriptError> {
        let Some((offset, refusal)) = refused.next() else { return Ok(()) };
        let places = Places::of(self.text);
        let others = refused.map(|(offset, refusal)| (places.find(self.text, offset).0, refusal)).collect();
        Err(ScriptError::Refused { location: self.location(offset), refusal, others })
    }

    /// Takes a comment's directive, or the heading of a part, from a line comment that begins its line, so that no
    /// string or body can fake one. True where a part begins.
    pub(super) fn directive(
        &self,
        comment: Range<usize>,
        layout: Layout,
        outline: &mut Outline,
    ) -> Result<bool, ScriptError> {
        let before = self.text.as_bytes()[..comment.start].iter().rev();
        let begins_line = before.take_while(|byte| !is_line_end(**byte)).all(u8::is_ascii_whitespace);
        let text = self.text[comment.clone()].strip_prefix("--").filter(|_| begins_line).map(str::trim);
        let Some(text) = text else { return Ok(false) };
        if let Some(directive) = text.strip_prefix("devdb:") {
            match directive.trim() {
                "transaction=false" => outline.without_transaction.push(comment.start),
                "transaction=true" => {}
                other => {
                    let location = self.location(comment.start);
                    return Err(ScriptError::UnknownDirective { location, text: other.to_owned() });
                }
            }
        } else if let Some(part) = text.strip_prefix("migrate:").filter(|_| layout == Layout::Parts) {
            self.begin_part(part, comment.start, outline)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn begin_part(&self, heading: &str, offset: usize, outline: &mut Outline) -> Result<(), ScriptError> {
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
        if let Some(other) = other {
            other.end = offset;
        }
        // dbmate's spelling of the same wish.
        if words.any(|word| word == "transaction:false") {
            outline.without_transaction.push(offset);
        }
        Ok(())
    }
}
