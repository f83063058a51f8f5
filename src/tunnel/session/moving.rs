//! Which instance the writer is. Aurora's certificates name the cluster's endpoints and the instance's own, so a probe
//! sees that the writer has moved; its old connections hang, or write to an instance that is read-only now.

use super::{Note, Session};
use crate::tunnel::ProbeReport;
use std::collections::BTreeSet;
use std::time::Duration;

/// When the writer is asked who it is after a server ended a connection by itself: a failover takes half a minute, and
/// its names live for five seconds.
///
/// Source: Amazon Aurora User Guide, "High availability for Amazon Aurora".
const LOOKS: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(6), Duration::from_secs(20), Duration::from_secs(45)];

/// The writer's endpoint with the names in the certificate that answered there last.
#[derive(Default)]
pub(super) struct Whereabouts {
    last: Option<(String, BTreeSet<String>)>,
    /// The only series of looks that counts.
    series: u64,
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
        for after in LOOKS {
            self.later(after, Note::LookDue { series: self.whereabouts.series });
        }
    }

    pub(super) fn look(&mut self, series: u64) {
        if series == self.whereabouts.series {
            self.probe(0);
        }
    }

    /// The writer has answered, with a certificate that was found good.
    pub(super) fn writer_seen(&mut self, report: &ProbeReport) {
        let Some(endpoint) = self.spec.targets.first().map(super::super::TargetSpec::endpoint) else { return };
        let Some(new) = self.whereabouts.seen(endpoint, &report.names) else { return };
        let instance = if new.is_empty() { "another instance".to_owned() } else { new.join(", ") };
        let line = format!("the writer is {instance} now; connections to the old one are closed");
        self.tools.story.tell(self.tools.clock.now(), &line);
        let retired = self.retired.iter().filter_map(std::sync::Weak::upgrade);
        self.generation.iter().cloned().chain(retired).for_each(|generation| generation.moved(0));
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
