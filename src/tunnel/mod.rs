//! The tunnel: a supervisor that owns the local ports, with an OpenSSH master behind them.
//!
//! [`Control`] is the client's side; [`supervise`] is the background process. What the supervisor decides is in
//! `machine` (pure), what it does in `session` (the one owner of the ssh session), and what one connection goes
//! through in `serve`. [`Ssh`], [`Link`] and [`Probe`] are the seams.

mod backoff;
mod carry;
mod client;
mod control;
mod counters;
mod direct;
mod error;
mod files;
mod generation;
mod greeting;
mod guests;
mod heal;
mod lanes;
mod listen;
mod machine;
mod model;
mod orphans;
mod place;
mod ports;
mod predecessor;
mod protocol;
mod refusals;
#[cfg(all(test, feature = "testing"))]
mod rehearsal;
mod report;
mod resume;
mod seams;
mod serve;
mod service;
mod session;
mod spec;
mod ssh_command;
mod stale;
mod stale_plan;
mod stale_riders;
mod story;
mod supervisor;
mod watchdog;
mod watched;

pub use backoff::Backoff;
pub use client::{Client, Presence};
pub use control::{Began, Control, status};
pub use error::{Obstacle, PortOwner, PortOwnerKind, Remedy, TunnelError};
pub use files::{Holder, TunnelFiles};
pub use heal::{ChildHealer, HealOutcome, HealReport, HealSpec, Healer, credential_places};
pub use model::{BastionReport, ConnectionCounts, RestartReport, TargetReport, TargetState, TunnelReport, TunnelState};
pub use orphans::control_path;
pub use protocol::VERSION;
pub use seams::{
    Absence, BastionNotes, BoxStream, Distrust, Foreign, GoesOn, Link, LinkEnd, LinkError, LinkRequest, Probe,
    ProbeError, ProbeReport, Ssh, Stream, Unusable, identify, judge,
};
pub use spec::{
    HostName, LinkSpec, LoginName, ProxyCommand, ProxyJump, SpecError, SshPath, SupervisorSpec, TargetSpec,
};
pub use stale::{Finding, PortHolder, Survey};
pub use stale_plan::Verdict;
pub use story::{LogLine, Story, follow_log, read_log};
pub use supervisor::{Beginning, SupervisorTools, read_spec, supervise};
pub use watchdog::{WatchdogTools, watch};
