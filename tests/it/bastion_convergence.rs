//! What `up` and `down` do with what they find.

use crate::bastion_rig::{COMPLETE, NOTHING, Rig, spec};
use devdb::bastion::{
    BastionError, Cidr, Cloud, DatabaseSource, Direction, Event, InstanceState, Rule, RuleSource, ShellError, Step,
};
use std::sync::Mutex;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn up_builds_the_runbooks_bastion() {
    let rig = Rig::new();
    rig.cloud.take_time(3);
    let (report, access) = rig.up().await.unwrap();
    assert_eq!(
        rig.cloud.alive(),
        [
            "group sg-0002",
            "instance i-0006",
            "key devdb-shop-dev-ada",
            "rule Egress 5432 10.0.4.0/24 in sg-0002",
            "rule Egress 5432 10.0.5.0/24 in sg-0002",
            "rule Ingress 22 198.51.100.7/32 in sg-0002",
            "rule Ingress 5432 10.0.1.10/32 in sg-database",
        ]
    );
    assert_eq!(report.subnet_id.as_deref(), Some("subnet-ingress-2"), "the writer's zone");
    assert_eq!(report.database_rule_id.as_deref(), Some("sgr-0007"));
    assert_eq!(report.expires_at.unwrap().to_string(), "2026-01-02T15:04:05Z");
    assert_eq!(access.instance_id, "i-0006");
    let known = std::fs::read_to_string(&access.known_hosts_file).unwrap();
    assert!(known.starts_with("i-0006 ssh-ed25519 AAAAfake0002"), "{known}");
    let state: Vec<String> = std::fs::read_dir(rig.local.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!state.contains(&"bastion_host_key".to_owned()), "the host's private key has served: {state:?}");
}

#[tokio::test(start_paused = true)]
async fn up_again_only_looks() {
    let rig = Rig::new();
    let first = rig.up().await.unwrap();
    rig.cloud.forget_calls();
    assert!(!rig.plan().await.unwrap().changes());
    let calls = rig.cloud.calls().len();
    assert_eq!(calls, 5);
    let again = rig.up().await.unwrap();
    assert_eq!(again, first);
    assert!(rig.cloud.calls()[calls..].iter().all(|call| call.contains("Describe") || call.contains("Get")));
}

#[tokio::test(start_paused = true)]
async fn keys_are_on_disk_before_the_first_call_that_names_them() {
    let rig = Rig::new();
    rig.cloud.fail_action("ec2:ImportKeyPair", false, std::sync::Arc::new(crate::bastion_rig::throttled));
    rig.up().await.unwrap_err();
    assert!(rig.local.generation().is_some());
    let before = rig.local.generation();
    rig.up().await.unwrap();
    assert_eq!(rig.local.generation().unwrap().public_key, before.unwrap().public_key);
}

