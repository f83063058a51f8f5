//! Further ssh masters beside the first, while somebody works without a pause.

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

#[derive(Default)]
pub(super) struct Growth {
    traffic: Traffic,
    /// The generation that a lane is under way for.
    under_way: Option<u64>,
    not_before: Option<Instant>,
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
        match wish {
            Wish::More => self.grow(&generation),
            Wish::Same => {}
            Wish::Fewer => {
                let unused = generation.lanes.take_unused();
                if !unused.is_empty() {
                    self.show_masters();
                }
                for lane in unused {
                    tokio::spawn(async move { lane.link.close().await });
                }
            }
        }
    }

    fn grow(&mut self, generation: &Generation) {
        let id = generation.id;
        let is_too_soon = self.growth.not_before.is_some_and(|not_before| Instant::now() < not_before);
        let has_enough = generation.lanes.all().len() >= MOST_LANES;
        if self.machine.state != TunnelState::Up || self.growth.under_way == Some(id) || is_too_soon || has_enough {
            return;
        }
        self.growth.under_way = Some(id);
        self.start_ssh(move |result| Note::LaneOpened { id, result });
    }

    pub(super) fn lane_opened(&mut self, id: u64, result: Result<Arc<dyn Link>, LinkError>) {
        self.growth.under_way = self.growth.under_way.filter(|under_way| *under_way != id);
        match (result, self.current(id)) {
            (Ok(link), Some(generation)) => {
                self.add_lane(&generation, link.clone());
                self.show_masters();
                // For the session that it opens, without which sshd has Nagle on.
                tokio::spawn(async move { link.notes().await });
                self.grow(&generation);
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
                self.tools.story.tell(self.tools.clock.now(), &format!("one {cause} ({left} beside it live on)"));
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
