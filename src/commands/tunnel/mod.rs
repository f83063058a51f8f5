//! `devdb tunnel …`

mod down;
mod heal;
mod kill_stale;
mod logs;
mod ports;
mod restart;
mod screen;
mod status;
pub(super) mod supervise;
mod up;
mod wait;

pub(crate) use ports::busy;
pub(crate) use up::{look_at_ports, open};

use super::bastion::access::with_the_rules_word;
use super::context::Context;
use super::environment;
use crate::error::CommandError;
use crate::tunnel::{Control, Obstacle, SupervisorSpec, TunnelError, TunnelReport, read_spec};
use crate::ui::ExitStatus;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum TunnelCommand {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Restart(restart::RestartArgs),
    Status(status::StatusArgs),
    Logs(logs::LogsArgs),
    Wait(wait::WaitArgs),
    Ports(ports::PortsArgs),
    KillStale(kill_stale::KillStaleArgs),
    #[command(hide = true)]
    Heal(heal::HealArgs),
}

impl TunnelCommand {
    /// Whether the verb sees to a tunnel that waits for credentials, or is what the waiting supervisor runs.
    pub(crate) fn mends_by_itself(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Heal(_))
    }
}

/// A tunnel that waits for credentials is mended with those of this command. That it cannot be is no failure of a
/// command that asked for something else; the tunnel's own status says what it waits for.
pub(crate) async fn mend_if_waiting(context: &Context) {
    let _ = heal::mend_for_supervisor(context).await;
}

pub(crate) async fn run(command: TunnelCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        TunnelCommand::Up(args) => up::run(&args, context).await,
        TunnelCommand::Down(args) => down::run(&args, context).await,
        TunnelCommand::Restart(args) => restart::run(&args, context).await,
        TunnelCommand::Status(args) => status::run(&args, context).await,
        TunnelCommand::Logs(args) => logs::run(&args, context).await,
        TunnelCommand::Ports(args) => ports::run(&args, context).await,
        TunnelCommand::Wait(args) => wait::run(&args, context).await,
        TunnelCommand::KillStale(args) => kill_stale::run(&args, context).await,
        TunnelCommand::Heal(args) => heal::run(&args, context).await,
    }
}

/// Brings the tunnel up; `devdb up` does the same as its second part.
pub(crate) async fn bring_up(context: &Context) -> Result<ExitStatus, CommandError> {
    up::run(&up::UpArgs::default(), context).await
}

/// What the tunnel says after every database behind it was asked.
pub(crate) async fn asked(context: &Context) -> Result<TunnelReport, CommandError> {
    Ok(control(context)?.status().await)
}

/// A bastion that lets nobody in is first of all a question to its rules.
async fn explained(context: &Context, error: TunnelError) -> CommandError {
    let is_shut = matches!(error, TunnelError::NotUp { obstacle: Obstacle::Bastion, .. });
    let shown = CommandError::from(error);
    if is_shut { with_the_rules_word(context, shown).await } else { shown }
}

/// The tunnel of the selected environment.
pub(crate) fn control(context: &Context) -> Result<Control, CommandError> {
    let host = context.host();
    Ok(Control {
        state_dir: context.state_dir()?.ensure()?.to_owned(),
        executable: host.surroundings.executable.clone(),
        processes: host.processes.clone(),
        probe: host.tools.probe(),
    })
}

/// Where the specification comes from: discovery, or a file that somebody prepared.
#[derive(Debug, Default, clap::Args)]
struct SpecSource {
    /// Take the specification from this file instead of discovering it
    #[arg(long, hide = true, value_name = "FILE")]
    spec: Option<PathBuf>,
}

impl SpecSource {
    async fn resolve(&self, context: &Context) -> Result<SupervisorSpec, CommandError> {
        match &self.spec {
            Some(file) => Ok(read_spec(&context.host().surroundings.cwd.join(file))?),
            None => environment::tunnel_spec(context).await,
        }
    }
}
