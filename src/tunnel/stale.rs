//! Forgotten tunnels: who holds a port, whether he serves anybody, and ending him where he provably does not.

use super::ssh_command::SshCommand;
use super::stale_plan::{Answer, Program, Suspect, Verdict, judge, suspects};
use super::stale_riders::riders;
use super::{HostName, PortOwner, PortOwnerKind, Probe, ProbeError, TunnelError, identify, ports};
use crate::system::{Gets, ProcessInfo, Processes, SpawnSpec};
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Silence counts when it lasted this long, twice.
const SILENCE: Duration = Duration::from_secs(3);
const ROUNDS: usize = 2;
/// An ssh that is just connecting holds no port yet; it is looked at again after this long.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// `ssh -G` reads files, and runs what the user's own configuration tells it to.
const CONFIGURATION_LIMIT: Duration = Duration::from_secs(5);
const TERM_PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A look at all the processes that hold certain ports or were started to.
pub struct Survey {
    pub processes: Arc<dyn Processes>,
    pub probe: Arc<dyn Probe>,
    /// Empty: whatever an ssh holds or was told to hold.
    pub ports: Vec<u16>,
    /// This environment's databases.
    pub databases: Vec<HostName>,
    pub ca_file: PathBuf,
}

/// One process, what was decided about it, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub pid: Option<u32>,
    pub user: Option<String>,
    pub command: String,
    /// The ports in question that it holds or was told to hold.
    pub ports: Vec<u16>,
    pub local: Vec<SocketAddr>,
    pub verdict: Verdict,
    pub why: String,
    /// What else ends with it: sessions of other ssh, further forwards. Empty where nothing of that kind is there.
    pub carries: Vec<String>,
    /// It is stopped, and goes on with all that it carries when it is told to (SIGCONT).
    #[serde(skip)]
    pub is_stopped: bool,
    /// An autossh that would start it again, and therefore goes first.
    pub autossh: Option<u32>,
    /// pid and start of everybody who is ended with it; empty where nobody may be.
    #[serde(skip)]
    doomed: Vec<(u32, u64)>,
}

impl Finding {
    /// An ssh of this user: it may be ended when the user names it.
    pub fn may_be_named(&self) -> bool {
        !self.doomed.is_empty()
    }
}

impl Survey {
    /// Who holds the ports or was told to, without asking anybody.
    pub async fn holders(&self) -> Vec<PortHolder> {
        let holder = |suspect: Suspect| PortHolder {
            owner: suspect.process.as_ref().map(ports::describe),
            ports: suspect.ports,
            local: suspect.local,
        };
        self.suspects().await.into_iter().map(holder).collect()
    }

    /// Asks every ssh that holds a port, and judges all. Takes some seconds where somebody is silent.
    pub async fn look(&self) -> Vec<Finding> {
        let first = self.suspects().await;
        let is_orphan = |suspect: &Suspect| suspect.local.is_empty();
        let until = Instant::now() + if first.iter().any(is_orphan) { SECOND_LOOK } else { Duration::ZERO };
        let answers = self.ask(&first).await;
        tokio::time::sleep_until(until).await;

        let mut second = self.suspects().await;
        let all = self.processes.list();
        let mut findings = Vec::new();
        for (index, before) in first.iter().enumerate() {
            let same = |now: &&mut Suspect| identity(now) == identity(before) && now.ports == before.ports;
            // Whoever has ended meanwhile, perhaps of the question itself, needs no verdict.
            let Some(now) = second.iter_mut().find(same) else { continue };
            if now.local.is_empty() && (before.resends.is_empty() || !before.local.is_empty()) {
                // It was connecting a moment ago, or lost its port just now: no proof.
                now.resends.clear();
            }
            let heard: Vec<_> =
                answers.iter().filter(|(of, ..)| *of == index).map(|(_, at, a)| (*at, a.clone())).collect();
            let carries = riders(now, identity(now).and_then(|(pid, _)| self.processes.unix_clients(pid)));
            findings.push(Finding { carries, ..finding(now, judge(now, &heard), &all) });
        }
        findings
    }

