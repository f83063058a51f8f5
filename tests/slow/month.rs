//! A team's month on one database. The history was begun by a TypeScript migrator; laptops use devdb; the stack is deployed
//! by devdb's Lambda function on some days and by Kysely in a custom resource on others.

use crate::support::kysely::{Answer, Kysely};
use crate::support::lambda::{Lambda, write_migration};
use crate::support::postgres::Database;
use devdb::testing::Stage;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What main has at the end, in order.
const MIGRATIONS: [(&str, &str, &str); 11] = [
    ("20260301_customer", "create table customer (id int primary key, name text);", "drop table customer;"),
    ("20260302_order", "create table \"order\" (id int primary key, customer int);", "drop table \"order\";"),
    ("20260303_order_total", "alter table \"order\" add column total int;", "alter table \"order\" drop column total;"),
    ("20260304_invoice", "create table invoice (number int);", "drop table invoice;"),
    ("20260305_customer_mail", "alter table customer add column mail text;", "alter table customer drop column mail;"),
    (
        "20260306_order_index",
        "create index concurrently order_customer on \"order\" (customer);",
        "drop index order_customer;",
    ),
    ("20260307_invoice_date", "alter table invoice add column date date;", "alter table invoice drop column date;"),
    ("20260308_flags", "create table flag (name text);", "drop table flag;"),
    ("20260309_invoice_index", "create index invoice_number on invoice (number);", "drop index invoice_number;"),
    (
        "20260310_mail_check",
        "alter table customer add check (mail like '%@%');",
        "alter table customer drop constraint customer_mail_check;",
    ),
    ("20260311_payment", "create table payment (id int);", "drop table payment;"),
];

struct Team {
    database: Database,
    laptop: Stage,
    function: Lambda,
    kysely: Kysely,
    /// What the last deployment by the function was answered.
    resource: Value,
}

impl Team {
    fn new() -> Self {
        let database = Database::create();
        let laptop = Stage::new().var("DATABASE_URL", &database.url()).var("DEVDB_ALIAS", "ada");
        let function = Lambda::start(&[("DATABASE_URL", &database.url())]);
        Self { database, laptop, function, kysely: Kysely::start(), resource: Value::Null }
    }

    /// The checkout on the laptop: these days of main's migrations.
    fn checkout(&self, days: &[usize]) -> PathBuf {
        let folder = self.laptop.project().join("db/migrations");
        write(&folder, days);
        folder
    }

    fn devdb(&self, words: &[&str]) -> Answer {
        let outcome = self.laptop.run_all(&[&["devdb", "--json", "--yes", "migrate"], words].concat());
        Answer::from_json(&serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome}")))
    }

    /// A deployment whose custom resource is devdb's function.
    fn deploy(&mut self, days: &[usize]) -> Value {
        write(&self.function.migrations(), days);
        let hash = json!({ "MigrationsHash": format!("{days:?}") });
        let event = match &self.resource {
            Value::Null => self.function.request("Create", "create", hash),
            resource => self.function.update(resource, hash),
        };
        let answer = self.function.invoke(&event).answer().clone();
        assert!(self.resource.is_null() || answer["PhysicalResourceId"] == self.resource["PhysicalResourceId"]);
        self.resource = answer.clone();
        answer
    }

    /// A deployment whose custom resource runs Kysely's Migrator, as the team's old handler does.
    fn deploy_by_kysely(&mut self, version: &str, days: &[usize]) -> Answer {
        let folder = self.laptop.project().join("bundle");
        write(&folder, days);
        self.kysely.ask(version, &self.database.url(), &folder, &["latest"], false);
        self.kysely.answer()
    }

    fn ledger(&self) -> String {
        self.database.sql("select string_agg(substr(name, 7, 2), ' ' order by timestamp, name) from kysely_migration")
    }
}

/// Makes the folder hold these days' migrations, and no other.
fn write(folder: &Path, days: &[usize]) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    for day in days {
        let (name, up, down) = MIGRATIONS[day - 1];
        write_migration(folder, name, up, down);
    }
}

fn through(day: usize) -> Vec<usize> {
    (1..=day).collect()
}

fn ran(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.error, None);
    answer.results.iter().map(|(name, _, _)| &name[6..8]).collect()
}

#[track_caller]
fn applied(answer: &Value, count: &str, current: &str) {
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    let said = (answer["Data"]["Applied"].as_str(), answer["Data"]["Current"].as_str().map(|name| &name[6..8]));
    assert_eq!(said, (Some(count), Some(current)), "{answer}");
}

fn reason(answer: &Value) -> &str {
    assert_eq!(answer["Status"], "FAILED", "{answer}");
    answer["Reason"].as_str().unwrap()
}

