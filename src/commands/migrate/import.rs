use super::import_text::Imported;
use super::new::not_written;
use crate::commands::context::Context;
use crate::commands::database;
use crate::error::{CommandError, ErrorKind};
use crate::migrate::import::{ImportReport, ImportSpec, Outcome, import};
use crate::system::{Links, read_plain, write_plain};
use crate::ui::ExitStatus;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PROVIDER: &str = include_str!("../../../templates/import/sql-migration-provider.ts");

/// Make SQL files of a Kysely project's TypeScript or JavaScript migrations
///
/// Runs up and down of each migration twice under Node.js, with the project's own Kysely and no database, and writes what
/// they execute into the migrations folder, under the names that Kysely's ledger has. What decides by rows that it reads is
/// refused. Either all files are written or none; a second import changes nothing.
///
/// The migrations get this shell's environment without what looks like a secret (AWS_SECRET_ACCESS_KEY, PGPASSWORD, a URL
/// with a password), and what they import is loaded: code that reaches a database or a service by itself really does.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// The folder that the project's FileMigrationProvider reads
    #[arg(required_unless_present = "provider")]
    folder: Option<PathBuf>,
    /// Replace SQL files that have another content
    #[arg(long)]
    force: bool,
    /// Write the rest all the same, and a draft for each file that cannot be made: devdb refuses to run a draft
    #[arg(long, requires = "folder")]
    drafts: bool,
    /// Show what would be written, and write nothing
    #[arg(long, requires = "folder")]
    dry_run: bool,
    /// Wait this long for a single migration
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Write a migration provider for Kysely's own Migrator, which reads the SQL files, to this file
    #[arg(long, value_name = "FILE.ts")]
    provider: Option<PathBuf>,
}

pub(crate) async fn run(args: &ImportArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let status = match &args.folder {
        Some(folder) => files(args, folder, context).await?,
        None => ExitStatus::Success,
    };
    if let Some(file) = args.provider.as_ref().filter(|_| !args.dry_run) {
        provider(file, args.force, context)?;
    }
    Ok(status)
}

async fn files(args: &ImportArgs, folder: &Path, context: &Context) -> Result<ExitStatus, CommandError> {
    let surroundings = &context.host().surroundings;
    let spec = ImportSpec {
        from: surroundings.cwd.join(folder),
        into: database::migration_settings(context)?.dir.clone(),
        force: args.force,
        drafts: args.drafts,
        dry_run: args.dry_run,
        patience: Duration::from_secs(args.timeout),
        // Where migrations run for a team: servers have no other.
        time_zone: surroundings.vars.get("TZ").filter(|zone| !zone.is_empty()).cloned().unwrap_or("UTC".to_owned()),
    };
    let recorder = context.host().tools.recorder();
    let report = {
        let step = context.printer().step("recording");
        let mut tell = |file: &str, done, of| step.progress(done, of, file);
        import(&spec, recorder.as_ref(), context.host().processes.as_ref(), &mut tell).await?
    };
    let shown = Imported::new(report, &surroundings.cwd);
    context.printer().report(&shown)?;
    verdict(&shown.report)
}

fn verdict(report: &ImportReport) -> Result<ExitStatus, CommandError> {
    let refused = |what: String| CommandError::new(ErrorKind::Refused, format!("{what}; nothing was written"));
    let files = |count: usize| if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
    match (report.count(Outcome::Refused), report.count(Outcome::Conflict)) {
        (0, 0) => {}
        (0, count) => {
            return Err(refused(format!("{} would be replaced by another content", files(count)))
                .hint("compare them (`git diff` after `--force`), or move yours away; `--force` replaces them"));
        }
        (count, _) => {
            return Err(refused(format!("{} cannot be made of what was recorded", files(count)))
                .hint("write these by hand, under the names above; import leaves them as they are")
                .hint("or `--drafts` writes the rest, and files to fill in, which devdb refuses to run until then"));
        }
    }
    Ok(if report.count(Outcome::Draft) > 0 { ExitStatus::No } else { ExitStatus::Success })
}

/// Of a file that may be the provider.
const LONGEST: u64 = 1 << 20;

/// Never replaces what somebody has changed, unless by force.
fn provider(file: &Path, force: bool, context: &Context) -> Result<(), CommandError> {
    let path = context.host().surroundings.cwd.join(file);
    let failed = |error: &io::Error| not_written(file, error);
    let made = OpenOptions::new().write(true).create_new(true).open(&path);
    let made = match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if read_plain(&path, Links::Followed, LONGEST).map_err(|error| failed(&error.into()))?
                == PROVIDER.as_bytes()
            {
                context.printer().status(&format!("{} is unchanged", file.display()));
                return Ok(());
            }
            if !force {
                let what = format!("{} is there with another content", file.display());
                return Err(CommandError::new(ErrorKind::Refused, what).hint("`--force` replaces it"));
            }
            write_plain(&path, PROVIDER.as_bytes()).map_err(io::Error::from)
        }
        made => made.and_then(|mut made| made.write_all(PROVIDER.as_bytes())),
    };
    made.map_err(|error| failed(&error))?;
    context.printer().status(&format!("{} is written", file.display()));
    Ok(())
}
