//! The watchdog: holds the local ports a second time, and starts the supervisor again when that was killed.
//!
//! A connection that comes meanwhile waits in the kernel's queue (listen(2)), refused by nobody. Of supervisor and
//! watchdog each starts the other one again. `down` ends both; who kills one before the other is back ends them as well,
//! and the next `up` goes on with what they left.

use super::files::{Lock, TunnelFiles};
use super::{Backoff, Story};
use crate::system::{Clock, Gets, ProcessInfo, Processes, SpawnSpec, receive_descriptors, send_descriptors};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

/// The command lines before the specification's path. They, what lies there, and the words below keep their meaning for
/// ever: between two starts the program may have been upgraded.
const WATCHDOG: [&str; 3] = ["tunnel", "watchdog", "--spec"];
const SUPERVISOR: [&str; 4] = ["tunnel", "supervise", "--watched", "--spec"];
const HOLD: &[u8] = b"hold\n";
const FAREWELL: &[u8] = b"farewell\n";
const LONGEST_WORD: usize = 64;
/// Supervisors in a row that ended before they took connections: for half a minute.
const MOST_FAILURES: u32 = 30;
/// A longer pause than this, and a verb would take the watchdog for one that does nothing: each waits for
/// [`super::client::ANSWER_LIMIT`].
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const END_LIMIT: Duration = Duration::from_secs(2);
const LETS_GO_WITHIN: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(5);

/// What a watchdog needs from the world.
pub struct WatchdogTools {
    /// This program, which is the supervisor as well.
    pub executable: PathBuf,
    pub processes: Arc<dyn Processes>,
    pub clock: Arc<dyn Clock>,
}

/// What the two say to each other over `line`, whose end is the other one's end.
enum Word {
    /// From either: these are the listening sockets.
    Hold(Vec<OwnedFd>),
    /// From the supervisor, which is about to end because somebody wants it to.
    Farewell,
}

