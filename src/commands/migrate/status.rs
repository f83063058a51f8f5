use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs};
use crate::error::CommandError;
use crate::migrate::{Engine, FolderSource, MigrationState, Options, StatusReport};
use crate::ui::{ExitStatus, Paint, Report, Table};
use std::time::Duration;

/// Show which migrations were executed and which are pending
///
/// Changes nothing, and works where no migration ever ran. Exit code 3 when something is pending, or when the ledger
/// and the files contradict each other.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: &StatusArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let (connection, provenance) = database::connection(context, &args.database).await?;
    let mut session = database::migration_database(context, &connection, &provenance, Duration::from_secs(5)).await?;
    let options = Options { allow_unordered: settings.allow_unordered, ..Options::default() };
    let report = Engine { source: &source, options }.status(session.as_mut()).await?;
    context.printer().report(&report)?;
    for row in report.migrations.iter().filter(|row| row.edited) {
        context
            .printer()
            .warning(&format!("{} was edited after it was executed; the database has what it said before", row.name));
    }
    if let Some(problem) = &report.problem {
        context.printer().warning(problem);
        return Ok(ExitStatus::No);
    }
    Ok(if report.count(MigrationState::Pending) > 0 { ExitStatus::No } else { ExitStatus::Success })
}

impl Report for StatusReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for row in &self.migrations {
            let state = match row.state {
                MigrationState::Executed => paint.good("executed"),
                MigrationState::Pending => paint.warn("pending"),
                MigrationState::Missing => paint.bad("missing"),
            };
            table.row([row.name.clone(), state, row.executed_at.clone().unwrap_or_default()]);
        }
        let count = |state| self.count(state);
        let mut summary =
            format!("{} executed, {} pending", count(MigrationState::Executed), count(MigrationState::Pending));
        if count(MigrationState::Missing) > 0 {
            summary.push_str(&format!(", {} missing", count(MigrationState::Missing)));
        }
        format!("{}{summary}\n", table.render(2))
    }
}
