use super::ssh_mux::Mux;
use super::ssh_words::{end_of, last_words, one_line};
use super::{ssh_config, ssh_launch};
use crate::system::{ProcessInfo, Processes, write_private};
use crate::tunnel::{BastionNotes, BoxStream, Link, LinkEnd, LinkError, LinkRequest, LinkSpec, Ssh, control_path};
use async_trait::async_trait;
use openssh::{ForwardType, Session, Socket, Stdio};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// Everything until the master is in the background, authentication included.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// Longer than any round trip; a connection request that was lost is not waited for.
const KNOCK_LIMIT: Duration = Duration::from_secs(3);
const MOST_REMEMBERED: usize = 100;
const LOG_LOOK: Duration = Duration::from_secs(30);
const LARGEST_LOG: u64 = 256 * 1024;
/// In a master's folder: what it was opened for.
const PURPOSE: &str = "purpose.json";
const RESUME_LIMIT: Duration = Duration::from_millis(500);
const MUX_LIMIT: Duration = Duration::from_secs(2);
/// How long a master may take to end when it is told to.
const END_LIMIT: Duration = Duration::from_secs(1);

/// OpenSSH, through the `openssh` crate's native multiplexing.
pub(crate) struct OpenSsh {
    processes: Arc<dyn Processes>,
    /// pid and start time of every master that was opened; some may live on, out of use.
    opened: Mutex<Vec<(u32, u64)>>,
}

impl OpenSsh {
    pub(crate) fn new(processes: Arc<dyn Processes>) -> Self {
        Self { processes, opened: Mutex::default() }
    }
}

impl OpenSsh {
    fn remember(&self, master: Option<(u32, u64)>) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let excess = opened.len().saturating_sub(MOST_REMEMBERED);
        opened.drain(..excess);
        opened.extend(master);
    }

    /// Ends an ssh that hangs before it is in the background. Its folder went with the future that waited for it; an
    /// older one without its folder may still carry somebody's connections, and stays.
    fn end_abandoned(&self, folder: &Path) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_new = |process: &ProcessInfo| !opened.contains(&(process.pid, process.started_at));
        let has_no_home = |process: &ProcessInfo| {
            control_path(process, folder).and_then(Path::parent).is_some_and(|home| !home.exists())
        };
        for process in self.processes.list().into_iter().filter(is_new).filter(has_no_home) {
            let _ = self.processes.kill(process.pid, process.started_at);
        }
    }
}

#[async_trait]
impl Ssh for OpenSsh {
    async fn open(&self, request: &LinkRequest) -> Result<Arc<dyn Link>, LinkError> {
        let config = request.folder.join("ssh_config");
        write_private(&config, ssh_config::render(&request.link).as_bytes()).map_err(failed)?;
        let home = match timeout(OPEN_LIMIT, ssh_launch::launch(&request.link, &config, &request.folder)).await {
            Ok(launched) => launched?,
            Err(_) => {
                self.end_abandoned(&request.folder);
                return Err(LinkError::TimedOut { said: "authentication took too long".to_owned() });
            }
        };
        let mut master = Master::new(home.keep(), self.processes.clone());
        let forwarded = async {
            let control_path = master.control_path();
            let mut mux = timeout(MUX_LIMIT, Mux::connect(&control_path)).await.map_err(late)?.map_err(failed)?;
            let session = Session::resume_mux(control_path.into(), None);
            let pid = timeout(MUX_LIMIT, mux.pid()).await.map_err(late)?.map_err(failed)?;
            master.identify(pid, mux);
            self.remember(master.pid);
            for (index, target) in request.targets.iter().enumerate() {
                let listen = Socket::UnixSocket { path: master.forward(index).into() };
                let connect = Socket::TcpSocket { host: target.host.as_str().into(), port: target.port };
                let forward = session.request_port_forward(ForwardType::Local, listen, connect);
                timeout(MUX_LIMIT, forward).await.map_err(late)?.map_err(refused)?;
            }
            Ok(session)
        };
        match forwarded.await {
            Ok(session) => {
                // Without it nobody can go on with this ssh; that is no reason to do without it now.
                let _ = std::fs::write(master.folder.join(PURPOSE), purpose(request));
                Ok(in_use(session, master))
            }
            Err(error) => {
                master.end().await;
                // One that never told its pid is found by its folder, which is gone.
                self.end_abandoned(&request.folder);
                Err(error)
            }
        }
    }