async fn hear(line: &UnixStream) -> Result<Word> {
    let (said, sockets) = receive_descriptors(line, LONGEST_WORD).await?;
    match said.as_slice() {
        HOLD => Ok(Word::Hold(sockets)),
        // Said at once, the two may be read at once.
        said if said.ends_with(FAREWELL) => Ok(Word::Farewell),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Gives the other side the listening sockets, which it then has open as well.
pub(super) async fn hold(line: &UnixStream, sockets: &[BorrowedFd<'_>]) -> Result<()> {
    send_descriptors(line, HOLD, sockets).await
}

/// The supervisor's last word.
pub(super) async fn say_farewell(line: &UnixStream) -> Result<()> {
    send_descriptors(line, FAREWELL, &[]).await
}

/// The listening sockets, for a supervisor that a watchdog has started.
pub(super) async fn inherit(line: &UnixStream) -> Result<Vec<OwnedFd>> {
    match hear(line).await? {
        Word::Hold(sockets) => Ok(sockets),
        Word::Farewell => Err(ErrorKind::InvalidData.into()),
    }
}

/// A process of this program at the other end of the line, which is its stdin.
pub(super) fn start(
    processes: &dyn Processes,
    files: &TunnelFiles,
    executable: &Path,
    words: &[&str],
) -> Result<UnixStream> {
    let (near, far) = std::os::unix::net::UnixStream::pair()?;
    let mut args: Vec<_> = words.iter().map(Into::into).collect();
    args.push(files.spec().into());
    let (program, cwd) = (executable.into(), Some("/".into()));
    let program = SpawnSpec { program, args, gets: Gets::Tunnel, cwd, ..SpawnSpec::default() };
    processes.spawn_on_line(&program, &files.log(), far.into()).map_err(Error::other)?;
    line(near)
}

/// The line to the other one, for this runtime.
pub(super) fn line(socket: std::os::unix::net::UnixStream) -> Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

/// A watchdog for the supervisor that calls.
pub(super) fn start_watchdog(processes: &dyn Processes, files: &TunnelFiles, executable: &Path) -> Result<UnixStream> {
    start(processes, files, executable, &WATCHDOG)
}

/// Watches over the supervisor at the other end of `socket` until that says farewell, or cannot be started again.
///
/// # Errors
/// A socket that this runtime cannot wait for.
pub async fn watch(spec_file: &Path, socket: std::os::unix::net::UnixStream, tools: WatchdogTools) -> Result<()> {
    let mut line = line(socket)?;
    let files = TunnelFiles::new(spec_file.parent().unwrap_or(Path::new(".")));
    let story = Story::open(&files.log());
    let tell = |words: &str| story.tell(tools.clock.now(), words);
    let backoff = Backoff { cap: LONGEST_PAUSE, ..Backoff::default() };
    let (mut held, mut attempts, mut failures) = (Vec::new(), 0, 0);
    loop {
        let mut ready = None;
        loop {
            match hear(&line).await {
                Ok(Word::Hold(sockets)) => (held, ready) = (sockets, Some(Instant::now())),
                Ok(Word::Farewell) => return Ok(()),
                Err(_) => break,
            }
        }
        // Taken down meanwhile; or another one has the tunnel, which told the log what it is.
        if held.is_empty() || !files.spec().exists() || (ready.is_none() && is_anothers(&files).await) {
            return Ok(());
        }
        failures = if ready.is_some() { 0 } else { failures + 1 };
        if failures >= MOST_FAILURES {
            tell("the supervisor ends as soon as it is started: given up, and the ports are closed");
            return Ok(());
        }
        attempts = backoff.attempts_after(attempts, ready.map_or(Duration::ZERO, |ready| ready.elapsed()));
        let pause = backoff.delay(attempts, 1.0);
        attempts += 1;
        // A pause of nothing would be a millisecond: the timer's resolution.
        if !pause.is_zero() {
            sleep(pause).await;
            if !files.spec().exists() || is_anothers(&files).await {
                return Ok(());
            }
        }
        let what = if ready.is_some() { "was killed" } else { "did not start" };
        tell(&format!("the supervisor {what}, and is started again; the ports stay open"));
        match start(tools.processes.as_ref(), &files, &tools.executable, &SUPERVISOR) {
            Ok(started) => line = started,
            Err(error) => {
                tell(&format!("the supervisor cannot be started again: {error}"));
                continue;
            }
        }
        let sockets: Vec<_> = held.iter().map(AsFd::as_fd).collect();
        let _ = hold(&line, &sockets).await;
    }
}

/// Whether somebody has the tunnel. A process that is ending lets go of the line before it lets go of the lock.
async fn is_anothers(files: &TunnelFiles) -> bool {
    let limit = Instant::now() + LETS_GO_WITHIN;
    while Lock::is_held(&files.lock()) {
        if Instant::now() >= limit {
            return true;
        }
        sleep(POLL).await;
    }
    false
}

/// The watchdogs of one tunnel, found by their command line.
pub(super) struct Watchdog<'a> {
    pub(super) processes: &'a dyn Processes,
    pub(super) spec_file: PathBuf,
}

impl Watchdog<'_> {
    pub(super) fn exists(&self) -> bool {
        self.processes.list().iter().any(|process| is_watchdog(process, &self.spec_file))
    }

    /// Ends it; true when there was one. It starts nothing more, and has nothing to put away.
    pub(super) async fn end(&self) -> bool {
        self.end_all(|process| is_watchdog(process, &self.spec_file)).await
    }

    /// The same with supervisors that it has started. For a caller who has found that nobody supervises.
    pub(super) async fn end_with_what_it_started(&self) -> bool {
        let is_new = |process: &ProcessInfo| has_words(process, &SUPERVISOR, &self.spec_file);
        self.end_all(|process| is_watchdog(process, &self.spec_file) || is_new(process)).await
    }

    async fn end_all(&self, is_wanted: impl Fn(&ProcessInfo) -> bool) -> bool {
        let mut found = self.processes.list();
        found.retain(is_wanted);
        let has_some = !found.is_empty();
        for process in &found {
            let _ = self.processes.kill(process.pid, process.started_at);
        }
        let limit = Instant::now() + END_LIMIT;
        let lives = |old: &ProcessInfo| {
            let now = self.processes.find(old.pid);
            now.is_some_and(|now| now.started_at == old.started_at)
        };
        while found.iter().any(lives) && Instant::now() < limit {
            sleep(POLL).await;
        }
        has_some
    }
}

/// Whether this process is a watchdog of this tunnel: the argument names a file in the environment's private folder.
pub(super) fn is_watchdog(process: &ProcessInfo, spec_file: &Path) -> bool {
    has_words(process, &WATCHDOG, spec_file)
}

fn has_words(process: &ProcessInfo, words: &[&str], spec_file: &Path) -> bool {
    let Some((path, said)) = process.command.get(1..).and_then(<[String]>::split_last) else { return false };
    process.own && said == words && Path::new(path) == spec_file
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "clippy does not see that this is built for tests only")]
mod tests {
    use super::*;
    use crate::testing::{FakeProcesses, FixedClock};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream as Socket;
    use tokio::task::JoinHandle;

    /// A watchdog that has been told of a port; the supervisor's end of its line, and what it starts.
    struct Watching {
        state: tempfile::TempDir,
        address: SocketAddr,
        supervisor: UnixStream,
        processes: Arc<FakeProcesses>,
        watchdog: JoinHandle<Result<()>>,
    }

    async fn watching() -> Watching {
        let state = tempfile::tempdir().unwrap();
        let spec = state.path().join("tunnel.json");
        std::fs::write(&spec, "").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let (near, far) = Socket::pair().unwrap();
        let processes = Arc::new(FakeProcesses::default());
        let tools = WatchdogTools {
            executable: "/opt/devdb".into(),
            processes: processes.clone(),
            clock: Arc::new(FixedClock::default()),
        };
        let supervisor = line(near).unwrap();
        let address = port.local_addr().unwrap();
        hold(&supervisor, &[port.as_fd()]).await.unwrap();
        let watchdog = tokio::spawn(async move { watch(&spec, far, tools).await });
        Watching { state, address, supervisor, processes, watchdog }
    }