    /// Ends it: SIGTERM, then SIGKILL, each only if the process is still the one that was judged. False when it had
    /// gone already.
    pub async fn end(&self, finding: &Finding) -> Result<bool, TunnelError> {
        let mut was_there = false;
        for (pid, started_at) in &finding.doomed {
            was_there |= self.processes.terminate(*pid, *started_at)?;
            if self.has_ended(*pid, *started_at).await {
                continue;
            }
            // A stopped ssh, or one that waits for its terminal, reads no SIGTERM.
            self.processes.kill(*pid, *started_at)?;
            if !self.has_ended(*pid, *started_at).await {
                return Err(TunnelError::ProcessNotEnded { pid: *pid });
            }
        }
        Ok(was_there)
    }

    async fn has_ended(&self, pid: u32, started_at: u64) -> bool {
        let limit = Instant::now() + TERM_PATIENCE;
        loop {
            let lives = |found: &ProcessInfo| found.started_at == started_at;
            if !self.processes.find(pid).as_ref().is_some_and(lives) {
                return true;
            }
            if Instant::now() >= limit {
                return false;
            }
            sleep(POLL).await;
        }
    }

    async fn suspects(&self) -> Vec<Suspect> {
        let sockets = self.processes.sockets();
        let mut all = Vec::new();
        for process in self.processes.list() {
            let mut program = program(&process);
            if let Program::Ssh(command) = &mut program {
                let listens = sockets.iter().any(|socket| {
                    socket.pid == Some(process.pid) && socket.state == crate::system::SocketState::Listening
                });
                let is_silent = command.forwards.is_empty() && command.runs_nothing && !process.has_terminal;
                if process.own && is_silent && !listens {
                    self.read_configuration(command).await;
                }
            }
            all.push((process, program));
        }
        suspects(&all, &sockets, &self.ports)
    }

    /// Asks ssh itself which forwards its configuration files hold for the destination.
    async fn read_configuration(&self, command: &mut SshCommand) {
        let Some(destination) = command.destination.clone() else { return };
        let mut args = vec!["-G".to_owned()];
        args.extend(command.configuration.iter().cloned());
        args.extend(["--".to_owned(), destination]);
        let args = args.into_iter().map(Into::into).collect();
        let spec = SpawnSpec { program: "ssh".into(), args, gets: Gets::Ssh, ..SpawnSpec::default() };
        let processes = self.processes.clone();
        let asked = tokio::task::spawn_blocking(move || processes.capture(&spec));
        if let Ok(Ok(Ok(said))) = timeout(CONFIGURATION_LIMIT, asked).await {
            String::from_utf8_lossy(&said.stdout).lines().for_each(|line| command.setting(line));
        }
    }

    /// Opens a connection to every port that is held by an ssh; all at once, because each may take its time.
    async fn ask(&self, suspects: &[Suspect]) -> Vec<(usize, SocketAddr, Answer)> {
        let mut asking = JoinSet::new();
        for (index, suspect) in suspects.iter().enumerate().filter(|(_, suspect)| suspect.wants_probe()) {
            for local in &suspect.local {
                let question = Question {
                    address: reachable(*local),
                    host: self.name_behind(suspect, local.port()),
                    databases: self.databases.clone(),
                    probe: self.probe.clone(),
                    ca_file: self.ca_file.clone(),
                };
                let local = *local;
                asking.spawn(async move { question.ask().await.map(|answer| (index, local, answer)) });
            }
        }
        asking.join_all().await.into_iter().flatten().collect()
    }

