//! A connection to the supervisor. The socket's answer is the only proof of life.

use super::files::{Holder, Lock, TunnelFiles};
use super::protocol::{self, Hello, Reply, Request};
use super::serve::Waiting;
use super::{TunnelError, TunnelReport};
use crate::system::receive_descriptors;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A database that hangs is asked for three seconds.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

fn late(_: tokio::time::error::Elapsed) -> TunnelError {
    TunnelError::Broken(std::io::ErrorKind::TimedOut.into())
}

/// What is behind the lock. The socket's answer is the only proof of life.
pub enum Presence {
    Ready(Client),
    /// Alive, but of another release: it understands little more than status and stop.
    Outdated(Client),
    /// Holds the lock and does not answer.
    Stale(Option<Holder>),
    Absent,
}

impl Presence {
    pub(super) async fn of(files: &TunnelFiles) -> Self {
        let holder = Lock::holder(&files.lock());
        if let Some(holder) = &holder
            && let Ok(client) = Client::connect(&holder.socket).await
        {
            return if client.hello.suits() { Self::Ready(client) } else { Self::Outdated(client) };
        }
        if Lock::is_held(&files.lock()) { Self::Stale(holder) } else { Self::Absent }
    }
}

/// A connection to a supervisor.
pub struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    hello: Hello,
}

impl Client {
    async fn connect(socket: &Path) -> Result<Self, TunnelError> {
        let connecting = async {
            let stream = UnixStream::connect(socket).await.map_err(TunnelError::Broken)?;
            let (reader, mut writer) = stream.into_split();
            let mut reader = BufReader::new(reader);
            protocol::send(&mut writer, &Hello::mine()).await?;
            let hello = protocol::receive(&mut reader).await?.ok_or(TunnelError::Protocol { source: None })?;
            Ok(Self { reader, writer, hello })
        };
        timeout(ANSWER_LIMIT, connecting).await.map_err(late)?
    }

    /// Asks, and waits no longer than this: a supervisor that was stopped in mid-conversation answers never.
    pub(super) async fn ask(&mut self, request: &Request, limit: Duration) -> Result<Reply, TunnelError> {
        let asking = async {
            protocol::send(&mut self.writer, request).await?;
            protocol::receive(&mut self.reader).await?.ok_or(TunnelError::Protocol { source: None })
        };
        timeout(limit, asking).await.map_err(late)?
    }

    /// Asks for the listening sockets; the supervisor ends. An older release answers that it does not know how to.
    pub(super) async fn hand_over(&mut self) -> Result<Vec<OwnedFd>, TunnelError> {
        let asking = async {
            protocol::send(&mut self.writer, &Request::HandOver).await?;
            // Past the buffer, which is empty: nothing is sent that was not asked for.
            let stream = self.reader.get_ref().as_ref();
            let received = receive_descriptors(stream, protocol::LONGEST_LINE).await;
            let (line, descriptors) = received.map_err(TunnelError::Broken)?;
            match protocol::parse(&line)? {
                Reply::HandedOver => Ok(descriptors),
                _ => Err(TunnelError::Protocol { source: None }),
            }
        };
        timeout(ANSWER_LIMIT, asking).await.map_err(late)?
    }

    /// After [`Self::hand_over`]: the next client that waits for a link. `None` when there is no other, or it is a
    /// release that gives none away.
    pub(super) async fn next_waiting(&mut self, limit: Duration) -> Option<Waiting> {
        let asking = async {
            protocol::send(&mut self.writer, &Request::NextWaiting).await.ok()?;
            let received = receive_descriptors(self.reader.get_ref().as_ref(), protocol::LONGEST_LINE).await;
            let (line, mut sockets) = received.ok()?;
            match protocol::parse(&line).ok()? {
                Reply::Waiting { client: Some(greeting) } => Some(Waiting { socket: sockets.pop()?, greeting }),
                _ => None,
            }
        };
        timeout(limit, asking).await.ok().flatten()
    }

    pub(super) fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// The report; with `probe` every database is asked first.
    pub async fn status(&mut self, probe: bool) -> Result<TunnelReport, TunnelError> {
        let limit = if probe { PROBE_LIMIT } else { ANSWER_LIMIT };
        match self.ask(&Request::Status { probe }, limit).await? {
            Reply::Status { report } => Ok(*report),
            _ => Err(TunnelError::Protocol { source: None }),
        }
    }
}

/// What the supervisor says, if there is one: local and fast, no database is asked.
pub(super) async fn status(state_dir: &Path) -> Option<TunnelReport> {
    let holder = Lock::holder(&TunnelFiles::new(state_dir).lock())?;
    let mut client = Client::connect(&holder.socket).await.ok()?;
    client.status(false).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_supervisor_that_falls_silent_after_its_hello_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            protocol::send(&mut stream, &Hello::mine()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut client = Client::connect(&socket).await.unwrap();
        let silence = client.ask(&Request::Stop, Duration::from_millis(20)).await;
        assert!(matches!(silence, Err(TunnelError::Broken(_))), "{silence:?}");
    }
}
