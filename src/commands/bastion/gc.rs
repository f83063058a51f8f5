use super::bench::{Bench, Progress};
use crate::bastion::{self, OwnersPart, Plan, Scope};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Remove what is left of bastions that are gone
///
/// Rules, security groups and key pairs of yours in this environment whose instance is gone, and nothing else: what
/// belongs to an instance stays, and so does everything that devdb did not make. Running it twice changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct GcArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The leftovers of every owner in every environment of the project (in this account and region); asks first, and
    /// needs the rights of an administrator
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &GcArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let report = if args.all { of_all(args, context).await? } else { of_one(args, context).await? };
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

async fn of_one(args: &GcArgs, context: &Context) -> Result<GcReport, CommandError> {
    let bench = Bench::fetch(context).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let scope = bench.scope();
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let (identity, observed) = bastion::observe_down(&workshop, &scope).await?;
    let plan = bastion::plan_gc(&identity, &observed, context.host().clock.now())?;
    let report = GcReport {
        dry_run: args.dry_run,
        changed: plan.changes(),
        questions: plan.questions.clone(),
        owners: owner(&scope, &plan).into_iter().collect(),
    };
    // Without a change the report tells all.
    if !args.dry_run && report.changed {
        bench.agreed(&plan.questions)?;
        bastion::down(&workshop, &identity, &observed, &plan).await?;
    }
    Ok(report)
}

async fn of_all(args: &GcArgs, context: &Context) -> Result<GcReport, CommandError> {
    let bench = Bench::fetch(context).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let parts = parts(&bench, context).await?;
    let report = GcReport::of(args, &parts);
    if args.dry_run || !report.changed {
        return Ok(report);
    }
    report.plan().lines().for_each(|line| context.printer().status(line));
    bench.agreed(&report.questions)?;
    // The answer may have taken its time.
    let left = bastion::still_left(&parts, self::parts(&bench, context).await?);
    bastion::gc_all(&workshop, &left).await?;
    Ok(GcReport::of(args, &left))
}

async fn parts(bench: &Bench<'_>, context: &Context) -> Result<Vec<OwnersPart>, CommandError> {
    let stock = bench.aws.stock(bench.settings.project.as_str()).await?;
    Ok(bastion::plan_gc_all(stock, context.host().clock.now()))
}

/// What `gc` did, or would do.
#[derive(Debug, Serialize)]
struct GcReport {
    dry_run: bool,
    changed: bool,
    questions: Vec<String>,
    /// Those of whom something is left over, or stays for a reason that is worth telling.
    owners: Vec<Owner>,
}

#[derive(Debug, Serialize)]
struct Owner {
    owner: String,
    environment: String,
    steps: Vec<String>,
    /// Why something stays that looks like a leftover.
    kept: Vec<String>,
}

fn owner(scope: &Scope, plan: &Plan) -> Option<Owner> {
    let is_worth_a_word = plan.changes() || !plan.warnings.is_empty();
    is_worth_a_word.then(|| Owner {
        owner: scope.owner.clone(),
        environment: scope.environment.clone(),
        steps: plan.lines(),
        kept: plan.warnings.clone(),
    })
}

impl GcReport {
    fn of(args: &GcArgs, parts: &[OwnersPart]) -> Self {
        let owners: Vec<Owner> = parts.iter().filter_map(|part| owner(&part.identity.scope, &part.leftovers)).collect();
        let losing: Vec<String> = owners
            .iter()
            .filter(|owner| !owner.steps.is_empty())
            .map(|owner| format!("{} ({})", owner.owner, owner.environment))
            .collect();
        let question = || format!("remove what is left over of {}?", losing.join(", "));
        Self {
            dry_run: args.dry_run,
            changed: !losing.is_empty(),
            questions: if losing.is_empty() { Vec::new() } else { vec![question()] },
            owners,
        }
    }

    fn plan(&self) -> String {
        let mut text = String::new();
        for owner in &self.owners {
            text.push_str(&format!("{} in environment {}:\n", one_line(&owner.owner), one_line(&owner.environment)));
            owner.steps.iter().for_each(|step| text.push_str(&format!("  {}\n", one_line(step))));
            owner.kept.iter().for_each(|reason| text.push_str(&format!("  {}\n", one_line(reason))));
        }
        text
    }
}

impl Report for GcReport {
    fn text(&self, _paint: Paint) -> String {
        let removed: usize = self.owners.iter().map(|owner| owner.steps.len()).sum();
        if !self.changed {
            let kept = self.owners.iter().flat_map(|owner| owner.kept.iter().map(|why| (&owner.owner, why)));
            let kept: String = kept.map(|(owner, why)| format!("  {}: {}\n", one_line(owner), one_line(why))).collect();
            let what = if kept.is_empty() { "nothing is left over" } else { "nothing can go yet" };
            return format!("{what}; nothing was changed\n{kept}");
        }
        if !self.dry_run {
            return format!("{removed} {} removed\n", if removed == 1 { "leftover is" } else { "leftovers are" });
        }
        let mut text = format!("this would be removed:\n{}", self.plan());
        self.questions.iter().for_each(|question| text.push_str(&format!("asking first: {}\n", one_line(question))));
        text
    }
}
