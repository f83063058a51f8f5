//! The supervisor's desk: answers clients over the unix socket.

use super::counters::Counters;
use super::place::{Place, socket_in};
use super::protocol::{self, Hello, Reply, Request};
use super::report::Snapshot;
use super::session::Command;
use super::{Story, TunnelError, TunnelReport};
use crate::system::Clock;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};

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

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    // The caller holds the lock, so a socket that is there is a dead one.
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

/// Who can answer the questions.
#[derive(Clone)]
pub(super) struct Office {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) stop: watch::Sender<bool>,
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
                let is_there = desk.path == office.place.socket() && desk.path.exists();
                if !is_there && let Ok(opened) = office.place.folder().and_then(|folder| Desk::open(&folder)) {
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
            Ok(Some(request)) => answer(request, &office).await,
            Err(error) => Reply::Refused { reason: error.to_string() },
        };
        if protocol::send(&mut writer, &reply).await.is_err() {
            return;
        }
    }
}

async fn answer(request: Request, office: &Office) -> Reply {
    match request {
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
                return Reply::NeedsReplacement;
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
            office.stop.send_replace(true);
            Reply::Accepted
        }
    }
}

fn report(office: &Office) -> TunnelReport {
    let mut report = office.snapshot.borrow().report(&office.counters);
    report.log_cause = office.story.trouble(office.clock.now());
    report
}
