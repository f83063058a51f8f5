use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs, STATUS_LOCK_TIMEOUT};
use crate::error::CommandError;
use crate::migrate::{FolderSource, MigrationName, MigrationState, StatusReport, Touch, trace};
use crate::schema::ObjectName;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// The migrations that touched a table, in the order in which they were, or will be, executed.
#[derive(Debug, Serialize)]
struct HistoryReport {
    table: String,
    migrations: Vec<HistoryMigration>,
    /// Executed migrations without a file: nobody can tell what they touched.
    missing: Vec<String>,
}

#[derive(Debug, Serialize)]
struct HistoryMigration {
    name: String,
    state: MigrationState,
    executed_at: Option<String>,
    statements: Vec<Touch>,
}

/// `devdb schema TABLE --history`.
pub(super) async fn run(
    context: &Context,
    database: &DatabaseArgs,
    name: &ObjectName,
) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let (connection, provenance) = database::connection(context, database).await?;
    let mut session = database::migration_database(context, &connection, &provenance, STATUS_LOCK_TIMEOUT).await?;
    let status = database::ledger_status(context, session.as_mut()).await?;
    let names: Vec<MigrationName> = with_files(&status).filter_map(|name| MigrationName::parse(name).ok()).collect();
    let touches = trace(&source, &names, name.schema.as_deref(), &name.name)?;
    let report = report(name, &status, touches);
    context.printer().report(&report)?;
    if !report.missing.is_empty() {
        context.printer().warning(&format!(
            "{} executed and has no file here, so what it did is not known",
            report.missing.join(", ") + if report.missing.len() == 1 { " was" } else { " were" }
        ));
    }
    Ok(if report.migrations.is_empty() { ExitStatus::No } else { ExitStatus::Success })
}

fn with_files(status: &StatusReport) -> impl Iterator<Item = &str> {
    let rows = status.migrations.iter().filter(|row| row.state != MigrationState::Missing);
    rows.map(|row| row.name.as_str())
}

fn report(name: &ObjectName, status: &StatusReport, touches: Vec<Touch>) -> HistoryReport {
    let of = |migration: &str| touches.iter().filter(|touch| touch.migration == migration).cloned().collect::<Vec<_>>();
    let rows = status.migrations.iter().map(|row| HistoryMigration {
        name: row.name.clone(),
        state: row.state,
        executed_at: row.executed_at.clone(),
        statements: of(&row.name),
    });
    let missing = status.migrations.iter().filter(|row| row.state == MigrationState::Missing);
    HistoryReport {
        table: name.to_string(),
        missing: missing.map(|row| row.name.clone()).collect(),
        migrations: rows.filter(|row| !row.statements.is_empty()).collect(),
    }
}

impl Report for HistoryReport {
    fn text(&self, paint: Paint) -> String {
        if self.migrations.is_empty() {
            return format!("no migration touches {}\n", one_line(&self.table));
        }
        let mut text = String::new();
        for migration in &self.migrations {
            let when = match (&migration.executed_at, migration.state) {
                (Some(time), MigrationState::Executed) => paint.faint(time),
                _ => paint.warn("pending"),
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&format!("{}  {when}\n", paint.strong(&migration.name)));
            for touch in &migration.statements {
                let then = touch
                    .then_called
                    .as_ref()
                    .map_or_else(String::new, |name| format!("  (then called {})", one_line(name)));
                text.push_str(&format!("  {}{then}\n", paint.faint(&touch.location)));
                text.extend(touch.statement.lines().map(|line| format!("    {line}").trim_end().to_owned() + "\n"));
            }
        }
        text
    }
}
