use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs, STATUS_LOCK_TIMEOUT};
use crate::error::{CommandError, ErrorKind};
use crate::migrate::{FolderSource, LintReport, MigrationName, MigrationSource, MigrationState, PlanError, lint};
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};

/// Find what would stop a busy database, or break the programs that use it
///
/// Looks at the pending migrations of the database, at those that are named, or at all. The rules are squawk's
/// (https://squawkhq.com/docs/rules), without those that devdb sees to itself: lock timeouts and transactions. A comment
/// `-- squawk-ignore RULE` above a statement accepts it. Exit code 3 when something is found.
#[derive(Debug, clap::Args)]
pub(crate) struct LintArgs {
    /// Look at these migrations; no database is asked
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Look at all migrations; no database is asked
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Leave out a rule, for example prefer-text-field
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    exclude: Vec<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: &LintArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let linter = context.host().tools.linter();
    if let Some(unknown) = args.exclude.iter().find(|code| !linter.knows(code)) {
        return Err(CommandError::new(ErrorKind::Usage, format!("there is no rule `{unknown}`"))
            .hint("https://squawkhq.com/docs/rules lists them; a finding names its rule"));
    }
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let names = if args.all {
        source.names().to_vec()
    } else if args.names.is_empty() {
        pending(context, &args.database).await?
    } else {
        named(&source, &args.names)?
    };
    let report = lint(&source, &names, linter.as_ref(), &args.exclude)?;
    context.printer().report(&report)?;
    if report.findings.is_empty() {
        return Ok(ExitStatus::Success);
    }
    context.printer().hint("`-- squawk-ignore RULE` on the line above a statement accepts a finding");
    Ok(ExitStatus::No)
}

async fn pending(context: &Context, args: &DatabaseArgs) -> Result<Vec<MigrationName>, CommandError> {
    let look = async {
        let (connection, provenance) = database::connection(context, args).await?;
        let mut session = database::migration_database(context, &connection, &provenance, STATUS_LOCK_TIMEOUT).await?;
        database::ledger_status(context, session.as_mut()).await
    };
    let status = look
        .await
        .map_err(|error: CommandError| error.hint("`devdb migrate lint --all`, or with names, asks no database"))?;
    let pending = status.migrations.iter().filter(|row| row.state == MigrationState::Pending);
    pending.map(|row| MigrationName::parse(&row.name).map_err(CommandError::from)).collect()
}

pub(super) fn named(source: &FolderSource, names: &[String]) -> Result<Vec<MigrationName>, CommandError> {
    let find = |name: &String| source.names().iter().find(|known| known.as_str() == name).cloned();
    let known = |name: &String| find(name).ok_or_else(|| PlanError::Unknown { name: name.clone() }.into());
    names.iter().map(known).collect()
}

impl Report for LintReport {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for found in &self.findings {
            let place = format!("{}:{}:{}", found.file, found.line, found.column);
            text.push_str(&format!(
                "{}: {}: {}\n",
                one_line(&place),
                paint.warn(&found.code),
                one_line(&found.message)
            ));
            if let Some(help) = &found.help {
                text.push_str(&format!("    {}\n", paint.faint(help)));
            }
        }
        let counted = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let findings = match self.findings.len() {
            0 => "nothing found".to_owned(),
            count => counted(count, "finding"),
        };
        text.push_str(&format!("{findings} in {}\n", counted(self.checked.len(), "migration")));
        text
    }
}
