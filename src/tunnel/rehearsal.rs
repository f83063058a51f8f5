//! The session and its connections, with a fake ssh and in paused time.

#![expect(clippy::unwrap_used, reason = "clippy does not see that this file is built for tests only")]

mod away;
mod lanes;
mod moved;
mod refused;

use super::counters::Counters;
use super::generation::Gate;
use super::greeting::Greeting;
use super::refusals::Refusals;
use super::report::Snapshot;
use super::serve::{self, Client, Hub, MOST_HELD};
use super::session::{Command, Session, Tools};
use super::{
    HealSpec, HostName, LinkError, LinkSpec, LoginName, ProbeError, Remedy, SshPath, Story, SupervisorSpec, TargetSpec,
    TunnelReport, TunnelState,
};
use crate::testing::{FakeHealer, FakeLink, FakeProbe, FakeSsh, FixedClock};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, advance, sleep, timeout};

struct Rehearsal {
    _folder: tempfile::TempDir,
    healer: Arc<FakeHealer>,
    ssh: Arc<FakeSsh>,
    probe: Arc<FakeProbe>,
    clock: Arc<FixedClock>,
    hub: Arc<Hub>,
    commands: mpsc::UnboundedSender<Command>,
    snapshot: watch::Receiver<Snapshot>,
}

fn spec() -> SupervisorSpec {
    SupervisorSpec {
        link: Some(LinkSpec {
            instance_id: HostName::parse("i-0abc").unwrap(),
            address: HostName::parse("203.0.113.7").unwrap(),
            ssh_port: 22,
            user: LoginName::parse("ec2-user").unwrap(),
            identity_file: SshPath::parse("/state/id").unwrap(),
            known_hosts_file: SshPath::parse("/state/known_hosts").unwrap(),
            proxy_command: None,
            proxy_jump: None,
        }),
        targets: vec![TargetSpec {
            name: "writer".to_owned(),
            host: HostName::parse("db.example.com").unwrap(),
            port: 5432,
            local_port: 5432,
        }],
        ca_file: "/state/ca.pem".into(),
        hold_ms: 30_000,
        serves_all_users: false,
        heal: Some(HealSpec { folder: "/".into(), environment: "dev".to_owned(), settings: serde_json::Map::new() }),
    }
}

impl Client for DuplexStream {
    fn into_socket(self) -> Option<std::os::fd::OwnedFd> {
        None
    }
}

impl Rehearsal {
    fn begin(prepare: impl FnOnce(&FakeSsh, &FakeProbe)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ssh, probe, clock) =
            (Arc::<FakeSsh>::default(), Arc::<FakeProbe>::default(), Arc::<FixedClock>::default());
        prepare(&ssh, &probe);
        let (gate_sender, gate) = watch::channel(Gate::Wait);
        let (snapshot_sender, snapshot) = watch::channel(Snapshot::new(&spec(), &[]));
        let (commands, inbox) = mpsc::unbounded_channel();
        let (remarks, remark_inbox) = mpsc::unbounded_channel();
        let counters = vec![Arc::new(Counters::default())];
        let held = Arc::new(AtomicUsize::new(0));
        let healer = Arc::<FakeHealer>::default();
        let (hold, successor) = (spec().hold(), watch::channel(None).1);
        let refusals = vec![Arc::<Refusals>::default()];
        let hub = Hub {
            successor,
            gate,
            hold,
            counters: counters.clone(),
            refusals: refusals.clone(),
            held: held.clone(),
            remarks,
        };
        let hub = Arc::new(hub);
        let story = Arc::new(Story::open(&folder.path().join("tunnel.log")));
        let tools = Tools {
            ssh: ssh.clone(),
            probe: probe.clone(),
            clock: clock.clone(),
            story,
            held,
            counters,
            refusals,
            healer: healer.clone(),
        };
        let path = folder.path().to_owned();
        let session = Session::new(spec(), Box::new(move || Ok(path.clone())), tools, gate_sender, snapshot_sender);
        tokio::spawn(session.run(inbox, remark_inbox));
        Self { _folder: folder, healer, ssh, probe, clock, hub, commands, snapshot }
    }

    async fn up() -> Self {
        let rehearsal = Self::begin(|_, _| {});
        rehearsal.state(TunnelState::Up).await;
        rehearsal
    }

    fn report(&self) -> TunnelReport {
        self.snapshot.borrow().report(&self.hub.counters)
    }

    async fn state(&self, wanted: TunnelState) -> TunnelReport {
        let mut snapshot = self.snapshot.clone();
        let reached = snapshot.wait_for(|snapshot| snapshot.report(&[]).state == wanted);
        let reached = timeout(Duration::from_secs(300), reached).await;
        assert!(reached.is_ok(), "{wanted:?} was not reached: {:?}", self.report());
        self.report()
    }

    fn connect(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1024);
        tokio::spawn(serve::serve(far, Greeting::default(), 0, self.hub.clone()));
        near
    }

    /// As `status` does.
    async fn ask(&self) {
        let (done, asked) = oneshot::channel();
        self.commands.send(Command::Probe { done }).unwrap();
        asked.await.unwrap();
    }

    async fn restart(&self) {
        let (done, begun) = oneshot::channel();
        self.commands.send(Command::Restart { cause: "asked".to_owned(), done }).unwrap();
        begun.await.unwrap();
    }

    fn link(&self) -> Arc<FakeLink> {
        self.ssh.links().last().cloned().unwrap()
    }
}

