//! Reception: one folder per noun, one file per verb. A verb resolves its settings, fetches its tools, calls one
//! workshop and tells the answer; it holds no loops, no retries and no `match` on the state of the cloud.

mod account;
mod bastion;
mod completions;
mod config;
mod context;
mod database;
mod doctor;
mod down;
mod env;
mod environment;
mod exec;
mod man;
mod migrate;
mod pgadmin;
mod psql;
mod schema;
mod status;
mod topology;
mod trust;
mod tunnel;
mod up;
mod way;
mod wrap;

use crate::cli::{self, Cli};
use crate::error::CommandError;
use crate::host::Host;
use crate::system::{one_line, visible};
use crate::ui::ExitStatus;
use clap::{Parser, Subcommand};
use context::Context;
use std::ffi::OsString;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(up::WholeUpArgs),
    Down(down::WholeDownArgs),
    Status(status::StatusArgs),
    Doctor(doctor::DoctorArgs),
    /// Provision the bastion in the database's VPC, and remove it
    #[command(subcommand)]
    Bastion(bastion::BastionCommand),
    /// Keep local ports connected to the database
    #[command(subcommand)]
    Tunnel(tunnel::TunnelCommand),
    Env(env::EnvArgs),
    Exec(exec::ExecArgs),
    Psql(psql::PsqlArgs),
    #[command(name = "pgadmin")]
    PgAdmin(pgadmin::PgAdminArgs),
    /// Run and list SQL migrations
    #[command(subcommand)]
    Migrate(migrate::MigrateCommand),
    Schema(schema::SchemaArgs),
    /// Show the effective settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Trust(trust::TrustArgs),
    Untrust(trust::UntrustArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

pub(crate) async fn run(argv: Vec<OsString>, host: Host) -> ExitStatus {
    if let Some(background) = tunnel::supervise::background(&argv) {
        return tunnel::supervise::run(&background, &host).await.unwrap_or(ExitStatus::Failure);
    }
    host.processes.guard_memory(true);
    let wraps = matches!(cli::verb(&argv), Some("exec" | "psql"));
    let counted = |status: ExitStatus| if wraps { status.before_a_program() } else { status };
    let argv = cli::leave_to_psql(argv);
    let cli = match Cli::try_parse_from(&argv) {
        Ok(cli) => cli,
        Err(error) => return counted(context::show_usage(&host, &quotable(&argv, error))),
    };
    let context = match Context::new(&cli.globals, host) {
        Ok(context) => context,
        Err(refusal) => {
            let (printer, error) = *refusal;
            printer.failure(&error.failure());
            return counted(error.status());
        }
    };
    let outcome = tokio::select! {
        outcome = dispatch(cli.command, &context) => outcome,
        // Dropping the work is safe anywhere: every command looks first, so the next run continues from what is there.
        _ = tokio::signal::ctrl_c() => context.interrupted(),
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            let vars = &context.host().surroundings.vars;
            let error = error.with_profile(|profile| crate::config::diagnose_profile(vars, profile));
            context.printer().failure(&error.failure());
            counted(error.status())
        }
    }
}

/// The error about words that may be shown: clap quotes them as they were typed or pasted, between colours of its own.
fn quotable(argv: &[OsString], error: clap::Error) -> clap::Error {
    let shown = argv.iter().map(|word| visible(&one_line(&word.to_string_lossy())).into_owned());
    Cli::try_parse_from(shown).err().unwrap_or(error)
}

/// Does what was asked, and then what a tunnel was waiting for: whoever got an answer from AWS is logged in again.
async fn dispatch(command: Command, context: &Context) -> Result<ExitStatus, CommandError> {
    let is_about_it = match &command {
        Command::Tunnel(verb) => verb.mends_by_itself(),
        // It only looks.
        Command::Doctor(_) => true,
        _ => false,
    };
    let status = perform(command, context).await?;
    if context.has_asked_aws() && !is_about_it {
        tunnel::mend_if_waiting(context).await;
    }
    Ok(status)
}

async fn perform(command: Command, context: &Context) -> Result<ExitStatus, CommandError> {
    match command {
        Command::Up(args) => up::run(&args, context).await,
        Command::Down(args) => down::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Bastion(command) => bastion::run(command, context).await,
        Command::Tunnel(command) => tunnel::run(command, context).await,
        Command::Env(args) => env::run(&args, context).await,
        Command::Exec(args) => exec::run(&args, context).await,
        Command::Psql(args) => psql::run(&args, context).await,
        Command::PgAdmin(args) => pgadmin::run(&args, context).await,
        Command::Migrate(command) => migrate::run(command, context).await,
        Command::Schema(args) => schema::run(&args, context).await,
        Command::Config(command) => config::run(command, context),
        Command::Trust(args) => trust::run(&args, context),
        Command::Untrust(args) => trust::take_back(&args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
    }
}
