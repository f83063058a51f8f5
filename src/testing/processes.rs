use crate::system::{
    Captured, Child, ProcessError, ProcessInfo, Processes, SocketState, SocketUser, SpawnSpec, TcpSocket,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A process table that tests fill; it starts nothing and records what it was asked.
#[derive(Default)]
pub struct FakeProcesses {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    table: BTreeMap<u32, ProcessInfo>,
    listeners: BTreeMap<u16, u32>,
    links: BTreeMap<u32, u32>,
    unix_clients: BTreeMap<u32, usize>,
    parent: Option<String>,
    outputs: BTreeMap<String, Captured>,
    spawned: Vec<SpawnSpec>,
    lines: VecDeque<OwnedFd>,
    captured: Vec<SpawnSpec>,
    ended: Vec<u32>,
}

impl FakeProcesses {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, process: ProcessInfo) {
        self.state().table.insert(process.pid, process);
    }

    pub fn listen(&self, port: u16, pid: u32) {
        self.state().listeners.insert(port, pid);
    }

    /// The process has a connection on which this many resends went without an acknowledgement.
    pub fn connect(&self, pid: u32, resent: u32) {
        self.state().links.insert(pid, resent);
    }

    /// So many have connected to its unix sockets.
    pub fn connect_unix(&self, pid: u32, clients: usize) {
        self.state().unix_clients.insert(pid, clients);
    }

    pub fn set_parent(&self, name: &str) {
        self.state().parent = Some(name.to_owned());
    }

    /// Scripts what a program prints when it is captured.
    pub fn set_output(&self, program: &str, output: Captured) {
        self.state().outputs.insert(program.to_owned(), output);
    }

    /// The stdin of the next process that was started on a line: as long as it is not dropped, that lives.
    pub fn take_line(&self) -> Option<OwnedFd> {
        self.state().lines.pop_front()
    }

    pub fn spawned(&self) -> Vec<SpawnSpec> {
        self.state().spawned.clone()
    }

    /// What was run for its output, in order.
    pub fn captured(&self) -> Vec<SpawnSpec> {
        self.state().captured.clone()
    }

    /// The pids that were signalled, in order.
    pub fn ended(&self) -> Vec<u32> {
        self.state().ended.clone()
    }

    fn end(&self, pid: u32, started_at: u64) -> bool {
        let mut state = self.state();
        if state.table.get(&pid).is_none_or(|process| process.started_at != started_at) {
            return false;
        }
        state.table.remove(&pid);
        state.listeners.retain(|_, owner| *owner != pid);
        state.ended.push(pid);
        true
    }
}

impl Processes for FakeProcesses {
    fn spawn_detached(&self, spec: &SpawnSpec, _log: &Path) -> Result<u32, ProcessError> {
        self.state().spawned.push(spec.clone());
        Err(ProcessError::NotFound { program: spec.program.to_string_lossy().into_owned() })
    }

    fn spawn_on_line(&self, spec: &SpawnSpec, _log: &Path, line: OwnedFd) -> Result<(), ProcessError> {
        self.state().spawned.push(spec.clone());
        self.state().lines.push_back(line);
        Ok(())
    }

    fn run_foreground(&self, spec: &SpawnSpec) -> Result<Child, ProcessError> {
        self.state().spawned.push(spec.clone());
        Ok(Child { code: 0 })
    }

    fn exec(&self, spec: &SpawnSpec) -> Result<Child, ProcessError> {
        self.state().spawned.push(spec.clone());
        Ok(Child { code: 0 })
    }

    fn capture_within(&self, spec: &SpawnSpec, _limit: std::time::Duration) -> Result<Captured, ProcessError> {
        self.capture(spec)
    }

    fn capture(&self, spec: &SpawnSpec) -> Result<Captured, ProcessError> {
        let program = spec.program.to_string_lossy().into_owned();
        self.state().captured.push(spec.clone());
        self.state().outputs.get(&program).cloned().ok_or(ProcessError::NotFound { program })
    }

    fn find(&self, pid: u32) -> Option<ProcessInfo> {
        self.state().table.get(&pid).cloned()
    }

    fn list(&self) -> Vec<ProcessInfo> {
        self.state().table.values().cloned().collect()
    }

    fn port_owner(&self, _address: IpAddr, port: u16) -> Option<ProcessInfo> {
        let state = self.state();
        state.listeners.get(&port).and_then(|pid| state.table.get(pid)).cloned()
    }

    fn port_user(&self, address: SocketAddr) -> Option<SocketUser> {
        let owner = self.port_owner(address.ip(), address.port())?;
        Some(if owner.own { SocketUser::Trusted } else { SocketUser::Other { uid: None } })
    }

    /// What is connected here is the test's own.
    fn peer_user(&self, _local: SocketAddr, _peer: SocketAddr) -> Option<SocketUser> {
        Some(SocketUser::Trusted)
    }

    fn sockets(&self) -> Vec<TcpSocket> {
        let state = self.state();
        let socket = |port, pid, state| TcpSocket { local: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), pid, state };
        let listening = state.listeners.iter().map(|(port, pid)| socket(*port, Some(*pid), SocketState::Listening));
        let links = state.links.iter();
        let connected =
            links.map(|(pid, resent)| socket(40_000, Some(*pid), SocketState::Connected { resent: *resent }));
        listening.chain(connected).collect()
    }

    fn unix_clients(&self, pid: u32) -> Option<usize> {
        let state = self.state();
        state.table.get(&pid).map(|_| state.unix_clients.get(&pid).copied().unwrap_or_default())
    }

    fn terminate(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError> {
        Ok(self.end(pid, started_at))
    }

    fn kill(&self, pid: u32, started_at: u64) -> Result<bool, ProcessError> {
        Ok(self.end(pid, started_at))
    }

    fn leave_terminal(&self) {}

    fn allow_many_files(&self) {}

    fn guard_memory(&self, _hidden: bool) {}

    fn parent_name(&self) -> Option<String> {
        self.state().parent.clone()
    }
}
