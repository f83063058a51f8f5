//! Every call of a whole story on the sandbox, held against the policies in `templates/iam`.

use crate::support::api::Api;
use crate::support::laptop::Laptop;
use crate::support::policy::{ACCOUNT, Places, Policy, REGION, Request, STACK};
use crate::support::trial::Trial;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Allowed, and not called in the story.
const NOT_IN_THE_STORY: [(&str, &str); 8] = [
    ("ec2:DescribeImages", "a team's own `ami` is looked at"),
    ("ec2:GetConsoleOutput", "a bastion that runs and is of no use is asked for the reason"),
    ("ec2:StartInstances", "a stopped bastion is started again"),
    ("kms:CreateGrant", "EC2 asks for it with a `kms_key` of the team's"),
    ("kms:Decrypt", "EC2 with a `kms_key`, Secrets Manager with a secret's own key"),
    ("kms:DescribeKey", "EC2 asks for it with a `kms_key` of the team's"),
    ("kms:GenerateDataKeyWithoutPlaintext", "EC2 asks for it with a `kms_key` of the team's"),
    ("rds-db:connect", "the database asks for it when somebody logs in with a token"),
];

type Tags = BTreeMap<String, String>;

fn parameter<'a>(call: &'a Value, name: &str) -> Option<&'a str> {
    call["parameters"][name].as_str()
}

fn needed<'a>(call: &'a Value, name: &str) -> &'a str {
    parameter(call, name).unwrap_or_else(|| panic!("{name} in {call:#}"))
}

/// Per kind of resource, the tags that the call gives to what it makes.
fn tag_specifications(call: &Value) -> BTreeMap<String, Tags> {
    let mut found = BTreeMap::new();
    for number in 1.. {
        let Some(kind) = parameter(call, &format!("TagSpecification.{number}.ResourceType")) else { break };
        let tag = |of, part| parameter(call, &format!("TagSpecification.{number}.Tag.{of}.{part}"));
        let tags = (1..).map_while(|of| Some((tag(of, "Key")?.to_owned(), tag(of, "Value")?.to_owned())));
        found.insert(kind.to_owned(), tags.collect());
    }
    found
}

fn context(prefix: &str, tags: &Tags) -> BTreeMap<String, String> {
    let mut context: BTreeMap<_, _> =
        tags.iter().map(|(key, value)| (format!("{prefix}/{key}"), value.clone())).collect();
    context.insert("aws:RequestedRegion".to_owned(), REGION.to_owned());
    context
}

/// What AWS checks for a call (Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2").
fn requests(call: &Value, places: &Places, own: &Tags) -> Vec<Request> {
    let (service, action) = (call["service"].as_str().unwrap(), call["action"].as_str().unwrap());
    let name = format!("{service}:{action}");
    let arn = |resource: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
    let request = |resource: String, context| Request { action: name.clone(), resource, context };
    let made = tag_specifications(call);
    let untagged = || context("none", &Tags::new());
    let of_ours = |resource: &str| request(arn(resource), context("aws:ResourceTag", own));
    let of_nobody = |resource: &str| request(arn(resource), untagged());
    let group = |id: &str| {
        let resource = format!("security-group/{id}");
        if id == places.writer_group { of_nobody(&resource) } else { of_ours(&resource) }
    };
    let mut found = match action {
        "GetCallerIdentity" => return Vec::new(),
        _ if service == "ec2" && action.starts_with("Describe") => vec![request("*".to_owned(), untagged())],
        "ListStackResources" => vec![of_nobody(&format!("stack/{STACK}/00000000"))],
        "DescribeDBClusters" => vec![of_nobody(&format!("cluster:{}", places.cluster))],
        "DescribeDBInstances" => vec![of_nobody("db:any")],
        "GetSecretValue" => vec![request(places.secret_arn.clone(), untagged())],
        "ImportKeyPair" => Vec::new(),
        "CreateSecurityGroup" => vec![of_nobody(&format!("vpc/{}", needed(call, "VpcId")))],
        "AuthorizeSecurityGroupIngress"
        | "AuthorizeSecurityGroupEgress"
        | "RevokeSecurityGroupIngress"
        | "RevokeSecurityGroupEgress"
        | "DeleteSecurityGroup" => vec![group(needed(call, "GroupId"))],
        "RunInstances" => vec![
            request(format!("arn:aws:ec2:{REGION}::image/ami-1"), untagged()),
            of_nobody(&format!("subnet/{}", needed(call, "NetworkInterface.1.SubnetId"))),
            group(needed(call, "NetworkInterface.1.SecurityGroupId.1")),
            of_ours(&format!("key-pair/{}", needed(call, "KeyName"))),
        ],
        "TerminateInstances" => vec![of_ours(&format!("instance/{}", needed(call, "InstanceId.1")))],
        "CreateTags" => (1..)
            .map_while(|of| parameter(call, &format!("Tag.{of}.Key")).map(str::to_owned))
            .map(|key| {
                let mut context = context("aws:ResourceTag", own);
                context.insert("aws:TagKeys".to_owned(), key);
                request(arn(&format!("instance/{}", needed(call, "ResourceId.1"))), context)
            })
            .collect(),
        // Asked for by id, checked by name.
        "DeleteKeyPair" => {
            let part = |key: &str| own[&format!("devdb:{key}")].clone();
            vec![of_ours(&format!("key-pair/devdb-{}-{}-{}", part("project"), part("environment"), part("owner")))]
        }
        _ => panic!("`{name}` is new: say here which resources it is checked for, and allow it in templates/iam"),
    };
    for (kind, tags) in &made {
        let resource = if kind == "key-pair" {
            arn(&format!("key-pair/{}", needed(call, "KeyName")))
        } else {
            arn(&format!("{kind}/*"))
        };
        let mut context = context("aws:RequestTag", tags);
        for (key, parameter_name) in [
            ("ec2:InstanceType", "InstanceType"),
            ("ec2:MetadataHttpTokens", "MetadataOptions.HttpTokens"),
            ("ec2:Encrypted", "BlockDeviceMapping.1.Ebs.Encrypted"),
        ] {
            if let Some(value) = parameter(call, parameter_name) {
                context.insert(key.to_owned(), value.to_owned());
            }
        }
        found.push(request(resource.clone(), context.clone()));
        context.insert("ec2:CreateAction".to_owned(), action.to_owned());
        context.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect::<Vec<_>>().join(","));
        found.push(Request { action: "ec2:CreateTags".to_owned(), resource, context });
    }
    if let Some(image) = parameter(call, "ImageId").and_then(|image| image.strip_prefix("resolve:ssm:")) {
        let resource = format!("arn:aws:ssm:{REGION}::parameter{image}");
        found.push(Request { action: "ssm:GetParameters".to_owned(), resource, context: untagged() });
    }
    found
}

