//! When the next ssh is started: at once, after a pause, or when the bastion can be reached again.

use super::{Note, Session};
use crate::tunnel::{LinkSpec, Ssh};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// A connection request that was lost on the way is not sent again for a second, and then for two: a fresh one is.
const PACE: Duration = Duration::from_millis(500);
/// After this long nobody is in a hurry any more, unless a client waits.
const EAGER: Duration = Duration::from_secs(60);
const CALM_PACE: Duration = Duration::from_secs(5);
/// Where knocking sets the pace, a longer pause before it would only miss the network's return.
const LONGEST_PAUSE_BEFORE_KNOCKING: Duration = Duration::from_secs(1);
/// A pool that knocks at a closed door all the time does not make ssh start all the time.
const HURRY_AT_MOST_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Hurry {
    last: Option<Instant>,
    call: Arc<Notify>,
}

impl Session {
    /// The door can be knocked at: the last trouble was the network, and no proxy stands in the way.
    fn knocks(&self) -> bool {
        self.machine.is_away && self.spec.link.as_ref().is_some_and(LinkSpec::is_straight)
    }

    pub(super) fn pause(&self, wanted: Duration) -> Duration {
        if self.knocks() { wanted.min(LONGEST_PAUSE_BEFORE_KNOCKING) } else { wanted }
    }

    /// The time of the newest errand has come.
    pub(super) fn begin(&mut self) {
        if self.begun == self.errand {
            return;
        }
        self.begun = self.errand;
        let errand = self.errand;
        let Some(link) = self.spec.link.clone().filter(|_| self.knocks()) else { return self.open(errand) };
        let (ssh, held, call) = (self.tools.ssh.clone(), self.tools.held.clone(), self.hurry.call.clone());
        let notes = self.notes.clone();
        self.knocking.spawn(async move {
            knock(ssh, link, &held, &call).await;
            let _ = notes.send(Note::Reachable { errand });
        });
    }

    /// A client has come and waits: what was to be tried later is tried now.
    pub(super) fn hurry(&mut self) {
        self.hurry.call.notify_one();
        let is_pending = self.begun != self.errand && self.generation.is_none();
        let is_too_soon = self.hurry.last.is_some_and(|last| last.elapsed() < HURRY_AT_MOST_EVERY);
        if is_pending && !is_too_soon {
            self.hurry.last = Some(Instant::now());
            self.begin();
        }
    }
}

/// Ends when the bastion's port takes a connection.
async fn knock(ssh: Arc<dyn Ssh>, link: LinkSpec, held: &AtomicUsize, call: &Notify) {
    let began = Instant::now();
    let mut asked = JoinSet::new();
    loop {
        let (ssh, link) = (ssh.clone(), link.clone());
        asked.spawn(async move { ssh.reachable(&link).await });
        let pace = if held.load(Relaxed) > 0 || began.elapsed() < EAGER { PACE } else { CALM_PACE };
        let next = sleep(pace);
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                () = call.notified() => break,
                Some(answer) = asked.join_next() => if matches!(answer, Ok(true)) { return },
            }
        }
    }
}
