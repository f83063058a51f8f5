use super::to::{RunArgs, migrate};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::migrate::Target;
use crate::ui::ExitStatus;

/// Run the next pending migration, or the next N
///
/// One step unless N is given, as Kysely's migrateUp. `devdb migrate to latest` runs all.
#[derive(Debug, clap::Args)]
pub(crate) struct UpArgs {
    /// How many
    #[arg(value_name = "N", default_value_t = 1)]
    count: usize,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) async fn run(args: &UpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    migrate(context, &args.run, &Target::Up(args.count)).await
}