    /// The line to the supervisor that the watchdog starts next, and how long that took.
    async fn next_supervisor(processes: &FakeProcesses) -> (UnixStream, Duration) {
        let began = Instant::now();
        loop {
            if let Some(found) = processes.take_line() {
                return (line(found.into()).unwrap(), began.elapsed());
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_says_farewell_is_not_started_again_and_its_port_is_closed() {
        let one = watching().await;
        say_farewell(&one.supervisor).await.unwrap();
        one.watchdog.await.unwrap().unwrap();
        assert!(one.processes.spawned().is_empty());
        assert!(TcpStream::connect(one.address).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_supervisor_that_was_killed_is_started_at_once_and_has_its_ports_again() {
        let mut one = watching().await;
        let spec = one.state.path().join("tunnel.json");
        // Also one that is killed again and again: soon not at once any more, but after a second at most.
        let mut pauses = Vec::new();
        for lived in [2; 20].into_iter().chain([0; 100]) {
            sleep(Duration::from_secs(lived)).await;
            drop(one.supervisor);
            // By nobody accepted, and by nobody refused.
            let client = TcpStream::connect(one.address).unwrap();
            let (next, took) = next_supervisor(&one.processes).await;
            pauses.push(took.as_millis() / 100);
            let port = TcpListener::from(inherit(&next).await.unwrap().remove(0));
            assert_eq!(port.accept().unwrap().1, client.local_addr().unwrap());
            hold(&next, &[port.as_fd()]).await.unwrap();
            one.supervisor = next;
        }
        assert_eq!(pauses, [vec![0; 20], vec![5], vec![10; 99]].concat());
        let started = one.processes.spawned().pop().unwrap();
        assert_eq!(started.program, "/opt/devdb");
        assert_eq!(started.args, ["tunnel", "supervise", "--watched", "--spec", spec.to_str().unwrap()]);
        say_farewell(&one.supervisor).await.unwrap();
        one.watchdog.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_as_soon_as_it_is_started_is_tried_more_and_more_rarely_and_then_given_up() {
        let one = watching().await;
        drop(one.supervisor);
        let mut pauses = Vec::new();
        for _ in 0..MOST_FAILURES {
            let (next, took) = next_supervisor(&one.processes).await;
            pauses.push(took.as_millis() / 100);
            drop(next);
        }
        assert!(pauses[..2] == [0, 5] && pauses[2..].iter().all(|pause| *pause == 10), "{pauses:?}");
        one.watchdog.await.unwrap().unwrap();
        assert!(TcpStream::connect(one.address).is_err());
        let log = std::fs::read_to_string(one.state.path().join("tunnel.log")).unwrap();
        assert!(log.contains("given up, and the ports are closed"), "{log}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_started_for_a_tunnel_that_was_taken_down_or_is_anothers_by_now() {
        let one = watching().await;
        std::fs::remove_file(one.state.path().join("tunnel.json")).unwrap();
        drop(one.supervisor);
        one.watchdog.await.unwrap().unwrap();
        assert!(one.processes.spawned().is_empty());

        let one = watching().await;
        drop(one.supervisor);
        let (next, _) = next_supervisor(&one.processes).await;
        let _others = Lock::try_take(&TunnelFiles::new(one.state.path()).lock()).unwrap().unwrap();
        drop(next);
        one.watchdog.await.unwrap().unwrap();
        assert_eq!(one.processes.spawned().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_watchdog_of_this_tunnel_is_ended() {
        let processes = FakeProcesses::default();
        let process = |pid, own, command: &str| ProcessInfo {
            pid,
            own,
            command: command.split(' ').map(str::to_owned).collect(),
            ..ProcessInfo::default()
        };
        processes.add(process(1, true, "/opt/devdb tunnel watchdog --spec /state/dev/tunnel.json"));
        processes.add(process(2, true, "/opt/devdb tunnel watchdog --spec /state/test/tunnel.json"));
        processes.add(process(3, true, "/opt/devdb tunnel supervise --spec /state/dev/tunnel.json"));
        processes.add(process(4, false, "/opt/devdb tunnel watchdog --spec /state/dev/tunnel.json"));
        processes.add(process(5, true, "vim tunnel watchdog"));
        processes.add(process(6, true, "/opt/devdb tunnel supervise --watched --spec /state/dev/tunnel.json"));
        let watchdog = Watchdog { processes: &processes, spec_file: "/state/dev/tunnel.json".into() };
        assert!(watchdog.exists() && watchdog.end().await);
        assert_eq!(processes.ended(), [1]);
        assert!(!watchdog.exists() && !watchdog.end().await);
        assert!(watchdog.end_with_what_it_started().await);
        assert_eq!(processes.ended(), [1, 6]);
    }
}
