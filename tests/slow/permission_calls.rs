//! The calls that the policies in `templates/iam` are for, with all that IAM is told about them.

use crate::support::policy::{
    ACCOUNT, AMI, Context, DB_RESOURCE_ID, DB_USER, KMS_KEY, PROJECT, Places, REGION, Request,
};
use serde_json::{Value, json};

pub(crate) const ADA: &str = "AROAEXAMPLE:ada@example.com";
pub(crate) const GRACE: &str = "AROAEXAMPLE:grace@example.com";
pub(crate) const DEVELOPER: [&str; 2] = ["connect", "provision"];

pub(crate) type Call = Vec<Request>;

pub(crate) fn context(pairs: &[(&str, &str)]) -> Context {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

pub(crate) fn request(action: &str, resource: &str, pairs: &[(&str, &str)]) -> Request {
    Request { action: action.to_owned(), resource: resource.to_owned(), context: context(pairs) }
}

pub(crate) fn ec2(action: &str, resource: &str, pairs: &[(&str, &str)]) -> Request {
    request(&format!("ec2:{action}"), &format!("arn:aws:ec2:{REGION}:{ACCOUNT}:{resource}"), pairs)
}

/// The tags of what stands.
pub(crate) fn of<'a>(project: &'a str, principal: &'a str) -> [(&'static str, &'a str); 2] {
    [("aws:ResourceTag/devdb:project", project), ("aws:ResourceTag/devdb:principal", principal)]
}

/// The tags that a call gives to what it makes.
pub(crate) fn named(project: &str, principal: &str) -> Context {
    let mut context =
        context(&[("aws:RequestTag/devdb:project", project), ("aws:RequestTag/devdb:principal", principal)]);
    context.insert("aws:TagKeys".to_owned(), json!(["devdb:project", "devdb:principal"]));
    context
}

impl Request {
    pub(crate) fn with(mut self, more: Context) -> Self {
        self.context.extend(more);
        self
    }
}

pub(crate) fn vpc(id: &str) -> String {
    format!("arn:aws:ec2:{REGION}:{ACCOUNT}:vpc/{id}")
}

/// RunInstances as devdb calls it, with everything that is checked for it.
pub(crate) fn launch() -> Call {
    let vpc = vpc(&Places::some().vpc);
    let hardened = [("ec2:InstanceType", "t2.micro"), ("ec2:MetadataHttpTokens", "required")];
    let ours = || named(PROJECT, ADA);
    vec![
        ec2("RunInstances", "instance/i-1", &hardened).with(ours()),
        ec2("RunInstances", "volume/vol-1", &[("ec2:Encrypted", "true")]).with(ours()),
        ec2("RunInstances", "network-interface/eni-1", &[("ec2:Vpc", &vpc)]).with(ours()),
        ec2("RunInstances", "key-pair/devdb-shop-dev-ada", &of(PROJECT, ADA)),
        ec2("RunInstances", "security-group/sg-1", &of(PROJECT, ADA)).with(context(&[("ec2:Vpc", &vpc)])),
        ec2(
            "RunInstances",
            "subnet/subnet-1",
            &[("ec2:Vpc", &vpc), ("aws:ResourceTag/aws-cdk:subnet-name", "Ingress")],
        ),
        request("ec2:RunInstances", &format!("arn:aws:ec2:{REGION}::image/ami-1"), &[("ec2:Owner", "amazon")]),
    ]
}

/// A launch of which one part is another, told to AWS with the caller's tags wherever it may look for them.
pub(crate) fn launch_but(part: Request) -> (Call, &'static str) {
    let kind = launch().into_iter().map(|known| known.kind().to_owned()).find(|kind| kind == part.kind()).unwrap();
    let ours = named(PROJECT, ADA);
    let tells = |mut known: Request| {
        for (key, value) in &ours {
            known.context.entry(key.clone()).or_insert_with(|| value.clone());
        }
        known
    };
    let mut call: Call = launch().into_iter().filter(|known| known.kind() != kind).map(tells).collect();
    call.push(part);
    (call, Box::leak(kind.into_boxed_str()))
}

/// What a rule in a group is checked for.
pub(crate) fn rule(action: &str, group: &str, tags: &[(&str, &str)]) -> Call {
    let group = ec2(action, &format!("security-group/{group}"), tags);
    if action.starts_with("Revoke") {
        return vec![group];
    }
    vec![group, ec2(action, "security-group-rule/sgr-1", &[]).with(named(PROJECT, ADA))]
}

pub(crate) fn extend(tags: &[(&str, &str)], keys: &[&str]) -> Call {
    let mut request = ec2("CreateTags", "instance/i-1", tags);
    request.context.insert("aws:TagKeys".to_owned(), json!(keys));
    vec![request]
}

