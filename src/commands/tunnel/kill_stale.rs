use super::control;
use crate::commands::context::Context;
use crate::commands::environment;
use crate::error::{CommandError, ErrorKind};
use crate::tunnel::{Control, Finding, Survey, Verdict};
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;

/// Find forgotten SSH tunnels, and end those that serve nobody
///
/// Every ssh of yours that holds a port, or was started to hold it, is tried out and explained: a tunnel whose
/// connection is dead, one that is stopped, one that never got its port. Works for tunnels that devdb did not start.
/// Each is asked for; `--yes` ends only the proven stale, and none that carries more than the port: sessions of other
/// ssh, further forwards. Programs other than ssh are never ended.
/// Exit code 4: there are stale tunnels, and nobody to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct KillStaleArgs {
    /// Look at every port that an ssh forwards
    #[arg(long)]
    all_ports: bool,
    /// End this ssh of yours, whatever was found out about it
    #[arg(long, value_name = "PID")]
    force: Option<u32>,
    /// Explain, and end nobody
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: &KillStaleArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let ports = if args.all_ports { Vec::new() } else { environment::tunnel_ports(context)? };
    let survey = survey(context, &control(context)?, ports.clone())?;
    let step = context.printer().step("looking at who holds the ports");
    let findings = survey.look().await;
    drop(step);
    let mut report = StaleReport { ports, processes: findings.into_iter().map(Looked::new).collect() };
    let status = match args.force {
        Some(pid) => force(context, &survey, &mut report, pid, args.dry_run).await?,
        None if args.dry_run => ExitStatus::Success,
        None => end_stale(context, &survey, &mut report).await?,
    };
    context.printer().report(&report)?;
    Ok(status)
}

pub(super) fn survey(context: &Context, control: &Control, ports: Vec<u16>) -> Result<Survey, CommandError> {
    let databases = match control.last_spec() {
        Some(spec) => spec.targets.into_iter().map(|target| target.host).collect(),
        None => environment::known_databases(context),
    };
    let (processes, probe) = (control.processes.clone(), control.probe.clone());
    Ok(Survey { processes, probe, ports, databases, ca_file: environment::ca_file(context)? })
}

/// Asks for each stale tunnel, and ends it.
async fn end_stale(context: &Context, survey: &Survey, report: &mut StaleReport) -> Result<ExitStatus, CommandError> {
    let is_stale = |looked: &&mut Looked| looked.finding.verdict == Verdict::Stale;
    if !report.processes.iter_mut().any(|looked| is_stale(&looked)) {
        return Ok(ExitStatus::Success);
    }
    if !context.may_agree() {
        context.printer().hint("`devdb tunnel kill-stale --yes` ends the stale ones; in a terminal each is asked for");
        return Ok(ExitStatus::Refused);
    }
    let mut status = ExitStatus::Success;
    for looked in report.processes.iter_mut().filter(is_stale) {
        match agrees(context, &looked.finding)? {
            Some(true) => looked.ended = survey.end(&looked.finding).await?,
            Some(false) => {}
            None => {
                context.printer().hint(&instead_of_yes(&looked.finding));
                status = ExitStatus::Refused;
            }
        }
    }
    Ok(status)
}

/// Whether a stale ssh may be ended; `None` where that only a person at a terminal can say. What it carries besides the
/// port may be of use yet, and `--yes` was said before that was known.
fn agrees(context: &Context, finding: &Finding) -> Result<Option<bool>, CommandError> {
    match (finding.carries.is_empty(), context.may_agree()) {
        (_, false) => Ok(None),
        (true, true) => context.confirm(&question(finding)).map(Some),
        (false, true) => context.confirm_in_person(&question(finding)),
    }
}

fn instead_of_yes(finding: &Finding) -> String {
    let pid = finding.pid.unwrap_or_default();
    let end = format!("`devdb tunnel kill-stale --force {pid}` ends it with all that it carries");
    match finding.is_stopped {
        true => format!("`kill -CONT {pid}` lets it go on; {end}"),
        false => end,
    }
}

