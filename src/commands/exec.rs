use super::context::Context;
use super::database::DatabaseArgs;
use super::env::{self, ClientChoice};
use super::environment::Wish;
use super::wrap::{self, Wrapped};
use crate::connection::Role;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use std::ffi::OsString;

/// Run a program that can reach the database: devdb exec -- pnpm test
///
/// The variables that `devdb env` would print are set for that program alone; the shell keeps none of them. devdb
/// becomes the program: signals, terminal and exit code are its own. 125 is a failure of devdb itself, 126 and 127 are
/// a program that cannot be started or is not there.
#[derive(Debug, clap::Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Use the reader endpoint
    #[arg(long, conflicts_with_all = ["database_url", "from_env"])]
    reader: bool,
    /// Log in with an IAM token, good for 15 minutes, instead of the secret's password
    #[arg(long, conflicts_with_all = ["database_url", "from_env"])]
    iam: bool,
    /// Start the tunnel first if it is not up
    #[arg(long, conflicts_with_all = ["database_url", "from_env"])]
    up: bool,
    /// Set the variables that this kind of program reads (default: `env.client` of the settings, else libpq)
    #[arg(long, value_enum)]
    client: Option<ClientChoice>,
    /// What to run
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: &ExecArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let Some((program, words)) = args.command.split_first() else {
        return Err(CommandError::failed("nothing to run was named"));
    };
    let wrapped = Wrapped {
        program: program.clone(),
        args: words,
        database: &args.database,
        wish: Wish { role: if args.reader { Role::Reader } else { Role::Writer }, iam: args.iam },
        client: env::client(args.client, context)?,
        up: args.up,
    };
    wrap::run(wrapped, context).await
}
