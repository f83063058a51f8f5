use super::to::{RunArgs, migrate};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::migrate::Target;
use crate::ui::ExitStatus;

/// Undo the last executed migration, or the last N
///
/// One step unless N is given, as Kysely's migrateDown. A migration without a down part stops everything.
#[derive(Debug, clap::Args)]
pub(crate) struct DownArgs {
    /// How many
    #[arg(value_name = "N", default_value_t = 1)]
    count: usize,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) async fn run(args: &DownArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    migrate(context, &args.run, &Target::Down(args.count)).await
}
