use super::{ConnectionError, Variable};

/// A line of a `.env` file.
///
/// The format has no specification; this writes what its readers take for the same value: Node's `--env-file`, npm's
/// dotenv (16 and 18), python-dotenv (1.2), docker compose, and the shell that sources the file. What is plain stands
/// bare, because `docker run --env-file` knows no quotes: it takes a line behind its first `=` as it is
/// (docker/cli, `pkg/kvfile`).
///
/// # Errors
/// [`ConnectionError::NotForDotenv`] for a value that one of them would read differently, however it is quoted, and for
/// one that a shell would run.
pub(super) fn line(variable: &Variable) -> Result<String, ConnectionError> {
    let value = variable.reveal();
    let written = if is_plain(value) {
        value.to_owned()
    } else if fits_single_quotes(value) {
        format!("'{value}'")
    } else if fits_double_quotes(value) {
        format!("\"{value}\"")
    } else {
        return Err(ConnectionError::NotForDotenv { name: variable.name.to_owned() });
    };
    Ok(format!("{}={written}\n", variable.name))
}

/// Characters that mean nothing to any reader. A shell expands neither patterns nor braces in an assignment (POSIX shell
/// command language, 2.9.1), but a tilde, and zsh an equals sign at the beginning.
pub(super) fn is_plain(value: &str) -> bool {
    !value.starts_with('=')
        && value.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./:@%+,=^!*?[]{}".contains(letter))
}

/// On one line: `docker run --env-file` ends a variable there and takes the next line for another, which may be
/// LD_PRELOAD. Without a carriage return, of which npm's dotenv makes a newline before it looks at the quotes, without what
/// python-dotenv takes for an escape, and without `${`, which it replaces in quotes of either kind.
fn fits_quotes(value: &str) -> bool {
    !value.contains(['\n', '\r']) && !value.contains("${")
}

fn fits_single_quotes(value: &str) -> bool {
    fits_quotes(value) && !value.contains('\'') && !value.contains("\\\\") && !value.ends_with('\\')
}

/// Readers do not agree about escapes, and a shell runs what stands between backquotes.
fn fits_double_quotes(value: &str) -> bool {
    fits_quotes(value) && !value.contains(['"', '\\', '$', '`'])
}
