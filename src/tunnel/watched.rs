//! The supervisor's side of its watchdog.

use super::files::TunnelFiles;
use super::listen::Inherited;
use super::watchdog::{self, Watchdog};
use super::{Story, TunnelError};
use crate::system::{Clock, Processes};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

/// Before a watchdog that ended is started again. Whoever ends everything of a user (a shutdown) ends us next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const INHERIT_LIMIT: Duration = Duration::from_secs(2);
/// How long one may take to end, which has the ports open until then.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The line to the watchdog that has started this supervisor, and the ports that it has kept open.
///
/// # Errors
/// A watchdog that has ended, or says nothing.
pub(super) async fn inherit(socket: StdUnixStream) -> Result<(UnixStream, Inherited), TunnelError> {
    let inheriting = async {
        let line = watchdog::line(socket)?;
        let sockets = watchdog::inherit(&line).await?;
        Ok((line, Inherited::new(sockets)))
    };
    let late = |_| Err(ErrorKind::TimedOut.into());
    timeout(INHERIT_LIMIT, inheriting).await.unwrap_or_else(late).map_err(TunnelError::Broken)
}

pub(super) struct Watched {
    pub(super) processes: Arc<dyn Processes>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) story: Arc<Story>,
    pub(super) files: TunnelFiles,
    pub(super) executable: PathBuf,
    /// For as long as connections are accepted.
    pub(super) listeners: Vec<Weak<TcpListener>>,
}

impl Watched {
    /// Sees to it that there is a watchdog (`line` leads to the one that has started this supervisor) until `over`; then
    /// there is none.
    pub(super) async fn run(self, mut line: Option<UnixStream>, mut over: oneshot::Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            match self.introduced(line.take()).await {
                Ok(line) => tokio::select! {
                    _ = &mut over => return self.take_leave(&line).await,
                    () = ended(&line) => self.tell("its watchdog was killed, and another one is started"),
                },
                Err(error) => self.tell(&format!("nobody watches over this supervisor: {error}")),
            }
            pause = if began.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
            tokio::select! {
                _ = &mut over => return,
                () = sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn introduced(&self, line: Option<UnixStream>) -> std::io::Result<UnixStream> {
        let line = match line {
            Some(line) => line,
            None => watchdog::start_watchdog(self.processes.as_ref(), &self.files, &self.executable)?,
        };
        let listeners: Vec<_> = self.listeners.iter().filter_map(Weak::upgrade).collect();
        let sockets: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
        watchdog::hold(&line, &sockets).await?;
        Ok(line)
    }

    /// A watchdog that does not answer would keep the ports open.
    async fn take_leave(&self, line: &UnixStream) {
        let leaving = async {
            let _ = watchdog::say_farewell(line).await;
            ended(line).await;
        };
        if timeout(END_LIMIT, leaving).await.is_err() {
            Watchdog { processes: self.processes.as_ref(), spec_file: self.files.spec() }.end().await;
        }
    }

    fn tell(&self, line: &str) {
        self.story.tell(self.clock.now(), line);
    }
}

/// Waits for the end of the other side, which says nothing.
async fn ended(line: &UnixStream) {
    let mut said = [0; 16];
    while line.readable().await.is_ok() {
        match line.try_read(&mut said) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}
