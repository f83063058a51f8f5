//! `devdb bastion allow-ip`, `list` and `gc` as a developer sees them.

use devdb::bastion::{InstanceState, KeyMaker, Rule, RuleSource, ShellError};
use devdb::testing::{Answer, FakeCloud, Stage};
use std::sync::Arc;
use std::time::Duration;

const COMMITTED: &str = "project = \"shop\"\n[environment.dev]\nprofile = \"shop-dev\"\nstack = \"AppDbStack\"\n";

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    (beside(&cloud), cloud)
}

/// Another person's or computer's box in front of the same account.
fn beside(cloud: &Arc<FakeCloud>) -> Stage {
    Stage::new().file("devdb.toml", COMMITTED).cloud(cloud)
}

fn grace(cloud: &Arc<FakeCloud>) -> Stage {
    let stage = beside(cloud).var("DEVDB_ALIAS", "grace");
    (0..9).for_each(|_| drop(stage.tools.keys.make("other dice")));
    stage
}

#[test]
fn a_new_address_is_let_in_and_the_old_one_goes() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!("allow_ip_absent", stage.run(["devdb", "bastion", "allow-ip"]));
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    stage.tools.echo.set(Some([198, 51, 100, 8].into()));
    insta::assert_snapshot!("allow_ip_dry_run", stage.run(["devdb", "bastion", "allow-ip", "--dry-run"]));
    cloud.forget_calls();
    insta::assert_snapshot!("allow_ip", stage.run(["devdb", "bastion", "allow-ip"]));
    let changes: Vec<_> = cloud.calls().into_iter().filter(|call| call.contains("Ingress")).collect();
    assert_eq!(changes, ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]);
    insta::assert_snapshot!("allow_ip_again", stage.run(["devdb", "bastion", "allow-ip"]));
    insta::assert_snapshot!(
        "allow_ip_json",
        stage.run(["devdb", "--json", "bastion", "allow-ip", "--ip", "203.0.113.9"])
    );
    assert!(cloud.alive().contains(&"rule Ingress 22 203.0.113.9/32 in sg-0002".to_owned()));
    assert_eq!(cloud.alive().len(), 7);
}

#[test]
fn several_addresses_are_let_in_at_once_and_somebody_elses_rule_stays() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let by_hand = |id: &str, cidr: &str| Rule {
        id: id.to_owned(),
        group_id: "sg-0002".to_owned(),
        direction: devdb::bastion::Direction::Ingress,
        port: Some(22),
        source: RuleSource::Cidr(cidr.to_owned()),
        tags: Default::default(),
    };
    cloud.add_rule(by_hand("sgr-office", "192.0.2.0/24"));
    cloud.add_rule(by_hand("sgr-wanted", "203.0.113.9/32"));
    let stage = stage.var("DEVDB_BASTION_ALLOW_CIDRS", "203.0.113.16/28");
    let argv = ["devdb", "bastion", "allow-ip", "--ip", "203.0.113.8", "--ip", "203.0.113.9"];
    insta::assert_snapshot!("allow_ip_several", stage.run(argv));
    let ssh: Vec<_> = cloud.alive().into_iter().filter(|line| line.contains("Ingress 22")).collect();
    assert_eq!(
        ssh,
        ["rule Ingress 22 203.0.113.16/28 in sg-0002", "rule Ingress 22 203.0.113.8/32 in sg-0002"],
        "devdb's own"
    );
    assert!(stage.run(argv).stdout.contains("nothing was changed"));
}

#[test]
fn an_address_that_opens_it_to_the_internet_or_is_none_is_refused() {
    let (stage, cloud) = stage();
    for wrong in ["0.0.0.0/0", "0.0.0.0", "2001:db8::7", "203.0.113.7/24"] {
        let outcome = stage.run(["devdb", "bastion", "allow-ip", "--ip", wrong]);
        assert_eq!(outcome.code, 2, "{outcome}");
    }
    let outcome = stage.run(["devdb", "bastion", "allow-ip", "--ip", "0.0.0.0/0"]);
    assert!(outcome.stderr.contains("that is the whole internet"), "{outcome}");
    let outcome = stage.run(["devdb", "bastion", "allow-ip", "--ip", "2001:db8::7"]);
    assert!(outcome.stderr.contains("use an IPv4 address"), "{outcome}");
    let outcome = stage.var("DEVDB_BASTION_ALLOW_CIDRS", "0.0.0.0/0").run(["devdb", "bastion", "allow-ip"]);
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(outcome.stderr.contains("`0.0.0.0/0` cannot be let in"), "{outcome}");
    assert!(cloud.calls().is_empty());
}

