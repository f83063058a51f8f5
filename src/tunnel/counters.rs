use super::ConnectionCounts;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What went through one target.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes: AtomicU64,
    open: AtomicU64,
    held: AtomicU64,
    total: AtomicU64,
}

#[derive(Clone, Copy)]
pub(super) enum Count {
    Open,
    Held,
}

impl Counters {
    pub(super) fn arrived(&self) {
        self.total.fetch_add(1, Relaxed);
    }

    /// Counts one for as long as the returned value lives.
    pub(super) fn count(self: &Arc<Self>, what: Count) -> Counted {
        self.cell(what).fetch_add(1, Relaxed);
        Counted { counters: self.clone(), what }
    }

    fn cell(&self, what: Count) -> &AtomicU64 {
        match what {
            Count::Open => &self.open,
            Count::Held => &self.held,
        }
    }

    pub(super) fn connections(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.open.load(Relaxed),
            held: self.held.load(Relaxed),
            total: self.total.load(Relaxed),
        }
    }
}

pub(super) struct Counted {
    counters: Arc<Counters>,
    what: Count,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counters.cell(self.what).fetch_sub(1, Relaxed);
    }
}

/// A stream whose bytes are counted while they flow.
pub(super) struct Metered<S> {
    stream: S,
    counters: Arc<Counters>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, counters: Arc<Counters>) -> Self {
        Self { stream, counters }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.counters.bytes.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.counters.bytes.fetch_add(*written as u64, Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
