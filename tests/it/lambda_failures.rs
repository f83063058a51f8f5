//! The program that the zip holds, when something is wrong: each event is answered, changes nothing, and the next one is
//! served.

use crate::support::exhausted::{give_threads, leave_files, without_threads};
use crate::support::lambda::{AMPLE, Lambda};
use crate::support::postgres::Database;
use serde_json::{Value, json};
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_devdb-migrate-lambda");

const ONE: (&str, &str, &str) = ("20260101_one", "create table one (id int);", "drop table one;");
const TWO: (&str, &str, &str) = ("20260102_two", "create table two (id int);", "drop table two;");
const BROKEN: (&str, &str, &str) = ("20260102_two", "create table two (id int);\nselect nothing;", "");

/// The most that CloudFormation reads (user guide, "Custom resource response reference").
const LONGEST: usize = 4096;

/// What every function here has.
const VARIABLES: [(&str, &str); 5] = [
    ("DEVDB_CA_FILE", concat!(env!("CARGO_MANIFEST_DIR"), "/templates/rds-ca-bundle.pem")),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/[1]abc"),
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    ("AWS_REGION", "eu-west-1"),
];

struct Rig {
    database: Database,
    lambda: Lambda,
}

impl Rig {
    fn new(bundle: &[(&str, &str, &str)]) -> Self {
        Self::of(Command::new(PROGRAM), bundle)
    }

    fn of(program: Command, bundle: &[(&str, &str, &str)]) -> Self {
        let database = Database::create();
        // By name, so that it is looked up.
        let url = database.url().replace("127.0.0.1", "localhost");
        let vars: Vec<_> = VARIABLES.into_iter().chain([("DATABASE_URL", url.as_str())]).collect();
        let lambda = Lambda::spawn_with(program, &vars);
        lambda.bundle(bundle);
        Self { database, lambda }
    }

    fn create(&self, properties: Value) -> Value {
        self.lambda.request("Create", "c", properties)
    }

    /// Everything in the database.
    fn content(&self) -> String {
        self.database.pg_dump_with_rows()
    }
}

#[test]
fn a_failed_update_changes_nothing_and_the_rollback_behind_it_succeeds() {
    let rig = Rig::new(&[ONE]);
    let created = rig.lambda.invoke(&rig.create(json!({}))).success().clone();
    let before = rig.content();
    let iam =
        |host: &str, port: u16| json!({ "Host": host, "Port": port, "User": "u", "Database": "d", "Iam": "true" });
    let cases = [
        (TWO, json!({ "Hots": "h" }), "Hots is not a property that devdb knows; it knows Host, Port,"),
        (TWO, json!({ "Target": ["latest"] }), "the property Target is neither a text nor a number nor true nor false"),
        (TWO, json!({ "OnRollback": "Down" }), "OnRollback is neither keep nor down"),
        (TWO, iam("127.0.0.1", 1), "the property Host says something else than the function's variable DATABASE_URL"),
        (TWO, json!({ "Target": "20260103_x" }), "migration \"20260103_x\" doesn't exist; nothing was changed"),
        (TWO, json!({ "Schema": "no\0where" }), ""),
        (
            BROKEN,
            json!({}),
            "migrations/20260102_two.sql:3:8: 42703 column \"nothing\" does not exist; nothing was changed",
        ),
    ];
    for (pending, properties, reason) in cases {
        rig.lambda.bundle(&[ONE, pending]);
        let told = rig.lambda.invoke(&rig.lambda.update(&created, properties.clone()));
        assert!(told.failed().starts_with(reason), "{properties}: {}", told.failed());
        assert!(told.failed().ends_with(" (log stream 2026/[1]abc)"), "{}", told.failed());
        assert_eq!(told.answer()["PhysicalResourceId"], created["PhysicalResourceId"], "{properties}");
        rig.lambda.bundle(&[ONE]);
        let rolled_back = rig.lambda.invoke(&rig.lambda.update(&created, json!({})));
        assert_eq!(rolled_back.success()["PhysicalResourceId"], created["PhysicalResourceId"], "{properties}");
        assert_eq!(rig.content(), before, "{properties}");
    }
}