#[test]
fn an_echo_that_is_silent_is_replaced_by_a_flag() {
    let (stage, _cloud) = stage();
    stage.tools.echo.set(None);
    insta::assert_snapshot!("allow_ip_silent_echo", stage.run(["devdb", "bastion", "allow-ip"]));
}

#[test]
fn another_computer_is_not_shut_out_without_asking() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    let alive = cloud.alive();
    let other = beside(&cloud);
    other.tools.echo.set(Some([203, 0, 113, 9].into()));
    insta::assert_snapshot!("allow_ip_other_computer", other.run(["devdb", "bastion", "allow-ip"]));
    let other = other.terminal();
    other.prompter.script([Answer::Confirm(false)]);
    assert_eq!(other.run(["devdb", "bastion", "allow-ip"]).code, 130);
    assert_eq!(cloud.alive(), alive);
}

#[tokio::test(start_paused = true)]
async fn a_bastion_that_never_answers_is_compared_with_the_address_of_now() {
    let (stage, _cloud) = stage();
    let silent = || Err(ShellError::NoAnswer { message: "timed out".to_owned(), timed_out: true });
    stage.tools.shell.script((0..5000).map(|_| silent()));
    let up = ["devdb", "bastion", "up", "--ip", "198.51.100.9"];
    insta::assert_snapshot!("up_shut_out", stage.play(&up).await);
}

#[test]
fn everyones_bastions_are_listed() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!("list_none", stage.run(["devdb", "bastion", "list"]));
    let grace = grace(&cloud);
    cloud.log_in("AROAEXAMPLE:grace@example.com");
    assert_eq!(grace.run(["devdb", "bastion", "up"]).code, 0);
    cloud.set_state(InstanceState::Terminated);
    cloud.log_in("AROAEXAMPLE:ada@example.com");
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    stage.clock.advance(Duration::from_secs(3 * 3600 + 20 * 60));
    insta::assert_snapshot!("list", stage.run(["devdb", "bastion", "list"]));
    insta::assert_snapshot!("list_json", stage.run(["devdb", "--json", "bastion", "list"]));
    stage.clock.advance(Duration::from_secs(9 * 3600));
    assert!(stage.run(["devdb", "bastion", "list"]).stdout.contains("expired 20m ago"));
}

#[test]
fn leftovers_are_told_and_removed() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!("gc_nothing", stage.run(["devdb", "bastion", "gc"]));
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    cloud.set_state(InstanceState::Terminated);
    insta::assert_snapshot!("status_leftovers", stage.run(["devdb", "bastion", "status"]));
    let whole = stage.run(["devdb", "status"]);
    assert!(whole.stdout.contains("absent  with 3 leftovers") && whole.stderr.contains("devdb bastion gc"), "{whole}");
    insta::assert_snapshot!("gc_dry_run", stage.run(["devdb", "bastion", "gc", "--dry-run"]));
    insta::assert_snapshot!("gc", stage.run(["devdb", "bastion", "gc"]));
    assert!(cloud.alive().is_empty());
    assert!(stage.run(["devdb", "bastion", "status"]).stderr.is_empty());
}

#[test]
fn everyones_leftovers_are_removed_only_after_asking() {
    let (stage, cloud) = stage();
    let grace = grace(&cloud);
    cloud.log_in("AROAEXAMPLE:grace@example.com");
    assert_eq!(grace.run(["devdb", "bastion", "up"]).code, 0);
    cloud.set_state(InstanceState::Terminated);
    cloud.log_in("AROAEXAMPLE:ada@example.com");
    let alive = cloud.alive();
    assert!(stage.run(["devdb", "bastion", "gc"]).stdout.contains("nothing is left over"), "it is not ada's");
    insta::assert_snapshot!("gc_all_dry_run", stage.run(["devdb", "bastion", "gc", "--all", "--dry-run"]));
    insta::assert_snapshot!("gc_all_unasked", stage.run(["devdb", "bastion", "gc", "--all"]));
    let stage = stage.terminal();
    stage.prompter.script([Answer::Confirm(false)]);
    assert_eq!(stage.run(["devdb", "bastion", "gc", "--all"]).code, 130);
    assert_eq!(cloud.alive(), alive);
    insta::assert_snapshot!("gc_all", stage.run(["devdb", "--yes", "bastion", "gc", "--all"]));
    assert!(cloud.alive().is_empty());
    insta::assert_snapshot!("gc_all_json", stage.run(["devdb", "--json", "bastion", "gc", "--all"]));
}
