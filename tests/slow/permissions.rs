//! The policies in `templates/iam`, tried: what they are for is allowed, and a list of acts that they must not allow is
//! refused. `tests/it/sandbox_permissions.rs` does the first with every call of a story.

use crate::permission_calls::{
    ADA, Call, DEVELOPER, GRACE, cleaning, connecting, context, decrypt, ec2, extend, kms, launch_but, login, named,
    of, provisioning, request, rule, stack, vpc,
};
use crate::support::policy::{
    ACCOUNT, Context, DB_RESOURCE_ID, DB_USER, NAMES, PROJECT, Places, REGION, Request, actions, filled, refused,
};

#[track_caller]
fn expect_allowed(names: &[&str], calls: &[Call]) {
    let refused: Vec<Call> =
        refused(names, &Places::some(), ADA, calls).into_iter().filter(|one| !one.is_empty()).collect();
    assert!(refused.is_empty(), "{names:?} do not allow {refused:#?}");
}

#[track_caller]
fn expect_refused(names: &[&str], calls: &[Call]) {
    let answers = refused(names, &Places::some(), ADA, calls);
    for (call, refused) in calls.iter().zip(answers) {
        assert!(!refused.is_empty(), "{names:?} allow {call:#?}");
    }
}

#[test]
fn a_policy_fits_into_what_iam_takes() {
    for name in NAMES {
        let length = filled(name, &Places::some()).chars().filter(|letter| !letter.is_whitespace()).count();
        // IAM and STS quotas: 6144 characters for a managed policy, white space not counted. Names may be longer elsewhere.
        assert!(length < 5900, "{name}: {length}");
    }
}

#[test]
fn every_action_is_named_in_full() {
    let actions = actions(&NAMES);
    assert!(actions.len() > 20 && actions.iter().all(|action| !action.contains('*')), "{actions:?}");
}

#[test]
fn each_policy_allows_what_it_is_for_and_the_one_before_does_not() {
    expect_allowed(&["connect"], &connecting());
    expect_refused(&["connect"], &provisioning());
    expect_allowed(&DEVELOPER, &provisioning());
    let (of_the_group, of_others): (Vec<Call>, Vec<Call>) =
        cleaning().into_iter().partition(|call| call[0].resource.ends_with(&Places::some().writer_group));
    assert_eq!(of_the_group.len(), 1);
    // AWS knows no way to allow revoking single rules.
    expect_allowed(&DEVELOPER, &of_the_group);
    expect_refused(&DEVELOPER, &of_others);
    expect_allowed(&["connect", "admin"], &cleaning());
}

