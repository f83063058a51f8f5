use super::context::Context;
use super::{bastion, tunnel};
use crate::error::CommandError;
use crate::tunnel::TunnelState;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Take everything down: the tunnel, then the bastion and all that came with it
///
/// Leaves no process, socket or port on this computer and nothing in AWS that devdb made for you here.
/// Running it twice changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct WholeDownArgs {
    #[command(flatten)]
    bastion: bastion::DownArgs,
}

pub(crate) async fn run(args: &WholeDownArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let mut tunnel_was_running = false;
    let stop = async || {
        tunnel_was_running = tunnel::control(context)?.down().await?;
        if tunnel_was_running {
            context.printer().status("  stop the tunnel");
        }
        Ok(())
    };
    // Whatever refuses the bastion's part leaves the tunnel as it was.
    let bastion = bastion::take_down(&args.bastion, context, stop).await?;
    if args.bastion.dry_run {
        tunnel_was_running = tunnel::asked(context).await?.state != TunnelState::Stopped;
    }
    context.printer().report(&WholeDownReport { tunnel_was_running, bastion })?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct WholeDownReport {
    tunnel_was_running: bool,
    bastion: bastion::DownReport,
}

impl Report for WholeDownReport {
    fn text(&self, paint: Paint) -> String {
        let tunnel = match (self.tunnel_was_running, self.bastion.dry_run) {
            (true, true) => "the tunnel would be stopped\n",
            (true, false) => "the tunnel is stopped\n",
            (false, _) => "no tunnel was running\n",
        };
        format!("{tunnel}{}", self.bastion.text(paint))
    }
}