    /// The name that the database behind a forward is asked by.
    fn name_behind(&self, suspect: &Suspect, port: u16) -> Option<HostName> {
        let Program::Ssh(command) = &suspect.program else { return None };
        let told = command.forward_on(port).and_then(|forward| HostName::parse(forward.to.rsplit_once(':')?.0).ok());
        told.or_else(|| self.databases.first().cloned()).or_else(|| HostName::parse("localhost").ok())
    }
}

/// A process at a port, or one that was started to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHolder {
    pub ports: Vec<u16>,
    /// Where it listens on them; empty for one that failed to.
    pub local: Vec<SocketAddr>,
    /// Absent where the operating system does not tell this user.
    pub owner: Option<PortOwner>,
}

struct Question {
    address: SocketAddr,
    host: Option<HostName>,
    databases: Vec<HostName>,
    probe: Arc<dyn Probe>,
    ca_file: PathBuf,
}

impl Question {
    /// `None`: nobody listens any more, or the question itself could not be put.
    async fn ask(self) -> Option<Answer> {
        for _ in 0..ROUNDS {
            let stream = match timeout(SILENCE, TcpStream::connect(self.address)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(_)) => return None,
                // The queue of those who wait to be accepted is full.
                Err(_) => continue,
            };
            let asked = self.probe.probe(Box::new(stream), self.host.as_ref()?, &self.ca_file, &|_| false);
            let found = match timeout(SILENCE, asked).await {
                Err(_) | Ok(Err(ProbeError::Silent { .. })) => continue,
                Ok(found) => found,
            };
            return match found {
                Ok(report) => {
                    let wanted = self.databases.iter().find_map(|database| identify(&report, database).ok());
                    let asked = self.host.as_ref().and_then(|host| identify(&report, host).ok());
                    let first =
                        || report.names.first().cloned().unwrap_or_else(|| "a database without a name".to_owned());
                    let name = wanted.clone().or(asked).unwrap_or_else(first);
                    let wanted = (!self.databases.is_empty()).then_some(wanted.is_some());
                    Some(Answer::Database { name, wanted })
                }
                Err(ProbeError::NoTls) => Some(Answer::WithoutTls),
                Err(ProbeError::NotPostgres | ProbeError::Tls { .. }) => Some(Answer::Something),
                Err(ProbeError::Closed) => Some(Answer::Closed),
                Err(
                    ProbeError::Authority { .. }
                    | ProbeError::Unreachable { .. }
                    | ProbeError::Silent { .. }
                    | ProbeError::Busy,
                ) => None,
            };
        }
        Some(Answer::Silent)
    }
}

/// Where a listener can be reached: one on all addresses, on a loopback address.
fn reachable(local: SocketAddr) -> SocketAddr {
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, local.port())
}

fn program(process: &ProcessInfo) -> Program {
    let is_autossh = process.name == "autossh";
    match ports::kind(process) {
        PortOwnerKind::Ssh if !is_autossh => {
            Program::Ssh(SshCommand::parse(process.command.get(1..).unwrap_or_default()))
        }
        PortOwnerKind::PostgreSql => Program::PostgreSql,
        PortOwnerKind::Devdb => Program::Devdb,
        PortOwnerKind::Ssh | PortOwnerKind::Other => Program::Other,
    }
}

fn identity(suspect: &Suspect) -> Option<(u32, u64)> {
    suspect.process.as_ref().map(|process| (process.pid, process.started_at))
}

