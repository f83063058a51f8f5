use super::Gets;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// What to start.
#[derive(Debug, Clone, Default)]
pub struct SpawnSpec {
    pub program: OsString,
    pub args: Vec<OsString>,
    /// Which of our variables it gets.
    pub gets: Gets,
    /// Variables added to (or replacing) those.
    pub env: Vec<(OsString, OsString)>,
    /// Variables taken out of them.
    pub env_remove: Vec<OsString>,
    pub cwd: Option<PathBuf>,
}

/// A process as the operating system describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessInfo {
    pub pid: u32,
    /// A number that together with the pid identifies the process for as long as the machine runs. It is no time:
    /// where the operating system counts from, and in what, is its own affair.
    pub started_at: u64,
    pub name: String,
    pub command: Vec<String>,
    pub user: Option<String>,
    /// True when the process belongs to the user who runs devdb.
    pub own: bool,
    pub parent: Option<u32>,
    /// A person may be sitting in front of it.
    pub has_terminal: bool,
    /// Stopped by SIGSTOP or Ctrl-Z: it lives, and does nothing.
    pub is_stopped: bool,
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketUser {
    /// This user, or root, who may read everything anyway.
    Trusted,
    /// Another user, with the uid where the operating system tells it.
    Other { uid: Option<u32> },
}

/// A TCP socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    pub local: SocketAddr,
    /// Absent where the operating system does not tell this user whose it is.
    pub pid: Option<u32>,
    pub state: SocketState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketState {
    Listening,
    /// `resent`: how often what was sent last has been sent again without any acknowledgement. An answer of the other
    /// machine, however slow its programs are, makes it zero.
    Connected {
        resent: u32,
    },
}

/// A started foreground child's end, as the shell counts it (128 + signal for a signal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    pub code: i32,
}

/// What a short-lived child printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("`{program}` was not found")]
    NotFound { program: String },
    #[error("`{program}` could not be started")]
    NotStarted { program: String, source: std::io::Error },
    #[error("process {pid} could not be signalled")]
    NotSignalled { pid: u32, source: std::io::Error },
}

/// Starts, finds and ends processes.
pub trait Processes: Send + Sync {
    /// Starts a process in a session of its own with no terminal, its stdout and stderr appended to `log`; returns its pid.
    fn spawn_detached(&self, spec: &SpawnSpec, log: &std::path::Path) -> Result<u32, ProcessError>;
    /// The same, with this end of a line to the caller as its stdin. Inside a tokio runtime, which waits for its end.
    fn spawn_on_line(&self, spec: &SpawnSpec, log: &std::path::Path, line: OwnedFd) -> Result<(), ProcessError>;
    /// Runs a child with this process's own stdin, stdout and stderr until it ends.
    fn run_foreground(&self, spec: &SpawnSpec) -> Result<Child, ProcessError>;
    /// Lets the program take this process's place (execve): its exit code, its signals, its terminal. Comes back only
    /// when that failed; a fake comes back with the end of the program.
    fn exec(&self, spec: &SpawnSpec) -> Result<Child, ProcessError>;
    /// Runs a child without a terminal to its end and returns what it printed.
    fn capture(&self, spec: &SpawnSpec) -> Result<Captured, ProcessError>;
    /// The same, but ends the child (SIGKILL) when it takes longer than this; what it printed until then counts.
    fn capture_within(&self, spec: &SpawnSpec, limit: Duration) -> Result<Captured, ProcessError>;
    /// The process with this pid, if there is one.
    fn find(&self, pid: u32) -> Option<ProcessInfo>;
    /// All processes that this user may see.
    fn list(&self) -> Vec<ProcessInfo>;
    /// The process that listens on this TCP address, where the operating system lets us see it.
    fn port_owner(&self, address: IpAddr, port: u16) -> Option<ProcessInfo>;
    /// The user whose process takes connections to this address; absent where it is free.
    fn port_user(&self, address: SocketAddr) -> Option<SocketUser>;
    /// The user at the other end of a connection within this machine: the one whose socket is at `peer` and leads to
    /// `local`. Absent where the operating system does not tell (only Linux does), or the socket is gone.
    fn peer_user(&self, local: SocketAddr, peer: SocketAddr) -> Option<SocketUser>;
    /// Listening sockets, and connected ones where the operating system shows them (Linux does).
    fn sockets(&self) -> Vec<TcpSocket>;
    /// How many connections the unix sockets of this process have taken in, or are asked for; absent where the operating
    /// system does not tell.
    fn unix_clients(&self, pid: u32) -> Option<usize>;
    /// Sends SIGTERM, only if the process is still the one that started at `started_at`; false when it is gone.
    fn terminate(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError>;
    /// Sends SIGKILL under the same condition.
    fn kill(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError>;
    /// Leaves the terminal: no Ctrl-C and no hang-up of the shell reaches this process any more (setsid). Nothing
    /// happens to the leader of a process group, a supervisor that was started by hand. What this process
    /// and its children make from here on is for this user alone (umask).
    fn leave_terminal(&self);
    /// Lets this process, and those that it starts, have more files open, as far as the system allows: connections are
    /// files, and 256 (macOS) or 1024 of them are soon used up. Without effect where that is refused.
    fn allow_many_files(&self);
    /// Lets no crash write this process's memory to a file, nor, where `hidden`, another process of this user read it.
    /// Such a process does not show any more which ports are its own, so one that others must recognise is not hidden.
    fn guard_memory(&self, hidden: bool);
    /// The name of the process that started this one (the user's shell, usually).
    fn parent_name(&self) -> Option<String>;
}
