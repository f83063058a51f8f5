//! What is left over of bastions that are gone, who may remove it, and what must stay.

use crate::bastion_rig::{COMPLETE, NOTHING, Rig};
use devdb::bastion::{
    self, BastionError, Cloud, Direction, InstanceState, OwnersPart, Plan, Rule, RuleSource, Tags, plan_gc_all,
    still_left,
};
use devdb::system::Clock;
use std::time::Duration;

/// What `devdb bastion gc` would do.
async fn gc(rig: &Rig) -> Result<Plan, BastionError> {
    let (identity, observed) = bastion::observe_down(&rig.workshop(&|_| {}), &rig.scope).await?;
    bastion::plan_gc(&identity, &observed, rig.clock.now())
}

async fn parts(rig: &Rig) -> Vec<OwnersPart> {
    plan_gc_all(rig.cloud.stock("shop").await.unwrap(), rig.clock.now())
}

fn of<'a>(parts: &'a [OwnersPart], owner: &str) -> &'a Plan {
    &parts.iter().find(|part| part.identity.scope.owner == owner).unwrap().leftovers
}

fn database_rule(id: &str, cidr: &str, tags: Tags) -> Rule {
    Rule {
        id: id.to_owned(),
        group_id: "sg-database".to_owned(),
        direction: Direction::Ingress,
        port: Some(5432),
        source: RuleSource::Cidr(cidr.to_owned()),
        tags,
    }
}

/// Another computer of the same person; its dice fall differently.
fn other_computer(rig: &Rig) -> Rig {
    computer(rig, 1)
}

fn computer(rig: &Rig, number: usize) -> Rig {
    let other = Rig::beside(rig.cloud.clone());
    (0..number * 10).for_each(|_| drop(devdb::bastion::KeyMaker::make(&other.keys, "other dice")));
    other
}

#[tokio::test(start_paused = true)]
async fn what_an_expired_bastion_left_goes_and_everything_else_stays() {
    let ada = Rig::new();
    let mut grace = other_computer(&ada);
    grace.scope.owner = "grace".to_owned();
    ada.up().await.unwrap();
    ada.cloud.set_state(InstanceState::Terminated);
    grace.up().await.unwrap();
    let alive = ada.cloud.alive();
    ada.cloud.add_rule(database_rule("sgr-foreign", "10.0.1.10/32", Tags::new()));
    assert!(!gc(&grace).await.unwrap().changes(), "a live bastion keeps everything");

    let plan = gc(&ada).await.unwrap();
    assert_eq!(
        plan.lines(),
        [
            "revoke the database rule sgr-0007 in sg-database",
            "delete security group devdb-shop-dev-ada (sg-0002)",
            "delete key pair devdb-shop-dev-ada",
            "delete the keys on this computer",
        ]
    );
    assert!(plan.questions.is_empty());
    let workshop = ada.workshop(&|_| {});
    let (identity, observed) = bastion::observe_down(&workshop, &ada.scope).await.unwrap();
    bastion::down(&workshop, &identity, &observed, &plan).await.unwrap();
    assert!(!gc(&ada).await.unwrap().changes());
    assert_eq!(ada.count(), COMPLETE, "grace's");
    assert!(alive.iter().any(|line| line.contains("sg-0002")));
    assert!(!ada.cloud.alive().iter().any(|line| line.contains("sg-0002")));
    let left = ada.cloud.rules_of("sg-database").await.unwrap();
    assert!(left.iter().any(|rule| rule.id == "sgr-foreign"), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn beside_a_live_bastion_only_a_predecessors_rule_goes() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    let tags = rig.cloud.rules(&rig.scope).await.unwrap()[0].tags.clone();
    rig.cloud.add_rule(database_rule("sgr-old", "10.0.1.99/32", tags));
    rig.cloud.add_rule(database_rule("sgr-foreign", "10.0.1.98/32", Tags::new()));
    let wanted = ["revoke the old database rule sgr-old in sg-database"];
    assert_eq!(gc(&rig).await.unwrap().lines(), wanted);
    assert_eq!(of(&parts(&rig).await, "ada").lines(), wanted);
    for state in [InstanceState::Stopped, InstanceState::Stopping, InstanceState::Pending] {
        rig.cloud.set_state(state);
        assert_eq!(gc(&rig).await.unwrap().lines(), wanted, "{state:?}");
        rig.cloud.set_state(InstanceState::Stopped);
    }
}

#[tokio::test(start_paused = true)]
async fn while_an_instance_shuts_down_its_belongings_stay() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.cloud.take_time(3);
    let (_, observed) = bastion::observe_down(&rig.workshop(&|_| {}), &rig.scope).await.unwrap();
    rig.cloud.terminate(&observed.instances[0].id).await.unwrap();
    let plan = gc(&rig).await.unwrap();
    assert_eq!((plan.lines().len(), plan.warnings.len()), (0, 1), "{plan:?}");
    assert!(plan.warnings[0].contains("still shutting down"));
}

