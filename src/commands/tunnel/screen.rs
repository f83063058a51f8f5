//! One screen for the tunnel: the same for `up`, `restart` and `status`.

use crate::commands::context::Context;
use crate::error::{CommandError, remedy_hint};
use crate::system::one_line;
use crate::tunnel::{TargetReport, TargetState, TunnelReport, TunnelState};
use crate::ui::{Paint, Report, Table, sparkline};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

const REMEMBERED_TIMES: usize = 60;

pub(super) fn show(context: &Context, report: TunnelReport) -> Result<(), CommandError> {
    let verbose = context.printer().settings().verbose > 0;
    let remedy = report.remedy;
    let screen = Screen { report, now: context.host().clock.now(), verbose };
    context.printer().report(&screen)?;
    if let Some(remedy) = remedy {
        context.printer().hint(remedy_hint(remedy));
    }
    Ok(())
}

/// The round-trip times of each target, the newest last.
#[derive(Default)]
pub(super) struct History(BTreeMap<String, VecDeque<Option<f64>>>);

impl History {
    fn note(&mut self, report: &TunnelReport) {
        for target in &report.targets {
            let times = self.0.entry(target.name.clone()).or_default();
            times.push_back(target.rtt_ms.filter(|_| target.state == TargetState::Up));
            if times.len() > REMEMBERED_TIMES {
                times.pop_front();
            }
        }
    }

    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for (name, times) in &self.0 {
            let known = times.iter().copied().flatten();
            let (least, most) = known.fold((f64::INFINITY, 0.0), |(low, high), time| (time.min(low), time.max(high)));
            let span = if most > 0.0 { format!("{least:.1} to {most:.1} ms") } else { String::new() };
            table.row([name.as_str(), &paint.good(&sparkline(times.iter().copied())), &paint.faint(&span)]);
        }
        table.render(2)
    }
}

/// Shows a tunnel that is watched: on a terminal in place of what stood there, otherwise one look below the other.
pub(super) fn redraw(context: &Context, report: TunnelReport, history: &mut History) -> std::io::Result<()> {
    let printer = context.printer();
    if printer.settings().json {
        return printer.document(&serde_json::to_string(&report)?);
    }
    history.note(&report);
    let paint = printer.paint_out();
    let screen = Screen { report, now: context.host().clock.now(), verbose: printer.settings().verbose > 0 };
    printer.redraw(&format!("{}{}", screen.text(paint), history.text(paint)))
}

/// What the tunnel is doing, for a spinner.
pub(super) fn progress(report: &TunnelReport) -> String {
    match &report.cause {
        Some(cause) => format!("{}: {cause}", report.state.word()),
        None => report.state.word().to_owned(),
    }
}

#[derive(Serialize)]
struct Screen {
    #[serde(flatten)]
    report: TunnelReport,
    #[serde(skip)]
    now: Timestamp,
    #[serde(skip)]
    verbose: bool,
}

impl Report for Screen {
    fn text(&self, paint: Paint) -> String {
        let report = &self.report;
        let word = report.state.word();
        let state = match report.state {
            TunnelState::Up => paint.good(word),
            TunnelState::Failed => paint.bad(word),
            TunnelState::Stopped => paint.faint(word),
            _ => paint.warn(word),
        };
        let mut text = format!("{} {state}", paint.strong("tunnel"));
        if let Some(since) = report.since {
            text.push_str(&paint.faint(&format!(" for {}", span(self.now, since))));
        }
        if let Some(cause) = &report.cause {
            text.push_str(&format!(": {}", one_line(cause)));
        }
        text.push('\n');
        let mut table = Table::new();
        for target in &report.targets {
            target_rows(&mut table, target, report.state == TunnelState::Stopped, paint);
        }
        if let Some(bastion) = &report.bastion {
            let port = if bastion.ssh_port == 22 { String::new() } else { format!(" port {}", bastion.ssh_port) };
            let expiry =
                bastion.expires_at.map(|at| format!("  expires in {}", span(at, self.now))).unwrap_or_default();
            let pid = paint.faint(&processes(&bastion.ssh_pids));
            table.row([
                "bastion",
                &format!("{}@{}{port} ({}){expiry}{pid}", bastion.user, bastion.address, bastion.instance_id),
            ]);
        }
        if let Some(next) = report.next_attempt_in_ms {
            table.row(["next try", &format!("in {:.1} s, after {} attempts", next as f64 / 1000.0, report.attempt)]);
        }
        if let Some(last) = report.restarts.last() {
            let count = report.restarts.len();
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            table.row(["restarted", &format!("{times}, last {} ago: {}", span(self.now, last.at), last.cause)]);
        }
        if let Some(cause) = &report.log_cause {
            table.row(["log", &paint.warn(cause)]);
        }
        if let Some(line) = report.equivalent.as_ref().filter(|_| self.verbose) {
            table.row(["by hand", &paint.faint(line)]);
        }
        text.push_str(&table.render(2));
        text
    }
}

