//! The ssh masters of one generation: its lanes. Far away one TCP connection carries less than several (80 ms: four
//! copies at once got 31 MB/s through one ssh and 77 MB/s through four), so a generation that is busy has more of them.
//! Far away a fresh ssh also takes long (80 ms: 0.74 s), so there at least two stand side by side.

use super::Link;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many ssh masters may stand side by side. sshd's `MaxStartups` lets ten knock at once, from everybody together.
pub(super) const MOST_LANES: usize = 4;
/// Traffic without a pause for so many looks, two seconds: somebody works, and may be about to do so several times over.
const LOOKS_UNTIL_BUSY: u32 = 4;
/// For so many looks, a minute, further lanes are kept for who comes back.
const LOOKS_UNTIL_QUIET: u32 = 120;

/// One ssh master, with the connections that run through it.
pub(super) struct Lane {
    pub(super) link: Arc<dyn Link>,
    open: watch::Sender<usize>,
    /// Of those that are open the ones whose client has not left.
    clients: AtomicUsize,
    aside: watch::Sender<bool>,
}

impl Lane {
    /// Ends when no connection runs through it.
    pub(super) async fn idle(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Ends when whoever has no answer yet had better ask elsewhere, although ssh lives.
    pub(super) async fn set_aside(&self) {
        let _ = self.aside.subscribe().wait_for(|aside| *aside).await;
    }
}

/// A connection's place on a lane.
pub(super) struct Seat {
    lane: Arc<Lane>,
    has_client: AtomicBool,
}

impl Seat {
    fn take(lane: Arc<Lane>) -> Self {
        lane.open.send_modify(|open| *open += 1);
        lane.clients.fetch_add(1, Relaxed);
        Self { lane, has_client: AtomicBool::new(true) }
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    pub(super) fn has_client(&self) -> bool {
        self.has_client.load(Relaxed)
    }

    /// The client has left. Until the database has ended the connection as well, a round trip later, the lane carries
    /// it, but it is in nobody's way.
    pub(super) fn client_left(&self) {
        if self.has_client.swap(false, Relaxed) {
            self.lane.clients.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.client_left();
        self.lane.open.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// What became of a lane that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    /// It was out of use already.
    Before,
    /// So many are left.
    Left(usize),
}

/// The lanes that new connections may take, the oldest first.
#[derive(Default)]
pub(super) struct Lanes(Mutex<Vec<Arc<Lane>>>);

impl Lanes {
    fn locked(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, link: Arc<dyn Link>) -> Arc<Lane> {
        let lane = Arc::new(Lane {
            link,
            open: watch::Sender::new(0),
            clients: AtomicUsize::new(0),
            aside: watch::Sender::new(false),
        });
        self.locked().push(lane.clone());
        lane
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.locked().clone()
    }

    /// A seat on the lane with the fewest clients, but for those that were tried; on the oldest of them, so that the
    /// others can be closed.
    pub(super) fn seat(&self, tried: &[Seat]) -> Option<Seat> {
        let all = self.locked();
        let untried = all.iter().filter(|lane| !tried.iter().any(|seat| Arc::ptr_eq(&seat.lane, lane)));
        let lane = untried.min_by_key(|lane| lane.clients.load(Relaxed))?;
        Some(Seat::take(lane.clone()))
    }

    pub(super) fn remove(&self, lane: &Arc<Lane>) -> Removed {
        let mut all = self.locked();
        let before = all.len();
        all.retain(|other| !Arc::ptr_eq(other, lane));
        if all.len() < before { Removed::Left(all.len()) } else { Removed::Before }
    }

    /// Takes out the lanes that nobody uses, the newest ones, as long as `least` are left.
    pub(super) fn take_unused(&self, least: usize) -> Vec<Arc<Lane>> {
        let mut all = self.locked();
        let used = all.iter().filter(|lane| *lane.open.borrow() > 0).count();
        let mut spare = least.saturating_sub(used);
        let (kept, unused) = all.drain(..).partition(|lane| {
            let is_used = *lane.open.borrow() > 0;
            let is_spare = !is_used && spare > 0;
            spare -= usize::from(is_spare);
            is_used || is_spare
        });
        *all = kept;
        unused
    }

    /// Whether the bastion answers a round trip on any lane. A lane that does not while another does is set aside, and
    /// returned: its own connection was forgotten on the way, or its ssh is stopped.
    pub(super) async fn answers(&self, limit: Duration) -> (bool, Vec<Arc<Lane>>) {
        let mut asked = JoinSet::new();
        for lane in self.all() {
            asked.spawn(async move { (lane.link.answers(limit).await, lane) });
        }
        let (mut any, mut silent) = (false, Vec::new());
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok((true, _)) => any = true,
                Ok((false, lane)) => silent.push(lane),
                Err(_) => {}
            }
        }
        if !any {
            return (false, Vec::new());
        }
        silent.retain(|lane| self.remove(lane) != Removed::Before);
        silent.iter().for_each(|lane| {
            lane.aside.send_replace(true);
        });
        (true, silent)
    }
}

/// What the traffic asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    More,
    Same,
    /// Unused lanes can go.
    Fewer,
}

/// Looks at the traffic, twice a second. A connection cannot change its lane, so further ones must be there before the
/// workers of a dump or a restore connect: what their leader does before that is the sign, and idle connections are none.
#[derive(Default)]
pub(super) struct Traffic {
    bytes: u64,
    busy: u32,
    quiet: u32,
}

impl Traffic {
    /// `bytes`: what has gone through so far.
    pub(super) fn look(&mut self, bytes: u64) -> Wish {
        self.busy = if bytes == self.bytes { 0 } else { self.busy.saturating_add(1) };
        self.bytes = bytes;
        self.quiet = if self.busy < LOOKS_UNTIL_BUSY { self.quiet.saturating_add(1) } else { 0 };
        match (self.busy, self.quiet) {
            (LOOKS_UNTIL_BUSY.., _) => Wish::More,
            (_, LOOKS_UNTIL_QUIET..) => Wish::Fewer,
            _ => Wish::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeLink;

    #[test]
    fn unused_lanes_are_taken_out_the_newest_first_as_long_as_the_least_are_left() {
        for (is_used, least) in (0..16_u32).flat_map(|is_used| [(is_used, 1_usize), (is_used, 2)]) {
            let lanes = Lanes::default();
            let all: Vec<_> = (0..4).map(|_| lanes.add(Arc::new(FakeLink::new(Vec::new())))).collect();
            let used = |at: &usize| is_used >> at & 1 == 1;
            let seats: Vec<_> = (0..4).filter(used).map(|at| Seat::take(all[at].clone())).collect();
            let spare: Vec<_> = (0..4).filter(|at| !used(at)).collect();
            let kept = &spare[..least.saturating_sub(seats.len()).min(spare.len())];
            let taken = lanes.take_unused(least);
            for (at, lane) in all.iter().enumerate() {
                let is_taken = taken.iter().any(|other| Arc::ptr_eq(other, lane));
                assert_eq!(is_taken, !used(&at) && !kept.contains(&at), "lane {at} of {is_used:04b}, least {least}");
                assert_ne!(is_taken, lanes.all().iter().any(|other| Arc::ptr_eq(other, lane)));
            }
        }
    }

    #[test]
    fn only_traffic_without_a_pause_asks_for_more_and_only_a_quiet_minute_for_fewer() {
        let mut traffic = Traffic::default();
        let mut bytes = 0;
        for look in 0..1000 {
            bytes += u64::from(look % 4 != 0);
            assert_ne!(traffic.look(bytes), Wish::More, "somebody types");
        }
        for _ in 0..LOOKS_UNTIL_BUSY {
            bytes += 1;
            traffic.look(bytes);
        }
        assert_eq!(traffic.look(bytes + 1), Wish::More);
        for _ in 1..LOOKS_UNTIL_QUIET {
            assert_eq!(traffic.look(bytes + 1), Wish::Same);
        }
        assert_eq!(traffic.look(bytes + 1), Wish::Fewer);
    }
}
