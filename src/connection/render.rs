use super::{Connection, ConnectionError, Password, Tls};
use serde::Serialize;
use std::fmt::Write;

/// A shell, or a format, that `devdb env` can print for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShellKind {
    Bash,
    Zsh,
    Json,
}

impl ShellKind {
    /// The kind that a process name stands for (`-zsh` is a login shell); anything POSIX-like is served as bash.
    pub fn from_process_name(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next().unwrap_or(name).trim_start_matches('-');
        match name {
            "bash" | "sh" | "dash" | "ash" | "ksh" | "busybox" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            _ => None,
        }
    }
}

/// One variable to set. `Debug` may show it: secrets are wrapped.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: &'static str,
    value: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Plain(String),
    Secret(Password),
}

impl Variable {
    fn plain(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: Content::Plain(value.into()) }
    }

    /// The value itself, secret or not.
    pub fn reveal(&self) -> &str {
        match &self.value {
            Content::Plain(text) => text,
            Content::Secret(password) => password.reveal(),
        }
    }
}

/// The variables that libpq reads (PostgreSQL documentation, "Environment Variables").
///
/// PGHOST carries the endpoint's real name and PGHOSTADDR where to connect, so `verify-full` holds through a tunnel.
pub fn libpq_variables(connection: &Connection) -> Vec<Variable> {
    let mut variables = vec![Variable::plain("PGHOST", &connection.host)];
    if let Some(address) = connection.hostaddr {
        variables.push(Variable::plain("PGHOSTADDR", address.to_string()));
    }
    variables.push(Variable::plain("PGPORT", connection.port.to_string()));
    variables.push(Variable::plain("PGUSER", &connection.user));
    variables.push(Variable::plain("PGDATABASE", &connection.database));
    if let Some(password) = &connection.password {
        variables.push(Variable { name: "PGPASSWORD", value: Content::Secret(password.clone()) });
    }
    match &connection.tls {
        Tls::VerifyFull { ca_file } => {
            variables.push(Variable::plain("PGSSLMODE", "verify-full"));
            variables.push(Variable::plain("PGSSLROOTCERT", ca_file.display().to_string()));
        }
        Tls::Require => variables.push(Variable::plain("PGSSLMODE", "require")),
        Tls::Prefer => variables.push(Variable::plain("PGSSLMODE", "prefer")),
        Tls::Disable => variables.push(Variable::plain("PGSSLMODE", "disable")),
    }
    variables
}

/// The text that sets the variables in this shell: one statement a line, each safe to `eval`.
///
/// # Errors
/// [`ConnectionError::Unprintable`] for a value with a NUL character.
pub fn render(variables: &[Variable], shell: ShellKind) -> Result<String, ConnectionError> {
    if let Some(variable) = variables.iter().find(|variable| variable.reveal().contains('\0')) {
        return Err(ConnectionError::Unprintable { name: variable.name.to_owned() });
    }
    let mut text = String::new();
    match shell {
        ShellKind::Bash | ShellKind::Zsh => {
            for variable in variables {
                let _ = writeln!(text, "export {}={};", variable.name, posix_quote(variable.reveal()));
            }
        }
        ShellKind::Json => {
            let map: serde_json::Map<String, serde_json::Value> =
                variables.iter().map(|variable| (variable.name.to_owned(), variable.reveal().into())).collect();
            let _ = writeln!(text, "{:#}", serde_json::Value::Object(map));
        }
    }
    Ok(text)
}

/// Every variable that [`libpq_variables`] may set, in its order.
pub const LIBPQ_NAMES: [&str; 8] =
    ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"];

/// The text that takes these variables away again.
pub fn unset(names: &[&str], shell: ShellKind) -> String {
    match shell {
        ShellKind::Bash | ShellKind::Zsh => names.iter().map(|name| format!("unset {name};\n")).collect(),
        ShellKind::Json => {
            let map: serde_json::Map<String, serde_json::Value> =
                names.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null)).collect();
            format!("{:#}\n", serde_json::Value::Object(map))
        }
    }
}

/// Single quotes hold everything but a single quote (POSIX shell command language, 2.2.2); that one is closed,
/// escaped and opened again.
pub fn posix_quote(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
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

    proptest! {
        #[test]
        fn quoting_is_undone_by_the_shell(value in any::<String>()) {
            prop_assert_eq!(posix_read(&posix_quote(&value)), value);
        }
    }

    #[test]
    fn a_shell_is_known_by_its_process_name() {
        assert_eq!(ShellKind::from_process_name("-zsh"), Some(ShellKind::Zsh));
        assert_eq!(ShellKind::from_process_name("/usr/bin/bash"), Some(ShellKind::Bash));
        assert_eq!(ShellKind::from_process_name("cargo"), None);
    }

    #[test]
    fn a_nul_is_refused() {
        let variables = [Variable::plain("PGUSER", "a\0b")];
        assert!(matches!(render(&variables, ShellKind::Bash), Err(ConnectionError::Unprintable { .. })));
    }
}
