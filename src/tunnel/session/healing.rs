//! When AWS is asked to mend the way, and what becomes of the answer.

use super::{Note, Session};
use crate::tunnel::machine::Event;
use crate::tunnel::{HealOutcome, HealReport, TunnelState};
use std::time::Duration;
use tokio::time::Instant;

/// A trouble that is over sooner needs nobody.
const PATIENCE: Duration = Duration::from_secs(4);
/// Whoever logs in again wants the tunnel back soon; expired credentials are seen without asking AWS.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_secs(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Most visits that fail do so because there is no network: they cost AWS nothing, and it may be back any moment.
const LONGEST_PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(20);

/// The supervisor's visits to AWS during one trouble.
#[derive(Default)]
pub(super) struct Healing {
    next: Option<Instant>,
    runs: bool,
    visits: u32,
}

impl Healing {
    /// True when it is time for a visit.
    fn is_due(&mut self, is_well: bool, now: Instant) -> bool {
        if is_well {
            (self.next, self.visits) = (None, 0);
            return false;
        }
        let next = *self.next.get_or_insert(now + PATIENCE);
        if self.runs || now < next {
            return false;
        }
        (self.runs, self.visits) = (true, self.visits + 1);
        true
    }

    fn returned(&mut self, outcome: HealOutcome, now: Instant) {
        self.runs = false;
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.visits.saturating_sub(1).min(5));
        let pause = match outcome {
            HealOutcome::NeedsCredentials => CREDENTIALS_PAUSE,
            HealOutcome::Failed => doubled.min(LONGEST_PAUSE_AFTER_FAILURE),
            _ => doubled.min(LONGEST_PAUSE),
        };
        self.next = Some(now + pause);
    }
}

impl Session {
    /// Looks whether the trouble has lasted long enough, and is of a sort that AWS knows something about.
    pub(super) fn consider_healing(&mut self) {
        let is_doubtful = match self.machine.state {
            TunnelState::Starting | TunnelState::Reconnecting => self.machine.is_away,
            // The link stands and the database does not answer: its rule may be gone.
            TunnelState::Suspect => self.generation.is_some(),
            _ => false,
        };
        let Some(spec) = self.spec.heal.clone() else { return };
        if !self.healing.is_due(!is_doubtful, Instant::now()) {
            return;
        }
        let (healer, notes) = (self.tools.healer.clone(), self.notes.clone());
        tokio::spawn(async move {
            let _ = notes.send(Note::Healed(healer.heal(&spec).await));
        });
    }

    pub(super) fn healed(&mut self, report: HealReport) {
        self.healing.returned(report.outcome, Instant::now());
        let cause = report.cause.unwrap_or_default();
        match report.outcome {
            HealOutcome::Healed => {
                let done = report.changes.join("; ");
                self.tools.story.tell(self.tools.clock.now(), &format!("mended: {done}"));
                self.hurry();
                self.probe(0);
            }
            HealOutcome::Unchanged => {}
            HealOutcome::Gone => {
                // An ssh that is under way would lead nowhere.
                self.errand += 1;
                self.begun = self.errand;
                self.knocking.abort_all();
                self.happened(Event::BastionGone { cause });
            }
            HealOutcome::NeedsCredentials => {
                let hint = report.hint.map(|hint| format!(": {hint}")).unwrap_or_default();
                self.happened(Event::CannotMend { cause: format!("needs-credentials: {cause}{hint}"), login: true });
            }
            HealOutcome::Failed => {
                self.happened(Event::CannotMend { cause: format!("it could not be mended: {cause}"), login: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_trouble_needs_no_visit_and_a_long_one_fewer_and_fewer() {
        let mut healing = Healing::default();
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(!healing.is_due(false, at(0)));
        assert!(!healing.is_due(true, at(3)), "it is well again");
        assert!(!healing.is_due(false, at(5)), "a new trouble");
        assert!(healing.is_due(false, at(9)));
        assert!(!healing.is_due(false, at(99)), "one visit at a time");
        healing.returned(HealOutcome::Unchanged, at(100));
        assert!(!healing.is_due(false, at(119)));
        assert!(healing.is_due(false, at(120)));
        healing.returned(HealOutcome::Unchanged, at(120));
        assert!(!healing.is_due(false, at(159)));
        assert!(healing.is_due(false, at(160)));
        healing.returned(HealOutcome::NeedsCredentials, at(160));
        assert!(healing.is_due(false, at(175)), "whoever logs in wants it back soon");
        healing.returned(HealOutcome::Failed, at(180));
        assert!(healing.is_due(false, at(200)), "the network may be back");
    }
}
