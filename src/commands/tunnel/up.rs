use super::{SpecSource, control, explained, heal, kill_stale, screen};
use crate::commands::context::Context;
use crate::commands::environment;
use crate::discovery::Topology;
use crate::error::CommandError;
use crate::tunnel::{Began, Control, PortOwnerKind, SupervisorSpec, TargetState, TunnelError, TunnelReport};
use crate::ui::ExitStatus;

/// Start the tunnel, or see that it is up
///
/// A supervisor in the background owns the local ports and keeps an SSH connection alive behind them.
/// The command ends when the database answered end to end with the right certificate.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    source: SpecSource,
}

pub(crate) async fn run(args: &UpArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    heal::mend_for_supervisor(context).await?;
    let spec = args.source.resolve(context).await?;
    let control = control(context)?;
    let report = bring(context, &control, &spec, false).await?;
    look_and_tell(context, &control, report).await
}

/// Brings the tunnel up and prints nothing on stdout, which belongs to the program that is to follow.
pub(crate) async fn open(context: &Context) -> Result<(), CommandError> {
    heal::mend_for_supervisor(context).await?;
    let spec = SpecSource::default().resolve(context).await?;
    bring(context, &control(context)?, &spec, false).await.map(drop)
}

/// Starts or restarts. A stale ssh that sits on the port is offered to be ended first: that is the runbook's story.
pub(super) async fn bring(
    context: &Context,
    control: &Control,
    spec: &SupervisorSpec,
    again: bool,
) -> Result<TunnelReport, CommandError> {
    match begin(context, control, spec, again).await {
        Ok(report) => return Ok(report),
        Err(error @ TunnelError::PortBusy { .. }) => make_room(context, control, error).await?,
        Err(error) => return Err(explained(context, error).await),
    }
    match begin(context, control, spec, again).await {
        Ok(report) => Ok(report),
        Err(error) => Err(explained(context, error).await),
    }
}

/// Sees that the tunnel's ports can be had, by the rules of [`bring`], before anything is made that only it needs.
pub(crate) async fn look_at_ports(context: &Context, topology: &Topology) -> Result<(), CommandError> {
    let (control, targets) = (control(context)?, environment::tunnel_targets(context, topology)?);
    // Each of them may be held by a forgotten ssh.
    for _ in &targets {
        match control.check_ports(&targets).await {
            Ok(()) => return Ok(()),
            Err(error) => make_room(context, &control, error).await?,
        }
    }
    Ok(control.check_ports(&targets).await?)
}

/// Offers to end the ssh that holds a port.
///
/// # Errors
/// The error itself where another program holds the port, or the ssh stays.
async fn make_room(context: &Context, control: &Control, error: TunnelError) -> Result<(), CommandError> {
    let TunnelError::PortBusy { address, owner: Some(owner), .. } = &error else { return Err(error.into()) };
    if owner.kind != PortOwnerKind::Ssh {
        return Err(error.into());
    }
    let Some(why) = kill_stale::make_room(context, control, address.port()).await? else { return Ok(()) };
    let mut refusal = CommandError::from(error);
    refusal.causes.push(why);
    Err(refusal)
}

/// Starts or restarts, and says how that went.
async fn begin(
    context: &Context,
    control: &Control,
    spec: &SupervisorSpec,
    again: bool,
) -> Result<TunnelReport, TunnelError> {
    let step = context.printer().step("tunnel");
    let progress = |report: &TunnelReport| step.note(&screen::progress(report));
    let begun = if again { control.restart(spec, &progress).await } else { control.up(spec, &progress).await };
    let (began, report) = begun?;
    step.done(match (began, again) {
        (Began::Started, false) => "tunnel started",
        (Began::Started, true) => "tunnel started; none was running",
        (Began::Reused, _) => "tunnel runs already",
        (Began::Restarted, _) => "tunnel restarted",
        (Began::Replaced, _) => "tunnel supervisor replaced",
        (Began::NotNeeded, false) => "tunnel not needed: the route is direct",
        (Began::NotNeeded, true) => "nothing to restart: the route is direct",
    });
    Ok(report)
}

/// Shows the tunnel. A reader that is not known yet, or not up, is asked once more before it is complained about: the
/// writer alone decides when `up` and `restart` end.
pub(super) async fn look_and_tell(
    context: &Context,
    control: &Control,
    report: TunnelReport,
) -> Result<ExitStatus, CommandError> {
    let needs_look = report.targets.iter().any(|target| target.state != TargetState::Up);
    tell(context, if needs_look { control.status().await } else { report })
}

/// The writer decides, another target is worth a warning.
fn tell(context: &Context, report: TunnelReport) -> Result<ExitStatus, CommandError> {
    for target in report.targets.iter().skip(1).filter(|target| target.state != TargetState::Up) {
        let cause = target.cause.as_deref().unwrap_or("it has not answered yet");
        context.printer().warning(&format!("the {} is not up: {cause}", target.name));
    }
    let is_up = report.is_up();
    screen::show(context, report)?;
    Ok(if is_up { ExitStatus::Success } else { ExitStatus::No })
}
