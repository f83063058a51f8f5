use crate::migrate::Interrupt;
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// What is kept of an invocation's time to stop the work and to deliver the answer.
const RESERVE: Duration = Duration::from_secs(10);

/// How much of that the work may take to end once it was told to.
const GRACE: Duration = Duration::from_secs(5);

/// When the work of one invocation has to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutoff {
    began: Instant,
    at: Instant,
}

/// How something with a cutoff ended.
#[derive(Debug)]
pub(super) enum Ended<T> {
    InTime(T),
    /// It was told to stop, and has come to an end of its own.
    Interrupted(T),
    /// Nobody waits for it any more.
    Abandoned,
}

impl Cutoff {
    /// `left`: until Lambda ends the invocation. `None` where that is too little to begin anything.
    pub(super) fn new(left: Duration) -> Option<Self> {
        let began = Instant::now();
        left.checked_sub(RESERVE).map(|left| Self { began, at: began + left })
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// How long the work has taken, in words.
    pub(super) fn elapsed(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
    }

    /// Drops the work at the cutoff: for what changes nothing.
    pub(super) async fn or_drop<F: Future>(&self, work: F) -> Option<F::Output> {
        timeout_at(self.at, work).await.ok()
    }

    /// Stops the work at the cutoff: the server is asked to end what it does, and asked again every second, because a
    /// request between two statements changes nothing. So the work hears what became of its transaction; a dropped
    /// connection would leave the commit in the server's hands.
    pub(super) async fn or_interrupt<F: Future>(&self, work: F, interrupt: &dyn Interrupt) -> Ended<F::Output> {
        let mut work = std::pin::pin!(work);
        if let Ok(output) = timeout_at(self.at, &mut work).await {
            return Ended::InTime(output);
        }
        let asking = async {
            loop {
                interrupt.interrupt().await;
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            biased;
            output = &mut work => Ended::Interrupted(output),
            () = asking => Ended::Abandoned,
            () = sleep(GRACE) => Ended::Abandoned,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        heard: Notify,
    }

    #[async_trait]
    impl Interrupt for Server {
        async fn interrupt(&self) {
            // The first request comes between two statements.
            if self.asked.fetch_add(1, Ordering::SeqCst) == 1 {
                self.heard.notify_one();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_stopped_ten_seconds_before_the_end_and_asked_until_it_hears() {
        let (server, began) = (Server::default(), Instant::now());
        let cutoff = Cutoff::new(Duration::from_secs(60)).unwrap();
        let ended = cutoff.or_interrupt(server.heard.notified(), &server).await;
        assert!(matches!(ended, Ended::Interrupted(())), "{ended:?}");
        assert_eq!(began.elapsed().as_secs(), 51);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ends_leaves_time_for_the_answer() {
        let began = Instant::now();
        let cutoff = Cutoff::new(Duration::from_secs(60)).unwrap();
        let ended = cutoff.or_interrupt(std::future::pending::<()>(), &Server::default()).await;
        assert!(matches!(ended, Ended::Abandoned), "{ended:?}");
        assert_eq!((began.elapsed().as_secs(), cutoff.elapsed().as_str()), (55, "55 s"));
        assert!(Cutoff::new(Duration::from_secs(9)).is_none());
    }
}
