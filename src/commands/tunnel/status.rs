use super::{control, screen};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use std::time::Duration;

/// How often a watched tunnel's databases are asked.
const EVERY: Duration = Duration::from_secs(2);

/// Show the tunnel; every database behind it is asked who it is
///
/// Exit code 0: up. 3: not up. With `-v` the `ssh` line that this tunnel replaces is shown too.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Look again and again, with the round-trip times as a row of bars, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub(crate) async fn run(args: &StatusArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let control = control(context)?;
    if args.watch {
        context.ends_by_interrupt();
        let mut history = screen::History::default();
        control.watch(EVERY, &mut |report| screen::redraw(context, report, &mut history)).await?;
    }
    let report = control.status().await;
    let is_up = report.is_up();
    screen::show(context, report)?;
    Ok(if is_up { ExitStatus::Success } else { ExitStatus::No })
}
