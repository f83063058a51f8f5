//! `devdb bastion …`

pub(crate) mod access;
mod allow_ip;
mod bench;
mod down;
mod egress;
mod extend;
mod gc;
mod list;
mod mend;
mod ssh;
mod status;
mod up;

use super::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use clap::Subcommand;

pub(crate) use access::{check_login, reach};
pub(crate) use down::{DownArgs, DownReport, take_down};
pub(crate) use mend::mend;
pub(crate) use status::{report, time_left};
pub(crate) use up::{UpArgs, bring_up};

#[derive(Debug, Subcommand)]
pub(crate) enum BastionCommand {
    Up(up::UpArgs),
    Down(down::DownArgs),
    Status(status::StatusArgs),
    List(list::ListArgs),
    AllowIp(allow_ip::AllowIpArgs),
    Gc(gc::GcArgs),
    Ssh(ssh::SshArgs),
    Extend(extend::ExtendArgs),
}

pub(crate) async fn run(command: BastionCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        BastionCommand::Up(args) => up::run(&args, context).await,
        BastionCommand::Down(args) => down::run(&args, context).await,
        BastionCommand::Status(args) => status::run(&args, context).await,
        BastionCommand::List(args) => list::run(&args, context).await,
        BastionCommand::AllowIp(args) => allow_ip::run(&args, context).await,
        BastionCommand::Gc(args) => gc::run(&args, context).await,
        BastionCommand::Ssh(args) => ssh::run(&args, context).await,
        BastionCommand::Extend(args) => extend::run(&args, context).await,
    }
}
