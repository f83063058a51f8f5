//! What ends with a tunnel that devdb did not start: sessions of other ssh through a real master, further forwards.

use super::tunnel_stale::{LIMIT, configure, kill_stale, steady_port, typed, verdicts};
use crate::support::sshd::{command, eventually};
use crate::support::terminal::Terminal;
use crate::support::world::World;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Stdio};

/// A command that goes through a master and says when it has begun.
fn session(config: &str, socket: &str) -> Child {
    use std::io::{BufRead, BufReader};
    let mut ssh = command("ssh");
    ssh.args(["-F", config, "-S", socket, "bastion", "echo begun; exec sleep 600"]).stdin(Stdio::piped());
    let mut child = ssh.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    child
}

/// Starts a master that forwards this port; returns its pid.
fn master(world: &World, config: &str, port: u16, socket: &str, words: &[&str]) -> u32 {
    typed("ssh", config, &[&["-MS", socket, "-o", "ControlPersist=yes"], words].concat());
    let to = format!("{port}:localhost:{}", world.database_port);
    typed("ssh", config, &["-S", socket, "-O", "forward", "-L", &to, "bastion"]);
    verdicts(&kill_stale(world, port, &["--dry-run"]).1)[0].0
}

#[test]
fn a_stopped_master_that_carries_others_is_ended_only_by_whoever_is_told_so() {
    let world = World::new();
    // The second one goes to the background by itself, and then its command line is its control path.
    for words in [&["-fN", "bastion"] as &[&str], &["bastion", "true"]] {
        let (port, other) = (steady_port(), steady_port());
        let config = configure(&world, port);
        let socket = world.path(&format!("ctl-{port}")).display().to_string();
        let pid = master(&world, &config, port, &socket, words);
        let mut sessions = vec![session(&config, &socket)];
        let carried = |report: &Value| report["processes"][0]["carries"].clone();
        assert_eq!(
            carried(&kill_stale(&world, port, &["--dry-run"]).1),
            serde_json::json!(["1 session of another ssh"])
        );
        let to = format!("{other}:localhost:{}", world.database_port);
        typed("ssh", &config, &["-S", &socket, "-O", "forward", "-L", &to, "bastion"]);
        sessions.push(session(&config, &socket));

        world.signal(pid, "-STOP");
        let (code, report) = kill_stale(&world, port, &["--yes"]);
        assert_eq!((code, verdicts(&report)), (4, vec![(pid, "stale".to_owned())]), "{report}");
        let both = serde_json::json!(["2 sessions of other ssh", format!("a forward of port {other}")]);
        assert_eq!((carried(&report), &report["processes"][0]["ended"]), (both, &false.into()), "{report}");
        let mut terminal = Terminal::open(&world.command("kill-stale"));
        let devdb = env!("CARGO_BIN_EXE_devdb");
        let typed_line = |flags: &str| {
            format!("DEVDB_TUNNEL_WRITER_PORT={port} {devdb} tunnel kill-stale --yes {flags}; echo code $?\r")
        };
        terminal.types(&typed_line("--no-input"));
        let said = terminal.shows("code 4");
        assert!(said.contains(&format!("`kill -CONT {pid}` lets it go on")), "{said}");
        assert!(said.contains(&format!("`devdb tunnel kill-stale --force {pid}` ends it")), "{said}");

        // What the hint says helps.
        world.signal(pid, "-CONT");
        let healthy = || (verdicts(&kill_stale(&world, port, &["--yes"]).1)[0].1 == "healthy").then_some(());
        eventually("it goes on", LIMIT, healthy);
        assert!(sessions.iter_mut().all(|session| session.try_wait().unwrap().is_none()));

        // At a terminal there is a question of its own, whatever `--yes` says.
        world.signal(pid, "-STOP");
        for (answer, code) in [("n\r", "code 0"), ("y\r", "code 0")] {
            assert!(processes_of(pid), "it lives until yes was said");
            terminal.types(&typed_line(""));
            // It is cut where the screen ends.
            let question = terminal.shows("End all of that?").replace("\r\n", "");
            assert!(question.contains("2 sessions of other ssh"), "{question}");
            terminal.types(answer);
            terminal.shows(code);
        }
        for mut session in sessions {
            eventually("its session has ended with it", LIMIT, || session.try_wait().unwrap());
        }
        assert!(!processes_of(pid));
        terminal.close();
    }
}

/// Whether it is there, and no leftover that waits for its parent.
fn processes_of(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

#[test]
fn up_says_what_a_stopped_ssh_carries_and_leaves_it() {
    let world = World::new();
    let config = configure(&world, world.port);
    let to = format!("{}:localhost:{}", world.port, world.database_port);
    // An interactive session with a forward, put to sleep by Ctrl-Z.
    let mut ssh = command("ssh");
    ssh.args(["-F", &config, "-L", &to, "bastion", "exec sleep 600"]).stdin(Stdio::null());
    let mut session = ssh.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_held = || TcpListener::bind((Ipv4Addr::LOCALHOST, world.port)).is_err().then_some(());
    eventually("it holds the port", LIMIT, is_held);
    world.signal(session.id(), "-STOP");
    let output = world.command("up").arg("--yes").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it also carries the session or the command that it was started for"), "{said}");
    assert!(session.try_wait().unwrap().is_none());
    let (code, report) = kill_stale(&world, world.port, &["--force", &session.id().to_string()]);
    assert_eq!((code, &report["processes"][0]["ended"]), (0, &true.into()), "{report}");
    session.wait().unwrap();
}
