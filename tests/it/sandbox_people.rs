//! Several people and several laptops in one account, on the sandbox: who may touch whose, and who finds out.

use crate::support::laptop::{Answer, Laptop, eventually};
use std::time::Duration;

/// The laptop of somebody who assumes the team's role; IAM Identity Center puts the person into the session's name.
fn laptop_of(laptop: &Laptop, session: &str, alias: &str) -> Laptop {
    let keys = laptop.python_lines(&format!(
        "import boto3\niam = boto3.client('iam')\n\
         if 'dev' not in [r['RoleName'] for r in iam.list_roles()['Roles']]:\n\
         \x20   iam.create_role(RoleName='dev', AssumeRolePolicyDocument='{{}}')\n\
         role = 'arn:aws:iam::123456789012:role/dev'\n\
         keys = boto3.client('sts').assume_role(RoleArn=role, RoleSessionName='{session}')['Credentials']\n\
         print(keys['AccessKeyId'], keys['SecretAccessKey'], keys['SessionToken'])"
    ));
    let [id, secret, token] = keys.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{keys}") };
    laptop.beside(&[
        ("DEVDB_ALIAS", alias),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_SESSION_TOKEN", token),
    ])
}

/// The ids of a kind of resource with an owner's tag, sorted.
fn of_owner(laptop: &Laptop, owner: &str) -> String {
    laptop.python_lines(&format!(
        "import boto3\nec2 = boto3.client('ec2')\nours = [{{'Name': 'tag:devdb:owner', 'Values': ['{owner}']}}]\n\
         found = [i['InstanceId'] for r in ec2.describe_instances(Filters=ours)['Reservations'] for i in r['Instances']\n\
         \x20   if i['State']['Name'] != 'terminated']\n\
         found += [g['GroupId'] for g in ec2.describe_security_groups(Filters=ours)['SecurityGroups']]\n\
         found += [r['SecurityGroupRuleId'] for r in ec2.describe_security_group_rules(Filters=ours)['SecurityGroupRules']]\n\
         found += [k['KeyPairId'] for k in ec2.describe_key_pairs(Filters=ours)['KeyPairs']]\n\
         print(*sorted(found))"
    ))
}

/// Ends an owner's instance as its own clock would.
fn expire(laptop: &Laptop, owner: &str) {
    laptop.python_lines(&format!(
        "import boto3\nec2 = boto3.client('ec2')\nours = [{{'Name': 'tag:devdb:owner', 'Values': ['{owner}']}}]\n\
         ids = [i['InstanceId'] for r in ec2.describe_instances(Filters=ours)['Reservations'] for i in r['Instances']\n\
         \x20   if i['State']['Name'] == 'running']\n\
         ec2.terminate_instances(InstanceIds=ids)\n\
         ec2.get_waiter('instance_terminated').wait(InstanceIds=ids, WaiterConfig={{'Delay': 1, 'MaxAttempts': 120}})"
    ));
}

/// How many of a kind are left, by the sandbox's own count.
fn count(left: &Answer, kind: &str) -> usize {
    let line = left.stdout.lines().find(|line| line.trim_start().starts_with(kind)).unwrap();
    if line.contains("none") { 0 } else { line.split(',').count() }
}

