//! Further ssh masters beside the first: while somebody works without a pause, and one in reserve far away.

use super::links::finished;
use super::{Note, Session};
use crate::tunnel::generation::Generation;
use crate::tunnel::lanes::{Lane, MOST_LANES, Removed, Traffic, Wish};
use crate::tunnel::machine::{Event, is_of_the_network};
use crate::tunnel::{Link, LinkError, TunnelState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// A bastion that did not let a further ssh in is left alone for so long; the others do the work.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// A bastion where an ssh ends as soon as there is another may allow only one, and each new one would cut somebody's
/// connections; or it was chance. The pause is four times as long each time in a row, up to the longest.
const FIRST_PAUSE_OF_RIVALS: Duration = Duration::from_secs(5);
const LONGEST_PAUSE_OF_RIVALS: Duration = Duration::from_secs(3600);
const RIVALS_WITHIN: Duration = Duration::from_secs(1);
/// From so long a round trip on a fresh ssh and what psql says with TLS and a password, seventeen round trips together,
/// keep people waiting: one ssh stands in reserve.
const FAR: Duration = Duration::from_millis(40);

#[derive(Default)]
pub(super) struct Growth {
    traffic: Traffic,
    /// The generation that a lane is under way for, and how many it shall have.
    under_way: Option<(u64, usize)>,
    not_before: Option<Instant>,
    /// When the newest lane was opened, unless one has ended since.
    opened_at: Option<Instant>,
    /// So many times in a row one ended as soon as there was another.
    rivals: u32,
    /// The shortest round trip of the present generation: others were held up by something.
    round_trip: Option<Duration>,
}

impl Growth {
    /// The present generation is this far away.
    pub(super) fn measured(&mut self, round_trip: Duration) {
        self.round_trip = Some(self.round_trip.map_or(round_trip, |least| least.min(round_trip)));
    }

    /// Of a new generation nothing is known.
    pub(super) fn begin(&mut self) {
        self.round_trip = None;
    }

    /// One of several lanes has ended; how long no further one shall be opened.
    fn ended(&mut self) -> Option<Duration> {
        // Several may end at once.
        let lasted = self.opened_at.take()?.elapsed();
        if lasted >= RIVALS_WITHIN {
            self.rivals = 0;
            return None;
        }
        let factor = 4_u32.saturating_pow(self.rivals);
        self.rivals += 1;
        let pause = FIRST_PAUSE_OF_RIVALS.saturating_mul(factor).min(LONGEST_PAUSE_OF_RIVALS);
        self.not_before = Some(Instant::now() + pause);
        Some(pause)
    }

    /// So many lanes stand ready while nobody works.
    fn least(&self) -> usize {
        if self.round_trip.is_some_and(|round_trip| round_trip >= FAR) { 2 } else { 1 }
    }
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

    /// Looks at the traffic of the last half second.
    pub(super) fn consider_lanes(&mut self) {
        let bytes = self.tools.counters.iter().map(|counters| counters.bytes.load(Relaxed)).sum();
        let wish = self.growth.traffic.look(bytes);
        let Some(generation) = self.generation.clone() else { return };
        let least = self.growth.least();
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
        let is_too_soon = self.growth.not_before.is_some_and(|not_before| Instant::now() < not_before);
        let has_enough = generation.lanes.all().len() >= wanted;
        let is_under_way = self.growth.under_way.is_some_and(|(under_way, _)| under_way == id);
        if self.machine.state != TunnelState::Up || is_under_way || is_too_soon || has_enough {
            return;
        }
        self.growth.under_way = Some((id, wanted));
        self.start_ssh(move |result| Note::LaneOpened { id, result });
    }

    pub(super) fn lane_opened(&mut self, id: u64, result: Result<Arc<dyn Link>, LinkError>) {
        let wanted = self.growth.under_way.take_if(|(under_way, _)| *under_way == id).map_or(0, |(_, wanted)| wanted);
        match (result, self.current(id)) {
            (Ok(link), Some(generation)) => {
                self.growth.opened_at = Some(Instant::now());
                self.add_lane(&generation, link.clone());
                self.show_masters();
                // For the session that it opens, without which sshd has Nagle on.
                tokio::spawn(async move { link.notes().await });
                self.grow(&generation, wanted);
            }
            (Ok(link), None) => {
                tokio::spawn(async move { link.close().await });
            }
            (Err(error), _) => {
                let line = format!("no further ssh for a minute: {error} ({})", error.said());
                self.tools.story.tell(self.tools.clock.now(), &line);
                self.growth.not_before = Some(Instant::now() + PAUSE_AFTER_FAILURE);
            }
        }
    }

    /// The end of a lane is the end of the link only when it was the last one.
    pub(super) fn lane_ended(&mut self, id: u64, lane: &Arc<Lane>) {
        let Some(generation) = self.current(id) else { return };
        let cause = match lane.link.last_words() {
            Some(words) => format!("ssh ended: {words}"),
            None => "ssh ended".to_owned(),
        };
        match generation.lanes.remove(lane) {
            Removed::Before => {}
            Removed::Left(0) => self.happened(Event::LinkLost { cause, lived: generation.opened.elapsed() }),
            Removed::Left(left) => {
                let others = if left == 1 { "the one beside it lives on" } else { "the others beside it live on" };
                self.tools.story.tell(self.tools.clock.now(), &format!("one {cause}; {others}"));
                if let Some(pause) = self.growth.ended() {
                    let pause = pause.as_secs();
                    let line = format!("no further ssh for {pause} s: this one ended as soon as there was another");
                    self.tools.story.tell(self.tools.clock.now(), &line);
                }
                // ssh leaves its folder behind.
                let lane = lane.clone();
                tokio::spawn(async move { lane.link.close().await });
                self.show_masters();
                // The others lead the same way.
                if is_of_the_network(&cause) {
                    self.happened(Event::Suspicion { cause });
                }
            }
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
