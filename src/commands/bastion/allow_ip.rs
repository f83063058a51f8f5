use super::bench::{Bench, Progress, needs_bastion};
use super::egress::EgressArgs;
use crate::bastion;
use crate::commands::context::Context;
use crate::commands::environment;
use crate::error::CommandError;
use crate::system::one_line;
use crate::tunnel::TunnelState;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Let your present address in, and the one from before no longer
///
/// For a change of network. The new rule is made before the old one is revoked, so that nobody is shut out in between;
/// rules that devdb did not make stay. Running it twice changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct AllowIpArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    egress: EgressArgs,
}

pub(crate) async fn run(args: &AllowIpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    needs_bastion(context.settings()?)?;
    let bench = Bench::fetch(context).await?;
    let cidrs = args.egress.ssh_cidrs(&bench).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let scope = bench.scope();
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let (identity, observed) = bastion::observe_allow(&workshop, &scope).await?;
    let port = bench.settings.bastion.ssh_port;
    let plan = bastion::plan_allow(&identity, &observed, &cidrs, port, context.host().clock.now())?;
    plan.warnings.iter().for_each(|warning| context.printer().warning(warning));
    let report = AllowReport {
        name: scope.instance_name(),
        dry_run: args.dry_run,
        changed: plan.changes(),
        allowed: cidrs.iter().map(ToString::to_string).collect(),
        steps: plan.lines(),
        questions: plan.questions.clone(),
        kept: plan.warnings.clone(),
    };
    if !args.dry_run {
        bench.agreed(&plan.questions)?;
        bastion::allow(&workshop, &identity, &plan).await?;
    }
    context.printer().report(&report)?;
    if !args.dry_run {
        hint_at_tunnel(context).await?;
    }
    Ok(ExitStatus::Success)
}

/// Whoever lets an address in wants to get through.
async fn hint_at_tunnel(context: &Context) -> Result<(), CommandError> {
    match environment::tunnel_report(context).await? {
        Some(report) if report.state == TunnelState::Up => {}
        Some(_) => context.printer().hint("the tunnel tries again by itself; `devdb tunnel wait` waits for it"),
        None => context.printer().hint("`devdb tunnel up` starts the tunnel"),
    }
    Ok(())
}

/// What `allow-ip` did, or would do.
#[derive(Debug, Serialize)]
struct AllowReport {
    name: String,
    dry_run: bool,
    changed: bool,
    /// The ranges that may reach the ssh port.
    allowed: Vec<String>,
    steps: Vec<String>,
    questions: Vec<String>,
    /// What is not yours, and stays.
    kept: Vec<String>,
}

impl Report for AllowReport {
    fn text(&self, paint: Paint) -> String {
        let (name, allowed) = (paint.strong(&self.name), one_line(&self.allowed.join(", ")).into_owned());
        if !self.changed {
            return format!("{name} lets in {allowed} already; nothing was changed\n");
        }
        if !self.dry_run {
            return format!("{name} lets in {allowed}\n");
        }
        let mut text = format!("{name} would let in {allowed} like this:\n");
        self.steps.iter().for_each(|step| text.push_str(&format!("  {}\n", one_line(step))));
        self.questions.iter().for_each(|question| text.push_str(&format!("asking first: {}\n", one_line(question))));
        text
    }
}
