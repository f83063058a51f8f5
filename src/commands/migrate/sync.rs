use super::repair::agreed;
use super::to::{NotBegun, Progress, RunArgs};
use super::workbench::Workbench;
use crate::commands::context::Context;
use crate::config::EnvironmentKind;
use crate::error::{CommandError, ErrorKind, data_loss};
use crate::migrate::{Engine, RunReport, Target};
use crate::ui::ExitStatus;

/// Make the database match the branch that is checked out
///
/// Undoes what is not on this branch, with the down part that the journal has kept or another branch holds, and then
/// runs what is. In a shared environment only what you ran yourself is undone; a protected one refuses.
#[derive(Debug, clap::Args)]
pub(crate) struct SyncArgs {
    /// Agree that tables or columns with rows are dropped on the way
    #[arg(long)]
    accept_data_loss: bool,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) async fn run(args: &SyncArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let outcome = execute(args, context).await;
    if let Err(error) = &outcome
        && context.printer().settings().json
    {
        context.printer().report(&NotBegun::of(error))?;
    }
    let Some(mut report) = outcome? else { return Ok(ExitStatus::No) };
    context.printer().report(&report)?;
    match report.error.take() {
        Some(error) => Err(error.into()),
        None => Ok(ExitStatus::Success),
    }
}

/// `None` where the answer was no.
async fn execute(args: &SyncArgs, context: &Context) -> Result<Option<RunReport>, CommandError> {
    let mut bench = Workbench::open(context, &args.run).await?;
    if bench.kind() == EnvironmentKind::Protected {
        return Err(CommandError::new(ErrorKind::Refused, "a protected environment is not made to follow a branch")
            .hint("`devdb migrate to latest` runs what is pending there"));
    }
    let limits = bench.limits();
    let (repairer, session) = bench.parts();
    let mut progress = Progress::new(context, "following the branch");
    let mut events = |event| progress.tell(&event);
    let mut undone = RunReport::default();
    if let Some((plan, lost)) = repairer.plan(session, limits).await? {
        if !lost.is_empty() && !args.accept_data_loss {
            return Err(data_loss(&lost, "devdb migrate sync"));
        }
        let planned = crate::migrate::repair::RepairReport::planned(&plan);
        if !agreed(context, &plan, &lost, &planned)? {
            return Ok(None);
        }
        undone = repairer.apply(session, &plan, "sync", &mut events).await.run;
    }
    if undone.error.is_none() {
        let engine = Engine { source: repairer.source, options: repairer.options.clone() };
        let RunReport { results, notices, error } = engine.migrate(session, &Target::Latest, &mut events).await;
        undone.results.extend(results);
        undone.notices.extend(notices);
        undone.error = error;
    }
    Ok(Some(undone))
}
