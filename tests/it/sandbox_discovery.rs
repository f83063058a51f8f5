//! Discovery against a real API: stacks of other shapes than the team's, made beside it.

use crate::support::laptop::{Answer, Laptop};
use serde_json::Value;

/// What `bastion up` would do for a stack, without doing it.
fn plan(laptop: &Laptop, settings: &[(&str, &str)]) -> Answer {
    laptop.devdb_with(settings, "bastion up --dry-run")
}

fn topology(laptop: &Laptop, settings: &[(&str, &str)]) -> Value {
    plan(laptop, settings).expect_code(0);
    serde_json::from_slice::<Value>(&std::fs::read(laptop.state().join("topology.json")).unwrap()).unwrap()["topology"]
        .clone()
}

fn ingress_cidrs(topology: &Value) -> Vec<&str> {
    topology["ingress_subnets"].as_array().unwrap().iter().map(|subnet| subnet["cidr"].as_str().unwrap()).collect()
}

/// The two that the template calls Ingress, the writer's zone first.
const INGRESS: [&str; 2] = ["10.0.0.0/24", "10.0.1.0/24"];

#[test]
fn a_stacks_name_is_enough_however_the_stack_is_made() {
    let laptop = Laptop::new();
    let variants = ["paged", "nested", "untagged_subnets", "named_subnets"];
    laptop.python("variants.py", &variants).expect_code(0);
    laptop.python("failover.py", &["untagged-cluster", "untagged-writer"]).expect_code(0);
    for (stack, cluster) in [
        ("PagedStack", "paged-cluster"),
        ("NestedStack", "nested-cluster"),
        ("UntaggedStack", "untagged-cluster"),
        ("NamedStack", "named-cluster"),
    ] {
        let found = topology(&laptop, &[("DEVDB_STACK", stack)]);
        assert_eq!(found["cluster"]["id"], cluster, "{stack}");
        assert_eq!(ingress_cidrs(&found), INGRESS, "{stack}");
        assert!(found["secret"].as_str().is_some_and(|arn| arn.contains(":secret:")), "{stack}: {found:#}");
        assert_eq!(found["database_cidrs"].as_array().unwrap().len(), 2, "{stack}");
    }
    // The writer moves: its zone is preferred now, and its group is the one that lets in.
    laptop.python("failover.py", &["untagged-cluster", "untagged-reader"]).expect_code(0);
    let found = topology(&laptop, &[("DEVDB_STACK", "UntaggedStack")]);
    assert_eq!(ingress_cidrs(&found), [INGRESS[1], INGRESS[0]]);
    let writer = found["cluster"]["members"].as_array().unwrap().iter().find(|one| one["is_writer"] == true).unwrap();
    assert_eq!(writer["instance_id"], "untagged-reader");
    // Each part by its id, without a stack.
    let id = |key: &str| found[key].as_str().unwrap().to_owned();
    let named = [
        ("DEVDB_VPC", id("vpc_id")),
        ("DEVDB_SECRET", id("secret")),
        ("DEVDB_CLUSTER", "untagged-cluster".to_owned()),
        ("DEVDB_SUBNET_NAME", found["ingress_subnets"][1]["id"].as_str().unwrap().to_owned()),
    ];
    let named: Vec<(&str, &str)> = named.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let by_id = topology(&laptop, &named);
    assert_eq!((&by_id["vpc_id"], &by_id["cluster"]), (&found["vpc_id"], &found["cluster"]));
    assert_eq!(ingress_cidrs(&by_id), [INGRESS[0]]);
}

#[test]
fn what_cannot_be_decided_is_listed_and_what_does_not_fit_is_said() {
    let laptop = Laptop::new();
    laptop.python("variants.py", &["two", "closed", "public"]).expect_code(0);
    let two = ("DEVDB_STACK", "TwoStack");
    plan(&laptop, &[two])
        .expect_code(1)
        .says(&["there is more than one cluster: two-blog, two-cluster", "`cluster = \"two-blog\"`"]);
    // Each with the secret that was made with it, in the cluster's VPC and not in the other one.
    let secrets: Vec<Value> = ["two-blog", "two-cluster"]
        .into_iter()
        .map(|cluster| {
            let found = topology(&laptop, &[two, ("DEVDB_CLUSTER", cluster)]);
            assert_eq!(ingress_cidrs(&found), INGRESS, "{cluster}");
            found["secret"].clone()
        })
        .collect();
    assert_ne!(secrets[0], secrets[1]);
    let blog = ("DEVDB_CLUSTER", "two-blog");
    plan(&laptop, &[two, blog, ("DEVDB_VPC", "vpc-0123456789abcdef0")])
        .expect_code(1)
        .says(&["there is no VPC `vpc-0123456789abcdef0` in eu-west-1", "hint:"]);
    let find = r#"P="$(sed -n 's/.*"python": "\(.*\)".*/\1/p' "$DEVDB_SANDBOX_ENDPOINTS")"
        "$P" -c "import boto3; print(boto3.client('cloudformation').describe_stacks(StackName='TwoStack')['Stacks'][0]['Outputs'][0]['OutputValue'])""#;
    let other = laptop.shell(find).expect_code(0).stdout;
    plan(&laptop, &[two, blog, ("DEVDB_VPC", other.trim())])
        .expect_code(1)
        .says(&["cluster `two-blog` stands in vpc-", &format!("not in the VPC that is named, {}", other.trim())]);
    plan(&laptop, &[("DEVDB_STACK", "ClosedStack")]).expect_code(1).says(&[
        "no subnet named `Ingress` has a route to an internet gateway",
        "(Ingress)",
        "hint:",
    ]);
    plan(&laptop, &[("DEVDB_STACK", "PublicStack")])
        .expect_code(1)
        .says(&["has no subnet named `Ingress`", "`subnet_name = \"Public\"`"]);
    let found = topology(&laptop, &[("DEVDB_STACK", "PublicStack"), ("DEVDB_SUBNET_NAME", "Public")]);
    assert_eq!(ingress_cidrs(&found), INGRESS);
}
