//! `transport = "direct"`: there is no supervisor, so the endpoints themselves are asked.

use super::{
    Foreign, Probe, ProbeError, SupervisorSpec, TargetState, TunnelError, TunnelReport, TunnelState, Unusable,
    identify, judge, report,
};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);

/// What answers at the endpoints now.
pub(super) async fn report(spec: &SupervisorSpec, probe: &dyn Probe) -> TunnelReport {
    let mut report = TunnelReport::stopped();
    report.targets = report::targets(spec);
    for (target, wanted) in report.targets.iter_mut().zip(&spec.targets) {
        let goes_on = |report: &_| identify(report, &wanted.host).is_ok();
        let asked = async {
            let stream = tokio::net::TcpStream::connect((wanted.host.as_str(), wanted.port)).await;
            let stream = stream.map_err(|error| ProbeError::Unreachable { said: error.to_string() })?;
            probe.probe(Box::new(stream), &wanted.host, &spec.ca_file, &goes_on).await
        };
        let result = timeout(LIMIT, asked).await.unwrap_or(Err(ProbeError::Silent { limit: LIMIT }));
        match judge(&result, &wanted.host) {
            Ok((name, round_trip)) => {
                target.state = TargetState::Up;
                target.certificate_name = Some(name);
                target.rtt_ms = Some((round_trip.as_secs_f64() * 1e5).round() / 100.0);
            }
            Err(Unusable::Foreign(Foreign { cause, remedy })) => {
                (target.state, target.cause) = (TargetState::Refused, Some(cause));
                // Of several, the writer's counts: it is the first.
                report.remedy = report.remedy.or(Some(remedy));
            }
            Err(Unusable::Down { cause, .. }) => (target.state, target.cause) = (TargetState::Down, Some(cause)),
        }
    }
    let writer = report.targets.first();
    report.cause = writer.and_then(|writer| writer.cause.clone());
    report.state = match writer.map(|writer| writer.state) {
        Some(TargetState::Up) => TunnelState::Up,
        Some(TargetState::Refused) => TunnelState::Failed,
        _ => TunnelState::Suspect,
    };
    report
}

/// Why a direct route is not usable.
pub(super) fn refusal(report: &TunnelReport) -> TunnelError {
    let cause = report.cause.clone().unwrap_or_else(|| "the database did not answer".to_owned());
    let remedy = report.remedy.filter(|_| report.state == TunnelState::Failed);
    TunnelError::Unreachable { cause, remedy }
}
