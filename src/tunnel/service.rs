//! The supervisor's desk: answers clients over the unix socket.

use super::counters::Counters;
use super::place::{Place, socket_in};
use super::protocol::{self, Hello, Reply, Request};
use super::report::Snapshot;
use super::serve::Waiting;
use super::session::Command;
use super::{Story, TunnelError, TunnelReport};
use crate::system::{Clock, send_descriptors};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

/// How often the socket's file is looked for; cleaners of /tmp take it away after some days. More often than a client
/// loses its patience, so that nobody ends a supervisor for that.
const LOOK_AFTER_SOCKET: Duration = Duration::from_secs(1);

/// The listening socket.
pub(super) struct Desk {
    path: PathBuf,
    listener: UnixListener,
}

impl Desk {
    pub(super) fn open(folder: &Path) -> Result<Self, TunnelError> {
        let path = socket_in(folder);
        let listener = listen(&path).map_err(|source| TunnelError::File { path: path.clone(), source })?;
        Ok(Self { path, listener })
    }

    /// Whether its file is there, and its owner may connect: that takes the right to write to it (unix(7)).
    fn takes_clients(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.permissions().mode() & 0o200 != 0)
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    // The caller holds the lock, so a socket that is there is a dead one.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

/// How a supervisor was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    Stop,
    /// Another one has its ports already.
    HandOver,
}

/// The clients that a successor fetches.
pub(super) struct ForSuccessor {
    pub(super) queue: mpsc::UnboundedReceiver<Waiting>,
    /// The last one, until the next is asked for: some kernels may lose what nobody but a message has open.
    pub(super) sent: Option<OwnedFd>,
}

/// Who can answer the questions.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) stop: watch::Sender<Option<Farewell>>,
    /// The local ports, for as long as connections are accepted.
    pub(super) listeners: Vec<Weak<TcpListener>>,
    /// Clients that are the successor's.
    pub(super) waiting: Arc<Mutex<ForSuccessor>>,
    pub(super) place: Arc<Place>,
    pub(super) story: Arc<Story>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Answers clients until it is aborted.
pub(super) async fn run(mut desk: Desk, office: Office) {
    let mut look = tokio::time::interval(LOOK_AFTER_SOCKET);
    loop {
        tokio::select! {
            accepted = desk.listener.accept() => match accepted {
                Ok((client, _)) => {
                    tokio::spawn(attend(client, office.clone()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = look.tick() => {
                let _ = office.place.restore();
                let is_found = desk.path == office.place.socket() && desk.takes_clients();
                if !is_found && let Ok(opened) = office.place.folder().and_then(|folder| Desk::open(&folder)) {
                    desk = opened;
                }
            }
        }
    }
}

async fn attend(client: UnixStream, office: Office) {
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    // The client may be of any release, so its hello is only looked at by the client itself.
    let Ok(Some(_)) = protocol::receive::<serde_json::Value>(&mut reader).await else { return };
    if protocol::send(&mut writer, &Hello::mine()).await.is_err() {
        return;
    }
    loop {
        let reply = match protocol::receive::<Request>(&mut reader).await {
            Ok(None) | Err(TunnelError::Broken(_)) => return,
            Ok(Some(request)) => match answer(request, &writer, &office).await {
                Some(reply) => reply,
                None => continue,
            },
            Err(error) => Reply::Refused { reason: error.to_string() },
        };
        if protocol::send(&mut writer, &reply).await.is_err() {
            return;
        }
    }
}

/// The reply; `None` where it was given already.
async fn answer(request: Request, writer: &OwnedWriteHalf, office: &Office) -> Option<Reply> {
    Some(match request {
        Request::Status { probe } => {
            if probe {
                let (done, asked) = oneshot::channel();
                let _ = office.commands.send(Command::Probe { done });
                let _ = asked.await;
            }
            Reply::Status { report: Box::new(report(office)) }
        }
        Request::Use { spec } => {
            let (done, asked) = oneshot::channel();
            let _ = office.commands.send(Command::Use { spec: spec.clone(), done });
            if asked.await != Ok(true) {
                return Some(Reply::NeedsReplacement);
            }
            office.place.uses(&spec);
            Reply::Accepted
        }
        Request::Restart => {
            let (done, begun) = oneshot::channel();
            let _ = office.commands.send(Command::Restart { cause: "restart was asked for".to_owned(), done });
            let _ = begun.await;
            Reply::Accepted
        }
        Request::Stop => {
            office.stop.send_replace(Some(Farewell::Stop));
            Reply::Accepted
        }
        Request::HandOver => {
            if hand_over(writer, office).await.is_some() {
                return None;
            }
            Reply::Refused { reason: "the ports could not be sent".to_owned() }
        }
        Request::NextWaiting => {
            // Held until it has been sent: the supervisor waits for that.
            let mut waiting = office.waiting.lock().await;
            let Some(Waiting { socket, greeting }) = waiting.queue.recv().await else {
                return Some(Reply::Waiting { client: None });
            };
            let line = protocol::line(&Reply::Waiting { client: Some(greeting) }).unwrap_or_default();
            let _ = send_descriptors(writer.as_ref(), &line, &[socket.as_fd()]).await;
            waiting.sent = Some(socket);
            return None;
        }
    })
}

/// Whoever asks has the ports as well from then on: connections queue there until it accepts them.
async fn hand_over(writer: &OwnedWriteHalf, office: &Office) -> Option<()> {
    let listeners: Vec<_> = office.listeners.iter().filter_map(Weak::upgrade).collect();
    let sockets: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
    let line = protocol::line(&Reply::HandedOver).ok()?;
    send_descriptors(writer.as_ref(), &line, &sockets).await.ok()?;
    office.stop.send_replace(Some(Farewell::HandOver));
    Some(())
}

fn report(office: &Office) -> TunnelReport {
    let mut report = office.snapshot.borrow().report(&office.counters);
    report.log_cause = office.story.trouble(office.clock.now());
    report
}