/// The ssh processes of the link; a busy tunnel has several.
fn processes(pids: &[u32]) -> String {
    let numbers: Vec<String> = pids.iter().map(ToString::to_string).collect();
    match pids {
        [] => String::new(),
        [pid] => format!("  ssh process {pid}"),
        _ => format!("  ssh processes {}", numbers.join(" ")),
    }
}

fn target_rows(table: &mut Table, target: &TargetReport, is_stopped: bool, paint: Paint) {
    let ports: Vec<String> = target.local.iter().map(ToString::to_string).collect();
    let from = if ports.is_empty() { String::new() } else { format!("{} → ", ports.join(" ")) };
    let mut facts = vec![format!("{from}{}", target.endpoint)];
    match (target.state, &target.cause) {
        (TargetState::Up, _) => {
            facts.extend(target.rtt_ms.map(|milliseconds| paint.faint(&format!("{milliseconds:.1} ms"))));
        }
        (_, Some(cause)) => facts.push(paint.bad(cause)),
        (TargetState::Unknown, None) if is_stopped => {}
        (_, None) => facts.push(paint.warn("not asked yet")),
    }
    table.row([target.name.as_str(), &facts.join("  ")]);
    if let Some(name) = &target.certificate_name {
        let is_endpoint = target.endpoint.rsplit_once(':').is_some_and(|(host, _)| host == name);
        let whose = if is_endpoint { "verified" } else { name };
        table.row(["", &paint.faint(&format!("certificate  {whose}"))]);
    }
    let counts = target.connections;
    if counts.total > 0 {
        let held = if counts.held > 0 { format!(", {} held", counts.held) } else { String::new() };
        let line = format!("connections  {} open{held}, {} in all, {}", counts.open, counts.total, size(target.bytes));
        table.row(["", &paint.faint(&line)]);
    }
    for address in &target.skipped {
        table.row(["", &paint.faint(&format!("{address} skipped: this machine does not have that address"))]);
    }
}

fn span(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{BastionReport, ConnectionCounts, RestartReport};

    #[test]
    fn one_screen_tells_everything_and_does_not_repeat_itself() {
        let now = Timestamp::from_second(1_767_323_045).unwrap();
        let ago = |seconds: u64| now - std::time::Duration::from_secs(seconds);
        let mut report = TunnelReport::stopped();
        report.state = TunnelState::Up;
        report.since = Some(ago(250));
        report.restarts = vec![RestartReport { at: ago(250), cause: "ssh ended: Timeout".to_owned() }];
        report.bastion = Some(BastionReport {
            instance_id: "i-0abc".to_owned(),
            address: "203.0.113.7".to_owned(),
            ssh_port: 22,
            user: "ec2-user".to_owned(),
            ssh_pid: Some(4711),
            ssh_pids: vec![4711, 4712],
            ready: Some(true),
            expires_at: Some(now + std::time::Duration::from_secs(3 * 3600 + 60)),
        });
        report.equivalent = Some("ssh -fN …".to_owned());
        report.targets = vec![TargetReport {
            name: "writer".to_owned(),
            state: TargetState::Up,
            local: vec!["127.0.0.1:5432".parse().unwrap(), "[::1]:5432".parse().unwrap()],
            endpoint: "db.example.com:5432".to_owned(),
            certificate_name: Some("db.example.com".to_owned()),
            rtt_ms: Some(12.34),
            bytes: 123_456,
            connections: ConnectionCounts { open: 2, held: 1, total: 17 },
            cause: None,
            skipped: Vec::new(),
        }];
        let mut screen = Screen { report, now, verbose: true };
        let mut history = History::default();
        for (time, state) in [(10.0, TargetState::Up), (20.0, TargetState::Up), (20.0, TargetState::Down)] {
            (screen.report.targets[0].rtt_ms, screen.report.targets[0].state) = (Some(time), state);
            history.note(&screen.report);
        }
        screen.report.cause = Some("ssh said\nerror: forged".to_owned());
        assert!(screen.text(Paint { color: false }).starts_with("tunnel up for 4 min: ssh said\\nerror: forged\n"));
        screen.report.cause = None;
        assert_eq!(history.text(Paint { color: false }), "  writer  ▅█·  10.0 to 20.0 ms\n");
        (screen.report.targets[0].rtt_ms, screen.report.targets[0].state) = (Some(12.34), TargetState::Up);
        insta::assert_snapshot!(screen.text(Paint { color: false }), @r"
        tunnel up for 4 min
          writer     127.0.0.1:5432 [::1]:5432 → db.example.com:5432  12.3 ms
                     certificate  verified
                     connections  2 open, 1 held, 17 in all, 123 kB
          bastion    ec2-user@203.0.113.7 (i-0abc)  expires in 3 h 1 min  ssh processes 4711 4712
          restarted  once, last 4 min ago: ssh ended: Timeout
          by hand    ssh -fN …
        ");
    }
}
