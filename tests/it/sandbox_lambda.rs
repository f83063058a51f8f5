//! The Lambda function in the team's VPC: its secret from Secrets Manager, its database by the cluster's own name.

use crate::support::api::Api;
use crate::support::lambda::Lambda;
use crate::support::laptop::Laptop;
use serde_json::{Value, json};

#[test]
fn a_function_migrates_with_the_clusters_secret() {
    let laptop = Laptop::new();
    // The function's own security group.
    let rule = |verb: &str| {
        laptop.python_lines(&format!(
            "import boto3\ncluster = boto3.client('rds').describe_db_clusters(DBClusterIdentifier='shop-cluster')['DBClusters'][0]\n\
             boto3.client('ec2').{verb}_security_group_ingress(GroupId=cluster['VpcSecurityGroups'][0]['VpcSecurityGroupId'],\n\
             \x20   IpPermissions=[{{'IpProtocol': 'tcp', 'FromPort': 5432, 'ToPort': 5432, 'IpRanges': [{{'CidrIp': '10.0.0.1/32'}}]}}])"
        ));
    };
    rule("authorize");
    laptop.fault("vpn");
    laptop.repeats("sandbox_lambda::a_function_in_the_vpc");
    laptop.fault("vpn off");
    rule("revoke");
}

/// The other half of [`a_function_migrates_with_the_clusters_secret`]: inside, where the database can be reached.
#[test]
fn a_function_in_the_vpc() {
    if Api::is_out_of_reach() {
        return;
    }
    let variable = |name: &str| std::env::var(name).unwrap();
    let facts: Value =
        serde_json::from_str(&std::fs::read_to_string(variable("DEVDB_SANDBOX_ENDPOINTS")).unwrap()).unwrap();
    let fact = |name: &str| facts[name].as_str().unwrap().to_owned();
    let names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
    let mut vars: Vec<(&str, String)> = names.map(|name| (name, variable(name))).to_vec();
    vars.push(("DEVDB_CA_FILE", fact("ca_file")));
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let lambda = Lambda::spawn(env!("CARGO_BIN_EXE_devdb-migrate-lambda"), &vars);
    lambda.bundle(&[("20260101_one", "create table lambda_one (id int);", "drop table lambda_one;")]);
    let host = fact("cluster_endpoint");
    // The next test finds the database empty.
    let mut properties = json!({ "Host": host, "SecretArn": fact("secret_arn"), "OnDelete": "down" });
    let created = lambda.invoke(&lambda.request("Create", "c", properties.clone())).success().clone();
    let id = format!("devdb-migrations:{}/{}/public", fact("cluster_endpoint"), fact("database"));
    assert_eq!((&created["PhysicalResourceId"], &created["Data"]["Applied"]), (&id.into(), &"1".into()));
    let deleted = lambda.invoke(&lambda.delete(&created, properties.clone())).success().clone();
    assert_eq!(deleted["Data"]["Applied"], "1");
    properties["SecretArn"] = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:nobody-AAAAAA".into();
    let told = lambda.invoke(&lambda.request("Create", "c", properties));
    assert!(told.failed().ends_with("was not found; check SecretArn and the region"), "{}", told.failed());
}
