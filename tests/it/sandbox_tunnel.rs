//! The tunnel's faults, one test each: the link, ssh, the bastion, its rules, the database. Somebody knocks at the
//! port all the time, and is never refused.

use crate::support::laptop::Laptop;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(180);
const QUERY: &str = r#"eval "$(devdb env)" && psql -Atc 'select 1'"#;

fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

struct Beat {
    began: f64,
    outcome: String,
}

/// Somebody who knocks all the time.
struct Pulse<'a> {
    laptop: &'a Laptop,
    child: Child,
}

impl<'a> Pulse<'a> {
    fn start(laptop: &'a Laptop) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/pulse.py");
        for file in ["stop", "beats"] {
            let _ = std::fs::remove_file(laptop.home().join(file));
        }
        let child = laptop.start_shell(&format!("exec python3 {script} 5432 \"$HOME/stop\" >\"$HOME/beats\""));
        Self { laptop, child }
    }

    /// How each knock that has ended did so.
    fn beats(&self) -> Vec<Beat> {
        let text = std::fs::read_to_string(self.laptop.home().join("beats")).unwrap_or_default();
        let beat = |line: &str| {
            let mut words = line.split(' ');
            Some(Beat { began: words.next()?.parse().ok()?, outcome: words.nth(1)?.to_owned() })
        };
        // The last line may be half written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(|line| beat(line.trim_end()))
            .collect()
    }

    /// Waits until somebody who knocked after the fault is served, and ends the knocking; how each knock ended.
    fn stop_when_served_after(mut self, end_of_fault: f64) -> Vec<Beat> {
        poll("a knock after the fault is answered", || {
            self.beats().iter().any(|beat| beat.began > end_of_fault && beat.outcome == "served").then_some(())
        });
        std::fs::write(self.laptop.home().join("stop"), "").unwrap();
        self.child.wait().unwrap();
        self.beats()
    }
}

fn up() -> Laptop {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    laptop
}

fn state(laptop: &Laptop) -> serde_json::Value {
    laptop.devdb("tunnel status --json").json()
}

/// What mends tells of it when it is done, and that may be a moment after it helped.
fn await_log(laptop: &Laptop, words: &str) {
    poll("the log tells it", || laptop.devdb("tunnel logs").expect_code(0).stdout.contains(words).then_some(()));
}

fn await_state(laptop: &Laptop, wanted: &str) -> serde_json::Value {
    poll(wanted, || Some(state(laptop)).filter(|report| report["state"] == wanted))
}

fn master(laptop: &Laptop) -> u64 {
    poll("an ssh master", || state(laptop)["bastion"]["ssh_pid"].as_u64())
}

/// Runs a program against the stand-in API, with boto3 as `ec2`.
fn api(laptop: &Laptop, program: &str) -> String {
    let line = format!(
        r#"exec "$(sed -n 's/.*"python": "\(.*\)".*/\1/p' "$DEVDB_SANDBOX_ENDPOINTS")" -c 'import boto3
ec2 = boto3.client("ec2")
{program}'"#
    );
    laptop.shell(&line).expect_code(0).stdout
}

/// Nobody was refused or left without an answer, and everybody who came a while after the fault was served.
#[track_caller]
fn held_and_served(pulse: Pulse<'_>, end_of_fault: f64) {
    let beats = pulse.stop_when_served_after(end_of_fault);
    let count = |outcome: &str| beats.iter().filter(|beat| beat.outcome == outcome).count();
    let (served, refused, closed, silent) = (count("served"), count("refused"), count("closed"), count("silent"));
    let told = format!("{served} served, {refused} refused, {closed} closed, {silent} silent");
    assert_eq!((refused, silent), (0, 0), "{told}");
    let late: Vec<_> =
        beats.iter().filter(|beat| beat.began > end_of_fault + 20.0 && beat.outcome != "served").collect();
    assert!(late.is_empty(), "{told}");
}

fn finish(laptop: &Laptop) {
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "1\n");
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn a_killed_or_stopped_ssh_is_replaced_while_connections_wait() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    for signal in ["KILL", "STOP"] {
        let old = master(&laptop);
        laptop.shell(&format!("kill -{signal} {old}")).expect_code(0);
        poll("another ssh", || (master(&laptop) != old).then_some(()));
        await_state(&laptop, "up");
    }
    let end = now();
    held_and_served(pulse, end);
    finish(&laptop);
}

#[test]
fn an_sshd_that_dies_and_comes_back_is_found_again() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    laptop.fault("kill-sshd --listener");
    await_state(&laptop, "reconnecting");
    poll("somebody waits", || state(&laptop)["targets"][0]["connections"]["held"].as_u64().filter(|held| *held > 0));
    laptop.fault("clear");
    let end = now();
    await_state(&laptop, "up");
    held_and_served(pulse, end);
    finish(&laptop);
}

#[test]
fn a_link_that_was_silent_is_used_again_as_soon_as_it_is_back() {
    let laptop = up();
    for cut in [5, 20] {
        let pulse = Pulse::start(&laptop);
        laptop.fault(&format!("cut --for {cut}s"));
        let end = now();
        await_state(&laptop, "up");
        held_and_served(pulse, end);
    }
    finish(&laptop);
}

#[test]
fn a_changed_address_is_let_in_again_by_itself() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    laptop.fault("change-address");
    let report = poll("it is up behind the new address", || {
        let report = state(&laptop);
        (report["state"] == "up" && !report["restarts"].as_array()?.is_empty()).then_some(report)
    });
    assert_eq!(report["targets"][0]["state"], "up");
    let end = now();
    held_and_served(pulse, end);
    await_log(&laptop, "mended: let ");
    finish(&laptop);
}

