//! What the supervisor decides, without doing any of it.

use super::{Backoff, LinkError, Remedy, RestartReport, TunnelState};
use jiff::Timestamp;
use std::time::Duration;

/// Something that happened to the tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Started,
    LinkOpened,
    LinkFailed(LinkError),
    /// The ssh master is gone after this long.
    LinkLost {
        cause: String,
        lived: Duration,
    },
    /// The bastion answered a round trip; so the doubt is about the database.
    LinkAnswers,
    LinkSilent {
        lived: Duration,
    },
    /// ssh lives on, but its local socket is gone.
    LinkUnreachable {
        lived: Duration,
    },
    WriterUp,
    /// `silent`: nothing came back, which may be the link's fault; otherwise the bastion or the database refused.
    WriterDown {
        cause: String,
        silent: bool,
    },
    WriterForeign {
        cause: String,
    },
    /// A client got no answer, or the machine slept.
    Suspicion {
        cause: String,
    },
    RestartAsked {
        cause: String,
    },
    /// AWS knows no instance any more.
    BastionGone {
        cause: String,
    },
    /// AWS was asked to mend the way, in vain. `login`: because of the credentials.
    CannotMend {
        cause: String,
        login: bool,
    },
    StopAsked,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    OpenLink {
        after: Duration,
    },
    /// New connections wait for the next generation; the present one ends when its connections have ended.
    RetireLink,
    /// The present generation ends now.
    CloseLink,
    CheckLink,
    Probe {
        after: Duration,
    },
}

/// How many restarts `status` remembers.
const REMEMBERED_RESTARTS: usize = 20;

/// The tunnel's state and how it moves. Pure: time and chance are handed in.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) state: TunnelState,
    pub(super) since: Timestamp,
    pub(super) cause: Option<String>,
    pub(super) remedy: Option<Remedy>,
    pub(super) restarts: Vec<RestartReport>,
    /// Attempts to open a link since it was last stable.
    pub(super) attempts: u32,
    authentication_refusals: u32,
    probe_failures: u32,
    has_link: bool,
    /// The last trouble was that the bastion cannot be reached; so look whether it can before ssh is tried.
    pub(super) is_away: bool,
    backoff: Backoff,
}

impl Machine {
    pub(super) fn new(now: Timestamp, backoff: Backoff) -> Self {
        Self {
            state: TunnelState::Starting,
            since: now,
            cause: None,
            remedy: None,
            restarts: Vec::new(),
            attempts: 0,
            authentication_refusals: 0,
            probe_failures: 0,
            has_link: false,
            is_away: false,
            backoff,
        }
    }

    /// Moves on. `random` in `0..1` is the jitter of a pause, should one be needed.
    pub(super) fn on(&mut self, event: Event, now: Timestamp, random: f64) -> Vec<Action> {
        if self.state == TunnelState::Stopping {
            return Vec::new();
        }
        match event {
            Event::StopAsked => {
                self.enter(TunnelState::Stopping, None, now);
                Vec::new()
            }
            Event::RestartAsked { cause } => {
                (self.attempts, self.authentication_refusals, self.remedy) = (0, 0, None);
                self.is_away = false;
                self.replace(cause, now, random, Action::RetireLink)
            }
            // A link that gave up stays so until somebody asks for a restart.
            _ if self.state == TunnelState::Failed => Vec::new(),
            Event::Started => vec![self.next_attempt(random)],
            Event::LinkOpened => {
                (self.has_link, self.is_away) = (true, false);
                (self.authentication_refusals, self.probe_failures) = (0, 0);
                vec![Action::Probe { after: Duration::ZERO }]
            }
            Event::LinkFailed(error) => self.link_failed(&error, now, random),
            Event::LinkLost { cause, lived } => {
                self.is_away = is_of_the_network(&cause);
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                self.replace(cause, now, random, Action::CloseLink)
            }
            Event::LinkSilent { lived } => {
                self.is_away = true;
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                self.replace("the bastion does not answer any more".to_owned(), now, random, Action::RetireLink)
            }
            Event::LinkUnreachable { lived } => {
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                // Connections that run already need no socket.
                self.replace("the socket of ssh has vanished".to_owned(), now, random, Action::RetireLink)
            }
            Event::LinkAnswers => vec![Action::Probe { after: self.backoff.delay(self.probe_failures, random) }],
            Event::WriterUp => {
                (self.probe_failures, self.remedy) = (0, None);
                self.enter(TunnelState::Up, None, now);
                Vec::new()
            }
            Event::WriterDown { cause, silent } => {
                self.enter(TunnelState::Suspect, Some(cause), now);
                self.probe_failures += 1;
                if silent {
                    return vec![Action::CheckLink];
                }
                vec![Action::Probe { after: self.backoff.delay(self.probe_failures, random) }]
            }
            Event::WriterForeign { cause } => {
                self.give_up(cause, Remedy::Identity, now);
                vec![Action::CloseLink]
            }
            Event::BastionGone { cause } => {
                let had_link = self.has_link;
                self.give_up(cause, Remedy::Bastion, now);
                if had_link { vec![Action::CloseLink] } else { Vec::new() }
            }
            Event::CannotMend { cause, login } if self.state != TunnelState::Up => {
                self.cause = Some(cause);
                self.remedy = login.then_some(Remedy::Credentials);
                Vec::new()
            }
            Event::CannotMend { .. } => Vec::new(),
            Event::Suspicion { cause } if self.state == TunnelState::Up => {
                self.enter(TunnelState::Suspect, Some(cause), now);
                vec![Action::CheckLink]
            }
            Event::Suspicion { .. } => Vec::new(),
        }
    }

