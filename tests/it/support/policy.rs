//! The part of IAM's evaluation that the policies in `templates/iam` use (IAM user guide, "Policy evaluation logic").

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What one policy check is about: a call may need several.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: BTreeMap<String, String>,
}

/// Where the policies are to hold, instead of their placeholders.
pub(crate) struct Places {
    pub(crate) user_id: String,
    pub(crate) writer_group: String,
    pub(crate) vpc: String,
    pub(crate) cluster: String,
    pub(crate) secret_arn: String,
}

/// `DbClusterResourceId`, as `rds:DescribeDBClusters` tells it, and whom IAM may log in.
pub(crate) const DB_RESOURCE_ID: &str = "cluster-ABCDEFGHIJKL01234";
pub(crate) const DB_USER: &str = "ada_iam";

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const PROJECT: &str = "shop";
pub(crate) const STACK: &str = "AppDbStack";

pub(crate) struct Policy {
    statements: Vec<Value>,
}

pub(crate) fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("templates/iam/{name}.json"));
    std::fs::read_to_string(path).unwrap()
}

/// A policy with these places in it.
pub(crate) fn filled(name: &str, places: &Places) -> String {
    let mut text = text(name);
    for (placeholder, value) in [
        ("REGION", REGION),
        ("ACCOUNT", ACCOUNT),
        ("PROJECT", PROJECT),
        ("STACK", STACK),
        ("CLUSTER", &places.cluster),
        ("SECRET_ARN", &places.secret_arn),
        ("DB_RESOURCE_ID", DB_RESOURCE_ID),
        ("DB_USER", DB_USER),
        ("KMS_KEY_ARN", "arn:aws:kms:eu-west-1:123456789012:key/team"),
        ("WRITER_GROUP", &places.writer_group),
        ("VPC", &places.vpc),
        ("${aws:userid}", &places.user_id),
    ] {
        text = text.replace(placeholder, value);
    }
    text
}

impl Policy {
    /// Several policies that are attached to one person.
    pub(crate) fn of(names: &[&str], places: &Places) -> Self {
        let mut statements = Vec::new();
        for name in names {
            let text = filled(name, places);
            let policy: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(policy["Version"], "2012-10-17");
            statements.extend(policy["Statement"].as_array().unwrap().clone());
        }
        Self { statements }
    }

    pub(crate) fn actions(&self) -> BTreeSet<String> {
        self.statements.iter().flat_map(|statement| list(&statement["Action"])).collect()
    }

    pub(crate) fn allows(&self, request: &Request) -> bool {
        self.statements.iter().any(|statement| {
            assert_eq!(statement["Effect"], "Allow", "nothing else is evaluated here");
            list(&statement["Action"]).contains(&request.action)
                && list(&statement["Resource"]).iter().any(|pattern| matches(pattern, &request.resource))
                && holds(&statement["Condition"], &request.context)
        })
    }
}

fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().unwrap().to_owned()).collect(),
        value => vec![value.as_str().unwrap().to_owned()],
    }
}

/// `*` stands for anything, slashes and colons included.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// All operators, and all keys below one, must hold; a key without a value in the context fails.
fn holds(condition: &Value, context: &BTreeMap<String, String>) -> bool {
    let Some(operators) = condition.as_object() else { return true };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, wanted)| {
            let wanted = list(wanted);
            match (operator.as_str(), context.get(key)) {
                ("StringEquals" | "Bool", found) => found.is_some_and(|found| wanted.contains(found)),
                ("ForAllValues:StringEquals", found) => {
                    found.is_some_and(|found| found.split(',').all(|one| wanted.iter().any(|wanted| wanted == one)))
                }
                (other, _) => panic!("{other} is not evaluated here"),
            }
        })
    })
}
