use super::SpecError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What has to be done about a tunnel that gave up; the notice board turns it into advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    HostKey,
    Authentication,
    /// Another database, or no database at all, answered behind the endpoint.
    Identity,
    /// The certificate was issued by nobody whom the CA file names, or that file cannot be used.
    Authority,
    /// The certificate has expired.
    Expired,
    NoTls,
    InstallSsh,
    /// There is no bastion any more.
    Bastion,
    /// AWS wants a new login before anything can be mended.
    Credentials,
}

/// Who sits on a port that the tunnel needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    pub pid: u32,
    pub user: Option<String>,
    pub command: String,
    pub kind: PortOwnerKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortOwnerKind {
    /// An OpenSSH process, perhaps a forgotten tunnel.
    Ssh,
    PostgreSql,
    /// Another environment's devdb.
    Devdb,
    Other,
}

impl PortOwnerKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Ssh => "an ssh process",
            Self::PostgreSql => "a PostgreSQL server",
            Self::Devdb => "the tunnel of another environment or alias",
            Self::Other => "another program",
        }
    }
}

/// What a tunnel that is not up in time waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no link: the bastion does not let us in.
    Bastion,
    /// The link stands, and the database behind it does not answer.
    Database,
    /// Nothing: somebody ended it meanwhile.
    TakenDown,
}

#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("port {} is in use on {}{}", address.port(), address.ip(), held_by(owner))]
    PortBusy { target: String, address: SocketAddr, owner: Option<PortOwner>, free: Option<u16> },
    /// The tunnel gave up for good.
    #[error("the tunnel failed: {cause}")]
    Failed { cause: String, remedy: Option<Remedy> },
    #[error("the tunnel is not up after {seconds} s: {cause}")]
    NotUp { cause: String, seconds: u64, obstacle: Obstacle },
    /// A direct route does not lead to the database.
    #[error("the database cannot be used: {cause}")]
    Unreachable { cause: String, remedy: Option<Remedy> },
    #[error("the supervisor did not start; its log is {}", log.display())]
    NotStarted { log: PathBuf, last: Option<String> },
    #[error("the supervisor (process {pid}) does not answer")]
    Stale { pid: u32 },
    #[error("the supervisor (process {pid}) did not end")]
    NotEnded { pid: u32 },
    #[error("process {pid} did not end")]
    ProcessNotEnded { pid: u32 },
    #[error("another devdb has been starting this tunnel for {seconds} s")]
    StartupBusy { seconds: u64 },
    #[error("the supervisor already runs")]
    AlreadyRuns,
    #[error("no local address could be bound for port {port}")]
    NoLoopback { port: u16 },
    #[error("the folder {} belongs to somebody else, or others may write to it", path.display())]
    ForeignFolder { path: PathBuf },
    #[error("{} could not be used", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} does not hold a tunnel's specification", path.display())]
    SpecFile { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("the supervisor answered something that this devdb does not understand")]
    Protocol { source: Option<serde_json::Error> },
    #[error("the connection to the supervisor broke")]
    Broken(#[source] std::io::Error),
    #[error(transparent)]
    Process(#[from] crate::system::ProcessError),
}

fn held_by(owner: &Option<PortOwner>) -> String {
    let Some(owner) = owner else { return " by a process that this user may not see".to_owned() };
    let user = owner.user.as_ref().map(|user| format!(" of {user}")).unwrap_or_default();
    format!(" by {} (pid {}{user}): {}", owner.kind.word(), owner.pid, owner.command)
}
