//! What others wrote, as a part of what a person types or pastes.

use super::is_unseen;
use std::fmt::Write;

/// The text as one word of a POSIX shell: bare where no shell sees anything in it, else in single quotes (POSIX shell
/// command language, 2.2.2).
///
/// In a hint a backtick would look like the end of the command, and what is unseen cannot be pasted: such a word is
/// written by its numbers for `printf`, which substitution strips of line feeds at the end. A word that ends with one
/// cannot be typed, and is `…`.
pub fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_@%+=:,./-".contains(letter);
    let is_number = |letter: char| is_unseen(letter) || letter == '`';
    if !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('=') {
        return text.to_owned();
    }
    if !text.chars().any(is_number) {
        return single_quoted(text);
    }
    if text.ends_with('\n') || text.contains('\0') {
        return "…".to_owned();
    }
    let mut format = String::new();
    for letter in text.chars() {
        match letter {
            '%' => format.push_str("%%"),
            // A dash in front would be an option, and an interactive bash would look an exclamation mark up.
            letter if is_number(letter) || matches!(letter, '\\' | '\'' | '-' | '!') => {
                let mut bytes = [0; 4];
                letter.encode_utf8(&mut bytes).bytes().for_each(|byte| {
                    let _ = write!(format, "\\{byte:03o}");
                });
            }
            letter => format.push(letter),
        }
    }
    format!("\"$(printf '{format}')\"")
}

/// Single quotes hold everything but a single quote; that one is closed, escaped and opened again.
pub fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The text as a string of a TOML file; a backtick would end the hint's own quotes.
pub fn toml_text(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        let _ = match letter {
            '"' | '\\' => write!(quoted, "\\{letter}"),
            letter if is_unseen(letter) || letter == '`' => match u32::from(letter) {
                number @ ..=0xffff => write!(quoted, "\\u{number:04x}"),
                number => write!(quoted, "\\U{number:08x}"),
            },
            letter => write!(quoted, "{letter}"),
        };
    }
    quoted.push('"');
    quoted
}

/// The text as a part of a TOML key.
pub fn toml_key(text: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if !text.is_empty() && text.chars().all(is_bare) { text.to_owned() } else { toml_text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_bare_in_quotes_or_by_their_numbers() {
        assert_eq!(shell_word("staging-2/a.b"), "staging-2/a.b");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("it's $(id)"), r"'it'\''s $(id)'");
        assert_eq!(shell_word("x`; id #"), r#""$(printf 'x\140; id #')""#);
        assert_eq!(shell_word("-%\u{1b}é\u{202e}'!"), r#""$(printf '\055%%\033é\342\200\256\047\041')""#);
        assert_eq!(shell_word("a\n"), "…");
    }

    #[test]
    fn strings_of_toml_hold_everything() {
        assert_eq!(toml_text("a\"b\\`\u{1b}\u{e0041}"), r#""a\"b\\\u0060\u001b\U000e0041""#);
        assert_eq!(toml_key("dev-1"), "dev-1");
        assert_eq!(toml_key("a b"), "\"a b\"");
    }
}
