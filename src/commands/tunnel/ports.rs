use super::{control, kill_stale};
use crate::commands::context::Context;
use crate::commands::environment;
use crate::error::CommandError;
use crate::tunnel::{PortOwner, PortOwnerKind};
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;
use std::net::SocketAddr;

/// Show the tunnel's local ports, and who holds them
///
/// An ssh that was started to hold one of them and failed to is shown too. Nobody is asked anything;
/// `devdb tunnel kill-stale` finds out who still serves.
#[derive(Debug, clap::Args)]
pub(crate) struct PortsArgs {}

pub(crate) async fn run(_args: &PortsArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let tunnel = &context.settings()?.tunnel;
    let named = [("writer", tunnel.writer_port), ("reader", tunnel.reader_port)];
    let ports = named.map(|(_, port)| port).to_vec();
    let holders = kill_stale::survey(context, &control(context)?, ports)?.holders().await;
    let ports = named.map(|(name, port)| {
        let of_port = holders.iter().filter(|holder| holder.ports.contains(&port));
        let holders = of_port.map(|holder| {
            let local = holder.local.iter().copied().filter(|address| address.port() == port).collect();
            Holder::new(local, holder.owner.as_ref())
        });
        Port { name, port, holders: holders.collect() }
    });
    context.printer().report(&PortsReport { ports: ports.to_vec() })?;
    Ok(ExitStatus::Success)
}

/// Somebody else's hold on a port of the tunnel, where there is one, as the reason why it cannot be up.
pub(crate) async fn busy(context: &Context) -> Result<Option<CommandError>, CommandError> {
    let ports = environment::tunnel_ports(context)?;
    let control = control(context)?;
    let mut holders = kill_stale::survey(context, &control, ports)?.holders().await;
    // A watchdog that does nothing: `up` ends it.
    holders.retain(|holder| !holder.owner.as_ref().is_some_and(|owner| control.is_watchdog(owner.pid)));
    let held = holders.iter().find_map(|holder| Some((holder.local.first()?, holder.owner.as_ref())));
    Ok(held.map(|(address, owner)| {
        let who = match owner {
            Some(owner) => format!("{} (pid {}): {}", owner.kind.word(), owner.pid, owner.command),
            None => "a process that this user may not see".to_owned(),
        };
        let error = CommandError::failed(format!("it is not up, and {address} is held by {who}"));
        match owner.map(|owner| owner.kind) {
            Some(PortOwnerKind::Ssh) => error
                .hint("`devdb tunnel kill-stale` tells whether that is a forgotten tunnel, and ends it if you agree"),
            _ => error.hint(
                "free the port, or choose another `writer_port` or `reader_port` under [environment.NAME.tunnel] in devdb.local.toml",
            ),
        }
    }))
}

#[derive(Clone, Serialize)]
struct Holder {
    /// Where it listens; empty for an ssh that was started to and does not.
    local: Vec<SocketAddr>,
    pid: Option<u32>,
    user: Option<String>,
    kind: Option<&'static str>,
    command: Option<String>,
}

impl Holder {
    fn new(local: Vec<SocketAddr>, owner: Option<&PortOwner>) -> Self {
        Self {
            local,
            pid: owner.map(|owner| owner.pid),
            user: owner.and_then(|owner| owner.user.clone()),
            kind: owner.map(|owner| match owner.kind {
                PortOwnerKind::Ssh => "ssh",
                PortOwnerKind::PostgreSql => "postgresql",
                PortOwnerKind::Devdb => "devdb",
                PortOwnerKind::Other => "other",
            }),
            command: owner.map(|owner| owner.command.clone()),
        }
    }
}

#[derive(Clone, Serialize)]
struct Port {
    name: &'static str,
    port: u16,
    holders: Vec<Holder>,
}

#[derive(Serialize)]
struct PortsReport {
    ports: Vec<Port>,
}

impl Report for PortsReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        let mut has_ssh = false;
        for port in &self.ports {
            let number = port.port.to_string();
            if port.holders.iter().all(|holder| holder.local.is_empty()) {
                table.row([port.name, &number, &paint.good("free")]);
            }
            for holder in &port.holders {
                has_ssh |= holder.kind == Some("ssh");
                let local: Vec<String> = holder.local.iter().map(|address| address.ip().to_string()).collect();
                let place = match local.as_slice() {
                    [] => paint.warn("wanted, not held"),
                    _ => local.join(" "),
                };
                let who = match (holder.pid, &holder.command) {
                    (Some(pid), Some(command)) => format!("process {pid}  {}", paint.faint(command)),
                    _ => "a process that this user may not see".to_owned(),
                };
                table.row([port.name, &number, &place, &who]);
            }
        }
        let mut text = table.render(0);
        if has_ssh {
            text.push_str(&paint.faint("`devdb tunnel kill-stale --dry-run` tells which ssh still serves"));
            text.push('\n');
        }
        text
    }
}
