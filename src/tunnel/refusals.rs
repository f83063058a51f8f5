//! Whether a target's database takes sessions, as its clients and the probes have found it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A database that somebody waits for is asked again after so long at first.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The pause grows by this part of the time that it has refused for: three tenths of a second after 30 seconds.
const GROWTH: u32 = 100;

/// So long after the last refusal it is still known that the database is down.
const KNOWN_FOR: Duration = Duration::from_secs(300);

/// The refusals of one target. A restart and a failover are over in seconds, so clients wait for their end; a database
/// that was stopped is not back that soon, so nobody waits for it who comes later.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    series: Mutex<Option<Series>>,
    waiting: AtomicUsize,
    over: watch::Sender<()>,
}

/// Refusals without an answer between them.
#[derive(Debug, Clone, Copy)]
struct Series {
    first: Instant,
    last: Instant,
}

impl Refusals {
    fn locked(&self) -> MutexGuard<'_, Option<Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was refused; true when it is worth while to wait, which nobody does who would have to for longer than
    /// `patience` after the first refusal.
    pub(super) fn refused(&self, patience: Duration) -> bool {
        let now = Instant::now();
        let mut series = self.locked();
        let first = series.filter(|series| now - series.last < KNOWN_FOR).map_or(now, |series| series.first);
        *series = Some(Series { first, last: now });
        now - first < patience
    }

    /// The database takes sessions: whoever waits can go.
    pub(super) fn ended(&self) {
        if self.locked().take().is_some() {
            self.over.send_replace(());
        }
    }

    /// Whether the database is not known to take sessions.
    pub(super) fn go_on(&self) -> bool {
        self.locked().is_some()
    }

    /// Whether a newcomer had better wait than be refused as well.
    pub(super) fn are_worth_a_wait(&self, patience: Duration) -> bool {
        self.until(patience).is_some_and(|end| Instant::now() < end)
    }

    /// Begins to wait. As long as somebody does, the database is asked again and again.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self)
    }

    /// Ends when the database takes sessions, or has taken none for too long.
    pub(super) async fn over(&self, patience: Duration) {
        let mut over = self.over.subscribe();
        let Some(end) = self.until(patience) else { return };
        tokio::select! {
            _ = over.changed() => {}
            () = sleep_until(end) => {}
        }
    }

    fn until(&self, patience: Duration) -> Option<Instant> {
        self.locked().map(|series| series.first + patience)
    }

    /// How long to wait with the next question; `None` where nobody waits for the answer.
    pub(super) fn pause(&self) -> Option<Duration> {
        let refusing = self.locked().map_or(Duration::ZERO, |series| series.first.elapsed());
        (self.waiting.load(Relaxed) > 0).then_some(FIRST_PAUSE + refusing / GROWTH)
    }
}

pub(super) struct Waiting<'a>(&'a Refusals);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_database_is_waited_for_until_it_has_refused_for_too_long() {
        let refusals = Refusals::default();
        assert!(!refusals.are_worth_a_wait(PATIENCE));
        for _ in 0..30 {
            assert!(refusals.refused(PATIENCE) && refusals.are_worth_a_wait(PATIENCE));
            advance(Duration::from_secs(1)).await;
        }
        for _ in 0..100 {
            assert!(!refusals.are_worth_a_wait(PATIENCE));
            assert!(!refusals.refused(PATIENCE), "it is known to be down, and whoever asks keeps that known");
            advance(Duration::from_secs(20)).await;
        }
        refusals.ended();
        assert!(refusals.refused(PATIENCE), "it was up meanwhile");
        advance(KNOWN_FOR).await;
        assert!(refusals.refused(PATIENCE), "nobody has asked since");
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_with_the_refusals_or_with_the_patience() {
        let refusals = Refusals::default();
        refusals.over(PATIENCE).await;
        refusals.refused(PATIENCE);
        let began = Instant::now();
        tokio::join!(refusals.over(PATIENCE), refusals.over(PATIENCE));
        assert_eq!(began.elapsed(), PATIENCE);

        refusals.ended();
        refusals.refused(PATIENCE);
        let began = Instant::now();
        let ending = async {
            advance(Duration::from_secs(2)).await;
            refusals.ended();
        };
        tokio::join!(refusals.over(PATIENCE), refusals.over(PATIENCE), ending);
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_is_asked_again_while_somebody_waits_and_less_and_less_often() {
        let refusals = Refusals::default();
        refusals.refused(PATIENCE);
        assert_eq!(refusals.pause(), None);
        let (one, another) = (refusals.wait(), refusals.wait());
        assert_eq!(refusals.pause(), Some(Duration::from_millis(20)));
        drop(one);
        advance(Duration::from_secs(10)).await;
        assert_eq!(refusals.pause(), Some(Duration::from_millis(120)));
        drop(another);
        assert_eq!(refusals.pause(), None);
    }
}
