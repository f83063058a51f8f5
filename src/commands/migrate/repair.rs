use super::to::{NotBegun, Progress, RunArgs};
use super::workbench::Workbench;
use crate::commands::context::Context;
use crate::commands::database;
use crate::error::{CommandError, another_plan, data_loss};
use crate::migrate::repair::{Limits, Loss, Problem, RepairPlan, RepairReport, Strategy};
use crate::ui::ExitStatus;

/// Put the history in order where branches or clocks have mixed it up
///
/// Finds what Kysely calls corrupted migrations, and shows a plan: only times in the ledger change, or what is pending
/// slides in below what ran too early, or what ran too early is undone and runs again in its turn. What nobody can
/// prove to be safe is refused with the reason. Everything is one transaction, checked before its commit by Kysely's
/// own rule; the rows of before are kept in devdb_repair_log.
#[derive(Debug, clap::Args)]
pub(crate) struct RepairArgs {
    /// Only tell: exit code 0 when nothing is wrong, 3 when it can be repaired, 4 when that is refused
    #[arg(long, conflicts_with_all = ["sql", "dry_run"])]
    check: bool,
    /// Show the plan, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the SQL of the plan, and do nothing
    #[arg(long, conflicts_with = "dry_run")]
    sql: bool,
    /// Use this way or none
    #[arg(long, value_name = "WAY")]
    strategy: Option<Way>,
    /// Go on only if the plan is still the one of this id, which --dry-run and --json tell; refused (exit code 4) otherwise
    #[arg(long, value_name = "ID")]
    plan: Option<String>,
    /// Agree that tables or columns with rows are dropped on the way
    #[arg(long)]
    accept_data_loss: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Way {
    /// Only times and names in the ledger change
    ReStamp,
    /// What is pending runs on top of what is there
    SlideIn,
    /// What has no file here is undone
    RollBack,
    /// What ran too early is undone and runs again
    Replay,
}

impl From<Way> for Strategy {
    fn from(way: Way) -> Self {
        match way {
            Way::ReStamp => Self::ReStamp,
            Way::SlideIn => Self::SlideIn,
            Way::RollBack => Self::RollBack,
            Way::Replay => Self::Replay,
        }
    }
}

pub(crate) async fn run(args: &RepairArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let outcome = execute(args, context).await;
    if let Err(error) = &outcome
        && context.printer().settings().json
        && !args.sql
    {
        context.printer().report(&NotBegun::of(error))?;
    }
    let (mut report, status) = match outcome? {
        Ending::Sql(sql) => {
            context.printer().for_programs(&sql)?;
            return Ok(ExitStatus::Success);
        }
        Ending::Report(report, status) => (*report, status),
    };
    context.printer().report(&report)?;
    match report.run.error.take() {
        Some(error) => Err(error.into()),
        None => Ok(status),
    }
}

enum Ending {
    Report(Box<RepairReport>, ExitStatus),
    Sql(String),
}

async fn execute(args: &RepairArgs, context: &Context) -> Result<Ending, CommandError> {
    let mut bench = Workbench::open(context, &args.run).await?;
    let limits = Limits { strategy: args.strategy.map(Into::into), ..bench.limits() };
    let (repairer, session) = bench.parts();
    let ending = |report, status| Ok(Ending::Report(Box::new(report), status));
    let Some((plan, lost)) = repairer.plan(session, limits).await? else {
        return ending(RepairReport::nothing(), ExitStatus::Success);
    };
    let planned = RepairReport::planned(&plan);
    if let Some(reviewed) = args.plan.as_ref().filter(|reviewed| **reviewed != plan.id()) {
        return Err(another_plan(reviewed, &plan.id()));
    }
    if args.sql {
        return Ok(Ending::Sql(planned.sql()));
    }
    if args.dry_run {
        return ending(planned, ExitStatus::Success);
    }
    if !lost.is_empty() && !args.accept_data_loss {
        return Err(data_loss(&lost, "devdb migrate repair"));
    }
    if args.check {
        return ending(planned, ExitStatus::No);
    }
    if !agreed(context, &plan, &lost, &planned)? {
        return ending(planned, ExitStatus::No);
    }
    let mut progress = Progress::new(context, "repairing");
    let mut events = |event| progress.tell(&event);
    let report = repairer.apply(session, &plan, "repair", &mut events).await;
    ending(report, ExitStatus::Success)
}

/// Shows the plan and asks. A protected environment asks for its name instead.
pub(super) fn agreed(
    context: &Context,
    plan: &RepairPlan,
    lost: &[Loss],
    planned: &RepairReport,
) -> Result<bool, CommandError> {
    planned.plan_text(context.printer().paint_out()).lines().for_each(|line| context.printer().status(line));
    for loss in lost {
        context.printer().warning(&loss.to_string());
    }
    database::confirm_write(context)?;
    // Within one millisecond Kysely itself has run them in the order of the files.
    let is_tie = plan.problems.iter().all(|problem| matches!(problem, Problem::Tie { .. }));
    if is_tie || database::is_protected(context)? {
        return Ok(true);
    }
    context.confirm("apply this?")
}
