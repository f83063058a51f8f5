//! `transport = "direct"`: there is no supervisor, so the endpoints themselves are asked.

use super::{Probe, ProbeError, Remedy, SupervisorSpec, TargetState, TunnelError, TunnelReport, TunnelState};
use super::{identify, report};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(5);

/// What answers at the endpoints now.
pub(super) async fn report(spec: &SupervisorSpec, probe: &dyn Probe) -> TunnelReport {
    let mut report = TunnelReport::stopped();
    report.targets = report::targets(spec);
    for (target, wanted) in report.targets.iter_mut().zip(&spec.targets) {
        let asked = async {
            let stream = tokio::net::TcpStream::connect((wanted.host.as_str(), wanted.port)).await;
            let stream = stream.map_err(|error| ProbeError::Unreachable { said: error.to_string() })?;
            probe.probe(Box::new(stream), &wanted.host, &spec.ca_file).await
        };
        match timeout(LIMIT, asked).await.unwrap_or(Err(ProbeError::Silent { limit: LIMIT })) {
            Ok(found) => match identify(&found, &wanted.host) {
                Ok(name) => {
                    target.state = TargetState::Up;
                    target.certificate_name = Some(name);
                    target.rtt_ms = Some((found.round_trip.as_secs_f64() * 1e5).round() / 100.0);
                }
                Err(cause) => (target.state, target.cause) = (TargetState::Refused, Some(cause)),
            },
            Err(error) => (target.state, target.cause) = (TargetState::Down, Some(error.to_string())),
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
    let remedy = (report.state == TunnelState::Failed).then_some(Remedy::Identity);
    TunnelError::Unreachable { cause, remedy }
}