#[test]
fn a_launch_is_refused_where_any_part_of_it_is_not_the_bastions() {
    let ours = || named(PROJECT, ADA);
    let (here, elsewhere) = (vpc(&Places::some().vpc), vpc("vpc-0another"));
    let image = |id: &str, owner: &str| {
        request("ec2:RunInstances", &format!("arn:aws:ec2:{REGION}::image/{id}"), &[("ec2:Owner", owner)]).with(ours())
    };
    let part = |resource: &str, pairs: &[(&str, &str)]| ec2("RunInstances", resource, pairs).with(ours());
    let instance = |kind: &str, tokens: &str| {
        part("instance/i-1", &[("ec2:InstanceType", kind), ("ec2:MetadataHttpTokens", tokens)])
    };
    let subnet = |name: &str, vpc: &str| {
        part("subnet/subnet-2", &[("ec2:Vpc", vpc), ("aws:ResourceTag/aws-cdk:subnet-name", name)])
    };
    let profile = format!("arn:aws:iam::{ACCOUNT}:instance-profile/admin");
    let with_profile = instance("t2.micro", "required").with(context(&[("ec2:InstanceProfile", &profile)]));
    let untagged = |resource: &str, pairs: &[(&str, &str)]| ec2("RunInstances", resource, pairs);
    let hardened = [("ec2:InstanceType", "t2.micro"), ("ec2:MetadataHttpTokens", "required")];
    let as_grace = named(PROJECT, GRACE);
    let parts = [
        image("ami-foreign", "999999999999"),
        image("ami-bought", "aws-marketplace"),
        image("ami-ours", ACCOUNT),
        subnet("Application", &here),
        subnet("Ingress", &elsewhere),
        part("subnet/subnet-2", &[("ec2:Vpc", &here)]),
        part("security-group/sg-application", &[("ec2:Vpc", &here)]),
        part("security-group/sg-grace", &of(PROJECT, GRACE)),
        part("security-group/sg-blog", &of("blog", ADA)),
        part(&format!("security-group/{}", Places::some().writer_group), &[]),
        part("key-pair/devdb-shop-dev-grace", &of(PROJECT, GRACE)),
        part("key-pair/production", &[]),
        instance("t3.large", "required"),
        instance("p5.48xlarge", "required"),
        instance("t2.micro", "optional"),
        part("instance/i-1", &[("ec2:InstanceType", "t2.micro")]),
        with_profile,
        untagged("instance/i-1", &hardened),
        untagged("instance/i-1", &hardened).with(as_grace.clone()),
        untagged("instance/i-1", &hardened).with(named("blog", ADA)),
        part("volume/vol-1", &[("ec2:Encrypted", "false")]),
        part("volume/vol-1", &[]),
        untagged("volume/vol-1", &[("ec2:Encrypted", "true")]).with(as_grace.clone()),
        part("network-interface/eni-1", &[("ec2:Vpc", &elsewhere)]),
        untagged("network-interface/eni-1", &[("ec2:Vpc", &here)]),
        untagged("network-interface/eni-1", &[("ec2:Vpc", &here)]).with(as_grace),
    ];
    let (calls, kinds): (Vec<Call>, Vec<&str>) = parts.into_iter().map(launch_but).unzip();
    for ((call, refused), kind) in calls.iter().zip(refused(&DEVELOPER, &Places::some(), ADA, &calls)).zip(kinds) {
        let of_that_kind = call.last().unwrap();
        assert_eq!(of_that_kind.kind(), kind);
        // Nothing else of it, or the test would not see what it is about.
        let kinds: Vec<&str> = refused.iter().map(Request::kind).collect();
        assert_eq!(kinds, [kind], "{of_that_kind:#?}");
    }
}

#[test]
fn what_belongs_to_others_is_out_of_reach() {
    let mut calls = Vec::new();
    let strangers: [&[(&str, &str)]; 4] = [&of(PROJECT, GRACE), &of("blog", ADA), &of(PROJECT, ""), &[]];
    for tags in strangers {
        for action in ["TerminateInstances", "StartInstances", "GetConsoleOutput"] {
            calls.push(vec![ec2(action, "instance/i-2", tags)]);
        }
        calls.push(vec![ec2("DeleteSecurityGroup", "security-group/sg-2", tags)]);
        calls.push(vec![ec2("DeleteKeyPair", "key-pair/devdb-shop-dev-grace", tags)]);
        for action in ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"] {
            // With the caller's own tags on the rule, told for the group as well.
            calls.push(rule(action, "sg-2", tags).into_iter().map(|one| one.with(named(PROJECT, ADA))).collect());
        }
        for action in ["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"] {
            calls.push(rule(action, "sg-2", tags));
        }
        calls.push(extend(tags, &["devdb:expires-at"]));
    }
    calls.push(rule("AuthorizeSecurityGroupEgress", &Places::some().writer_group, &[]));
    calls.push(rule("RevokeSecurityGroupEgress", &Places::some().writer_group, &[]));
    calls.push(vec![ec2("DeleteSecurityGroup", &format!("security-group/{}", Places::some().writer_group), &[])]);
    expect_refused(&DEVELOPER, &calls);
}

