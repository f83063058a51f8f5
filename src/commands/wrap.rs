//! A program in devdb's place, with the database in its environment.

use super::context::Context;
use super::database::{self, DatabaseArgs, Provenance};
use super::environment::Wish;
use super::tunnel;
use crate::connection::{self, ClientKind};
use crate::error::{CommandError, ErrorKind};
use crate::system::{Gets, ProcessError, SpawnSpec};
use crate::ui::ExitStatus;
use std::ffi::OsString;

/// What is to run, and on which database.
pub(crate) struct Wrapped<'a> {
    pub(crate) program: OsString,
    pub(crate) args: &'a [OsString],
    pub(crate) database: &'a DatabaseArgs,
    pub(crate) wish: Wish,
    pub(crate) client: ClientKind,
    /// Start the tunnel if it is not up.
    pub(crate) up: bool,
}

/// Becomes the program: it takes over this very process (execve).
///
/// Nothing is left to be done when it ends, so nothing need stay. Its exit code, its signals, the terminal and the
/// shell's job control are its own then, as if devdb had never been in between, and no code of ours could do that as
/// well: a parent would have to pass on every signal, stop and continue with it, and hand the terminal over. The
/// password is in the environment of this one process, which nobody but the user and root may read.
pub(crate) async fn run(wrapped: Wrapped<'_>, context: &Context) -> Result<ExitStatus, CommandError> {
    let (mut access, mut provenance) = database::access(context, wrapped.database, wrapped.wish).await?;
    if wrapped.up && !access.way.is_open() {
        tunnel::open(context).await?;
        (access, provenance) = database::access(context, wrapped.database, wrapped.wish).await?;
    }
    let again = "run `devdb tunnel up` first, or add `--up` behind `devdb exec`";
    access.way.check(&access.connection, wrapped.client, again)?;
    access.way.warn_unless_open(context);
    let connection = &access.connection;
    context.printer().status(&format!(
        "database {} as {}; {} ({provenance})",
        database::describe(connection),
        connection.user,
        connection::verification(connection, wrapped.client)
    ));
    let variables = connection::variables(connection, wrapped.client);
    let mut removed = wrapped.client.strays(&variables);
    let is_url_set = context.host().surroundings.vars.get("DATABASE_URL").is_some_and(|url| !url.is_empty());
    if is_url_set && provenance != Provenance::DatabaseUrl {
        context.printer().status("DATABASE_URL is not passed on; it may name another database");
        removed.push("DATABASE_URL");
    }
    let spec = SpawnSpec {
        program: wrapped.program,
        args: wrapped.args.to_vec(),
        gets: Gets::Everything,
        env: variables.iter().map(|variable| (variable.name.into(), variable.reveal().into())).collect(),
        env_remove: removed.into_iter().map(Into::into).collect(),
        cwd: None,
    };
    become_program(&spec, context)
}

/// The same for a program that needs no database.
pub(crate) fn become_program(spec: &SpawnSpec, context: &Context) -> Result<ExitStatus, CommandError> {
    let ended = context.host().processes.exec(spec).map_err(|error| {
        let kind = match error {
            ProcessError::NotFound { .. } => ErrorKind::ProgramNotFound,
            _ => ErrorKind::NotInvoked,
        };
        let shown = CommandError::from_error(kind, &error);
        match kind {
            ErrorKind::ProgramNotFound if spec.program == "psql" => {
                shown.hint("install PostgreSQL's client: `apt-get install postgresql-client`, or `brew install libpq`")
            }
            ErrorKind::ProgramNotFound => shown.hint("check its spelling, and that its folder is in PATH"),
            _ => shown.hint("check that the file may be executed: `ls -l` shows its rights"),
        }
    })?;
    Ok(ExitStatus::Child(u8::try_from(ended.code).unwrap_or(u8::MAX)))
}