#[test]
fn without_credentials_it_waits_for_them_and_goes_on_when_they_are_back() {
    let laptop = Laptop::new();
    let profile = laptop.home().join("credentials");
    let write = |key: &str| {
        let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = sandbox-secret\n");
        std::fs::write(&profile, text).unwrap();
    };
    write("sandbox-ada");
    let from_file = profile.display().to_string();
    let variables =
        [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_SHARED_CREDENTIALS_FILE", &*from_file)];
    laptop.devdb_with(&variables, "up").expect_code(0);
    write("ASIAEXPIRED0");
    laptop.fault("change-address");
    let report = poll("it says what it needs", || {
        let report = state(&laptop);
        report["cause"].as_str().is_some_and(|cause| cause.starts_with("needs-credentials")).then_some(report)
    });
    assert_eq!((&report["state"], &report["remedy"]), (&"reconnecting".into(), &"credentials".into()));
    write("sandbox-ada");
    await_state(&laptop, "up");

    // Another shell's variables are no business of a process in the background: the next command brings them.
    write("ASIAEXPIRED0");
    laptop.fault("clear");
    // The second address stays, and what was connected from it.
    laptop.shell(&format!("kill -KILL {}", master(&laptop))).expect_code(0);
    poll("it says what it needs once more", || (state(&laptop)["remedy"] == "credentials").then_some(()));
    laptop.devdb("tunnel up").expect_code(0).says(&["let 198.51.100.10/32 reach"]);
    await_state(&laptop, "up");
    finish(&laptop);
}

#[test]
fn an_instance_that_was_stopped_is_started_and_followed_to_its_new_address() {
    let laptop = up();
    let before = state(&laptop)["bastion"].clone();
    let id = before["instance_id"].as_str().unwrap();
    let pulse = Pulse::start(&laptop);
    api(&laptop, &format!("ec2.stop_instances(InstanceIds=[\"{id}\"])"));
    let report = poll("it is up at another address", || {
        let report = state(&laptop);
        (report["state"] == "up" && report["bastion"]["address"] != before["address"]).then_some(report)
    });
    assert_eq!(report["bastion"]["instance_id"], before["instance_id"]);
    let end = now();
    held_and_served(pulse, end);
    finish(&laptop);
}

#[test]
fn a_bastion_that_was_terminated_is_said_to_be_gone() {
    let laptop = up();
    let id = state(&laptop)["bastion"]["instance_id"].as_str().unwrap().to_owned();
    api(&laptop, &format!("ec2.terminate_instances(InstanceIds=[\"{id}\"])"));
    let report = await_state(&laptop, "failed");
    assert_eq!(report["remedy"], "bastion");
    let closed = laptop
        .shell("exec python3 -c 'import socket; print(socket.create_connection((\"127.0.0.1\", 5432), 5).recv(1))'");
    assert_eq!(closed.expect_code(0).stdout, "b''\n", "the port is kept, and closes at once");
    laptop.devdb("up").expect_code(0);
    finish(&laptop);
}

#[test]
fn a_database_rule_that_somebody_removed_is_made_again() {
    let laptop = up();
    let rule = laptop.devdb("bastion status --json").expect_code(0).json();
    let rule = rule["database_rule_id"].as_str().unwrap().to_owned();
    let program = format!(
        "rule = ec2.describe_security_group_rules(SecurityGroupRuleIds=[\"{rule}\"])[\"SecurityGroupRules\"][0]\n\
         ec2.revoke_security_group_ingress(GroupId=rule[\"GroupId\"], SecurityGroupRuleIds=[\"{rule}\"])"
    );
    api(&laptop, &program);
    // Nobody asks an idle database; whoever connects makes the doubt.
    let pulse = Pulse::start(&laptop);
    poll("the rule is back", || {
        let now = laptop.devdb("bastion status --json").json();
        now["database_rule_id"].as_str().filter(|now| *now != rule).map(|_| ())
    });
    await_state(&laptop, "up");
    pulse.stop_when_served_after(now());
    await_log(&laptop, "mended: let ");
    finish(&laptop);
}

#[test]
fn a_database_that_restarts_needs_no_new_ssh() {
    let laptop = up();
    let ssh = master(&laptop);
    laptop.fault("database-down");
    await_state(&laptop, "suspect");
    laptop.fault("clear");
    await_state(&laptop, "up");
    assert_eq!(master(&laptop), ssh);
    finish(&laptop);
}

#[test]
fn the_runbooks_own_tunnel_is_proven_dead_by_what_nobody_acknowledges() {
    let laptop = up();
    laptop.devdb("tunnel down").expect_code(0);
    let line = r#"
        state=$HOME/.local/state/devdb/shop/dev/ada
        ssh -F "$state/bastion_ssh_config" -o ServerAliveInterval=0 -fNL 5432:"$(devdb env --only PGHOST --json | sed -n 's/.*"PGHOST": "\(.*\)".*/\1/p')":5432 "$(sed -n 's/^Host \(i-[^ ]*\).*/\1/p' "$state/bastion_ssh_config")""#;
    laptop.shell(line).expect_code(0);
    let healthy = laptop.devdb("tunnel kill-stale --json --yes").expect_code(0).json();
    assert_eq!(healthy["processes"][0]["verdict"], "healthy", "{healthy:#}");
    laptop.fault("cut");
    let refused = laptop.devdb("tunnel kill-stale").expect_code(4);
    assert!(refused.stdout.contains("its connection is dead"), "{}", refused.stdout);
    let ended = laptop.devdb("tunnel kill-stale --json --yes").expect_code(0).json();
    assert_eq!((&ended["processes"][0]["verdict"], &ended["processes"][0]["ended"]), (&"stale".into(), &true.into()));
    laptop.fault("clear");
    laptop.devdb("tunnel up").expect_code(0);
    finish(&laptop);
}
