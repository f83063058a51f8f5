//! `devdb bastion …` as a developer sees it.

use devdb::system::CloudError;
use devdb::testing::{Answer, FakeCloud, Stage};
use std::sync::Arc;

const COMMITTED: &str = "project = \"shop\"\n[environment.dev]\nprofile = \"shop-dev\"\nstack = \"AppDbStack\"\n";

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    (Stage::new().file("devdb.toml", COMMITTED).cloud(&cloud), cloud)
}

#[test]
fn up_and_up_again_and_status_and_down() {
    let (stage, _cloud) = stage();
    insta::assert_snapshot!("dry_run", stage.run(["devdb", "bastion", "up", "--dry-run"]));
    insta::assert_snapshot!("up", stage.run(["devdb", "bastion", "up"]));
    insta::assert_snapshot!("up_again", stage.run(["devdb", "bastion", "up"]));
    insta::assert_snapshot!("status", stage.run(["devdb", "bastion", "status"]));
    insta::assert_snapshot!("status_json", stage.run(["devdb", "--json", "bastion", "status"]));
    insta::assert_snapshot!("down_dry_run", stage.run(["devdb", "bastion", "down", "--dry-run"]));
    insta::assert_snapshot!("down", stage.run(["devdb", "bastion", "down"]));
    insta::assert_snapshot!("down_again", stage.run(["devdb", "bastion", "down"]));
    insta::assert_snapshot!("status_absent", stage.run(["devdb", "bastion", "status"]));
}

#[tokio::test(start_paused = true)]
async fn of_two_ups_at_once_the_second_waits_and_finds_everything_there() {
    let (stage, cloud) = stage();
    cloud.take_time(2);
    let up = ["devdb", "bastion", "up"];
    let (first, second) = tokio::join!(stage.play(&up), stage.play(&up));
    assert_eq!((first.code, second.code), (0, 0), "{first}\n{second}");
    let (first, second) = if second.stdout.contains("up already") { (first, second) } else { (second, first) };
    assert!(!first.stdout.contains("up already"), "{first}");
    assert!(second.stdout.contains("up already"), "{second}");
    assert!(second.stderr.contains("waiting for another devdb (process "), "{second}");
    let launches = cloud.calls().iter().filter(|call| **call == "ec2:RunInstances").count();
    assert_eq!((launches, cloud.alive().len()), (1, 7), "{:?}", cloud.alive());
}

#[tokio::test(start_paused = true)]
async fn a_down_beside_an_up_leaves_all_or_nothing() {
    let (stage, cloud) = stage();
    cloud.take_time(2);
    let (up, down) = tokio::join!(stage.play(&["devdb", "bastion", "up"]), stage.play(&["devdb", "bastion", "down"]));
    assert_eq!((up.code, down.code), (0, 0), "{up}\n{down}");
    assert!([0, 7].contains(&cloud.alive().len()), "{:?}", cloud.alive());
}

#[test]
fn up_tells_every_step_in_json() {
    let (stage, _cloud) = stage();
    insta::assert_snapshot!(stage.run(["devdb", "--json", "bastion", "up", "--ip", "203.0.113.7"]));
}

#[test]
fn without_credentials_the_login_command_is_named() {
    let stage = Stage::new().file("devdb.toml", COMMITTED);
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up"]));
}

#[test]
fn expired_credentials_name_the_login_command() {
    let (stage, cloud) = stage();
    let expired = || CloudError::ExpiredCredentials {
        profile: Some("shop-dev".to_owned()),
        source: Some("the SSO session has expired".into()),
    };
    cloud.fail_action("sts:GetCallerIdentity", false, Arc::new(expired));
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "down"]));
}

#[test]
fn a_wrong_key_or_secret_is_called_that() {
    let (stage, cloud) = stage();
    for (name, profile) in [("profile", Some("shop-dev")), ("variables", None)] {
        let message = "The security token included in the request is invalid.";
        let invalid =
            move || CloudError::InvalidCredentials { profile: profile.map(str::to_owned), message: message.to_owned() };
        cloud.fail_action("sts:GetCallerIdentity", false, Arc::new(invalid));
        insta::assert_snapshot!(format!("invalid_credentials_{name}"), stage.run(["devdb", "bastion", "down"]));
    }
}

#[test]
fn a_missing_permission_is_named() {
    let (stage, cloud) = stage();
    let denied = || CloudError::Denied { action: "ec2:RunInstances".to_owned(), source: None };
    cloud.fail_action("ec2:RunInstances", false, Arc::new(denied));
    insta::assert_snapshot!(stage.run(["devdb", "-q", "bastion", "up"]));
}

#[test]
fn a_stack_that_is_not_there_is_looked_for_in_another_region() {
    let (stage, _cloud) = stage();
    let stage = stage.var("DEVDB_STACK", "Nope");
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up"]));
}

#[test]
fn another_principal_stays_and_is_told() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    cloud.log_in("AROAEXAMPLE:adam@example.com");
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "down"]));
}

