//! Bytes between a client and the endpoint, both ways, until both have ended.
//!
//! As `tokio::io::copy_bidirectional`, but a connection has a buffer only while there is something in it: a pool keeps
//! dozens open that say nothing for hours, and two buffers for each of 200 were 20 MB, which glibc did not give back.
//! While one side takes nothing, the other is not listened to.

use super::Stream;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const SIZE: usize = 64 * 1024;

thread_local! {
    /// The one that nobody needs just now: as long as nobody has to wait, there is no other.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// It is told once when nothing more can be read from the client, and from the endpoint. Where nothing can be written any
/// more both end, and nobody is told.
pub(super) async fn carry(
    client: &mut impl Stream,
    endpoint: &mut impl Stream,
    client_left: impl FnOnce(),
    endpoint_ended: impl FnOnce(),
) -> Result<()> {
    let (mut up, mut down) = (Way::new(client_left), Way::new(endpoint_ended));
    poll_fn(|cx| {
        let up = up.poll(cx, client, endpoint)?;
        let down = down.poll(cx, endpoint, client)?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One of the two directions.
struct Way<F> {
    /// What was read and is not written yet: that part of the buffer.
    left: Option<(Box<[u8]>, Range<usize>)>,
    /// There until nothing more can be read.
    tell: Option<F>,
    is_over: bool,
}

impl<F: FnOnce()> Way<F> {
    fn new(tell: F) -> Self {
        Self { left: None, tell: Some(tell), is_over: false }
    }

    /// Ready when one side has ended and the other knows it.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<()>> {
        let (mut from, mut to) = (Pin::new(from), Pin::new(to));
        while !self.is_over {
            if let Some((buffer, left)) = &mut self.left {
                match ready!(to.as_mut().poll_write(cx, &buffer[left.clone()]))? {
                    0 => return Poll::Ready(Err(Error::from(ErrorKind::WriteZero))),
                    count => left.start += count,
                }
                if left.start == left.end {
                    BUFFER.set(self.left.take().map(|(buffer, _)| buffer));
                }
            } else if self.tell.is_none() {
                ready!(to.as_mut().poll_shutdown(cx))?;
                self.is_over = true;
            } else {
                let mut buffer = BUFFER.take().unwrap_or_else(|| vec![0; SIZE].into());
                let mut filled = ReadBuf::new(&mut buffer);
                let read = from.as_mut().poll_read(cx, &mut filled);
                match filled.filled().len() {
                    0 => BUFFER.set(Some(buffer)),
                    count => self.left = Some((buffer, 0..count)),
                }
                let Poll::Ready(read) = read else {
                    ready!(to.poll_flush(cx))?;
                    return Poll::Pending;
                };
                if self.left.is_none()
                    && let Some(tell) = self.tell.take()
                {
                    tell();
                }
                read?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    /// A client and an endpoint with so much room on the way, and how often the end of each was told.
    struct Pair {
        client: DuplexStream,
        endpoint: DuplexStream,
        ends: [Arc<AtomicUsize>; 2],
        /// A task of its own, which only its own streams wake.
        carried: JoinHandle<Result<()>>,
    }

    fn pair(near: usize, far: usize) -> Pair {
        let ((client, mut near), (mut far, endpoint)) = (duplex(near), duplex(far));
        let ends = [Arc::<AtomicUsize>::default(), Arc::default()];
        let [left, ended] = ends.clone();
        let tell = |end: Arc<AtomicUsize>| {
            move || {
                end.fetch_add(1, Relaxed);
            }
        };
        let carried = tokio::spawn(async move { carry(&mut near, &mut far, tell(left), tell(ended)).await });
        Pair { client, endpoint, ends, carried }
    }

    /// Says all of it in pieces of these sizes, and hears everything meanwhile.
    async fn talk(end: DuplexStream, words: Vec<u8>, pieces: Vec<usize>) -> Vec<u8> {
        let (mut hears, mut says) = tokio::io::split(end);
        let saying = async {
            let (mut rest, mut sizes) = (&words[..], pieces.iter().cycle());
            while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
                let (piece, later) = rest.split_at(rest.len().min(*size));
                says.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
                rest = later;
            }
            says.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let hearing = async { hears.read_to_end(&mut heard).await.unwrap() };
        tokio::join!(saying, hearing);
        heard
    }

    fn words() -> impl Strategy<Value = Vec<u8>> {
        let many = (any::<u8>(), 0..300_000usize).prop_map(|(word, size)| vec![word; size]);
        prop_oneof![3 => prop::collection::vec(any::<u8>(), 0..300), 1 => many]
    }

    type Conversation = (Vec<u8>, Vec<u8>, usize, usize, Vec<usize>);

    fn conversation() -> impl Strategy<Value = Conversation> {
        (words(), words(), 1..5000usize, 1..5000usize, prop::collection::vec(1..100_000usize, 1..5))
    }

    /// That each of both hears what the other says, and all of it.
    async fn hold((asked, answered, near, far, pieces): Conversation) {
        let Pair { client, endpoint, ends, carried } = pair(near, far);
        let client = tokio::spawn(talk(client, asked.clone(), pieces.clone()));
        let endpoint = tokio::spawn(talk(endpoint, answered.clone(), pieces));
        assert!(client.await.unwrap() == answered && endpoint.await.unwrap() == asked);
        carried.await.unwrap().unwrap();
        assert_eq!(ends.map(|told| told.load(Relaxed)), [1, 1]);
    }

    proptest! {
        #[test]
        fn everything_arrives_in_order_however_little_either_side_takes_at_once(
            conversations in prop::collection::vec(conversation(), 1..4),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let held: Vec<_> = conversations.into_iter().map(|one| tokio::spawn(hold(one))).collect();
                for one in held {
                    timeout(Duration::from_secs(20), one).await.unwrap().unwrap();
                }
            });
        }
    }

    #[tokio::test]
    async fn connections_that_say_nothing_have_no_buffer() {
        let mut pairs: Vec<_> = (0..10).map(|_| pair(100, 100)).collect();
        for Pair { client, endpoint, .. } in &mut pairs {
            let mut heard = [0; 5];
            client.write_all(b"hello").await.unwrap();
            endpoint.read_exact(&mut heard).await.unwrap();
            endpoint.write_all(b"hello").await.unwrap();
            client.read_exact(&mut heard).await.unwrap();
        }
        for Pair { client, endpoint, .. } in &mut pairs {
            assert!(BUFFER.take().is_some(), "the one before has kept its own");
            client.write_all(b"hello").await.unwrap();
            endpoint.read_exact(&mut [0; 5]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn whoever_has_said_all_still_hears_the_answer_and_whoever_is_gone_ends_both() {
        let Pair { mut client, mut endpoint, ends, carried } = pair(10, 10);
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        endpoint.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello");
        assert_eq!(ends.map(|told| told.load(Relaxed)), [1, 0]);
        endpoint.write_all(b"good day").await.unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"good day");
        drop(client);
        // Nobody takes this any more.
        endpoint.write_all(b"and you?").await.unwrap();
        let carried = timeout(Duration::from_secs(20), carried).await.unwrap().unwrap();
        assert_eq!(carried.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
