//! Tunnels that devdb did not start: real ssh, real sshd, the runbook's line in every spelling.

use crate::support::database::Database;
use crate::support::sshd::{Sshd, command, eventually};
use crate::support::world::World;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A port that nobody is given by accident: the kernel takes those of outgoing connections from 32768 on (Linux), and
/// an ssh that finds its port taken is another test.
pub(super) fn steady_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 50).unwrap() * 200;
    let candidates = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Relaxed) % 200);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    candidates.take(200).find(is_free).unwrap()
}

/// A developer's own ssh configuration, with the bastion in it, and a host for each way to spell a forward there.
pub(super) fn configure(world: &World, port: u16) -> String {
    let known = world.sshd.path("known_hosts");
    let forward = format!("LocalForward {port} localhost:{}", world.database_port);
    let path = world.path(&format!("conf-{port}"));
    let config = format!(
        "Host shop-db\n  {forward}\nHost *\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  \
         HostKeyAlias i-0test\n  UserKnownHostsFile {}\n  BatchMode yes\n",
        world.sshd.port,
        Sshd::user(),
        world.sshd.path("login_key").display(),
        known.display(),
    );
    std::fs::write(&path, config).unwrap();
    path.display().to_string()
}

/// Starts what a developer typed, and returns when it is in the background.
pub(super) fn typed(program: &str, config: &str, words: &[&str]) {
    let mut ssh = command(program);
    ssh.args(["-F", config]).args(words).env_remove("SSH_AUTH_SOCK").env("AUTOSSH_GATETIME", "0");
    let status = ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {words:?}");
}

fn processes(config: &str, program: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |pid: &u32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        words.split('\0').next().is_some_and(|name| name.rsplit('/').next() == Some(program))
            && words.split('\0').any(|word| word == config)
    };
    pids.filter(is_one).collect()
}

pub(super) fn kill_stale(world: &World, port: u16, flags: &[&str]) -> (i32, Value) {
    let mut devdb = world.command("kill-stale");
    devdb.args(flags).env("DEVDB_TUNNEL_WRITER_PORT", port.to_string());
    devdb.env("DEVDB_TUNNEL_READER_PORT", "19999");
    let output = devdb.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{flags:?}: {said}"));
    (output.status.code().unwrap(), report)
}

pub(super) fn verdicts(report: &Value) -> Vec<(u32, String)> {
    let processes = report["processes"].as_array().unwrap().iter();
    let verdict = |one: &Value| Some((one["pid"].as_u64()?.try_into().ok()?, one["verdict"].as_str()?.to_owned()));
    processes.filter_map(verdict).collect()
}

/// The spellings of a tunnel from this port to that one.
fn spellings(port: u16, database: u16) -> Vec<(&'static str, Vec<String>)> {
    let to = format!("localhost:{database}");
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    vec![
        ("ssh", words(format!("-fNL {port}:{to} bastion"))),
        ("ssh", words(format!("-fNL{port}:{to} bastion"))),
        ("ssh", words(format!("bastion -f -N -L {port}:{to}"))),
        ("ssh", words(format!("-fNL 127.0.0.1:{port}:{to} bastion"))),
        ("ssh", words(format!("-fNL [::1]:{port}:{to} bastion"))),
        ("ssh", vec!["-fN".to_owned(), format!("-oLocalForward={port} {to}"), "bastion".to_owned()]),
        ("ssh", words("-fN shop-db".to_owned())),
        ("autossh", words(format!("-M 0 -fNL {port}:{to} bastion"))),
    ]
}

