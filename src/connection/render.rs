use super::{ConnectionError, Variable, dotenv};
use crate::system::single_quoted;
use serde::Serialize;
use std::fmt::Write;

/// A shell, or a format, that `devdb env` can print for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShellKind {
    Bash,
    Zsh,
    Fish,
    PowerShell,
    /// Nushell evaluates no text: it is given JSON for `from json | load-env`. Its own NUON knows no escape for a
    /// control character.
    Nu,
    Json,
    Dotenv,
    /// The bare value of a single variable, for programs that run a command to learn a password.
    Plain,
}

impl ShellKind {
    /// The kind that a process name stands for (`-zsh` is a login shell); anything POSIX-like is served as bash.
    pub fn from_process_name(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next().unwrap_or(name).trim_start_matches('-');
        match name.trim_end_matches(".exe") {
            "bash" | "sh" | "dash" | "ash" | "ksh" | "mksh" | "busybox" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            "pwsh" | "powershell" | "pwsh-preview" => Some(Self::PowerShell),
            "nu" => Some(Self::Nu),
            _ => None,
        }
    }

    /// What a user of this shell types to take over what `command` prints; nothing where it is no shell.
    pub fn application(self, command: &str) -> Option<String> {
        match self {
            Self::Bash | Self::Zsh => Some(format!("eval \"$({command})\"")),
            Self::Fish => Some(format!("{command} | source")),
            Self::PowerShell => Some(format!("{command} | Out-String | Invoke-Expression")),
            Self::Nu => Some(format!("{command} | from json | load-env")),
            Self::Json | Self::Dotenv | Self::Plain => None,
        }
    }
}

/// The text that sets the variables in this shell, and takes `strays` away where the shell can: one statement a line,
/// each safe to `eval`.
///
/// # Errors
/// [`ConnectionError::Unprintable`] for a value with a NUL character, [`ConnectionError::NotForDotenv`] for one that
/// readers of `.env` files do not agree about.
pub fn render(variables: &[Variable], strays: &[&str], shell: ShellKind) -> Result<String, ConnectionError> {
    if let Some(variable) = variables.iter().find(|variable| variable.reveal().contains('\0')) {
        return Err(ConnectionError::Unprintable { name: variable.name.to_owned() });
    }
    let mut text = match shell {
        ShellKind::Bash | ShellKind::Zsh | ShellKind::Fish | ShellKind::PowerShell => unset(strays, shell)?,
        ShellKind::Nu | ShellKind::Json | ShellKind::Dotenv | ShellKind::Plain => String::new(),
    };
    for variable in variables {
        let (name, value) = (variable.name, variable.reveal());
        let _ = match shell {
            ShellKind::Bash | ShellKind::Zsh => writeln!(text, "export {name}={};", single_quoted(value)),
            ShellKind::Fish => writeln!(text, "set -gx {name} {};", fish_quote(value)),
            ShellKind::PowerShell => writeln!(text, "$env:{name} = {};", powershell_quote(value)),
            ShellKind::Dotenv => write!(text, "{}", dotenv::line(variable)?),
            ShellKind::Plain => writeln!(text, "{value}"),
            ShellKind::Nu | ShellKind::Json => Ok(()),
        };
    }
    if matches!(shell, ShellKind::Nu | ShellKind::Json) {
        let value = |variable: &Variable| (variable.name.to_owned(), variable.reveal().into());
        text = json(variables.iter().map(value).collect());
    }
    Ok(text)
}

/// Whether a `.env` file holds it in quotes, which `docker run --env-file` takes for a part of the value.
pub fn is_quoted_in_dotenv(variable: &Variable) -> bool {
    !dotenv::is_plain(variable.reveal())
}

/// The text that takes these variables away again.
///
/// # Errors
/// [`ConnectionError::CannotUnset`] for a format that has no word for it.
pub fn unset(names: &[&str], shell: ShellKind) -> Result<String, ConnectionError> {
    let each = |line: &dyn Fn(&str) -> String| names.iter().map(|name| line(name)).collect();
    match shell {
        ShellKind::Bash | ShellKind::Zsh => Ok(each(&|name| format!("unset {name};\n"))),
        ShellKind::Fish => Ok(each(&|name| format!("set -e {name};\n"))),
        ShellKind::PowerShell => Ok(each(&|name| format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue;\n"))),
        // `hide-env ...(devdb env --unset | from json)`: a list of names.
        ShellKind::Nu => Ok(format!("{:#}\n", serde_json::json!(names))),
        ShellKind::Json => Ok(json(names.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null)).collect())),
        ShellKind::Dotenv | ShellKind::Plain => Err(ConnectionError::CannotUnset),
    }
}

fn json(map: serde_json::Map<String, serde_json::Value>) -> String {
    format!("{:#}\n", serde_json::Value::Object(map))
}