#[test]
fn a_resource_whose_database_cannot_be_reached_is_told_why() {
    let lambda = Lambda::spawn(PROGRAM, &VARIABLES);
    lambda.bundle(&[ONE]);
    let iam =
        |host: &str, port: u16| json!({ "Host": host, "Port": port, "User": "u", "Database": "d", "Iam": "true" });
    for (properties, reason) in [
        (json!({}), "no database is named: set Host with SecretArn or Iam"),
        (json!({ "Host": "h" }), "Host is set, but neither SecretArn nor Iam says how to log in"),
        (json!({ "Port": "5432" }), "Host is missing: Host says where"),
        (iam("nowhere.invalid", 5432), "the host name nowhere.invalid could not be resolved: "),
        (iam("127.0.0.1", 1), "nothing listens at 127.0.0.1:1"),
    ] {
        let told = lambda.invoke(&lambda.request("Create", "c", properties.clone()));
        assert!(told.failed().starts_with(reason), "{properties}: {}", told.failed());
        assert_eq!(told.answer()["PhysicalResourceId"], "devdb-migrations:not-created");
    }
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_two_letters() {
    let rig = Rig::new(&[ONE]);
    let created = rig.lambda.invoke(&rig.create(json!({}))).success().clone();
    // Letters of two, three and four bytes, and what JSON writes as two and as six; each begins at each place once.
    for (letter, begin) in ["é", "日", "😀", "\\", "\u{1}"]
        .into_iter()
        .flat_map(|letter| (0..letter.len().max(6)).map(move |count| (letter, "x".repeat(count))))
    {
        let raise = format!("do $$ begin raise exception '%', '{begin}' || repeat(E'\\u{:04X}', 4000); end $$;", {
            u32::from(letter.chars().next().unwrap())
        });
        let raise = if letter == "😀" { raise.replace("\\u1F600", "\\U0001F600") } else { raise };
        rig.lambda.bundle(&[ONE, ("20260102_two", &raise, "")]);
        let mut event = rig.lambda.update(&created, json!({}));
        let told = rig.lambda.invoke(&event);
        let said = format!("migrations/20260102_two.sql:2:1: P0001 {begin}{}", letter.repeat(4000));
        let shown = told.failed().strip_suffix("… (log stream 2026/[1]abc)").unwrap_or_else(|| panic!("{told:?}"));
        assert!(said.starts_with(shown), "{shown}");
        let length = told.puts[0].length;
        assert!(length <= LONGEST && length > LONGEST - 6, "{letter:?}: {length} bytes");
        assert_eq!(told.answer()["PhysicalResourceId"], created["PhysicalResourceId"]);

        // CDK's provider framework puts its own words around it, and cuts nothing.
        event["ResponseURL"] = "...".into();
        let error = rig.lambda.invoke(&event).returned.unwrap_err();
        let message = error["errorMessage"].as_str().unwrap();
        assert!(said.starts_with(message.strip_suffix('…').unwrap()), "{message}");
        assert!(error["errorMessage"].to_string().len() <= 1538, "{message}");
    }
    assert_eq!(rig.database.sql("select string_agg(name, ' ') from kysely_migration"), ONE.0);
}

#[test]
fn the_delete_behind_a_failed_create_touches_nothing() {
    let rig = Rig::new(&[ONE]);
    // Another stack's resource has been here.
    rig.lambda.invoke(&rig.create(json!({}))).success();
    let before = rig.content();
    rig.lambda.bundle(&[ONE, BROKEN]);
    for properties in [json!({}), json!({ "Hots": 1 }), json!({ "Host": "127.0.0.1", "Port": 1, "Iam": true })] {
        let mut properties = properties;
        properties["OnDelete"] = "down".into();
        let failed = rig.lambda.invoke(&rig.create(properties.clone()));
        failed.failed();
        assert_eq!(failed.answer()["PhysicalResourceId"], "devdb-migrations:not-created");
        // CloudFormation makes an id itself where the Create was never answered.
        for id in ["devdb-migrations:not-created", "app-Migrations-1ABCDEFGHIJKL"] {
            let deleted =
                rig.lambda.invoke(&rig.lambda.delete(&json!({ "PhysicalResourceId": id }), properties.clone()));
            assert_eq!(deleted.success()["PhysicalResourceId"], id);
        }
        assert_eq!(rig.content(), before);
    }
    assert_eq!(rig.lambda.log().matches("nothing is undone: the resource was never made").count(), 3);
}

#[test]
fn an_event_without_sense_is_an_error_or_a_failure_and_the_next_one_is_served() {
    let rig = Rig::new(&[ONE]);
    let before = rig.content();
    let with = |name: &str, value: Value| {
        let mut event = rig.create(json!({}));
        event[name] = value;
        event.to_string().into_bytes()
    };
    let without = |name: &str| {
        let mut event = rig.create(json!({}));
        event.as_object_mut().unwrap().remove(name);
        event.to_string().into_bytes()
    };
    let huge = "é".repeat(2_900_000);

    // Where it is not said who waits, the function's error is all there is.
    let unanswerable: [(Vec<u8>, &str); 18] = [
        (Vec::new(), "the event is not JSON"),
        (b"migrate".to_vec(), "the event is not JSON"),
        (b"\xff\xfe{}".to_vec(), "the event is not JSON"),
        ([b"[".repeat(100_000), b"]".repeat(100_000)].concat(), "the event is not JSON"),
        (b"null".to_vec(), "the event is not a JSON object"),
        (b"[{}]".to_vec(), "the event is not a JSON object"),
        (json!(huge).to_string().into_bytes(), "the event is not a JSON object"),
        (b"{}".to_vec(), "the event is neither CloudFormation's nor {\"target\": \"latest\"}"),
        (b"{\"target\": 1}".to_vec(), "the event is neither CloudFormation's nor {\"target\": \"latest\"}"),
        (
            b"{\"target\": \"latest\", \"dry\": true}".to_vec(),
            "the event is neither CloudFormation's nor {\"target\": \"latest\"}",
        ),
        (
            json!({ "Host": huge }).to_string().into_bytes(),
            "the event is neither CloudFormation's nor {\"target\": \"latest\"}",
        ),
        (without("StackId"), "the event has no StackId"),
        (with("RequestId", json!({})), "the event has no RequestId"),
        (with("LogicalResourceId", json!("")), "the event has no LogicalResourceId"),
        (with("ResponseURL", json!(7)), "ResponseURL is no address of the web"),
        (with("ResponseURL", json!(null)), "ResponseURL is no address of the web"),
        (with("ResponseURL", json!("bucket.s3/key")), "ResponseURL is no address of the web"),
        // Without it the framework waits, which asks for no less.
        (
            br#"{"StackId": "s", "RequestType": "Replace"}"#.to_vec(),
            "RequestType is neither Create nor Update nor Delete",
        ),
    ];
    for (event, reason) in unanswerable {
        let told = rig.lambda.invoke_with(AMPLE, &event);
        let error = told.returned.unwrap_err();
        assert_eq!(
            (error["errorMessage"].as_str(), error["errorType"].as_str()),
            (Some(reason), Some("MigrationFailed"))
        );
        assert!(told.puts.is_empty(), "{reason}");
    }

    let property = |name: &str, value: Value| {
        let mut event = rig.create(json!({}));
        event["ResourceProperties"][name] = value;
        event.to_string().into_bytes()
    };
    let answered: [(Vec<u8>, &str); 11] = [
        (without("RequestType"), "the event has no RequestType"),
        (with("RequestType", json!(["Create"])), "the event has no RequestType"),
        (with("RequestType", json!("create")), "RequestType is neither Create nor Update nor Delete"),
        (with("RequestType", json!("Update")), "the event has no PhysicalResourceId"),
        (with("ResourceProperties", json!(null)), "ResourceProperties is not an object"),
        (with("ResourceProperties", json!([["Host", "h"]])), "ResourceProperties is not an object"),
        (property("Host", json!({ "Ref": "Host" })), "the property Host is neither a text"),
        (
            property("Port", json!(1e300)),
            "the property Port says something else than the function's variable DATABASE_URL",
        ),
        (property("Target", json!(huge)), "migration \"éééé"),
        (property("Target", json!("a\0b")), "migration \"a\0b\" doesn't exist; nothing was changed"),
        (property(&huge, json!("")), "éééé"),
    ];
    for (event, reason) in answered {
        let told = rig.lambda.invoke_with(AMPLE, &event);
        assert!(told.failed().starts_with(reason), "{reason}: {}", told.failed());
        assert!(told.puts[0].length <= LONGEST);
    }
    assert_eq!(rig.content(), before);
    assert_eq!(rig.lambda.invoke(&rig.create(json!({}))).success()["Data"]["Applied"], "1");
}

/// The name of the database is looked up on a thread of its own, and tokio panics where there is none to be had.
#[test]
fn a_panic_is_answered_and_the_next_event_is_served() {
    let (program, _folder) = without_threads(PROGRAM);
    let rig = Rig::of(program, &[ONE]);
    let before = rig.content();
    let made = json!({ "PhysicalResourceId": "devdb-migrations:localhost/shop/public" });
    let create = rig.create(json!({}));
    for (event, id) in [
        (create.clone(), &json!("devdb-migrations:not-created")),
        (rig.lambda.update(&made, json!({})), &made["PhysicalResourceId"]),
        (rig.lambda.delete(&made, json!({ "OnDelete": "down" })), &made["PhysicalResourceId"]),
    ] {
        let told = rig.lambda.invoke(&event);
        assert_eq!(told.failed(), "a bug in devdb; the function's log has more (log stream 2026/[1]abc)");
        assert_eq!(&told.answer()["PhysicalResourceId"], id);
    }
    let mut of_framework = create.clone();
    of_framework["ResponseURL"] = "...".into();
    for event in [of_framework, json!({ "target": "latest" })] {
        let error = rig.lambda.invoke(&event).returned.unwrap_err();
        assert_eq!(error["errorMessage"], "a bug in devdb; the function's log has more");
    }
    let log = rig.lambda.log();
    assert_eq!(log.matches("OS can't spawn worker thread").count(), 5, "{log}");
    assert_eq!(rig.content(), before);
    give_threads(rig.lambda.pid());
    assert_eq!(rig.lambda.invoke(&create).success()["Data"]["Applied"], "1");
}

/// A runtime of tokio wants four; the answer wants one.
#[test]
fn a_function_that_may_open_no_files_answers() {
    let rig = Rig::new(&[ONE]);
    let create = rig.create(json!({}));
    // It waits for its first event with all the files open that it needs for that.
    rig.lambda.invoke_with(AMPLE, b"{}").returned.unwrap_err();
    leave_files(rig.lambda.pid(), 2);
    let told = rig.lambda.invoke(&create);
    assert_eq!(
        told.failed(),
        "nothing was begun: tokio's runtime: Too many open files (os error 24) (log stream 2026/[1]abc)"
    );
    leave_files(rig.lambda.pid(), 100);
    assert_eq!(rig.lambda.invoke(&create).success()["Data"]["Applied"], "1");
}
