//! The templates for CloudFormation and IAM, judged by the programs of their field: TypeScript's compiler and CDK,
//! cfn-lint, parliament (`tests/templates` has their versions).

use crate::support::policy::{NAMES, Places, filled};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

const CONSTRUCT: &str = include_str!("../../templates/cloudformation/migrations.ts");
const TEMPLATE: &str = include_str!("../../templates/cloudformation/migrations.yaml");

/// RESOURCE_MISMATCH: an action that a statement allows needs more resources than the statement names. These are split on
/// purpose: a condition holds for each resource of its statement, and the resources of RunInstances want different ones
/// (tags of what is made, an instance's metadata service, a volume's encryption, an image's owner), as do a group and its
/// rules. What one statement lacks another one has, and the test proves it.
const SPLIT: [(&str, &[&str]); 9] = [
    ("MakeGroupInTheVpc", &["ec2:CreateSecurityGroup"]),
    ("LaunchHardenedInstances", &["ec2:RunInstances"]),
    ("LaunchWithEncryptedVolume", &["ec2:RunInstances"]),
    ("LaunchWithOwnInterface", &["ec2:RunInstances"]),
    ("LaunchWithOwnKeyAndGroup", &["ec2:RunInstances"]),
    ("LaunchInTheSubnets", &["ec2:RunInstances"]),
    ("LaunchAmazonsImages", &["ec2:RunInstances"]),
    ("LaunchTheTeamsImage", &["ec2:RunInstances"]),
    ("WriteRulesInOwnName", &["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"]),
];

/// AWS's own parameters belong to no account (Systems Manager user guide, "Calling AMI public parameters"), and
/// parliament knows only those that do.
const PUBLIC: (&str, &[&str]) = ("FindTheNewestImage", &["ssm:GetParameters"]);

fn program(name: &str) -> Command {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let install = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates/install");
        let installed = Command::new(install).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "{install}: npm or PyPI did not give what is needed");
        PathBuf::from(String::from_utf8(installed.stdout).unwrap().trim_end())
    });
    let mut command = Command::new(folder.join(name));
    command.stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// cfn-lint's findings; empty where it is content. `accepted`: rules that do not count.
fn linted(template: &Path, accepted: &str) -> String {
    let mut lint = program("venv/bin/cfn-lint");
    if !accepted.is_empty() {
        lint.args(["--ignore-checks", accepted]);
    }
    let output = lint.args(["--format", "parseable", "--template"]).arg(template).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.success(), said.is_empty(), "{output:?}");
    said
}

/// A CDK project with this construct in it.
struct Project(tempfile::TempDir);

impl Project {
    fn new(construct: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
        for file in ["package.json", "tsconfig.json", "app.ts"] {
            fs::copy(own.join(file), project.path(file)).unwrap();
        }
        fs::write(project.path("migrations.ts"), construct).unwrap();
        fs::create_dir_all(project.path("target/lambda")).unwrap();
        fs::write(project.path("target/lambda/devdb-migrate-lambda.zip"), "zip").unwrap();
        symlink(program("node_modules").get_program(), project.path("node_modules")).unwrap();
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn compile(&self) -> Output {
        program("node_modules/.bin/tsc").arg("--project").arg(self.0.path()).output().unwrap()
    }
}

#[test]
fn the_construct_compiles_and_its_stack_has_no_finding() {
    let project = Project::new(CONSTRUCT);
    let compiled = project.compile();
    assert!(compiled.status.success(), "{}", said(&compiled));
    let synthesised = Command::new("node").arg("out/app.js").current_dir(project.0.path()).output().unwrap();
    assert!(synthesised.status.success(), "{}", said(&synthesised));
    let template = project.path("cdk.out/Shop.template.json");
    // W3005: CDK writes DependsOn for what a reference has ordered already.
    assert_eq!(linted(&template, "W3005"), "");

    let template: Value = serde_json::from_str(&fs::read_to_string(template).unwrap()).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let only = |kind: &str| {
        let found: Vec<_> = resources.iter().filter(|(_, resource)| resource["Type"] == kind).collect();
        let [(name, resource)] = found[..] else { panic!("{kind}: {found:?}") };
        (name.clone(), resource.clone())
    };
    let (name, function) = only("AWS::Lambda::Function");
    let of_function = ["Runtime", "Handler", "Timeout"].map(|name| function["Properties"][name].clone());
    assert_eq!(of_function, [json!("provided.al2023"), json!("bootstrap"), json!(840)]);
    let (_, migrations) = only("Custom::DevdbMigrations");
    let properties: &Map<String, Value> = migrations["Properties"].as_object().unwrap();
    assert_eq!(properties["ServiceToken"], json!({ "Fn::GetAtt": [name, "Arn"] }));
    // As long as the function may take, and no hour, where it could not answer.
    assert_eq!(properties["ServiceTimeout"].to_string().trim_matches('"'), "900");
    for name in properties.keys().filter(|name| !name.starts_with("Service") && *name != "MigrationsHash") {
        assert!(devdb::lambda::PROPERTIES.contains(&name.as_str()), "{name}");
    }
    // An endpoint without an instance behind it does not answer.
    let (writer, _) = only("AWS::RDS::DBInstance");
    assert!(migrations["DependsOn"].as_array().unwrap().contains(&writer.into()), "{migrations}");
}

#[test]
fn the_template_has_no_finding() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("migrations.yaml");
    fs::write(&file, TEMPLATE).unwrap();
    assert_eq!(linted(&file, ""), "");
}

