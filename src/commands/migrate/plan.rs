use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs, STATUS_LOCK_TIMEOUT};
use crate::error::CommandError;
use crate::migrate::{Direction, Engine, FolderSource, Options, PlanReport, PlannedSegment, Target};
use crate::ui::{ExitStatus, Paint, Report};

/// Show the SQL that `to` would run, where it would commit, and what it would lock
///
/// Reads the ledger and changes nothing. What is printed is SQL with comments, to be read; `--json` has each statement as
/// it stands in its file. A lock is told for each statement that
/// gets in another's way, as far as its words tell: what a function does inside, only the server knows.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// latest, none, or a migration's name
    #[arg(value_name = "latest|NAME|none", default_value = "latest")]
    target: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn run(args: &PlanArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let (connection, provenance) = database::connection(context, &args.database).await?;
    let mut session = database::migration_database(context, &connection, &provenance, STATUS_LOCK_TIMEOUT).await?;
    let options = Options { allow_unordered: settings.allow_unordered, ..Options::default() };
    let engine = Engine { source: &source, options };
    let report = engine.plan(session.as_mut(), &Target::parse(&args.target)).await?;
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

impl Report for PlanReport {
    fn text(&self, paint: Paint) -> String {
        let Some(direction) = self.direction else { return "nothing to do\n".to_owned() };
        let verb = match direction {
            Direction::Up => "run",
            Direction::Down => "undo",
        };
        let counted = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let commits = counted(self.segments.len(), "commit", "commits");
        let mut text = format!(
            "-- {} to {verb}, {commits}, {} after connecting\n\
             -- the row of a migration in the ledger changes in the commit that ends it\n",
            counted(self.migrations, "migration", "migrations"),
            counted(self.round_trips, "round trip", "round trips"),
        );
        let statements = self.segments.iter().flat_map(|segment| &segment.statements);
        text.reserve(statements.map(|statement| statement.sql.len() + 2).sum());
        self.segments.iter().for_each(|segment| show(segment, paint, &mut text));
        text
    }
}

fn show(segment: &PlannedSegment, paint: Paint, text: &mut String) {
    text.push('\n');
    if segment.transaction {
        text.push_str("begin;\n");
    } else {
        text.push_str(&format!("{}\n", paint.faint("-- outside of a transaction")));
    }
    let mut migration = "";
    for statement in &segment.statements {
        if migration != statement.migration {
            migration = &statement.migration;
            let heading = format!("-- {migration} ({}:{})", statement.file, statement.line);
            text.push_str(&format!("{}\n", paint.strong(&heading)));
        }
        if let Some(lock) = statement.lock {
            let effect = lock.effect().map(|effect| format!(" ({effect})")).unwrap_or_default();
            let line = format!("-- lock: {lock}{effect}");
            text.push_str(&if effect.is_empty() { paint.faint(&line) } else { paint.warn(&line) });
            text.push('\n');
        }
        // Only lines of our own begin at the edge: what stands in a string cannot look like a heading or a commit.
        text.extend(statement.sql.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n"));
        text.truncate(text.trim_end().len());
        text.push_str(";\n");
    }
    if segment.transaction {
        text.push_str("commit;\n");
    }
}