/// Says something and waits for the echo.
async fn talk(client: &mut DuplexStream) -> std::io::Result<()> {
    client.write_all(b"hello").await?;
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

async fn closes(client: &mut DuplexStream) -> Duration {
    let asked = Instant::now();
    assert!(matches!(client.read(&mut [0]).await, Ok(0) | Err(_)));
    asked.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_held_while_there_is_no_link_and_then_served() {
    let rehearsal = Rehearsal::begin(|ssh, _| ssh.set_unreachable(true));
    let mut client = rehearsal.connect();
    client.write_all(b"hello").await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rehearsal.report().targets[0].connections.held, 1);
    rehearsal.ssh.set_unreachable(false);
    let mut answer = [0; 5];
    timeout(Duration::from_secs(25), client.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"hello");
    assert_eq!(rehearsal.report().targets[0].connections.held, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_held_no_longer_than_it_was_promised() {
    let rehearsal = Rehearsal::begin(|ssh, _| ssh.set_unreachable(true));
    let mut client = rehearsal.connect();
    let held = closes(&mut client).await;
    assert_eq!(held.as_secs(), 30);
    assert_eq!(rehearsal.report().targets[0].connections.held, 0);
}

#[tokio::test(start_paused = true)]
async fn one_connection_too_many_is_closed_at_once_and_a_client_that_leaves_frees_its_place() {
    let rehearsal = Rehearsal::begin(|ssh, _| ssh.set_unreachable(true));
    let mut clients: Vec<_> = (0..MOST_HELD).map(|_| rehearsal.connect()).collect();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(rehearsal.report().targets[0].connections.held, MOST_HELD as u64);
    assert_eq!(closes(&mut rehearsal.connect()).await, Duration::ZERO);
    clients.pop();
    sleep(Duration::from_millis(10)).await;
    let _next = rehearsal.connect();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(rehearsal.report().targets[0].connections.held, MOST_HELD as u64);
}

#[tokio::test(start_paused = true)]
async fn whoever_meets_a_full_queue_of_ssh_comes_again_until_there_is_room_or_the_promised_time_is_over() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().refuse_next(9);
    talk(&mut rehearsal.connect()).await.unwrap();
    rehearsal.link().refuse_next(usize::MAX);
    let waited = closes(&mut rehearsal.connect()).await;
    assert_eq!(waited.as_secs(), 30);
    assert_eq!((rehearsal.report().state, rehearsal.ssh.links().len()), (TunnelState::Suspect, 1));
}

#[tokio::test(start_paused = true)]
async fn a_killed_master_is_replaced_at_once() {
    let rehearsal = Rehearsal::up().await;
    let mut old = rehearsal.connect();
    talk(&mut old).await.unwrap();
    rehearsal.link().kill();
    closes(&mut old).await;
    let asked = Instant::now();
    talk(&mut rehearsal.connect()).await.unwrap();
    assert!(asked.elapsed() <= Duration::from_millis(500), "{:?}", asked.elapsed());
    let report = rehearsal.state(TunnelState::Up).await;
    assert_eq!(report.restarts[0].cause, "ssh ended: killed by the test");
}

#[tokio::test(start_paused = true)]
async fn a_link_whose_socket_has_vanished_is_replaced_and_the_client_is_served() {
    let rehearsal = Rehearsal::up().await;
    let (mut old, first) = (rehearsal.connect(), rehearsal.link());
    talk(&mut old).await.unwrap();
    first.lose_socket();
    let asked = Instant::now();
    talk(&mut rehearsal.connect()).await.unwrap();
    assert!(asked.elapsed() <= Duration::from_secs(1), "{:?}", asked.elapsed());
    talk(&mut old).await.unwrap();
    assert!(!first.is_dead(), "what runs through the old link may finish");
    assert_eq!(rehearsal.report().restarts[0].cause, "the socket of ssh has vanished or is closed");
}

#[tokio::test(start_paused = true)]
async fn a_status_that_finds_no_socket_has_the_link_replaced() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().lose_socket();
    rehearsal.ask().await;
    rehearsal.state(TunnelState::Up).await;
    assert_eq!(rehearsal.ssh.links().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_greeting_without_an_answer_is_said_again_to_the_next_link() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().freeze();
    let asked = Instant::now();
    talk(&mut rehearsal.connect()).await.unwrap();
    // Three seconds until somebody doubts, three for the bastion to stay silent.
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    assert_eq!(rehearsal.report().restarts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_reaches_a_client_from_a_database_that_nobody_has_identified() {
    let foreign = || Ok(FakeProbe::certificate("staging.example.com"));
    let rehearsal = Rehearsal::begin(|ssh, probe| {
        ssh.refuse([LinkError::Refused { said: String::new() }]);
        probe.answer([foreign()]);
    });
    let mut client = rehearsal.connect();
    client.write_all(b"hello").await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    let report = rehearsal.state(TunnelState::Failed).await;
    assert_eq!(report.remedy, Some(Remedy::Identity));
    assert!(rehearsal.link().is_dead());
    assert_eq!(closes(&mut rehearsal.connect()).await, Duration::ZERO);
}

/// A client that asked for TLS and was told yes by a database that nobody has identified yet, and went on.
async fn greeted(rehearsal: &Rehearsal) -> DuplexStream {
    let mut client = rehearsal.connect();
    client.write_all(&FakeLink::SSL_REQUEST).await.unwrap();
    let mut yes = [0];
    client.read_exact(&mut yes).await.unwrap();
    assert_eq!(yes, *b"S");
    client.write_all(b"hello").await.unwrap();
    assert_ne!(rehearsal.report().state, TunnelState::Up);
    client
}

#[tokio::test(start_paused = true)]
async fn only_the_yes_to_tls_reaches_a_client_before_the_database_is_identified() {
    let late = || Err(ProbeError::Silent { limit: Duration::from_secs(3) });
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([late(), late()]));
    let mut client = greeted(&rehearsal).await;
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello");
    assert_eq!(rehearsal.report().state, TunnelState::Up);
    talk(&mut client).await.unwrap();

    let foreign = Ok(FakeProbe::certificate("staging.example.com"));
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([late(), late(), foreign]));
    let mut client = greeted(&rehearsal).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
    rehearsal.state(TunnelState::Failed).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_was_told_the_yes_goes_on_with_the_next_ssh() {
    let late = || Err(ProbeError::Silent { limit: Duration::from_secs(3) });
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([late(), late()]));
    let mut client = greeted(&rehearsal).await;
    rehearsal.link().kill();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hello", "one yes, and one answer");
    assert_eq!(rehearsal.ssh.links().len(), 2);
    talk(&mut client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn restart_holds_new_connections_and_lets_old_ones_finish() {
    let rehearsal = Rehearsal::up().await;
    let (mut old, first) = (rehearsal.connect(), rehearsal.link());
    talk(&mut old).await.unwrap();
    rehearsal.restart().await;
    talk(&mut rehearsal.connect()).await.unwrap();
    talk(&mut old).await.unwrap();
    assert_eq!(rehearsal.ssh.links().len(), 2);
    assert!(!first.is_dead());
    drop(old);
    timeout(Duration::from_secs(1), super::Link::closed(first.as_ref())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_tunnel_begins_again_only_when_it_is_asked() {
    let rehearsal = Rehearsal::begin(|ssh, _| ssh.refuse([LinkError::HostKey { said: "changed".to_owned() }]));
    let report = rehearsal.state(TunnelState::Failed).await;
    assert_eq!(report.remedy, Some(Remedy::HostKey));
    sleep(Duration::from_secs(3600)).await;
    assert!(rehearsal.ssh.links().is_empty());
    let (done, fits) = oneshot::channel();
    rehearsal.commands.send(Command::Use { spec: Box::new(spec()), done }).unwrap();
    assert!(fits.await.unwrap());
    rehearsal.state(TunnelState::Up).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_looks_at_its_link_first_thing() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().freeze();
    rehearsal.clock.advance(Duration::from_secs(3600));
    advance(Duration::from_secs(2)).await;
    let report = rehearsal.state(TunnelState::Suspect).await;
    assert_eq!(report.cause.unwrap(), "the machine stood still for 3599 s");
    rehearsal.state(TunnelState::Up).await;
    assert_eq!(rehearsal.ssh.links().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_asks_the_database_nothing() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.probe.answer([Err(ProbeError::NoTls)]);
    sleep(Duration::from_secs(24 * 3600)).await;
    assert_eq!(rehearsal.report().state, TunnelState::Up, "the scripted answer was not asked for");
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_every_link() {
    let rehearsal = Rehearsal::up().await;
    let mut old = rehearsal.connect();
    talk(&mut old).await.unwrap();
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
    rehearsal.commands.send(Command::Drain).unwrap();
    rehearsal.state(TunnelState::Stopping).await;
    assert_eq!(closes(&mut rehearsal.connect()).await, Duration::ZERO);
    talk(&mut old).await.unwrap();
    rehearsal.commands.send(Command::Stop).unwrap();
    closes(&mut old).await;
    assert!(rehearsal.ssh.links().iter().all(|link| link.is_dead()));
}
