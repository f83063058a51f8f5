//! Ends the supervisor that runs, and takes its ports over where another one follows.

use super::TunnelError;
use super::client::{ANSWER_LIMIT, Presence};
use super::files::{Holder, Lock, TunnelFiles};
use super::listen::Inherited;
use super::protocol::Request;
use super::watchdog::Watchdog;
use crate::system::Processes;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(25);
/// Open connections may finish, and ssh is told to end.
const END_LIMIT: Duration = Duration::from_secs(10);
const SIGNAL_LIMIT: Duration = Duration::from_secs(3);
/// From the first word until one that answers nothing has been killed.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Ends whoever holds the lock, and everything of it; also the one that has just taken somebody's place.
///
/// # Errors
/// A supervisor that cannot be ended, or that nobody can name.
pub(super) async fn end(files: &TunnelFiles, processes: &dyn Processes) -> Result<(), TunnelError> {
    let limit = Instant::now() + LIMIT;
    loop {
        match dismiss(files, processes, false).await {
            Err(TunnelError::AlreadyRuns) if Instant::now() < limit => {}
            ended => return ended.map(drop),
        }
    }
}

/// As [`end`], but its ports stay open, and are the caller's; none where it could not be asked for them.
///
/// # Errors
/// As [`end`]; [`TunnelError::AlreadyRuns`] where another successor was faster.
pub(super) async fn succeed(files: &TunnelFiles, processes: &dyn Processes) -> Result<Inherited, TunnelError> {
    dismiss(files, processes, true).await
}

async fn dismiss(files: &TunnelFiles, processes: &dyn Processes, keeps_ports: bool) -> Result<Inherited, TunnelError> {
    let presence = Presence::of(files).await;
    // Only now: whoever answers has signed, and may have begun a moment ago.
    let holder = Lock::holder(&files.lock());
    let mut inherited = Inherited::default();
    if let Presence::Ready(mut client) | Presence::Outdated(mut client) = presence {
        let limit = Instant::now() + END_LIMIT;
        // An older release knows only how to stop.
        match if keeps_ports { client.hand_over().await.ok() } else { None } {
            Some(sockets) => {
                inherited = Inherited::new(sockets);
                // Of two successors the slower one may fetch some, and they end with it: only an `up` that was cancelled
                // leaves a second.
                while let Some(waiting) = client.next_waiting(limit - Instant::now()).await {
                    inherited.waiting.push(waiting);
                }
            }
            None => drop(client.ask(&Request::Stop, ANSWER_LIMIT).await),
        }
        if is_free_within(files, &holder, limit - Instant::now()).await? {
            return Ok(inherited);
        }
    }
    let Some(named) = &holder else {
        let is_free = is_free_within(files, &holder, ANSWER_LIMIT).await?;
        return if is_free { Ok(inherited) } else { Err(TunnelError::Stale { pid: 0 }) };
    };
    if is_free_within(files, &holder, Duration::ZERO).await? {
        return Ok(inherited);
    }
    // It would start another one.
    Watchdog { processes, spec_file: files.spec() }.end().await;
    // The lock is held, and its holder signed with pid and start time: this process is ours.
    processes.terminate(named.pid, named.started_at)?;
    if is_free_within(files, &holder, SIGNAL_LIMIT).await? {
        return Ok(inherited);
    }
    processes.kill(named.pid, named.started_at)?;
    if is_free_within(files, &holder, SIGNAL_LIMIT).await? {
        return Ok(inherited);
    }
    Err(TunnelError::NotEnded { pid: named.pid })
}

/// The lock is freed by the kernel when the process has ended, whatever ended it.
///
/// # Errors
/// [`TunnelError::AlreadyRuns`] when somebody else has signed it by now.
async fn is_free_within(files: &TunnelFiles, holder: &Option<Holder>, patience: Duration) -> Result<bool, TunnelError> {
    let limit = Instant::now() + patience;
    let process = |holder: &Holder| (holder.pid, holder.started_at);
    while Lock::is_held(&files.lock()) {
        let now = Lock::holder(&files.lock());
        // While it is being signed anew it cannot be read.
        if now.is_some() && now.as_ref().map(process) != holder.as_ref().map(process) {
            return Err(TunnelError::AlreadyRuns);
        }
        if Instant::now() >= limit {
            return Ok(false);
        }
        sleep(POLL).await;
    }
    Ok(true)
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "clippy does not see that this is built for tests only")]
mod tests {
    use super::*;
    use crate::system::send_descriptors;
    use crate::testing::FakeProcesses;
    use crate::tunnel::TargetSpec;
    use crate::tunnel::greeting::Greeting;
    use crate::tunnel::listen;
    use crate::tunnel::protocol::{self, Hello};
    use std::os::fd::AsFd;
    use tokio::io::BufReader;
    use tokio::net::UnixListener;
    use tokio::task::JoinHandle;

