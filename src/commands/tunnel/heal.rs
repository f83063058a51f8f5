use super::control;
use crate::bastion::Beyond;
use crate::commands::bastion::mend;
use crate::commands::context::Context;
use crate::commands::environment;
use crate::config;
use crate::error::CommandError;
use crate::system::{CloudError, one_line};
use crate::tunnel::{HealOutcome, HealReport, Presence, Remedy, read_spec};
use crate::ui::{ExitStatus, Paint, Report};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// The supervisor makes no other visit meanwhile. An instance that is started takes a minute.
const LIMIT: Duration = Duration::from_secs(180);

/// Mend the way to the bastion (run by the supervisor)
#[derive(Debug, clap::Args)]
pub(crate) struct HealArgs {
    /// The specification of the tunnel, with the settings of its `up`
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
}

pub(crate) async fn run(args: &HealArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    if let Some(heal) = args.spec.as_deref().map(read_spec).transpose()?.and_then(|spec| spec.heal) {
        let settings = serde_json::from_value(heal.settings.into()).map_err(std::io::Error::from)?;
        context.use_settings(config::thaw(&heal.environment, &heal.folder, &settings)?);
    }
    let report = match logged_in(context).await {
        Err(error) if error.is_about_credentials() => refused(HealOutcome::NeedsCredentials, error.into()),
        Err(error) => refused(HealOutcome::Failed, error.into()),
        Ok(()) => match timeout(LIMIT, heal(context)).await {
            Ok(healed) => healed.unwrap_or_else(|error| refused(HealOutcome::Failed, error)),
            Err(_) => refused(HealOutcome::Failed, late()),
        },
    };
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

fn late() -> CommandError {
    CommandError::failed(format!("AWS and the bastion were not done within {} s", LIMIT.as_secs()))
}

/// A supervisor that waits for credentials may never see those that this command was given in its variables: with
/// them the way is mended here and now, and the supervisor is told.
pub(super) async fn mend_for_supervisor(context: &Context) -> Result<(), CommandError> {
    let Presence::Ready(mut supervisor) = control(context)?.presence().await else { return Ok(()) };
    if !supervisor.status(false).await.is_ok_and(|report| report.remedy == Some(Remedy::Credentials)) {
        return Ok(());
    }
    let step = context.printer().step("mending the way to the bastion");
    let changes = heal(context).await?.changes;
    step.done(&if changes.is_empty() { "nothing had to be mended".to_owned() } else { changes.join("; ") });
    Ok(())
}

/// Whether AWS would answer at all: expired credentials are the user's to renew, and no failure of the bastion.
async fn logged_in(context: &Context) -> Result<(), CloudError> {
    let Ok(target) = context.aws_target() else { return Ok(()) };
    context.aws(&target).await?.caller().await.map(|_| ())
}

fn refused(outcome: HealOutcome, error: CommandError) -> HealReport {
    // What AWS's own client says of an expired login is long, and tells no more.
    let causes = if outcome == HealOutcome::NeedsCredentials { Vec::new() } else { error.causes };
    let cause = std::iter::once(error.message).chain(causes).collect::<Vec<_>>().join(": ");
    HealReport { outcome, changes: Vec::new(), cause: Some(cause), hint: error.hints.into_iter().next() }
}

async fn heal(context: &Context) -> Result<HealReport, CommandError> {
    let told = |outcome, cause: String| HealReport {
        outcome,
        changes: Vec::new(),
        cause: Some(cause),
        hint: Some("`devdb up`".to_owned()),
    };
    match mend(context).await? {
        Err(Beyond::Gone) => Ok(told(HealOutcome::Gone, "the bastion is gone: AWS knows no instance of it".to_owned())),
        Err(Beyond::Decision(what)) => Ok(told(HealOutcome::Failed, format!("somebody has to decide: {what}"))),
        Ok(changes) => {
            // An address that is new reaches the supervisor as a new specification.
            control(context)?.hand_over(&environment::tunnel_spec(context).await?).await?;
            let outcome = if changes.is_empty() { HealOutcome::Unchanged } else { HealOutcome::Healed };
            Ok(HealReport { outcome, changes, cause: None, hint: None })
        }
    }
}

impl Report for HealReport {
    fn text(&self, _paint: Paint) -> String {
        let lines = self.changes.iter().chain(&self.cause).map(|line| format!("{}\n", one_line(line)));
        lines.collect()
    }
}
