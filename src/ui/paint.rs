use crate::system::{one_line, visible};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// What a colour of our own begins with, until the printer writes its escape sequence. It is another one in each
/// process, so that text from elsewhere cannot hold it.
static MARK: LazyLock<String> = LazyLock::new(|| {
    let random = || RandomState::new().build_hasher().finish();
    format!("\u{1b}{:016x}{:016x}", random(), random())
});

/// Colours by meaning; the plain text says the same without them. What is painted stays on its line.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    pub color: bool,
}

impl Paint {
    /// `style` as of ECMA-48, "select graphic rendition".
    fn with(self, style: &str, text: &str) -> String {
        let text = one_line(text);
        if self.color { format!("{mark}{style}m{text}{mark}0m", mark = *MARK) } else { text.into_owned() }
    }

    /// A heading or the name of the thing that matters.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Detail that may be skipped.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Well, up, done.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Needs a look.
    pub fn warn(self, text: &str) -> String {
        self.with("1;33", text)
    }

    /// Failed.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// Advice.
    pub fn hint(self, text: &str) -> String {
        self.with("36", text)
    }
}

/// The text for a screen: our own colours as escape sequences, and of everything else what may be seen.
pub(super) fn finished(text: &str) -> String {
    let mut pieces = text.split(MARK.as_str());
    let mut shown = visible(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let (style, rest) = piece.split_once('m').unwrap_or(("0", piece));
        shown.push_str(&format!("\u{1b}[{style}m"));
        shown.push_str(&visible(rest));
    }
    shown
}

/// Columns that the text takes on a screen.
pub(super) fn width(text: &str) -> usize {
    let mut pieces = text.split(MARK.as_str());
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.map(|piece| piece.split_once('m').map_or(piece, |(_, rest)| rest));
    std::iter::once(first).chain(rest).map(|piece| visible(piece).chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_ours_and_nothing_else_is_an_escape_sequence() {
        let text = Paint { color: true }.bad("a\u{1b}[32mb\nc");
        assert_eq!(finished(&text), "\u{1b}[1;31ma\\u{1b}[32mb\\nc\u{1b}[0m");
        assert_eq!(width(&text), r"a\u{1b}[32mb\nc".len());
        assert_eq!(Paint { color: false }.good("up"), "up");
    }
}
