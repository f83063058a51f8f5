use super::to::{Progress, RunArgs};
use super::workbench::Workbench;
use crate::commands::context::Context;
use crate::commands::database;
use crate::error::{CommandError, ErrorKind};
use crate::migrate::MigrationName;
use crate::migrate::repair::Mark;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Say that a migration is applied, or is not, without running anything
///
/// For a database that was changed by hand, or that comes from somewhere else. Only the ledger changes; whether the
/// schema is as you say, nobody checks. What would leave the ledger out of order is refused.
#[derive(Debug, clap::Args)]
#[group(id = "marks", required = true, multiple = true, args = ["applied", "unapplied"])]
pub(crate) struct MarkArgs {
    /// This migration's work is in the database already
    #[arg(long, value_name = "NAME")]
    applied: Vec<String>,
    /// This migration's work is not in the database
    #[arg(long, value_name = "NAME")]
    unapplied: Vec<String>,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) async fn run(args: &MarkArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let name =
        |text: &String| MigrationName::parse(text).map_err(|error| CommandError::from_error(ErrorKind::Usage, &error));
    let mut marks = Vec::new();
    for text in &args.unapplied {
        marks.push(Mark::Unapplied(name(text)?));
    }
    for text in &args.applied {
        marks.push(Mark::Applied(name(text)?));
    }
    // Migrations are applied in the order of their names, and so are the marks.
    marks.sort_by(|left, right| left.name().cmp(right.name()));
    let mut bench = Workbench::open(context, &args.run).await?;
    database::confirm_write(context)?;
    let told: Vec<String> = marks.iter().map(told).collect();
    if !database::is_protected(context)?
        && !context.confirm(&format!("write into the ledger that {}?", told.join(", ")))?
    {
        return Ok(ExitStatus::No);
    }
    let (repairer, session) = bench.parts();
    let mut progress = Progress::new(context, "marking");
    let mut events = |event| progress.tell(&event);
    let made = repairer.mark(session, &marks, &mut events).await?;
    context.printer().report(&MarkReport { marked: made.iter().map(Marked::of).collect() })?;
    Ok(ExitStatus::Success)
}

fn told(mark: &Mark) -> String {
    match mark {
        Mark::Applied(name) => format!("{name} is applied"),
        Mark::Unapplied(name) => format!("{name} is not applied"),
    }
}

#[derive(Serialize)]
struct MarkReport {
    /// Empty where the ledger said so already.
    marked: Vec<Marked>,
}

#[derive(Serialize)]
struct Marked {
    name: MigrationName,
    applied: bool,
}

impl Marked {
    fn of(mark: &Mark) -> Self {
        Self { name: mark.name().clone(), applied: matches!(mark, Mark::Applied(_)) }
    }
}

impl Report for MarkReport {
    fn text(&self, _paint: Paint) -> String {
        if self.marked.is_empty() {
            return "the ledger says so already\n".to_owned();
        }
        let line = |marked: &Marked| {
            format!("{} is marked as {}\n", marked.name, if marked.applied { "applied" } else { "not applied" })
        };
        self.marked.iter().map(line).collect()
    }
}