#[tokio::test(start_paused = true)]
async fn the_callers_new_address_is_let_in_before_the_old_one_is_shut_out() {
    let mut rig = Rig::new();
    rig.up().await.unwrap();
    rig.spec.ssh_cidrs = vec![Cidr::parse("198.51.100.8").unwrap()];
    let plan = rig.plan().await.unwrap();
    assert!(
        matches!(plan.steps.as_slice(), [Step::AllowSsh { .. }, Step::Revoke { .. }, Step::AwaitReady]),
        "{:?}",
        plan.lines()
    );
    rig.up().await.unwrap();
    assert!(rig.cloud.alive().contains(&"rule Ingress 22 198.51.100.8/32 in sg-0002".to_owned()));
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn the_database_rule_follows_the_setting_and_the_writer() {
    let mut rig = Rig::new();
    rig.up().await.unwrap();
    rig.spec.database_source = DatabaseSource::Group;
    rig.up().await.unwrap();
    assert!(rig.cloud.alive().contains(&"rule Ingress 5432 sg-0002 in sg-database".to_owned()));
    assert_eq!(rig.count(), COMPLETE);
    rig.spec.site.database_group_id = "sg-new-writer".to_owned();
    rig.up().await.unwrap();
    assert!(rig.cloud.alive().contains(&"rule Ingress 5432 sg-0002 in sg-new-writer".to_owned()));
    assert_eq!(rig.count(), COMPLETE);
    rig.down().await.unwrap();
    assert_eq!(rig.count(), NOTHING);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_equal_rule_serves_is_named_and_stays() {
    let rig = Rig::new();
    rig.cloud.add_rule(Rule {
        id: "sgr-foreign".to_owned(),
        group_id: "sg-database".to_owned(),
        direction: Direction::Ingress,
        port: Some(5432),
        source: RuleSource::Cidr("10.0.1.10/32".to_owned()),
        tags: Default::default(),
    });
    let words =
        "10.0.1.10/32 is let in already by somebody else's rule sgr-foreign; it will not be removed by `devdb down`";
    let events = Mutex::new(Vec::new());
    let tell = |event| events.lock().unwrap().push(event);
    let (report, _) = rig.up_telling(&tell).await.unwrap();
    let said = |event: &Event| matches!(event, Event::Done { outcome, .. } if outcome == words);
    assert!(events.lock().unwrap().iter().any(said), "{events:?}");
    assert_eq!(report.database_rule_id, None);

    let again = rig.plan().await.unwrap();
    assert!(!again.changes(), "{:?}", again.lines());
    events.lock().unwrap().clear();
    rig.up_telling(&tell).await.unwrap();
    let warnings = events.lock().unwrap().iter().filter(|event| **event == Event::Warning(words.to_owned())).count();
    assert_eq!(warnings, 1, "{events:?}");

    rig.down().await.unwrap();
    let left = rig.cloud.rules_of("sg-database").await.unwrap();
    assert_eq!(left.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["sgr-foreign"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_bastion_is_started_and_an_expired_one_replaced_without_asking() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.cloud.set_state(InstanceState::Stopped);
    let plan = rig.plan().await.unwrap();
    assert_eq!(plan.lines(), ["start the stopped instance i-0006"]);
    rig.up().await.unwrap();
    rig.cloud.set_state(InstanceState::Stopped);
    rig.clock.advance(Duration::from_secs(13 * 3600));
    let plan = rig.plan().await.unwrap();
    assert!(plan.questions.is_empty());
    assert_eq!(plan.lines()[0], "terminate instance i-0006 (it is stopped and has expired)");
    rig.up().await.unwrap();
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn after_expiry_the_same_laptop_starts_over_without_asking() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.cloud.set_state(InstanceState::Terminated);
    let plan = rig.plan().await.unwrap();
    assert!(plan.questions.is_empty(), "{:?}", plan.questions);
    rig.up().await.unwrap();
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn other_settings_replace_the_instance_after_asking() {
    let mut rig = Rig::new();
    rig.up().await.unwrap();
    rig.spec.ssh_port = 443;
    let plan = rig.plan().await.unwrap();
    assert_eq!(plan.questions, ["replace instance i-0006: it was made from other settings?"]);
    rig.up().await.unwrap();
    assert_eq!(rig.count(), COMPLETE);
    // The time to live is the deadline's business, not the instance's.
    rig.spec.ttl = Duration::from_secs(3600);
    assert!(!rig.plan().await.unwrap().changes());
}

#[tokio::test(start_paused = true)]
async fn a_lost_laptop_is_replaced_after_asking() {
    let lost = Rig::new();
    lost.up().await.unwrap();
    let found = Rig::beside(lost.cloud.clone());
    for _ in 0..9 {
        devdb::bastion::KeyMaker::make(&found.keys, "other dice").unwrap();
    }
    let plan = found.plan().await.unwrap();
    assert_eq!(plan.questions, ["replace instance i-0006: its key is not on this computer?"]);
    found.up().await.unwrap();
    assert_eq!(found.count(), COMPLETE);
    // The first computer sees that it lost, and asks as well.
    assert_eq!(lost.plan().await.unwrap().questions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_computers_at_once_one_gets_the_key_pair_and_the_other_a_clear_word() {
    let first = Rig::new();
    let second = Rig::beside(first.cloud.clone());
    for _ in 0..9 {
        devdb::bastion::KeyMaker::make(&second.keys, "other dice").unwrap();
    }
    let (one, two) = tokio::join!(first.up(), second.up());
    let error = one.and(two).unwrap_err();
    assert!(matches!(error, BastionError::AnotherComputer { .. }), "{error}");
    assert_eq!(first.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn aliases_and_projects_do_not_touch_each_other() {
    let ada = Rig::new();
    let mut grace = Rig::beside(ada.cloud.clone());
    grace.scope.owner = "grace".to_owned();
    let mut other_project = Rig::beside(ada.cloud.clone());
    other_project.scope.project = "blog".to_owned();
    ada.up().await.unwrap();
    let alone = ada.cloud.alive();
    grace.up().await.unwrap();
    other_project.up().await.unwrap();
    assert!(!ada.plan().await.unwrap().changes());
    grace.down().await.unwrap();
    other_project.down().await.unwrap();
    assert_eq!(ada.cloud.alive(), alone);
}

#[tokio::test(start_paused = true)]
async fn down_asks_no_more_than_it_has_to() {
    let rig = Rig::new();
    rig.cloud.take_time(1);
    rig.up().await.unwrap();
    rig.cloud.forget_calls();
    rig.down().await.unwrap();
    assert_eq!(rig.count(), NOTHING);
    let mut calls = rig.cloud.calls();
    calls.sort_unstable();
    assert_eq!(
        calls,
        [
            "ec2:DeleteKeyPair",
            // Refused once: the instance still shuts down.
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteSecurityGroup",
            "ec2:DescribeInstances",
            "ec2:DescribeSecurityGroupRules",
            "ec2:DescribeSecurityGroups",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:TerminateInstances",
            "sts:GetCallerIdentity",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_zone_without_the_type_gets_the_next_one_and_says_so() {
    let rig = Rig::new();
    rig.cloud.offer(&[("eu-west-1b", "t3.micro"), ("eu-west-1a", "t2.micro")]);
    let plan = rig.plan().await.unwrap();
    let launch = plan.lines().into_iter().find(|line| line.starts_with("launch")).unwrap();
    assert_eq!(launch, "launch a t3.micro in subnet subnet-ingress-2 (eu-west-1b, which does not offer t2.micro)");
    rig.cloud.offer(&[("eu-west-1a", "t4g.micro")]);
    let launch = rig.plan().await.unwrap().lines().into_iter().find(|line| line.starts_with("launch")).unwrap();
    assert!(launch.starts_with("launch a t4g.micro in subnet subnet-ingress-1"), "{launch}");
    let mut chosen = Rig::beside(rig.cloud.clone());
    chosen.spec.instance_type_is_chosen = true;
    assert!(matches!(chosen.plan().await.unwrap_err(), BastionError::NotOffered { .. }));
}

#[tokio::test(start_paused = true)]
async fn up_waits_for_sshd_for_the_key_and_for_the_first_boot() {
    let rig = Rig::new();
    rig.shell.script([
        Err(ShellError::NoAnswer { message: "refused".to_owned(), timed_out: false }),
        Err(ShellError::Refused { message: "Permission denied (publickey).".to_owned() }),
        Ok((1, String::new())),
        Ok((0, "ready abc\n".to_owned())),
    ]);
    rig.up().await.unwrap();
    assert_eq!(rig.shell.commands().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn another_host_key_is_a_hard_stop() {
    let rig = Rig::new();
    rig.shell.script([Err(ShellError::HostKey { message: "changed".to_owned() })]);
    assert!(matches!(rig.up().await.unwrap_err(), BastionError::HostKey { .. }));
    assert_eq!(rig.shell.commands().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bastion_that_never_answers_is_compared_with_the_callers_address() {
    let rig = Rig::new();
    rig.shell.script((0..2000).map(|_| Err(ShellError::NoAnswer { message: "timed out".to_owned(), timed_out: true })));
    rig.echo.set(Some([203, 0, 113, 99].into()));
    let BastionError::NotReady { reach, .. } = rig.up().await.unwrap_err() else { panic!("another error") };
    let finding = reach.unwrap().to_string();
    assert_eq!(finding, "you are seen with 203.0.113.99 now, but the security group lets in 198.51.100.7/32");
}

#[test]
fn the_hash_tells_what_an_instance_is_made_from() {
    let hash = spec().hash().unwrap();
    assert_eq!(hash.len(), 16);
    let mut other = spec();
    other.site.endpoints.push("appdb.cluster-ro-abc.eu-west-1.rds.amazonaws.com".to_owned());
    assert_ne!(other.hash().unwrap(), hash);
    let mut other = spec();
    other.ssh_cidrs.clear();
    other.ttl = Duration::from_secs(60);
    assert_eq!(other.hash().unwrap(), hash);
}
