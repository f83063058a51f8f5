//! `devdb tunnel …`

mod down;
mod restart;
mod screen;
mod status;
mod supervise;
mod up;
mod wait;

use super::context::Context;
use crate::error::CommandError;
use crate::tunnel::{Control, SupervisorSpec, read_spec};
use crate::ui::ExitStatus;
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum TunnelCommand {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Restart(restart::RestartArgs),
    Status(status::StatusArgs),
    Wait(wait::WaitArgs),
    #[command(hide = true)]
    Supervise(supervise::SuperviseArgs),
}

pub(crate) async fn run(command: TunnelCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        TunnelCommand::Up(args) => up::run(&args, context).await,
        TunnelCommand::Down(args) => down::run(&args, context).await,
        TunnelCommand::Restart(args) => restart::run(&args, context).await,
        TunnelCommand::Status(args) => status::run(&args, context).await,
        TunnelCommand::Wait(args) => wait::run(&args, context).await,
        TunnelCommand::Supervise(args) => supervise::run(&args, context).await,
    }
}

/// The tunnel of the selected environment.
pub(super) fn control(context: &Context) -> Result<Control, CommandError> {
    let host = context.host();
    Ok(Control {
        state_dir: context.state_dir()?.ensure()?.to_owned(),
        executable: host.surroundings.executable.clone(),
        processes: host.processes.clone(),
        probe: host.tools.probe(),
    })
}

/// Where the specification comes from: discovery, or a file that somebody prepared.
#[derive(Debug, clap::Args)]
struct SpecSource {
    /// Take the specification from this file instead of discovering it
    #[arg(long, hide = true, value_name = "FILE")]
    spec: Option<PathBuf>,
}

impl SpecSource {
    async fn resolve(&self, context: &Context) -> Result<SupervisorSpec, CommandError> {
        match &self.spec {
            Some(file) => Ok(read_spec(&context.host().surroundings.cwd.join(file))?),
            None => discovered(context).await,
        }
    }
}

/// Stands in for `environment::tunnel_spec`, which needs the bastion's verbs.
async fn discovered(context: &Context) -> Result<SupervisorSpec, CommandError> {
    let _ = context.settings()?;
    Err(CommandError::failed("the way to the database is not known yet"))
}