/// In fish's single quotes a backslash escapes itself and the quote (fish documentation, "Quotes"). A newline stands
/// outside as an escape: `eval (devdb env)` would make a space of it.
fn fish_quote(value: &str) -> String {
    let inside = value.replace('\\', r"\\").replace('\'', r"\'");
    format!("'{}'", inside.replace('\n', r"'\n'").replace('\r', r"'\r'"))
}

/// In PowerShell's single quotes any quote, curly ones too, is doubled (about_Quoting_Rules). What is not printable
/// ASCII is added by its UTF-16 number: Windows reads a program's output in the console's code page, and a pipe to
/// `Invoke-Expression` cuts at newlines.
fn powershell_quote(value: &str) -> String {
    let mut quoted = "'".to_owned();
    for letter in value.chars() {
        match letter {
            '\'' => quoted.push_str("''"),
            ' '..='~' => quoted.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(quoted, "' + [char]{unit} + '");
                }
            }
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a POSIX shell makes of a word in single quotes and escaped quotes.
    fn posix_read(quoted: &str) -> String {
        let mut read = String::new();
        let mut inside = false;
        let mut letters = quoted.chars();
        while let Some(letter) = letters.next() {
            match (inside, letter) {
                (_, '\'') => inside = !inside,
                (false, '\\') => read.extend(letters.next()),
                (true, letter) => read.push(letter),
                (false, letter) => panic!("{letter} stands outside the quotes of {quoted}"),
            }
        }
        assert!(!inside);
        read
    }

    /// What PowerShell's grammar makes of literals and `[char]` numbers that are added up (about_Quoting_Rules,
    /// about_Operators): printable ASCII alone.
    fn powershell_read(quoted: &str) -> String {
        assert!(quoted.chars().all(|letter| (' '..='~').contains(&letter)), "{quoted}");
        let mut units: Vec<u16> = Vec::new();
        let mut rest = quoted;
        loop {
            rest = match rest.strip_prefix("[char]") {
                Some(number) => {
                    let end = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
                    units.push(number[..end].parse().unwrap());
                    &number[end..]
                }
                None => {
                    let mut inside = rest.strip_prefix('\'').unwrap();
                    loop {
                        let end = inside.find('\'').unwrap();
                        units.extend(inside[..end].encode_utf16());
                        inside = &inside[end + 1..];
                        match inside.strip_prefix('\'') {
                            Some(more) => {
                                units.push(u16::from(b'\''));
                                inside = more;
                            }
                            None => break inside,
                        }
                    }
                }
            };
            match rest.strip_prefix(" + ") {
                Some(more) => rest = more,
                None => break,
            }
        }
        assert_eq!(rest, "");
        String::from_utf16(&units).unwrap()
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_the_shell(value in any::<String>()) {
            prop_assert_eq!(posix_read(&single_quoted(&value)), value);
        }

        #[test]
        fn quoting_is_undone_by_powershell(value in any::<String>()) {
            prop_assert_eq!(powershell_read(&powershell_quote(&value)), value);
        }

        #[test]
        fn fish_is_given_one_line(value in any::<String>()) {
            prop_assert!(!fish_quote(&value).contains(['\n', '\r']));
        }
    }

    #[test]
    fn quotes_are_doubled_for_powershell_and_the_rest_is_numbers() {
        assert_eq!(powershell_quote("it's $5`"), "'it''s $5`'");
        assert_eq!(powershell_quote("a\nb"), "'a' + [char]10 + 'b'");
        assert_eq!(powershell_quote("\u{2019}\u{1f600}"), "'' + [char]8217 + '' + [char]55357 + '' + [char]56832 + ''");
    }

    #[test]
    fn a_shell_is_known_by_its_process_name() {
        assert_eq!(ShellKind::from_process_name("-zsh"), Some(ShellKind::Zsh));
        assert_eq!(ShellKind::from_process_name("/usr/bin/bash"), Some(ShellKind::Bash));
        assert_eq!(ShellKind::from_process_name("fish"), Some(ShellKind::Fish));
        assert_eq!(ShellKind::from_process_name("pwsh.exe"), Some(ShellKind::PowerShell));
        assert_eq!(ShellKind::from_process_name("nu"), Some(ShellKind::Nu));
        assert_eq!(ShellKind::from_process_name("cargo"), None);
    }

    #[test]
    fn a_nul_is_refused() {
        let variables = [Variable::plain("PGUSER", "a\0b")];
        assert!(matches!(render(&variables, &[], ShellKind::Bash), Err(ConnectionError::Unprintable { .. })));
    }

    #[test]
    fn strays_are_taken_away_before_anything_is_set() {
        let text = render(&[Variable::plain("PGHOST", "db")], &["PGHOSTADDR"], ShellKind::Bash).unwrap();
        assert_eq!(text, "unset PGHOSTADDR;\nexport PGHOST='db';\n");
    }
}