#[test]
fn people_and_projects_do_not_touch_each_other() {
    let ada = Laptop::new();
    let grace = laptop_of(&ada, "grace@example.com", "grace");
    let namesake = laptop_of(&ada, "adam@example.com", "ada");
    let blog = ada.beside(&[("DEVDB_PROJECT", "blog")]);
    ada.devdb("bastion up").expect_code(0);
    let of_ada = of_owner(&ada, "ada");
    grace.devdb("bastion up").expect_code(0);

    namesake.devdb("bastion up").expect_code(4).says(&["is another AWS principal's", "hint:", "DEVDB_ALIAS"]);
    namesake.devdb("bastion allow-ip --yes").expect_code(4).says(&["belongs to another AWS principal", "DEVDB_ALIAS"]);
    for words in ["bastion down --yes --json", "bastion gc --yes --json"] {
        let told = namesake.devdb(words).expect_code(0).json();
        assert_eq!(told["changed"], false, "{told:#}");
        let kept = if words.contains("gc") { &told["owners"][0]["kept"] } else { &told["kept"] };
        assert_eq!(kept.as_array().unwrap().len(), 4, "{told:#}");
    }
    assert_eq!(of_owner(&ada, "ada"), of_ada);

    let list = ada.devdb("bastion list --json").expect_code(0).json();
    let mine = |row: &serde_json::Value| (row["owner"].as_str().unwrap().to_owned(), row["mine"].as_bool().unwrap());
    let rows: Vec<_> = list["bastions"].as_array().unwrap().iter().map(mine).collect();
    assert_eq!(rows, [("ada".to_owned(), true), ("grace".to_owned(), false)], "{list:#}");

    // The other project has the same owner; of_owner() cannot tell them apart, the list can.
    blog.devdb("bastion up").expect_code(0);
    let of_blog = blog.devdb("bastion list --json").expect_code(0).json();
    assert_eq!(of_blog["bastions"].as_array().unwrap().len(), 1, "{of_blog:#}");
    ada.devdb("bastion gc --all --yes").expect_code(0);
    blog.devdb("bastion down").expect_code(0);
    assert_eq!(of_owner(&ada, "ada"), of_ada);

    grace.devdb("bastion down").expect_code(0);
    assert_eq!(of_owner(&ada, "grace").trim(), "");
    assert_eq!(of_owner(&ada, "ada"), of_ada);
    ada.devdb("bastion down").expect_code(0);
    ada.leftovers().expect_code(0);
}

/// Tags and names are anyone's to give.
#[test]
fn what_a_colleague_puts_in_the_way_stops_nothing() {
    let ada = Laptop::new();
    let put = "import boto3\nec2 = boto3.client('ec2')\n\
         subnet = [s for s in ec2.describe_subnets()['Subnets'] if any(t['Value'] == 'Ingress' for t in s['Tags'])][0]\n\
         tags = [{'Key': 'devdb:' + k, 'Value': v} for k, v in\n\
         \x20   [('project', 'shop'), ('environment', 'dev'), ('owner', 'ada'), ('principal', 'AIDAMALLORY')]]\n\
         of = lambda kind: [{'ResourceType': kind, 'Tags': tags}]\n\
         name = 'devdb-shop-dev-ada'\n\
         group = ec2.create_security_group(GroupName=name, VpcId=subnet['VpcId'], Description='x',\n\
         \x20   TagSpecifications=of('security-group'))['GroupId']\n\
         pair = ec2.create_key_pair(KeyName=name, TagSpecifications=of('key-pair'))['KeyPairId']\n\
         writer = ec2.describe_security_groups(GroupIds=[boto3.client('rds').describe_db_clusters(\n\
         \x20   DBClusterIdentifier='shop-cluster')['DBClusters'][0]['VpcSecurityGroups'][0]['VpcSecurityGroupId']])['SecurityGroups'][0]['GroupId']\n\
         rule = ec2.authorize_security_group_ingress(GroupId=writer, TagSpecifications=of('security-group-rule'), IpPermissions=[\n\
         \x20   {'IpProtocol': 'tcp', 'FromPort': 5432, 'ToPort': 5432, 'IpRanges': [{'CidrIp': '10.0.9.8/32'}]}])\n\
         print(group, pair, writer, rule['SecurityGroupRules'][0]['SecurityGroupRuleId'])";
    let made = ada.python_lines(put);
    let [group, pair, writer, rule] = made.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{made}") };
    let theirs = of_owner(&ada, "ada");

    ada.devdb("bastion up").expect_code(0).says(&["is another AWS principal's (AIDAMALLORY)"]);
    let again = ada.devdb("bastion up --json").expect_code(0).json();
    assert_eq!((&again["changed"], again["kept"].as_array().unwrap().len()), (&false.into(), 3), "{again:#}");
    ada.devdb("tunnel up").expect_code(0);
    ada.devdb("bastion extend 13h").expect_code(0);
    ada.devdb("bastion allow-ip").expect_code(0);
    let gone = ada.devdb("down --json").expect_code(0).json();
    assert_eq!(gone["bastion"]["kept"].as_array().unwrap().len(), 2, "{gone:#}");
    let steps = gone["bastion"]["steps"].to_string();
    assert!(
        steps.contains("delete key pair devdb-shop-dev-ada.2") && steps.contains("devdb-shop-dev-ada.2 (sg-"),
        "{steps}"
    );
    assert_eq!(of_owner(&ada, "ada"), theirs);
    ada.python_lines(&format!(
        "import boto3\nec2 = boto3.client('ec2')\n\
         ec2.revoke_security_group_ingress(GroupId='{writer}', SecurityGroupRuleIds=['{rule}'])\n\
         ec2.delete_security_group(GroupId='{group}')\nec2.delete_key_pair(KeyPairId='{pair}')"
    ));
    ada.leftovers().expect_code(0);
}

