//! The tunnel's faults, one test each: the link, ssh, the bastion, its rules, the database. A loop of psql runs through
//! the port all the time, and is never refused.

use crate::support::laptop::Laptop;
use crate::support::pulse::{
    Pulse, QUERY, all_served_from, api, await_log, await_state, finish, first_answer, held_and_served, master, masters,
    now, pass, poll, state, up,
};

#[test]
fn a_killed_or_stopped_ssh_is_replaced_while_connections_wait() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    for signal in ["KILL", "STOP"] {
        let old = master(&laptop);
        laptop.shell(&format!("kill -{signal} {}", masters(&laptop))).expect_code(0);
        poll("another ssh", || (master(&laptop) != old).then_some(()));
        await_state(&laptop, "up");
    }
    let end = now();
    held_and_served(pulse, end);
    finish(&laptop);
}

#[test]
fn far_away_an_ssh_in_reserve_carries_on_when_the_other_is_killed() {
    let laptop = Laptop::new();
    laptop.fault("delay 40");
    laptop.devdb("up").expect_code(0);
    let two_without = |killed: Option<u64>| {
        poll("one ssh and one in reserve", || {
            let report = state(&laptop);
            let pids = report["bastion"]["ssh_pids"].as_array()?.iter().filter_map(serde_json::Value::as_u64);
            let pids: Vec<u64> = pids.filter(|pid| Some(*pid) != killed).collect();
            (pids.len() == 2).then(|| pids[0])
        })
    };
    let first = two_without(None);
    laptop.shell(&format!("kill -KILL {first}")).expect_code(0);
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "1\n");
    let second = two_without(Some(first));
    let pulse = Pulse::start(&laptop);
    laptop.shell(&format!("kill -KILL {second}")).expect_code(0);
    let killed = now();
    all_served_from(killed, &held_and_served(pulse, killed));
    assert_eq!(state(&laptop)["restarts"], serde_json::json!([]));
    laptop.fault("clear");
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
    for cut in [5, 30, 120] {
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
    let pulse = Pulse::start(&laptop);
    write("ASIAEXPIRED0");
    laptop.fault("change-address");
    let report = poll("it says what it needs", || {
        let report = state(&laptop);
        report["cause"].as_str().is_some_and(|cause| cause.starts_with("needs-credentials")).then_some(report)
    });
    assert_eq!((&report["state"], &report["remedy"]), (&"reconnecting".into(), &"credentials".into()));
    write("sandbox-ada");
    await_state(&laptop, "up");
    held_and_served(pulse, now());

    // Another shell's variables are no business of a process in the background: the next command brings them.
    write("ASIAEXPIRED0");
    laptop.fault("clear");
    // The second address stays, and what was connected from it.
    laptop.shell(&format!("kill -KILL {}", masters(&laptop))).expect_code(0);
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
    let pulse = Pulse::start(&laptop);
    let id = state(&laptop)["bastion"]["instance_id"].as_str().unwrap().to_owned();
    api(&laptop, &format!("ec2.terminate_instances(InstanceIds=[\"{id}\"])"));
    let report = await_state(&laptop, "failed");
    assert_eq!(report["remedy"], "bastion");
    assert_eq!(first_answer(&laptop), "b''\n", "the port is kept, and closes at once");
    laptop.devdb("up").expect_code(0);
    held_and_served(pulse, now());
    finish(&laptop);
}

#[test]
fn a_database_rule_that_somebody_removed_is_made_again() {
    let laptop = up();
    let pulse = Pulse::start(&laptop);
    let rule = laptop.devdb("bastion status --json").expect_code(0).json();
    let rule = rule["database_rule_id"].as_str().unwrap().to_owned();
    let program = format!(
        "rule = ec2.describe_security_group_rules(SecurityGroupRuleIds=[\"{rule}\"])[\"SecurityGroupRules\"][0]\n\
         ec2.revoke_security_group_ingress(GroupId=rule[\"GroupId\"], SecurityGroupRuleIds=[\"{rule}\"])"
    );
    api(&laptop, &program);
    // Nobody asks an idle database; whoever connects makes the doubt.
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
    let pulse = Pulse::start(&laptop);
    let ssh = master(&laptop);
    laptop.fault("database-down");
    let down = now();
    await_state(&laptop, "suspect");
    pass(2.0);
    laptop.fault("clear");
    await_state(&laptop, "up");
    // A new server's first words would be that it is starting up.
    all_served_from(down, &held_and_served(pulse, now()));
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

#[test]
fn a_bastion_that_other_settings_would_replace_is_not_taken_for_gone() {
    let laptop = Laptop::new();
    laptop.devdb_with(&[("DEVDB_BASTION_INSTANCE_TYPE", "t3.micro")], "bastion up").expect_code(0);
    laptop.devdb("tunnel up").expect_code(0);
    let ssh = master(&laptop);
    laptop.fault("database-down");
    await_state(&laptop, "suspect");
    await_log(&laptop, "somebody has to decide: replace instance");
    assert_eq!(state(&laptop)["state"], "suspect");
    laptop.fault("clear");
    await_state(&laptop, "up");
    assert_eq!(master(&laptop), ssh);
    finish(&laptop);
}

#[test]
fn a_visit_to_aws_ends_with_the_tunnel() {
    let laptop = up();
    laptop.fault(r#"api {"action":"GetCallerIdentity","hold":true}"#);
    laptop.fault("database-down");
    await_state(&laptop, "suspect");
    let visits = || laptop.shell("pgrep -f 'json --no-input tunnel heal --spec'").stdout;
    poll("it asks AWS", || (!visits().is_empty()).then_some(()));
    laptop.devdb("tunnel down").expect_code(0);
    poll("nobody asks any more", || visits().is_empty().then_some(()));
    laptop.fault("clear");
    laptop.devdb("tunnel up").expect_code(0);
    finish(&laptop);
}

/// The supervisor mends the way with the settings of its own `up`; the branch that is checked out by then runs nothing.
#[test]
fn a_branch_that_is_checked_out_while_the_tunnel_is_up_runs_nothing() {
    const UNNAMED: &[(&str, &str)] = &[("DEVDB_TRUSTED_CONFIG", "")];
    let laptop = Laptop::new();
    laptop.devdb_with(UNNAMED, "up").expect_code(4);
    laptop.devdb_with(UNNAMED, "trust").expect_code(0);
    laptop.devdb_with(UNNAMED, "up").expect_code(0);
    let mark = laptop.home().join("pwned");
    let settings = laptop.shell("cat devdb.toml").expect_code(0).stdout;
    let hostile = format!("[environment.dev.ssh]\nproxy_command = \"touch {}; nc %h %p\"\n", mark.display());
    let write = |text: &str| {
        let line = format!("cat > devdb.toml <<'END'\n{}\nEND", text.trim_end());
        laptop.shell(&line).expect_code(0);
    };
    write(&format!("{settings}{hostile}"));
    laptop.fault("change-address");
    await_log(&laptop, "mended: let ");
    await_state(&laptop, "up");
    let refused = laptop.devdb_with(UNNAMED, "tunnel restart");
    refused.expect_code(4).says(&["has changed since it was trusted", "proxy_command"]);
    write(&settings);
    laptop.devdb_with(UNNAMED, "tunnel restart").expect_code(0);
    assert!(!mark.exists());
    finish(&laptop);
}
