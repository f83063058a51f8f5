use super::{control, screen};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use std::time::Duration;

/// Wait until the tunnel is up (for scripts)
///
/// Exit code 0: up. 3: not up in time, or it gave up.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: jiff::SignedDuration,
}

pub(crate) async fn run(args: &WaitArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let limit = Duration::try_from(args.timeout).unwrap_or_default();
    let report = control(context)?.wait(limit).await;
    let is_up = report.is_up();
    screen::show(context, report)?;
    Ok(if is_up { ExitStatus::Success } else { ExitStatus::No })
}
