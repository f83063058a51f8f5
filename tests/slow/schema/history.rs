//! Which migrations touched a table.

use super::{database, stage};
use devdb::testing::Stage;

fn files(stage: Stage) -> Stage {
    [
        (
            "1_purchases.up.sql",
            "create table purchases (id int primary key);\ncreate table users (id int primary key);\n",
        ),
        ("2_index.up.sql", "create index purchases_idx on purchases (id);"),
        (
            "3_orders.up.sql",
            "-- the new name\nalter table purchases\n  rename to orders;\ncreate view v as select * from orders;",
        ),
        ("4_users.up.sql", "alter table users add name text;"),
        ("5_drop_index.up.sql", "drop index purchases_idx;"),
        (
            "6_lines.sql",
            "-- migrate:up\ncreate table lines (order_id int references orders);\n-- migrate:down\ndrop table lines;\n",
        ),
    ]
    .into_iter()
    .fold(stage, |stage, (name, sql)| stage.file(&format!("db/migrations/{name}"), sql))
}

#[test]
fn the_history_follows_a_rename_and_tells_what_is_pending() {
    let database = database("select 1");
    let stage = files(stage(&database));
    assert_eq!(stage.run(["devdb", "migrate", "to", "5_drop_index", "-q"]).code, 0);
    let mut outcome = stage.run(["devdb", "schema", "orders", "--history", "-q"]);
    for row in database.sql("select timestamp from kysely_migration").lines() {
        outcome.stdout = outcome.stdout.replace(row, "[TIME]");
    }
    insta::assert_snapshot!("history", outcome);
    let document = stage.run(["devdb", "schema", "orders", "--history", "--json"]).stdout;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["migrations"][0]["statements"][0]["then_called"], "purchases");
    assert_eq!(document["migrations"][4]["state"], "pending");
    insta::assert_snapshot!(stage.run(["devdb", "schema", "nobody", "--history", "-q"]), @"
    no migration touches nobody
    ------- stderr -------
    ------- exit 3
    ");
}

#[test]
fn an_executed_migration_without_a_file_is_told() {
    let database = database("select 1");
    let before = files(stage(&database)).file("db/migrations/0_first.up.sql", "create table early ()");
    assert_eq!(before.run(["devdb", "migrate", "to", "1_purchases", "-q"]).code, 0);
    let outcome = files(stage(&database)).run(["devdb", "schema", "users", "--history", "-q"]);
    assert_eq!(outcome.stderr, "warning: 0_first was executed and has no file here, so what it did is not known\n");
}
