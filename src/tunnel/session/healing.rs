//! When AWS is asked to mend the way, and what becomes of the answer.

use super::{Note, Session};
use crate::tunnel::machine::Event;
use crate::tunnel::{HealOutcome, HealReport, TunnelState};
use std::time::Duration;
use tokio::time::Instant;

/// A trouble that is over sooner is not brought before AWS: a new link comes, or its database wakes up.
const PATIENCE: Duration = Duration::from_secs(4);
/// The same where a client, or a probe, has waited for an answer in vain before.
const PATIENCE_IN_SUSPICION: Duration = Duration::from_secs(1);
/// Whoever logs in again wants the tunnel back soon; expired credentials are seen without asking AWS.
const CREDENTIALS_PAUSE: Duration = Duration::from_secs(15);
/// Where a login is seen (`Healer::credentials`), nobody waits for that. Files are often written more than once, and
/// what helps nobody may be written again and again: each that did not help makes the next wait twice as long.
const LOGIN_PAUSE: Duration = Duration::from_secs(1);
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
    /// What the credentials looked like before the last visit.
    credentials: u64,
    /// A login that is seen makes a visit worth its while, from then on.
    login_helps: Option<Instant>,
    /// Visits in a row that were made because of a login that was seen.
    hasty: u32,
}

impl Healing {
    /// True when it is time for a visit.
    fn is_due(&mut self, is_well: bool, patience: Duration, credentials: impl FnOnce() -> u64, now: Instant) -> bool {
        if is_well {
            self.forget_trouble();
            return false;
        }
        let next = *self.next.get_or_insert(now + patience);
        if self.runs {
            return false;
        }
        let is_hasty = now < next;
        if is_hasty && self.login_helps.is_none_or(|since| now < since) {
            return false;
        }
        let found = credentials();
        if is_hasty && found == self.credentials {
            return false;
        }
        self.hasty = if is_hasty { self.hasty + 1 } else { 0 };
        (self.runs, self.visits, self.credentials) = (true, self.visits + 1, found);
        true
    }

    /// A new link: what is wrong with that, if anything, is another trouble.
    pub(super) fn forget_trouble(&mut self) {
        *self = Self { runs: self.runs, ..Self::default() };
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
        let pause = LOGIN_PAUSE.saturating_mul(1 << self.hasty.min(4));
        self.login_helps = (outcome == HealOutcome::NeedsCredentials).then_some(now + pause);
    }
}

impl Session {
    /// Looks whether the trouble has lasted long enough, and is of a sort that AWS knows something about.
    pub(super) fn consider_healing(&mut self) {
        let is_doubtful = match self.machine.state {
            TunnelState::Starting | TunnelState::Reconnecting => self.machine.is_away || self.generation.is_some(),
            // The link stands and the database does not answer: its rule may be gone.
            TunnelState::Suspect => self.generation.is_some() && !self.machine.is_unready,
            _ => false,
        };
        let Some(spec) = self.spec.heal.clone() else { return };
        let (healer, notes) = (self.tools.healer.clone(), self.notes.clone());
        let patience = match self.machine.state {
            TunnelState::Suspect => PATIENCE_IN_SUSPICION,
            _ => PATIENCE,
        };
        if !self.healing.is_due(!is_doubtful, patience, || healer.credentials(&spec), Instant::now()) {
            return;
        }
        tokio::spawn(async move {
            let _ = notes.send(Note::Healed(healer.heal(&spec).await));
        });
    }

    pub(super) fn healed(&mut self, report: HealReport) {
        self.healing.returned(report.outcome, Instant::now());
        let cause = report.cause.unwrap_or_default();
        // A new link stands, and its database may only be waking up: that something else is wrong is not said yet.
        let may_wake_up = self.machine.state != TunnelState::Suspect && self.generation.is_some();
        match report.outcome {
            HealOutcome::Healed => {
                let done = report.changes.join("; ");
                self.tools.story.tell(self.tools.clock.now(), &format!("mended: {done}"));
                self.hurry();
                self.probe_anew(0);
            }
            HealOutcome::Unchanged => {}
            _ if may_wake_up => {}
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
        let due = |healing: &mut Healing, is_well, seconds| healing.is_due(is_well, PATIENCE, || 7, at(seconds));
        assert!(!due(&mut healing, false, 0));
        assert!(!due(&mut healing, true, 3), "it is well again");
        assert!(!due(&mut healing, false, 5), "a new trouble");
        assert!(due(&mut healing, false, 9));
        assert!(!due(&mut healing, false, 99), "one visit at a time");
        healing.returned(HealOutcome::Unchanged, at(100));
        assert!(!due(&mut healing, false, 119));
        assert!(due(&mut healing, false, 120));
        healing.returned(HealOutcome::Unchanged, at(120));
        assert!(!due(&mut healing, false, 159));
        assert!(due(&mut healing, false, 160));
        healing.returned(HealOutcome::NeedsCredentials, at(160));
        assert!(due(&mut healing, false, 175), "whoever logs in wants it back soon");
        healing.returned(HealOutcome::Failed, at(180));
        assert!(due(&mut healing, false, 200), "the network may be back");
    }

    #[test]
    fn a_login_that_is_seen_is_waited_for_no_longer_than_it_takes_to_write_it() {
        let mut healing = Healing::default();
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(tenths * 100);
        assert!(!healing.is_due(false, PATIENCE, || 1, at(0)));
        assert!(!healing.is_due(false, PATIENCE, || 2, at(30)), "it is not known yet that a login would help");
        assert!(healing.is_due(false, PATIENCE, || 2, at(40)));
        healing.returned(HealOutcome::NeedsCredentials, at(45));
        assert!(!healing.is_due(false, PATIENCE, || 2, at(80)));
        assert!(healing.is_due(false, PATIENCE, || 3, at(81)));
        healing.returned(HealOutcome::NeedsCredentials, at(85));
        assert!(!healing.is_due(false, PATIENCE, || 4, at(90)), "it may not be written to its end");
        assert!(!healing.is_due(false, PATIENCE, || 4, at(95)), "and the one before did not help");
        assert!(healing.is_due(false, PATIENCE, || 4, at(105)));
        healing.returned(HealOutcome::Failed, at(110));
        assert!(!healing.is_due(false, PATIENCE, || 5, at(140)), "a login is not what is missing");
    }
}
