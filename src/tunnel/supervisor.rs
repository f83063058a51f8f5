//! The background process that owns the local ports and keeps the link behind them alive.

use super::counters::Counters;
use super::files::{Holder, Lock, TunnelFiles};
use super::generation::Gate;
use super::greeting::Greeting;
use super::guests::Guests;
use super::heal::ERRAND;
use super::listen::{self, Inherited, Listeners};
use super::place::{self, Place};
use super::refusals::Refusals;
use super::report::Snapshot;
use super::resume::Resuming;
use super::serve::{self, Hub, Waiting};
use super::service::{self, Desk, Farewell, ForSuccessor, Office};
use super::session::{Command, Session, Tools};
use super::watched::{self, Watched};
use super::{Healer, Probe, Ssh, Story, SupervisorSpec, TunnelError, orphans, predecessor};
use crate::system::{Clock, ProcessInfo, Processes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Somebody who only looks may hold the lock for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Open connections get this long to finish when the tunnel is taken down.
const DRAIN: Duration = Duration::from_secs(1);
/// Longer than a client without an answer needs to see that the link is gone ([`super::generation::DEATH_NOTICE`]).
const UNANSWERED: Duration = Duration::from_millis(300);

/// What a supervisor needs from the world.
pub struct SupervisorTools {
    pub ssh: Arc<dyn Ssh>,
    pub probe: Arc<dyn Probe>,
    pub clock: Arc<dyn Clock>,
    pub processes: Arc<dyn Processes>,
    pub healer: Arc<dyn Healer>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
    /// This program, which is the watchdog as well.
    pub executable: PathBuf,
}

/// Where a supervisor has its ports from.
pub enum Beginning {
    /// They are free.
    Fresh,
    /// It takes the place of the supervisor that runs, whose ports stay open meanwhile.
    Succeeds,
    /// A watchdog at the other end of this line has kept them open.
    Watched(std::os::unix::net::UnixStream),
}

/// Supervises until somebody says stop, or `ended` completes (a signal). The state folder is the one that the
/// specification lies in.
pub async fn supervise(
    spec_file: &Path,
    beginning: Beginning,
    tools: SupervisorTools,
    ended: impl Future<Output = ()> + Send,
) -> Result<(), TunnelError> {
    let files = TunnelFiles::new(spec_file.parent().unwrap_or(Path::new(".")));
    let story = Arc::new(Story::open(&files.log()));
    let clock = tools.clock.clone();
    let ran = run(spec_file, beginning, &files, story.clone(), tools, ended).await;
    match &ran {
        Ok(()) => story.tell(clock.now(), "stopped"),
        Err(error) => story.tell(clock.now(), &format!("did not start: {}", with_causes(error))),
    }
    ran
}

/// Nobody reads the background process's error report; the log gets it in one line.
fn with_causes(error: &TunnelError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

async fn run(
    spec_file: &Path,
    beginning: Beginning,
    files: &TunnelFiles,
    story: Arc<Story>,
    tools: SupervisorTools,
    ended: impl Future<Output = ()> + Send,
) -> Result<(), TunnelError> {
    // A wrong one is no reason to end whoever runs.
    read_spec(spec_file)?;
    let processes = tools.processes.as_ref();
    let (line, mut inherited) = match beginning {
        Beginning::Fresh => (None, Inherited::default()),
        Beginning::Succeeds => (None, predecessor::succeed(files, processes).await?),
        Beginning::Watched(watchdog) => {
            let (line, inherited) = watched::inherit(watchdog).await?;
            (Some(line), inherited)
        }
    };
    let with_ports = if inherited.is_empty() { "" } else { "; the ports stayed open" };
    let lock = Lock::take_within(&files.lock(), LOCK_PATIENCE).await?.ok_or(TunnelError::AlreadyRuns)?;
    // Whoever has taken the tunnel down meanwhile has taken the specification away.
    let spec = read_spec(spec_file)?;
    let folder = files.socket_folder(tools.runtime_dir.as_deref())?;
    let tell = |line: &str| story.tell(tools.clock.now(), line);

    let listeners = bind_all(&spec, &mut inherited).await?;
    let waiting = inherited.into_waiting();
    // Whoever was killed may have used another folder, and the lock, which is about to be signed anew, is the only
    // record of it.
    let before = Lock::holder(&files.lock()).map(|holder| holder.folders()).unwrap_or_default();
    let ssh = Resuming::look(tools.ssh, &spec, &folder).await;
    // Clients may be waiting in the queue, and to look through all processes of the machine takes a while.
    let goes_on_with_all = line.is_some() && ssh.pid().is_some() && orphans::homes(&folder) == 1;
    let to_sweep = before.iter().filter(|old| **old != folder).chain((!goes_on_with_all).then_some(&folder));
    let mut swept = Vec::new();
    for old in to_sweep {
        swept.extend(orphans::sweep(processes, files, old, ssh.pid()).await);
    }
    files.keep(&folder)?;
    if !swept.is_empty() {
        tell(&format!("ended what a killed supervisor left behind: ssh {swept:?}"));
    }

    let pid = std::process::id();
    let started_at = tools.processes.find(pid).map_or(0, |process| process.started_at);
    let version = super::VERSION.to_owned();
    let holder = Holder { pid, started_at, version, socket: place::socket_in(&folder), left: Vec::new() };
    let place = Arc::new(Place::take(files.clone(), tools.runtime_dir.clone(), lock, holder, spec.clone())?);
    // Signed first: whoever is answered finds out by whom.
    let desk = Desk::open(&folder)?;
    tell(&format!("devdb {} supervises as process {pid}{with_ports}", super::VERSION));
    if let Some(ssh) = ssh.pid() {
        tell(&format!("goes on with the ssh that a killed supervisor left: {ssh}"));
    }

    let local: Vec<_> = listeners.iter().map(|target| (target.local.clone(), target.skipped.clone())).collect();
    let (gate_sender, gate) = watch::channel(Gate::Wait);
    let (snapshot_sender, snapshot) = watch::channel(Snapshot::new(&spec, &local));
    let (commands, command_inbox) = mpsc::unbounded_channel();
    let (remarks, remark_inbox) = mpsc::unbounded_channel();
    let counters: Vec<_> = spec.targets.iter().map(|_| Arc::new(Counters::default())).collect();
    let held = Arc::new(AtomicUsize::new(0));
    let (successor_sender, successor) = watch::channel(None);
    let (to_successor, queue) = mpsc::unbounded_channel();
    let for_successor = Arc::new(Mutex::new(ForSuccessor { queue, sent: None }));
    let guests = Arc::new(Guests {
        serves_all_users: spec.serves_all_users,
        processes: tools.processes.clone(),
        story: story.clone(),
        clock: tools.clock.clone(),
        told: std::sync::Mutex::default(),
    });
    let (hold, ports) = (spec.hold(), spec.targets.iter().map(|target| target.local_port).collect::<Vec<_>>());
    let refusals: Vec<Arc<Refusals>> = spec.targets.iter().map(|_| Arc::default()).collect();
    let hub = Hub {
        successor,
        gate,
        hold,
        counters: counters.clone(),
        refusals: refusals.clone(),
        held: held.clone(),
        remarks,
    };
    let hub = Arc::new(hub);
    let clock = tools.clock.clone();
    let healer = tools.healer;
    let session_tools = Tools {
        ssh: Arc::new(ssh),
        probe: tools.probe,
        clock: clock.clone(),
        story: story.clone(),
        held,
        counters: counters.clone(),
        refusals,
        healer,
    };
    let home = place.clone();
    let mut session = Session::new(spec, Box::new(move || home.folder()), session_tools, gate_sender, snapshot_sender);
    if line.is_some() {
        session.restarted("the supervisor was killed");
    }

    let session = tokio::spawn(session.run(command_inbox, remark_inbox));
    let listeners = shared(listeners);
    let handed_over: Vec<_> = listeners.iter().map(|(_, listener)| Arc::downgrade(listener)).collect();
    let accepting: Vec<_> = accept_all(listeners, &hub, &guests);
    serve_waiting(waiting, &ports, &hub);
    let (stop, mut stop_asked) = watch::channel(None);
    let office = Office {
        commands: commands.clone(),
        snapshot,
        counters,
        stop,
        listeners: handed_over.clone(),
        waiting: for_successor.clone(),
        place: place.clone(),
        story: story.clone(),
        clock,
    };
    let serving = tokio::spawn(service::run(desk, office));
    let watched = Watched {
        processes: tools.processes.clone(),
        clock: tools.clock.clone(),
        story: story.clone(),
        files: files.clone(),
        executable: tools.executable,
        listeners: handed_over,
    };
    let (over, is_over) = oneshot::channel();
    let watched = tokio::spawn(watched.run(line, is_over));

    tokio::select! {
        () = ended => {}
        _ = stop_asked.wait_for(Option::is_some) => {}
    }

    let is_succeeded = *stop_asked.borrow() == Some(Farewell::HandOver);
    if is_succeeded {
        // Whoever was accepted last may be waiting for a first answer, and still gets it.
        tell("a new supervisor takes the ports over");
    } else {
        let _ = commands.send(Command::Drain);
    }
    // The listeners go first, also the watchdog's: a connection that nobody will serve is better refused than held.
    for listener in accepting {
        listener.abort();
        let _ = listener.await;
    }
    drop(over);
    let _ = watched.await;
    if is_succeeded {
        successor_sender.send_replace(Some(to_successor));
    }
    drain(&hub.counters, DRAIN).await;
    let _ = commands.send(Command::Stop);
    let _ = session.await;
    if is_succeeded {
        // Whom the link has left without an answer waits again, and goes as well.
        drain(&hub.counters, UNANSWERED).await;
        successor_sender.send_replace(None);
        let _ = timeout(DRAIN, given_away(&for_successor)).await;
    }
    serving.abort();
    let _ = serving.await;
    end_errands(tools.processes.as_ref(), pid);
    // An ssh that was still being started knows nothing of the end; it is found by its control path.
    for folder in place.folders() {
        orphans::sweep(tools.processes.as_ref(), files, &folder, None).await;
    }
    // The kernel lets go of the lock when the process has ended, so whoever finds it free finds no process either.
    std::mem::forget(place);
    Ok(())
}

/// A child that asks AWS knows nothing of the end, and would go on mending for a tunnel that is down.
fn end_errands(processes: &dyn Processes, pid: u32) {
    let is_ours =
        |process: &ProcessInfo| process.parent == Some(pid) && process.command.windows(2).any(|words| words == ERRAND);
    for process in processes.list().iter().filter(|process| is_ours(process)) {
        let _ = processes.terminate(process.pid, process.started_at);
    }
}

/// Reads a specification and checks every value in it.
pub fn read_spec(path: &Path) -> Result<SupervisorSpec, TunnelError> {
    let text = std::fs::read(path).map_err(|source| TunnelError::File { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| TunnelError::SpecFile { path: path.to_owned(), source })
}

/// All ports or none.
async fn bind_all(spec: &SupervisorSpec, inherited: &mut Inherited) -> Result<Vec<Listeners>, TunnelError> {
    let mut all = Vec::new();
    for target in &spec.targets {
        all.push(listen::bind(target, inherited).await?);
    }
    Ok(all)
}

/// Each with the target that it leads to.
fn shared(listeners: Vec<Listeners>) -> Vec<(usize, Arc<TcpListener>)> {
    let with_target = listeners.into_iter().enumerate();
    with_target.flat_map(|(target, found)| found.bound.into_iter().map(move |one| (target, Arc::new(one)))).collect()
}

fn accept_all(listeners: Vec<(usize, Arc<TcpListener>)>, hub: &Arc<Hub>, guests: &Arc<Guests>) -> Vec<JoinHandle<()>> {
    let accepting =
        listeners.into_iter().map(|(target, listener)| accept(listener, target, hub.clone(), guests.clone()));
    accepting.map(tokio::spawn).collect()
}

/// Clients that another supervisor has handed over, by the port that they came to.
fn serve_waiting(waiting: Vec<Waiting>, ports: &[u16], hub: &Arc<Hub>) {
    for Waiting { socket, greeting } in waiting {
        let Ok(client) = TcpStream::from_std(socket.into()) else { continue };
        let port = client.local_addr().map(|local| local.port());
        if let Some(target) = ports.iter().position(|known| port.as_ref().is_ok_and(|port| port == known)) {
            tokio::spawn(serve::serve(client, greeting, target, hub.clone()));
        }
    }
}

/// Ends when the successor has fetched them all; one of an older release never does.
async fn given_away(waiting: &Mutex<ForSuccessor>) {
    while !waiting.lock().await.queue.is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn accept(listener: Arc<TcpListener>, target: usize, hub: Arc<Hub>, guests: Arc<Guests>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) if !guests.admit(&client) => drop(client),
            Ok((client, _)) => {
                // Nagle would hold back the second half of a request until the first is acknowledged.
                let _ = client.set_nodelay(true);
                tokio::spawn(serve::serve(client, Greeting::default(), target, hub.clone()));
            }
            // Out of file descriptors, usually: the connection stays in the queue until some are free.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until nobody uses the tunnel any more, but not for long.
async fn drain(counters: &[Arc<Counters>], patience: Duration) {
    let limit = Instant::now() + patience;
    let is_used = |counters: &Arc<Counters>| {
        let now = counters.connections();
        now.open + now.held > 0
    };
    while counters.iter().any(is_used) && Instant::now() < limit {
        sleep(Duration::from_millis(20)).await;
    }
}
