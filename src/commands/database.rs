//! Which database a command reaches, and how it says so.

use super::context::Context;
use super::environment::{self, Access, Wish};
use super::way::Way;
use crate::config::{EnvironmentKind, MigrationSettings, Resolved};
use crate::connection::Connection;
use crate::error::{CommandError, ErrorKind};
use crate::migrate::{Engine, FolderSource, LedgerNames, MigrationDatabase, Options, SessionSpec, StatusReport};
use crate::schema::Catalog;
use crate::system::{DatabaseError, Reached, work_tree};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Component, Path};
use std::time::Duration;

/// Reading the ledger waits for nobody's lock for long.
pub(crate) const STATUS_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Which database, if not the selected environment's.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// Use this database instead of the environment's (postgres://user@host/database)
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Use DATABASE_URL or the PG… variables although an environment is configured
    #[arg(long, conflicts_with = "database_url")]
    from_env: bool,
}

/// Who named the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Provenance {
    Flag,
    Environment(String),
    DatabaseUrl,
    Variables,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("from --database-url"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::DatabaseUrl => f.write_str("from DATABASE_URL"),
            Self::Variables => f.write_str("from the PG… variables"),
        }
    }
}

/// Decides which database is meant: `--database-url`, else the selected environment, else (without an environment, or
/// with `--from-env`) what the surrounding variables name.
///
/// With an environment the variables are never read: yesterday's `eval` must not migrate today's production.
pub(crate) async fn connection(
    context: &Context,
    args: &DatabaseArgs,
) -> Result<(Connection, Provenance), CommandError> {
    let (access, provenance) = access(context, args, Wish::WRITER).await?;
    Ok((access.connection, provenance))
}

/// The same, and whether the way there is open; the wish counts where the environment is asked.
pub(crate) async fn access(
    context: &Context,
    args: &DatabaseArgs,
    wish: Wish,
) -> Result<(Access, Provenance), CommandError> {
    let direct = |(connection, provenance)| (Access { connection, way: Way::Direct }, provenance);
    if let Some(url) = &args.database_url {
        let login = context.host().surroundings.vars.get("USER").map(String::as_str);
        return Ok(direct((Connection::from_url(url, login)?, Provenance::Flag)));
    }
    if let Resolved::Environment(settings) = context.resolved()?
        && !args.from_env
    {
        let access = environment::access(context, wish).await?;
        warn_if_variables_differ(context, &access.connection, &settings.environment);
        return Ok((access, Provenance::Environment(settings.environment.clone())));
    }
    ambient(context)?.map(direct).ok_or_else(|| {
        CommandError::failed("no database is named")
            .hint("name one with `--database-url postgres://user@host/database`, DATABASE_URL or PGHOST, or describe an environment in devdb.toml")
    })
}

/// What DATABASE_URL or libpq's variables name.
fn ambient(context: &Context) -> Result<Option<(Connection, Provenance)>, CommandError> {
    let vars = &context.host().surroundings.vars;
    if let Some(url) = vars.get("DATABASE_URL").filter(|url| !url.is_empty()) {
        let found = Connection::from_url(url, vars.get("USER").map(String::as_str))?;
        return Ok(Some((found, Provenance::DatabaseUrl)));
    }
    Ok(Connection::from_variables(vars)?.map(|found| (found, Provenance::Variables)))
}

fn warn_if_variables_differ(context: &Context, connection: &Connection, environment: &str) {
    // Variables that cannot be read lead nowhere, and nobody asked for them.
    let Ok(Some((ambient, provenance))) = ambient(context) else { return };
    // node-postgres is told the address that is dialled, libpq the name behind it.
    let dialled = connection.hostaddr.map(|address| address.to_string());
    let is_same = (ambient.host == connection.host || Some(&ambient.host) == dialled.as_ref())
        && (ambient.port, &ambient.database) == (connection.port, &connection.database);
    if !is_same {
        context.printer().warning(&format!(
            "the variables name another database ({} {provenance}); environment {environment} is used",
            describe(&ambient)
        ));
    }
}

/// Refuses a write to a protected environment until its name was given.
pub(crate) fn confirm_write(context: &Context) -> Result<(), CommandError> {
    // However the database was named: yesterday's variables, or a pasted URL, may well lead to the protected one.
    let Resolved::Environment(settings) = context.resolved()? else { return Ok(()) };
    let name = &settings.environment;
    if settings.kind != EnvironmentKind::Protected || context.confirmed_environment() == Some(name) {
        return Ok(());
    }
    let typed = context.ask_text(&format!("{name} is protected; type its name to change its database:"))?;
    if typed.as_deref().map(str::trim) == Some(name) {
        return Ok(());
    }
    Err(CommandError::new(ErrorKind::Refused, format!("environment {name} is protected, and its name was not given"))
        .hint(format!("add `--confirm {name}` if you mean it; `--yes` is never enough")))
}