    async fn resume(&self, request: &LinkRequest) -> Option<Arc<dyn Link>> {
        for home in homes_for(request) {
            let mut master = Master::new(home, self.processes.clone());
            let path = master.control_path();
            let asked = async {
                let mut mux = Mux::connect(&path).await.ok()?;
                Some((mux.pid().await.ok()?, mux))
            };
            // It is a process of this machine, and clients wait.
            let Ok(Some((pid, mux))) = timeout(RESUME_LIMIT, asked).await else { continue };
            let is_ours = |process: ProcessInfo| control_path(&process, &request.folder) == Some(&path);
            if self.processes.find(pid).is_some_and(is_ours) {
                master.identify(pid, mux);
                self.remember(master.pid);
                return Some(in_use(Session::resume_mux(path.into(), None), master));
            }
        }
        None
    }

    async fn reachable(&self, link: &LinkSpec) -> bool {
        let connecting = TcpStream::connect((link.address.as_str(), link.ssh_port));
        matches!(timeout(KNOCK_LIMIT, connecting).await, Ok(Ok(_)))
    }
}

fn in_use(session: Session, master: Master) -> Arc<dyn Link> {
    tokio::spawn(keep_small(master.folder.join("log"), master.ended.clone()));
    Arc::new(OpenLink { session, master })
}

/// What a master was opened for.
fn purpose(request: &LinkRequest) -> Vec<u8> {
    serde_json::to_vec(&(&request.link, &request.targets)).unwrap_or_default()
}

/// The folders of the masters that were opened for the same, the newest first.
fn homes_for(request: &LinkRequest) -> Vec<PathBuf> {
    let purpose = purpose(request);
    let opened_at = |home: &PathBuf| std::fs::metadata(home.join(PURPOSE)).and_then(|file| file.modified()).ok();
    let homes = std::fs::read_dir(&request.folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut homes: Vec<_> =
        homes.filter(|home| std::fs::read(home.join(PURPOSE)).is_ok_and(|known| known == purpose)).collect();
    homes.sort_by_cached_key(|home| std::cmp::Reverse(opened_at(home)));
    homes
}

/// ssh writes a line for each connection that the bastion cannot open; a pool in front of a database that is down
/// makes many. It opened its log to append (`log.c`), so an emptied file is written from its beginning.
async fn keep_small(log: PathBuf, mut ended: watch::Receiver<bool>) {
    while timeout(LOG_LOOK, ended.wait_for(|ended| *ended)).await.is_err() {
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > LARGEST_LOG) {
            let _ = std::fs::OpenOptions::new().write(true).open(&log).and_then(|log| log.set_len(0));
        }
    }
}

struct OpenLink {
    session: Session,
    master: Master,
}

/// What the first boot leaves on the bastion: a mark when it is done, and when the machine powers itself off. Another
/// machine has neither.
const READ_NOTES: &str = "cat /var/lib/devdb/ready; echo; cat /var/lib/devdb/deadline";

fn read_notes(said: &str) -> Option<BastionNotes> {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let ready = lines.next()?.starts_with("ready");
    let deadline = lines.next().and_then(|seconds| jiff::Timestamp::from_second(seconds.parse().ok()?).ok());
    Some(BastionNotes { ready, deadline })
}

async fn run_true(session: &Session) -> bool {
    let mut command = session.raw_command("true");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok()
}

#[async_trait]
impl Link for OpenLink {
    async fn connect(&self, target: usize) -> std::io::Result<BoxStream> {
        Ok(Box::new(UnixStream::connect(self.master.forward(target)).await?))
    }

    async fn closed(&self) {
        let _ = self.master.ended.clone().wait_for(|ended| *ended).await;
    }

    async fn notes(&self) -> Option<BastionNotes> {
        let mut command = self.session.raw_command(READ_NOTES);
        let said = command.stdin(Stdio::null()).stderr(Stdio::null()).output();
        let said = timeout(OPEN_LIMIT, said).await.ok()?.ok()?;
        read_notes(&String::from_utf8_lossy(&said.stdout))
    }

