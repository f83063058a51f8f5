//! What others in the account have given our name or our tags: none of it is touched, and none of it is in the way.

use crate::bastion_rig::{COMPLETE, Rig};
use devdb::bastion::{
    self, BastionStatus, Cloud, Direction, Group, KeyPair, Launch, Rule, RuleSource, Tags, plan_gc_all, status,
};
use devdb::system::Clock;

const NAME: &str = "devdb-shop-dev-ada";
const MALLORY: &str = "AROAEXAMPLE:mallory@example.com";

/// Ada's tags, as Mallory may write them onto what is made.
fn tags(principal: &str) -> Tags {
    let scope = [("devdb:project", "shop"), ("devdb:environment", "dev"), ("devdb:owner", "ada")];
    let all = scope.into_iter().chain([("devdb:principal", principal)]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn group(id: &str, name: &str, vpc: &str, tags: Tags) -> Group {
    Group { id: id.to_owned(), name: name.to_owned(), vpc_id: vpc.to_owned(), open_egress: false, tags }
}

fn pair(name: &str, tags: Tags) -> KeyPair {
    KeyPair { id: format!("id-{name}"), name: name.to_owned(), public_key: None, created_at: None, tags }
}

fn rule(tags: Tags) -> Rule {
    Rule {
        id: "sgr-mallory".to_owned(),
        group_id: "sg-database".to_owned(),
        direction: Direction::Ingress,
        port: Some(5432),
        source: RuleSource::Cidr("10.0.9.9/32".to_owned()),
        tags,
    }
}

/// An instance of Mallory's with Ada's tags.
async fn decoy(rig: &Rig) -> String {
    rig.cloud.add_group(group("sg-decoy", "decoy", "vpc-1", Tags::new()));
    rig.cloud.add_key_pair(pair("decoy", Tags::new()));
    let launch = Launch {
        client_token: "decoy".to_owned(),
        image: "ami-1".to_owned(),
        instance_type: "t2.micro".to_owned(),
        subnet_id: "subnet-ingress-1".to_owned(),
        group_id: "sg-decoy".to_owned(),
        key_name: "decoy".to_owned(),
        kms_key: None,
        user_data: String::new().into(),
        tags: tags(MALLORY),
    };
    rig.cloud.launch(&launch).await.unwrap().id
}

/// Everything of Mallory's that carries Ada's tags.
async fn in_the_way(rig: &Rig) -> String {
    rig.cloud.add_group(group("sg-mallory", NAME, "vpc-2", tags(MALLORY)));
    rig.cloud.add_key_pair(pair(&format!("{NAME}.2"), tags(MALLORY)));
    rig.cloud.add_rule(rule(tags(MALLORY)));
    decoy(rig).await
}

fn told(decoy: &str) -> Vec<String> {
    let what = [
        &format!("instance {decoy}"),
        "security group sg-mallory",
        "rule sgr-mallory in sg-database",
        "key pair devdb-shop-dev-ada.2",
    ];
    what.map(|what| format!("{what} is another AWS principal's ({MALLORY}) under the alias `ada`; it stays")).to_vec()
}

#[tokio::test(start_paused = true)]
async fn no_verb_touches_it_or_stops_at_it() {
    let rig = Rig::new();
    let (stands, _) = rig.up().await.unwrap();
    let only_ours = rig.cloud.alive();
    let decoy = in_the_way(&rig).await;
    let theirs: Vec<String> = rig.cloud.alive().into_iter().filter(|line| !only_ours.contains(line)).collect();
    assert_eq!(theirs.len(), 4, "{theirs:?}");

    let plan = rig.plan().await.unwrap();
    assert!(!plan.changes() && plan.questions.is_empty(), "{plan:?}");
    assert_eq!(plan.warnings, told(&decoy));
    let seen = status(&*rig.cloud, &rig.scope).await.unwrap();
    assert_eq!((seen.instance_id, seen.security_group_id), (stands.instance_id, stands.security_group_id));
    assert_eq!(seen.database_rule_id, stands.database_rule_id);

    let workshop = rig.workshop(&|_| {});
    let (identity, observed) = bastion::observe_allow(&workshop, &rig.scope).await.unwrap();
    let cidrs = [bastion::Cidr::parse("203.0.113.9").unwrap()];
    let allow = bastion::plan_allow(&identity, &observed, &cidrs, 22, rig.clock.now()).unwrap();
    assert!(allow.lines().len() == 2 && allow.warnings == told(&decoy)[..2], "{allow:?}");
    bastion::allow(&workshop, &identity, &allow).await.unwrap();

    let (identity, observed) = bastion::observe_down(&workshop, &rig.scope).await.unwrap();
    let gc = bastion::plan_gc(&identity, &observed, rig.clock.now()).unwrap();
    assert!(!gc.changes() && gc.warnings == told(&decoy)[..3], "{gc:?}");

    let events = std::sync::Mutex::new(Vec::new());
    let tell = |event| events.lock().unwrap().push(event);
    let plan = bastion::plan_down(&identity, &observed, rig.clock.now()).unwrap();
    bastion::down(&rig.workshop(&tell), &identity, &observed, &plan).await.unwrap();
    assert_eq!(rig.cloud.alive(), theirs);
    let warned = |line: &String| events.lock().unwrap().contains(&bastion::Event::Warning(line.clone()));
    assert!(plan.warnings.iter().all(warned), "{events:?}");
    // Nothing of ours is left, and it is no error to ask again.
    rig.down().await.unwrap();
    assert_eq!(rig.cloud.alive(), theirs);
    assert_eq!(status(&*rig.cloud, &rig.scope).await.unwrap().state, BastionStatus::Absent);
}

#[tokio::test(start_paused = true)]
async fn names_that_are_taken_are_given_up() {
    for theirs in [tags(MALLORY), Tags::new(), tags("")] {
        let rig = Rig::new();
        for taken in [NAME.to_owned(), format!("{NAME}.2")] {
            rig.cloud.add_group(group(&format!("sg-{taken}"), &taken, "vpc-1", theirs.clone()));
            rig.cloud.add_key_pair(pair(&taken, theirs.clone()));
        }
        let before = rig.cloud.alive();
        let lines = rig.plan().await.unwrap().lines();
        for line in [
            "import the public key as key pair devdb-shop-dev-ada.3",
            "create security group devdb-shop-dev-ada.3 in vpc-1",
        ] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
        rig.up().await.unwrap();
        assert!(!rig.plan().await.unwrap().changes());
        let ours = rig.cloud.groups(NAME).await.unwrap().into_iter().find(|group| group.name == format!("{NAME}.3"));
        let seen = status(&*rig.cloud, &rig.scope).await.unwrap();
        assert_eq!(seen.security_group_id, ours.map(|group| group.id));
        // Another computer of the same person finds the key pair, and waits for nothing.
        let other = Rig::beside(rig.cloud.clone());
        (0..10).for_each(|_| drop(bastion::KeyMaker::make(&other.keys, "other dice")));
        assert_eq!(other.plan().await.unwrap().questions.len(), 1);
        let (identity, observed) = bastion::observe_down(&rig.workshop(&|_| {}), &rig.scope).await.unwrap();
        let lines = bastion::plan_down(&identity, &observed, rig.clock.now()).unwrap().lines();
        assert!(lines.contains(&"delete key pair devdb-shop-dev-ada.3".to_owned()), "{lines:?}");
        rig.down().await.unwrap();
        assert_eq!(rig.cloud.alive(), before);
        assert_eq!(rig.cloud.key_pairs(NAME).await.unwrap().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_between_the_look_and_the_step_is_told() {
    let rig = Rig::new();
    rig.cloud.add_group(group("sg-mallory", NAME, "vpc-1", tags(MALLORY)));
    rig.cloud.blind_once("ec2:DescribeSecurityGroups");
    let error = rig.up().await.unwrap_err();
    assert!(matches!(error, bastion::BastionError::NameTaken { kind: "security group", .. }), "{error}");
    rig.up().await.unwrap();
    rig.down().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn beside_a_namesakes_bastion_one_is_brought_up_only_after_asking() {
    let ada = Rig::new();
    let (of_ada, _) = ada.up().await.unwrap();
    let alive = ada.cloud.alive();
    let adam = Rig::beside(ada.cloud.clone());
    (0..10).for_each(|_| drop(bastion::KeyMaker::make(&adam.keys, "other dice")));
    adam.cloud.log_in("AROAEXAMPLE:adam@example.com");
    adam.down().await.unwrap();
    assert_eq!(ada.cloud.alive(), alive);
    let id = of_ada.instance_id.clone().unwrap();
    let question = format!(
        "bring up a bastion of your own, though instance {id} under the alias `ada` is another AWS principal's \
         (AROAEXAMPLE:ada@example.com)?"
    );
    assert_eq!(adam.plan().await.unwrap().questions, [question]);
    let (of_adam, _) = adam.up().await.unwrap();
    assert_ne!(of_adam.instance_id, of_ada.instance_id);
    assert!(adam.plan().await.unwrap().questions.is_empty(), "once is enough");
    adam.down().await.unwrap();
    assert_eq!(ada.cloud.alive(), alive);
}

#[tokio::test(start_paused = true)]
async fn an_administrators_view_keeps_two_principals_under_one_alias_apart() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.cloud.set_state(bastion::InstanceState::Terminated);
    rig.cloud.add_group(group("sg-mallory", NAME, "vpc-2", tags(MALLORY)));
    let parts = plan_gc_all(rig.cloud.stock("shop").await.unwrap(), rig.clock.now());
    let of = |principal: &str| {
        let part = parts.iter().find(|part| part.identity.principal.as_str() == principal).unwrap();
        (part.leftovers.lines().len(), part.leftovers.warnings.len())
    };
    assert_eq!((parts.len(), of(MALLORY), of("AROAEXAMPLE:ada@example.com")), (2, (1, 0), (3, 0)));
    bastion::gc_all(&rig.workshop(&|_| {}), &parts).await.unwrap();
    assert_eq!(rig.cloud.alive(), Vec::<String>::new());
    rig.up().await.unwrap();
    assert_eq!(rig.count(), COMPLETE);
}

#[tokio::test(start_paused = true)]
async fn a_login_with_another_role_forgets_no_keys_that_are_in_use() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    let alive = rig.cloud.alive();
    rig.cloud.log_in("AROAADMIN:ada@example.com");
    rig.down().await.unwrap();
    assert_eq!(rig.cloud.alive(), alive);
    rig.cloud.log_in("AROAEXAMPLE:ada@example.com");
    assert!(!rig.plan().await.unwrap().changes(), "the key is still there");
    rig.down().await.unwrap();
    assert_eq!(rig.cloud.alive(), Vec::<String>::new());
}