#[test]
fn nothing_is_made_in_another_name_or_place() {
    let places = Places::some();
    let in_vpc = |tags: Context, vpc: &str| {
        vec![
            ec2("CreateSecurityGroup", "security-group/sg-1", &[]).with(tags),
            ec2("CreateSecurityGroup", &format!("vpc/{vpc}"), &[]).with(named(PROJECT, ADA)),
        ]
    };
    let key = |name: &str, tags: Context| vec![ec2("ImportKeyPair", &format!("key-pair/{name}"), &[]).with(tags)];
    let in_writers = |tags: Context| {
        let action = "AuthorizeSecurityGroupIngress";
        vec![
            ec2(action, &format!("security-group/{}", places.writer_group), &[]),
            ec2(action, "security-group-rule/sgr-1", &[]).with(tags),
        ]
    };
    let ours = || named(PROJECT, ADA);
    expect_refused(
        &DEVELOPER,
        &[
            in_vpc(named(PROJECT, GRACE), &places.vpc),
            in_vpc(named("blog", ADA), &places.vpc),
            in_vpc(Context::new(), &places.vpc),
            in_vpc(ours(), "vpc-0another"),
            key("devdb-shop-dev-ada", named(PROJECT, GRACE)),
            key("devdb-shop-dev-ada", Context::new()),
            key("devdb-blog-dev-ada", ours()),
            key("production", ours()),
            in_writers(named(PROJECT, GRACE)),
            in_writers(Context::new()),
        ],
    );
}

#[test]
fn tags_are_written_onto_what_is_just_made_and_nothing_else() {
    let own = of(PROJECT, ADA);
    let tag = |action: &str, resource: &str, more: &[(&str, &str)]| {
        vec![ec2(action, resource, more).with(named(PROJECT, ADA))]
    };
    let made_by = [("ec2:CreateAction", "RunInstances")];
    let mut calls = vec![
        // One's own things in another's name, or as a spoil for another's policy.
        extend(&own, &["devdb:principal"]),
        extend(&own, &["devdb:expires-at", "devdb:owner"]),
        tag("CreateTags", "instance/i-1", &own),
        // What stands becomes one's own.
        tag("CreateTags", "instance/i-2", &of(PROJECT, GRACE)),
        tag("CreateTags", "security-group/sg-application", &[]),
        tag("CreateTags", "security-group-rule/sgr-2", &[]),
        tag("CreateTags", "key-pair/devdb-shop-dev-grace", &of(PROJECT, GRACE)),
        // What the other statements look at.
        tag("CreateTags", "subnet/subnet-2", &[]),
        tag("CreateTags", "subnet/subnet-2", &made_by),
        tag("CreateTags", "vpc/vpc-1", &made_by),
        tag("CreateTags", "instance/i-1", &[("ec2:CreateAction", "CreateFleet")]),
        vec![ec2("CreateTags", "instance/i-1", &made_by).with(named(PROJECT, GRACE))],
        vec![ec2("CreateTags", "instance/i-1", &made_by)],
    ];
    for resource in ["instance/i-1", "security-group/sg-1", "subnet/subnet-1", "key-pair/devdb-shop-dev-ada"] {
        calls.push(tag("DeleteTags", resource, &own));
    }
    for of_no_account in ["image/ami-1", "snapshot/snap-1"] {
        let arn = format!("arn:aws:ec2:{REGION}::{of_no_account}");
        calls.push(vec![request("ec2:CreateTags", &arn, &made_by).with(named(PROJECT, ADA))]);
    }
    expect_refused(&NAMES, &calls);
}

