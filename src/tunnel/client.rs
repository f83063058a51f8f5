//! A connection to the supervisor. The socket's answer is the only proof of life.

use super::files::{Holder, Lock, TunnelFiles};
use super::protocol::{self, Hello, Reply, Request};
use super::{TunnelError, TunnelReport};
use std::path::Path;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What is behind the lock. The socket's answer is the only proof of life.
pub enum Presence {
    Ready(Client),
    /// Alive, but of another release: it understands status and stop.
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
        let late = |_| TunnelError::Broken(std::io::ErrorKind::TimedOut.into());
        timeout(ANSWER_LIMIT, connecting).await.map_err(late)?
    }

    pub(super) async fn ask(&mut self, request: &Request) -> Result<Reply, TunnelError> {
        protocol::send(&mut self.writer, request).await?;
        protocol::receive(&mut self.reader).await?.ok_or(TunnelError::Protocol { source: None })
    }

    pub(super) fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// The supervisor's release.
    pub fn version(&self) -> &str {
        &self.hello.version
    }

    /// The report; with `probe` every database is asked first.
    pub async fn status(&mut self, probe: bool) -> Result<TunnelReport, TunnelError> {
        match self.ask(&Request::Status { probe }).await? {
            Reply::Status { report } => Ok(*report),
            _ => Err(TunnelError::Protocol { source: None }),
        }
    }
}

/// What the supervisor says, if there is one: local and fast, no database is asked.
pub async fn status(state_dir: &Path) -> Option<TunnelReport> {
    let holder = Lock::holder(&TunnelFiles::new(state_dir).lock())?;
    let mut client = Client::connect(&holder.socket).await.ok()?;
    timeout(ANSWER_LIMIT, client.status(false)).await.ok()?.ok()
}
