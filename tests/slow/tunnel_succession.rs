//! A supervisor takes the place of another one.

use crate::support::database::is_served;
use crate::support::sshd::eventually;
use crate::support::world::World;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn no_connection_is_refused_or_lost_while_the_supervisor_is_replaced() {
    let world = World::new();
    world.done("up");
    let served = world.served_while(|| {
        let mut before = world.supervisors();
        for hold in [10_000, 15_000, 20_000] {
            world.change_spec(|spec| spec["hold_ms"] = hold.into());
            assert_eq!(world.done("up")["state"], "up");
            let after = world.supervisors();
            assert!(after.len() == 1 && after != before, "{after:?} {before:?}");
            before = after;
        }
    });
    assert!(served > 20, "{served}");
    assert_eq!(world.log().matches("the ports stayed open").count(), 3, "{}", world.log());
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn clients_that_wait_for_a_link_go_on_waiting_at_the_next_supervisor() {
    const CLIENTS: usize = 20;
    let mut world = World::new();
    world.done("up");
    let before = world.supervisors();
    world.sshd.stop();
    for master in world.masters() {
        world.signal(master, "-9");
    }
    let address = world.address();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || is_served(address, LIMIT))).collect();
        let all_wait = || (world.status()["targets"][0]["connections"]["held"] == CLIENTS).then(|| world.supervisors());
        assert_eq!(eventually("all wait", LIMIT, all_wait), before);
        world.change_spec(|spec| spec["hold_ms"] = 25_000.into());
        let mut up = world.command("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let succeeded = || all_wait().filter(|now| now.len() == 1 && *now != before);
        eventually("all wait at the successor", LIMIT, succeeded);
        world.sshd.run();
        for client in clients {
            client.join().unwrap().unwrap_or_else(|error| panic!("{error}: {}", world.log()));
        }
        assert!(up.wait().unwrap().success());
    });
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_successor_that_needs_a_busy_port_leaves_the_present_tunnel_as_it_is() {
    let world = World::new();
    world.done("up");
    let (supervisors, masters) = (world.supervisors(), world.masters());
    let owner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    world.change_spec(|spec| {
        let mut reader = spec["targets"][0].clone();
        (reader["name"], reader["local_port"]) = ("reader".into(), owner.local_addr().unwrap().port().into());
        spec["targets"].as_array_mut().unwrap().push(reader);
    });
    let (code, said) = world.refused("up");
    assert!(code == 1 && said.contains("is in use on 127.0.0.1"), "{said}");
    assert_eq!((world.supervisors(), world.masters()), (supervisors, masters));
    is_served(world.address(), LIMIT).unwrap();
    drop(owner);
    let report = world.done("up");
    assert_eq!(report["targets"].as_array().unwrap().len(), 2);
    let reader: SocketAddr = report["targets"][1]["local"][0].as_str().unwrap().parse().unwrap();
    assert!(TcpStream::connect(reader).is_ok());
    world.change_spec(|spec| drop(spec["targets"].as_array_mut().unwrap().pop()));
    world.done("up");
    assert!(TcpStream::connect(reader).is_err(), "a port that is no target's any more is closed");
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_supervisor_that_does_not_answer_is_replaced() {
    let world = World::new();
    world.done("up");
    let old = world.supervisors()[0];
    world.signal(old, "-STOP");
    world.done("up");
    assert_ne!(world.supervisors(), [old]);
    ends_with_one_tunnel(&world);
    is_served(world.address(), LIMIT).unwrap();
    world.done("down");
    world.assert_nothing_is_left();
}

/// The watchdog of a supervisor that had to be killed starts one more, which finds the place taken and ends by itself.
fn ends_with_one_tunnel(world: &World) {
    let is_one = || (world.supervisors().len() == 1 && world.masters().len() == 1).then_some(());
    eventually("one supervisor and one master", LIMIT, is_one);
}

/// An `up` that is cancelled while its supervisor waits for a predecessor that does not answer.
fn cancelled_replacement(world: &World) -> u32 {
    world.done("up");
    let old = world.supervisors()[0];
    world.signal(old, "-STOP");
    world.change_spec(|spec| spec["hold_ms"] = 10_000.into());
    let mut up = world.command("up").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let successor = |pids: Vec<u32>| pids.into_iter().find(|pid| *pid != old);
    let successor = eventually("a successor", LIMIT, || successor(world.supervisors()));
    world.signal(up.id(), "-INT");
    assert_eq!(up.wait().unwrap().code(), Some(130));
    successor
}

#[test]
fn down_is_the_last_word_although_a_cancelled_up_has_left_a_successor_that_waits() {
    let world = World::new();
    let successor = cancelled_replacement(&world);
    world.done("down");
    eventually("its end", LIMIT, || (!world.supervisors().contains(&successor)).then_some(()));
    assert_eq!(world.status()["state"], "stopped");
    world.assert_nothing_is_left();
}

#[test]
fn an_up_after_a_cancelled_one_ends_with_one_tunnel() {
    let world = World::new();
    cancelled_replacement(&world);
    assert_eq!(world.done("up")["state"], "up");
    ends_with_one_tunnel(&world);
    is_served(world.address(), LIMIT).unwrap();
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_supervisor_may_have_many_files_open_whatever_the_shell_allows() {
    let world = World::new();
    let up = world.command("up");
    let mut small = Command::new("sh");
    small.args(["-c", r#"ulimit -Sn 256 && exec "$0" "$@""#]).arg(up.get_program()).args(up.get_args());
    small.env_clear().envs(up.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    assert!(small.current_dir(world.path("project")).output().unwrap().status.success(), "{}", world.log());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", world.supervisors()[0])).unwrap();
    let limits = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut limits = limits.split_whitespace().map(|limit| limit.parse::<u64>().unwrap_or(u64::MAX));
    let (soft, hard) = (limits.next().unwrap(), limits.next().unwrap());
    assert_eq!(soft, hard.min(10_240));
    world.done("down");
    world.assert_nothing_is_left();
}