#[test]
fn two_laptops_of_one_person_end_with_one_bastion() {
    let first = Laptop::new();
    let second = first.beside(&[]);
    // Both have looked before either has the key pair, which is the lock.
    first.fault(r#"api {"action":"ImportKeyPair","delay":3,"count":2}"#);
    let racing = [first.start("bastion up"), second.start("bastion up")];
    let ended: Vec<_> = racing.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let mut codes: Vec<_> = ended.iter().map(|output| output.status.code().unwrap()).collect();
    codes.sort_unstable();
    let said: Vec<_> = ended.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
    assert_eq!(codes, [0, 4], "{said:#?}");
    let loser = usize::from(ended[0].status.success());
    assert!(said[loser].contains("another computer is bringing up the same bastion"), "{}", said[loser]);
    let left = first.leftovers().expect_code(1);
    for kind in ["instances", "security groups ", "key pairs"] {
        assert_eq!(count(&left, kind), 1, "{}", left.stdout);
    }

    // The loser may take over, after asking; the winner's key is as good as lost then.
    let (winner, loser) = if loser == 1 { (&first, &second) } else { (&second, &first) };
    let alive = of_owner(&first, "ada");
    loser.devdb("bastion up").expect_code(4).says(&["its key is not on this computer", "--yes"]);
    loser.devdb("bastion allow-ip --ip 203.0.113.99").expect_code(4).says(&["whose key is on another computer"]);
    assert_eq!(of_owner(&first, "ada"), alive);
    winner.devdb("tunnel up").expect_code(0);
    winner.devdb("tunnel down").expect_code(0);
    loser.devdb("bastion up --yes").expect_code(0);
    let left = first.leftovers().expect_code(1);
    assert_eq!(count(&left, "security groups ") + count(&left, "key pairs"), 2, "{}", left.stdout);
    loser.devdb("tunnel up").expect_code(0);
    loser.devdb("tunnel down").expect_code(0);
    winner.devdb("tunnel up").expect_code(1).says(&["is not on this computer", "devdb bastion up"]);
    loser.devdb("bastion down").expect_code(0);
    first.leftovers().expect_code(0);
}

#[test]
fn a_new_address_is_found_out_and_let_in() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    laptop.fault("change-address");
    // A running tunnel would mend it by itself.
    laptop.devdb("bastion ssh -- true").expect_code(1).says(&[
        "you are seen with 198.51.100.11 now, but the security group lets in 198.51.100.10/32",
        "`devdb bastion allow-ip`",
    ]);
    let planned = laptop.devdb("bastion allow-ip --dry-run --json").expect_code(0).json();
    assert_eq!(planned["steps"].as_array().unwrap().len(), 2, "{planned:#}");
    laptop.devdb("bastion allow-ip").expect_code(0);
    laptop.devdb("tunnel up").expect_code(0);
    let again = laptop.devdb("bastion allow-ip --json").expect_code(0).json();
    assert_eq!(again["changed"], false, "{again:#}");
    let several = laptop.devdb("bastion allow-ip --ip 198.51.100.11 --ip 203.0.113.16/28 --json").expect_code(0).json();
    assert_eq!(several["allowed"], serde_json::json!(["198.51.100.11/32", "203.0.113.16/28"]));
    let silent = [("DEVDB_ECHO_URL", "http://192.0.2.2:9/")];
    laptop.devdb_with(&silent, "bastion allow-ip").expect_code(1).says(&["could not be reached", "--ip 203.0.113.7"]);
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn leftovers_are_told_and_removed_and_nothing_else() {
    let ada = Laptop::new();
    let grace = laptop_of(&ada, "grace@example.com", "grace");
    ada.devdb("bastion up").expect_code(0);
    grace.devdb("bastion up").expect_code(0);
    let foreign = ada.python_lines(
        "import boto3\nec2 = boto3.client('ec2')\n\
         ours = [{'Name': 'tag:devdb:owner', 'Values': ['grace']}]\n\
         rules = ec2.describe_security_group_rules(Filters=ours)['SecurityGroupRules']\n\
         own = [g['GroupId'] for g in ec2.describe_security_groups(Filters=ours)['SecurityGroups']]\n\
         database = [r['GroupId'] for r in rules if r['GroupId'] not in own][0]\n\
         rule = [{'IpProtocol': 'tcp', 'FromPort': 5432, 'ToPort': 5432, 'IpRanges': [{'CidrIp': '10.0.9.9/32'}]}]\n\
         # A run that failed may have left it.\n\
         try: ec2.revoke_security_group_ingress(GroupId=database, IpPermissions=rule)\n\
         except ec2.exceptions.ClientError: pass\n\
         made = ec2.authorize_security_group_ingress(GroupId=database, IpPermissions=rule)\n\
         print(database, made['SecurityGroupRules'][0]['SecurityGroupRuleId'])",
    );
    expire(&ada, "grace");
    let alive = of_owner(&ada, "ada");

    let status = grace.devdb("bastion status").expect_code(3);
    assert!(status.stdout.contains("absent, with leftovers"), "{}", status.stdout);
    status.says(&["devdb bastion gc"]);
    let list = ada.devdb("bastion list").expect_code(0);
    assert!(list.stdout.contains("3 leftovers of grace in environment dev"), "{}", list.stdout);
    list.says(&["devdb bastion gc --all"]);
    let own = ada.devdb("bastion gc --json").expect_code(0).json();
    assert_eq!(own["changed"], false, "{own:#}");
    ada.devdb("bastion gc --all").expect_code(4).says(&["remove what is left over of grace (dev)?", "--yes"]);
    assert_ne!(of_owner(&ada, "grace").trim(), "");
    ada.devdb("bastion gc --all --yes").expect_code(0);
    assert_eq!(of_owner(&ada, "grace").trim(), "");
    assert_eq!(of_owner(&ada, "ada"), alive);

    expire(&ada, "ada");
    let own = ada.devdb("bastion gc --json").expect_code(0).json();
    assert_eq!(own["changed"], true, "{own:#}");
    ada.leftovers().expect_code(0);
    let (group, rule) = foreign.trim().split_once(' ').unwrap();
    // It is still there, or this would fail.
    ada.python_lines(&format!(
        "import boto3\nboto3.client('ec2').revoke_security_group_ingress(GroupId='{group}', SecurityGroupRuleIds=['{rule}'])"
    ));
}

#[test]
fn a_down_that_is_refused_leaves_the_tunnel_alone() {
    let owner = Laptop::new();
    // The name of a session that a tool made up tells nothing about the person.
    let laptop = laptop_of(&owner, "botocore-session-1767323045", "ada");
    laptop.devdb("up").expect_code(0);
    // Nothing tells any more that it is not a colleague's with the same role.
    let record = laptop.state().join("generation.json");
    let kept = std::fs::read(&record).unwrap();
    std::fs::remove_file(&record).unwrap();
    laptop.devdb("down").expect_code(4).says(&["it may be a colleague's with the same role"]);
    assert_eq!(laptop.devdb("tunnel status --json").expect_code(0).json()["state"], "up");
    std::fs::write(&record, kept).unwrap();
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn a_down_that_was_interrupted_is_not_called_absence() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    laptop.fault(r#"api {"action":"DeleteSecurityGroup","code":"InternalError","status":400,"count":9}"#);
    laptop.devdb("bastion down").expect_code(1).says(&["error:"]);
    laptop.fault("clear");
    let status = laptop.devdb("bastion status --json").expect_code(3).json();
    assert_eq!((&status["state"], status["leftovers"].as_array().unwrap().len()), (&"absent".into(), 2), "{status:#}");
    laptop.devdb("bastion status").expect_code(3).says(&["devdb bastion gc"]);
    laptop.devdb("bastion gc").expect_code(0);
    laptop.leftovers().expect_code(0);
    eventually("nothing is told any more", Duration::from_secs(10), || {
        laptop.devdb("bastion status --json").json()["leftovers"] == serde_json::json!([])
    });
}
