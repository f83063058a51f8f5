use super::{control, screen};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;

/// Show the tunnel; every database behind it is asked who it is
///
/// Exit code 0: up. 3: not up.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(_args: &StatusArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let report = control(context)?.status().await;
    let is_up = report.is_up();
    screen::show(context, report)?;
    Ok(if is_up { ExitStatus::Success } else { ExitStatus::No })
}