#[test]
fn in_another_region_or_account_the_keys_of_a_live_bastion_are_kept() {
    let (mut stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let alive = cloud.alive();
    let key = stage.home().join(".local/state/devdb/shop/dev/ada/bastion_key");
    let before = std::fs::read(&key).unwrap();
    for (account, region) in [("123456789012", "eu-west-2"), ("210987654321", "eu-west-1")] {
        let other = Arc::new(FakeCloud::elsewhere(account, region));
        stage = stage.cloud(&other);
        for verb in ["up", "down"] {
            let outcome = stage.run(["devdb", "-q", "bastion", verb]);
            insta::assert_snapshot!(format!("elsewhere_{verb}_{account}_{region}"), outcome);
        }
        assert_eq!(std::fs::read(&key).unwrap(), before);
        assert!(other.alive().is_empty());
    }
    stage = stage.cloud(&cloud);
    assert_eq!(cloud.alive(), alive);
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    assert!(cloud.alive().is_empty() && !key.exists());
}

#[test]
fn the_cached_way_in_follows_what_status_sees() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let cache = stage.home().join(".local/state/devdb/shop/dev/ada/bastion.json");
    let cached = || std::fs::read_to_string(&cache).unwrap();
    let before = cached();
    let stage = stage.cloud(&Arc::new(FakeCloud::elsewhere("123456789012", "eu-west-2")));
    assert_eq!(stage.run(["devdb", "bastion", "status"]).code, 3);
    assert_eq!(cached(), before, "another region knows nothing of it");
    let stage = stage.cloud(&cloud);
    assert_eq!(stage.run(["devdb", "bastion", "status"]).code, 0);
    assert_eq!(cached(), before);
    cloud.set_public_ip([203, 0, 113, 99].into());
    assert_eq!(stage.run(["devdb", "bastion", "status"]).code, 0);
    assert_eq!(cached(), before.replace("\"203.0.113.1\"", "\"203.0.113.99\""));
    cloud.set_state(devdb::bastion::InstanceState::Stopped);
    assert_eq!(stage.run(["devdb", "bastion", "status"]).code, 3);
    assert!(!cache.exists(), "there is no way in");
    cloud.set_state(devdb::bastion::InstanceState::Running);
    // Replaced by another computer: its key is not here.
    std::fs::write(&cache, before).unwrap();
    let other = Stage::new().file("devdb.toml", COMMITTED).cloud(&cloud);
    (0..9).for_each(|_| drop(devdb::bastion::KeyMaker::make(&*other.tools.keys, "other dice")));
    assert_eq!(other.run(["devdb", "--yes", "bastion", "up"]).code, 0);
    assert_eq!(stage.run(["devdb", "bastion", "status"]).code, 0);
    assert!(!cache.exists(), "the key is not here");
}

#[test]
fn a_colleague_with_the_same_role_is_not_taken_down_without_asking() {
    let (stage, cloud) = stage();
    // Tools that make up a session name leave nothing but the role.
    cloud.log_in("AROAEXAMPLE:botocore-session-1767323045");
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let alive = cloud.alive();
    let colleague = Stage::new().file("devdb.toml", COMMITTED).cloud(&cloud);
    colleague.clock.advance(std::time::Duration::from_secs(3 * 3600 + 20 * 60));
    insta::assert_snapshot!("colleague_down", colleague.run(["devdb", "bastion", "down"]));
    insta::assert_snapshot!("colleague_down_dry_run", colleague.run(["devdb", "bastion", "down", "--dry-run"]));
    insta::assert_snapshot!("colleague_up", colleague.run(["devdb", "-q", "bastion", "up"]));
    let colleague = colleague.terminal();
    colleague.prompter.script([Answer::Confirm(false)]);
    assert_eq!(colleague.run(["devdb", "bastion", "down"]).code, 130);
    assert_eq!(cloud.alive(), alive);
    // The key proves whose it is; nobody is asked then.
    cloud.log_in("AROAEXAMPLE:botocore-session-1767409445");
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    assert!(cloud.alive().is_empty());
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    assert_eq!(colleague.run(["devdb", "--yes", "bastion", "down"]).code, 0);
    assert!(cloud.alive().is_empty());
}

#[test]
fn a_silent_echo_service_is_replaced_by_a_flag() {
    let (stage, _cloud) = stage();
    stage.tools.echo.set(None);
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up"]));
}

#[test]
fn an_open_door_is_refused() {
    let (stage, _cloud) = stage();
    let stage = stage.var("DEVDB_BASTION_ALLOW_CIDRS", "0.0.0.0/0");
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up"]));
}

