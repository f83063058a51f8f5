use super::Password;
use std::net::IpAddr;
use std::path::PathBuf;

/// How the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// libpq's `sslmode=verify-full`: the chain ends in `ca_file` and the certificate names [`Connection::host`].
    VerifyFull { ca_file: PathBuf },
    /// libpq's `sslmode=require`: encrypted, but whoever answers is believed. Only where a URL asks for it.
    Require,
    /// libpq's `sslmode=prefer`: encrypted if the server can. Only where a URL says nothing else.
    Prefer,
    /// libpq's `sslmode=disable`.
    Disable,
}

impl Tls {
    /// libpq's name for it.
    pub fn sslmode(&self) -> &'static str {
        match self {
            Self::VerifyFull { .. } => "verify-full",
            Self::Require => "require",
            Self::Prefer => "prefer",
            Self::Disable => "disable",
        }
    }
}

/// What else an address may insist on; nothing, where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demands {
    pub channel_binding: ChannelBinding,
    pub server: WantedServer,
}

/// libpq's `channel_binding`: whether the login is tied to this one TLS connection, so that it cannot be passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    Disable,
    #[default]
    Prefer,
    Require,
}

/// libpq's `target_session_attrs`, as far as one server can be asked for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WantedServer {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
}

/// Everything that is needed to log in to one database.
///
/// `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The endpoint's real name: what the certificate must say. A path (`/run/postgresql`) is a unix socket folder.
    pub host: String,
    /// Where to connect instead of resolving `host`: 127.0.0.1 through a tunnel (libpq's `hostaddr`).
    pub hostaddr: Option<IpAddr>,
    pub port: u16,
    pub user: String,
    pub database: String,
    pub password: Option<Password>,
    pub tls: Tls,
    pub demands: Demands,
}