/// What may be done to the database. Where nothing says whose it is, it counts as shared, and so it does where only a
/// file that is not trusted calls it personal.
pub(crate) fn kind(context: &Context) -> Result<EnvironmentKind, CommandError> {
    Ok(match context.resolved()? {
        Resolved::Environment(settings)
            if settings.kind == EnvironmentKind::Personal && !context.is_trusted(settings)? =>
        {
            let printer = context.printer();
            printer.warning(&format!(
                "environment {} counts as shared, because its devdb.toml is not trusted",
                settings.environment
            ));
            printer.hint("`devdb trust`");
            EnvironmentKind::Shared
        }
        Resolved::Environment(settings) => settings.kind,
        Resolved::NoEnvironment { .. } => EnvironmentKind::Shared,
    })
}

/// Whether its name was asked for: then nothing else is.
pub(crate) fn is_protected(context: &Context) -> Result<bool, CommandError> {
    Ok(context.resolved()?.environment().is_some_and(|settings| settings.kind == EnvironmentKind::Protected))
}

/// A session for migrations on the database that is meant; says which one on stderr.
pub(crate) async fn migration_database(
    context: &Context,
    connection: &Connection,
    provenance: &Provenance,
    lock_timeout: Duration,
) -> Result<Box<dyn MigrationDatabase>, CommandError> {
    let spec = session_spec(context, lock_timeout)?;
    let tools = &context.host().tools;
    let database = open(context, connection, provenance, async |connection: &Connection| {
        tools.migration_database(connection, &spec).await
    })
    .await?;
    tell_reached(context, connection, provenance, database.reached());
    Ok(database)
}

/// A session that reads the catalog of the database that is meant; says which one on stderr.
pub(crate) async fn catalog(
    context: &Context,
    connection: &Connection,
    provenance: &Provenance,
) -> Result<Box<dyn Catalog>, CommandError> {
    let (tools, name) = (&context.host().tools, application_name(context));
    let catalog =
        open(context, connection, provenance, async |connection: &Connection| tools.catalog(connection, &name).await)
            .await?;
    tell_reached(context, connection, provenance, catalog.reached());
    Ok(catalog)
}

/// Opens a session with whatever was named; the environment's as [`open_environment`] does, and where that is in vain
/// the tunnel has the first word.
async fn open<S>(
    context: &Context,
    connection: &Connection,
    provenance: &Provenance,
    connect: impl AsyncFn(&Connection) -> Result<S, DatabaseError>,
) -> Result<S, CommandError> {
    if !matches!(provenance, Provenance::Environment(_)) {
        return Ok(connect(connection).await?);
    }
    match open_environment(context, connection, connect).await {
        Ok(session) => Ok(session),
        Err(error) => Err(environment::with_the_tunnels_word(context, error).await),
    }
}

/// A password that the server refuses is fetched once more: the secret may have been rotated since.
async fn open_environment<S>(
    context: &Context,
    connection: &Connection,
    connect: impl AsyncFn(&Connection) -> Result<S, DatabaseError>,
) -> Result<S, CommandError> {
    let refused = match connect(connection).await {
        Err(error @ DatabaseError::Login { .. }) => error,
        other => return Ok(other?),
    };
    match environment::rotated(context, connection).await {
        Some(fresh) => Ok(connect(&fresh).await?),
        None => Err(refused.into()),
    }
}

fn tell_reached(context: &Context, connection: &Connection, provenance: &Provenance, reached: &Reached) {
    context.printer().status(&format!(
        "database {} as {}, {} ({provenance})",
        describe(connection),
        connection.user,
        how_known(reached, connection)
    ));
}

/// What the ledger of this database says about the project's migrations.
pub(crate) async fn ledger_status(
    context: &Context,
    session: &mut dyn MigrationDatabase,
) -> Result<StatusReport, CommandError> {
    let settings = migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let options = Options { allow_unordered: settings.allow_unordered, ..Options::default() };
    Ok(Engine { source: &source, options }.status(session).await?)
}