/// Every kind of call that provisioning needs.
pub(crate) fn provisioning() -> Vec<Call> {
    let places = Places::some();
    let own = of(PROJECT, ADA);
    let tagged = |kind: &str, by: &str| {
        let tags = named(PROJECT, ADA);
        vec![ec2("CreateTags", kind, &[("ec2:CreateAction", by)]).with(tags)]
    };
    let mut own_image = launch();
    own_image.pop();
    own_image.push(request(
        "ec2:RunInstances",
        &format!("arn:aws:ec2:{REGION}::image/{AMI}"),
        &[("ec2:Owner", "210987654321")],
    ));
    vec![
        launch(),
        own_image,
        vec![
            ec2("CreateSecurityGroup", "security-group/sg-1", &[]).with(named(PROJECT, ADA)),
            ec2("CreateSecurityGroup", &format!("vpc/{}", places.vpc), &[]),
        ],
        vec![ec2("ImportKeyPair", "key-pair/devdb-shop-dev-ada", &[]).with(named(PROJECT, ADA))],
        rule("AuthorizeSecurityGroupIngress", "sg-1", &own),
        rule("AuthorizeSecurityGroupEgress", "sg-1", &own),
        rule("RevokeSecurityGroupEgress", "sg-1", &own),
        rule("RevokeSecurityGroupIngress", "sg-1", &own),
        rule("AuthorizeSecurityGroupIngress", &places.writer_group, &[]),
        rule("RevokeSecurityGroupIngress", &places.writer_group, &[]),
        tagged("instance/i-1", "RunInstances"),
        tagged("volume/vol-1", "RunInstances"),
        tagged("network-interface/eni-1", "RunInstances"),
        tagged("security-group/sg-1", "CreateSecurityGroup"),
        tagged("security-group-rule/sgr-1", "AuthorizeSecurityGroupIngress"),
        tagged("key-pair/devdb-shop-dev-ada", "ImportKeyPair"),
        extend(&own, &["devdb:expires-at"]),
        vec![ec2("StartInstances", "instance/i-1", &own)],
        vec![ec2("GetConsoleOutput", "instance/i-1", &own)],
        vec![ec2("TerminateInstances", "instance/i-1", &own)],
        vec![ec2("DeleteSecurityGroup", "security-group/sg-1", &own)],
        vec![ec2("DeleteKeyPair", "key-pair/devdb-shop-dev-ada", &own)],
        kms("CreateGrant", &[("kms:GrantIsForAWSResource", "true")]),
        kms("GenerateDataKeyWithoutPlaintext", &[]),
        vec![request("ec2:DescribeImages", "*", &[])],
        vec![request(
            "ssm:GetParameters",
            &format!("arn:aws:ssm:{REGION}::parameter/aws/service/ami-amazon-linux-latest/al2023"),
            &[],
        )],
    ]
}

pub(crate) fn kms(action: &str, pairs: &[(&str, &str)]) -> Call {
    let via = context(&[("kms:ViaService", "ec2.eu-west-1.amazonaws.com")]);
    vec![request(&format!("kms:{action}"), KMS_KEY, pairs).with(via)]
}

/// Every kind of call that connecting needs.
pub(crate) fn connecting() -> Vec<Call> {
    let places = Places::some();
    let rds = |action: &str, resource: &str| {
        vec![request(&format!("rds:{action}"), &format!("arn:aws:rds:{REGION}:{ACCOUNT}:{resource}"), &[])]
    };
    vec![
        vec![request("ec2:DescribeInstances", "*", &[])],
        vec![request("ec2:DescribeKeyPairs", "*", &[])],
        stack("ListStackResources", "AppDbStack"),
        stack("ListStackResources", "AppDbStack-Network-1ABCDEFGHIJKL"),
        rds("DescribeDBClusters", &format!("cluster:{}", places.cluster)),
        rds("DescribeDBInstances", "db:appdb-writer"),
        vec![request("secretsmanager:GetSecretValue", &places.secret_arn, &[])],
        decrypt(&places.secret_arn, "secretsmanager.eu-west-1.amazonaws.com"),
        login(DB_RESOURCE_ID, DB_USER),
    ]
}

pub(crate) fn stack(action: &str, name: &str) -> Call {
    let arn = format!("arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/11111111-2222");
    vec![request(&format!("cloudformation:{action}"), &arn, &[])]
}

pub(crate) fn decrypt(secret: &str, via: &str) -> Call {
    let key = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/99999999-89ab-cdef-0123-456789abcdef");
    vec![request("kms:Decrypt", &key, &[("kms:ViaService", via), ("kms:EncryptionContext:SecretARN", secret)])]
}

/// RDS checks it, not a call: Aurora user guide, "Creating and using an IAM policy for IAM database access".
pub(crate) fn login(cluster: &str, user: &str) -> Call {
    vec![request("rds-db:connect", &format!("arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser:{cluster}/{user}"), &[])]
}

/// What an administrator of leftovers does to the things of others.
pub(crate) fn cleaning() -> Vec<Call> {
    let theirs = of(PROJECT, GRACE);
    vec![
        vec![ec2("DeleteKeyPair", "key-pair/devdb-shop-dev-grace", &theirs)],
        vec![ec2("DeleteSecurityGroup", "security-group/sg-2", &theirs)],
        rule("RevokeSecurityGroupIngress", "sg-2", &theirs),
        rule("RevokeSecurityGroupIngress", &Places::some().writer_group, &[]),
    ]
}
