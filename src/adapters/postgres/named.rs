//! The server process that the login named (PostgreSQL documentation, "Message Formats", `BackendKeyData`).
//!
//! The driver keeps it to itself, but writes it into every request to cancel; so one is written here, to this program.

use super::connect::Session;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Code of `SSLRequest`.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// A pooler names a process of its own making.
pub(super) async fn named_process(session: &Session) -> Option<i32> {
    let (near, far) = tokio::io::duplex(64);
    let token = session.client.cancel_token();
    let (sent, process) = tokio::join!(token.cancel_query_raw(near, Plain), read(far));
    sent.ok()?;
    process.ok()
}

/// A request to cancel: its length, its code, the process, the key.
async fn read(mut stream: DuplexStream) -> io::Result<i32> {
    let mut head = [0; 8];
    stream.read_exact(&mut head).await?;
    if head[4..] == SSL_REQUEST {
        stream.write_all(b"S").await?;
        stream.read_exact(&mut head).await?;
    }
    stream.read_i32().await
}

/// No encryption on the way from this program to itself.
struct Plain;

impl TlsConnect<DuplexStream> for Plain {
    type Stream = Unencrypted;
    type Error = io::Error;
    type Future = Ready<io::Result<Unencrypted>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Unencrypted(stream)))
    }
}

struct Unencrypted(DuplexStream);

impl TlsStream for Unencrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Unencrypted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for Unencrypted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
