use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the supervisor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TunnelState {
    Starting,
    /// The writer answered end to end, with the right certificate.
    Up,
    /// Something spoke against it; it is being looked at.
    Suspect,
    Reconnecting,
    /// Retrying cannot help; the port is kept and closes at once.
    Failed,
    Stopping,
    /// No supervisor runs.
    Stopped,
}

impl TunnelState {
    /// The word as `--json` spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Reconnecting => "reconnecting",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// What is known of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Not probed yet on this link.
    Unknown,
    /// Its certificate names the endpoint and is signed by the configured authority.
    Up,
    /// It did not answer, or refused.
    Down,
    /// Something else answered in its place.
    Refused,
}

/// Why and when the link was replaced, or the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartReport {
    pub at: Timestamp,
    pub cause: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionCounts {
    pub open: u64,
    /// Waiting for the tunnel, or for a database that takes no sessions.
    pub held: u64,
    /// Since the supervisor started.
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    pub name: String,
    pub state: TargetState,
    /// Where clients connect; empty for a direct route.
    pub local: Vec<SocketAddr>,
    /// `host:port` as the bastion sees it.
    pub endpoint: String,
    /// The certificate's name that equals the endpoint.
    pub certificate_name: Option<String>,
    /// One round trip through the tunnel, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Bytes in both directions since the supervisor started.
    pub bytes: u64,
    pub connections: ConnectionCounts,
    /// Why the target is not up.
    pub cause: Option<String>,
    /// Addresses that could not be bound because this machine lacks the family.
    #[serde(default)]
    pub skipped: Vec<SocketAddr>,
}

/// The way to the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BastionReport {
    pub instance_id: String,
    pub address: String,
    pub ssh_port: u16,
    pub user: String,
    /// The first OpenSSH master of the current link.
    pub ssh_pid: Option<u32>,
    /// All of them, the oldest first: a tunnel that is busy or leads far away has several.
    #[serde(default)]
    pub ssh_pids: Vec<u32>,
    /// Its first boot has come to its end; absent where it says nothing.
    #[serde(default)]
    pub ready: Option<bool>,
    /// When it powers itself off.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// The answer of `tunnel status`. Fields may be added, never renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunnelReport {
    pub state: TunnelState,
    pub since: Option<Timestamp>,
    pub cause: Option<String>,
    pub restarts: Vec<RestartReport>,
    pub targets: Vec<TargetReport>,
    pub bastion: Option<BastionReport>,
    /// What to do about a `failed` tunnel; a word of [`super::Remedy`].
    #[serde(default)]
    pub remedy: Option<super::Remedy>,
    /// Failed attempts since the link was lost.
    #[serde(default)]
    pub attempt: u32,
    #[serde(default)]
    pub next_attempt_in_ms: Option<u64>,
    /// The supervisor's process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The supervisor's devdb version.
    #[serde(default)]
    pub version: Option<String>,
    /// The `ssh -fNL …` line that this tunnel replaces.
    #[serde(default)]
    pub equivalent: Option<String>,
    /// Why the log is behind, if it is: the disk may be full.
    #[serde(default)]
    pub log_cause: Option<String>,
}

impl TunnelReport {
    /// The report of a tunnel without a supervisor.
    pub fn stopped() -> Self {
        Self {
            state: TunnelState::Stopped,
            since: None,
            cause: None,
            restarts: Vec::new(),
            targets: Vec::new(),
            bastion: None,
            remedy: None,
            attempt: 0,
            next_attempt_in_ms: None,
            pid: None,
            version: None,
            equivalent: None,
            log_cause: None,
        }
    }

    pub fn is_up(&self) -> bool {
        self.state == TunnelState::Up
    }

    /// The port that clients of this target connect to.
    pub fn local_port(&self, name: &str) -> Option<u16> {
        self.target(name)?.local.first().map(SocketAddr::port)
    }

    pub fn target(&self, name: &str) -> Option<&TargetReport> {
        self.targets.iter().find(|target| target.name == name)
    }
}
