use super::context::Context;
use super::environment::{self, Wish};
use crate::connection::{self, ClientKind, Role, ShellKind};
use crate::error::{CommandError, ErrorKind};
use crate::ui::ExitStatus;
use clap::ValueEnum;

/// Print what your shell needs to reach the database: eval "$(devdb env)"
///
/// Sets PGHOST, PGHOSTADDR, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE and PGSSLROOTCERT, so that psql and every
/// other libpq program connects through the tunnel with full certificate verification and no further option.
/// Nothing is printed on stdout if anything fails.
///
/// fish: `devdb env | source`. PowerShell: `devdb env | Out-String | Invoke-Expression`.
/// Nushell: `devdb env | from json | load-env`, and `hide-env ...(devdb env --unset | from json)`.
#[derive(Debug, clap::Args)]
pub(crate) struct EnvArgs {
    /// Print for this shell (default: the one that runs devdb)
    #[arg(long, value_enum)]
    shell: Option<ShellChoice>,
    /// Set the variables that this kind of program reads (default: `env.client` of the settings, else libpq)
    #[arg(long, value_enum)]
    client: Option<ClientChoice>,
    /// Use the reader endpoint
    #[arg(long)]
    reader: bool,
    /// Log in with an IAM token, good for 15 minutes, instead of the secret's password
    #[arg(long)]
    iam: bool,
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
    Fish,
    #[value(name = "powershell", alias = "pwsh")]
    PowerShell,
    /// JSON for load-env
    #[value(alias = "nushell")]
    Nu,
    Json,
    /// a .env file, for docker compose, node --env-file, npm's dotenv, python-dotenv and `. ./.env`; docker run
    /// --env-file takes it as long as no value stands in quotes (a warning says so)
    Dotenv,
    /// the bare value; only with --only
    Plain,
}

impl From<ShellChoice> for ShellKind {
    fn from(choice: ShellChoice) -> Self {
        match choice {
            ShellChoice::Bash => Self::Bash,
            ShellChoice::Zsh => Self::Zsh,
            ShellChoice::Fish => Self::Fish,
            ShellChoice::PowerShell => Self::PowerShell,
            ShellChoice::Nu => Self::Nu,
            ShellChoice::Json => Self::Json,
            ShellChoice::Dotenv => Self::Dotenv,
            ShellChoice::Plain => Self::Plain,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ClientChoice {
    /// psql, pg_dump, psycopg and all that is made with libpq
    Libpq,
    /// node-postgres
    Node,
    /// JDBC_DATABASE_… and SPRING_DATASOURCE_…
    Jdbc,
}

/// The kind of program to print for: as chosen, else as the settings have it.
pub(crate) fn client(choice: Option<ClientChoice>, context: &Context) -> Result<ClientKind, CommandError> {
    let name = context.resolved()?.environment().map_or("libpq", |settings| settings.env_client.as_str());
    Ok(match choice {
        Some(ClientChoice::Libpq) => ClientKind::Libpq,
        Some(ClientChoice::Node) => ClientKind::Node,
        Some(ClientChoice::Jdbc) => ClientKind::Jdbc,
        None => match name {
            "node" => ClientKind::Node,
            "jdbc" => ClientKind::Jdbc,
            _ => ClientKind::Libpq,
        },
    })
}

pub(crate) async fn run(args: &EnvArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let shell = shell(args, context);
    let client = client(args.client, context)?;
    let names = wanted(args, client, shell)?;
    if args.unset {
        print(context, &connection::unset(&names, shell)?, shell)?;
        return Ok(ExitStatus::Success);
    }
    let role = if args.reader { Role::Reader } else { Role::Writer };
    let access = environment::access(context, Wish { role, iam: args.iam }).await?;
    access.way.check(&access.connection, client, "run `devdb tunnel up` first")?;
    let mut variables = connection::variables(&access.connection, client);
    let vars = &context.host().surroundings.vars;
    let is_stray = |name: &&str| args.only.is_none() && vars.contains_key(*name);
    let strays: Vec<_> = client.strays(&variables).into_iter().filter(is_stray).collect();
    variables.retain(|variable| names.contains(&variable.name));
    let text = connection::render(&variables, &strays, shell)?;
    if shell == ShellKind::Dotenv {
        warn_of_quotes(context, &variables);
    }
    access.way.warn_unless_open(context);
    if context.host().surroundings.stdout_is_terminal
        && variables.iter().any(connection::Variable::is_secret)
        && let Some(line) = shell.application("devdb env")
    {
        context.printer().hint(&format!("this prints a password; put it into the shell with `{line}`"));
    }
    print(context, &text, shell)?;
    Ok(ExitStatus::Success)
}

fn print(context: &Context, text: &str, shell: ShellKind) -> std::io::Result<()> {
    match shell {
        ShellKind::Json | ShellKind::Nu => context.printer().document(text),
        _ => context.printer().for_programs(text),
    }
}

fn warn_of_quotes(context: &Context, variables: &[connection::Variable]) {
    for variable in variables.iter().filter(|variable| connection::is_quoted_in_dotenv(variable)) {
        let name = variable.name;
        context.printer().warning(&format!("{name} stands in quotes, which `docker run --env-file` does not take off"));
        context.printer().hint(&format!("`devdb exec -- docker run -e {name} IMAGE` hands it over without a file"));
    }
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

fn wanted(args: &EnvArgs, client: ClientKind, shell: ShellKind) -> Result<Vec<&'static str>, CommandError> {
    let known = client.names();
    let Some(only) = &args.only else {
        return match shell {
            ShellKind::Plain => Err(CommandError::new(ErrorKind::Usage, "a bare value needs a name")
                .hint("add `--only PGPASSWORD`, or another variable")),
            _ => Ok(known.to_vec()),
        };
    };
    match known.iter().find(|name| *name == only) {
        Some(name) => Ok(vec![name]),
        None => Err(CommandError::new(ErrorKind::Usage, format!("`devdb env` does not set {only}"))
            .hint(format!("it sets {}", known.join(", ")))),
    }
}