    fn link_failed(&mut self, error: &LinkError, now: Timestamp, random: f64) -> Vec<Action> {
        let said = error.said();
        let cause = if said.is_empty() { error.to_string() } else { format!("{error} ({said})") };
        if matches!(error, LinkError::Authentication { .. }) {
            self.authentication_refusals += 1;
        }
        // An instance that has just booted may refuse the key once, before its user is set up.
        let once_is_nothing = matches!(error, LinkError::Authentication { .. }) && self.authentication_refusals < 2;
        if let Some(remedy) = error.remedy().filter(|_| !once_is_nothing) {
            self.give_up(cause, remedy, now);
            return Vec::new();
        }
        self.cause = Some(cause);
        self.is_away =
            matches!(error, LinkError::NoNetwork { .. } | LinkError::TimedOut { .. } | LinkError::Refused { .. });
        if matches!(error, LinkError::NoNetwork { .. }) {
            // No attempt is burned while there is nothing to attempt with.
            return vec![Action::OpenLink { after: Duration::from_secs(1) }];
        }
        vec![self.next_attempt(random)]
    }

    fn replace(&mut self, cause: String, now: Timestamp, random: f64, old: Action) -> Vec<Action> {
        self.restarts.push(RestartReport { at: now, cause: cause.clone() });
        if self.restarts.len() > REMEMBERED_RESTARTS {
            self.restarts.remove(0);
        }
        self.enter(TunnelState::Reconnecting, Some(cause), now);
        let had_link = std::mem::take(&mut self.has_link);
        let open = self.next_attempt(random);
        if had_link { vec![old, open] } else { vec![open] }
    }

    fn next_attempt(&mut self, random: f64) -> Action {
        let after = self.backoff.delay(self.attempts, random);
        self.attempts = self.attempts.saturating_add(1);
        Action::OpenLink { after }
    }

    fn give_up(&mut self, cause: String, remedy: Remedy, now: Timestamp) {
        self.has_link = false;
        self.remedy = Some(remedy);
        self.enter(TunnelState::Failed, Some(cause), now);
    }

    fn enter(&mut self, state: TunnelState, cause: Option<String>, now: Timestamp) {
        if self.state != state {
            self.since = now;
        }
        self.state = state;
        self.cause = cause;
    }
}

