//! What may be taken away from under a running tunnel, and what its other verbs tell.

use crate::support::database::is_served;
use crate::support::sshd::eventually;
use crate::support::world::World;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_supervisor_whose_state_folder_was_deleted_is_found_again() {
    let world = World::new();
    world.done("up");
    let supervisors = world.supervisors();
    std::fs::remove_dir_all(world.path(".local")).unwrap();
    is_served(world.address(), LIMIT).unwrap();
    world.wait_for_state("up");
    assert_eq!(world.done("restart")["state"], "up");
    assert_eq!(world.supervisors(), supervisors);

    std::fs::remove_dir_all(world.path(".local")).unwrap();
    world.done("up");
    assert_eq!(world.supervisors(), supervisors, "an `up` at the wrong moment waits for it");
    std::fs::remove_dir_all(world.path(".local")).unwrap();
    world.wait_for_state("up");
    assert_eq!(world.done("down")["was_running"], true);
    world.assert_nothing_is_left();
}

/// Ends the loop also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn whoever_works_without_a_pause_has_several_ssh_and_the_end_of_one_is_not_the_tunnels() {
    let world = World::new();
    world.done("up");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Relaxed) {
                is_served(world.address(), LIMIT).unwrap();
            }
        });
        let several = |but: Option<u64>| {
            eventually("four ssh", LIMIT, || {
                let report = world.status();
                let pids = report["bastion"]["ssh_pids"].as_array()?.iter().map(|pid| pid.as_u64().unwrap());
                let pids: Vec<u64> = pids.filter(|pid| Some(*pid) != but).collect();
                (pids.len() == 4).then_some((pids, report))
            })
        };
        let (pids, report) = several(None);
        assert_eq!(report["bastion"]["ssh_pid"], pids[0]);
        let (mut shown, mut running) = (pids.clone(), world.masters());
        shown.sort_unstable();
        running.sort_unstable();
        assert!(running.iter().map(|pid| u64::from(*pid)).eq(shown), "{running:?} {pids:?}");
        world.signal(u32::try_from(pids[0]).unwrap(), "-9");
        is_served(world.address(), LIMIT).unwrap();
        let (_, report) = several(Some(pids[0]));
        assert_eq!((&report["state"], &report["restarts"]), (&"up".into(), &serde_json::json!([])));
        assert!(world.log().contains("one of 4 ssh ended"), "{}", world.log());
    });
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn the_log_is_a_story_and_can_be_followed() {
    let world = World::new();
    world.done("up");
    let mut following = world.command("logs").arg("--follow").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines().map(Result::unwrap);
    let texts =
        |line: String| serde_json::from_str::<serde_json::Value>(&line).unwrap()["text"].as_str().unwrap().to_owned();
    assert!(lines.by_ref().map(texts).any(|text| text == "up"));
    world.signal(world.masters()[0], "-9");
    let mut after = lines.by_ref().map(texts);
    assert!(after.next().unwrap().starts_with("reconnecting: ssh ended"));
    let back = after.next().unwrap();
    assert!(back.starts_with("up again after ") && back.ends_with(" s"), "{back}");
    world.signal(following.id(), "-INT");
    let ended = following.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    world.done("down");
    let told = world.done("logs");
    let last = told["lines"].as_array().unwrap().last().unwrap();
    assert_eq!(last["text"], "stopped");
    assert!(last["at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_watched_tunnel_is_shown_again_and_again() {
    let world = World::new();
    world.done("up");
    let mut watching = world.command("status").arg("--watch").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    for line in lines.take(3) {
        let report: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(report["state"], "up");
    }
    world.signal(watching.id(), "-INT");
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    world.done("down");
}

#[test]
fn ports_names_their_holders() {
    let world = World::new();
    world.done("up");
    let mut devdb = world.command("ports");
    devdb.env("DEVDB_TUNNEL_WRITER_PORT", world.port.to_string());
    let output = devdb.output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let holder = &report["ports"][0]["holders"][0];
    assert_eq!((&holder["kind"], &holder["pid"]), (&"devdb".into(), &world.supervisors()[0].into()));
    assert_eq!(holder["local"][0], world.address().to_string());
    world.done("down");
}

#[test]
fn an_ssh_that_hangs_is_given_up_and_none_is_left() {
    let world = World::new();
    world.done("up");
    let old = world.masters();
    // A bastion whose sshd is stopped accepts connections and says nothing.
    world.sshd.freeze(true);
    world.signal(old[0], "-9");
    eventually("a new ssh tries", LIMIT, || (!world.masters().is_empty()).then_some(()));
    world.sshd.freeze(false);
    world.wait_for_state("up");
    is_served(world.address(), LIMIT).unwrap();
    eventually("one master", LIMIT, || (world.masters().len() == 1).then_some(()));
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_full_disk_ends_no_tunnel_and_what_the_log_lacks_is_told() {
    let mut world = World::new();
    world.use_small_disk(256);
    world.done("up");
    let (supervisors, masters) = (world.supervisors(), world.masters());
    let log = world.state("tunnel.log").display().to_string();
    let length = world.shell(&format!("stat -c %s '{log}'; tr '\\0' x </dev/zero 2>/dev/null >>'{log}'"));
    world.signal(masters[0], "-9");
    is_served(world.address(), LIMIT).unwrap();
    let report = world.wait_for_state("up");
    let cause = report["log_cause"].as_str().unwrap();
    assert!(cause.contains("missing") && cause.contains("No space left on device"), "{cause}");
    assert_eq!(world.done("restart")["state"], "up", "a restart needs no room");
    assert_eq!(world.supervisors(), supervisors);
    let (code, said) = world.refused("up");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("No space left on device") && said.contains("`df -h "), "{said}");
    is_served(world.address(), LIMIT).unwrap();

    world.shell(&format!("truncate -s {} '{log}'", length.trim()));
    assert_eq!(world.status()["log_cause"], serde_json::Value::Null);
    world.done("up");
    assert_eq!(world.supervisors(), supervisors);
    let told = world.done("logs").to_string();
    assert!(told.contains("the log could not be written ("), "{told}");
    world.done("down");
    world.assert_nothing_is_left();
}
