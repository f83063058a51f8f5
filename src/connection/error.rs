use super::SecretFault;

#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("secret `{id}` {fault}")]
    Secret { id: String, fault: SecretFault },
    #[error("no database user is named that IAM may log in")]
    NoTokenUser,
    /// `what`: user or database name.
    #[error("neither the settings nor the secret name the {what}")]
    Incomplete { what: &'static str },
    /// A NUL cannot stand in a variable, and no shell can carry it.
    #[error("the value of {name} contains a NUL character")]
    Unprintable { name: String },
    #[error("the value of {name} cannot be written so that every reader of .env files reads the same")]
    NotForDotenv { name: String },
    #[error("this format cannot take a variable away")]
    CannotUnset,
}

/// What can be said about a database, as the user called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// A parameter of an address.
    Parameter(&'static str),
    /// One of libpq's variables.
    Variable(&'static str),
}

impl Setting {
    pub fn name(self) -> &'static str {
        match self {
            Self::Parameter(name) | Self::Variable(name) => name,
        }
    }

    /// `common` is what a part of an address is called that needs no name.
    fn or(self, common: &'static str) -> &'static str {
        match self {
            Self::Parameter(_) => common,
            Self::Variable(name) => name,
        }
    }
}

/// Why an address of a database, or the variables that name one, cannot be used. Nothing here quotes more than a name:
/// an address holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the database address does not begin with postgres:// or postgresql://")]
    Scheme,
    #[error("the database address is one for JDBC (jdbc:…)")]
    Jdbc,
    #[error("the database address names a driver (`+…` before `://`)")]
    Driver,
    #[error("the database address has a `%` that is not followed by two hexadecimal digits, or does not spell UTF-8")]
    Encoding,
    #[error("{} names several hosts; name one", setting.or("the database address"))]
    SeveralHosts { setting: Setting },
    #[error("{} must be a number from 1 to 65535", setting.or("the port"))]
    Port { setting: Setting },
    #[error("{} must be an IP address", setting.name())]
    HostAddress { setting: Setting },
    #[error("neither the address nor the environment names the database user")]
    NoUser,
    #[error("{} is empty or contains a space", setting.or("the host name"))]
    Host { setting: Setting },
    #[error("{} in {} is not a known sslmode", value.as_deref().map_or("the word".to_owned(), |value| format!("`{value}`")), setting.name())]
    SslMode { setting: Setting, value: Option<String> },
    /// libpq would accept any certificate from the authority, for any name.
    #[error("{}=verify-ca is not supported", setting.name())]
    VerifyCa { setting: Setting },
    #[error("{}=verify-full needs {}, a file of CA certificates", setting.name(), root.name())]
    NoRootCertificate { setting: Setting, root: Setting },
    #[error("the database address has {}, which devdb does not know", parameter(name.as_deref()))]
    UnknownParameter { name: Option<String> },
    /// An `@` where none may stand: the password may reach up to it.
    #[error("where the password ends in the database address is not clear")]
    Ambiguous,
    /// The session would lead elsewhere, or be another one, than what devdb makes.
    #[error("{}, which devdb cannot honour", present(*setting, value.as_deref()))]
    NotHonoured { setting: Setting, value: Option<String> },
    #[error("`{}` and `{}` contradict each other in the database address", first.name(), second.name())]
    Contradiction { first: Setting, second: Setting },
}

fn parameter(name: Option<&str>) -> String {
    name.map_or_else(|| "a parameter".to_owned(), |name| format!("the parameter `{name}`"))
}

fn present(setting: Setting, value: Option<&str>) -> String {
    match (setting, value) {
        (Setting::Parameter(name), Some(value)) => format!("the database address has the parameter `{name}` ({value})"),
        (Setting::Parameter(name), None) => format!("the database address has the parameter `{name}`"),
        (Setting::Variable(name), Some(value)) => format!("{name}={value} is set"),
        (Setting::Variable(name), None) => format!("{name} is set"),
    }
}
