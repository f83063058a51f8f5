//! What AWS refuses, on the sandbox: the real SDK reads the real protocols' errors, and devdb says what to do.

use crate::support::api::Api;
use crate::support::laptop::Laptop;
use crate::support::trial::Trial;
use std::collections::BTreeSet;
use std::process::Output;

/// Runs a test of this file again on the laptop; true when that was done.
fn was_repeated_on_the_laptop(test: &str) -> bool {
    if !Api::is_out_of_reach() {
        return false;
    }
    let laptop = Laptop::new();
    laptop.repeats(&format!("sandbox_refusals::{test}"));
    laptop.leftovers().expect_code(0);
    true
}

#[track_caller]
fn says(output: &Output, story: &str, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{story}: {said}");
    for part in parts {
        assert!(said.contains(part), "{story}: does not say `{part}`:\n{said}");
    }
}

/// The refusal of a missing permission in the words of each service.
fn denial(service: &str, action: &str) -> (&'static str, String) {
    let who = format!(
        "User: arn:aws:sts::123456789012:assumed-role/Developer/ada is not authorized to perform: {service}:{action} on \
         resource: * because no identity-based policy allows the {service}:{action} action"
    );
    match service {
        "ec2" => (
            "UnauthorizedOperation",
            format!(
                "You are not authorized to perform this operation. {who}. Encoded authorization failure message: 4GIOHl"
            ),
        ),
        "secretsmanager" => ("AccessDeniedException", who),
        _ => ("AccessDenied", who),
    }
}

/// Every kind of call that a run makes, in the order of its first time.
fn actions(trial: &Trial) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let word = |call: &serde_json::Value, name: &str| call[name].as_str().unwrap().to_owned();
    let calls = trial.calls();
    let all = calls.iter().map(|call| (word(call, "service"), word(call, "action")));
    all.filter(|action| seen.insert(action.clone())).collect()
}

/// A run goes on where the refused one stopped, so that every action is met where it matters.
#[test]
fn every_permission_that_is_missing_is_named() {
    if was_repeated_on_the_laptop("every_permission_that_is_missing_is_named") {
        return;
    }
    let calm = Trial::new("calm");
    let trial = Trial::new("denied");
    for verb in ["up", "down"] {
        calm.succeeds(verb);
        let actions = actions(&calm);
        assert!(actions.len() >= 8, "{verb}: {actions:?}");
        for (number, (service, action)) in actions.iter().enumerate() {
            let (code, message) = denial(service, action);
            // Some refusals name the action, some leave it to the reader to know what was asked.
            let message =
                if number % 2 == 0 { message } else { "You are not authorized to perform this operation.".to_owned() };
            let fault = format!(
                r#""service":"{service}","action":"{action}","code":"{code}","message":"{message}","status":403"#
            );
            let mut output = trial.run_with(&fault, &format!("bastion {verb}"));
            if output.status.success() {
                // It was done beside the call that was refused before: from the beginning, then.
                trial.succeeds(if verb == "up" { "down" } else { "up" });
                output = trial.run_with(&fault, &format!("bastion {verb}"));
            }
            let wanted = format!("`{service}:{action}`");
            let story = format!("{verb} without {wanted}");
            says(
                &output,
                &story,
                &["error: AWS does not allow", &wanted, "hint: ask whoever keeps your AWS permissions"],
            );
            assert!(
                !String::from_utf8_lossy(&output.stderr).contains("4GIOHl"),
                "{story}: the encoded message is for machines"
            );
        }
        trial.succeeds(verb);
    }
    // A call may need more than the action it is named after.
    let (code, message) = denial("ec2", "CreateTags");
    let fault = format!(r#""action":"ImportKeyPair","code":"{code}","message":"{message}","status":403"#);
    says(&trial.run_with(&fault, "bastion up"), "tags", &["AWS does not allow `ec2:CreateTags`"]);
    trial.succeeds("down");
    trial.has_nothing("after the denials");
}

#[test]
fn refusals_of_the_real_protocols_come_with_a_way_out() {
    if was_repeated_on_the_laptop("refusals_of_the_real_protocols_come_with_a_way_out") {
        return;
    }
    let trial = Trial::new("refused");
    for (action, code, status, parts) in [
        // The first one: the group is made by the run after that.
        ("CreateSecurityGroup", "SecurityGroupLimitExceeded", 400, ["SecurityGroupLimitExceeded", "Service Quotas"]),
        ("RunInstances", "VcpuLimitExceeded", 400, ["VcpuLimitExceeded", "hint: the account runs as many instances"]),
        ("RunInstances", "InstanceLimitExceeded", 400, ["InstanceLimitExceeded", "Service Quotas"]),
        ("RunInstances", "InvalidAMIID.NotFound", 400, ["InvalidAMIID.NotFound", "hint: set `ami`"]),
        ("RunInstances", "OptInRequired", 401, ["OptInRequired", "hint: the account is not signed up"]),
        ("RunInstances", "PendingVerification", 400, ["PendingVerification", "hint: AWS checks accounts"]),
        ("RunInstances", "UnsupportedOperation", 400, ["UnsupportedOperation", "hint: see `instance_type`"]),
        ("DescribeInstances", "RequestLimitExceeded", 503, ["AWS asks to slow down", "hint: wait a minute"]),
    ] {
        let fault = format!(r#""action":"{action}","code":"{code}","message":"of AWS","status":{status},"count":4"#);
        says(&trial.run_with(&fault, "bastion up"), code, &parts);
    }
    // Without the first one, which opens ssh: the group is the writer's.
    trial.succeeds("down");
    let full =
        r#""action":"AuthorizeSecurityGroupIngress","skip":1,"code":"RulesPerSecurityGroupLimitExceeded","status":400"#;
    let parts = ["the writer's security group sg-", "takes no more rules", "hint:"];
    says(&trial.run_with(full, "bastion up"), "a full group", &parts);
    trial.succeeds("up");
    trial.has_one_of_everything("after the refusals");
    trial.succeeds("down");
}

#[test]
fn a_zone_without_room_and_an_api_that_lags_behind_are_got_over() {
    if was_repeated_on_the_laptop("a_zone_without_room_and_an_api_that_lags_behind_are_got_over") {
        return;
    }
    let trial = Trial::new("lagging");
    // As often as the SDK asks: it takes a lack of capacity for a passing trouble of the server.
    let room = r#""action":"RunInstances","code":"InsufficientInstanceCapacity","status":500,"count":4"#;
    let output = trial.run_with(room, "bastion up");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("AWS launches no t2.micro in subnet-"), "{said}");
    trial.has_one_of_everything("a zone without room");
    let lag = r#""action":"DeleteSecurityGroup","code":"DependencyViolation","status":400,"count":2"#;
    trial.survives(lag, "down");
    trial.has_nothing("a group that is held for a while");
    for (action, code) in [
        ("RevokeSecurityGroupEgress", "InvalidGroup.NotFound"),
        ("AuthorizeSecurityGroupEgress", "InvalidGroup.NotFound"),
        ("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"),
        ("RunInstances", "InvalidKeyPair.NotFound"),
    ] {
        trial.survives(&format!(r#""action":"{action}","code":"{code}","status":400,"count":2"#), "up");
        trial.has_one_of_everything(&format!("{action} meets {code}"));
        trial.succeeds("down");
    }
    trial.has_nothing("an API that lags behind");
}
