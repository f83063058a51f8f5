use super::control;
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Stop the tunnel; no process, socket or port of it is left
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {}

pub(crate) async fn run(_args: &DownArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let was_running = control(context)?.down().await?;
    context.printer().report(&DownReport { state: "stopped", was_running })?;
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct DownReport {
    state: &'static str,
    was_running: bool,
}

impl Report for DownReport {
    fn text(&self, _paint: Paint) -> String {
        if self.was_running { "tunnel stopped\n".to_owned() } else { "no tunnel was running\n".to_owned() }
    }
}
