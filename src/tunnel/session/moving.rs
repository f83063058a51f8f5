//! Which instance the writer is. Aurora's certificates name the cluster's endpoints and the instance's own, so a probe
//! sees that the writer has moved; its old connections hang, or write to an instance that is read-only now.

use super::{Note, Session};
use crate::tunnel::{ProbeReport, TunnelState};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// When the writer is asked who it is after a server ended a connection by itself: a failover takes half a minute, and
/// its names live for five seconds.
///
/// Source: Amazon Aurora User Guide, "High availability for Amazon Aurora".
const LOOKS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(6), Duration::from_secs(20), Duration::from_secs(45)];

/// Whoever came within so long after the writer was seen last is at the same instance, most likely: it takes longer to
/// move away and back again.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// So long before a probe began may a connection have been opened whose name led where the probe's did.
const SAME_ANSWER: Duration = Duration::from_secs(1);

/// The writer's endpoint with the names in the certificate that answered there last.
#[derive(Default)]
pub(super) struct Whereabouts {
    last: Option<(String, BTreeSet<String>)>,
    seen_at: Option<Instant>,
    /// The only series of looks that counts.
    series: u64,
    /// When it began.
    since: Option<Instant>,
}

impl Whereabouts {
    /// Takes note of who answered; the names that are new when the endpoint's instance is another one.
    fn seen(&mut self, endpoint: String, names: &[String]) -> Option<Vec<String>> {
        let names: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let before = self.last.replace((endpoint.clone(), names.clone()))?;
        let is_another = before.0 == endpoint && before.1 != names;
        is_another.then(|| names.difference(&before.1).cloned().collect())
    }
}

impl Session {
    /// A server ended what a client would have gone on with: it may have ceased to be the writer.
    pub(super) fn look_out(&mut self) {
        self.whereabouts.series += 1;
        self.whereabouts.since = Some(Instant::now());
        for after in LOOKS {
            self.later(after, Note::LookDue { series: self.whereabouts.series });
        }
    }

    pub(super) fn look(&mut self, series: u64) {
        if series == self.whereabouts.series {
            self.probe(0);
        }
    }

    /// A new client was answered: while it is doubtful by whom, or whether at all, that is found out at once, so that
    /// only connections of before are closed when the writer turns out to have moved. It is found out as well when nobody
    /// has looked for long: a writer that moved unseen and moves back now would not be taken for another one.
    pub(super) fn writer_answered(&mut self) {
        let is_looking = self.whereabouts.since.is_some_and(|since| since.elapsed() < LOOKS[LOOKS.len() - 1]);
        let is_long_ago = self.whereabouts.seen_at.is_none_or(|at| at.elapsed() >= KNOWN_FOR);
        if is_looking || is_long_ago || self.machine.state == TunnelState::Suspect {
            self.probe(0);
        }
    }

    /// The writer has answered, with a certificate that was found good.
    pub(super) fn writer_seen(&mut self, report: &ProbeReport, asked: Instant) {
        self.whereabouts.seen_at = Some(Instant::now());
        let Some(endpoint) = self.spec.targets.first().map(super::super::TargetSpec::endpoint) else { return };
        let Some(new) = self.whereabouts.seen(endpoint, &report.names) else { return };
        let instance = if new.is_empty() { "another instance".to_owned() } else { new.join(", ") };
        let line = format!("the writer is {instance} now; connections to the old one are closed");
        self.tools.story.tell(self.tools.clock.now(), &line);
        let since = asked.checked_sub(SAME_ANSWER).unwrap_or(asked);
        let retired = self.retired.iter().filter_map(std::sync::Weak::upgrade);
        self.generation.iter().cloned().chain(retired).for_each(|generation| generation.moved(0, since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_has_moved_when_the_same_endpoint_shows_another_certificate() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut whereabouts = Whereabouts::default();
        let mut seen = |endpoint: &str, found: &[&str]| whereabouts.seen(endpoint.to_owned(), &names(found));
        assert_eq!(seen("c:5432", &["c", "one"]), None, "the first one");
        assert_eq!(seen("c:5432", &["ONE", "c"]), None, "the same one");
        assert_eq!(seen("c:5432", &["c", "two"]), Some(names(&["two"])));
        assert_eq!(seen("d:5432", &["d", "one"]), None, "another endpoint is no move");
        assert_eq!(seen("d:5432", &["d"]), Some(Vec::new()));
    }
}
