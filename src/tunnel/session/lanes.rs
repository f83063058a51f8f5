//! Further ssh masters beside the first: while somebody works without a pause, and one in reserve far away.

use super::links::finished;
use super::{Note, Session};
use crate::tunnel::generation::Generation;
use crate::tunnel::lanes::{Lane, MOST_LANES, Removed, Traffic, Wish};
use crate::tunnel::machine::Event;
use crate::tunnel::{Link, LinkError, LinkSpec, TunnelState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// After a bastion did not let a further ssh in; the others do the work meanwhile.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// After an ssh ended as soon as there was another. It was chance, or only one is allowed, and each new one would cut
/// somebody's connections.
const PAUSE_OF_RIVALS: Duration = Duration::from_secs(2);
const RIVALS_WITHIN: Duration = Duration::from_secs(1);
/// Each pause in a row is four times as long as it would have been, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// What has gone well for so long begins anew.
const STABLE: Duration = Duration::from_secs(60);
/// From so long a round trip on a fresh ssh and what psql says with TLS and a password, seventeen round trips together,
/// keep people waiting: one ssh stands in reserve.
const FAR: Duration = Duration::from_millis(40);
/// So many in agreement: one alone is long, too, where this computer was busy.
const MEASUREMENTS: u32 = 2;

#[derive(Default)]
pub(super) struct Growth {
    traffic: Traffic,
    /// The generation that a lane is under way for, and how many it shall have.
    under_way: Option<(u64, usize)>,
    not_before: Option<Instant>,
    /// When the newest further lane was opened, unless that has been judged already.
    opened_at: Option<Instant>,
    /// Pauses in a row.
    setbacks: u32,
    /// The shortest round trip of the present generation: others were held up by something.
    round_trip: Option<Duration>,
    measurements: u32,
}

impl Growth {
    /// The present generation is this far away; true when that is to be measured once more.
    pub(super) fn measured(&mut self, round_trip: Duration) -> bool {
        self.round_trip = Some(self.round_trip.map_or(round_trip, |least| least.min(round_trip)));
        self.measurements = self.measurements.saturating_add(1);
        self.seems_far() && self.measurements < MEASUREMENTS
    }

    fn seems_far(&self) -> bool {
        self.round_trip.is_some_and(|round_trip| round_trip >= FAR)
    }

    /// Of a new generation nothing is known.
    pub(super) fn begin_generation(&mut self) {
        (self.round_trip, self.measurements) = (None, 0);
    }

    /// Setbacks are forgotten once the newest lane has lasted.
    fn forget_setbacks(&mut self) {
        if self.opened_at.take_if(|at| at.elapsed() >= STABLE).is_some() {
            self.setbacks = 0;
        }
    }

    fn opened(&mut self) {
        self.forget_setbacks();
        self.opened_at = Some(Instant::now());
    }

    fn is_paused(&self) -> bool {
        self.not_before.is_some_and(|not_before| Instant::now() < not_before)
    }

    /// No further lane for the pause that is returned.
    fn set_back(&mut self, first: Duration) -> Duration {
        self.forget_setbacks();
        let pause = first.saturating_mul(4_u32.saturating_pow(self.setbacks)).min(LONGEST_PAUSE);
        self.setbacks += 1;
        self.not_before = Some(Instant::now() + pause);
        pause
    }

    /// A lane of this generation has ended by itself; the pause, should that be because of another one.
    fn ended(&mut self, id: u64) -> Option<Duration> {
        let has_opened = self.opened_at.take_if(|at| at.elapsed() < RIVALS_WITHIN).is_some();
        let is_opening = self.under_way.is_some_and(|(under_way, _)| under_way == id);
        // Several may end at once.
        ((has_opened || is_opening) && !self.is_paused()).then(|| self.set_back(PAUSE_OF_RIVALS))
    }
}

fn no_further(pause: Duration, why: &str) -> String {
    let pause = match pause.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    format!("no further ssh for {pause}: {why}")
}

impl Session {
    /// Takes a link in use as a lane of this generation.
    pub(super) fn add_lane(&mut self, generation: &Arc<Generation>, link: Arc<dyn Link>) {
        let (id, lane, notes) = (generation.id, generation.lanes.add(link), self.notes.clone());
        self.lanes.retain(|old| old.strong_count() > 0);
        self.lanes.push(Arc::downgrade(&lane));
        tokio::spawn(async move {
            lane.link.closed().await;
            let _ = notes.send(Note::LaneEnded { id, lane });
        });
    }

    /// Somebody has perhaps done something about it.
    pub(super) fn restart(&mut self, cause: String) {
        (self.growth.not_before, self.growth.setbacks) = (None, 0);
        self.happened(Event::RestartAsked { cause });
    }

    /// So many lanes stand ready while nobody works. A way through somebody else may ask a person to agree.
    fn least_lanes(&self) -> usize {
        let is_far = self.growth.seems_far() && self.growth.measurements >= MEASUREMENTS;
        let is_straight = self.spec.link.as_ref().is_some_and(LinkSpec::is_straight);
        if is_far && is_straight { 2 } else { 1 }
    }

    /// Looks at the traffic of the last half second.
    pub(super) fn consider_lanes(&mut self) {
        let bytes = self.tools.counters.iter().map(|counters| counters.bytes.load(Relaxed)).sum();
        let wish = self.growth.traffic.look(bytes);
        let Some(generation) = self.generation.clone() else { return };
        let least = self.least_lanes();
        if wish == Wish::Fewer {
            let unused = generation.lanes.take_unused(least);
            if !unused.is_empty() {
                self.show_masters();
            }
            for lane in unused {
                tokio::spawn(async move { lane.link.close().await });
            }
        }
        self.grow(&generation, if wish == Wish::More { MOST_LANES } else { least });
    }

    fn grow(&mut self, generation: &Generation, wanted: usize) {
        let id = generation.id;
        let has_enough = generation.lanes.all().len() >= wanted;
        if self.machine.state != TunnelState::Up || self.growth.is_paused() || has_enough {
            return;
        }
        if let Some((_, before)) = self.growth.under_way.as_mut().filter(|(under_way, _)| *under_way == id) {
            *before = wanted.max(*before);
            return;
        }
        self.growth.under_way = Some((id, wanted));
        self.start_ssh(move |result| Note::LaneOpened { id, result });
    }

    pub(super) fn lane_opened(&mut self, id: u64, result: Result<Arc<dyn Link>, LinkError>) {
        let wanted = self.growth.under_way.take_if(|(under_way, _)| *under_way == id).map_or(0, |(_, wanted)| wanted);
        match (result, self.current(id)) {
            (Ok(link), Some(generation)) => {
                self.growth.opened();
                self.add_lane(&generation, link.clone());
                self.show_masters();
                // For the session that it opens, without which sshd has Nagle on.
                tokio::spawn(async move { link.notes().await });
                self.grow(&generation, wanted);
            }
            (Ok(link), None) => {
                tokio::spawn(async move { link.close().await });
            }
            (Err(error), Some(_)) => {
                let pause = self.growth.set_back(PAUSE_AFTER_REFUSAL);
                let line = no_further(pause, &format!("{error} ({})", error.said()));
                self.tools.story.tell(self.tools.clock.now(), &line);
            }
            (Err(_), None) => {}
        }
    }

    /// The end of a lane is the end of the link only when it was the last one.
    pub(super) fn lane_ended(&mut self, id: u64, lane: &Arc<Lane>) {
        let Some(generation) = self.current(id) else { return };
        let end = lane.link.end();
        let left = match generation.lanes.remove(lane) {
            Removed::Before => return,
            Removed::Left(left) => left,
        };
        if left > 0 {
            self.tools.story.tell(self.tools.clock.now(), &format!("one of {} {end}", left + 1));
        }
        if !end.is_of_the_network()
            && let Some(pause) = self.growth.ended(id)
        {
            let line = no_further(pause, "one ended as soon as there was another");
            self.tools.story.tell(self.tools.clock.now(), &line);
        }
        if left == 0 {
            return self.happened(Event::LinkLost { end, lived: generation.opened.elapsed() });
        }
        // ssh leaves its folder behind.
        let lane = lane.clone();
        tokio::spawn(async move { lane.link.close().await });
        self.show_masters();
        // The others lead the same way.
        if end.is_of_the_network() {
            self.happened(Event::Suspicion { cause: end.to_string() });
        }
    }

    /// Some lanes did not answer, although others did.
    pub(super) fn lanes_silent(&mut self, generation: &Arc<Generation>, silent: Vec<Arc<Lane>>) {
        for lane in silent {
            let line = "one ssh does not answer any more, and others do: it is out of use";
            self.tools.story.tell(self.tools.clock.now(), line);
            let generation = generation.clone();
            tokio::spawn(async move {
                finished(&lane).await;
                lane.link.close().await;
                drop(generation);
            });
        }
        self.show_masters();
    }

    pub(super) fn show_masters(&self) {
        let lanes = self.generation.iter().flat_map(|generation| generation.lanes.all());
        let pids: Vec<u32> = lanes.filter_map(|lane| lane.link.pid()).collect();
        self.snapshot.send_modify(|snapshot| snapshot.ssh_pids(pids));
    }
}
