use super::bench::{Bench, Progress, needs_bastion};
use super::egress::EgressArgs;
use crate::bastion::{
    self, BastionError, BastionReport, BastionSpec, Cidr, Condemned, DatabaseSource, Plan, Site, SiteSubnet, Step,
    Workshop,
};
use crate::commands::context::Context;
use crate::commands::topology::fresh_topology;
use crate::config::{DatabaseRule, Settings};
use crate::discovery::Topology;
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::time::Duration;

/// Bring up your bastion: instance, security groups, keys
///
/// Looks first, then does what is missing, and ends when ssh works. Running it twice changes nothing;
/// a run that was interrupted is continued by the next one.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct UpArgs {
    /// When it powers itself off, if it has to be made: after 4h, say, instead of `bastion.ttl`
    #[arg(long, value_name = "DURATION", value_parser = super::extend::duration)]
    ttl: Option<Duration>,
    /// Put a new instance with new keys in the place of the one that stands
    #[arg(long)]
    replace: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    egress: EgressArgs,
}

pub(crate) async fn run(args: &UpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let report = bring_up(args, context, async |_| Ok(())).await?;
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

/// Brings the bastion up; `devdb up` does the same as its first part.
///
/// `first` sees to what would make it useless, before anything is asked or changed; a dry run leaves it out.
pub(crate) async fn bring_up(
    args: &UpArgs,
    context: &Context,
    first: impl AsyncFnOnce(&Topology) -> Result<(), CommandError>,
) -> Result<UpReport, CommandError> {
    needs_bastion(context.settings()?)?;
    let bench = Bench::fetch(context).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let scope = bench.scope();
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let looking = context.printer().step("looking at what is there");
    let (topology, ssh_cidrs, (identity, mut observed)) =
        tokio::try_join!(fresh_topology(context), args.egress.ssh_cidrs(&bench), async {
            Ok(bastion::observe(&workshop, &scope).await?)
        })?;
    let spec = spec(bench.settings, &topology, ssh_cidrs)?;
    let spec = BastionSpec { ttl: args.ttl.unwrap_or(spec.ttl), ..spec };
    observed.condemned = args.replace.then_some(Condemned::All);
    bastion::observe_for_up(&workshop, &identity, &spec, &mut observed).await?;
    looking.done(&format!("found cluster {} in {}", topology.cluster.id, topology.vpc_id));
    let plan = bastion::plan_up(&identity, &spec, &observed, context.host().clock.now())?;
    let mut report = UpReport {
        name: scope.instance_name(),
        dry_run: args.dry_run,
        changed: plan.changes(),
        // With the waits; a plan of nothing but them does nothing.
        steps: plan.steps.iter().filter(|_| plan.changes()).map(Step::to_string).collect(),
        questions: plan.questions.clone(),
        kept: plan.warnings.clone(),
        bastion: None,
    };
    if args.dry_run {
        return Ok(report);
    }
    first(&topology).await?;
    announce(&plan, &report, context);
    if !report.kept.is_empty() {
        context.printer().hint("to be told apart from others, choose another alias: `export DEVDB_ALIAS=…`");
    }
    bench.agreed(&plan.questions)?;
    let done = bastion::up(&workshop, &identity, &spec, &observed, &plan).await;
    let stands = match done {
        Err(BastionError::Defective { id, defect, console })
            if defect.is_proven() && !args.replace && context.may_agree() =>
        {
            progress.clear();
            let found = std::iter::once(format!("the bastion {id} {defect}")).chain(console.lines());
            found.for_each(|line| context.printer().status(&format!("  {line}")));
            let condemned = Condemned::One { instance_id: id, reason: defect.reason() };
            let (stands, steps) = replace(&bench, &workshop, &spec, condemned).await?;
            report.changed = true;
            report.steps.extend(steps);
            stands
        }
        other => other?.0,
    };
    hint_at_less_time(args, &stands, context);
    report.bastion = Some(stands);
    Ok(report)
}

/// Puts a new instance in the place of one that was found to be of no use, if the user agrees. What was done comes along.
async fn replace(
    bench: &Bench<'_>,
    workshop: &Workshop<'_>,
    spec: &BastionSpec,
    condemned: Condemned,
) -> Result<(BastionReport, Vec<String>), CommandError> {
    let (identity, mut observed) = bastion::observe(workshop, &bench.scope()).await?;
    observed.condemned = Some(condemned);
    bastion::observe_for_up(workshop, &identity, spec, &mut observed).await?;
    let plan = bastion::plan_up(&identity, spec, &observed, workshop.clock.now())?;
    bench.agreed(&plan.questions)?;
    let (stands, _) = bastion::up(workshop, &identity, spec, &observed, &plan).await?;
    Ok((stands, plan.lines()))
}

/// One that stands already keeps its deadline.
fn hint_at_less_time(args: &UpArgs, stands: &BastionReport, context: &Context) {
    let Some(wanted) = args.ttl.and_then(|ttl| jiff::SignedDuration::try_from(ttl).ok()) else { return };
    let left = stands.expires_at.map(|expiry| expiry.duration_since(context.host().clock.now()));
    // Making it took a while as well.
    if left.is_some_and(|left| left + jiff::SignedDuration::from_mins(10) < wanted) {
        let time = format!("{wanted:#}").replace(' ', "");
        context.printer().hint(&format!("it ends sooner than that; `devdb bastion extend {time}` gives it the time"));
    }
}

fn announce(plan: &Plan, report: &UpReport, context: &Context) {
    let printer = context.printer();
    if plan.changes() && !printer.settings().json {
        printer.status(&format!("bringing up {} in {} steps", report.name, plan.steps.len()));
    }
    // Said when the rule is made, and only then.
    let by_address = |step: &Step| matches!(step, Step::AllowDatabase { source, .. } if !matches!(source, bastion::PlannedSource::Group));
    if plan.steps.iter().any(by_address) && !printer.settings().json {
        printer.hint(
            "the database will let in the bastion's private address, and goes on doing so when the bastion expires; \
             `database_rule = \"security-group\"` in [environment.NAME.bastion] ties the rule to the bastion instead",
        );
    }
}

pub(super) fn spec(
    settings: &Settings,
    topology: &Topology,
    ssh_cidrs: Vec<Cidr>,
) -> Result<BastionSpec, CommandError> {
    let cluster = &topology.cluster;
    let writer = cluster.writer();
    let group = writer.and_then(|writer| writer.security_group_ids.first());
    let database_group_id = group
        .cloned()
        .ok_or_else(|| CommandError::failed(format!("the writer of cluster `{}` has no security group", cluster.id)))?;
    let wanted = &settings.bastion;
    Ok(BastionSpec {
        site: Site {
            vpc_id: topology.vpc_id.clone(),
            subnets: topology
                .ingress_subnets
                .iter()
                .map(|subnet| SiteSubnet { id: subnet.id.clone(), zone: subnet.zone.clone() })
                .collect(),
            database_group_id,
            endpoints: [Some(&cluster.writer_endpoint), cluster.reader_endpoint.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            port: cluster.port,
            database_cidrs: topology.database_cidrs.clone(),
            ipv6: topology.ipv6,
        },
        instance_type: wanted.instance_type.clone(),
        instance_type_is_chosen: wanted.instance_type_is_chosen,
        image: wanted.ami.clone(),
        kms_key: wanted.kms_key.clone(),
        ssh_user: wanted.ssh_user.clone(),
        ssh_port: wanted.ssh_port,
        ttl: wanted.ttl,
        database_source: match wanted.database_rule {
            DatabaseRule::PrivateIp => DatabaseSource::PrivateIp,
            DatabaseRule::SecurityGroup => DatabaseSource::Group,
        },
        ssh_cidrs,
        tags: wanted.tags.clone(),
    })
}

/// What `up` did, or would do.
#[derive(Debug, Serialize)]
pub(crate) struct UpReport {
    pub(crate) name: String,
    dry_run: bool,
    pub(crate) changed: bool,
    steps: Vec<String>,
    /// What would be asked first.
    questions: Vec<String>,
    /// What carries your alias and is not yours.
    kept: Vec<String>,
    pub(crate) bastion: Option<BastionReport>,
}

impl Report for UpReport {
    fn text(&self, paint: Paint) -> String {
        match &self.bastion {
            Some(bastion) => {
                let what = if self.changed { "is up" } else { "is up already; nothing was changed" };
                format!("{} {what}\n{}", paint.strong(&self.name), super::status::details(bastion))
            }
            None if !self.changed => format!("{} is up; there is nothing to do\n", paint.strong(&self.name)),
            None => {
                let mut text = format!("{} would be brought up like this:\n", paint.strong(&self.name));
                self.steps.iter().for_each(|step| text.push_str(&format!("  {}\n", one_line(step))));
                self.questions
                    .iter()
                    .for_each(|question| text.push_str(&format!("asking first: {}\n", one_line(question))));
                self.kept.iter().for_each(|kept| text.push_str(&format!("  {}\n", one_line(kept))));
                text
            }
        }
    }
}
