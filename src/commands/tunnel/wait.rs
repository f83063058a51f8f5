use super::{control, screen};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::tunnel::{TunnelReport, TunnelState};
use crate::ui::ExitStatus;
use std::time::Duration;

/// Wait until the tunnel is up (for scripts)
///
/// Whoever starts it: a tunnel that does not run yet is waited for too.
/// Exit code 0: up. 3: not up in time, or it gave up.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Wait no longer than this, as in 30s or 2min
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    timeout: Duration,
}

pub(crate) async fn run(args: &WaitArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let step = context.printer().step("waiting for the tunnel");
    let report = control(context)?.wait(args.timeout, &|report| step.note(&screen::progress(report))).await;
    drop(step);
    let is_up = report.is_up();
    if !is_up {
        complain(context, &report, args.timeout);
    }
    screen::show(context, report)?;
    Ok(if is_up { ExitStatus::Success } else { ExitStatus::No })
}

fn complain(context: &Context, report: &TunnelReport, limit: Duration) {
    let printer = context.printer();
    let seconds = limit.as_secs_f64();
    let (said, hint) = match (report.state, &report.cause) {
        (TunnelState::Stopped, None) => {
            (format!("no tunnel runs, and none was started within {seconds} s"), "run `devdb tunnel up`")
        }
        (TunnelState::Failed, _) => {
            ("the tunnel gave up; waiting would not help".to_owned(), "`devdb tunnel up` tells what to do about it")
        }
        (state, _) => {
            let word = state.word();
            (
                format!("the tunnel was not up within {seconds} s: it is {word}"),
                "`devdb tunnel logs` tells what happened",
            )
        }
    };
    printer.warning(&said);
    printer.hint(hint);
}

/// A length of time with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit() || letter == '.') {
        return Err(format!("the unit is missing: write `{text}s` or `{text}min`"));
    }
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| "write a length of time as in `30s` or `2min`")?;
    Duration::try_from(parsed).map_err(|_| "a length of time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_needs_its_unit_and_says_so() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1min"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("2").unwrap_err().contains("`2s` or `2min`"));
        assert!(duration("-2s").unwrap_err().contains("negative"));
        assert!(duration("soon").unwrap_err().contains("as in `30s`"));
        assert!(duration("").is_err());
    }
}
