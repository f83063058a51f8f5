//! `devdb migrate …`

mod check;
mod down;
mod import;
mod import_text;
mod lint;
mod mark;
mod new;
mod plan;
mod repair;
mod repair_text;
mod status;
mod sync;
mod test;
mod to;
mod up;
mod workbench;

use super::context::Context;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    To(to::ToArgs),
    Up(up::UpArgs),
    Down(down::DownArgs),
    Plan(plan::PlanArgs),
    Status(status::StatusArgs),
    New(new::NewArgs),
    Check(check::CheckArgs),
    Lint(lint::LintArgs),
    Test(test::TestArgs),
    Repair(repair::RepairArgs),
    Sync(sync::SyncArgs),
    Mark(mark::MarkArgs),
    Import(import::ImportArgs),
}

pub(crate) async fn run(command: MigrateCommand, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        MigrateCommand::To(args) => to::run(&args, context).await,
        MigrateCommand::Up(args) => up::run(&args, context).await,
        MigrateCommand::Down(args) => down::run(&args, context).await,
        MigrateCommand::Plan(args) => plan::run(&args, context).await,
        MigrateCommand::Status(args) => status::run(&args, context).await,
        MigrateCommand::New(args) => new::run(&args, context),
        MigrateCommand::Check(args) => check::run(&args, context),
        MigrateCommand::Lint(args) => lint::run(&args, context).await,
        MigrateCommand::Test(args) => test::run(&args, context).await,
        MigrateCommand::Repair(args) => repair::run(&args, context).await,
        MigrateCommand::Sync(args) => sync::run(&args, context).await,
        MigrateCommand::Mark(args) => mark::run(&args, context).await,
        MigrateCommand::Import(args) => import::run(&args, context).await,
    }
}
