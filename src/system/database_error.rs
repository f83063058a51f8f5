use std::path::PathBuf;
use std::time::Duration;

/// What went wrong between devdb and a database, in words a developer can act on. The adapter translates once.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The name does not resolve.
    #[error("the host name {host} could not be resolved")]
    UnknownHost { host: String, source: Source },
    #[error("nothing listens at {address}")]
    Refused { address: String },
    #[error("{address} did not answer within {} s", after.as_secs())]
    TimedOut { address: String, after: Duration },
    #[error("{address} could not be reached")]
    Unreachable { address: String, source: Source },
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// SQLSTATE class 28; `message` is the server's.
    #[error("the server does not let {user} in: {message}")]
    Login { user: String, message: String },
    /// What an address insists on and this server does not do.
    #[error("{asked} is asked for, but {found}")]
    Unmet { asked: &'static str, found: &'static str },
    #[error("there is no database {database} on the server")]
    NoSuchDatabase { database: String },
    /// The connection ended while it was in use.
    #[error("the connection to the database was lost")]
    Lost { source: Option<Source> },
    /// Two sessions were on the same server process, or one moved to another.
    #[error(
        "{address} is a pooler that takes another server for each transaction; this run needs one session throughout"
    )]
    Pooler { address: String },
    #[error("{0}")]
    Server(Box<ServerError>),
    /// An answer that the protocol does not allow here.
    #[error("the server's answer could not be understood")]
    Protocol { source: Option<Source> },
}

/// Why the encrypted connection was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the server offers no TLS")]
    NotOffered,
    #[error("the server's certificate was not issued by an authority in {}", ca_file.display())]
    UnknownIssuer { ca_file: PathBuf },
    #[error("the server's certificate is for {}, not for {expected}", list(names))]
    WrongName { expected: String, names: Vec<String> },
    #[error("the server's certificate has expired")]
    Expired,
    #[error("the CA file {} could not be used", path.display())]
    CaFile { path: PathBuf, source: Source },
    #[error("the TLS handshake failed")]
    Failed { source: Source },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// An error that the server reported (PostgreSQL documentation, "Error and Notice Message Fields").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub struct ServerError {
    /// SQLSTATE.
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The call stack of functions, innermost first.
    pub context: Option<String>,
    /// Counted in characters from 1, in the query as it was sent.
    pub position: Option<usize>,
}

impl DatabaseError {
    /// The server's SQLSTATE, if the server spoke.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// True when nobody knows what the server did after the last message.
    pub fn is_lost(&self) -> bool {
        // Class 57P: an administrator or a crash ended the session.
        matches!(self, Self::Lost { .. }) || matches!(self.code(), Some("57P01" | "57P02" | "57P03" | "57P05"))
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;
