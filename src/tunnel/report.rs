use super::counters::Counters;
use super::machine::Machine;
use super::{
    BastionNotes, BastionReport, ConnectionCounts, Foreign, SupervisorSpec, TargetReport, TargetState, TunnelReport,
    TunnelState, Unusable,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// What a probe found: the certificate's name and the round trip.
pub(super) type Found = Result<(String, Duration), Unusable>;

/// The report as the session knows it; counts are filled in when somebody asks.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    report: TunnelReport,
    pub(super) next_attempt: Option<Instant>,
    notes: Option<BastionNotes>,
}

impl Snapshot {
    pub(super) fn new(spec: &SupervisorSpec, local: &[(Vec<SocketAddr>, Vec<SocketAddr>)]) -> Self {
        let mut report = TunnelReport::stopped();
        // A client may ask before the session has said its first word.
        report.state = TunnelState::Starting;
        report.targets = targets(spec);
        for (target, (bound, skipped)) in report.targets.iter_mut().zip(local) {
            target.local.clone_from(bound);
            target.skipped.clone_from(skipped);
        }
        report.pid = Some(std::process::id());
        report.version = Some(super::VERSION.to_owned());
        Self { report, next_attempt: None, notes: None }
    }

    pub(super) fn take(&mut self, machine: &Machine, spec: &SupervisorSpec) {
        let report = &mut self.report;
        report.state = machine.state;
        report.since = Some(machine.since);
        report.cause.clone_from(&machine.cause);
        report.remedy = machine.remedy;
        report.restarts.clone_from(&machine.restarts);
        report.attempt = machine.attempts;
        report.equivalent = spec.equivalent();
        report.bastion = bastion(spec);
        if let (Some(bastion), Some(notes)) = (&mut report.bastion, self.notes) {
            (bastion.ready, bastion.expires_at) = (Some(notes.ready), notes.deadline);
        }
        for (target, wanted) in report.targets.iter_mut().zip(&spec.targets) {
            let endpoint = wanted.endpoint();
            if target.endpoint != endpoint {
                forget(target);
            }
            target.endpoint = endpoint;
        }
    }

    /// What the bastion of the present link says of itself.
    pub(super) fn noted(&mut self, notes: Option<BastionNotes>) {
        self.notes = notes;
        if let (Some(bastion), Some(notes)) = (&mut self.report.bastion, notes) {
            (bastion.ready, bastion.expires_at) = (Some(notes.ready), notes.deadline);
        }
    }

    pub(super) fn ssh_pids(&mut self, pids: Vec<u32>) {
        if let Some(bastion) = &mut self.report.bastion {
            bastion.ssh_pid = pids.first().copied();
            bastion.ssh_pids = pids;
        }
    }

    /// A new link: what was known of the databases was known through the old one.
    pub(super) fn forget_targets(&mut self) {
        for target in &mut self.report.targets {
            forget(target);
        }
    }

    pub(super) fn probed(&mut self, target: usize, found: &Found) {
        let Some(target) = self.report.targets.get_mut(target) else { return };
        match found {
            Ok((name, round_trip)) => {
                target.state = TargetState::Up;
                target.certificate_name = Some(name.clone());
                target.rtt_ms = Some((round_trip.as_secs_f64() * 1e5).round() / 100.0);
                target.cause = None;
            }
            Err(Unusable::Foreign(Foreign { cause, .. })) => {
                target.state = TargetState::Refused;
                target.cause = Some(cause.clone());
            }
            Err(Unusable::Down { cause, .. }) => {
                target.state = TargetState::Down;
                target.cause = Some(cause.clone());
            }
        }
    }

    pub(super) fn report(&self, counters: &[Arc<Counters>]) -> TunnelReport {
        let mut report = self.report.clone();
        for (target, counters) in report.targets.iter_mut().zip(counters) {
            target.bytes = counters.bytes.load(Relaxed);
            target.connections = counters.connections();
        }
        let pause = self.next_attempt.map(|at| at.saturating_duration_since(Instant::now()));
        report.next_attempt_in_ms =
            pause.filter(|pause| !pause.is_zero()).map(|pause| pause.as_millis().try_into().unwrap_or(u64::MAX));
        report
    }
}

/// Whose certificate it was, and how far away, was found out through another link, perhaps of another database.
fn forget(target: &mut TargetReport) {
    target.state = TargetState::Unknown;
    (target.cause, target.certificate_name, target.rtt_ms) = (None, None, None);
}

/// The targets of a specification, before anything is known of them.
pub(super) fn targets(spec: &SupervisorSpec) -> Vec<TargetReport> {
    let target = |wanted: &super::TargetSpec| TargetReport {
        name: wanted.name.clone(),
        state: TargetState::Unknown,
        local: Vec::new(),
        endpoint: wanted.endpoint(),
        certificate_name: None,
        rtt_ms: None,
        bytes: 0,
        connections: ConnectionCounts::default(),
        cause: None,
        skipped: Vec::new(),
    };
    spec.targets.iter().map(target).collect()
}

pub(super) fn bastion(spec: &SupervisorSpec) -> Option<BastionReport> {
    let link = spec.link.as_ref()?;
    Some(BastionReport {
        instance_id: link.instance_id.to_string(),
        address: link.address.to_string(),
        ssh_port: link.ssh_port,
        user: link.user.to_string(),
        ssh_pid: None,
        ssh_pids: Vec::new(),
        ready: None,
        expires_at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::Backoff;
    use jiff::Timestamp;

    fn spec(host: &str) -> SupervisorSpec {
        let target = serde_json::json!({"name": "writer", "host": host, "port": 5432, "local_port": 5432});
        let spec = serde_json::json!({"link": null, "targets": [target], "ca_file": "/ca.pem", "hold_ms": 1000});
        serde_json::from_value(spec).unwrap()
    }

    fn probed() -> Snapshot {
        let mut snapshot = Snapshot::new(&spec("db.example.com"), &[]);
        snapshot.probed(0, &Ok(("db.example.com".to_owned(), Duration::from_millis(12))));
        snapshot
    }

    #[test]
    fn a_certificate_is_not_shown_under_another_endpoint_than_its_own() {
        let machine = Machine::new(Timestamp::UNIX_EPOCH, Backoff::default());
        let mut snapshot = probed();
        snapshot.take(&machine, &spec("db.example.com"));
        assert_eq!(snapshot.report(&[]).targets[0].certificate_name.as_deref(), Some("db.example.com"));
        snapshot.take(&machine, &spec("other.example.com"));
        let target = snapshot.report(&[]).targets[0].clone();
        assert_eq!((target.endpoint.as_str(), target.certificate_name), ("other.example.com:5432", None));
    }

    #[test]
    fn what_an_old_link_knew_is_forgotten_with_it() {
        let mut snapshot = probed();
        snapshot.forget_targets();
        let target = snapshot.report(&[]).targets[0].clone();
        assert_eq!((target.state, target.certificate_name, target.rtt_ms), (TargetState::Unknown, None, None));
    }
}
