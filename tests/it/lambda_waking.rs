//! The Lambda function and a database that sleeps, or is just starting: it is waited for, for a minute at most.

use crate::support::lambda::{AMPLE, Lambda};
use crate::support::postgres::{Cluster, Database, PASSWORD_ENCODED, cluster, logging};
use async_trait::async_trait;
use devdb::connection::Connection;
use devdb::lambda::{Handler, Keys, NOT_CREATED, Outcome, Reply, World, parse};
use devdb::migrate::{MigrationDatabase, SessionSpec};
use devdb::system::{CloudError, DatabaseError, ServerError};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::time::Instant as PausedInstant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_devdb-migrate-lambda");

const ONE: (&str, &str, &str) = ("20260101_one", "create table one (id int);", "drop table one;");

/// One second for the work.
const SHORT: Duration = Duration::from_secs(11);

const NOT_YET: &str = "the database system is not accepting connections (SQLSTATE 57P03)";

fn url(cluster: &Cluster) -> String {
    format!("postgres://postgres:{PASSWORD_ENCODED}@127.0.0.1:{}/postgres?sslmode=disable", cluster.port)
}

/// Why it failed, said in time; the number of seconds, which a busy machine adds to, is left out.
fn failed_in_time(lambda: &Lambda) -> String {
    let began = Instant::now();
    let told = lambda.invoke_for(SHORT, &lambda.request("Create", "c", json!({})));
    assert!(began.elapsed() < SHORT, "the deadline has passed");
    assert_eq!(told.answer()["PhysicalResourceId"], NOT_CREATED);
    let (seconds, rest) = told.failed().strip_prefix("timed out after ").unwrap().split_once(" s, ").unwrap();
    assert!((1.0..6.0).contains(&seconds.parse::<f64>().unwrap()), "{seconds} s");
    rest.to_owned()
}

/// A real server that is in recovery answers 57P03 until it is promoted.
#[test]
fn a_database_that_is_starting_is_waited_for_until_the_time_is_over() {
    let starting = logging(true);
    let lambda = Lambda::spawn(PROGRAM, &[("DATABASE_URL", &url(&starting))]);
    lambda.bundle(&[ONE]);
    assert_eq!(
        failed_in_time(&lambda),
        format!(
            "before the database was reached: {NOT_YET}; deploy again when it takes connections; one that sleeps may need \
             a minute to wake up, so set the function's Timeout to 840 (seconds)"
        )
    );
    let earlier = lambda.log().matches("trying again").count();
    assert!(earlier > 0, "{}", lambda.log());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lambda.invoke_for(AMPLE, &lambda.request("Create", "c", json!({}))));
        lambda.until_logged(&format!("{NOT_YET}; trying again"), earlier + 2);
        starting.promote();
        let told = waiting.join().unwrap();
        assert_eq!(told.success()["Data"], json!({ "Applied": "1", "Current": ONE.0, "LedgerCount": "1" }));
    });
}

/// As Aurora does while a paused cluster resumes (Aurora user guide, "Scaling to Zero ACUs").
#[test]
fn a_connection_that_is_held_until_the_database_is_awake_is_waited_for() {
    let database = Database::create();
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let lambda = Lambda::spawn(PROGRAM, &[("DATABASE_URL", &database.url_at(door.local_addr().unwrap().port()))]);
    lambda.bundle(&[ONE]);
    assert_eq!(
        failed_in_time(&lambda),
        "before the database was reached; one that sleeps may need a minute to wake up, so set the function's Timeout to \
         840 (seconds)"
    );
    // The connection that was given up.
    drop(door.accept().unwrap());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| lambda.invoke(&lambda.request("Create", "c", json!({}))));
        // The program asks, and hears nothing until the server is there.
        let (client, _) = door.accept().unwrap();
        client.peek(&mut [0]).unwrap();
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, cluster().port)).unwrap();
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        for (mut from, mut to) in [(client, server), back] {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        assert_eq!(waiting.join().unwrap().success()["Data"]["Applied"], "1");
    });
}

/// A database that never wakes up. Its contract, that 57P03 is what a real one says, is in
/// [`a_database_that_is_starting_is_waited_for_until_the_time_is_over`].
#[derive(Default)]
struct Asleep {
    asked: AtomicUsize,
}

#[async_trait]
impl World for Asleep {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    async fn keys(&self) -> Result<Arc<dyn Keys>, CloudError> {
        Err(CloudError::NoRegion)
    }

    async fn database(&self, _: &Connection, _: &SessionSpec) -> Result<Box<dyn MigrationDatabase>, DatabaseError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Err(DatabaseError::Server(Box::new(ServerError {
            code: "57P03".to_owned(),
            message: "the database system is not accepting connections".to_owned(),
            detail: None,
            hint: None,
            context: None,
            position: None,
        })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_wake_up_is_given_up_after_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let vars = [
        ("DATABASE_URL", "postgres://u@db.example/shop".to_owned()),
        ("DEVDB_MIGRATIONS_DIR", folder.path().display().to_string()),
    ];
    let vars: BTreeMap<String, String> = vars.map(|(name, value)| (name.to_owned(), value)).into();
    let world = Asleep::default();
    let event = json!({
        "RequestType": "Create", "ResponseURL": "https://bucket.s3/key", "StackId": "s", "RequestId": "r",
        "LogicalResourceId": "Migrations", "ResourceProperties": {},
    });
    let began = PausedInstant::now();
    let handler = Handler { world: &world, vars: &vars, log: &|_| {} };
    let reply = handler.handle(parse(event.to_string().as_bytes()).unwrap(), AMPLE).await;
    let Reply::Put(_, answer) = reply else { panic!("{reply:?}") };
    assert_eq!(
        answer.outcome,
        Outcome::Failed {
            reason: format!(
                "the database did not wake up within 60 s: {NOT_YET}; deploy again when it takes connections"
            )
        }
    );
    assert_eq!((began.elapsed().as_secs(), world.asked.load(Ordering::SeqCst)), (60, 61));
}
