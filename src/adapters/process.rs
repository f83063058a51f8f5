use super::terminals::terminals;
use super::{peer, sockets};
use crate::system::{
    Captured, Child, Gets, ProcessError, ProcessInfo, Processes, SocketUser, SpawnSpec, TcpSocket, append_private,
};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind, Users};

/// macOS refuses more than 10240 (`OPEN_MAX`), even where it calls the limit infinite.
const MANY_FILES: u64 = 10_240;

/// Whether the kernel tells of processes in files.
const HAS_PROC: bool = cfg!(target_os = "linux");

/// The operating system's processes.
pub(crate) struct SystemProcesses;

/// What a child of this kind gets of this process's variables, also of those that are no UTF-8.
pub(super) fn given(gets: Gets) -> Vec<(OsString, OsString)> {
    gets.of(std::env::vars_os())
}

#[expect(clippy::disallowed_methods, reason = "the one home of child processes")]
fn command(spec: &SpawnSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).env_clear().envs(given(spec.gets));
    for name in &spec.env_remove {
        command.env_remove(name);
    }
    command.envs(spec.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command
}

/// No group of its own: setsid(2) refuses the leader of a group, and the child calls it first thing.
fn detached(spec: &SpawnSpec, log: &Path, stdin: Stdio) -> std::io::Result<Command> {
    let log = append_private(log)?;
    let mut command = command(spec);
    command.stdin(stdin).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

fn start_error(spec: &SpawnSpec, source: std::io::Error) -> ProcessError {
    let program = spec.program.to_string_lossy().into_owned();
    if source.kind() == std::io::ErrorKind::NotFound {
        ProcessError::NotFound { program }
    } else {
        ProcessError::NotStarted { program, source }
    }
}

/// As shells count it: 128 + the signal's number for a child that a signal ended.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn refresh() -> ProcessRefreshKind {
    ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).with_user(UpdateKind::Always)
}

/// What the kernel itself says of a process, where it has a file for that.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    /// The start in clock ticks since boot, which no clock that is set can move. sysinfo's is counted from the epoch
    /// by adding the boot time, and that moves when NTP steps the clock.
    started_at: u64,
    has_terminal: bool,
}

/// Fields 7 and 22 of `/proc/PID/stat`: the controlling terminal's device, and the start (proc_pid_stat(5)).
fn stat(text: &str) -> Option<Stat> {
    // Field 2 is the program's name in parentheses, which may itself hold spaces and parentheses.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    Some(Stat { started_at: fields.get(19)?.parse().ok()?, has_terminal: *fields.get(4)? != "0" })
}

fn stat_of(process: &sysinfo::Process, terminals: &HashMap<u32, bool>) -> Stat {
    if HAS_PROC {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()));
        // Gone already: no process ever started at the last tick of all.
        let gone = Stat { started_at: u64::MAX, has_terminal: false };
        return text.ok().as_deref().and_then(stat).unwrap_or(gone);
    }
    // Who cannot be asked may have somebody in front of it.
    let has_terminal = terminals.get(&process.pid().as_u32()).copied().unwrap_or(true);
    Stat { started_at: process.start_time(), has_terminal }
}

/// False for a process of a container, whose paths name other files than ours, although its user's number may be the
/// same. Where that cannot be seen there is no container to be seen either.
fn sees_our_files(pid: sysinfo::Pid) -> bool {
    let identity = |root: &str| std::fs::metadata(root).map(|root| (root.dev(), root.ino())).ok();
    identity(&format!("/proc/{pid}/root")).is_none_or(|root| Some(root) == identity("/"))
}

fn describe(process: &sysinfo::Process, users: Option<&Users>, terminals: &HashMap<u32, bool>) -> ProcessInfo {
    let uid = process.effective_user_id().or(process.user_id());
    let stat = stat_of(process, terminals);
    ProcessInfo {
        pid: process.pid().as_u32(),
        started_at: stat.started_at,
        name: process.name().to_string_lossy().into_owned(),
        command: process.cmd().iter().map(|part| part.to_string_lossy().into_owned()).collect(),
        user: uid.and_then(|uid| users?.get_user_by_id(uid)).map(|user| user.name().to_owned()),
        own: uid.is_some_and(|uid| **uid == rustix::process::geteuid().as_raw()) && sees_our_files(process.pid()),
        parent: process.parent().map(sysinfo::Pid::as_u32),
        has_terminal: stat.has_terminal,
        is_stopped: process.status() == ProcessStatus::Stop,
    }
}

/// One that nobody has waited for yet: it holds nothing any more, and the first process of a container may never wait.
fn has_ended(process: &sysinfo::Process) -> bool {
    matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
}

/// Between two looks at a child whose time is limited.
const LOOK: Duration = Duration::from_millis(10);

