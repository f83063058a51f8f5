//! `devdb bastion …`

pub(crate) mod access;
mod bench;
mod down;
mod mend;
mod status;
mod up;

use super::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use clap::Subcommand;

pub(crate) use down::{DownArgs, DownReport, take_down};
pub(crate) use mend::mend;
pub(crate) use status::{report, time_left};
pub(crate) use up::{UpArgs, bring_up};

#[derive(Debug, Subcommand)]
pub(crate) enum BastionCommand {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Status(status::StatusArgs),
}

pub(crate) async fn run(command: BastionCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        BastionCommand::Up(args) => up::run(&args, context).await,
        BastionCommand::Down(args) => down::run(&args, context).await,
        BastionCommand::Status(args) => status::run(&args, context).await,
    }
}
