//! The Lambda function on a real PostgreSQL, spoken to as Lambda and CloudFormation speak to it.

use crate::support::lambda::{AMPLE, Lambda};
use crate::support::postgres::{Database, PASSWORD, PASSWORD_ENCODED};
use serde_json::{Value, json};
use std::time::Duration;

const ONE: (&str, &str, &str) = ("20260101_one", "create table one (id int);", "drop table one;");
const TWO: (&str, &str, &str) = ("20260102_two", "create table two (id int);", "drop table two;");
const THREE: (&str, &str, &str) = ("20260103_three", "create table three (id int);", "drop table three;");

/// A function, and the database that its variable names.
struct Rig {
    database: Database,
    lambda: Lambda,
}

impl Rig {
    fn new(bundle: &[(&str, &str, &str)]) -> Self {
        let database = Database::create();
        let lambda = Lambda::start(&[("DATABASE_URL", &database.url())]);
        lambda.bundle(bundle);
        Self { database, lambda }
    }

    /// The first deployment.
    #[track_caller]
    fn create(&self) -> Value {
        self.lambda.invoke(&self.lambda.request("Create", "c", json!({}))).success().clone()
    }

    fn ledger(&self) -> String {
        let names = "select coalesce(string_agg(name, ' ' order by timestamp), '') from kysely_migration";
        self.database.sql(names)
    }
}

/// What differs from run to run.
fn steady(answer: &Value, rig: &Rig) -> String {
    let text = serde_json::to_string_pretty(answer).unwrap();
    assert!(!text.contains("canary") && !text.contains(PASSWORD) && !text.contains(PASSWORD_ENCODED), "{text}");
    text.replace(&rig.database.name, "[DATABASE]")
}

