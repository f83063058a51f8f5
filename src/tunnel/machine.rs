//! What the supervisor decides, without doing any of it.

use super::{Absence, Backoff, Foreign, LinkEnd, LinkError, Remedy, RestartReport, TunnelState};
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
        end: LinkEnd,
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
    WriterDown {
        cause: String,
        absence: Absence,
    },
    WriterForeign(Foreign),
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
    /// The writer answers, and takes no sessions: nobody else can mend that.
    pub(super) is_unready: bool,
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
            is_unready: false,
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
                (self.has_link, self.is_away, self.is_unready) = (true, false, false);
                (self.authentication_refusals, self.probe_failures) = (0, 0);
                vec![Action::Probe { after: Duration::ZERO }]
            }
            Event::LinkFailed(error) => self.link_failed(&error, now, random),
            Event::LinkLost { end, lived } => {
                self.is_away = end.is_of_the_network();
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                self.replace(end.to_string(), now, random, Action::CloseLink)
            }
            Event::LinkSilent { lived } => {
                self.is_away = true;
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                self.replace("the bastion does not answer any more".to_owned(), now, random, Action::RetireLink)
            }
            Event::LinkUnreachable { lived } => {
                self.attempts = self.backoff.attempts_after(self.attempts, lived);
                // Connections that run already need no socket.
                self.replace("the socket of ssh has vanished or is closed".to_owned(), now, random, Action::RetireLink)
            }
            Event::LinkAnswers => vec![Action::Probe { after: self.backoff.delay(self.probe_failures, random) }],
            Event::WriterUp => {
                (self.probe_failures, self.remedy) = (0, None);
                self.enter(TunnelState::Up, None, now);
                Vec::new()
            }
            Event::WriterDown { cause, absence } => {
                self.is_unready = absence == Absence::Unready;
                self.enter(TunnelState::Suspect, Some(cause), now);
                self.probe_failures += 1;
                if absence == Absence::Silent {
                    return vec![Action::CheckLink];
                }
                vec![Action::Probe { after: self.backoff.delay(self.probe_failures, random) }]
            }
            Event::WriterForeign(Foreign { cause, remedy }) => {
                self.give_up(cause, remedy, now);
                vec![Action::CloseLink]
            }
            // A late answer, about a trouble that is over: what serves is not gone.
            Event::BastionGone { .. } if self.state == TunnelState::Up => Vec::new(),
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

    /// Everybody's connections have ended, and why.
    pub(super) fn restarted(&mut self, cause: String, now: Timestamp) {
        self.restarts.push(RestartReport { at: now, cause });
        if self.restarts.len() > REMEMBERED_RESTARTS {
            self.restarts.remove(0);
        }
    }

    fn replace(&mut self, cause: String, now: Timestamp, random: f64, old: Action) -> Vec<Action> {
        self.restarted(cause.clone(), now);
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

#[cfg(test)]
mod tests;
