//! What others wrote (names, comments, errors, command lines), on a screen.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal obeys the character, hides it, or turns the line around it: control characters (C0, DEL, C1), what
/// Unicode lets a renderer leave out (Default_Ignorable_Code_Point, with the bidirectional controls), line and
/// paragraph separators, and noncharacters. The two variation selectors that emoji are written with are none.
pub fn is_unseen(letter: char) -> bool {
    match letter {
        '\u{fe0e}' | '\u{fe0f}' => false,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        letter => letter.is_control() || u32::from(letter) & 0xfffe == 0xfffe,
    }
}

/// The text without anything that [`is_unseen`]: such a character stands there by its number, `\u{1b}`. Line feeds and
/// tabs stay, and the carriage return of a line's end goes.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_kept = |letter| !is_unseen(letter) || matches!(letter, '\n' | '\t');
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.replace("\r\n", "\n").chars() {
        match letter {
            letter if is_kept(letter) => shown.push(letter),
            letter => shown.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// The text on one line: what begins a line or a column is written `\n`, `\r` and `\t`. Nothing else is replaced.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text.contains(['\n', '\r', '\t']) {
        Cow::Owned(text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text over several lines, of which only the first begins like one of ours.
pub fn barred(text: &str, indent: &str) -> String {
    text.trim_end().lines().collect::<Vec<_>>().join(&format!("\n{indent}| "))
}

/// A JSON document in which what [`is_unseen`] is written by its number; a parser reads the same.
pub fn json_visible(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for letter in document.chars() {
        // Outside of strings, JSON has none but the line feeds of its layout; in strings, they are escaped already.
        if is_unseen(letter) && letter != '\n' {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_or_hide_stands_there_by_its_number() {
        assert_eq!(visible("a\u{1b}[2J\u{9b}b\u{7f}\u{202e}\0"), r"a\u{1b}[2J\u{9b}b\u{7f}\u{202e}\u{0}");
        assert_eq!(visible("\r\n\tgrüße ⚠\u{fe0f}\r"), "\n\tgrüße ⚠\u{fe0f}\\u{d}");
        assert_eq!(visible("\u{85}\u{2028}\u{200b}\u{e0041}\u{ffff}"), r"\u{85}\u{2028}\u{200b}\u{e0041}\u{ffff}");
        assert!(matches!(visible("select 1;\n\t日本"), Cow::Borrowed(_)));
        assert_eq!(one_line("a\nerror: b\tc\r"), r"a\nerror: b\tc\r");
        assert_eq!(barred("a\nerror: b\n", "  "), "a\n  | error: b");
    }

    proptest! {
        #[test]
        fn nothing_unseen_is_left(text in any::<String>()) {
            prop_assert!(!visible(&one_line(&text)).chars().any(is_unseen));
        }

        #[test]
        fn json_says_the_same(text in any::<String>(), key in any::<String>()) {
            let value = serde_json::json!({ key: [text] });
            let shown = json_visible(&format!("{value:#}"));
            prop_assert!(!shown.chars().any(|letter| is_unseen(letter) && letter != '\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
