//! Lines and columns of places in a text.

use super::sql::is_line_end;

/// How many bytes are counted anew for each place that is looked up.
const STRIDE: usize = 4096;

/// Where lines begin, and how many characters stand before every few thousand bytes: a file may be one line of 50 MB.
#[derive(Debug, Clone)]
pub(super) struct Places {
    lines: Vec<usize>,
    characters: Vec<usize>,
}

impl Places {
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| {
            // A carriage return in front of a newline is part of the same end.
            is_line_end(**byte) && !(**byte == b'\r' && bytes.get(at + 1) == Some(&b'\n'))
        });
        let lines = [0].into_iter().chain(ends.map(|(at, _)| at + 1)).collect();
        let characters = bytes.chunks(STRIDE).scan(0, |counted, chunk| {
            let before = *counted;
            *counted += begun(chunk);
            Some(before)
        });
        Self { lines, characters: characters.collect() }
    }

    /// Line and column of a byte, both counted from 1; columns count characters.
    pub(super) fn find(&self, text: &str, offset: usize) -> (usize, usize) {
        let offset = text.floor_char_boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).map_or(0, |line| self.lines[line]);
        (line, self.before(text, offset) - self.before(text, start) + 1)
    }

    /// The characters before a byte.
    fn before(&self, text: &str, offset: usize) -> usize {
        let (chunk, known) = (offset / STRIDE, self.characters.get(offset / STRIDE).copied());
        let from = chunk * STRIDE;
        match known {
            Some(known) => known + begun(&text.as_bytes()[from..offset]),
            None => text.chars().count(),
        }
    }
}

/// The characters that begin in these bytes: all but UTF-8's continuation bytes.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_end_at_any_line_end() {
        let text = "a\nä\r\nb\rc";
        let places = Places::of(text);
        let found: Vec<_> = text.char_indices().map(|(at, _)| places.find(text, at)).collect();
        assert_eq!(found, [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1)]);
    }

    proptest! {
        #[test]
        fn a_place_is_what_counting_says(text in "([aä\u{1f600}]{0,3000}\n?){0,4}", at in any::<prop::sample::Index>()) {
            let offset = text.floor_char_boundary(at.index(text.len() + 1));
            let before = &text[..offset];
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let wanted = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
            prop_assert_eq!(Places::of(&text).find(&text, offset), wanted);
        }
    }
}
