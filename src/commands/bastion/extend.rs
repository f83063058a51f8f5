use super::access::{bastion_access, explained};
use super::bench::{Bench, Progress};
use super::status::time_left;
use crate::bastion::{self, BastionAccess, Event};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;
use std::time::Duration;

/// Give your bastion more time before it powers itself off
///
/// Writes the new deadline onto the instance, reads it back, then updates the tag that `status` shows. It never gets
/// less time than it has, and never more than a week from its first boot.
#[derive(Debug, clap::Args)]
pub(crate) struct ExtendArgs {
    /// How long it shall stay from now on, such as 4h or 1h30m; the setting `bastion.ttl` without it
    #[arg(value_name = "DURATION", value_parser = duration)]
    time: Option<Duration>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| "use a time such as 30m, 12h or 1h30m".to_owned())
}

pub(crate) async fn run(args: &ExtendArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let bench = Bench::fetch(context).await?;
    let progress = Progress::new(context.printer());
    let tell = |event| progress.tell(event);
    let workshop = bench.workshop(&tell);
    let _turn = bench.turn(args.dry_run, &tell).await?;
    let access = bastion_access(context).await?;
    let asking = format!("ask {} for its deadline", access.instance_id);
    tell(Event::Begun(asking.clone()));
    let seen = bastion::observe_lifetime(&workshop, &access).await;
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return Err(explained(context, error).await),
    };
    let extension = bastion::plan_extend(args.time.unwrap_or(bench.settings.bastion.ttl), &seen, access.expires_at)?;
    let outcome = format!("the deadline of {} is {}", access.instance_id, seen.deadline);
    tell(Event::Done { step: asking, outcome });
    let report = ExtendReport {
        name: bench.scope().instance_name(),
        dry_run: args.dry_run,
        changed: extension.write || extension.tag,
        steps: extension.lines(&access.instance_id),
        instance_id: access.instance_id.clone(),
        expires_at: extension.until,
        latest: seen.latest,
        left: time_left(extension.until, seen.now),
    };
    if !args.dry_run {
        bastion::extend(&workshop, &access, &extension).await?;
        BastionAccess { expires_at: Some(extension.until), ..access }.store(context.state_dir()?.path())?;
    }
    context.printer().report(&report)?;
    Ok(ExitStatus::Success)
}

/// What `extend` did, or would do.
#[derive(Serialize)]
struct ExtendReport {
    name: String,
    dry_run: bool,
    changed: bool,
    steps: Vec<String>,
    instance_id: String,
    expires_at: jiff::Timestamp,
    /// No deadline can be later.
    latest: jiff::Timestamp,
    #[serde(skip)]
    left: String,
}

impl Report for ExtendReport {
    fn text(&self, paint: Paint) -> String {
        let (name, until, left) = (paint.strong(&self.name), self.expires_at, &self.left);
        if !self.changed {
            return format!("{name} ends at {until} ({left}) already; nothing was changed\n");
        }
        if !self.dry_run {
            return format!("{name} ends at {until} ({left})\n");
        }
        let mut text = format!("{name} would be extended like this:\n");
        self.steps.iter().for_each(|step| text.push_str(&format!("  {}\n", one_line(step))));
        text
    }
}
