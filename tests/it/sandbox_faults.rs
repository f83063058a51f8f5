//! More of the tunnel's faults: flows that are forgotten, a writer that moves, a laptop that sleeps, verbs that meet.

use crate::support::laptop::Laptop;
use crate::support::pulse::{
    Pulse, QUERY, api, await_state, finish, held_and_served, master, masters, now, pass, poll, state, up,
};
use std::process::Child;

/// A driver that waits for the answer to a query of ten minutes; how it ends is in `$HOME/NAME`.
///
/// It is two seconds old then: a connection that was opened in the last second before a moved writer is seen may lead to
/// the new one already, and is left alone.
fn start_query(laptop: &Laptop, name: &str) -> Child {
    // The server may not know yet that an earlier run's client is gone.
    let session =
        format!("{name}-{:08x}", std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), name) as u32);
    let line = format!(
        r#"eval "$(devdb env)" && PGAPPNAME={session} psql -Atc 'select pg_sleep(600)' >"$HOME/{name}" 2>&1; echo "ended" >>"$HOME/{name}""#
    );
    let child = laptop.start_shell(&line);
    let running = format!(
        r#"eval "$(devdb env)" && psql -Atc "select count(*) from pg_stat_activity where application_name = '{session}' and wait_event = 'PgSleep' and clock_timestamp() - backend_start > '2 s'""#
    );
    poll("the query runs", || (laptop.shell(&running).stdout == "1\n").then_some(()));
    child
}

fn await_end(laptop: &Laptop, name: &str, mut child: Child) {
    poll("the query has ended", || {
        std::fs::read_to_string(laptop.home().join(name)).ok().filter(|said| said.contains("ended"))
    });
    child.wait().unwrap();
}

/// Which instance a new connection reaches, and whether that one is read-only.
fn reached(laptop: &Laptop) -> String {
    let query = r#"eval "$(devdb env)" && psql -Atc 'select inet_server_addr(), pg_is_in_recovery()'"#;
    laptop.shell(query).stdout
}

#[test]
fn a_connection_that_a_router_forgot_is_replaced() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let old = master(&laptop);
    laptop.fault("forget");
    poll("another ssh", || (master(&laptop) != old).then_some(()));
    await_state(&laptop, "up");
    held_and_served(pulse, now());
    finish(&laptop);
}

#[test]
fn a_writer_that_moved_is_followed_and_nobody_hangs_on_the_old_one() {
    for how in ["failover", "failover --silent"] {
        let laptop = up();
        assert_eq!(reached(&laptop), "10.0.4.10|f\n");
        let ssh = master(&laptop);
        let query = start_query(&laptop, "hanging");
        let pulse = Pulse::start(&laptop);
        laptop.fault(how);
        laptop.python("failover.py", &["shop-cluster", "shop-reader"]).expect_code(0);
        // A silent one is noticed when somebody has to wait, or asks for the state; never by a timer.
        poll("the move is told", || {
            let _ = state(&laptop);
            let log = laptop.devdb("tunnel logs").expect_code(0).stdout;
            log.contains("the writer is shop-reader.abc123xyz.eu-west-1.rds.amazonaws.com now").then_some(())
        });
        await_end(&laptop, "hanging", query);
        poll("the new writer is reached", || (reached(&laptop) == "10.0.5.10|f\n").then_some(()));
        await_state(&laptop, "up");
        held_and_served(pulse, now());
        assert_eq!(master(&laptop), ssh, "{how}: a failover needs no other ssh");
        laptop.python("failover.py", &["shop-cluster", "shop-writer"]).expect_code(0);
        laptop.fault("clear");
        poll("the old roles", || (reached(&laptop) == "10.0.4.10|f\n").then_some(()));
        finish(&laptop);
    }
}

#[test]
fn a_laptop_that_slept_serves_again_soon_whether_its_connection_was_kept_or_forgotten() {
    let laptop = up();
    for forgotten in [false, true] {
        let (supervisor, ssh) = (state(&laptop)["pid"].as_u64().unwrap(), masters(&laptop));
        let pulse = Pulse::start(&laptop);
        laptop.shell(&format!("kill -STOP {supervisor} {ssh}")).expect_code(0);
        if forgotten {
            laptop.fault("forget");
        }
        pass(12.0);
        laptop.shell(&format!("kill -CONT {supervisor} {ssh}")).expect_code(0);
        let woken = now();
        await_state(&laptop, "up");
        held_and_served(pulse, woken);
        let log = laptop.devdb("tunnel logs").expect_code(0).stdout;
        assert!(log.contains("the machine stood still for 1"), "{log}");
        assert_eq!(state(&laptop)["pid"], supervisor);
    }
    finish(&laptop);
}

#[test]
fn restart_during_a_reconnect_and_up_during_down_end_well() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    laptop.fault("kill-sshd --listener");
    await_state(&laptop, "reconnecting");
    let restart = laptop.start_shell("exec devdb tunnel restart");
    poll("it is told", || {
        let report = state(&laptop);
        (report["restarts"].as_array()?.last()?["cause"] == "restart was asked for").then_some(())
    });
    laptop.fault("clear");
    let end = now();
    let restarted = restart.wait_with_output().unwrap();
    assert!(restarted.status.success(), "{}", String::from_utf8_lossy(&restarted.stderr));
    await_state(&laptop, "up");
    held_and_served(pulse, end);

    let query = start_query(&laptop, "draining");
    let supervisor = state(&laptop)["pid"].as_u64().unwrap();
    let down = laptop.start_shell("exec devdb tunnel down");
    poll("it goes down", || laptop.shell("! ss -Hltn 'sport = :5432' | grep -q .").code.eq(&0).then_some(()));
    let answer = laptop.devdb("tunnel up").expect_code(0);
    answer.says(&["tunnel started"]);
    assert!(down.wait_with_output().unwrap().status.success());
    let report = await_state(&laptop, "up");
    assert_ne!(report["pid"], supervisor);
    await_end(&laptop, "draining", query);
    assert_eq!(laptop.shell("pgrep -fc 'tunnel supervise --spec '$HOME").stdout, "1\n");
    finish(&laptop);
}

