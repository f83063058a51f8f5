//! The policies in `templates/iam`, and what IAM makes of them: `tests/policies` evaluates them with AWS's own tables of
//! which action is checked for which kinds of resources, with which condition keys.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) type Context = BTreeMap<String, Value>;

/// What one policy check is about: a call may need several.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
}

impl Request {
    /// The kind of the resource: `subnet` of `arn:aws:ec2:eu-west-1:123456789012:subnet/subnet-1`.
    pub(crate) fn kind(&self) -> &str {
        let part = self.resource.splitn(6, ':').nth(5).unwrap_or_default();
        part.split(['/', ':']).next().unwrap_or_default()
    }
}

/// Where the policies are to hold, instead of their placeholders.
pub(crate) struct Places {
    pub(crate) writer_group: String,
    pub(crate) vpc: String,
    pub(crate) cluster: String,
    pub(crate) secret_arn: String,
}

impl Places {
    pub(crate) fn some() -> Self {
        Self {
            writer_group: "sg-0123456789abcdef0".to_owned(),
            vpc: "vpc-0123456789abcdef0".to_owned(),
            cluster: "appdb".to_owned(),
            secret_arn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-Ab12Cd".to_owned(),
        }
    }
}

/// `DbClusterResourceId`, as `rds:DescribeDBClusters` tells it, and whom IAM may log in.
pub(crate) const DB_RESOURCE_ID: &str = "cluster-ABCDEFGHIJKL01234";
pub(crate) const DB_USER: &str = "ada_iam";

pub(crate) const NAMES: [&str; 3] = ["connect", "provision", "admin"];
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const PROJECT: &str = "shop";
pub(crate) const STACK: &str = "AppDbStack";
pub(crate) const SUBNET_NAME: &str = "Ingress";
pub(crate) const AMI: &str = "ami-0fedcba9876543210";
pub(crate) const KMS_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";

/// A policy with these places in it.
pub(crate) fn filled(name: &str, places: &Places) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("templates/iam/{name}.json"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for (placeholder, value) in [
        ("REGION", REGION),
        ("ACCOUNT", ACCOUNT),
        ("PROJECT", PROJECT),
        ("STACK", STACK),
        ("CLUSTER", &places.cluster),
        ("SECRET_ARN", &places.secret_arn),
        ("DB_RESOURCE_ID", DB_RESOURCE_ID),
        ("DB_USER", DB_USER),
        ("KMS_KEY_ARN", KMS_KEY),
        ("WRITER_GROUP", &places.writer_group),
        ("SUBNET_NAME", SUBNET_NAME),
        ("VPC", &places.vpc),
        ("AMI", AMI),
    ] {
        text = text.replace(placeholder, value);
    }
    text
}

fn document(name: &str, places: &Places) -> Value {
    serde_json::from_str(&filled(name, places)).unwrap()
}

/// All actions that the policies name.
pub(crate) fn actions(names: &[&str]) -> BTreeSet<String> {
    let places = Places::some();
    let statements = names.iter().flat_map(|name| document(name, &places)["Statement"].as_array().unwrap().clone());
    statements
        .flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.clone(),
            action => vec![action.clone()],
        })
        .map(|action| action.as_str().unwrap().to_owned())
        .collect()
}

#[derive(Debug, Deserialize)]
struct Decision {
    #[serde(default)]
    allowed: bool,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Decisions {
    decisions: Vec<Decision>,
    required: BTreeMap<String, BTreeSet<String>>,
}

/// Which of the calls these policies allow to a principal: those of which every request is allowed. Each answer holds the
/// requests that are refused.
pub(crate) fn refused(names: &[&str], places: &Places, user_id: &str, calls: &[Vec<Request>]) -> Vec<Vec<Request>> {
    let policies: Vec<Value> = names.iter().map(|name| document(name, places)).collect();
    let ask = |request: &Request| {
        let mut context: Map<String, Value> = request.context.clone().into_iter().collect();
        context.insert("aws:userid".to_owned(), user_id.into());
        context.entry("aws:RequestedRegion").or_insert_with(|| REGION.into());
        json!({ "action": request.action, "resource": request.resource, "context": context })
    };
    let requests: Vec<Value> = calls.iter().flatten().map(ask).collect();
    let answer = simulated(&json!({ "policies": policies, "requests": requests }));
    let mut decisions = answer.decisions.into_iter();
    calls
        .iter()
        .map(|call| {
            let mut refused = Vec::new();
            for request in call {
                let decision = decisions.next().unwrap();
                // A call that is checked for more than the test knows would look as if it were allowed.
                // `Secret` is `secret` in an ARN, and `db-user` is `dbuser`.
                let plain = |kind: &str| kind.to_lowercase().replace('-', "");
                let is_named = |kind: &String| {
                    call.iter().any(|one| one.action == request.action && plain(one.kind()) == plain(kind))
                };
                let required = &answer.required[&request.action];
                let lacking: Vec<_> = required.iter().filter(|kind| !is_named(kind)).collect();
                assert!(lacking.is_empty(), "{} is checked for {lacking:?} as well", request.action);
                assert_eq!(decision.error, None, "{request:#?}");
                if !decision.allowed {
                    refused.push(request.clone());
                }
            }
            refused
        })
        .collect()
}

/// Names the simulator's folder where nothing can be installed.
pub(crate) const SIMULATOR: &str = "DEVDB_TEST_SIMULATOR";

/// The folder that the simulator is installed in.
pub(crate) fn simulator() -> String {
    if let Ok(folder) = std::env::var(SIMULATOR) {
        return folder;
    }
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/install");
    let installed = Command::new(&install).stderr(Stdio::inherit()).output().unwrap();
    assert!(installed.status.success(), "{}: npm did not give what is needed", install.display());
    String::from_utf8(installed.stdout).unwrap().trim_end().to_owned()
}

fn simulated(question: &Value) -> Decisions {
    let mut node = Command::new("node")
        .arg(Path::new(&simulator()).join("simulate.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}
