use super::bench::{Bench, Progress};
use crate::bastion::{
    self, BastionError, BastionReport, BastionSpec, Cidr, DatabaseSource, Plan, Site, SiteSubnet, Step,
};
use crate::commands::context::Context;
use crate::commands::topology::fresh_topology;
use crate::config::{DatabaseRule, Settings, Transport};
use crate::discovery::Topology;
use crate::error::CommandError;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::net::Ipv4Addr;

/// Bring up your bastion: instance, security groups, keys
///
/// Looks first, then does what is missing, and ends when ssh works. Running it twice changes nothing;
/// a run that was interrupted is continued by the next one.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct UpArgs {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Let in this IPv4 address instead of the one that the echo service sees (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<Ipv4Addr>,
}

pub(crate) async fn run(args: &UpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let report = bring_up(args, context).await?;
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

/// Brings the bastion up; `devdb up` does the same as its first part.
pub(crate) async fn bring_up(args: &UpArgs, context: &Context) -> Result<UpReport, CommandError> {
    needs_bastion(context.settings()?)?;
    let bench = Bench::fetch(context).await?;
    let (topology, ssh_cidrs) = tokio::try_join!(fresh_topology(context), ssh_cidrs(args, &bench))?;
    let spec = spec(bench.settings, &topology, ssh_cidrs)?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let scope = bench.scope();
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let (identity, observed) = bastion::observe_up(&workshop, &scope, &spec).await?;
    let plan = bastion::plan_up(&identity, &spec, &observed, context.host().clock.now())?;
    let mut report = UpReport {
        name: scope.instance_name(),
        dry_run: args.dry_run,
        changed: plan.changes(),
        steps: plan.lines(),
        questions: plan.questions.clone(),
        bastion: None,
    };
    if args.dry_run {
        return Ok(report);
    }
    announce(&plan, &report, context);
    bench.agreed(&plan.questions)?;
    let (stands, _) = bastion::up(&workshop, &identity, &spec, &observed, &plan).await?;
    report.bastion = Some(stands);
    Ok(report)
}

fn needs_bastion(settings: &Settings) -> Result<(), CommandError> {
    if settings.transport == Transport::Direct {
        let what = format!("environment `{}` is reached directly and needs no bastion", settings.environment);
        return Err(CommandError::failed(what).hint("`transport = \"ssh\"` in devdb.toml would go through a bastion"));
    }
    // The name goes into sshd's settings and into a script that root runs.
    let user = &settings.bastion.ssh_user;
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(allowed) {
        return Err(CommandError::failed(format!("`bastion.ssh_user` is `{user}`, which is no login name")));
    }
    Ok(())
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

/// Who may reach the ssh port: this computer, and what the team lets in besides.
pub(super) async fn ssh_cidrs(args: &UpArgs, bench: &Bench<'_>) -> Result<Vec<Cidr>, CommandError> {
    let mut cidrs: Vec<Cidr> = args.ip.iter().copied().map(Cidr::host).collect();
    if cidrs.is_empty() {
        cidrs.push(Cidr::host(bench.echo.address(&bench.settings.echo_url).await.map_err(BastionError::Echo)?));
    }
    for text in &bench.settings.bastion.allow_cidrs {
        cidrs.push(Cidr::parse(text).map_err(|reason| BastionError::Cidr { text: text.clone(), reason })?);
    }
    Ok(cidrs)
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
                self.steps.iter().for_each(|step| text.push_str(&format!("  {step}\n")));
                self.questions.iter().for_each(|question| text.push_str(&format!("asking first: {question}\n")));
                text
            }
        }
    }
}