fn finding(suspect: &Suspect, (verdict, why): (Verdict, String), all: &[ProcessInfo]) -> Finding {
    let process = suspect.process.as_ref();
    let is_ssh = matches!(suspect.program, Program::Ssh(_)) && process.is_some_and(|process| process.own);
    let parent = process.and_then(|process| process.parent);
    let is_autossh = |other: &&ProcessInfo| Some(other.pid) == parent && other.own && other.name == "autossh";
    let autossh = all.iter().find(is_autossh).filter(|_| is_ssh);
    let doomed = autossh.into_iter().chain(process.filter(|_| is_ssh)).map(|one| (one.pid, one.started_at)).collect();
    let shown = process.map(ports::describe);
    Finding {
        pid: process.map(|process| process.pid),
        user: process.and_then(|process| process.user.clone()),
        command: shown.map(|owner| owner.command).unwrap_or_default(),
        ports: suspect.ports.clone(),
        local: suspect.local.clone(),
        verdict,
        why,
        carries: Vec::new(),
        is_stopped: process.is_some_and(|process| process.is_stopped),
        autossh: autossh.map(|autossh| autossh.pid),
        doomed,
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::system::Captured;
    use crate::testing::{FakeProbe, FakeProcesses};

    fn ssh(pid: u32, started_at: u64, command: &str) -> ProcessInfo {
        let command = command.split(' ').map(str::to_owned).collect();
        let name = "ssh".to_owned();
        ProcessInfo { pid, started_at, name, command, own: true, ..ProcessInfo::default() }
    }

    fn survey(processes: &Arc<FakeProcesses>) -> Survey {
        let probe = Arc::new(FakeProbe::default());
        let databases = Vec::new();
        Survey { processes: processes.clone(), probe, ports: vec![5432], databases, ca_file: "/ca.pem".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_took_the_number_of_a_stale_one_is_left_alone() {
        let processes = Arc::new(FakeProcesses::default());
        processes.add(ssh(7, 100, "ssh -fNL 5432:db:5432 bastion"));
        processes.connect(7, 0);
        let survey = survey(&processes);
        let findings = survey.look().await;
        assert_eq!(findings[0].verdict, Verdict::Stale);
        processes.add(ssh(7, 200, "ssh -fNL 5432:db:5432 bastion"));
        assert!(!survey.end(&findings[0]).await.unwrap());
        assert_eq!(processes.ended(), [0_u32; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ssh_that_is_just_connecting_is_not_stale() {
        let processes = Arc::new(FakeProcesses::default());
        processes.add(ssh(7, 100, "ssh -fNL 5432:db:5432 bastion"));
        let survey = survey(&processes);
        let look = survey.look();
        tokio::pin!(look);
        assert!(timeout(SECOND_LOOK / 2, &mut look).await.is_err());
        processes.connect(7, 0);
        assert_eq!(look.await[0].verdict, Verdict::Unclear, "its connection was not there at the first look");
    }

    #[tokio::test(start_paused = true)]
    async fn an_autossh_goes_before_the_ssh_that_it_would_start_again() {
        let processes = Arc::new(FakeProcesses::default());
        processes
            .add(ProcessInfo { name: "autossh".to_owned(), ..ssh(6, 90, "/usr/lib/autossh/autossh -M 0 bastion") });
        processes.add(ProcessInfo { parent: Some(6), ..ssh(7, 100, "/usr/bin/ssh -NL 5432:db:5432 bastion") });
        processes.connect(7, 0);
        let survey = survey(&processes);
        let findings = survey.look().await;
        assert_eq!((findings[0].verdict, findings[0].autossh), (Verdict::Stale, Some(6)));
        assert!(survey.end(&findings[0]).await.unwrap());
        assert_eq!(processes.ended(), [6, 7]);
    }

    #[tokio::test]
    async fn a_forward_in_a_configuration_file_is_found_by_asking_ssh() {
        let processes = Arc::new(FakeProcesses::default());
        processes.add(ssh(7, 100, "ssh -fN -F /home/ada/conf shop-db"));
        processes.connect(7, 0);
        let stdout = b"user ec2-user\nlocalforward 5432 [db.example.com]:5432\n".to_vec();
        processes.set_output("ssh", Captured { code: 0, stdout, stderr: Vec::new() });
        assert_eq!(survey(&processes).suspects().await[0].ports, [5432]);
        let asked = processes.captured()[0].args.clone();
        assert_eq!(asked, ["-G", "-F", "/home/ada/conf", "--", "shop-db"]);
    }
}