/// All that comes through a pipe, as soon as it is closed.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        let mut pipe = pipe;
        while let Some(count) = pipe.as_mut().and_then(|pipe| pipe.read(&mut bytes).ok()).filter(|count| *count > 0) {
            if send.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

/// What has come until the pipe was closed, or until it has been still for a moment.
fn gathered(pipe: &Receiver<Vec<u8>>) -> Vec<u8> {
    std::iter::from_fn(|| pipe.recv_timeout(LOOK * 50).ok()).flatten().collect()
}

impl SystemProcesses {
    fn signal(&self, pid: u32, started_at: u64, signal: Signal) -> Result<bool, ProcessError> {
        // The start time is read right before the signal: a pid alone may by now name somebody else's process.
        if self.find(pid).is_none_or(|process| process.started_at != started_at) {
            return Ok(false);
        }
        let Some(target) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        match kill_process(target, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(errno) => Err(ProcessError::NotSignalled { pid, source: errno.into() }),
        }
    }
}

impl Processes for SystemProcesses {
    fn spawn_detached(&self, spec: &SpawnSpec, log: &Path) -> Result<u32, ProcessError> {
        let child = detached(spec, log, Stdio::null()).and_then(|mut command| command.spawn());
        Ok(child.map_err(|source| start_error(spec, source))?.id())
    }

    fn spawn_on_line(&self, spec: &SpawnSpec, log: &Path, line: OwnedFd) -> Result<(), ProcessError> {
        let child = detached(spec, log, line.into()).and_then(|command| tokio::process::Command::from(command).spawn());
        child.map(drop).map_err(|source| start_error(spec, source))
    }

    fn run_foreground(&self, spec: &SpawnSpec) -> Result<Child, ProcessError> {
        let status = command(spec).status().map_err(|source| start_error(spec, source))?;
        Ok(Child { code: code(status) })
    }

    fn exec(&self, spec: &SpawnSpec) -> Result<Child, ProcessError> {
        Err(start_error(spec, command(spec).exec()))
    }

    fn capture(&self, spec: &SpawnSpec) -> Result<Captured, ProcessError> {
        let output = command(spec).stdin(Stdio::null()).output().map_err(|source| start_error(spec, source))?;
        Ok(Captured { code: code(output.status), stdout: output.stdout, stderr: output.stderr })
    }

    fn capture_within(&self, spec: &SpawnSpec, limit: Duration) -> Result<Captured, ProcessError> {
        let mut command = command(spec);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| start_error(spec, source);
        let mut child = command.spawn().map_err(failed)?;
        let (stdout, stderr) = (gather(child.stdout.take()), gather(child.stderr.take()));
        let end = Instant::now() + limit;
        let status = loop {
            match child.try_wait().map_err(failed)? {
                Some(status) => break status,
                None if Instant::now() < end => std::thread::sleep(LOOK),
                None => {
                    let _ = child.kill();
                    break child.wait().map_err(failed)?;
                }
            }
        };
        // A child of its own may hold the pipes longer than it lives.
        Ok(Captured { code: code(status), stdout: gathered(&stdout), stderr: gathered(&stderr) })
    }

    fn find(&self, pid: u32) -> Option<ProcessInfo> {
        let mut system = System::new().ok()?;
        let pid = sysinfo::Pid::from_u32(pid);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, refresh());
        let process = system.process(pid).filter(|process| !has_ended(process))?;
        let terminals = if HAS_PROC { HashMap::new() } else { terminals(&["-p", &pid.to_string()]) };
        Some(describe(process, Users::new_with_refreshed_list().ok().as_ref(), &terminals))
    }

    fn list(&self) -> Vec<ProcessInfo> {
        let Ok(mut system) = System::new() else { return Vec::new() };
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, refresh());
        let users = Users::new_with_refreshed_list().ok();
        let terminals = if HAS_PROC { HashMap::new() } else { terminals(&["-ax"]) };
        let living = system.processes().values().filter(|process| !has_ended(process));
        living.map(|process| describe(process, users.as_ref(), &terminals)).collect()
    }

    fn port_owner(&self, address: IpAddr, port: u16) -> Option<ProcessInfo> {
        let all = listeners::get_all().ok()?;
        let owner = all.into_iter().find(|listener| {
            let socket = listener.socket;
            socket.port() == port
                && listener.protocol == listeners::Protocol::TCP
                && (socket.ip() == address || socket.ip().is_unspecified())
        })?;
        self.find(owner.process.pid)
    }

    fn port_user(&self, address: SocketAddr) -> Option<SocketUser> {
        sockets::port_user(address, || self.port_owner(address.ip(), address.port()).is_some_and(|owner| owner.own))
    }

    fn peer_user(&self, local: SocketAddr, peer: SocketAddr) -> Option<SocketUser> {
        peer::uid(local, peer).map(sockets::user)
    }

    fn sockets(&self) -> Vec<TcpSocket> {
        sockets::all()
    }

    fn unix_clients(&self, pid: u32) -> Option<usize> {
        sockets::unix_clients(pid)
    }

    fn terminate(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError> {
        self.signal(pid, started_at, Signal::TERM)
    }

    fn kill(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError> {
        self.signal(pid, started_at, Signal::KILL)
    }

    fn leave_terminal(&self) {
        let _ = rustix::process::setsid();
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    }

    fn allow_many_files(&self) {
        let mut limit = getrlimit(Resource::Nofile);
        let wanted = limit.maximum.map_or(MANY_FILES, |maximum| maximum.min(MANY_FILES));
        if limit.current.is_some_and(|current| current < wanted) {
            limit.current = Some(wanted);
            let _ = setrlimit(Resource::Nofile, limit);
        }
    }

    fn guard_memory(&self, hidden: bool) {
        // execve(2) makes a program dumpable again, but hands this limit on: what `exec` becomes would write no core.
        if hidden {
            #[cfg(target_os = "linux")]
            let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        } else {
            let limit = getrlimit(Resource::Core);
            let _ = setrlimit(Resource::Core, rustix::process::Rlimit { current: Some(0), ..limit });
        }
    }

    fn parent_name(&self) -> Option<String> {
        let parent = rustix::process::getppid()?;
        self.find(u32::try_from(parent.as_raw_nonzero().get()).ok()?).map(|process| process.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> SpawnSpec {
        SpawnSpec { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], ..SpawnSpec::default() }
    }

    #[test]
    fn start_and_terminal_are_found_behind_a_name_with_spaces_and_parentheses() {
        let text = "71 (a) b (c)) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 2 3";
        assert_eq!(stat(text), Some(Stat { started_at: 4711, has_terminal: false }));
        let text = text.replace("71 71 0 -1", "71 71 34816 -1");
        assert_eq!(stat(&text), Some(Stat { started_at: 4711, has_terminal: true }));
        assert_eq!(stat("71 (sh) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_identified_without_the_clock() {
        let text = std::fs::read_to_string("/proc/self/stat").unwrap();
        let found = SystemProcesses.find(std::process::id()).unwrap();
        assert_eq!(Some(found.started_at), stat(&text).map(|stat| stat.started_at));
        let listed = SystemProcesses.list().into_iter().find(|process| process.pid == found.pid).unwrap();
        assert_eq!(listed.started_at, found.started_at);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_another_root_is_no_process_of_ours() {
        let own = |pid: u32| SystemProcesses.find(pid).unwrap().own;
        assert!(own(std::process::id()));
        let line = "mount -t tmpfs none /mnt && mkdir /mnt/bin /mnt/lib /mnt/lib64 /mnt/usr && for one in bin lib lib64 usr; \
            do mount --rbind /$one /mnt/$one; done && exec chroot /mnt /bin/sh -c 'echo ready; exec cat'";
        let args = ["--user", "--map-root-user", "--mount", "sh", "-c", line];
        let mut command = command(&SpawnSpec { program: "unshare".into(), ..SpawnSpec::default() });
        let mut contained = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 6];
        std::io::Read::read_exact(contained.stdout.as_mut().unwrap(), &mut said).unwrap();
        assert!(!own(contained.id()));
        drop(contained.stdin.take());
        contained.wait().unwrap();
    }

    #[tokio::test]
    async fn a_process_on_a_line_reads_it_and_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let script = shell("read -r word && echo \"$$ $word\" && read -r word");
        SystemProcesses.spawn_on_line(&script, &log, far.into()).unwrap();
        std::io::Write::write_all(&mut &near, b"hello\n").unwrap();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut said = String::new();
        while !said.ends_with('\n') && std::time::Instant::now() < limit {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            said = std::fs::read_to_string(&log).unwrap();
        }
        let (pid, word) = said.trim().split_once(' ').unwrap();
        assert_eq!(word, "hello");
        let process = sysinfo::Pid::from_u32(pid.parse().unwrap());
        let is_known = || {
            let mut system = System::new().unwrap();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), true, refresh());
            system.process(process).is_some()
        };
        assert!(is_known());
        // The end of the line is its end.
        drop(near);
        while is_known() && std::time::Instant::now() < limit {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(!is_known(), "nobody has waited for it");
    }

    #[test]
    fn a_foreground_child_ends_with_its_own_code_or_its_signals() {
        assert_eq!(SystemProcesses.run_foreground(&shell("exit 7")).unwrap().code, 7);
        assert_eq!(SystemProcesses.run_foreground(&shell("kill -9 $$")).unwrap().code, 137);
        let missing = SpawnSpec { program: "/nonexistent/psql".into(), ..SpawnSpec::default() };
        assert!(matches!(SystemProcesses.run_foreground(&missing), Err(ProcessError::NotFound { .. })));
    }
}
