//! Who sits on a port that the tunnel needs.

use super::listen::{self, Inherited, LOOPBACK};
use super::watchdog::is_watchdog;
use super::{PortOwner, PortOwnerKind, TargetSpec, TunnelError};
use crate::system::{ProcessInfo, Processes};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_millis(400);

/// The supervisor whose place is to be taken.
pub(super) struct Predecessor {
    pub(super) pid: u32,
    pub(super) spec_file: PathBuf,
    /// What its specification names.
    pub(super) ports: Vec<u16>,
}

impl Predecessor {
    /// Whether the port is its own: as the system says, or, where that tells nothing, as its specification does.
    fn holds(&self, port: u16, owner: Option<&ProcessInfo>) -> bool {
        let is_own = |owner: &ProcessInfo| owner.pid == self.pid || is_watchdog(owner, &self.spec_file);
        owner.map_or_else(|| self.ports.contains(&port), is_own)
    }
}

/// Finds out before a supervisor is started whether its ports are free; nobody is ever ended here. Those of the
/// predecessor will be.
pub(super) async fn check(
    targets: &[TargetSpec],
    processes: &dyn Processes,
    predecessor: Option<&Predecessor>,
) -> Result<(), TunnelError> {
    // A process that is ending may have let go of its lock and not yet of its ports.
    let limit = Instant::now() + PATIENCE;
    while Instant::now() < limit {
        if try_all(targets, processes, predecessor).await.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
    try_all(targets, processes, predecessor).await
}

async fn try_all(
    targets: &[TargetSpec],
    processes: &dyn Processes,
    predecessor: Option<&Predecessor>,
) -> Result<(), TunnelError> {
    for target in targets {
        match listen::bind(target, &mut Inherited::default()).await {
            Err(TunnelError::PortBusy { target, address, .. }) => {
                let owner = owner(processes, address);
                if predecessor.is_some_and(|predecessor| predecessor.holds(address.port(), owner.as_ref())) {
                    continue;
                }
                let wanted: Vec<u16> = targets.iter().map(|target| target.local_port).collect();
                let (owner, free) = (owner.as_ref().map(describe), listen::next_free(address.port(), &wanted).await);
                return Err(TunnelError::PortBusy { target, address, owner, free });
            }
            bound => drop(bound?),
        }
    }
    Ok(())
}

/// The operating system may know the listener under the wildcard address or the other family only.
fn owner(processes: &dyn Processes, address: SocketAddr) -> Option<ProcessInfo> {
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut addresses = vec![address.ip()];
    addresses.extend(LOOPBACK.into_iter().filter(|ip| *ip != address.ip()));
    addresses.push(unspecified);
    addresses.into_iter().find_map(|ip| processes.port_owner(ip, address.port()))
}

/// What sort of program a process is, by its name alone.
pub(super) fn kind(process: &ProcessInfo) -> PortOwnerKind {
    // A master in the background writes its control path over its command line: `ssh: /path [mux]`.
    if process.name == "ssh" && process.command.first().is_some_and(|title| title.starts_with("ssh: ")) {
        return PortOwnerKind::Ssh;
    }
    let program = process.command.first().map_or(process.name.as_str(), String::as_str);
    let program = program.rsplit('/').next().unwrap_or(program).trim_end_matches(':');
    match program {
        "ssh" | "autossh" => PortOwnerKind::Ssh,
        "postgres" | "postmaster" | "postgresql" => PortOwnerKind::PostgreSql,
        "devdb" => PortOwnerKind::Devdb,
        _ => PortOwnerKind::Other,
    }
}

pub(super) fn describe(process: &ProcessInfo) -> PortOwner {
    let mut command = process.command.join(" ");
    if command.is_empty() {
        command.clone_from(&process.name);
    }
    if let Some((cut, _)) = command.char_indices().nth(120) {
        command.truncate(cut);
        command.push('…');
    }
    PortOwner { pid: process.pid, user: process.user.clone(), command, kind: kind(process) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(command: &str) -> ProcessInfo {
        ProcessInfo {
            pid: 7,
            started_at: 1,
            name: "x".to_owned(),
            command: command.split(' ').map(str::to_owned).collect(),
            user: Some("ada".to_owned()),
            own: true,
            ..ProcessInfo::default()
        }
    }

    #[test]
    fn the_owner_is_told_by_its_program() {
        let kind = |command: &str| describe(&process(command)).kind;
        assert_eq!(kind("ssh -fNL 5432:db:5432 ada@bastion"), PortOwnerKind::Ssh);
        assert_eq!(kind("/usr/lib/postgresql/15/bin/postgres -D /data"), PortOwnerKind::PostgreSql);
        assert_eq!(kind("postgres: main: checkpointer"), PortOwnerKind::PostgreSql);
        assert_eq!(kind("/home/ada/.cargo/bin/devdb tunnel supervise --spec x"), PortOwnerKind::Devdb);
        assert_eq!(kind("node ssh"), PortOwnerKind::Other);
        let title = vec!["ssh: /tmp/ctl [mux]".to_owned()];
        let master = ProcessInfo { name: "ssh".to_owned(), command: title, ..ProcessInfo::default() };
        assert_eq!(super::kind(&master), PortOwnerKind::Ssh);
    }
}