/// Runs `devdb` with each of the lines; all calls.
fn calls_of(trial: &Trial, lines: &[&str]) -> Vec<Value> {
    let mut calls = Vec::new();
    for line in lines {
        let output = trial.run(line);
        // 3: not everything is up, or a migration is pending.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{line}: {said}");
        calls.extend(trial.calls());
    }
    calls
}

#[test]
fn the_policies_allow_every_call_of_the_story_and_little_else() {
    if Api::is_out_of_reach() {
        let laptop = Laptop::new();
        laptop.repeats("sandbox_permissions::the_policies_allow_every_call_of_the_story_and_little_else");
        laptop.leftovers().expect_code(0);
        return;
    }
    let trial = Trial::new("story");
    let mut provisioning = calls_of(&trial, &["bastion up", "bastion up"]);
    let connecting = calls_of(
        &trial,
        &[
            "bastion status",
            "bastion list",
            "tunnel up",
            "tunnel status",
            "env",
            "status",
            "tunnel restart",
            "tunnel down",
        ],
    );
    let verbs =
        ["bastion extend 13h", "bastion allow-ip --ip 203.0.113.9", "bastion gc", "up", "down", "bastion status"];
    provisioning.extend(calls_of(&trial, &verbs));
    // Somebody who left: the group and the key pair stayed.
    let stays = r#""action":"DeleteSecurityGroup","code":"InvalidParameterValue","status":400"#;
    let leaver = Trial::new("leaver");
    leaver.succeeds("up");
    assert!(!leaver.run_with(stays, "bastion down").status.success());
    let cleaning = calls_of(&trial, &["bastion gc --all --yes"]);

    let created = provisioning.iter().find(|call| call["action"] == "CreateSecurityGroup").unwrap();
    let own = tag_specifications(created).remove("security-group").unwrap();
    let own_group = provisioning.iter().find(|call| call["action"] == "DeleteSecurityGroup").unwrap();
    let own_group = needed(own_group, "GroupId");
    let is_writers = |call: &&Value| {
        call["action"] == "AuthorizeSecurityGroupIngress" && parameter(call, "GroupId") != Some(own_group)
    };
    let places = Places {
        user_id: own["devdb:principal"].clone(),
        writer_group: needed(provisioning.iter().find(is_writers).unwrap(), "GroupId").to_owned(),
        vpc: needed(created, "VpcId").to_owned(),
        cluster: "the-cluster".to_owned(),
        secret_arn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-Ab12Cd".to_owned(),
    };

    let mut theirs = own.clone();
    theirs.insert("devdb:principal".to_owned(), "AIDASOMEBODYELSE".to_owned());
    let mut used = BTreeSet::new();
    for (names, calls, tags) in [
        (&["connect"][..], &connecting, &own),
        (&["connect", "provision"], &provisioning, &own),
        (&["connect", "admin"], &cleaning, &theirs),
    ] {
        let policy = Policy::of(names, &places);
        for call in calls {
            for request in requests(call, &places, tags) {
                assert!(policy.allows(&request), "{names:?} do not allow {request:#?}\nfor {call:#}");
                used.insert(request.action);
            }
        }
        assert!(calls.iter().any(|call| call["service"] == "ec2"), "{names:?}: nothing was recorded");
    }
    let allowed = Policy::of(&["connect", "provision", "admin"], &places).actions();
    let excused: BTreeSet<String> = NOT_IN_THE_STORY.iter().map(|(action, _)| (*action).to_owned()).collect();
    let unused: Vec<&String> =
        allowed.iter().filter(|action| !used.contains(*action) && !excused.contains(*action)).collect();
    assert!(unused.is_empty(), "allowed without need: {unused:?}");
    let unknown: Vec<&String> = excused.iter().filter(|action| !allowed.contains(*action)).collect();
    assert!(unknown.is_empty(), "excused, but not allowed at all: {unknown:?}");
}