/// Runs the same check for every spelling, each on a port of its own.
fn for_every_spelling(world: &World, check: impl Fn(u16, &str, &'static str, &[&str]) + Sync) {
    std::thread::scope(|scope| {
        for index in 0..spellings(0, 0).len() {
            let check = &check;
            scope.spawn(move || {
                let port = steady_port();
                let config = configure(world, port);
                let (program, words) = spellings(port, world.database_port).swap_remove(index);
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                check(port, &config, program, &words);
            });
        }
    });
}

#[test]
fn a_tunnel_in_any_spelling_is_healthy_until_it_stops_and_then_it_is_ended() {
    let world = World::new();
    for_every_spelling(&world, |port, config, program, words| {
        typed(program, config, words);
        // autossh may have to start a second one where the first could not connect.
        let healthy = || {
            let pid = processes(config, "ssh").first().copied()?;
            let (code, report) = kill_stale(&world, port, &[]);
            (verdicts(&report) == [(pid, "healthy".to_owned())]).then_some((pid, code, report))
        };
        let (pid, code, report) = eventually(&format!("{words:?}: it is healthy"), LIMIT, healthy);
        assert_eq!(code, 0, "{words:?}: {report}");
        let why = report["processes"][0]["why"].as_str().unwrap();
        assert!(why.starts_with("works: localhost answers"), "{words:?}: {why}");
        assert_eq!(why.contains("only on"), words.iter().any(|word| word.contains("1]") || word.contains("0.1")));

        world.signal(pid, "-STOP");
        let (code, report) = kill_stale(&world, port, &[]);
        assert_eq!((code, verdicts(&report)), (4, vec![(pid, "stale".to_owned())]), "{words:?}");
        let (code, report) = kill_stale(&world, port, &["--dry-run"]);
        assert_eq!((code, &report["processes"][0]["ended"]), (0, &false.into()));
        assert!(processes(config, "ssh").contains(&pid));

        let (code, report) = kill_stale(&world, port, &["--yes"]);
        assert_eq!((code, &report["processes"][0]["ended"]), (0, &true.into()), "{words:?}");
        eventually("nobody is left", LIMIT, || {
            (processes(config, "ssh").is_empty() && processes(config, "autossh").is_empty()).then_some(())
        });
        // A process that ends loses its command line a moment before its sockets.
        let is_free = || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
        eventually(&format!("{words:?}: the port is free"), LIMIT, is_free);
        assert_eq!(kill_stale(&world, port, &["--yes"]).1["processes"], serde_json::json!([]));
    });
}

#[test]
fn a_tunnel_that_never_got_its_port_is_found_in_any_spelling() {
    let world = World::new();
    for_every_spelling(&world, |port, config, program, words| {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let taken_too = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
        typed(program, config, words);
        let me = std::process::id();
        let both = || {
            let pid = processes(config, "ssh").first().copied()?;
            let (code, report) = kill_stale(&world, port, &[]);
            let mut found = verdicts(&report);
            found.sort();
            let mut wanted = vec![(me, "other_program".to_owned()), (pid, "stale".to_owned())];
            wanted.sort();
            (found == wanted).then_some(code)
        };
        assert_eq!(eventually(&format!("{words:?}: it is stale"), LIMIT, both), 4, "{words:?}");
        let (code, report) = kill_stale(&world, port, &["--yes"]);
        assert_eq!(code, 0, "{words:?}: {report}");
        eventually("nobody is left", LIMIT, || {
            (processes(config, "ssh").is_empty() && processes(config, "autossh").is_empty()).then_some(())
        });
        drop((taken, taken_too));
    });
}

#[test]
fn a_master_is_ended_when_it_holds_the_port_and_kept_when_others_may_use_it() {
    let world = World::new();
    let (port, other) = (steady_port(), steady_port());
    let config = configure(&world, port);
    let socket = world.path("ctl").display().to_string();
    typed("ssh", &config, &["-fMNS", &socket, "-o", "ControlPersist=yes", "bastion"]);
    let forward = |port: u16| {
        let to = format!("{port}:localhost:{}", world.database_port);
        typed("ssh", &config, &["-S", &socket, "-O", "forward", "-L", &to, "bastion"]);
    };
    forward(port);
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    assert_eq!((code, verdicts(&report)[0].1.as_str()), (0, "healthy"), "{report}");
    let pid = verdicts(&report)[0].0;
    world.signal(pid, "-STOP");
    assert_eq!(verdicts(&kill_stale(&world, port, &[]).1), [(pid, "stale".to_owned())]);
    assert_eq!(kill_stale(&world, port, &["--yes"]).0, 0);
    eventually("it is gone", LIMIT, || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());

    let taken = [TcpListener::bind((Ipv4Addr::LOCALHOST, other)), TcpListener::bind((Ipv6Addr::LOCALHOST, other))];
    let config = configure(&world, other);
    let socket = world.path("ctl2").display().to_string();
    let to = format!("{other}:localhost:{}", world.database_port);
    typed("ssh", &config, &["-fMNS", &socket, "-L", &to, "bastion"]);
    let (code, report) = kill_stale(&world, other, &["--yes"]);
    assert_eq!(code, 0);
    assert!(verdicts(&report).iter().any(|(_, verdict)| verdict == "unclear"), "{report}");
    assert_eq!(processes(&config, "ssh").len(), 1, "others may be using it");
    drop(taken);
}

#[test]
fn a_slow_database_and_one_that_refuses_make_no_tunnel_stale() {
    let mut world = World::new();
    let slow = Database::slow(&world.authority, "localhost", Duration::from_secs(60));
    let port = steady_port();
    let config = configure(&world, port);
    typed("ssh", &config, &["-fNL", &format!("{port}:localhost:{}", slow.port), "bastion"]);
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    let pid = processes(&config, "ssh")[0];
    assert_eq!((code, verdicts(&report)), (0, vec![(pid, "unclear".to_owned())]), "{report}");
    assert!(report["processes"][0]["why"].as_str().unwrap().contains("may be slow"), "{report}");

    let (code, report) = kill_stale(&world, port, &["--force", &pid.to_string()]);
    assert_eq!((code, &report["processes"][0]["ended"]), (0, &true.into()));
    assert!(processes(&config, "ssh").is_empty());

    world.database = None;
    typed("ssh", &config, &["-fNL", &format!("{port}:localhost:{}", world.database_port), "bastion"]);
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    assert_eq!((code, verdicts(&report)[0].1.as_str()), (0, "unclear"), "{report}");
    assert!(report["processes"][0]["why"].as_str().unwrap().contains("cannot reach the database"), "{report}");
}

#[test]
fn a_tunnel_to_another_cluster_is_named_and_left_alone() {
    let world = World::new();
    world.done("up");
    let staging = Database::start(&world.authority, "staging");
    let port = steady_port();
    let config = configure(&world, port);
    typed("ssh", &config, &["-fNL", &format!("{port}:localhost:{}", staging.port), "bastion"]);
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    assert_eq!((code, verdicts(&report)[0].1.as_str()), (0, "healthy"), "{report}");
    assert_eq!(report["processes"][0]["why"], "works, and leads to another database: staging");

    let (code, report) = kill_stale(&world, world.port, &["--yes"]);
    assert_eq!((code, verdicts(&report)), (0, vec![(world.supervisors()[0], "devdb".to_owned())]));
    let supervisor = world.supervisors()[0].to_string();
    let refused = world.command("kill-stale").args(["--force", &supervisor]).output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "devdb's own is ended by `tunnel down` alone");
    world.done("down");
}

