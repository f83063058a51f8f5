use super::access::refresh_cache;
use super::bench::scope;
use crate::bastion::{self, BastionReport, BastionStatus};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;

/// Show your bastion; exit code 3 when it is not running
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(_args: &StatusArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let scope = scope(context.settings()?);
    let bastion = report(context).await?;
    let is_running = bastion.state == BastionStatus::Running;
    let left = bastion.expires_at.map(|expiry| time_left(expiry, context.host().clock.now()));
    let has_leftovers = !bastion.leftovers.is_empty();
    context.printer().report(&StatusReport { bastion, name: scope.instance_name(), left })?;
    if has_leftovers {
        context.printer().hint("`devdb bastion gc` removes what is left over; `devdb bastion up` starts over");
    }
    Ok(if is_running { ExitStatus::Success } else { ExitStatus::No })
}

/// What AWS says stands there now; the cached way in follows it.
pub(crate) async fn report(context: &Context) -> Result<BastionReport, CommandError> {
    let aws = context.aws(&context.aws_target()?).await?;
    let seen = bastion::status(&*aws, &scope(context.settings()?)).await?;
    refresh_cache(context, aws.region(), &seen)?;
    Ok(seen)
}

/// `in 3h 20m`, `12m ago`.
pub(crate) fn time_left(expiry: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let left = expiry.duration_since(now);
    if left.as_mins() < 0 { format!("{} ago", span(left)) } else { format!("in {}", span(left)) }
}

/// `3h 20m`, whichever way.
pub(super) fn span(duration: jiff::SignedDuration) -> String {
    let minutes = duration.as_mins().abs();
    let (hours, minutes) = (minutes / 60, minutes % 60);
    if hours > 0 { format!("{hours}h {minutes}m") } else { format!("{minutes}m") }
}

#[derive(Serialize)]
struct StatusReport {
    #[serde(flatten)]
    bastion: BastionReport,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    left: Option<String>,
}

impl Report for StatusReport {
    fn text(&self, paint: Paint) -> String {
        let state = self.bastion.state.name();
        let shown = match self.bastion.state {
            BastionStatus::Running => paint.good(state),
            BastionStatus::Pending => paint.warn(state),
            _ => paint.bad(state),
        };
        let left = if self.bastion.leftovers.is_empty() { "" } else { ", with leftovers" };
        let mut text = format!("{} is {shown}{left}\n{}", paint.strong(&self.name), details(&self.bastion));
        if let Some(left) = &self.left {
            text = text.trim_end().to_owned();
            text.push_str(&format!(" ({left})\n"));
        }
        text
    }
}

/// What is known of the bastion, a line each.
pub(super) fn details(bastion: &BastionReport) -> String {
    let instance = match (&bastion.instance_id, &bastion.instance_type) {
        (Some(id), Some(kind)) => Some(format!("{id} ({kind})")),
        (id, _) => id.clone(),
    };
    let has_leftovers = !bastion.leftovers.is_empty();
    let rows = [
        ("instance", instance),
        ("subnet", bastion.subnet_id.clone()),
        ("address", bastion.public_ip.map(|address| address.to_string())),
        ("name", bastion.public_dns.clone()),
        ("private", bastion.private_ip.map(|address| address.to_string())),
        ("group", bastion.security_group_id.clone().filter(|_| !has_leftovers)),
        ("database rule", bastion.database_rule_id.clone().filter(|_| !has_leftovers)),
        ("expires", bastion.expires_at.map(|expiry| expiry.to_string())),
    ];
    let mut table = Table::new();
    for (name, value) in rows {
        if let Some(value) = value {
            table.row([name.to_owned(), value]);
        }
    }
    for what in &bastion.leftovers {
        table.row(["left over", what]);
    }
    table.render(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_in_hours_and_minutes() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        assert_eq!(time_left(at(12_000), at(0)), "in 3h 20m");
        assert_eq!(time_left(at(59), at(0)), "in 0m");
        assert_eq!(time_left(at(0), at(720)), "12m ago");
    }
}