#[test]
fn a_supervisor_of_another_release_is_replaced_by_the_next_up() {
    let laptop = Laptop::new();
    // The very same program but for its release's number.
    let version = env!("CARGO_PKG_VERSION");
    let line = format!(
        r#"python3 - "$(command -v devdb)" "$HOME/devdb" <<'PYTHON'
import os, sys
version, old = b"{version}", b"{version}".translate(bytes.maketrans(b"0123456789", b"9012345678"))
text = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb") as file:
    file.write(text.replace(version, old))
os.chmod(sys.argv[2], 0o755)
PYTHON
"$HOME/devdb" up"#
    );
    laptop.shell(&line).expect_code(0);
    let before = state(&laptop);
    assert_eq!(before["state"], "up", "{before:#}");
    assert_ne!(before["version"], version);
    let ssh = before["bastion"]["ssh_pid"].as_u64().unwrap();
    let pulse = Pulse::start(&laptop);
    laptop.devdb("tunnel up").expect_code(0).says(&["tunnel supervisor replaced"]);
    let beats = pulse.stop_when_served_after(now());
    let outcomes: Vec<_> = beats.iter().map(|beat| beat.outcome.as_str()).collect();
    assert!(outcomes.iter().all(|outcome| *outcome == "served"), "{outcomes:?}");
    let after = await_state(&laptop, "up");
    assert_eq!(after["version"], version);
    assert_ne!(after["pid"], before["pid"]);
    for pid in [before["pid"].as_u64().unwrap(), ssh] {
        // Whoever is its parent by now may take a moment to notice.
        poll("it is gone", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    }
    finish(&laptop);
}

#[test]
fn any_command_with_fresh_credentials_mends_a_tunnel_that_waits_for_them() {
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
    let pulse = Pulse::start(&laptop);
    laptop.fault("change-address");
    poll("it says what it needs", || (state(&laptop)["remedy"] == "credentials").then_some(()));
    let refused = laptop.devdb_with(&variables, "env");
    assert_ne!(refused.code, 0, "these credentials are of no use to anybody");

    let environment = laptop.devdb("env").expect_code(0);
    environment.says(&["let 198.51.100.11/32 reach"]);
    assert!(environment.stdout.contains("PGPASSWORD="));
    await_state(&laptop, "up");
    held_and_served(pulse, now());
    finish(&laptop);
}

#[test]
fn a_direct_route_needs_no_bastion_and_its_loss_and_return_are_seen() {
    let first = Laptop::new();
    let laptop = first.beside(&[("DEVDB_TRANSPORT", "direct")]);
    let group = api(
        &laptop,
        "rds = boto3.client(\"rds\")\n\
         cluster = rds.describe_db_clusters(DBClusterIdentifier=\"shop-cluster\")[\"DBClusters\"][0]\n\
         print(cluster[\"VpcSecurityGroups\"][0][\"VpcSecurityGroupId\"])",
    );
    let rule = |verb: &str| {
        let group = group.trim();
        api(
            &laptop,
            &format!(
                "ec2.{verb}_security_group_ingress(GroupId=\"{group}\", IpPermissions=[{{\"IpProtocol\": \"tcp\", \
                 \"FromPort\": 5432, \"ToPort\": 5432, \"IpRanges\": [{{\"CidrIp\": \"10.0.0.1/32\"}}]}}])"
            ),
        );
    };
    rule("authorize");
    laptop.devdb("tunnel up").expect_code(1).says(&["the database did not answer", "connect the VPN"]);
    laptop.fault("vpn");
    let waited = laptop.devdb("tunnel wait --timeout 30s --json").expect_code(0).json();
    assert_eq!(waited["state"], "up");
    laptop.devdb("up").expect_code(0).says(&["the route is direct"]);
    let report = state(&laptop);
    assert_eq!((&report["bastion"], &report["pid"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    let environment = laptop.devdb("env --json").expect_code(0).json();
    assert_eq!(environment["PGHOST"], "shop-cluster.cluster-abc123xyz.eu-west-1.rds.amazonaws.com");
    assert_eq!(environment["PGPORT"], "5432");
    assert!(environment.get("PGHOSTADDR").is_none(), "the name leads there by itself");
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "1\n");
    assert_eq!(laptop.shell("pgrep -fc 'supervise --spec '$HOME").stdout, "0\n");

    laptop.fault("vpn off");
    let lost = laptop.devdb("tunnel status --json").expect_code(3).json();
    assert_eq!((&lost["state"], &lost["targets"][0]["state"]), (&"suspect".into(), &"down".into()));
    let waiting = laptop.start_shell("exec devdb tunnel wait --timeout 2min");
    laptop.fault("vpn");
    let waited = waiting.wait_with_output().unwrap();
    assert!(waited.status.success());
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "1\n");
    laptop.fault("vpn off");
    rule("revoke");
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}