/// Whether ssh ended because nobody answered any more (its words of `clientloop.c` and `packet.c`).
fn is_of_the_network(cause: &str) -> bool {
    ["Timeout, server", "Broken pipe", "Connection timed out", "No route to host", "Network is"]
        .into_iter()
        .any(|words| cause.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TunnelState::{Failed, Reconnecting, Starting, Stopping, Suspect, Up};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn open(milliseconds: u64) -> Action {
        Action::OpenLink { after: Duration::from_millis(milliseconds) }
    }

    fn up() -> Machine {
        let mut machine = Machine::new(NOW, Backoff::default());
        assert_eq!(machine.on(Event::Started, NOW, 1.0), [open(0)]);
        assert_eq!(machine.state, Starting);
        assert_eq!(machine.on(Event::LinkOpened, NOW, 1.0), [Action::Probe { after: Duration::ZERO }]);
        assert_eq!(machine.state, Starting);
        assert_eq!(machine.on(Event::WriterUp, NOW, 1.0), []);
        assert_eq!(machine.state, Up);
        machine
    }

    fn lost(lived: u64) -> Event {
        Event::LinkLost { cause: "ssh ended".to_owned(), lived: Duration::from_secs(lived) }
    }

    #[test]
    fn a_lost_link_is_replaced_at_once_and_remembered() {
        let mut machine = up();
        assert_eq!(machine.on(lost(60), NOW, 1.0), [Action::CloseLink, open(0)]);
        assert_eq!((machine.state, machine.restarts.len()), (Reconnecting, 1));
    }

    #[test]
    fn a_link_that_keeps_dying_is_replaced_more_and_more_slowly() {
        let mut machine = up();
        assert_eq!(machine.on(lost(0), NOW, 1.0), [Action::CloseLink, open(500)]);
        assert_eq!(machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 1.0), [open(1000)]);
        assert_eq!(machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 0.5), [open(1000)]);
    }

    #[test]
    fn no_attempt_is_burned_without_a_network() {
        let mut machine = up();
        machine.on(lost(60), NOW, 1.0);
        let attempts = machine.attempts;
        for _ in 0..100 {
            let without = LinkError::NoNetwork { said: String::new() };
            assert_eq!(machine.on(Event::LinkFailed(without), NOW, 1.0), [open(1000)]);
        }
        assert_eq!(machine.attempts, attempts);
    }

    #[test]
    fn a_foreign_host_key_ends_it_at_once_and_only_a_restart_begins_again() {
        let mut machine = up();
        machine.on(lost(60), NOW, 1.0);
        assert_eq!(machine.on(Event::LinkFailed(LinkError::HostKey { said: String::new() }), NOW, 1.0), []);
        assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::HostKey)));
        assert_eq!(machine.on(Event::Suspicion { cause: "woke up".to_owned() }, NOW, 1.0), []);
        assert_eq!(machine.state, Failed);
        assert_eq!(machine.on(Event::RestartAsked { cause: "asked".to_owned() }, NOW, 1.0), [open(0)]);
        assert_eq!((machine.state, machine.remedy), (Reconnecting, None));
    }

    #[test]
    fn a_refused_key_is_tried_once_more() {
        let mut machine = Machine::new(NOW, Backoff::default());
        machine.on(Event::Started, NOW, 1.0);
        let refused = || Event::LinkFailed(LinkError::Authentication { said: String::new() });
        assert_eq!(machine.on(refused(), NOW, 1.0), [open(500)]);
        assert_eq!(machine.on(refused(), NOW, 1.0), []);
        assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Authentication)));
    }

    #[test]
    fn another_database_behind_the_endpoint_closes_the_link() {
        let mut machine = up();
        let foreign = Event::WriterForeign { cause: "the certificate is for staging".to_owned() };
        assert_eq!(machine.on(foreign, NOW, 1.0), [Action::CloseLink]);
        assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Identity)));
    }

    #[test]
    fn doubt_is_settled_from_the_near_end_to_the_far_one() {
        let mut machine = up();
        let doubt = || Event::Suspicion { cause: "a client waits".to_owned() };
        assert_eq!(machine.on(doubt(), NOW, 1.0), [Action::CheckLink]);
        assert_eq!(machine.state, Suspect);
        assert_eq!(machine.on(doubt(), NOW, 1.0), [], "one check at a time");
        assert_eq!(machine.on(Event::LinkAnswers, NOW, 1.0), [Action::Probe { after: Duration::ZERO }]);
        let silent = Event::WriterDown { cause: "no answer".to_owned(), silent: true };
        assert_eq!(machine.on(silent, NOW, 1.0), [Action::CheckLink]);
        let silent = Event::LinkSilent { lived: Duration::from_secs(90) };
        assert_eq!(machine.on(silent, NOW, 1.0), [Action::RetireLink, open(0)]);
        assert_eq!(machine.state, Reconnecting);
    }

    #[test]
    fn an_ssh_that_nobody_can_reach_is_replaced_and_more_slowly_each_time() {
        let mut machine = up();
        let unreachable = |lived| Event::LinkUnreachable { lived: Duration::from_secs(lived) };
        assert_eq!(machine.on(unreachable(90), NOW, 1.0), [Action::RetireLink, open(0)]);
        assert_eq!((machine.state, machine.restarts.len()), (Reconnecting, 1));
        machine.on(Event::LinkOpened, NOW, 1.0);
        assert_eq!(machine.on(unreachable(0), NOW, 1.0), [Action::RetireLink, open(500)]);
    }

    #[test]
    fn a_database_that_refuses_keeps_its_ssh() {
        let mut machine = up();
        let refused = || Event::WriterDown { cause: "refused".to_owned(), silent: false };
        assert_eq!(machine.on(refused(), NOW, 1.0), [Action::Probe { after: Duration::from_millis(500) }]);
        assert_eq!(machine.on(refused(), NOW, 1.0), [Action::Probe { after: Duration::from_secs(1) }]);
        assert_eq!(machine.state, Suspect);
        machine.on(Event::WriterUp, NOW, 1.0);
        assert_eq!((machine.state, machine.restarts.len()), (Up, 0));
    }

    #[test]
    fn only_what_looks_like_the_network_is_waited_for() {
        let mut machine = up();
        machine.on(lost(60), NOW, 1.0);
        assert!(!machine.is_away, "a killed ssh is replaced without a question");
        machine.on(Event::LinkFailed(LinkError::TimedOut { said: String::new() }), NOW, 1.0);
        assert!(machine.is_away);
        machine.on(Event::LinkFailed(LinkError::Failed { said: String::new() }), NOW, 1.0);
        assert!(!machine.is_away);
        let cause = "ssh ended: Timeout, server 203.0.113.7 not responding.".to_owned();
        machine.on(Event::LinkLost { cause, lived: Duration::ZERO }, NOW, 1.0);
        assert!(machine.is_away);
        machine.on(Event::RestartAsked { cause: "asked".to_owned() }, NOW, 1.0);
        assert!(!machine.is_away);
        machine.on(Event::LinkSilent { lived: Duration::ZERO }, NOW, 1.0);
        assert!(machine.is_away);
        machine.on(Event::LinkOpened, NOW, 1.0);
        assert!(!machine.is_away);
    }

    #[test]
    fn a_bastion_that_is_gone_ends_it_and_missing_credentials_do_not() {
        let mut machine = up();
        machine.on(lost(60), NOW, 1.0);
        let cause = || "needs-credentials: expired".to_owned();
        assert_eq!(machine.on(Event::CannotMend { cause: cause(), login: true }, NOW, 1.0), []);
        assert_eq!(
            (machine.state, machine.cause.clone(), machine.remedy),
            (Reconnecting, Some(cause()), Some(Remedy::Credentials))
        );
        machine.on(Event::LinkOpened, NOW, 1.0);
        machine.on(Event::WriterUp, NOW, 1.0);
        assert_eq!((machine.state, machine.remedy), (Up, None));
        machine.on(Event::CannotMend { cause: cause(), login: true }, NOW, 1.0);
        assert_eq!((machine.state, machine.cause.clone()), (Up, None), "it came too late");
        machine.on(lost(60), NOW, 1.0);
        assert_eq!(machine.on(Event::BastionGone { cause: "gone".to_owned() }, NOW, 1.0), []);
        assert_eq!((machine.state, machine.remedy), (Failed, Some(Remedy::Bastion)));
    }

    #[test]
    fn nothing_moves_a_tunnel_that_is_stopping() {
        let mut machine = up();
        machine.on(Event::StopAsked, NOW, 1.0);
        assert_eq!(machine.on(lost(1), NOW, 1.0), []);
        assert_eq!(machine.state, Stopping);
    }
}