    /// A supervisor of an older release. It answers as it is told, writes down what it was asked, and frees its lock
    /// after the last of its answers.
    fn old_supervisor(
        state: &std::path::Path,
        ports: Vec<std::net::TcpListener>,
        answers: &'static [&'static str],
    ) -> (TunnelFiles, JoinHandle<Vec<String>>) {
        let files = TunnelFiles::new(state);
        let mut lock = Lock::try_take(&files.lock()).unwrap().unwrap();
        let socket = state.join("s");
        let left = Vec::new();
        let holder = Holder { pid: 7, started_at: 9, version: "0.0.1".to_owned(), socket: socket.clone(), left };
        lock.sign(&holder, &files.lock()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        let conversation = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            let mut reader = BufReader::new(reader);
            protocol::receive::<Hello>(&mut reader).await.unwrap();
            protocol::send(&mut writer, &Hello { version: "0.0.1".to_owned(), ..Hello::mine() }).await.unwrap();
            let mut asked = Vec::new();
            for answer in answers {
                let request: serde_json::Value = protocol::receive(&mut reader).await.unwrap().unwrap();
                asked.push(request["request"].as_str().unwrap().to_owned());
                let sockets: Vec<_> = ports.iter().map(AsFd::as_fd).collect();
                send_descriptors(writer.as_ref(), format!("{answer}\n").as_bytes(), &sockets).await.unwrap();
            }
            drop((lock, ports));
            asked
        });
        (files, conversation)
    }

    fn target(local_port: u16) -> TargetSpec {
        let text = format!(r#"{{"name": "writer", "host": "db", "port": 5432, "local_port": {local_port}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn the_ports_of_a_supervisor_that_gives_them_are_never_closed() {
        let state = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        let (files, old) = old_supervisor(state.path(), vec![port], &[r#"{"reply":"handed_over"}"#]);
        let mut inherited = succeed(&files, &FakeProcesses::default()).await.unwrap();
        assert_eq!(old.await.unwrap(), ["hand_over"]);
        let waiting = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut bound = listen::bind(&target(address.port()), &mut inherited).await.unwrap();
        let (_, client) = bound.bound.remove(0).accept().await.unwrap();
        assert_eq!(client, waiting.local_addr().unwrap());
        assert!(inherited.is_empty());
    }

    #[tokio::test]
    async fn clients_that_wait_come_one_by_one_with_what_they_have_said() {
        let state = tempfile::tempdir().unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let answers = &[
            r#"{"reply":"handed_over"}"#,
            r#"{"reply":"waiting","client":{"bytes":[1,2],"was_told_yes":true}}"#,
            r#"{"reply":"waiting","client":{"bytes":[],"was_told_yes":false}}"#,
            r#"{"reply":"waiting","client":null}"#,
        ];
        let (files, old) = old_supervisor(state.path(), vec![socket], answers);
        let inherited = succeed(&files, &FakeProcesses::default()).await.unwrap();
        assert_eq!(old.await.unwrap(), ["hand_over", "next_waiting", "next_waiting", "next_waiting"]);
        let greetings: Vec<_> = inherited.waiting.into_iter().map(|waiting| waiting.greeting).collect();
        let said = |bytes: &[u8], was_told_yes| Greeting { bytes: bytes.to_vec(), was_told_yes, repeats: 0 };
        assert_eq!(greetings, [said(&[1, 2], true), said(&[], false)]);
    }

    #[tokio::test]
    async fn a_supervisor_that_knows_no_handing_over_is_told_to_stop() {
        let state = tempfile::tempdir().unwrap();
        let answers = &[r#"{"reply":"refused","reason":"unknown variant"}"#, r#"{"reply":"accepted"}"#];
        let (files, old) = old_supervisor(state.path(), Vec::new(), answers);
        assert!(succeed(&files, &FakeProcesses::default()).await.unwrap().is_empty());
        assert_eq!(old.await.unwrap(), ["hand_over", "stop"]);
    }

    #[tokio::test]
    async fn of_two_successors_the_slower_leaves_the_faster_alone_and_who_ends_the_tunnel_ends_that_one_too() {
        let state = tempfile::tempdir().unwrap();
        let files = TunnelFiles::new(state.path());
        let mut lock = Lock::try_take(&files.lock()).unwrap().unwrap();
        let signed = |pid| Holder {
            pid,
            started_at: 1,
            version: String::new(),
            socket: state.path().join("nobody"),
            left: Vec::new(),
        };
        lock.sign(&signed(7), &files.lock()).unwrap();
        let processes = FakeProcesses::default();
        let process = |pid| crate::system::ProcessInfo { pid, started_at: 1, ..Default::default() };
        [7, 8].map(process).into_iter().for_each(|process| processes.add(process));
        // The lock never comes free: when the old one has been told to end, the faster successor has it.
        let overtake = async {
            while processes.ended() != [7] {
                tokio::task::yield_now().await;
            }
            lock.sign(&signed(8), &files.lock()).unwrap();
            lock
        };
        let (slower, lock) = tokio::join!(succeed(&files, &processes), overtake);
        assert!(matches!(slower, Err(TunnelError::AlreadyRuns)));
        assert_eq!(processes.ended(), [7], "the faster one is left alone");
        let leave = async {
            while processes.ended() != [7, 8] {
                tokio::task::yield_now().await;
            }
            drop(lock);
        };
        let (ended, ()) = tokio::join!(end(&files, &processes), leave);
        ended.unwrap();
    }

    #[tokio::test]
    async fn who_wants_no_successor_asks_for_no_ports() {
        let state = tempfile::tempdir().unwrap();
        let (files, old) = old_supervisor(state.path(), Vec::new(), &[r#"{"reply":"accepted"}"#]);
        end(&files, &FakeProcesses::default()).await.unwrap();
        assert_eq!(old.await.unwrap(), ["stop"]);
        end(&files, &FakeProcesses::default()).await.unwrap();
    }
}
