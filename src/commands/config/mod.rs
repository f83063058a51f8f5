//! `devdb config …`

mod show;

use super::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Show(show::ShowArgs),
}

pub(crate) fn run(command: ConfigCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        ConfigCommand::Show(args) => show::run(&args, context),
    }
}
