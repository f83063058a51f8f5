use std::future::{Future, poll_fn};
use std::task::Poll;

/// Runs futures at once, on this task, each to its end; the outputs in the order of the futures.
pub async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut all_done = true;
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => all_done = false,
            }
        }
        if all_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn all_run_at_once_and_answer_in_their_order() {
        let began = Instant::now();
        let after = |seconds: u64| async move {
            sleep(Duration::from_secs(seconds)).await;
            seconds
        };
        assert_eq!(together([3, 1, 2].map(after)).await, [3, 1, 2]);
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert_eq!(together(Vec::<std::future::Ready<u8>>::new()).await, [0_u8; 0]);
    }
}
