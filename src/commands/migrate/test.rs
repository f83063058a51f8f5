use super::lint::named;
use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs};
use crate::connection::Connection;
use crate::error::CommandError;
use crate::migrate::{
    Engine, Fingerprint, FolderSource, LedgerNames, MigrationSource, Options, Rehearsal, RehearsalReport, Rehearsed,
    Verdict,
};
use crate::schema::{Catalog, Ledger, fingerprint, identifier};
use crate::system::{DatabaseError, barred, is_unseen, one_line};
use crate::ui::{ExitStatus, Paint, Report, Table};
use async_trait::async_trait;
use std::time::Duration;

/// Prove on a scratch database that each down undoes its up
///
/// Makes a database of a random name on the same server, runs up, down and up of each migration there, compares the
/// schemas, and drops it. Exit code 3 when one of them fails, a down is missing or does not undo, or up cannot be
/// repeated.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Test these only; those before them are run
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: &TestArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let names = if args.names.is_empty() { source.names().to_vec() } else { named(&source, &args.names)? };
    let (connection, provenance) = database::connection(context, &args.database).await?;
    database::confirm_write(context)?;
    let tools = &context.host().tools;
    let name = database::application_name(context);
    let made = tools.scratch(&connection, &name).await;
    let mut scratch = made.map_err(|error| explain_no_scratch(error, &connection))?;
    for orphan in scratch.orphans() {
        context.printer().status(&format!("removed {orphan}, which a run of yours had left when it was killed"));
    }
    let place = Connection { database: scratch.name().to_owned(), ..connection.clone() };
    let outcome = async {
        let mut session = database::migration_database(context, &place, &provenance, Duration::from_secs(5)).await?;
        let ledger = LedgerNames {
            schema: settings.schema.clone(),
            table: settings.table.clone(),
            lock_table: settings.lock_table.clone(),
        };
        let mut schema = Schema { catalog: tools.catalog(&place, &name).await?, ledger };
        let options = Options { allow_unordered: settings.allow_unordered, ..Options::default() };
        let step = context.printer().step("testing");
        let mut tell = |name: &crate::migrate::MigrationName, done, of| step.progress(done, of, name.as_str());
        let rehearsal = Rehearsal { engine: Engine { source: &source, options }, names: &names };
        Ok::<_, CommandError>(rehearsal.run(session.as_mut(), &mut schema, &mut tell).await?)
    };
    let outcome = outcome.await;
    let removed = scratch.remove().await;
    let report = outcome?;
    context.printer().report(&report)?;
    if let Err(error) = removed {
        let hint = format!("`drop database {};` removes it", scratch.name());
        return Err(CommandError::from(error).hint(hint));
    }
    Ok(if report.has_passed() { ExitStatus::Success } else { ExitStatus::No })
}

fn explain_no_scratch(error: DatabaseError, connection: &Connection) -> CommandError {
    let is_forbidden = error.code() == Some("42501");
    let shown = CommandError::from(error);
    if !is_forbidden {
        return shown;
    }
    let user = &connection.user;
    shown
        .hint(match user.chars().any(|letter| is_unseen(letter) || letter == '`') {
            false => format!("let {user} create databases (`alter role {} createdb`)", identifier(user)),
            true => "let that user create databases".to_owned(),
        })
        .hint("or name a server to test on: `devdb migrate test --database-url postgres://user@localhost/postgres`")
}

/// The schema without what belongs to the tools.
struct Schema {
    catalog: Box<dyn Catalog>,
    ledger: LedgerNames,
}

#[async_trait]
impl Fingerprint for Schema {
    async fn take(&mut self) -> Result<String, DatabaseError> {
        let mut database = self.catalog.read_all().await?;
        let LedgerNames { schema, table, lock_table } = &self.ledger;
        let ledger = Ledger { schema: schema.as_deref(), tables: [table, lock_table] };
        database.relations.retain(|relation| !ledger.has(relation) && !relation.name.starts_with("devdb_"));
        Ok(fingerprint(&database, &ledger))
    }
}

impl Report for RehearsalReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for found in &self.migrations {
            table.row([found.migration.to_string(), verdict(found, paint), note(found).to_owned()]);
        }
        for name in &self.not_reached {
            table.row([name.to_string(), paint.faint("not reached"), String::new()]);
        }
        let mut text = table.render(2);
        for found in self.migrations.iter().filter(|found| found.verdict != Verdict::Passed) {
            text.push_str(&details(found, paint));
        }
        let passed = self.migrations.iter().filter(|found| found.verdict == Verdict::Passed).count();
        text.push_str(&format!("{passed} of {} passed\n", self.migrations.len() + self.not_reached.len()));
        text
    }
}

fn verdict(found: &Rehearsed, paint: Paint) -> String {
    match found.verdict {
        Verdict::Passed => paint.good("passed"),
        Verdict::UpFailed => paint.bad("up failed"),
        Verdict::NoDown => paint.warn("no down part"),
        Verdict::DownFailed => paint.bad("down failed"),
        Verdict::NotUndone => paint.bad("down does not undo up"),
        Verdict::NotRepeatable => paint.bad("up cannot be repeated"),
    }
}

fn note(found: &Rehearsed) -> &'static str {
    match (found.verdict, found.changes_schema, found.reorders) {
        (Verdict::UpFailed, ..) => "",
        (_, false, _) => "changes no schema",
        (_, _, true) => "columns come back in another order",
        _ => "",
    }
}

/// What is wrong, below the table.
fn details(found: &Rehearsed, paint: Paint) -> String {
    const LINES: usize = 20;
    let mut lines: Vec<String> = Vec::new();
    if let Some(error) = &found.error {
        let place = match (&error.file, error.line, error.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}: "),
            _ => String::new(),
        };
        let code = error.sqlstate.as_ref().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
        lines.push(format!("  {}", barred(&format!("{place}{}{code}", error.message), "  ")));
    }
    lines.extend(found.difference.iter().take(LINES).map(|line| format!("  {}", one_line(line))));
    if found.difference.len() > LINES {
        lines.push(format!("  … and {} lines more", found.difference.len() - LINES));
    }
    if lines.is_empty() {
        return String::new();
    }
    let what = match found.verdict {
        Verdict::NotUndone => "after down, compared with the schema before up",
        Verdict::NotRepeatable => "after down and up, compared with the schema after the first up",
        _ => "the error",
    };
    format!("{}: {what}\n{}\n", paint.strong(found.migration.as_str()), lines.join("\n"))
}