#[tokio::test(start_paused = true)]
async fn an_up_at_work_on_another_computer_is_left_in_peace() {
    let first = Rig::new();
    // Key pair and group stand, the instance does not yet.
    first.cloud.fail_action("ec2:RunInstances", false, std::sync::Arc::new(crate::bastion_rig::throttled));
    first.up().await.unwrap_err();
    let second = other_computer(&first);
    let alive = first.cloud.alive();

    assert!(matches!(second.plan().await.unwrap_err(), BastionError::AnotherComputer { .. }));
    for plan in [&gc(&second).await.unwrap(), of(&parts(&second).await, "ada")] {
        assert!(!plan.changes(), "{plan:?}");
        assert!(plan.warnings[0].contains("its bastion may be on the way"), "{plan:?}");
    }
    assert!(gc(&first).await.unwrap().changes(), "here it is known that nothing runs");
    assert_eq!(first.cloud.alive(), alive);

    let later = Duration::from_secs(6 * 60);
    second.clock.advance(later);
    assert!(gc(&second).await.unwrap().changes());
    let plan = second.plan().await.unwrap();
    assert_eq!(plan.questions, ["replace key pair devdb-shop-dev-ada: it was made on another computer?"]);
    second.up().await.unwrap();
    assert_eq!(second.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn a_key_pair_that_had_its_instance_is_no_run_at_work() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.cloud.set_state(InstanceState::Terminated);
    let other = other_computer(&rig);
    assert!(gc(&other).await.unwrap().changes());
    assert!(of(&parts(&other).await, "ada").changes());
}

#[tokio::test(start_paused = true)]
async fn an_administrator_removes_everyones_leftovers_and_no_live_bastion() {
    let ada = Rig::new();
    let mut grace = other_computer(&ada);
    grace.scope.owner = "grace".to_owned();
    let mut linus = computer(&ada, 2);
    linus.scope.environment = "staging".to_owned();
    let mut blog = computer(&ada, 3);
    blog.scope.project = "blog".to_owned();
    ada.cloud.log_in("AROAEXAMPLE:grace@example.com");
    grace.up().await.unwrap();
    ada.cloud.log_in("AROAEXAMPLE:linus@example.com");
    linus.up().await.unwrap();
    blog.up().await.unwrap();
    ada.cloud.set_state(InstanceState::Terminated);
    ada.cloud.log_in("AROAEXAMPLE:ada@example.com");
    ada.up().await.unwrap();

    let agreed = parts(&ada).await;
    let owners: Vec<_> = agreed
        .iter()
        .map(|part| {
            let scope = &part.identity.scope;
            (scope.environment.as_str(), scope.owner.as_str(), part.leftovers.steps.len())
        })
        .collect();
    assert_eq!(owners, [("dev", "ada", 0), ("dev", "grace", 3), ("staging", "ada", 3)]);

    // While the question was open, grace came back.
    ada.cloud.log_in("AROAEXAMPLE:grace@example.com");
    grace.up().await.unwrap();
    ada.cloud.log_in("AROAEXAMPLE:ada@example.com");
    let left = still_left(&agreed, parts(&ada).await);
    assert_eq!(left.len(), 1, "{left:?}");
    bastion::gc_all(&ada.workshop(&|_| {}), &left).await.unwrap();

    let alive = ada.cloud.alive();
    assert_eq!(alive.iter().filter(|line| line.starts_with("instance")).count(), 2, "{alive:?}");
    assert!(!alive.iter().any(|line| line.contains("staging")), "{alive:?}");
    assert!(alive.contains(&"key devdb-blog-dev-ada".to_owned()), "another project's: {alive:?}");
    assert!(!ada.plan().await.unwrap().changes());
}

#[tokio::test(start_paused = true)]
async fn a_terminated_instance_of_another_principal_is_no_obstacle() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.down().await.unwrap();
    rig.cloud.log_in("AROAEXAMPLE:ada@new.example.com");
    rig.up().await.unwrap();
    rig.cloud.set_state(InstanceState::Terminated);
    let parts = parts(&rig).await;
    assert_eq!((parts.len(), of(&parts, "ada").steps.len()), (1, 3), "{parts:?}");
    assert!(gc(&rig).await.unwrap().changes());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_something_else_uses_does_not_stop_the_rest() {
    let ada = Rig::new();
    let mut grace = other_computer(&ada);
    grace.scope.owner = "grace".to_owned();
    ada.up().await.unwrap();
    grace.up().await.unwrap();
    ada.cloud.set_state(InstanceState::Terminated);
    // Somebody let ada's group into something of their own.
    let source = RuleSource::Group("sg-0002".to_owned());
    ada.cloud.add_rule(Rule { source, ..database_rule("sgr-foreign", "", Tags::new()) });
    let left = parts(&ada).await;
    let error = bastion::gc_all(&ada.workshop(&|_| {}), &left).await.unwrap_err();
    assert!(matches!(&error, BastionError::Cloud(cloud) if cloud.is_code("DependencyViolation")), "{error}");
    let alive = ada.cloud.alive();
    assert!(
        alive.contains(&"group sg-0002".to_owned()) && !alive.iter().any(|line| line.contains("grace")),
        "{alive:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn with_a_shared_role_leftovers_of_another_computer_are_asked_about() {
    let first = Rig::new();
    first.cloud.log_in("AROAEXAMPLE:botocore-session-1767323045");
    first.up().await.unwrap();
    first.cloud.set_state(InstanceState::Terminated);
    let second = other_computer(&first);
    second.clock.advance(Duration::from_secs(3600));
    let question = "remove key pair devdb-shop-dev-ada and what came with it: it was made on another computer, \
                    perhaps by a colleague with the same role?";
    assert_eq!(gc(&second).await.unwrap().questions, [question]);
    let (identity, observed) = bastion::observe_down(&second.workshop(&|_| {}), &second.scope).await.unwrap();
    assert_eq!(bastion::plan_down(&identity, &observed, second.clock.now()).unwrap().questions, [question]);
    assert!(gc(&first).await.unwrap().questions.is_empty(), "the key proves whose it is");
    first.cloud.log_in("AROAEXAMPLE:ada@example.com");
    let of_another = gc(&first).await.unwrap();
    assert!(!of_another.changes() && of_another.warnings.len() == 3, "{of_another:?}");
    first.cloud.log_in("AROAEXAMPLE:botocore-session-1767323045");
    first.down().await.unwrap();
    assert_eq!(first.count(), NOTHING);
}
