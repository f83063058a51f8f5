use super::{SpecSource, control, explained, screen};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::tunnel::{Began, Control, TargetState, TunnelReport};
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
    let spec = args.source.resolve(context).await?;
    let control = control(context)?;
    let step = context.printer().step("tunnel");
    let (began, report) = match control.up(&spec, &|report| step.note(&screen::progress(report))).await {
        Ok(done) => done,
        Err(error) => return Err(explained(context, error).await),
    };
    step.done(match began {
        Began::Started => "tunnel started",
        Began::Reused => "tunnel runs already",
        Began::Restarted => "tunnel restarted",
        Began::Replaced => "tunnel supervisor replaced",
        Began::NotNeeded => "tunnel not needed: the route is direct",
    });
    look_and_tell(context, &control, report).await
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
