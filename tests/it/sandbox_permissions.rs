//! Every call of a whole story on the sandbox, held against the policies in `templates/iam`.

use crate::support::api::Api;
use crate::support::laptop::Laptop;
use crate::support::policy::{
    ACCOUNT, Context, NAMES, Places, REGION, Request, SIMULATOR, actions, refused, simulator,
};
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

fn context<'a>(prefix: &str, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Context {
    tags.into_iter().map(|(key, value)| (format!("{prefix}/{key}"), value.as_str().into())).collect()
}

/// What stands in the account, as far as the policies look at it.
struct World {
    places: Places,
    /// Of the bastion that the calls are about.
    own: Tags,
    /// `aws-cdk:subnet-name` by id.
    subnets: BTreeMap<String, String>,
}

impl World {
    fn vpc(&self) -> (String, Value) {
        ("ec2:Vpc".to_owned(), format!("arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{}", self.places.vpc).into())
    }

    fn of_ours(&self) -> Context {
        context("aws:ResourceTag", &self.own)
    }

    /// What stands and is used or changed (Service Authorization Reference, "Actions, resources, and condition keys").
    fn used(&self, call: &Value) -> Vec<(String, Context)> {
        let (service, action) = (call["service"].as_str().unwrap(), call["action"].as_str().unwrap());
        let arn = |resource: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}");
        let ours = |resource: &str| (arn(resource), self.of_ours());
        let plain = |resource: &str| (arn(resource), Context::new());
        let group = |id: &str| {
            let resource = format!("security-group/{id}");
            if id == self.places.writer_group { plain(&resource) } else { ours(&resource) }
        };
        match action {
            _ if service == "ec2" && action.starts_with("Describe") => vec![("*".to_owned(), Context::new())],
            "ListStackResources" => vec![plain(&format!("stack/{}/00000000", needed(call, "StackName")))],
            "DescribeDBClusters" => vec![plain(&format!("cluster:{}", needed(call, "DBClusterIdentifier")))],
            "DescribeDBInstances" => vec![plain("db:any")],
            "GetSecretValue" => vec![(self.places.secret_arn.clone(), Context::new())],
            "ImportKeyPair" => Vec::new(),
            "CreateSecurityGroup" => vec![plain(&format!("vpc/{}", needed(call, "VpcId")))],
            "AuthorizeSecurityGroupIngress"
            | "AuthorizeSecurityGroupEgress"
            | "RevokeSecurityGroupIngress"
            | "RevokeSecurityGroupEgress"
            | "DeleteSecurityGroup" => vec![group(needed(call, "GroupId"))],
            "RunInstances" => {
                let subnet = needed(call, "NetworkInterface.1.SubnetId");
                let name = ("aws:ResourceTag/aws-cdk:subnet-name".to_owned(), self.subnets[subnet].as_str().into());
                assert!(needed(call, "ImageId").starts_with("resolve:ssm:/aws/service/"), "{call:#}");
                let owner = ("ec2:Owner".to_owned(), "amazon".into());
                vec![
                    (format!("arn:aws:ec2:{REGION}::image/ami-1"), Context::from([owner])),
                    (arn(&format!("subnet/{subnet}")), Context::from([name, self.vpc()])),
                    group(needed(call, "NetworkInterface.1.SecurityGroupId.1")),
                    ours(&format!("key-pair/{}", needed(call, "KeyName"))),
                ]
            }
            "TerminateInstances" => vec![ours(&format!("instance/{}", needed(call, "InstanceId.1")))],
            "CreateTags" => {
                let keys = (1..).map_while(|of| parameter(call, &format!("Tag.{of}.Key")).map(str::to_owned));
                let (arn, mut context) = ours(&format!("instance/{}", needed(call, "ResourceId.1")));
                context.insert("aws:TagKeys".to_owned(), keys.collect::<Vec<_>>().into());
                vec![(arn, context)]
            }
            // Asked for by id, checked by name.
            "DeleteKeyPair" => {
                let part = |key: &str| self.own[&format!("devdb:{key}")].clone();
                vec![ours(&format!("key-pair/devdb-{}-{}-{}", part("project"), part("environment"), part("owner")))]
            }
            _ => panic!("`{service}:{action}` is new: say here what it is checked for, and allow it in templates/iam"),
        }
    }

    /// All that AWS checks for a call.
    fn requests(&self, call: &Value) -> Vec<Request> {
        let (service, action) = (call["service"].as_str().unwrap(), call["action"].as_str().unwrap());
        if action == "GetCallerIdentity" {
            return Vec::new();
        }
        let name = format!("{service}:{action}");
        let used = self.used(call).into_iter();
        let mut found: Vec<Request> =
            used.map(|(resource, context)| Request { action: name.clone(), resource, context }).collect();
        for (kind, tags) in tag_specifications(call) {
            let id = if kind == "key-pair" { needed(call, "KeyName") } else { "new" };
            let resource = format!("arn:aws:ec2:{REGION}:{ACCOUNT}:{kind}/{id}");
            let mut context = context("aws:RequestTag", &tags);
            context.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect::<Vec<_>>().into());
            context.extend((kind == "network-interface").then(|| self.vpc()));
            for (key, parameter_name) in [
                ("ec2:InstanceType", "InstanceType"),
                ("ec2:InstanceProfile", "IamInstanceProfile.Arn"),
                ("ec2:MetadataHttpTokens", "MetadataOptions.HttpTokens"),
                ("ec2:Encrypted", "BlockDeviceMapping.1.Ebs.Encrypted"),
            ] {
                context.extend(parameter(call, parameter_name).map(|value| (key.to_owned(), value.into())));
            }
            found.push(Request { action: name.clone(), resource: resource.clone(), context: context.clone() });
            context.insert("ec2:CreateAction".to_owned(), action.into());
            found.push(Request { action: "ec2:CreateTags".to_owned(), resource, context });
        }
        if let Some(image) = parameter(call, "ImageId").and_then(|image| image.strip_prefix("resolve:ssm:")) {
            let resource = format!("arn:aws:ssm:{REGION}::parameter{image}");
            found.push(Request { action: "ssm:GetParameters".to_owned(), resource, context: Context::new() });
        }
        found
    }
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
        let alone = Laptop::new();
        let laptop = alone.beside(&[(SIMULATOR, &simulator())]);
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
    // A colleague who left: the bastion has expired, and group, key pair and database rule stayed.
    let leaver = Trial::new("leaver");
    leaver.succeeds("up");
    leaver.expire();
    let cleaning = calls_of(&trial, &["bastion gc --all --yes"]);

    let created = provisioning.iter().find(|call| call["action"] == "CreateSecurityGroup").unwrap();
    let own = tag_specifications(created).remove("security-group").unwrap();
    let own_group = provisioning.iter().find(|call| call["action"] == "DeleteSecurityGroup").unwrap();
    let own_group = needed(own_group, "GroupId");
    let is_writers = |call: &&Value| {
        call["action"] == "AuthorizeSecurityGroupIngress" && parameter(call, "GroupId") != Some(own_group)
    };
    let of_database = provisioning.iter().find(is_writers).unwrap();
    let secret = connecting.iter().find(|call| call["action"] == "GetSecretValue").unwrap();
    let cluster = provisioning.iter().find(|call| call["action"] == "DescribeDBClusters").unwrap();
    let vpc = needed(created, "VpcId").to_owned();
    let world = |own: &Tags| World {
        places: Places {
            writer_group: needed(of_database, "GroupId").to_owned(),
            vpc: vpc.clone(),
            cluster: needed(cluster, "DBClusterIdentifier").to_owned(),
            secret_arn: needed(secret, "SecretId").to_owned(),
        },
        own: own.clone(),
        subnets: trial.subnet_names(&vpc),
    };
    let mut theirs = own.clone();
    theirs.insert("devdb:principal".to_owned(), "AIDACOLLEAGUE".to_owned());
    let user_id = &own["devdb:principal"];
    let mut used = BTreeSet::new();
    for (names, calls, tags) in [
        (&["connect"][..], &connecting, &own),
        (&["connect", "provision"], &provisioning, &own),
        (&["connect", "admin"], &cleaning, &theirs),
    ] {
        let world = world(tags);
        let requests: Vec<Vec<Request>> = calls.iter().map(|call| world.requests(call)).collect();
        for (call, refused) in calls.iter().zip(refused(names, &world.places, user_id, &requests)) {
            assert!(refused.is_empty(), "{names:?} do not allow {refused:#?}\nfor {call:#}");
        }
        used.extend(requests.into_iter().flatten().map(|request| request.action));
        assert!(calls.iter().any(|call| call["service"] == "ec2"), "{names:?}: nothing was recorded");
    }
    let of_database = |call: &&Value| call["action"] == "RevokeSecurityGroupIngress";
    assert!(cleaning.iter().any(|call| of_database(&call)), "the leaver's database rule was not removed");
    let allowed = actions(&NAMES);
    let excused: BTreeSet<String> = NOT_IN_THE_STORY.iter().map(|(action, _)| (*action).to_owned()).collect();
    let unused: Vec<&String> =
        allowed.iter().filter(|action| !used.contains(*action) && !excused.contains(*action)).collect();
    assert!(unused.is_empty(), "allowed without need: {unused:?}");
    let unknown: Vec<&String> = excused.iter().filter(|action| !allowed.contains(*action)).collect();
    assert!(unknown.is_empty(), "excused, but not allowed at all: {unknown:?}");
}