/// A listener under another name, as `ps` shows it.
fn listener(name: &str, port: u16, before: &[&str]) -> Child {
    let program = format!("import socket, sys; s = socket.create_server(('127.0.0.1', {port})); sys.stdin.read()");
    let line = format!("exec -a {name} python3 -c \"{program}\"");
    let mut argv: Vec<&str> = before.to_vec();
    argv.extend(["bash", "-c", &line]);
    let mut command: Command = command(argv[0]);
    let child = command.args(&argv[1..]).stdin(Stdio::piped()).spawn().unwrap();
    eventually("it listens", LIMIT, || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err().then_some(()));
    child
}

#[test]
fn neither_a_local_postgresql_nor_the_ssh_of_another_user_is_touched() {
    let world = World::new();
    let port = steady_port();
    let mut postgres = listener("/usr/lib/postgresql/15/bin/postgres", port, &[]);
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    assert_eq!((code, verdicts(&report)), (0, vec![(postgres.id(), "other_program".to_owned())]));
    let mut devdb = world.command("kill-stale");
    let pid = postgres.id().to_string();
    devdb.args(["--force", &pid]).env("DEVDB_TUNNEL_WRITER_PORT", port.to_string());
    assert_eq!(devdb.output().unwrap().status.code(), Some(4));
    assert!(postgres.try_wait().unwrap().is_none());
    drop(postgres.stdin.take());
    postgres.wait().unwrap();

    // Only root can be somebody else; the decision itself is tested for everybody in `stale_plan`.
    if Sshd::user() == "root" {
        let port = steady_port();
        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let mut foreign = listener("ssh", port, &nobody);
        world.signal(foreign.id(), "-STOP");
        let (code, report) = kill_stale(&world, port, &["--yes"]);
        assert_eq!((code, verdicts(&report)), (0, vec![(foreign.id(), "other_user".to_owned())]), "{report}");
        world.signal(foreign.id(), "-CONT");
        assert!(foreign.try_wait().unwrap().is_none());
        drop(foreign.stdin.take());
        foreign.wait().unwrap();
    }
}

#[test]
fn a_session_that_merely_mentions_the_port_is_not_listed() {
    let world = World::new();
    let port = steady_port();
    let config = configure(&world, port);
    let mention = format!("exec sleep 600 # -fNL {port}:localhost:1");
    let mut session = command("ssh").args(["-F", &config, "bastion", &mention]).stdin(Stdio::null()).spawn().unwrap();
    eventually("it runs", LIMIT, || processes(&config, "ssh").first().copied());
    let (code, report) = kill_stale(&world, port, &["--yes"]);
    assert_eq!((code, &report["processes"]), (0, &serde_json::json!([])));
    assert!(session.try_wait().unwrap().is_none());
    session.kill().unwrap();
    session.wait().unwrap();
}

#[test]
fn up_ends_a_stale_ssh_on_its_port_when_it_may_and_says_so_when_it_may_not() {
    let world = World::new();
    let config = configure(&world, world.port);
    let to = format!("{}:localhost:{}", world.port, world.database_port);
    typed("ssh", &config, &["-fNL", &to, "bastion"]);
    let pid = processes(&config, "ssh")[0];

    let (code, said) = world.refused("up");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("works: localhost answers") && said.contains("devdb tunnel kill-stale"), "{said}");
    let output = world.command("up").arg("--yes").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "a tunnel that works is not ended, whoever agrees");

    world.signal(pid, "-STOP");
    let (_, said) = world.refused("up");
    assert!(said.contains("it is stopped"), "{said}");
    let output = world.command("up").arg("--yes").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(processes(&config, "ssh").is_empty());
    world.done("down");
    world.assert_nothing_is_left();
}
