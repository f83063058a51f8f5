//! The tunnel's faults that are no matter of the network: who answers at the other end, and what happens to the
//! supervisor, its files and its verbs. A loop of psql runs through the port all the time.

use crate::support::laptop::Laptop;
use crate::support::pulse::{
    Beat, Pulse, await_state, finish, first_answer, held_and_served, master, masters, now, poll, state, up,
};

/// What nobody may be led to: the tunnel ends in `failed`, keeps its port, closes it to everybody at once, and goes on
/// when somebody says so.
fn is_refused(fault: &str, remedy: &str, cause: &str) {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let ssh = masters(&laptop);
    laptop.fault(fault);
    // It may have noticed already, and have ended them.
    let _ = laptop.shell(&format!("kill -KILL {ssh}"));
    let report = await_state(&laptop, "failed");
    let failed = now();
    assert_eq!(report["remedy"], remedy, "{report:#}");
    assert!(report["cause"].as_str().unwrap().contains(cause), "{report:#}");
    let after_failure =
        |beats: Vec<Beat>| -> Vec<Beat> { beats.into_iter().filter(|beat| beat.began > failed).collect() };
    poll("some meet the closed port", || (after_failure(pulse.beats()).len() > 4).then_some(()));
    assert_eq!(state(&laptop)["state"], "failed");
    laptop.devdb("tunnel up").expect_code(4);

    for beat in after_failure(pulse.beats()) {
        assert_eq!(beat.outcome, "closed");
        // That of a connection is held for thirty seconds otherwise.
        assert!(beat.ended - beat.began < 10.0, "{} s", beat.ended - beat.began);
    }
    // psql would refuse another cluster by itself. Who asks for TLS and looks at no certificate is led nowhere either.
    assert_eq!(first_answer(&laptop), "b''\n");
    laptop.fault("clear");
    laptop.devdb("tunnel up").expect_code(0);
    held_and_served(pulse, now());
    finish(&laptop);
}

#[test]
fn a_bastion_with_another_host_key_is_refused_until_somebody_says_so() {
    is_refused("change-host-key", "host_key", "host key");
}

#[test]
fn another_cluster_behind_the_endpoint_is_refused_until_somebody_says_so() {
    is_refused("another-cluster", "identity", "certificate is for billing-cluster.");
}

#[test]
fn a_killed_supervisor_is_back_before_anybody_is_refused() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let (supervisor, ssh) = (state(&laptop)["pid"].clone(), masters(&laptop));
    laptop.shell(&format!("kill -KILL {supervisor}")).expect_code(0);
    let killed = now();
    let report = poll("another one", || Some(state(&laptop)).filter(|report| report["pid"].is_u64()));
    assert_ne!(report["pid"], supervisor);
    await_state(&laptop, "up");
    let beats = pulse.stop_when_served_after(now());
    assert!(beats.iter().all(|beat| beat.outcome != "refused"));
    // Whose connection ran through the supervisor that was killed has lost it.
    let late: Vec<_> = beats.iter().filter(|beat| beat.began > killed).map(|beat| beat.outcome.as_str()).collect();
    assert!(late.iter().all(|outcome| *outcome == "served"), "{late:?}");
    assert_eq!(masters(&laptop), ssh, "its ssh is used again");

    // Killed as soon as it is there it comes back after a pause; no verb calls the tunnel down meanwhile.
    let kill = r#"until pid=$(pgrep -f "tunnel supervise .*--spec $HOME") && kill -KILL $pid; do sleep 0.02; done
        while kill -0 $pid 2>/dev/null; do sleep 0.02; done"#;
    for verb in ["env", "psql -Atc 'select 1'", "tunnel status", "doctor"] {
        let answer = laptop.shell(&format!("for time in 1 2 3; do {kill}; done; devdb {verb}"));
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert!(!said.contains("devdb tunnel up") && !said.contains("stopped"), "{verb}: {said}");
    }
    finish(&laptop);
}

#[test]
fn what_a_supervisor_and_its_watchdog_left_is_gone_on_with_by_the_next_up() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let ssh = masters(&laptop);
    let line = r#"kill -KILL $(pgrep -f "tunnel watchdog --spec $HOME") $(pgrep -f "tunnel supervise .*--spec $HOME")"#;
    laptop.shell(line).expect_code(0);
    poll("its port is closed", || pulse.beats().iter().any(|beat| beat.outcome == "refused").then_some(()));
    laptop.devdb("tunnel status").expect_code(3);
    laptop.devdb("tunnel up").expect_code(0);
    let back = now();
    let beats = pulse.stop_when_served_after(back);
    let late: Vec<_> = beats.iter().filter(|beat| beat.began > back).map(|beat| beat.outcome.as_str()).collect();
    assert!(late.iter().all(|outcome| *outcome == "served"), "{late:?}");
    assert_eq!(masters(&laptop), ssh);
    finish(&laptop);
}

