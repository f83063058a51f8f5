//! What AWS refuses: what is tried instead, and what is said when nothing is left to try.

use crate::bastion_rig::{COMPLETE, NOTHING, Rig, throttled};
use devdb::bastion::{BastionError, Cloud, Direction, Event, Rule, RuleSource, Tags};
use devdb::system::CloudError;
use devdb::testing::{FakeCloud, Stage};
use std::sync::{Arc, Mutex};

const RUN: &str = "ec2:RunInstances";

fn refused(action: &'static str, code: &'static str) -> impl Fn() -> CloudError + Send + Sync {
    move || CloudError::Refused {
        action: action.to_owned(),
        code: code.to_owned(),
        message: "the words of AWS.".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_zone_has_no_room_the_next_one_is_tried_and_named() {
    for code in ["InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "Unsupported"] {
        let rig = Rig::new();
        rig.cloud.fail_action(RUN, false, Arc::new(refused(RUN, code)));
        let events = Mutex::new(Vec::new());
        let tell = |event| events.lock().unwrap().push(event);
        let (report, _) = rig.up_telling(&tell).await.unwrap();
        assert_eq!(report.subnet_id.as_deref(), Some("subnet-ingress-1"), "{code}");
        let words = format!(
            "AWS launches no t2.micro in subnet-ingress-2 now ({code}); trying a t2.micro in subnet-ingress-1 \
             (eu-west-1a)"
        );
        assert!(events.lock().unwrap().contains(&Event::Warning(words)), "{events:?}");
        assert_eq!(rig.count(), COMPLETE);
        assert!(!rig.plan().await.unwrap().changes(), "it is known again");
        rig.down().await.unwrap();
        assert_eq!(rig.count(), NOTHING);
    }
}

#[tokio::test(start_paused = true)]
async fn another_type_in_the_same_zone_comes_before_another_zone() {
    let rig = Rig::new();
    rig.cloud.offer(&[("eu-west-1a", "t2.micro"), ("eu-west-1b", "t2.micro"), ("eu-west-1b", "t3.micro")]);
    rig.cloud.fail_action(RUN, false, Arc::new(refused(RUN, "InsufficientInstanceCapacity")));
    let (report, _) = rig.up().await.unwrap();
    assert_eq!(report.subnet_id.as_deref(), Some("subnet-ingress-2"));
    assert_eq!(report.instance_type.as_deref(), Some("t3.micro"));
}

#[tokio::test(start_paused = true)]
async fn what_was_launched_elsewhere_is_found_again_though_its_answer_was_lost() {
    let rig = Rig::new();
    rig.cloud.fail_action(RUN, false, Arc::new(refused(RUN, "InsufficientInstanceCapacity")));
    rig.cloud.fail_action(RUN, true, Arc::new(throttled));
    rig.up().await.unwrap_err();
    assert_eq!(rig.up().await.unwrap().0.subnet_id.as_deref(), Some("subnet-ingress-1"));
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn no_room_anywhere_is_told_with_everything_that_was_tried() {
    let rig = Rig::new();
    for _ in 0..2 {
        rig.cloud.fail_action(RUN, false, Arc::new(refused(RUN, "InsufficientInstanceCapacity")));
    }
    let error = rig.up().await.unwrap_err();
    let BastionError::NoCapacity { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(*tried, ["t2.micro in subnet-ingress-2", "t2.micro in subnet-ingress-1"]);
    rig.up().await.unwrap();
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn what_ec2_does_not_know_yet_is_asked_again() {
    for (action, code) in [
        ("ec2:RevokeSecurityGroupEgress", "InvalidGroup.NotFound"),
        ("ec2:AuthorizeSecurityGroupEgress", "InvalidGroup.NotFound"),
        ("ec2:AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound"),
        (RUN, "InvalidGroup.NotFound"),
        (RUN, "InvalidKeyPair.NotFound"),
    ] {
        let rig = Rig::new();
        for _ in 0..2 {
            rig.cloud.fail_action(action, false, Arc::new(refused(action, code)));
        }
        rig.up().await.unwrap();
        assert_eq!(rig.count(), COMPLETE, "{action}");
        let group = rig.cloud.groups("devdb-shop-dev-ada").await.unwrap().remove(0);
        assert!(!group.open_egress, "{action}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_but_not_listed_yet_is_looked_for_until_it_is() {
    for (made, listed) in
        [("ec2:CreateSecurityGroup", "ec2:DescribeSecurityGroups"), ("ec2:ImportKeyPair", "ec2:DescribeKeyPairs")]
    {
        let rig = Rig::new();
        rig.cloud.fail_action(made, true, Arc::new(throttled));
        rig.up().await.unwrap_err();
        // Once for the look before the plan, twice after the duplicate.
        (0..3).for_each(|_| rig.cloud.blind_once(listed));
        rig.up().await.unwrap();
        assert_eq!(rig.count(), COMPLETE, "{made}");
    }
}

#[test]
fn refusals_come_with_a_way_out() {
    for (action, code) in [
        (RUN, "InsufficientInstanceCapacity"),
        (RUN, "VcpuLimitExceeded"),
        (RUN, "InvalidAMIID.NotFound"),
        (RUN, "OptInRequired"),
        (RUN, "PendingVerification"),
        (RUN, "UnsupportedOperation"),
        ("ec2:CreateSecurityGroup", "SecurityGroupLimitExceeded"),
        ("ec2:ImportKeyPair", "InternalError"),
    ] {
        let cloud = Arc::new(FakeCloud::default());
        let config = "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\n";
        let stage = Stage::new().file("devdb.toml", config).cloud(&cloud);
        for _ in 0..2 {
            cloud.fail_action(action, false, Arc::new(refused(action, code)));
        }
        insta::assert_snapshot!(code, stage.run(["devdb", "-q", "bastion", "up"]));
    }
}

#[test]
fn a_full_group_of_the_writer_tells_whose_rules_fill_it() {
    let config = "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\n";
    let action = "ec2:AuthorizeSecurityGroupIngress";
    let calm = Arc::new(FakeCloud::default());
    assert_eq!(Stage::new().file("devdb.toml", config).cloud(&calm).run(["devdb", "bastion", "up"]).code, 0);
    // The last one lets the bastion into the database; the first one opens ssh.
    let number = calm.calls().iter().rposition(|call| *call == action).unwrap() + 1;

    let cloud = Arc::new(FakeCloud::default());
    for (number, owner) in ["grace", "grace", "ada", ""].into_iter().enumerate() {
        let tags =
            [("devdb:project", "shop"), ("devdb:owner", owner)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        cloud.add_rule(Rule {
            id: format!("sgr-{number}"),
            group_id: "sg-database".to_owned(),
            direction: Direction::Ingress,
            port: Some(5432),
            source: RuleSource::Cidr(format!("10.0.1.{number}/32")),
            tags: if owner.is_empty() { Tags::new() } else { tags.into() },
        });
    }
    cloud.fail_at(number, false, Arc::new(refused(action, "RulesPerSecurityGroupLimitExceeded")));
    let stage = Stage::new().file("devdb.toml", config).cloud(&cloud);
    insta::assert_snapshot!(stage.run(["devdb", "-q", "bastion", "up"]));
}
