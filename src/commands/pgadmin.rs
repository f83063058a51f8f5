use super::context::Context;
use super::environment::{self, Wish};
use super::topology::topology;
use crate::config::{Settings, TRUSTED_CONFIG};
use crate::connection::{ClientKind, PgAdminServer, Role, pgadmin_servers};
use crate::error::CommandError;
use crate::system::{one_line, single_quoted, write_plain, write_private};
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::path::PathBuf;

/// Write a server definition that pgAdmin imports
///
/// It holds no password: pgAdmin (on a desktop, not as a web server) runs devdb for it whenever it logs in. In pgAdmin:
/// Tools, Import/Export Servers, and choose the file.
#[derive(Debug, clap::Args)]
pub(crate) struct PgAdminArgs {
    /// Write the file into this folder (default: the state folder)
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(args: &PgAdminArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = context.settings()?;
    let name = format!("{} {}", settings.project, settings.environment);
    let writer = environment::access(context, Wish::WRITER).await?;
    let has_reader = topology(context).await?.cluster.reader_endpoint.is_some();
    let reader = match has_reader {
        true => Some(environment::access(context, Wish { role: Role::Reader, ..Wish::WRITER }).await?),
        false => None,
    };
    writer.way.check(&writer.connection, ClientKind::Libpq, "run `devdb tunnel up` first")?;
    let entry = |access, role, name| PgAdminServer {
        name,
        connection: access,
        password_command: command(context, settings, role),
    };
    let mut servers = vec![entry(&writer.connection, Role::Writer, name.clone())];
    servers.extend(reader.as_ref().map(|access| entry(&access.connection, Role::Reader, format!("{name} (reader)"))));
    let document = pgadmin_servers("devdb", &servers);

    let folder = match &args.output {
        Some(folder) => context.host().surroundings.cwd.join(folder),
        None => context.state_dir()?.ensure()?.to_owned(),
    };
    let file = folder.join("pgadmin-servers.json");
    let text = format!("{document:#}\n");
    // A folder that the user names may be there for others as well. It may be a clone's, with a link in the file's place.
    let write = || match &args.output {
        Some(_) => Ok(write_plain(&file, text.as_bytes())?),
        None => write_private(&file, text.as_bytes()),
    };
    std::fs::create_dir_all(&folder).and_then(|()| write()).map_err(|error| {
        CommandError::failed(format!("{} could not be written: {error}", file.display()))
            .hint("name a folder that you may write to: `devdb pgadmin --output DIR`")
    })?;
    writer.way.warn_unless_open(context);
    context
        .printer()
        .report(&PgAdminReport { file, servers: servers.into_iter().map(|server| server.name).collect() })?;
    context.printer().hint("in pgAdmin: Tools, Import/Export Servers, and choose this file");
    Ok(ExitStatus::Success)
}

/// pgAdmin was not started from this shell: whatever chose the environment and the account here is written out.
fn command(context: &Context, settings: &Settings, role: Role) -> String {
    let surroundings = &context.host().surroundings;
    let var = |name: &str| surroundings.vars.get(name).filter(|value| !value.is_empty()).cloned();
    let profile = settings.profile.clone().or_else(|| var("AWS_PROFILE"));
    let region = settings.region.clone().or_else(|| var("AWS_REGION")).or_else(|| var("AWS_DEFAULT_REGION"));
    // Besides, where trust is kept, or what else says it: without a terminal nothing is asked there.
    let kept = ["XDG_STATE_HOME", TRUSTED_CONFIG].into_iter().filter_map(|name| Some((name, var(name)?)));
    let variables = std::iter::once(("DEVDB_ALIAS", settings.alias.as_str().to_owned())).chain(kept);
    let mut words: Vec<_> = variables.map(|(name, value)| format!("{name}={}", single_quoted(&value))).collect();
    words.push(single_quoted(&surroundings.executable.display().to_string()));
    let flags = [
        ("--config", settings.file.as_ref().map(|file| file.display().to_string())),
        ("--environment", Some(settings.environment.clone())),
        ("--profile", profile),
        ("--region", region),
    ];
    let flags = flags.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", single_quoted(&value?))));
    words.extend(flags);
    words.push("--no-input --quiet env --client libpq --only PGPASSWORD --shell plain".to_owned());
    if role == Role::Reader {
        words.push("--reader".to_owned());
    }
    words.join(" ")
}

#[derive(Serialize)]
struct PgAdminReport {
    file: PathBuf,
    servers: Vec<String>,
}

impl Report for PgAdminReport {
    fn text(&self, _paint: Paint) -> String {
        format!("{}\n", one_line(&self.file.display().to_string()))
    }
}
