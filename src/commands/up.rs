use super::context::Context;
use super::{bastion, tunnel};
use crate::config::Transport;
use crate::discovery::Topology;
use crate::error::CommandError;
use crate::ui::ExitStatus;

/// Start the day: the bastion, then the tunnel
///
/// Does what `devdb bastion up` and `devdb tunnel up` do, each of which changes nothing where all is well already.
#[derive(Debug, clap::Args)]
pub(crate) struct WholeUpArgs {
    #[command(flatten)]
    bastion: bastion::UpArgs,
}

pub(crate) async fn run(args: &WholeUpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    if context.settings()?.transport == Transport::Ssh {
        // A bastion costs money, and without its port no tunnel needs it.
        let ports = async |topology: &Topology| tunnel::look_at_ports(context, topology).await;
        let report = bastion::bring_up(&args.bastion, context, ports).await?;
        if args.bastion.dry_run {
            context.printer().report(&report)?;
            return Ok(ExitStatus::Success);
        }
        if !report.changed {
            context.printer().status("  the bastion is up already");
        }
    }
    if args.bastion.dry_run {
        context.printer().status("  a direct route needs no bastion; the tunnel would be asked");
        return Ok(ExitStatus::Success);
    }
    let status = tunnel::bring_up(context).await?;
    context.printer().hint("`eval \"$(devdb env)\"` puts it into this shell");
    Ok(status)
}
