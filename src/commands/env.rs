use super::context::Context;
use super::environment;
use crate::connection::{self, LIBPQ_NAMES, Role, ShellKind};
use crate::error::{CommandError, ErrorKind};
use crate::ui::ExitStatus;
use clap::ValueEnum;

/// Print what your shell needs to reach the database: eval "$(devdb env)"
///
/// Sets PGHOST, PGHOSTADDR, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE and PGSSLROOTCERT, so that psql and every
/// other libpq program connects through the tunnel with full certificate verification and no further option.
/// Nothing is printed on stdout if anything fails.
#[derive(Debug, clap::Args)]
pub(crate) struct EnvArgs {
    /// Print for this shell (default: the one that runs devdb)
    #[arg(long, value_enum)]
    shell: Option<ShellChoice>,
    /// Use the reader endpoint
    #[arg(long)]
    reader: bool,
    /// Print only this variable
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print what takes the variables away again
    #[arg(long)]
    unset: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellChoice {
    /// also sh, dash and ksh
    #[value(aliases = ["sh", "dash", "ksh"])]
    Bash,
    Zsh,
    Json,
}

impl From<ShellChoice> for ShellKind {
    fn from(choice: ShellChoice) -> Self {
        match choice {
            ShellChoice::Bash => Self::Bash,
            ShellChoice::Zsh => Self::Zsh,
            ShellChoice::Json => Self::Json,
        }
    }
}

pub(crate) async fn run(args: &EnvArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let shell = shell(args, context);
    let names = wanted(args)?;
    if args.unset {
        context.printer().product(&connection::unset(&names, shell))?;
        return Ok(ExitStatus::Success);
    }
    let role = if args.reader { Role::Reader } else { Role::Writer };
    let access = environment::access(context, role).await?;
    let mut variables = connection::libpq_variables(&access.connection);
    variables.retain(|variable| names.contains(&variable.name));
    let text = connection::render(&variables, shell)?;
    access.warn_unless_reachable(context);
    if context.host().surroundings.stdout_is_terminal && names.contains(&"PGPASSWORD") {
        context.printer().hint("this prints a password; put it into the shell with `eval \"$(devdb env)\"`");
    }
    context.printer().product(&text)?;
    Ok(ExitStatus::Success)
}

fn shell(args: &EnvArgs, context: &Context) -> ShellKind {
    if context.printer().settings().json {
        return ShellKind::Json;
    }
    let chosen = args.shell.map(ShellKind::from);
    let parent = || context.host().processes.parent_name().and_then(|name| ShellKind::from_process_name(&name));
    // POSIX quoting is what every other shell that can `eval` understands too.
    chosen.or_else(parent).unwrap_or(ShellKind::Bash)
}

fn wanted(args: &EnvArgs) -> Result<Vec<&'static str>, CommandError> {
    let Some(only) = &args.only else { return Ok(LIBPQ_NAMES.to_vec()) };
    match LIBPQ_NAMES.iter().find(|name| *name == only) {
        Some(name) => Ok(vec![name]),
        None => Err(CommandError::new(ErrorKind::Usage, format!("`devdb env` does not set {only}"))
            .hint(format!("it sets {}", LIBPQ_NAMES.join(", ")))),
    }
}
