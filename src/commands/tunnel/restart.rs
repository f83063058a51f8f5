use super::{SpecSource, control, up};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;

/// Replace the SSH connection; new connections wait for the new one and are not refused
///
/// It keeps to the bastion that the tunnel uses already; `devdb tunnel up` looks for another one.
#[derive(Debug, clap::Args)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    source: SpecSource,
}

pub(crate) async fn run(args: &RestartArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let control = control(context)?;
    // Where a tunnel was up before, AWS need not be asked: a restart is what one reaches for when things are slow.
    let spec = match control.last_spec().filter(|_| args.source.spec.is_none()) {
        Some(spec) => spec,
        None => args.source.resolve(context).await?,
    };
    let report = up::bring(context, &control, &spec, true).await?;
    up::look_and_tell(context, &control, report).await
}
