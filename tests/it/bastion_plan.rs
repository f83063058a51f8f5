//! The decisions alone: what is seen on the left, what is planned on the right.

use crate::bastion_rig::{scope, spec};
use devdb::bastion::{
    BastionError, BastionSpec, Direction, EXPIRES_AT, Generation, Group, Identity, Instance, InstanceState, KeyPair,
    Observed, Offer, Plan, Principal, Rule, RuleSource, SPEC, Step, Tags, plan_down, plan_up,
};

fn identity() -> Identity {
    Identity { scope: scope("ada"), principal: Principal::from_user_id("AIDAADA") }
}

fn now() -> jiff::Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn tags() -> Tags {
    let mut tags = Tags::from([("devdb:principal".to_owned(), "AIDAADA".to_owned())]);
    for (key, value) in scope("ada").filters() {
        tags.insert(key.to_owned(), value.to_owned());
    }
    tags
}

fn generation() -> Generation {
    Generation {
        public_key: "ssh-ed25519 AAAAmine devdb".to_owned(),
        host_public_key: "ssh-ed25519 AAAAhost devdb".to_owned(),
        expires_at: "2026-01-02T15:04:05Z".parse().unwrap(),
        spec_hash: spec().hash().unwrap(),
        key_pair_id: Some("key-1".to_owned()),
        key_pair_name: None,
        instance_id: Some("i-1".to_owned()),
        place: None,
    }
}

fn rule(id: &str, group_id: &str, direction: Direction, port: u16, cidr: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        group_id: group_id.to_owned(),
        direction,
        port: Some(port),
        source: RuleSource::Cidr(cidr.to_owned()),
        tags: tags(),
    }
}

/// A bastion as `up` leaves it.
fn complete() -> Observed {
    let mut instance_tags = tags();
    instance_tags.insert(SPEC.to_owned(), spec().hash().unwrap());
    instance_tags.insert(EXPIRES_AT.to_owned(), "2026-01-02T15:04:05Z".to_owned());
    Observed {
        condemned: None,
        instances: vec![Instance {
            id: "i-1".to_owned(),
            state: InstanceState::Running,
            instance_type: "t2.micro".to_owned(),
            subnet_id: Some("subnet-ingress-2".to_owned()),
            public_ip: Some([203, 0, 113, 1].into()),
            public_dns: None,
            private_ip: Some([10, 0, 1, 10].into()),
            launched_at: Some(now()),
            state_reason: None,
            client_token: Some(generation().client_token()),
            group_ids: vec!["sg-1".to_owned()],
            tags: instance_tags,
        }],
        groups: vec![Group {
            id: "sg-1".to_owned(),
            name: "devdb-shop-dev-ada".to_owned(),
            vpc_id: "vpc-1".to_owned(),
            open_egress: false,
            tags: tags(),
        }],
        rules: vec![
            rule("sgr-ssh", "sg-1", Direction::Ingress, 22, "198.51.100.7/32"),
            rule("sgr-out-1", "sg-1", Direction::Egress, 5432, "10.0.4.0/24"),
            rule("sgr-out-2", "sg-1", Direction::Egress, 5432, "10.0.5.0/24"),
            rule("sgr-db", "sg-database", Direction::Ingress, 5432, "10.0.1.10/32"),
        ],
        key_pairs: vec![KeyPair {
            id: "key-1".to_owned(),
            name: "devdb-shop-dev-ada".to_owned(),
            public_key: Some("ssh-ed25519 AAAAmine".to_owned()),
            created_at: None,
            tags: tags(),
        }],
        generation: Some(generation()),
        local_files: true,
        database_rules: Vec::new(),
        here: Default::default(),
        kept_for: None,
        offers: vec![Offer { zone: "eu-west-1b".to_owned(), instance_type: "t2.micro".to_owned() }],
    }
}

fn planned(change: impl FnOnce(&mut Observed, &mut BastionSpec)) -> Result<Plan, BastionError> {
    let (mut observed, mut spec) = (complete(), spec());
    change(&mut observed, &mut spec);
    plan_up(&identity(), &spec, &observed, now())
}