#[test]
fn files_that_vanish_under_a_tunnel_cost_nobody_a_connection() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let before = state(&laptop);
    // Sockets of ssh and of devdb, known hosts, report, specification, lock and log.
    laptop
        .shell(r#"rm -rf "$XDG_RUNTIME_DIR/devdb" && rm -rf "$HOME"/.local/state/devdb/*/*/*/tunnel*"#)
        .expect_code(0);
    poll("another ssh", || (master(&laptop) != before["bastion"]["ssh_pid"].as_u64()?).then_some(()));
    let report = await_state(&laptop, "up");
    assert_eq!(report["pid"], before["pid"]);
    let beats = pulse.stop_when_served_after(now());
    let outcomes: Vec<_> = beats.iter().map(|beat| beat.outcome.as_str()).collect();
    assert!(outcomes.iter().all(|outcome| *outcome == "served"), "{outcomes:?}");
    laptop.devdb("tunnel up").expect_code(0);
    assert_eq!(state(&laptop)["pid"], before["pid"]);
    finish(&laptop);
}

#[test]
fn twenty_verbs_at_once_while_ssh_is_replaced_agree_on_one_supervisor() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let supervisor = state(&laptop)["pid"].clone();
    laptop.shell(&format!("kill -KILL {}", masters(&laptop))).expect_code(0);
    let line = r#"for verb in $(seq 20); do devdb tunnel up & all="$all $!"; done; for one in $all; do wait "$one" || exit 1; done"#;
    laptop.shell(line).expect_code(0);
    held_and_served(pulse, now());
    assert_eq!(state(&laptop)["pid"], supervisor);
    finish(&laptop);
}

/// Full, or closed to everybody: what devdb writes to. Gives where its socket lay, and where it lies.
fn is_no_end_of_the_tunnel(laptop: &Laptop, take_away: impl FnOnce(), cause: &str, give_back: &str) -> [String; 2] {
    let socket = || {
        let line = r#"sed -n 's/.*"socket":"\([^"]*\)".*/\1/p' "$HOME"/.local/state/devdb/*/*/*/tunnel.lock"#;
        laptop.shell(line).expect_code(0).stdout.trim().to_owned()
    };
    laptop.devdb("up").expect_code(0);
    let pulse = Pulse::start(laptop);
    let (before, lay) = (state(laptop), socket());
    take_away();
    // Who had an answer through an ssh that was killed has lost its connection.
    let taken = now();
    poll("another ssh", || (master(laptop) != before["bastion"]["ssh_pid"].as_u64()?).then_some(()));
    let report = await_state(laptop, "up");
    assert_eq!(report["pid"], before["pid"]);
    laptop.devdb("tunnel restart").expect_code(0);
    laptop.devdb("tunnel up").expect_code(1).says(&[cause]);
    let lies = socket();
    let beats = pulse.stop_when_served_after(now());
    let outcomes: Vec<_> = beats.iter().map(|beat| (beat.began > taken, beat.outcome.as_str())).collect();
    let is_well = |(is_later, outcome): &(bool, &str)| *outcome == "served" || !is_later && *outcome == "closed";
    assert!(outcomes.iter().all(is_well), "{outcomes:?}");
    laptop.shell(give_back).expect_code(0);
    laptop.devdb("tunnel up").expect_code(0);
    assert_eq!(state(laptop)["pid"], before["pid"]);
    finish(laptop);
    [lay, lies]
}

#[test]
fn a_full_disk_costs_nobody_a_connection() {
    let laptop = Laptop::with_small_disk(1024);
    let fill = r#"for folder in "$HOME/.local" "$HOME/run"; do cat /dev/zero >"$folder/fill" 2>/dev/null; done; true"#;
    let free = r#"rm "$HOME/.local/fill" "$HOME/run/fill""#;
    let take_away = || {
        laptop.shell(fill).expect_code(0);
        laptop.shell(&format!("kill -KILL {}", masters(&laptop))).expect_code(0);
    };
    let [lay, lies] = is_no_end_of_the_tunnel(&laptop, take_away, "No space left on device", free);
    assert!(lay.starts_with(laptop.home().to_str().unwrap()) && lies.starts_with("/tmp/devdb-"), "{lay} {lies}");
}

#[test]
fn folders_that_nobody_may_write_to_cost_nobody_a_connection() {
    let laptop = Laptop::with_small_disk(1024);
    // The sockets too: ssh lives on, and cannot be reached.
    let take_away = || drop(laptop.shell(r#"chmod -R a-w "$HOME/.local" "$HOME/run""#).expect_code(0));
    let open = r#"chmod -R u+w "$HOME/.local" "$HOME/run""#;
    let [lay, lies] = is_no_end_of_the_tunnel(&laptop, take_away, "Permission denied", open);
    assert_eq!(lies, lay, "what is its own it opens again");
}
