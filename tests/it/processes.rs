//! What the workshops rely on of processes and time, told once and checked twice: on the fake, and on this machine.

use devdb::host::Host;
use devdb::system::{Clock, ProcessInfo, Processes};
use devdb::testing::{FakeProcesses, FixedClock};
use std::net::Ipv4Addr;
use std::process::{Child, Command};

/// `pid` runs, belongs to us, and listens on `port`; `end` says how to see that it is gone.
fn contract(processes: &dyn Processes, pid: u32, port: u16, mut is_gone: impl FnMut() -> bool) {
    let found = processes.find(pid).unwrap();
    assert_eq!((found.pid, found.own), (pid, true));
    assert_eq!(processes.find(pid).unwrap().started_at, found.started_at, "the start does not move");
    assert!(processes.list().iter().any(|process| process.pid == pid));
    assert_eq!(processes.port_owner(Ipv4Addr::LOCALHOST.into(), port).unwrap().pid, pid);
    assert_eq!(processes.find(u32::MAX - 1), None);

    assert!(!processes.terminate(pid, found.started_at + 1).unwrap(), "another process of that number is not ours");
    assert!(!processes.kill(pid, found.started_at + 1).unwrap());
    assert!(processes.find(pid).is_some() && !is_gone());
    assert!(processes.terminate(pid, found.started_at).unwrap());
    while !is_gone() {
        std::thread::yield_now();
    }
    assert!(!processes.terminate(pid, found.started_at).unwrap(), "who is gone cannot be ended again");
}

#[test]
fn fake_processes_keep_the_contract() {
    let fake = FakeProcesses::default();
    fake.add(ProcessInfo {
        pid: 4711,
        started_at: 12,
        name: "python3".into(),
        command: vec!["python3".into()],
        user: Some("ada".into()),
        own: true,
    });
    fake.listen(15_432, 4711);
    contract(&fake, 4711, 15_432, || fake.ended().contains(&4711));
}

/// A process that listens and says where.
fn listener() -> (Child, u16) {
    use std::io::{BufRead, BufReader};
    let program = "import socket, time\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\ntime.sleep(600)";
    let mut child = Command::new("python3").args(["-c", program]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

#[test]
fn this_machines_processes_keep_the_contract() {
    let (mut child, port) = listener();
    let pid = child.id();
    contract(&*Host::from_process().processes, pid, port, || child.try_wait().unwrap().is_some());
}

#[test]
fn a_clock_never_goes_back() {
    let fixed = FixedClock::default();
    let clocks: [&dyn Clock; 2] = [&fixed, &*Host::from_process().clock];
    for clock in clocks {
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(first > jiff::Timestamp::UNIX_EPOCH);
    }
}