#[test]
fn each_thing_that_is_missing_or_wrong_is_mended_alone() {
    type Change = fn(&mut Observed, &mut BastionSpec);
    let table: [(&str, Change, &[&str]); 12] = [
        ("complete", |_, _| {}, &[]),
        ("no key pair", |seen, _| seen.key_pairs.clear(), &["import the public key as key pair devdb-shop-dev-ada"]),
        ("open egress", |seen, _| seen.groups[0].open_egress = true, &["close the group's outgoing side"]),
        ("no ssh rule", |seen, _| drop(seen.rules.remove(0)), &["let 198.51.100.7/32 reach the bastion's port 22"]),
        (
            "one way out missing",
            |seen, _| drop(seen.rules.remove(1)),
            &["let the bastion reach port 5432 of the database's subnets (10.0.4.0/24)"],
        ),
        (
            "no database rule",
            |seen, _| drop(seen.rules.remove(3)),
            &[
                "let the bastion's private address 10.0.1.10/32 reach port 5432 in the writer's security group sg-database",
            ],
        ),
        (
            "a rule of an instance that is gone",
            |seen, _| seen.rules.push(rule("sgr-old", "sg-database", Direction::Ingress, 5432, "10.0.1.9/32")),
            &["revoke the old database rule sgr-old in sg-database"],
        ),
        (
            "somebody else's rule in the writer's group",
            |seen, _| {
                let mut foreign = rule("sgr-foreign", "sg-database", Direction::Ingress, 5432, "10.0.1.9/32");
                foreign.tags.clear();
                seen.rules.push(foreign);
            },
            &[],
        ),
        (
            "the cluster's port has moved",
            |seen, spec| {
                spec.site.port = 5433;
                let hash = spec.hash().unwrap();
                seen.instances[0].tags.insert(SPEC.to_owned(), hash);
            },
            &[
                "let the bastion reach port 5433 of the database's subnets (10.0.4.0/24, 10.0.5.0/24)",
                "let the bastion's private address 10.0.1.10/32 reach port 5433 in the writer's security group sg-database",
                "revoke the outdated rule sgr-out-1 in sg-1",
                "revoke the outdated rule sgr-out-2 in sg-1",
                "revoke the old database rule sgr-db in sg-database",
            ],
        ),
        ("stopped", |seen, _| seen.instances[0].state = InstanceState::Stopped, &["start the stopped instance i-1"]),
        (
            "two instances of one launch",
            |seen, _| {
                let mut second = seen.instances[0].clone();
                second.id = "i-2".to_owned();
                second.state = InstanceState::Pending;
                seen.instances.push(second);
            },
            &["terminate instance i-2 (one is enough)"],
        ),
        (
            "a group left in another VPC",
            |seen, _| {
                let group = Group { id: "sg-2".to_owned(), vpc_id: "vpc-2".to_owned(), ..seen.groups[0].clone() };
                seen.groups.push(group);
            },
            &["delete security group devdb-shop-dev-ada (sg-2)"],
        ),
    ];
    for (name, change, wanted) in table {
        let plan = planned(change).unwrap();
        assert_eq!(plan.lines(), wanted, "{name}");
        assert!(plan.questions.is_empty(), "{name}: {:?}", plan.questions);
    }
}

#[test]
fn what_replaces_something_of_the_users_own_is_asked() {
    type Change = fn(&mut Observed, &mut BastionSpec);
    let table: [(Change, &str); 5] = [
        (|seen, _| seen.generation = None, "replace instance i-1: its key is not on this computer?"),
        (
            |_, spec| spec.kms_key = Some("alias/mine".to_owned()),
            "replace instance i-1: it was made from other settings?",
        ),
        (
            |seen, _| {
                seen.key_pairs[0].public_key = Some("ssh-ed25519 AAAAother".to_owned());
            },
            "replace instance i-1: another computer has put its own key in place?",
        ),
        (
            |seen, _| {
                seen.instances.clear();
                seen.generation = None;
            },
            "replace key pair devdb-shop-dev-ada: it was made on another computer?",
        ),
        (
            |seen, _| {
                seen.instances[0].state = InstanceState::Terminated;
                seen.generation = None;
            },
            "replace key pair devdb-shop-dev-ada: it was made on another computer?",
        ),
    ];
    for (change, wanted) in table {
        assert_eq!(planned(change).unwrap().questions, [wanted]);
    }
}