#[test]
fn one_secret_one_cluster_and_one_user_can_be_had() {
    let places = Places::some();
    let secret = |action: &str, arn: &str| vec![request(&format!("secretsmanager:{action}"), arn, &[])];
    let other = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/payments-Ab12Cd";
    let rds = |action: &str, resource: &str| {
        vec![request(&format!("rds:{action}"), &format!("arn:aws:rds:{REGION}:{ACCOUNT}:{resource}"), &[])]
    };
    let parameter = |name: &str| {
        vec![request("ssm:GetParameters", &format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}"), &[])]
    };
    let key = "arn:aws:kms:eu-west-1:123456789012:key/99999999-89ab-cdef-0123-456789abcdef";
    expect_refused(
        &NAMES,
        &[
            secret("GetSecretValue", other),
            secret("GetSecretValue", &format!("{}x", places.secret_arn)),
            secret("PutSecretValue", &places.secret_arn),
            secret("DeleteSecret", &places.secret_arn),
            decrypt(other, "secretsmanager.eu-west-1.amazonaws.com"),
            decrypt(&places.secret_arn, "s3.eu-west-1.amazonaws.com"),
            kms("CreateGrant", &[]),
            kms("Encrypt", &[]),
            vec![request(
                "kms:CreateGrant",
                key,
                &[("kms:ViaService", "ec2.eu-west-1.amazonaws.com"), ("kms:GrantIsForAWSResource", "true")],
            )],
            login(DB_RESOURCE_ID, "postgres"),
            login("cluster-ANOTHER", DB_USER),
            rds("DescribeDBClusters", "cluster:payments"),
            rds("ModifyDBCluster", "cluster:appdb"),
            rds("DeleteDBInstance", "db:appdb-writer"),
            stack("ListStackResources", "AppDbStackOfAnother"),
            stack("ListStackResources", "Payments"),
            stack("UpdateStack", "AppDbStack"),
            stack("GetTemplate", "AppDbStack"),
            parameter("shop/production/token"),
            parameter("aws/service/ami-amazon-linux-latest/al2023"),
        ],
    );
}

#[test]
fn what_devdb_never_does_is_not_allowed_even_on_ones_own() {
    let own = of(PROJECT, ADA);
    let instance = |action: &str| vec![ec2(action, "instance/i-1", &own)];
    let role = format!("arn:aws:iam::{ACCOUNT}:role/admin");
    let on_arn = |action: &str, arn: String| vec![request(action, &arn, &own)];
    let writers = format!("security-group/{}", Places::some().writer_group);
    let mut calls: Vec<Call> = [
        "StopInstances",
        "RebootInstances",
        "ModifyInstanceAttribute",
        "ModifyInstanceMetadataOptions",
        "AssociateIamInstanceProfile",
        "GetPasswordData",
        "DescribeInstanceAttribute",
    ]
    .into_iter()
    .map(instance)
    .collect();
    calls.extend([
        vec![
            ec2("ModifySecurityGroupRules", &writers, &[]),
            ec2("ModifySecurityGroupRules", "security-group-rule/sgr-2", &own),
        ],
        on_arn("iam:PassRole", role.clone()),
        on_arn("iam:AttachRolePolicy", role.clone()),
        on_arn("sts:AssumeRole", role),
        on_arn("ec2-instance-connect:SendSSHPublicKey", format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1")),
        on_arn("ssm:StartSession", format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-1")),
        on_arn("lambda:InvokeFunction", format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:migrations")),
    ]);
    expect_refused(&NAMES, &calls);
}

#[test]
fn another_region_or_account_is_out_of_reach() {
    let moved = |from: &str, to: &str| {
        let calls = connecting().into_iter().chain(provisioning()).chain(cleaning());
        let moved = calls.map(|call| {
            let there = |one: Request| Request {
                resource: one.resource.replace(from, to),
                context: context(&[("aws:RequestedRegion", if from == REGION { to } else { REGION })])
                    .into_iter()
                    .chain(one.context)
                    .collect(),
                ..one
            };
            call.into_iter().map(there).collect::<Call>()
        });
        // AWS's own parameters belong to no account, and neither do lists.
        moved.filter(|call| from == REGION || call.iter().any(|one| one.resource.contains(to))).collect::<Vec<_>>()
    };
    for (from, to) in [(REGION, "us-east-1"), (ACCOUNT, "210987654321")] {
        let calls = moved(from, to);
        assert!(calls.len() > 30, "{to}: {}", calls.len());
        expect_refused(&NAMES, &calls);
    }
}

/// The administrator of leftovers ends no bastion that stands, looks into none, and makes nothing.
#[test]
fn an_administrator_removes_what_is_left_and_nothing_else() {
    let (theirs, blogs) = (of(PROJECT, GRACE), of("blog", GRACE));
    let mut calls = vec![
        vec![ec2("TerminateInstances", "instance/i-2", &theirs)],
        vec![ec2("StartInstances", "instance/i-2", &theirs)],
        vec![ec2("GetConsoleOutput", "instance/i-2", &theirs)],
        rule("AuthorizeSecurityGroupIngress", "sg-2", &theirs),
        extend(&theirs, &["devdb:expires-at"]),
    ];
    for tags in [&blogs[..], &[]] {
        calls.push(vec![ec2("DeleteKeyPair", "key-pair/production", tags)]);
        calls.push(vec![ec2("DeleteSecurityGroup", "security-group/sg-application", tags)]);
        calls.push(rule("RevokeSecurityGroupIngress", "sg-application", tags));
    }
    expect_refused(&NAMES, &calls);
}
