use super::context::Context;
use super::database::DatabaseArgs;
use super::environment::Wish;
use super::wrap::{self, Wrapped};
use crate::connection::ClientKind;
use crate::error::CommandError;
use crate::system::{Gets, SpawnSpec};
use crate::ui::ExitStatus;
use std::ffi::OsString;

/// Open psql on the database; everything after `psql` is psql's
///
/// devdb's own options stand before it: `devdb -e staging psql -c 'select 1'`. `devdb exec --reader --up -- psql` has
/// the options of `devdb exec`.
#[derive(Debug, clap::Args)]
pub(crate) struct PsqlArgs {
    /// As for psql itself
    #[arg(value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(crate) async fn run(args: &PsqlArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    // psql looks for these in the first place alone, and then asks no server.
    if args.args.first().is_some_and(|word| ["--help", "-?", "--version", "-V"].iter().any(|about| word == about)) {
        let spec = SpawnSpec {
            program: "psql".into(),
            args: args.args.clone(),
            gets: Gets::Everything,
            ..SpawnSpec::default()
        };
        return wrap::become_program(&spec, context);
    }
    let wrapped = Wrapped {
        program: "psql".into(),
        args: &args.args,
        database: &DatabaseArgs::default(),
        wish: Wish::WRITER,
        client: ClientKind::Libpq,
        up: false,
    };
    wrap::run(wrapped, context).await
}
