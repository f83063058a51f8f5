//! Supervisor and watchdog are killed, each alone and both.

use crate::support::database::is_served;
use crate::support::dice::{Dice, seeds};
use crate::support::sshd::{eventually, free_port};
use crate::support::world::World;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_killed_supervisor_is_back_at_once_and_refuses_nobody() {
    let world = World::new();
    world.done("up");
    let masters = world.masters();
    for _ in 0..3 {
        let watchdog = world.watchdog();
        let before = world.supervisors();
        world.signal(before[0], "-9");
        // Not one attempt of many: whoever comes now is not refused.
        let client = TcpStream::connect(world.address()).unwrap();
        assert_ne!(world.status()["state"], "stopped");
        is_served(world.address(), LIMIT).unwrap();
        let report = world.wait_for_state("up");
        assert_ne!(report["pid"], before[0]);
        assert_eq!(report["restarts"][0]["cause"], "the supervisor was killed");
        assert_eq!((world.supervisors().len(), world.watchdogs()), (1, vec![watchdog]));
        assert_eq!(world.masters(), masters, "its ssh is used again");
        drop(client);
    }
    assert_eq!(world.log().matches("the supervisor was killed, and is started again").count(), 3);
    assert_eq!(world.done("up")["pid"], world.supervisors()[0]);
    world.done("down");
    world.assert_nothing_is_left();
}