#[test]
fn create_update_and_delete_are_answered_where_cloudformation_waits() {
    let rig = Rig::new(&[ONE, TWO]);
    let told = rig.lambda.invoke(&rig.lambda.request("Create", "c", json!({ "MigrationsHash": "1" })));
    assert_eq!(told.puts[0].content_type.as_deref(), Some(""), "the URL is signed that way");
    let created = told.success().clone();
    rig.lambda.bundle(&[ONE, TWO, THREE]);
    let updated = rig.lambda.invoke(&rig.lambda.update(&created, json!({ "MigrationsHash": "2" }))).success().clone();
    let again = rig.lambda.invoke(&rig.lambda.update(&created, json!({ "MigrationsHash": "2" }))).success().clone();
    let deleted = rig.lambda.invoke(&rig.lambda.delete(&created, json!({}))).success().clone();
    insta::assert_snapshot!([created, updated, again, deleted].map(|answer| steady(&answer, &rig)).join("\n"));
    assert_eq!(rig.ledger(), "20260101_one 20260102_two 20260103_three");
    let log = rig.lambda.log();
    assert!(log.contains("up 20260103_three: done") && !log.contains("canary") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn a_request_that_comes_twice_is_done_once() {
    let rig = Rig::new(&[ONE]);
    let event = rig.lambda.request("Create", "c", json!({}));
    let (first, second) = (rig.lambda.invoke(&event), rig.lambda.invoke(&event));
    assert_eq!((first.success()["Data"]["Applied"].as_str(), rig.ledger().as_str()), (Some("1"), "20260101_one"));
    assert_eq!(second.success()["Data"], json!({ "Applied": "0", "Current": "20260101_one", "LedgerCount": "1" }));
    assert_eq!(first.success()["PhysicalResourceId"], second.success()["PhysicalResourceId"]);
}

#[test]
fn an_older_bundle_is_a_rollback_and_nothing_is_undone() {
    let rig = Rig::new(&[ONE, TWO, THREE]);
    let created = rig.create();
    rig.lambda.bundle(&[ONE]);
    let told = rig.lambda.invoke(&rig.lambda.update(&created, json!({})));
    assert_eq!(
        told.success()["Reason"],
        "the database is 2 migrations ahead of this bundle, from 20260102_two on; nothing was undone"
    );
    assert_eq!(told.success()["Data"], json!({ "Applied": "0", "Current": "20260103_three", "LedgerCount": "3" }));
    // With a target that was passed long ago, too.
    rig.lambda.bundle(&[ONE, TWO, THREE]);
    rig.lambda.invoke(&rig.lambda.update(&created, json!({ "Target": ONE.0 }))).success();
    assert_eq!(rig.ledger(), "20260101_one 20260102_two 20260103_three");
    // But a bundle that lacks one in the middle is none.
    rig.lambda.bundle(&[ONE, THREE]);
    let told = rig.lambda.invoke(&rig.lambda.update(&created, json!({})));
    assert_eq!(
        told.failed(),
        "corrupted migrations: previously executed migration 20260102_two is missing; nothing was changed; \
         `devdb migrate repair` on a laptop shows how to put it right"
    );
}

#[test]
fn a_rollback_undoes_where_that_was_asked_for_and_costs_no_rows() {
    let rig = Rig::new(&[ONE, TWO, THREE]);
    let created = rig.create();
    rig.lambda.bundle(&[ONE, TWO]);
    let down = json!({ "OnRollback": "down" });
    let told = rig.lambda.invoke(&rig.lambda.update(&created, down.clone()));
    assert_eq!(told.success()["Data"], json!({ "Applied": "1", "Current": "20260102_two", "LedgerCount": "2" }));
    rig.database.sql("insert into two values (1)");
    rig.lambda.bundle(&[ONE]);
    let told = rig.lambda.invoke(&rig.lambda.update(&created, down.clone()));
    assert_eq!(
        told.success()["Reason"],
        "the database is 1 migration ahead of this bundle, from 20260102_two on; nothing was undone: \
         undoing 20260102_two takes away the rows of two"
    );
    rig.database.sql("delete from two; delete from devdb_migration_journal");
    let told = rig.lambda.invoke(&rig.lambda.update(&created, down));
    let reason = told.success()["Reason"].as_str().unwrap();
    assert!(reason.ends_with("nothing was undone: the journal does not know 20260102_two"), "{reason}");
    assert_eq!(rig.ledger(), "20260101_one 20260102_two");
}

#[test]
fn a_preview_stack_takes_its_migrations_along_and_no_other_does() {
    let rig = Rig::new(&[ONE, TWO]);
    let created = rig.create();
    let down = json!({ "OnDelete": "down" });
    // Of a resource that could not be made, and of another database.
    for id in ["devdb-migrations:not-created", "devdb-migrations:elsewhere/shop/public"] {
        let told = rig.lambda.invoke(&rig.lambda.delete(&json!({ "PhysicalResourceId": id }), down.clone()));
        assert_eq!((told.success()["PhysicalResourceId"].as_str(), rig.ledger().len() > 13), (Some(id), true));
    }
    let told = rig.lambda.invoke(&rig.lambda.delete(&created, down));
    assert_eq!((told.success()["Data"]["Applied"].as_str(), rig.ledger().as_str()), (Some("2"), ""));
    // A database that went first, and properties that nobody understands.
    for properties in [json!({ "Host": "127.0.0.1", "Port": 1, "Iam": true, "OnDelete": "down" }), json!({ "Hots": 1 })]
    {
        rig.lambda.invoke(&rig.lambda.delete(&created, properties)).success();
    }
}

#[test]
fn failures_name_their_place_and_leave_nothing() {
    let broken = ("20260102_two", "create table two (id int);\nalter table nowhere add x int;", "");
    let rig = Rig::new(&[ONE, broken]);
    let told = rig.lambda.invoke(&rig.lambda.request("Create", "c", json!({})));
    assert_eq!(
        told.failed(),
        "migrations/20260102_two.sql:3:1: 42P01 relation \"nowhere\" does not exist; nothing was changed"
    );
    assert_eq!(told.answer()["PhysicalResourceId"], "devdb-migrations:not-created");
    let ledger = "select to_regclass('kysely_migration') is null and to_regclass('one') is null";
    assert_eq!(rig.database.sql(ledger), "t");
    let mut failed = Vec::new();
    for properties in [json!({ "Hots": "canary" }), json!({ "Host": "127.0.0.1" }), json!({ "Target": "20260109_x" })] {
        failed.push(rig.lambda.invoke(&rig.lambda.request("Create", "c", properties)).failed().to_owned());
    }
    let mut senseless = rig.lambda.request("Create", "c", json!({}));
    senseless["ResourceProperties"] = "Host".into();
    failed.push(rig.lambda.invoke(&senseless).failed().to_owned());
    std::fs::remove_dir_all(rig.lambda.migrations()).unwrap();
    failed.push(rig.lambda.invoke(&rig.lambda.request("Create", "c", json!({}))).failed().to_owned());
    let root = rig.lambda.migrations().parent().unwrap().display().to_string();
    insta::assert_snapshot!(failed.join("\n").replace(&root, "[ROOT]"));
}

#[test]
fn a_failed_update_keeps_the_resources_id() {
    let rig = Rig::new(&[ONE]);
    let created = rig.create();
    rig.lambda.bundle(&[("20260100_before", "select 1;", ""), ONE]);
    let told = rig.lambda.invoke(&rig.lambda.update(&created, json!({})));
    assert!(
        told.failed().contains("to be at index 0 but 20260100_before was found")
            && told.failed().contains("devdb migrate repair")
    );
    assert_eq!(told.answer()["PhysicalResourceId"], created["PhysicalResourceId"]);
    // Another database is another resource.
    let other = Database::create();
    let elsewhere = Lambda::start(&[("DATABASE_URL", &other.url())]);
    elsewhere.bundle(&[ONE]);
    let moved = elsewhere.invoke(&elsewhere.update(&created, json!({}))).success().clone();
    assert_ne!(moved["PhysicalResourceId"], created["PhysicalResourceId"]);
}

#[test]
fn without_time_nothing_is_begun() {
    let rig = Rig::new(&[ONE]);
    // Lambda's own default.
    let told = rig.lambda.invoke_for(Duration::from_secs(3), &rig.lambda.request("Create", "c", json!({})));
    assert_eq!(
        told.failed(),
        "the function has less than 10 seconds; nothing was begun; set its Timeout to 840 (seconds)"
    );
}

#[test]
fn an_answer_that_does_not_get_through_is_sent_again() {
    let rig = Rig::new(&[ONE]);
    rig.lambda.refuse(&[500]);
    let told = rig.lambda.invoke(&rig.lambda.request("Create", "c", json!({})));
    assert_eq!(told.success()["Data"]["Applied"], "1");
    // Without time for another attempt the invocation fails, so that Lambda repeats it.
    rig.lambda.refuse(&[503]);
    let event = rig.lambda.request("Create", "c", json!({}));
    let told = rig.lambda.invoke_for(Duration::from_millis(900), &event);
    let error = told.returned.unwrap_err();
    let said = error["errorMessage"].as_str().unwrap();
    assert!(
        said.contains("in 1 attempts: it answered 503; in a VPC the function needs a NAT gateway")
            && !said.contains("canary"),
        "{said}"
    );
    assert_eq!((error["errorType"].as_str(), told.puts.len()), (Some("AnswerNotDelivered"), 0));
    assert_eq!(rig.lambda.invoke(&event).success()["Data"]["LedgerCount"], "1");
}

#[test]
fn the_provider_framework_gets_a_value_or_an_error() {
    let rig = Rig::new(&[ONE]);
    let mut event = rig.lambda.request("Create", "c", json!({}));
    event["ResponseURL"] = "...".into();
    let told = rig.lambda.invoke(&event);
    let value = told.returned.unwrap();
    assert_eq!(value["Data"], json!({ "Applied": "1", "Current": "20260101_one", "LedgerCount": "1" }));
    assert!(
        value["PhysicalResourceId"].as_str().unwrap().starts_with("devdb-migrations:127.0.0.1/")
            && told.puts.is_empty()
    );
    event["ResourceProperties"]["Target"] = "nowhere".into();
    let told = rig.lambda.invoke(&event);
    assert_eq!(told.returned.unwrap_err()["errorMessage"], "migration \"nowhere\" doesn't exist; nothing was changed");
}

#[test]
fn whoever_invokes_it_directly_gets_kyselys_result_set() {
    let rig = Rig::new(&[ONE, TWO]);
    let direct = |target: &str| rig.lambda.invoke(&json!({ "target": target })).returned.unwrap();
    let up = |name: &str| json!({ "migrationName": name, "direction": "Up", "status": "Success", "rolledBack": false });
    assert_eq!(direct("latest"), json!({ "results": [up(ONE.0), up(TWO.0)], "error": null }));
    assert_eq!(direct("latest"), json!({ "results": [], "error": null }));
    assert_eq!(direct(ONE.0)["results"][0]["direction"], "Down");
    assert_eq!((direct("none")["error"].is_null(), rig.ledger().as_str()), (true, ""));
    assert_eq!(
        direct("nowhere"),
        json!({ "results": [], "error": { "message": "migration \"nowhere\" doesn't exist" } })
    );
    let told = rig.lambda.invoke_for(AMPLE, &json!({ "targets": "latest" }));
    assert_eq!(
        told.returned.unwrap_err()["errorMessage"],
        "the event is neither CloudFormation's nor {\"target\": \"latest\"}"
    );
}

#[test]
fn no_event_changes_what_the_function_has_set() {
    let database = Database::create();
    let url = database.url();
    let vars = [("DATABASE_URL", url.as_str()), ("DEVDB_ON_DELETE", "keep"), ("DEVDB_TARGET", "latest")];
    let lambda = Lambda::start(&vars);
    lambda.bundle(&[ONE]);
    // A stranger's database, which would be sent the password.
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let port = stranger.local_addr().unwrap().port();
    let elsewhere =
        json!({ "Host": "127.0.0.1", "Port": port, "SecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:a" });
    let told = lambda.invoke(&lambda.request("Create", "c", elsewhere));
    let fixed = |property: &str, variable: &str| {
        format!(
            "the property {property} says something else than the function's variable {variable}, which no event can change"
        )
    };
    assert_eq!(told.failed(), fixed("Host", "DATABASE_URL"));
    let created = lambda.invoke(&lambda.request("Create", "c", json!({ "OnDelete": "keep" }))).success().clone();
    lambda.invoke(&lambda.delete(&created, json!({ "OnDelete": "down" }))).success();
    let told = lambda.invoke(&json!({ "target": "none" })).returned.unwrap();
    assert_eq!(told, json!({ "results": [], "error": { "message": fixed("Target", "DEVDB_TARGET") } }));
    let told = lambda.invoke(&json!({ "target": "latest" })).returned.unwrap();
    assert_eq!(told, json!({ "results": [], "error": null }));
    assert_eq!(database.sql("select string_agg(name, ' ') from kysely_migration"), ONE.0);
    assert_eq!(stranger.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// A name that the function does not know makes a deployment fail.
#[test]
fn the_templates_name_only_what_the_function_knows() {
    let others = ["ServiceToken", "ServiceTimeout", "MigrationsHash"];
    let template = include_str!("../../templates/cloudformation/migrations.yaml");
    let (_, resource) = template.split_once("  Migrations:\n").unwrap();
    let (resource, _) = resource.split_once("\nOutputs:").unwrap();
    let (_, properties) = resource.split_once("    Properties:\n").unwrap();
    let construct = include_str!("../../templates/cloudformation/migrations.ts");
    let (_, rest) = construct.split_once("    properties: {\n").unwrap();
    let (body, _) = rest.split_once("\n    },").unwrap();
    let names: Vec<&str> = properties
        .lines()
        .chain(body.lines())
        .map(|line| line.trim_start_matches([' ', '#']))
        .filter(|line| !line.starts_with("//") && line.starts_with(|letter: char| letter.is_ascii_uppercase()))
        .filter_map(|line| Some(line.split_once(':')?.0))
        .filter(|name| !name.contains(' '))
        .collect();
    assert!(names.iter().filter(|name| **name == "Host").count() == 2, "{names:?}");
    for name in names {
        assert!(others.contains(&name) || devdb::lambda::PROPERTIES.contains(&name), "{name}");
    }
    // `DEVDB_SECRET_ARN` → `SecretArn`.
    let property = |variable: &str| {
        let words = variable.split('_').skip(1).map(|word| word[..1].to_owned() + &word[1..].to_lowercase());
        words.collect::<String>()
    };
    for text in [template, construct] {
        let lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("DEVDB_")?.split_once(':'));
        let set: Vec<String> = lines.map(|(name, _)| property(&format!("DEVDB_{name}"))).collect();
        assert!(set.iter().all(|name| devdb::lambda::PROPERTIES.contains(&name.as_str())), "{set:?}");
        for name in ["Host", "SecretArn", "OnRollback", "OnDelete"] {
            assert!(set.iter().any(|set| set == name), "{name} is left to the events: {set:?}");
        }
    }
}