#[test]
fn what_is_broken_is_found() {
    let broken = |text: &str, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    };
    let project = Project::new(&broken(CONSTRUCT, "handler.functionArn,", "handler.functionAnr,"));
    let compiled = project.compile();
    assert!(!compiled.status.success() && said(&compiled).contains("functionAnr"), "{}", said(&compiled));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("migrations.yaml");
    for (from, to, rule) in [
        ("Runtime: provided.al2023", "Runtime: provided.al2024", "E3030"),
        ("!GetAtt MigrationsRole.Arn", "!GetAtt MigrationRole.Arn", "E1010"),
        ("\"secretsmanager:GetSecretValue\"", "\"secretsmanager:GetSecretValues\"", "W3037"),
    ] {
        fs::write(&file, broken(TEMPLATE, from, to)).unwrap();
        let found = linted(&file, "");
        assert!(found.contains(rule), "{to}: {found}");
    }

    let provision = policy("provision");
    for (from, to, issue) in [
        ("\"ec2:DescribeImages\"", "\"ec2:DescribeImage\"", "UNKNOWN_ACTION"),
        ("ec2:MetadataHttpTokens", "ec2:MetadataHttpToken", "UNKNOWN_CONDITION_FOR_ACTION"),
        ("arn:aws:ssm:eu-west-1::", "arn:aws:ssm:eu-west-1:", "INVALID_ARN"),
        (":subnet/*", ":subnets/*", "RESOURCE_MISMATCH"),
    ] {
        let findings = unexpected(&BTreeMap::from([("provision", broken(&provision, from, to))]));
        assert!(findings.iter().any(|finding| finding.issue == issue), "{to}: {findings:?}");
    }
}

#[test]
fn the_policies_have_no_finding_but_those_of_statements_that_are_split() {
    let policies: BTreeMap<&'static str, String> = NAMES.into_iter().map(|name| (name, policy(name))).collect();
    let findings = unexpected(&policies);
    assert!(findings.is_empty(), "{findings:?}");
    // An excuse that nothing needs is none.
    let found: BTreeSet<String> = judged(&policies).into_iter().map(|finding| finding.sid).collect();
    assert_eq!(found, SPLIT.iter().chain([&PUBLIC]).map(|(sid, _)| (*sid).to_owned()).collect());
}

fn policy(name: &str) -> String {
    filled(name, &Places::some())
}

/// What parliament says of one statement.
#[derive(Debug)]
struct Finding {
    issue: String,
    /// Empty where it is not about a statement.
    sid: String,
    /// The actions of a RESOURCE_MISMATCH.
    actions: BTreeSet<String>,
    #[expect(dead_code, reason = "shown where a test fails")]
    whole: Value,
}

/// What is wrong with the statements as they are, and with all the resources that a policy names for an action in one
/// statement: nothing may be lacking there.
fn unexpected(policies: &BTreeMap<&'static str, String>) -> Vec<Finding> {
    let is_excused = |finding: &Finding| {
        let excuse = SPLIT.iter().chain([&PUBLIC]).find(|(sid, _)| *sid == finding.sid);
        finding.issue == "RESOURCE_MISMATCH" && excuse.is_some_and(|(_, actions)| finding.actions.iter().eq(*actions))
    };
    let mut found: Vec<Finding> = judged(policies).into_iter().filter(|finding| !is_excused(finding)).collect();
    // What is not valid is told above already.
    if found.is_empty() {
        let together = policies.iter().map(|(name, text)| (*name, merged(text))).collect();
        found.extend(judged(&together).into_iter().filter(|finding| finding.actions.iter().ne(PUBLIC.1)));
    }
    found
}

fn judged(policies: &BTreeMap<&'static str, String>) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in policies {
        fs::write(folder.path().join(name).with_extension("json"), text).unwrap();
    }
    let output = program("venv/bin/parliament").arg("--json").arg("--directory").arg(folder.path()).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", said(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| finding(serde_json::from_str(line).unwrap())).collect()
}

fn finding(whole: Value) -> Finding {
    let file = fs::read_to_string(whole["location"]["filepath"].as_str().unwrap()).unwrap();
    let line = usize::try_from(whole["location"]["line"].as_u64().unwrap()).unwrap();
    // A statement begins with a line of its own, and its Sid is the next one.
    let sid = file.lines().nth(line).and_then(|line| line.trim().strip_prefix("\"Sid\": \"")?.strip_suffix("\","));
    let details = whole["detail"].as_array().cloned().unwrap_or_default();
    Finding {
        issue: whole["issue"].as_str().unwrap().to_owned(),
        sid: sid.unwrap_or_default().to_owned(),
        actions: details.iter().map(|detail| detail["action"].as_str().unwrap().to_owned()).collect(),
        whole,
    }
}

/// One statement for each action, without conditions.
fn merged(policy: &str) -> String {
    let policy: Value = serde_json::from_str(policy).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let mut resources: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for statement in policy["Statement"].as_array().unwrap() {
        for action in list(&statement["Action"]) {
            resources.entry(action.as_str().unwrap().to_owned()).or_default().extend(list(&statement["Resource"]));
        }
    }
    let statements: Vec<Value> = resources
        .into_iter()
        .map(|(action, resources)| json!({ "Effect": "Allow", "Action": action, "Resource": resources }))
        .collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}
