//! From a stack's name to the topology.

use devdb::discovery::{DiscoveryError, StackResource, Topology, Wanted, discover};
use devdb::testing::FakeCloud;

fn wanted() -> Wanted {
    Wanted { stack: Some("AppDbStack".to_owned()), subnet_name: Some("Ingress".to_owned()), ..Wanted::default() }
}

fn resource(logical_id: &str, physical_id: &str, kind: &str) -> StackResource {
    StackResource { logical_id: logical_id.to_owned(), physical_id: physical_id.to_owned(), kind: kind.to_owned() }
}

async fn found(cloud: &FakeCloud, wanted: &Wanted) -> Result<Topology, DiscoveryError> {
    discover(cloud, wanted).await
}

#[tokio::test]
async fn a_stacks_name_is_enough() {
    let cloud = FakeCloud::default();
    let topology = found(&cloud, &wanted()).await.unwrap();
    assert_eq!(topology.vpc_id, "vpc-1");
    let subnets: Vec<&str> = topology.ingress_subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    assert_eq!(subnets, ["subnet-ingress-2", "subnet-ingress-1"], "the writer stands in zone b");
    assert_eq!(topology.database_cidrs, ["10.0.4.0/24", "10.0.5.0/24"]);
    assert_eq!(topology.cluster.writer().unwrap().instance_id, "appdb-2");
    assert!(topology.secret.unwrap().contains(":secret:app/db"));
    assert_eq!(cloud.calls().len(), 5);
}

#[tokio::test]
async fn the_writer_is_found_after_a_failover() {
    let cloud = FakeCloud::default();
    cloud.fail_over("appdb", "appdb-1");
    let topology = found(&cloud, &wanted()).await.unwrap();
    assert_eq!(topology.cluster.writer().unwrap().instance_id, "appdb-1");
    assert_eq!(topology.ingress_subnets[0].id, "subnet-ingress-1");
    cloud.fail_over("appdb", "nobody");
    assert!(matches!(found(&cloud, &wanted()).await, Err(DiscoveryError::NoWriter { .. })));
}

#[tokio::test]
async fn nested_stacks_are_followed() {
    let cloud = FakeCloud::default();
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nested";
    cloud.set_stack("AppDbStack", vec![resource("Nested", "arn:nested", "AWS::CloudFormation::Stack")]);
    cloud.set_stack(
        "arn:nested",
        vec![resource("Db", "appdb", "AWS::RDS::DBCluster"), resource("Secret", secret, "AWS::SecretsManager::Secret")],
    );
    let topology = found(&cloud, &wanted()).await.unwrap();
    assert_eq!(topology.cluster.id, "appdb");
    assert_eq!(topology.secret.as_deref(), Some(secret));
}

#[tokio::test]
async fn what_cannot_be_decided_carries_the_candidates() {
    let cloud = FakeCloud::default();
    cloud.set_stack(
        "AppDbStack",
        vec![
            resource("A", "appdb", "AWS::RDS::DBCluster"),
            resource("B", "blogdb", "AWS::RDS::DBCluster"),
            resource("S1", "arn:one", "AWS::SecretsManager::Secret"),
            resource("S2", "arn:two", "AWS::SecretsManager::Secret"),
        ],
    );
    let error = found(&cloud, &wanted()).await.unwrap_err();
    let DiscoveryError::Ambiguous { key: "cluster", candidates, .. } = error else { panic!("{error}") };
    assert_eq!(candidates, ["appdb", "blogdb"]);
    let with_cluster = Wanted { cluster: Some("appdb".to_owned()), ..wanted() };
    let error = found(&cloud, &with_cluster).await.unwrap_err();
    assert!(matches!(error, DiscoveryError::Ambiguous { key: "secret", .. }), "{error}");
    let with_both = Wanted { secret: Some("arn:two".to_owned()), ..with_cluster };
    cloud.forget_calls();
    assert_eq!(found(&cloud, &with_both).await.unwrap().secret.as_deref(), Some("arn:two"));
    assert_eq!(cloud.calls().len(), 4, "with everything named, the stack is not asked");
}

#[tokio::test]
async fn stacks_in_stacks_in_stacks_are_found_level_by_level() {
    let cloud = FakeCloud::default();
    let nested = |name: &str| resource(name, &format!("arn:{name}"), "AWS::CloudFormation::Stack");
    cloud.set_stack("AppDbStack", vec![nested("Storage"), nested("Queues")]);
    cloud.set_stack("arn:Storage", vec![nested("Database")]);
    cloud.set_stack("arn:Queues", Vec::new());
    cloud.set_stack("arn:Database", vec![resource("Db", "appdb", "AWS::RDS::DBCluster")]);
    assert_eq!(found(&cloud, &wanted()).await.unwrap().cluster.id, "appdb");
    let lists = cloud.calls().iter().filter(|call| **call == "cloudformation:ListStackResources").count();
    assert_eq!(lists, 4);
}

#[tokio::test]
async fn a_vpc_that_is_named_must_be_there_and_be_the_clusters() {
    let cloud = FakeCloud::default();
    let named = |vpc: &str| Wanted { vpc: Some(vpc.to_owned()), ..wanted() };
    assert_eq!(found(&cloud, &named("vpc-1")).await.unwrap().vpc_id, "vpc-1");
    let error = found(&cloud, &named("vpc-9")).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no VPC `vpc-9` in eu-west-1");
    cloud.add_vpc("vpc-2");
    let error = found(&cloud, &named("vpc-2")).await.unwrap_err();
    assert_eq!(error.to_string(), "cluster `appdb` stands in vpc-1, not in the VPC that is named, vpc-2");
    assert_eq!(found(&cloud, &wanted()).await.unwrap().vpc_id, "vpc-1", "of two VPCs, the cluster's");
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let cloud = FakeCloud::default();
    let nowhere = Wanted { stack: Some("Nope".to_owned()), ..wanted() };
    let error = found(&cloud, &nowhere).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no stack `Nope` in eu-west-1");
    let no_cluster = Wanted { cluster: Some("nope".to_owned()), ..wanted() };
    let error = found(&cloud, &no_cluster).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no cluster `nope` in eu-west-1");
    cloud.set_stack("AppDbStack", Vec::new());
    assert!(matches!(found(&cloud, &wanted()).await, Err(DiscoveryError::NoCluster { .. })));
    assert!(matches!(found(&cloud, &Wanted::default()).await, Err(DiscoveryError::NothingNamed)));
}
