//! What the workshops rely on of processes and time, told once and checked twice: on the fake, and on this machine.

use crate::support::sshd::eventually;
use devdb::host::Host;
use devdb::system::{Clock, ProcessInfo, Processes, SocketState, SocketUser};
use devdb::testing::{FakeProcesses, FixedClock};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// `pid` runs, belongs to us, and listens on `port`; `end` says how to see that it is gone.
fn contract(processes: &dyn Processes, pid: u32, port: u16, mut is_gone: impl FnMut() -> bool) {
    let found = processes.find(pid).unwrap();
    assert_eq!((found.pid, found.own), (pid, true));
    assert_eq!(processes.find(pid).unwrap().started_at, found.started_at, "the start does not move");
    assert!(processes.list().iter().any(|process| process.pid == pid));
    assert_eq!(processes.port_owner(Ipv4Addr::LOCALHOST.into(), port).unwrap().pid, pid);
    let local = (Ipv4Addr::LOCALHOST, port).into();
    let sockets = processes.sockets();
    let listening = sockets.iter().find(|socket| socket.local == local && socket.state == SocketState::Listening);
    assert_eq!(listening.unwrap().pid, Some(pid));
    assert_eq!(processes.port_user(local), Some(SocketUser::Trusted));
    assert_eq!(processes.find(u32::MAX - 1), None);

    assert!(!processes.terminate(pid, found.started_at + 1).unwrap(), "another process of that number is not ours");
    assert!(!processes.kill(pid, found.started_at + 1).unwrap());
    assert!(processes.find(pid).is_some() && !is_gone());
    assert!(processes.terminate(pid, found.started_at).unwrap());
    eventually("it is gone before anybody has waited for it", LIMIT, || processes.find(pid).is_none().then_some(()));
    assert!(processes.list().iter().all(|process| process.pid != pid));
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
        ..ProcessInfo::default()
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

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_stands_still_is_told_from_one_that_runs_and_so_is_its_terminal() {
    let processes = Host::from_process().processes;
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = child.id();
    let found = processes.find(pid).unwrap();
    assert_eq!((found.parent, found.is_stopped), (Some(std::process::id()), false));
    assert!(Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap().success());
    eventually("it stands still", LIMIT, || processes.find(pid).filter(|process| process.is_stopped));
    child.kill().unwrap();
    child.wait().unwrap();

    // script(1) gives its child a terminal of its own.
    let mut terminal =
        Command::new("script").args(["-qc", "sleep 599", "/dev/null"]).stdout(Stdio::null()).spawn().unwrap();
    let of_the_terminal = |process: &ProcessInfo| process.command == ["sleep", "599"] && process.has_terminal;
    let inside = eventually("it has a terminal", LIMIT, || processes.list().into_iter().find(of_the_terminal));
    assert!(processes.terminate(inside.pid, inside.started_at).unwrap());
    terminal.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_acknowledged_connection_has_nothing_to_send_again() {
    let server = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = std::net::TcpStream::connect(server.local_addr().unwrap()).unwrap();
    std::io::Write::write_all(&mut client, b"hello").unwrap();
    let local = client.local_addr().unwrap();
    let sockets = Host::from_process().processes.sockets();
    let own = sockets.iter().find(|socket| socket.local == local).unwrap();
    assert_eq!((own.pid, own.state), (Some(std::process::id()), SocketState::Connected { resent: 0 }));
}

#[cfg(target_os = "linux")]
#[test]
fn connections_to_unix_sockets_are_counted_whether_they_are_accepted_or_wait() {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    let processes = Host::from_process().processes;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a socket");
    // It accepts the first one, and moves its socket away as ssh does with a master's.
    let program = "import os, socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1] + '.new')\ns.listen()\n\
                   os.link(sys.argv[1] + '.new', sys.argv[1])\nos.unlink(sys.argv[1] + '.new')\nprint(flush=True)\n\
                   c = s.accept()\nprint(flush=True)\nsys.stdin.read()";
    let mut child = Command::new("python3");
    let child = child.args(["-c", program]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(processes.unix_clients(child.id()), Some(0));
    let mut clients = vec![UnixStream::connect(&path).unwrap()];
    said.read_line(&mut line).unwrap();
    assert_eq!(processes.unix_clients(child.id()), Some(1));
    clients.push(UnixStream::connect(&path).unwrap());
    assert_eq!(processes.unix_clients(child.id()), Some(2));
    child.stdin.take().unwrap().flush().unwrap();
    child.wait().unwrap();
    assert_eq!(processes.unix_clients(child.id()), None);
    // As the fake has it.
    let fake = FakeProcesses::default();
    assert_eq!(fake.unix_clients(7), None);
    fake.add(ProcessInfo { pid: 7, ..ProcessInfo::default() });
    assert_eq!(fake.unix_clients(7), Some(0));
    fake.connect_unix(7, 2);
    assert_eq!(fake.unix_clients(7), Some(2));
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

/// Another user's listener is seen as one, also below the wildcard address, and through what root and this user hold.
#[test]
fn who_listens_is_told_apart_from_this_user() {
    let processes = &*Host::from_process().processes;
    let [local, free] = [0, 1].map(|_| {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    });
    assert_eq!(processes.port_user(free), None);
    let mine = std::net::TcpListener::bind(local).unwrap();
    assert_eq!(processes.port_user(local), Some(SocketUser::Trusted));
    drop(mine);
    for address in ["127.0.0.1", "0.0.0.0", "::"] {
        let (mut child, port) = other_users_listener(address);
        let seen = processes.port_user((Ipv4Addr::LOCALHOST, port).into());
        assert_eq!(seen, Some(SocketUser::Other { uid: Some(OTHER) }), "{address}");
        // It ends with its stdin, also where it is sudo's child.
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

/// Debian's user without rights.
const OTHER: u32 = 65_534;

/// Root takes the other user's number; anyone else asks sudo, which the gate installs, for the same.
fn other_users_listener(address: &str) -> (Child, u16) {
    use std::io::{BufRead, BufReader};
    let family = if address.contains(':') { "socket.AF_INET6" } else { "socket.AF_INET" };
    let program = format!(
        "import os, socket, sys\nos.setuid({OTHER})\n\
         s = socket.create_server(('{address}', 0), family={family}, dualstack_ipv6={family} == socket.AF_INET6)\n\
         print(s.getsockname()[1], flush=True)\nsys.stdin.read()"
    );
    let mut command = if rustix::process::geteuid().is_root() { Command::new("python3") } else { Command::new("sudo") };
    if !rustix::process::geteuid().is_root() {
        command.args(["-n", "python3"]);
    }
    let mut child = command.args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}
