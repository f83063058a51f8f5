use super::{ConnectionError, Variable};

/// A line of a `.env` file.
///
/// The format has no specification; this writes what the two most used readers, npm's dotenv (17) and python-dotenv
/// (1.2, `interpolate=False`), read as the same value: in single quotes both take everything as it is except a quote
/// and what python-dotenv takes for an escape, in double quotes both know `\n` and `\r`, and without quotes both take
/// a line without a `#`.
///
/// # Errors
/// [`ConnectionError::NotForDotenv`] for a value that one of them would read differently, however it is quoted.
pub(super) fn line(variable: &Variable) -> Result<String, ConnectionError> {
    let value = variable.reveal();
    let written = if fits_single_quotes(value) {
        format!("'{value}'")
    } else if !value.contains(['"', '\\']) {
        format!("\"{}\"", value.replace('\n', "\\n").replace('\r', "\\r"))
    } else if fits_bare(value) {
        value.to_owned()
    } else {
        return Err(ConnectionError::NotForDotenv { name: variable.name.to_owned() });
    };
    Ok(format!("{}={written}\n", variable.name))
}

fn fits_single_quotes(value: &str) -> bool {
    // npm's reader makes a newline of every carriage return before it looks at the quotes.
    !value.contains(['\'', '\r']) && !value.contains("\\\\") && !value.ends_with('\\')
}

fn fits_bare(value: &str) -> bool {
    // What one of them trims: Unicode's spaces, JavaScript's byte order mark, Python's separators.
    let is_space = |letter: char| letter.is_whitespace() || matches!(letter, '\u{feff}' | '\u{1c}'..='\u{1f}');
    let is_line_end = |letter: char| matches!(letter, '\n' | '\r' | '\u{2028}' | '\u{2029}');
    !value.starts_with(['\'', '"', '`'])
        && !value.contains('#')
        && !value.contains(is_line_end)
        && !value.starts_with(is_space)
        && !value.ends_with(is_space)
}