#[test]
fn at_the_end_of_the_month_both_tools_agree() {
    let mut team = Team::new();
    // The team comes from TypeScript, and takes the function first.
    assert_eq!(ran(&team.deploy_by_kysely("0.28", &through(2))), ["01", "02"]);
    applied(&team.deploy(&through(3)), "1", "03");
    // A laptop, then the old handler, then the function again.
    team.checkout(&through(4));
    assert_eq!(ran(&team.devdb(&["to", "latest"])), ["04"]);
    assert_eq!(ran(&team.deploy_by_kysely("0.29", &through(5))), ["05"]);
    applied(&team.deploy(&through(6)), "1", "06");

    // Ada runs her branch's migration before main's earlier one is deployed. The deployment fails, and CloudFormation
    // rolls back to the bundle before, which is no failure: a stack that cannot be rolled back is stuck.
    team.checkout(&[&through(6)[..], &[8]].concat());
    assert_eq!(ran(&team.devdb(&["to", "latest"])), ["08"]);
    let failed = team.deploy(&through(7));
    assert!(
        reason(&failed).starts_with("corrupted migrations: previously executed migration 20260308_flags is missing")
    );
    let back = team.deploy(&through(6));
    applied(&back, "0", "08");
    assert!(back["Reason"].as_str().unwrap().starts_with("the database is 1 migration ahead of this bundle"));
    // Kysely in its place calls that corrupted.
    assert!(team.deploy_by_kysely("0.29", &through(6)).error.unwrap().starts_with("corrupted migrations"));

    // The branch is merged late: both say the same, and a laptop repairs it.
    let corrupted = team.deploy(&through(8));
    let by_kysely = team.deploy_by_kysely("0.30", &through(8)).error.unwrap();
    assert!(
        reason(&corrupted).starts_with(&by_kysely) && reason(&corrupted).contains("devdb migrate repair"),
        "{by_kysely}"
    );
    team.checkout(&through(8));
    assert_eq!(ran(&team.devdb(&["repair"])), ["07"]);
    assert_eq!(team.ledger(), "01 02 03 04 05 06 07 08");
    applied(&team.deploy(&through(8)), "0", "08");

    // A row that the new check does not allow: nothing of the deployment stays, and its rollback finds nothing to do.
    team.database.sql("insert into customer values (1, 'ada', 'ada')");
    let failed = team.deploy(&through(10));
    assert!(
        reason(&failed).contains("20260310_mail_check.sql:2:1: 23514 ")
            && reason(&failed).ends_with("nothing was changed")
    );
    applied(&team.deploy(&through(8)), "0", "08");
    team.database.sql("update customer set mail = 'ada@example.com'");
    assert_eq!(ran(&team.deploy_by_kysely("0.29", &through(10))), ["09", "10"]);
    // The stack is rolled back for another reason, by the function; later it goes forward again.
    applied(&team.deploy(&through(8)), "0", "10");
    applied(&team.deploy(&through(10)), "0", "10");

    // Ada tries a down on her way, and everybody goes for the last one at once.
    let folder = team.checkout(&through(11));
    assert_eq!(ran(&team.devdb(&["down"])), ["10"]);
    let (url, laptop) = (team.database.url(), &team.laptop);
    write(&team.function.migrations(), &through(11));
    team.kysely.ask("0.29", &url, &folder, &["latest"], false);
    let event = team.function.update(&team.resource, json!({ "MigrationsHash": "11" }));
    let (by_function, by_devdb) = std::thread::scope(|scope| {
        let function = scope.spawn(|| team.function.invoke(&event).success()["Data"]["Applied"].clone());
        let outcome = laptop.run(["devdb", "--json", "migrate", "to", "latest"]);
        let by_devdb = Answer::from_json(&serde_json::from_str(&outcome.stdout).unwrap());
        (function.join().unwrap(), by_devdb)
    });
    let by_kysely = team.kysely.answer();
    assert_eq!((&by_devdb.error, &by_kysely.error), (&None, &None));
    let by_function: usize = by_function.as_str().unwrap().parse().unwrap();
    assert_eq!(by_function + by_devdb.results.len() + by_kysely.results.len(), 2, "each ran once");

    agreed(&mut team, &folder);
}

/// Nobody has anything to do, and they say the same about every migration; the schema is that of a new database.
fn agreed(team: &mut Team, folder: &Path) {
    for version in ["0.28", "0.29", "0.30"] {
        assert!(ran(&team.deploy_by_kysely(version, &through(11))).is_empty(), "{version}");
    }
    assert!(ran(&team.devdb(&["to", "latest"])).is_empty());
    applied(&team.deploy(&through(11)), "0", "11");
    let status = team.laptop.run(["devdb", "--json", "migrate", "status"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let of_devdb: Vec<(&str, &str)> = status["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!((&row["state"], &row["edited"]), (&"executed".into(), &false.into()), "{row}");
            (row["name"].as_str().unwrap(), row["executed_at"].as_str().unwrap())
        })
        .collect();
    let of_kysely = team.kysely.migrations("0.29", &team.database.url(), folder);
    let of_kysely: Vec<(&str, &str)> =
        of_kysely.iter().map(|(name, executed_at)| (name.as_str(), executed_at.as_deref().unwrap())).collect();
    assert_eq!((of_devdb.len(), &of_devdb), (11, &of_kysely));
    let fresh = Database::create();
    let dump = |url: &str| team.laptop.run(["devdb", "schema", "--dump", "--database-url", url]).stdout;
    let migrated = team.laptop.run(["devdb", "migrate", "to", "latest", "--database-url", &fresh.url()]);
    assert_eq!(migrated.code, 0, "{migrated}");
    assert_eq!(dump(&team.database.url()), dump(&fresh.url()));
}