/// Whom a killed supervisor had accepted is closed, as bytes pass through it; nobody else is.
#[test]
fn one_that_is_killed_again_and_again_refuses_nobody_and_is_no_reason_for_another_watchdog() {
    let world = World::new();
    world.done("up");
    let (masters, watchdog) = (world.masters(), world.watchdog());
    let kill_the_next = || {
        let next = eventually("the next supervisor", LIMIT, || world.supervisors().first().copied());
        kill_some(&[next]);
        eventually("its end", LIMIT, || (!world.supervisors().contains(&next)).then_some(()));
    };
    let served = world.served_or(is_cut, || {
        (0..6).for_each(|_| kill_the_next());
        // The watchdog's pause is the longest now, and for no verb the tunnel is down.
        assert_ne!(world.status()["state"], "stopped");
        for verb in ["up", "restart"] {
            assert!(world.masters().starts_with(&masters), "busy clients may have made it more");
            kill_the_next();
            assert_eq!(world.done(verb)["state"], "up");
        }
    });
    assert!(served > 20, "{served}");
    assert_eq!((world.watchdogs(), world.supervisors().len()), (vec![watchdog], 1), "{}", world.log());
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_killed_watchdog_is_back_and_watches() {
    let world = World::new();
    let supervisor = world.done("up")["pid"].clone();
    let killed = world.watchdog();
    world.signal(killed, "-9");
    eventually("its end", LIMIT, || (!world.watchdogs().contains(&killed)).then_some(()));
    world.watchdog();
    assert_eq!(world.supervisors(), [u32::try_from(supervisor.as_u64().unwrap()).unwrap()]);
    world.signal(world.supervisors()[0], "-9");
    TcpStream::connect(world.address()).unwrap();
    is_served(world.address(), LIMIT).unwrap();
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_watchdog_that_stands_still_is_no_hindrance() {
    let world = World::new();
    world.done("up");
    let watchdog = world.watchdog();
    world.signal(watchdog, "-STOP");
    world.done("down");
    world.assert_nothing_is_left();

    world.done("up");
    let watchdog = world.watchdog();
    world.signal(watchdog, "-STOP");
    world.signal(world.supervisors()[0], "-9");
    world.done("up");
    is_served(world.address(), LIMIT).unwrap();
    assert!(!world.watchdogs().contains(&watchdog));
    let watchdog = world.watchdog();
    world.signal(watchdog, "-STOP");
    world.signal(world.supervisors()[0], "-9");
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn an_up_right_after_a_kill_gets_what_it_wants() {
    let mut world = World::new();
    world.done("up");
    for pause in [0, 4, 8, 16, 32] {
        for has_another_port in [false, true] {
            world.watchdog();
            world.signal(world.supervisors()[0], "-9");
            std::thread::sleep(Duration::from_millis(pause));
            if has_another_port {
                world.port = free_port();
            }
            world.write_spec("i-0test");
            world.change_spec(|spec| spec["hold_ms"] = (20_000 + 2 * pause + u64::from(has_another_port)).into());
            let report = world.done("up");
            assert_eq!(report["targets"][0]["local"][0], world.address().to_string());
            is_served(world.address(), LIMIT).unwrap();
            assert_eq!((world.supervisors().len(), world.masters().len()), (1, 1), "{}", world.log());
        }
    }
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn the_next_up_goes_on_with_what_was_left_or_ends_it() {
    let world = World::new();
    world.done("up");
    let masters = world.masters();
    world.kill_for_good();
    assert_eq!(world.masters(), masters, "the master outlives its supervisor");
    assert_eq!(world.status()["state"], "stopped");
    assert!(TcpStream::connect(world.address()).is_err());
    world.done("up");
    is_served(world.address(), LIMIT).unwrap();
    assert_eq!((world.supervisors().len(), world.masters()), (1, masters.clone()));

    world.kill_for_good();
    world.signal(masters[0], "-STOP");
    world.done("up");
    is_served(world.address(), LIMIT).unwrap();
    let now = world.masters();
    assert!(now.len() == 1 && now != masters, "{now:?} {masters:?}");

    world.kill_for_good();
    world.change_spec(|spec| spec["link"]["address"] = "localhost".into());
    world.done("up");
    is_served(world.address(), LIMIT).unwrap();
    assert!(world.masters().len() == 1 && world.masters() != now, "it leads elsewhere");
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn the_master_of_a_killed_supervisor_is_found_although_the_runtime_folder_is_another_one() {
    let world = World::new();
    world.done("up");
    let (masters, folder) = (world.masters(), world.socket_folder());
    world.kill_for_good();
    std::fs::create_dir(world.path("other")).unwrap();
    let up = world.command("up").env("XDG_RUNTIME_DIR", world.path("other")).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    assert!(world.socket_folder().starts_with(world.path("other")));
    let now = world.masters();
    assert!(now.len() == 1 && now != masters, "{now:?} {masters:?}");
    assert!(!folder.exists());
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn down_after_a_killed_supervisor_cleans_up_too() {
    let world = World::new();
    world.done("up");
    world.kill_for_good();
    world.done("down");
    world.assert_nothing_is_left();
    // At any moment of its way back.
    for pause in [0, 2, 5, 10, 20, 40] {
        world.done("up");
        world.watchdog();
        world.signal(world.supervisors()[0], "-9");
        std::thread::sleep(Duration::from_millis(pause));
        world.done("down");
        world.assert_nothing_is_left();
    }
}

/// Kills and verbs at random moments, several at once. What becomes of each depends on who was faster; afterwards `up`
/// makes one tunnel of it, and `down` leaves nothing.
#[test]
fn whatever_is_killed_while_verbs_run_an_up_makes_one_tunnel_and_a_down_leaves_nothing() {
    for seed in 1..=seeds().unwrap_or(4) {
        let (mut dice, world) = (Dice::seeded(seed), World::new());
        let mut story = format!("seed {seed}");
        world.done("up");
        for _ in 0..3 {
            let mut verbs = Vec::new();
            for _ in 0..6 {
                let what = dice.roll(10);
                story.push_str(&format!(" {what}"));
                match what {
                    0..=3 => kill_some(&world.supervisors()),
                    4 | 5 => kill_some(&world.watchdogs()),
                    6 => kill_some(&world.masters()),
                    verb => {
                        let verb = ["up", "restart", "down"][verb - 7];
                        let quiet = || Stdio::null();
                        verbs.push(world.command(verb).stdout(quiet()).stderr(quiet()).spawn().unwrap());
                    }
                }
                std::thread::sleep(Duration::from_millis(dice.roll(40) as u64));
            }
            for verb in &mut verbs {
                verb.wait().unwrap();
            }
        }
        let up = world.run("up");
        assert!(up.status.success(), "{story}: {}\n{}", String::from_utf8_lossy(&up.stderr), world.log());
        is_served(world.address(), LIMIT).unwrap_or_else(|error| panic!("{story}: {error}: {}", world.log()));
        let one_of_each = || {
            let found = [world.supervisors(), world.watchdogs(), world.masters()].map(|pids| pids.len());
            (found == [1, 1, 1]).then_some(())
        };
        eventually(&format!("{story}: one of each"), LIMIT, one_of_each);
        world.done("down");
        world.assert_nothing_is_left();
    }
}

fn kill_some(pids: &[u32]) {
    for pid in pids {
        // It may have ended meanwhile.
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
    }
}

fn is_cut(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