#[test]
fn a_door_as_wide_as_the_internet_is_refused_in_pieces_too() {
    let eighths: Vec<String> = (1..224).filter(|first| *first != 10).map(|first| format!("{first}.0.0.0/8")).collect();
    let sixteenths: Vec<String> = (0..5).map(|second| format!("52.{second}.0.0/16")).collect();
    for (name, ranges) in [
        ("halves", "0.0.0.0/1,128.0.0.0/1".to_owned()),
        ("eighths", eighths.join(",")),
        ("sixteenths", sixteenths.join(",")),
        ("ipv6", "::/0".to_owned()),
    ] {
        let (stage, cloud) = stage();
        let stage = stage.var("DEVDB_BASTION_ALLOW_CIDRS", &ranges);
        insta::assert_snapshot!(format!("wide_{name}"), stage.run(["devdb", "bastion", "up"]));
        let added = stage.run(["devdb", "bastion", "allow-ip"]);
        assert!(added.code == 1 && added.stderr.contains("let in"), "{name}: {}", added.stderr);
        assert_eq!(cloud.alive(), Vec::<String>::new(), "{name}");
    }
    let by_hand = sixteenths.iter().flat_map(|range| ["--ip", range.as_str()]);
    let words: Vec<&str> = ["devdb", "bastion", "up"].into_iter().chain(by_hand).collect();
    let (stage, cloud) = stage();
    let refused = stage.run_all(&words);
    assert!(refused.code == 1 && refused.stderr.contains("let in together"), "{}", refused.stderr);
    assert_eq!(cloud.alive(), Vec::<String>::new());
}

#[test]
fn replacing_asks_and_no_means_no() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let alive = cloud.alive();
    let stage = stage.var("DEVDB_BASTION_SSH_PORT", "443");
    insta::assert_snapshot!(stage.run(["devdb", "-q", "bastion", "up"]));
    let stage = stage.terminal();
    stage.prompter.script([Answer::Confirm(false)]);
    assert_eq!(stage.run(["devdb", "-q", "bastion", "up"]).code, 130);
    assert_eq!(cloud.alive(), alive);
    assert_eq!(stage.run(["devdb", "-q", "--yes", "bastion", "up"]).code, 0);
    assert_ne!(cloud.alive(), alive);
}

#[test]
fn two_clusters_are_asked_about_or_listed() {
    let (stage, cloud) = stage();
    let resource = |logical: &str, physical: &str| devdb::discovery::StackResource {
        logical_id: logical.to_owned(),
        physical_id: physical.to_owned(),
        kind: "AWS::RDS::DBCluster".to_owned(),
    };
    cloud.set_stack("AppDbStack", vec![resource("A", "appdb"), resource("B", "blogdb")]);
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up", "--dry-run"]));
    let stage = stage.var("NO_COLOR", "1").terminal();
    stage.prompter.script([Answer::Select(0)]);
    insta::assert_snapshot!("a_question_answered", stage.run(["devdb", "bastion", "up", "--dry-run"]));
    assert_eq!(stage.prompter.questions(), ["which cluster?"]);
    // Nobody is asked the same thing twice, and a script may rely on the answer.
    insta::assert_snapshot!("an_answer_remembered", stage.run(["devdb", "--no-input", "bastion", "up", "--dry-run"]));
    assert_eq!(stage.prompter.questions().len(), 1);
    // Other settings, or a cluster that is gone: the old answer is worth nothing.
    let gone = || CloudError::NotFound { what: "cluster `appdb`".to_owned(), source: None };
    cloud.fail_action("rds:DescribeDBClusters", false, Arc::new(gone));
    let outcome = stage.run(["devdb", "--no-input", "bastion", "up", "--dry-run"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("more than one cluster: appdb, blogdb"), "{outcome}");
}

#[test]
fn a_type_that_was_not_wanted_is_announced_and_said_again() {
    let (stage, cloud) = stage();
    cloud.offer(&[("eu-west-1b", "t3.micro"), ("eu-west-1b", "t4g.micro")]);
    let planned = stage.run(["devdb", "bastion", "up", "--dry-run"]);
    let words = "launch a t3.micro in subnet subnet-ingress-2 (eu-west-1b, which does not offer t2.micro)";
    assert!(planned.stdout.contains(words), "{planned}");
    let done = stage.run(["devdb", "bastion", "up"]);
    assert!(done.stderr.contains("(t3.micro) in subnet-ingress-2: eu-west-1b does not offer t2.micro"), "{done}");
}

#[test]
fn what_needs_no_other_answer_is_asked_at_once() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let calls = cloud.calls();
    let at = |action: &str| calls.iter().position(|call| *call == action).unwrap();
    for look in [
        "sts:GetCallerIdentity",
        "ec2:DescribeInstances",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSecurityGroupRules",
        "ec2:DescribeKeyPairs",
    ] {
        assert!(at(look) < at("rds:DescribeDBClusters"), "{look} waits for the stack: {calls:?}");
    }
    assert_eq!(calls.len(), 19, "and one look at the instance, where starting takes its time: {calls:?}");
}

#[test]
fn an_environment_that_is_reached_directly_needs_no_bastion() {
    let (stage, cloud) = stage();
    let stage = stage.var("DEVDB_TRANSPORT", "direct");
    insta::assert_snapshot!(stage.run(["devdb", "bastion", "up"]), @r#"
    ------- stderr -------
    error: environment `dev` is reached directly and needs no bastion

    hint: `transport = "ssh"` in devdb.toml would go through a bastion
    ------- exit 1
    "#);
    assert_eq!(cloud.calls().len(), 0);
}
