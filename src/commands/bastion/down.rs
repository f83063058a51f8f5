use super::bench::{Bench, Progress};
use crate::bastion;
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Remove your bastion and everything that came with it
///
/// Revokes its access to the database, terminates the instance, deletes security group, key pair and
/// local keys. Waits until all of it is gone. Running it twice changes nothing.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DownArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

pub(crate) async fn run(args: &DownArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let report = take_down(args, context, async || Ok(())).await?;
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

/// Takes the bastion down; `devdb down` does the same as its last part, and `first` ends what goes through it.
///
/// `first` is done when everything was agreed to and before anything is changed; a dry run leaves it out.
pub(crate) async fn take_down(
    args: &DownArgs,
    context: &Context,
    first: impl AsyncFnOnce() -> Result<(), CommandError>,
) -> Result<DownReport, CommandError> {
    let bench = Bench::fetch(context).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let scope = bench.scope();
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let (identity, observed) = bastion::observe_down(&workshop, &scope).await?;
    let plan = bastion::plan_down(&identity, &observed, context.host().clock.now())?;
    let report = DownReport {
        name: scope.instance_name(),
        dry_run: args.dry_run,
        changed: plan.changes(),
        steps: plan.lines(),
        questions: plan.questions.clone(),
        kept: plan.warnings.clone(),
    };
    if !args.dry_run {
        bench.agreed(&plan.questions)?;
        first().await?;
        // Without a change the report tells what stays.
        if report.changed {
            bastion::down(&workshop, &identity, &observed, &plan).await?;
        }
    }
    if !report.kept.is_empty() {
        context.printer().hint("if that was you with another role: log in with it and run `devdb bastion down` again");
    }
    Ok(report)
}

/// What `down` did, or would do.
#[derive(Debug, Serialize)]
pub(crate) struct DownReport {
    name: String,
    pub(crate) dry_run: bool,
    pub(crate) changed: bool,
    steps: Vec<String>,
    questions: Vec<String>,
    /// What carries your alias and is not yours.
    kept: Vec<String>,
}

impl Report for DownReport {
    fn text(&self, paint: Paint) -> String {
        let name = paint.strong(&self.name);
        if !self.changed && !self.kept.is_empty() {
            let kept: String = self.kept.iter().map(|kept| format!("  {}\n", one_line(kept))).collect();
            return format!("nothing under {name} is yours; nothing was changed\n{kept}");
        }
        if !self.changed {
            return format!("{name} is gone; there is nothing to do\n");
        }
        if !self.dry_run {
            return format!("{name} is gone\n");
        }
        let mut text = format!("{name} would be removed like this:\n");
        self.steps.iter().for_each(|step| text.push_str(&format!("  {}\n", one_line(step))));
        self.questions.iter().for_each(|question| text.push_str(&format!("asking first: {}\n", one_line(question))));
        self.kept.iter().for_each(|kept| text.push_str(&format!("  {}\n", one_line(kept))));
        text
    }
}