#[test]
fn another_principals_resource_of_any_kind_stays_and_is_told() {
    type Change = fn(&mut Observed);
    let changes: [(Change, &str, &[&str]); 4] = [
        (
            |seen| drop(seen.instances[0].tags.insert("devdb:principal".to_owned(), "AIDAADAM".to_owned())),
            "instance i-1",
            &["terminate", "delete the keys"],
        ),
        (
            |seen| drop(seen.groups[0].tags.insert("devdb:principal".to_owned(), "AIDAADAM".to_owned())),
            "security group sg-1",
            &["delete security group"],
        ),
        (
            |seen| drop(seen.rules[3].tags.insert("devdb:principal".to_owned(), "AIDAADAM".to_owned())),
            "rule sgr-db in sg-database",
            &["revoke the database rule"],
        ),
        (
            |seen| drop(seen.key_pairs[0].tags.insert("devdb:principal".to_owned(), "AIDAADAM".to_owned())),
            "key pair devdb-shop-dev-ada",
            &["delete the keys"],
        ),
    ];
    let all = plan_down(&identity(), &complete(), now()).unwrap().lines();
    for (change, what, gone) in changes {
        let told = [format!("{what} is another AWS principal's (AIDAADAM) under the alias `ada`; it stays")];
        assert_eq!(planned(|seen, _| change(seen)).unwrap().warnings[..1], told);
        let mut seen = complete();
        change(&mut seen);
        let plan = plan_down(&identity(), &seen, now()).unwrap();
        assert_eq!(plan.warnings, told);
        let touches = |line: &String| gone.iter().any(|begin| line.starts_with(begin));
        let left = plan.lines();
        assert!(!left.iter().any(touches), "{what}: {left:?}");
        // The rules of our own group go with it; without the group they go alone.
        let rest = all.iter().filter(|line| !touches(line)).filter(|line| !line.contains("once i-1 is gone"));
        assert!(rest.clone().count() >= 2 && rest.clone().all(|line| left.contains(line)), "{what}: {left:?}");
    }
    // An instance that is gone is told no more.
    let mut seen = complete();
    seen.instances[0].state = InstanceState::Terminated;
    seen.instances[0].tags.insert("devdb:principal".to_owned(), "AIDAADAM".to_owned());
    assert_eq!(plan_down(&identity(), &seen, now()).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn down_takes_the_access_first_and_leaves_what_is_not_ours() {
    let mut seen = complete();
    let mut foreign = rule("sgr-foreign", "sg-database", Direction::Ingress, 5432, "10.0.1.9/32");
    foreign.tags.clear();
    seen.rules.push(foreign);
    seen.groups.push(Group { id: "sg-foreign".to_owned(), tags: Tags::new(), ..seen.groups[0].clone() });
    let plan = plan_down(&identity(), &seen, now()).unwrap();
    assert_eq!(
        plan.lines(),
        [
            "revoke the database rule sgr-db in sg-database",
            "terminate instance i-1",
            "delete security group devdb-shop-dev-ada (sg-1), once i-1 is gone",
            "delete key pair devdb-shop-dev-ada",
            "delete the keys on this computer",
        ]
    );
    assert!(plan_down(&identity(), &Observed::default(), now()).unwrap().steps.is_empty());
}

#[test]
fn down_waits_for_an_instance_by_its_group_or_else_by_itself_and_knows_the_key_pair_of_its_own_instance() {
    let steps = |change: fn(&mut Observed)| {
        let mut seen = complete();
        change(&mut seen);
        plan_down(&identity(), &seen, now()).unwrap().steps
    };
    let waits = |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::AwaitTermination { .. }));
    let carried = |steps: &[Step]| {
        steps.iter().any(|step| matches!(step, Step::DeleteGroup { carriers, .. } if carriers == &["i-1"]))
    };
    let of_its_group = steps(|_| {});
    assert!(carried(&of_its_group) && !waits(&of_its_group));
    let of_none = steps(|seen| seen.instances[0].group_ids.clear());
    assert!(!carried(&of_none) && waits(&of_none));

    let deletes_key_pair =
        |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::DeleteKeyPair { id, .. } if id == "key-1"));
    assert!(deletes_key_pair(&steps(|seen| seen.key_pairs.clear())));
    assert!(!deletes_key_pair(&steps(|seen| {
        seen.key_pairs.clear();
        seen.instances[0].state = InstanceState::Terminated;
    })));
    assert!(!deletes_key_pair(&steps(|seen| {
        seen.key_pairs.clear();
        seen.generation.as_mut().unwrap().key_pair_id = None;
    })));
}
