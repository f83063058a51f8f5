//! What the workshops rely on, told once and checked twice: on the fake, and on the AWS adapter against a real API.
//!
//! The second run takes place on the sandbox, with the stack `AppDbStack`; outside of it the test starts itself there.

use devdb::bastion::{Direction, EXPIRES_AT, Instance, InstanceState, Launch, NewRule, Rule, RuleSource, Scope, Tags};
use devdb::connection::DatabaseSecret;
use devdb::discovery::{Topology, Wanted, discover};
use devdb::host::Aws;
use devdb::system::CloudError;
use devdb::testing::FakeCloud;
use std::time::Duration;

const STACK: &str = "AppDbStack";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH6RSvqDlPxJGsvmUxnVvzMQZMT9tYZLuaJvpmR9zzYS contract";

fn scope(owner: &str) -> Scope {
    Scope { project: "contract".to_owned(), environment: "dev".to_owned(), owner: owner.to_owned() }
}

fn tags(owner: &str) -> Tags {
    let mut tags = Tags::from([("Name".to_owned(), format!("{owner}-db-bastion"))]);
    for (key, value) in scope(owner).filters() {
        tags.insert(key.to_owned(), value.to_owned());
    }
    tags
}

/// States move by themselves or with every look; both get there.
async fn until(cloud: &dyn Aws, id: &str, wanted: InstanceState) -> Instance {
    for _ in 0..240 {
        match cloud.instance(id).await.unwrap() {
            Some(instance) if instance.state == wanted => return instance,
            _ => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
    panic!("{id} never became {wanted:?}");
}

async fn topology(cloud: &dyn Aws) -> Topology {
    let wanted = Wanted { stack: Some(STACK.to_owned()), subnet_name: Some("Ingress".to_owned()), ..Wanted::default() };
    discover(cloud, &wanted).await.unwrap()
}

async fn contract(cloud: &dyn Aws, owner: &str) {
    inventory(cloud).await;
    key_pairs(cloud, owner).await;
    let place = topology(cloud).await;
    groups_and_rules(cloud, owner, &place).await;
    instances(cloud, owner, &place).await;
}

async fn inventory(cloud: &dyn Aws) {
    let caller = cloud.caller().await.unwrap();
    assert!(!caller.user_id.is_empty() && caller.arn.starts_with("arn:"), "{caller:?}");
    assert_eq!(caller.account.len(), 12);
    assert!(matches!(cloud.stack_resources("no-such-stack").await, Err(CloudError::NotFound { .. })));
    assert!(matches!(cloud.cluster("no-such-cluster").await, Err(CloudError::NotFound { .. })));
    assert!(matches!(cloud.secret("no-such-secret").await, Err(CloudError::NotFound { .. })));
    let found = topology(cloud).await;
    let writer = found.cluster.writer().unwrap();
    assert!(!writer.security_group_ids.is_empty());
    assert_eq!(found.ingress_subnets[0].zone, writer.zone.clone().unwrap(), "the writer's zone comes first");
    assert_eq!(found.ingress_subnets.len(), 2);
    assert_eq!(found.database_cidrs.len(), 2);
    assert_eq!(found.cluster.port, 5432);
    assert!(found.cluster.writer_endpoint.contains(".cluster-"));
    let content = cloud.secret(&found.secret.unwrap()).await.unwrap();
    assert!(!DatabaseSecret::read(&content).unwrap().password.reveal().is_empty());
}

async fn key_pairs(cloud: &dyn Aws, owner: &str) {
    let name = scope(owner).resource_name();
    assert_eq!(cloud.key_pairs(&name).await.unwrap(), []);
    let id = cloud.import_key_pair(&name, KEY, &tags(owner)).await.unwrap();
    let pair = cloud.key_pairs(&name).await.unwrap().remove(0);
    assert_eq!((pair.tags, &pair.id), (tags(owner), &id));
    let blob = |key: &str| key.split_whitespace().nth(1).map(str::to_owned);
    assert_eq!(pair.public_key.as_deref().and_then(blob), blob(KEY));
    let again = cloud.import_key_pair(&name, KEY, &tags(owner)).await.unwrap_err();
    assert!(again.is_code("InvalidKeyPair.Duplicate"), "{again}");
    // What stands in for the name is found, and what only begins like it is not.
    let (second, longer) = (format!("{name}.2"), format!("{name}2"));
    let second_id = cloud.import_key_pair(&second, KEY, &tags(owner)).await.unwrap();
    let longer_id = cloud.import_key_pair(&longer, KEY, &tags(owner)).await.unwrap();
    let mut found: Vec<_> = cloud.key_pairs(&name).await.unwrap().into_iter().map(|pair| pair.name).collect();
    found.sort();
    assert_eq!(found, [name.clone(), second]);
    cloud.delete_key_pair(&second_id).await.unwrap();
    cloud.delete_key_pair(&longer_id).await.unwrap();
    cloud.delete_key_pair(&id).await.unwrap();
    cloud.delete_key_pair(&id).await.unwrap();
    assert_eq!(cloud.key_pairs(&name).await.unwrap(), []);
}

async fn groups_and_rules(cloud: &dyn Aws, owner: &str, place: &Topology) {
    let name = scope(owner).resource_name();
    assert_eq!(cloud.groups(&name).await.unwrap(), []);
    let id = cloud.create_group(&name, &place.vpc_id, "devdb contract", &tags(owner)).await.unwrap();
    let again = cloud.create_group(&name, &place.vpc_id, "devdb contract", &tags(owner)).await.unwrap_err();
    assert!(again.is_code("InvalidGroup.Duplicate"), "{again}");
    let group = cloud.groups(&name).await.unwrap().remove(0);
    assert_eq!((&group.id, &group.vpc_id, &group.tags), (&id, &place.vpc_id, &tags(owner)));
    assert!(group.open_egress);
    let second = cloud.create_group(&format!("{name}.2"), &place.vpc_id, "devdb contract", &tags(owner)).await.unwrap();
    let longer = cloud.create_group(&format!("{name}2"), &place.vpc_id, "devdb contract", &tags(owner)).await.unwrap();
    let mut found: Vec<_> = cloud.groups(&name).await.unwrap().into_iter().map(|group| group.id).collect();
    found.sort();
    let mut wanted = [id.clone(), second.clone()];
    wanted.sort();
    assert_eq!(found, wanted);
    cloud.delete_group(&second).await.unwrap();
    cloud.delete_group(&longer).await.unwrap();
    cloud.close_egress(&id, true).await.unwrap();
    cloud.close_egress(&id, false).await.unwrap();
    assert!(!cloud.groups(&name).await.unwrap()[0].open_egress);

    let cidr = |text: &str| RuleSource::Cidr(text.to_owned());
    let rule = |group_id: &str, direction, port, sources: Vec<RuleSource>| NewRule {
        group_id: group_id.to_owned(),
        direction,
        port,
        sources,
        description: "devdb contract".to_owned(),
        tags: tags(owner),
    };
    let ssh = rule(&id, Direction::Ingress, 22, vec![cidr("198.51.100.7/32"), cidr("198.51.100.8/32")]);
    assert_eq!(cloud.authorize(&ssh).await.unwrap().len(), 2);
    assert_eq!(cloud.authorize(&ssh).await.unwrap(), Vec::<String>::new());
    let one_more = rule(&id, Direction::Ingress, 22, vec![cidr("198.51.100.7/32"), cidr("198.51.100.9/32")]);
    assert_eq!(cloud.authorize(&one_more).await.unwrap().len(), 1, "one that is there already keeps no other away");
    let out = rule(&id, Direction::Egress, 5432, vec![cidr("10.0.4.0/24")]);
    assert_eq!(cloud.authorize(&out).await.unwrap().len(), 1);
    let database = place.cluster.writer().unwrap().security_group_ids[0].clone();
    let into = rule(&database, Direction::Ingress, 5432, vec![RuleSource::Group(id.clone())]);
    let into_id = cloud.authorize(&into).await.unwrap().remove(0);

    let rules = cloud.rules(&scope(owner)).await.unwrap();
    let facts = |rule: &Rule| (rule.group_id.clone(), rule.direction, rule.port, rule.source.clone());
    let mut seen: Vec<_> = rules.iter().map(facts).collect();
    let mut wanted = vec![
        (id.clone(), Direction::Ingress, Some(22), cidr("198.51.100.7/32")),
        (id.clone(), Direction::Ingress, Some(22), cidr("198.51.100.8/32")),
        (id.clone(), Direction::Ingress, Some(22), cidr("198.51.100.9/32")),
        (id.clone(), Direction::Egress, Some(5432), cidr("10.0.4.0/24")),
        (database.clone(), Direction::Ingress, Some(5432), RuleSource::Group(id.clone())),
    ];
    seen.sort_by_key(|facts| format!("{facts:?}"));
    wanted.sort_by_key(|facts| format!("{facts:?}"));
    assert_eq!(seen, wanted);
    assert!(rules.iter().all(|rule| rule.tags == tags(owner)));
    assert_eq!(cloud.rules(&scope("somebody-else")).await.unwrap(), []);

    let stock = cloud.stock("contract").await.unwrap();
    assert!(rules.iter().all(|rule| stock.rules.contains(rule)), "{stock:?}");

    let in_database = cloud.rules_of(&database).await.unwrap();
    let seen = in_database.iter().find(|rule| rule.id == into_id).unwrap();
    assert_eq!(facts(seen), facts(rules.iter().find(|rule| rule.id == into_id).unwrap()));
    assert!(in_database.iter().all(|rule| rule.group_id == database));

    let blocked = cloud.delete_group(&id).await.unwrap_err();
    assert!(blocked.is_code("DependencyViolation"), "the database's group refers to it: {blocked}");
    let into = rules.iter().find(|rule| rule.id == into_id).unwrap();
    cloud.revoke(into).await.unwrap();
    cloud.revoke(into).await.unwrap();
    let out = rules.iter().find(|rule| rule.direction == Direction::Egress).unwrap();
    cloud.revoke(out).await.unwrap();
    assert_eq!(cloud.rules(&scope(owner)).await.unwrap().len(), 3);
    cloud.delete_group(&id).await.unwrap();
    cloud.delete_group(&id).await.unwrap();
    assert_eq!(cloud.groups(&name).await.unwrap(), []);
    assert_eq!(cloud.rules(&scope(owner)).await.unwrap(), []);
}

async fn instances(cloud: &dyn Aws, owner: &str, place: &Topology) {
    let name = scope(owner).resource_name();
    let subnet = &place.ingress_subnets[0];
    let types = ["t2.micro".to_owned(), "no.such".to_owned()];
    let offers = cloud.offers(&types, std::slice::from_ref(&subnet.zone)).await.unwrap();
    assert_eq!(offers.len(), 1);
    assert_eq!((&offers[0].zone, offers[0].instance_type.as_str()), (&subnet.zone, "t2.micro"));

    let key_pair_id = cloud.import_key_pair(&name, KEY, &tags(owner)).await.unwrap();
    let group_id = cloud.create_group(&name, &place.vpc_id, "devdb contract", &tags(owner)).await.unwrap();
    let launch = Launch {
        client_token: format!("contract-{owner}"),
        image: "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64".to_owned(),
        instance_type: "t2.micro".to_owned(),
        subnet_id: subnet.id.clone(),
        group_id: group_id.clone(),
        key_name: name.clone(),
        kms_key: None,
        user_data: "#cloud-config\n".to_owned().into(),
        tags: tags(owner),
    };
    let first = cloud.launch(&launch).await.unwrap();
    assert_eq!(cloud.launch(&launch).await.unwrap().id, first.id, "same token, same instance");
    let other = Launch { instance_type: "t3.micro".to_owned(), ..launch.clone() };
    let mismatch = cloud.launch(&other).await.unwrap_err();
    assert!(mismatch.is_code("IdempotentParameterMismatch"), "{mismatch}");
    assert!(first.private_ip.is_some(), "known at once: the database's rule needs it");
    let instance = until(cloud, &first.id, InstanceState::Running).await;
    assert!(instance.public_ip.is_some() && instance.launched_at.is_some());
    assert_eq!(instance.tags, tags(owner));
    for value in ["2026-01-02T03:04:05Z", "2026-01-02T15:04:05Z"] {
        cloud.tag_instance(&first.id, EXPIRES_AT, value).await.unwrap();
        let mut wanted = tags(owner);
        wanted.insert(EXPIRES_AT.to_owned(), value.to_owned());
        assert_eq!(cloud.instance(&first.id).await.unwrap().unwrap().tags, wanted, "the other tags stay");
    }
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while cloud.console(&first.id).await.unwrap().is_none_or(|text| text.trim().is_empty()) {
        assert!(std::time::Instant::now() < end, "nothing on the console");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(cloud.console("i-0123456789abcdef0").await.unwrap(), None);
    assert_eq!(instance.client_token, Some(launch.client_token.clone()));
    assert_eq!(instance.subnet_id.as_ref(), Some(&subnet.id));
    assert_eq!(cloud.instances(&scope(owner)).await.unwrap().len(), 1);
    assert_eq!(cloud.instances(&scope("somebody-else")).await.unwrap(), []);
    assert_eq!(cloud.instance("i-0123456789abcdef0").await.unwrap(), None);

    let stock = cloud.stock("contract").await.unwrap();
    assert!(stock.instances.contains(&cloud.instance(&first.id).await.unwrap().unwrap()), "{stock:?}");
    assert!(stock.groups.iter().any(|group| group.id == group_id && group.name == name && group.tags == tags(owner)));
    let pair = stock.key_pairs.iter().find(|pair| pair.name == name).unwrap();
    assert!(pair.created_at.is_some() && pair.public_key.is_some() && pair.tags == tags(owner), "{pair:?}");
    assert_eq!(cloud.stock("no-such-project").await.unwrap(), Default::default());

    let carried = cloud.delete_group(&group_id).await.unwrap_err();
    assert!(carried.is_code("DependencyViolation"), "{carried}");
    cloud.terminate(&first.id).await.unwrap();
    cloud.terminate(&first.id).await.unwrap();
    let gone = until(cloud, &first.id, InstanceState::Terminated).await;
    assert_eq!(gone.public_ip, None);
    cloud.delete_group(&group_id).await.unwrap();
    cloud.delete_key_pair(&key_pair_id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_fake_keeps_the_contract() {
    let cloud = FakeCloud::default();
    cloud.take_time(2);
    contract(&cloud, "fake").await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn the_aws_adapter_keeps_the_contract() {
    let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL") else {
        let itself = "bastion_contract::the_aws_adapter_keeps_the_contract";
        return crate::support::laptop::Laptop::new().repeats(itself);
    };
    let host = devdb::host::Host::from_process();
    let target = devdb::host::AwsTarget { profile: None, region: None };
    let cloud = host.tools.aws(&target).await.unwrap();
    contract(&*cloud, &format!("c{}", std::process::id())).await;
    // In the same test, so that no fault hits another one's calls.
    if std::env::var_os("DEVDB_SANDBOX").is_some() {
        what_is_refused_is_told_in_words(&*cloud, &endpoint).await;
    }
}

/// Needs the sandbox: only its API fails on request.
#[cfg(feature = "aws")]
async fn what_is_refused_is_told_in_words(cloud: &dyn Aws, endpoint: &str) {
    let refused = async |action: &str, service: &str, code: &str, message: &str, count: u32| {
        let fault = format!(
            r#"{{"action":"{action}","service":"{service}","code":"{code}","message":"{message}","status":400,"count":{count}}}"#
        );
        ureq::post(format!("{endpoint}/sandbox/faults")).send(&fault).unwrap();
        match service {
            "ec2" => cloud.groups("nobody").await.unwrap_err(),
            "rds" => cloud.cluster("nobody").await.unwrap_err(),
            "cloudformation" => cloud.stack_resources("nobody").await.unwrap_err(),
            "secretsmanager" => cloud.secret("nobody").await.unwrap_err(),
            _ => cloud.caller().await.map(drop).unwrap_err(),
        }
    };
    let groups = "DescribeSecurityGroups";
    let expired = refused(groups, "ec2", "RequestExpired", "Request has expired.", 1).await;
    assert!(matches!(expired, CloudError::ExpiredCredentials { .. }), "{expired:?}");
    let expired = refused("GetCallerIdentity", "sts", "ExpiredToken", "The security token is expired", 1).await;
    assert!(matches!(expired, CloudError::ExpiredCredentials { .. }), "{expired:?}");
    let expired = refused("GetSecretValue", "secretsmanager", "ExpiredTokenException", "expired", 1).await;
    assert!(matches!(expired, CloudError::ExpiredCredentials { .. }), "{expired:?}");
    let said = "User: ada is not authorized to perform: ec2:DescribeTags because";
    let denied = refused(groups, "ec2", "UnauthorizedOperation", said, 1).await;
    assert!(matches!(&denied, CloudError::Denied { action, .. } if action == "ec2:DescribeTags"), "{denied:?}");
    let denied = refused("GetSecretValue", "secretsmanager", "AccessDeniedException", "no", 1).await;
    assert!(
        matches!(&denied, CloudError::Denied { action, .. } if action == "secretsmanager:GetSecretValue"),
        "{denied:?}"
    );
    let denied = refused("DescribeDBClusters", "rds", "AccessDenied", "no", 1).await;
    assert!(matches!(denied, CloudError::Denied { .. }), "{denied:?}");
    let denied = refused("ListStackResources", "cloudformation", "AccessDenied", "no", 1).await;
    assert!(matches!(denied, CloudError::Denied { .. }), "{denied:?}");
    let said = "AWS was not able to validate the provided access credentials";
    for (action, service, code) in [
        (groups, "ec2", "AuthFailure"),
        ("GetCallerIdentity", "sts", "InvalidClientTokenId"),
        ("GetCallerIdentity", "sts", "SignatureDoesNotMatch"),
        ("GetSecretValue", "secretsmanager", "UnrecognizedClientException"),
    ] {
        let invalid = refused(action, service, code, said, 1).await;
        assert!(matches!(invalid, CloudError::InvalidCredentials { .. }), "{code}: {invalid:?}");
    }
    let throttled = refused(groups, "ec2", "RequestLimitExceeded", "slow down", 4).await;
    assert!(matches!(throttled, CloudError::Throttled { .. }), "{throttled:?}");
    let other = refused(groups, "ec2", "InvalidGroup.Reserved", "no", 1).await;
    assert!(other.is_code("InvalidGroup.Reserved"), "{other:?}");
}