    async fn lives(&self) -> bool {
        let asked = async { Mux::connect(&self.master.control_path()).await?.pid().await };
        matches!(timeout(MUX_LIMIT, asked).await, Ok(Ok(_)))
    }

    async fn answers(&self, limit: Duration) -> bool {
        // Opening a session is a round trip to sshd; `-O check` asks only the local process.
        timeout(limit, run_true(&self.session)).await.unwrap_or(false)
    }

    fn disown(&self) {
        let _ = std::fs::remove_file(self.master.folder.join(PURPOSE));
    }

    async fn close(&self) {
        self.master.end().await;
    }

    fn end(&self) -> LinkEnd {
        end_of(last_words(&self.master.folder.join("log")))
    }

    fn pid(&self) -> Option<u32> {
        self.master.pid.map(|(pid, _)| pid)
    }
}

/// The master's process and folder. Every master has a fresh one, and so forward sockets of its own; two masters on one
/// path would both listen, and one win silently.
struct Master {
    folder: PathBuf,
    /// pid and start time.
    pid: Option<(u32, u64)>,
    ended: watch::Receiver<bool>,
    processes: Arc<dyn Processes>,
}

impl Master {
    fn new(folder: PathBuf, processes: Arc<dyn Processes>) -> Self {
        let (_, ended) = watch::channel(false);
        Self { folder, pid: None, ended, processes }
    }

    fn control_path(&self) -> PathBuf {
        self.folder.join("master")
    }

    fn identify(&mut self, pid: u32, mux: Mux) {
        self.pid = self.processes.find(pid).map(|process| (pid, process.started_at));
        let (sender, ended) = watch::channel(false);
        self.ended = ended;
        tokio::spawn(async move {
            mux.ended().await;
            sender.send_replace(true);
        });
    }

    fn forward(&self, target: usize) -> PathBuf {
        self.folder.join(format!("t{target}"))
    }

    async fn end(&self) {
        let mut ended = self.ended.clone();
        let told = async {
            if let Ok(mut mux) = Mux::connect(&self.control_path()).await {
                let _ = mux.terminate().await;
                mux.ended().await;
            }
            let _ = ended.wait_for(|ended| *ended).await;
        };
        if timeout(END_LIMIT, told).await.is_err()
            && let Some((pid, started_at)) = self.pid
        {
            // A stopped or wedged ssh reads no message; SIGKILL needs nobody's consent.
            let _ = self.processes.kill(pid, started_at);
            let _ = timeout(END_LIMIT, self.ended.clone().wait_for(|ended| *ended)).await;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(super) fn failed(error: std::io::Error) -> LinkError {
    LinkError::Failed { said: error.to_string() }
}

fn late(_: tokio::time::error::Elapsed) -> LinkError {
    LinkError::Failed { said: "the ssh master does not answer on its control socket".to_owned() }
}

fn refused(error: openssh::Error) -> LinkError {
    LinkError::Failed { said: one_line(&error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bastions_notes_are_read_and_another_machine_has_none() {
        let notes = read_notes("ready 5d41402a\n\n1767323045\n").unwrap();
        assert_eq!((notes.ready, notes.deadline.unwrap().as_second()), (true, 1_767_323_045));
        assert_eq!(read_notes("ready x\n\n"), Some(BastionNotes { ready: true, deadline: None }));
        assert_eq!(read_notes("\n1767323045\n"), Some(BastionNotes::default()), "not ready yet");
        assert_eq!(read_notes("\n"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_grew_is_emptied_and_written_on() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut ssh = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
        ssh.write_all(&vec![b'x'; LARGEST_LOG as usize + 1]).unwrap();
        let (end, ended) = watch::channel(false);
        let keeping = tokio::spawn(keep_small(path.clone(), ended));
        tokio::time::sleep(LOG_LOOK * 2).await;
        ssh.write_all(b"channel 3: open failed\n").unwrap();
        assert_eq!(last_words(&path).unwrap(), "channel 3: open failed");
        assert!(std::fs::metadata(&path).unwrap().len() < 100);
        end.send_replace(true);
        keeping.await.unwrap();
    }
}