/// A session with the environment's database that says nothing.
pub(crate) async fn environment_session(
    context: &Context,
    connection: &Connection,
    lock_timeout: Duration,
) -> Result<Box<dyn MigrationDatabase>, CommandError> {
    let spec = session_spec(context, lock_timeout)?;
    let tools = &context.host().tools;
    open_environment(context, connection, async |connection: &Connection| {
        tools.migration_database(connection, &spec).await
    })
    .await
}

fn session_spec(context: &Context, lock_timeout: Duration) -> Result<SessionSpec, CommandError> {
    let settings = migration_settings(context)?;
    Ok(SessionSpec {
        ledger: LedgerNames {
            schema: settings.schema.clone(),
            table: settings.table.clone(),
            lock_table: settings.lock_table.clone(),
        },
        application_name: application_name(context),
        lock_timeout,
    })
}

/// Where the migrations are and how the ledger is called, with or without an environment.
pub(crate) fn migration_settings(context: &Context) -> Result<&MigrationSettings, CommandError> {
    let (settings, file) = match context.resolved()? {
        Resolved::Environment(settings) => (&settings.migrations, settings.file.as_deref()),
        Resolved::NoEnvironment { migrations, file, .. } => (migrations, file.as_deref()),
    };
    let project = file.and_then(Path::parent).unwrap_or(&context.host().surroundings.cwd);
    stays_inside(settings, project)?;
    Ok(settings)
}

/// A repository says which of its own folders holds the migrations; files elsewhere would be read, run and written into
/// the shared journal. A person who types the folder, or has it in a file of their own, may name any.
fn stays_inside(settings: &MigrationSettings, project: &Path) -> Result<(), CommandError> {
    let root = work_tree(project).or_else(|| project.canonicalize().ok());
    let Some(root) = root.filter(|_| settings.dir_is_brought) else { return Ok(()) };
    // What is not there yet leads nowhere else, unless by `..`.
    let standing = settings.dir.ancestors().find_map(|dir| Some((dir, dir.canonicalize().ok()?)));
    let is_inside = standing.is_some_and(|(dir, place)| {
        let rest = settings.dir.strip_prefix(dir).unwrap_or(&settings.dir);
        place.starts_with(&root) && rest.components().all(|part| part != Component::ParentDir)
    });
    if is_inside {
        return Ok(());
    }
    let what = format!("the migrations folder {} lies outside of {}", settings.dir.display(), root.display());
    Err(CommandError::new(ErrorKind::Refused, what).hint(
        "if that is meant, say so yourself: DEVDB_MIGRATIONS_DIR, or `dir` below [migrations] in a devdb.local.toml that git does not track",
    ))
}

pub(crate) fn describe(connection: &Connection) -> String {
    let Connection { host, port, database, hostaddr, .. } = connection;
    match hostaddr {
        Some(address) => format!("{database} at {host} (through {})", std::net::SocketAddr::new(*address, *port)),
        None if host.starts_with('/') => format!("{database} at {host}"),
        None => format!("{database} at {host}:{port}"),
    }
}

/// How it is known which database answered.
pub(crate) fn how_known(reached: &Reached, connection: &Connection) -> String {
    match &reached.certificate_name {
        Some(name) if *name == connection.host => "certificate verified".to_owned(),
        Some(name) => format!("certificate verified for {name}"),
        None if reached.encrypted => "encrypted, certificate not verified".to_owned(),
        None => "not verified".to_owned(),
    }
}

/// The alias that proves what this person did: sessions, and rows of the journal. A login's name proves nothing, for on
/// many machines it is the same one.
pub(crate) fn own_alias(context: &Context) -> Option<String> {
    match context.resolved() {
        Ok(Resolved::Environment(settings)) => Some(shortened(settings.alias.as_str())),
        _ => context.host().surroundings.vars.get("DEVDB_ALIAS").map(|alias| shortened(alias)),
    }
    .filter(|alias| !alias.is_empty())
}

fn shortened(alias: &str) -> String {
    alias.chars().filter(char::is_ascii_graphic).take(32).collect()
}

/// `devdb/<alias>/<run>`; PostgreSQL cuts it at 63 bytes.
pub(crate) fn application_name(context: &Context) -> String {
    let login = || context.host().surroundings.vars.get("USER").map(|login| shortened(login));
    let alias = own_alias(context).or_else(login).filter(|alias| !alias.is_empty());
    let alias = alias.unwrap_or_else(|| "unknown".to_owned());
    // The hasher's keys are random: two runs never share a name.
    format!("devdb/{alias}/{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff)
}
