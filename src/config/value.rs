use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Variable(String),
    File {
        path: PathBuf,
        line: usize,
    },
    /// `git config user.email`, for the alias.
    Git,
    /// The settings of the `up` that started the tunnel.
    Tunnel,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Git => f.write_str("git config user.email"),
            Self::Tunnel => f.write_str("the `up` that started the tunnel"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting's value before it is parsed into its type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::List(items) => write!(f, "[{}]", items.join(", ")),
            Self::Map(items) => {
                let items: Vec<String> = items.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                write!(f, "{{{}}}", items.join(", "))
            }
        }
    }
}

/// A value with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Value,
    pub origin: Origin,
}
