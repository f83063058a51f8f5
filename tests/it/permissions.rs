//! The policies in `templates/iam`: enough for every call that devdb makes, and for little else.

use crate::support::policy::{ACCOUNT, DB_RESOURCE_ID, DB_USER, Places, Policy, REGION, Request, text};
use std::collections::BTreeMap;

const NAMES: [&str; 3] = ["connect", "provision", "admin"];

fn places() -> Places {
    Places {
        user_id: "AROA1:ada@example.com".to_owned(),
        writer_group: "sg-writer".to_owned(),
        vpc: "vpc-1".to_owned(),
        cluster: "appdb".to_owned(),
        secret_arn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-Ab12Cd".to_owned(),
    }
}

fn request(action: &str, resource: &str, context: &[(&str, &str)]) -> Request {
    Request {
        action: action.to_owned(),
        resource: format!("arn:aws:ec2:{REGION}:{ACCOUNT}:{resource}"),
        context: context
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

#[test]
fn a_policy_fits_into_what_iam_takes() {
    for name in NAMES {
        let length = text(name).chars().filter(|letter| !letter.is_whitespace()).count();
        // IAM and STS quotas: 6144 characters for a managed policy, white space not counted.
        assert!(length < 6144, "{name}: {length}");
    }
}

#[test]
fn every_action_is_named_in_full() {
    let actions = Policy::of(&NAMES, &places()).actions();
    assert!(actions.len() > 20 && actions.iter().all(|action| !action.contains('*')), "{actions:?}");
}

#[test]
fn a_developer_may_end_their_own_things_and_nobody_elses() {
    let developer = Policy::of(&["connect", "provision"], &places());
    let admin = Policy::of(&NAMES, &places());
    let tags = |project, principal| {
        [("aws:ResourceTag/devdb:project", project), ("aws:ResourceTag/devdb:principal", principal)]
    };
    let (mine, theirs, other) = (
        tags("shop", "AROA1:ada@example.com"),
        tags("shop", "AROA1:grace@example.com"),
        tags("blog", "AROA1:ada@example.com"),
    );
    for (action, resource) in [
        ("ec2:TerminateInstances", "instance/i-1"),
        ("ec2:DeleteKeyPair", "key-pair/devdb-shop-dev-ada"),
        ("ec2:DeleteSecurityGroup", "security-group/sg-1"),
        ("ec2:RevokeSecurityGroupIngress", "security-group/sg-1"),
        ("ec2:GetConsoleOutput", "instance/i-1"),
    ] {
        assert!(developer.allows(&request(action, resource, &mine)), "{action}");
        for tags in [theirs.as_slice(), &other, &[]] {
            assert!(!developer.allows(&request(action, resource, tags)), "{action} {tags:?}");
        }
        // The administrator of leftovers ends no bastion that stands, and does not look into it.
        let is_the_owners = ["ec2:TerminateInstances", "ec2:GetConsoleOutput"].contains(&action);
        assert_eq!(admin.allows(&request(action, resource, &theirs)), !is_the_owners, "{action}");
        assert!(!admin.allows(&request(action, resource, &other)) && !admin.allows(&request(action, resource, &[])));
    }
}

#[test]
fn what_is_made_must_carry_the_makers_name_and_be_hardened() {
    let developer = Policy::of(&["connect", "provision"], &places());
    let connect = Policy::of(&["connect"], &places());
    let ours = [
        ("aws:RequestTag/devdb:project", "shop"),
        ("aws:RequestTag/devdb:principal", "AROA1:ada@example.com"),
        ("ec2:InstanceType", "t2.micro"),
        ("ec2:MetadataHttpTokens", "required"),
        ("ec2:Encrypted", "true"),
    ];
    for (action, resource) in [
        ("ec2:RunInstances", "instance/*"),
        ("ec2:RunInstances", "volume/*"),
        ("ec2:CreateSecurityGroup", "security-group/*"),
        ("ec2:ImportKeyPair", "key-pair/devdb-shop-dev-ada"),
    ] {
        assert!(developer.allows(&request(action, resource, &ours)), "{action} {resource}");
        assert!(!connect.allows(&request(action, resource, &ours)), "{action} {resource}");
        let mut strangers = ours;
        strangers[1].1 = "AROA1:grace@example.com";
        assert!(!developer.allows(&request(action, resource, &strangers)), "{action} {resource}");
        assert!(!developer.allows(&request(action, resource, &ours[1..])), "{action} {resource}");
    }
    for (resource, key, value) in [
        ("instance/*", "ec2:InstanceType", "p5.48xlarge"),
        ("instance/*", "ec2:MetadataHttpTokens", "optional"),
        ("volume/*", "ec2:Encrypted", "false"),
    ] {
        let mut loose = ours;
        loose.iter_mut().filter(|(known, _)| *known == key).for_each(|(_, known)| *known = value);
        assert!(!developer.allows(&request("ec2:RunInstances", resource, &loose)), "{key}");
    }
    let into = "ec2:AuthorizeSecurityGroupIngress";
    assert!(developer.allows(&request(into, "security-group/sg-writer", &[])));
    assert!(!developer.allows(&request(into, "security-group/sg-another", &[])));
    let tagged = |key| request("ec2:CreateTags", "instance/i-1", &[ours_tag(), ("aws:TagKeys", key)]);
    assert!(developer.allows(&tagged("devdb:expires-at")));
    assert!(
        !developer.allows(&tagged("devdb:principal")) && !developer.allows(&tagged("devdb:expires-at,devdb:owner"))
    );
}

#[test]
fn a_token_lets_one_user_into_one_cluster() {
    let developer = Policy::of(&["connect"], &places());
    // RDS checks it, not a call: Aurora user guide, "Creating and using an IAM policy for IAM database access".
    let login = |cluster: &str, user: &str| Request {
        action: "rds-db:connect".to_owned(),
        resource: format!("arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{cluster}/{user}"),
        context: BTreeMap::new(),
    };
    assert!(developer.allows(&login(DB_RESOURCE_ID, DB_USER)));
    assert!(!developer.allows(&login(DB_RESOURCE_ID, "postgres")));
    assert!(!developer.allows(&login("cluster-ANOTHER", DB_USER)));
}

fn ours_tag() -> (&'static str, &'static str) {
    ("aws:ResourceTag/devdb:principal", "AROA1:ada@example.com")
}