async fn force(
    context: &Context,
    survey: &Survey,
    report: &mut StaleReport,
    pid: u32,
    dry_run: bool,
) -> Result<ExitStatus, CommandError> {
    let named = report.processes.iter_mut().find(|looked| looked.finding.pid == Some(pid));
    let Some(looked) = named.filter(|looked| looked.finding.may_be_named()) else {
        let error = format!("process {pid} is no ssh of yours that holds one of the ports or was started to hold it");
        return Err(CommandError::new(ErrorKind::Refused, error)
            .hint("`devdb tunnel kill-stale --dry-run` lists them; `--all-ports` looks at every port"));
    };
    if !dry_run {
        looked.ended = survey.end(&looked.finding).await?;
        if looked.ended && !looked.finding.carries.is_empty() {
            context.printer().status(&format!("  with process {pid} ended {}", looked.finding.carries.join(", ")));
        }
        if !looked.ended {
            context.printer().warning(&format!("process {pid} had ended already"));
        }
    }
    Ok(ExitStatus::Success)
}

fn question(finding: &Finding) -> String {
    let pid = finding.pid.unwrap_or_default();
    let (command, why) = (&finding.command, explained(finding));
    match finding.carries.is_empty() {
        true => format!("process {pid} (`{command}`): {why}. End it?"),
        false => format!("process {pid} (`{command}`): {why}. End all of that?"),
    }
}

/// Why it is stale, and what else it carries.
fn explained(finding: &Finding) -> String {
    match finding.carries.as_slice() {
        [] => finding.why.clone(),
        carries => format!("{}; it also carries {}", finding.why, carries.join(", ")),
    }
}

/// Offers to end the stale ssh on a port; `None` when the port may be free now, otherwise why its holder stays.
pub(super) async fn make_room(context: &Context, control: &Control, port: u16) -> Result<Option<String>, CommandError> {
    let survey = survey(context, control, vec![port])?;
    let step = context.printer().step(&format!("looking at who holds port {port}"));
    let findings = survey.look().await;
    drop(step);
    for finding in findings.into_iter().filter(|finding| !finding.local.is_empty()) {
        let pid = finding.pid.unwrap_or_default();
        let may_end = finding.verdict == Verdict::Stale && agrees(context, &finding)? == Some(true);
        if !may_end {
            return Ok(Some(format!("process {pid}: {}", explained(&finding))));
        }
        survey.end(&finding).await?;
        context.printer().status(&format!("  ended the stale tunnel of process {pid}: {}", finding.why));
    }
    Ok(None)
}

#[derive(Serialize)]
struct Looked {
    #[serde(flatten)]
    finding: Finding,
    ended: bool,
}

impl Looked {
    fn new(finding: Finding) -> Self {
        Self { finding, ended: false }
    }
}

#[derive(Serialize)]
struct StaleReport {
    /// Empty: all.
    ports: Vec<u16>,
    processes: Vec<Looked>,
}

impl Report for StaleReport {
    fn text(&self, paint: Paint) -> String {
        if self.processes.is_empty() {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            let ports = if ports.is_empty() { "any port".to_owned() } else { format!("port {}", ports.join(" or ")) };
            return format!("no ssh holds {ports} or was started to hold it\n");
        }
        let mut table = Table::new();
        for looked in &self.processes {
            let finding = &looked.finding;
            let verdict = match (finding.verdict, looked.ended) {
                (_, true) => paint.good("ended"),
                (Verdict::Stale, _) => paint.bad("stale"),
                (Verdict::Healthy, _) => paint.good("healthy"),
                (Verdict::Unclear, _) => paint.warn("unclear"),
                (Verdict::Devdb, _) => "devdb".to_owned(),
                (Verdict::OtherProgram, _) => "other program".to_owned(),
                (Verdict::OtherUser, _) => "other user".to_owned(),
            };
            let pid = finding.pid.map_or("?".to_owned(), |pid| pid.to_string());
            table.row([pid.as_str(), &verdict, &explained(finding)]);
            if let Some(autossh) = finding.autossh {
                table.row(["", "", &format!("autossh (process {autossh}) would start it again, and goes first")]);
            }
            table.row(["", "", &paint.faint(&finding.command)]);
        }
        let named = |looked: &&Looked| !looked.ended && looked.finding.verdict == Verdict::Unclear;
        let mut text = table.render(0);
        if let Some(pid) = self.processes.iter().find(named).and_then(|looked| looked.finding.pid) {
            text.push_str(
                &paint.faint(&format!("`devdb tunnel kill-stale --force {pid}` ends one that is not proven stale")),
            );
            text.push('\n');
        }
        text
    }
}
