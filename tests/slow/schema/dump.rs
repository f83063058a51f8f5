//! The dump, judged by `pg_dump` and by itself.

use super::{EVERY_FEATURE, RARE_FEATURES, database, schema, stage};
use crate::support::postgres::Database;
use devdb::testing::Stage;

fn dump(database: &Database) -> String {
    let outcome = schema(&stage(database), &["--dump"]);
    assert_eq!(outcome.stderr, "", "{outcome}");
    outcome.stdout
}

/// A difference of long texts that can be read.
#[track_caller]
fn assert_same(one: &str, other: &str) {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    for (line, pair) in one.iter().zip(&other).enumerate() {
        let around = line.saturating_sub(8)..(line + 8).min(one.len()).min(other.len());
        assert!(
            pair.0 == pair.1,
            "line {line}:\n{}\n--- but\n{}",
            one[around.clone()].join("\n"),
            other[around].join("\n")
        );
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn a_dump_makes_the_same_schema_anew() {
    for (name, features) in [("dump", EVERY_FEATURE), ("dump_rare", RARE_FEATURES)] {
        let original = database(features);
        let text = dump(&original);
        insta::assert_snapshot!(name, text);
        let copy = database(&text);
        assert_same(&text, &dump(&copy));
        assert_same(&original.pg_dump(), &copy.pg_dump());
    }
}

#[test]
fn the_order_in_which_things_were_made_does_not_show() {
    let one = database(
        "create table b (id int primary key); create table a (b int references b); create type z as enum ('x'); create type y as enum ('x')",
    );
    let other = database(
        "create type y as enum ('x'); create type z as enum ('x'); create table a (b int); create table b (id int primary key); alter table a add foreign key (b) references b",
    );
    assert_same(&dump(&one), &dump(&other));
    let configured = database("select 1");
    configured.sql(&dump(&one));
    configured.sql(&format!(
        "alter database {0} set timezone = 'Asia/Tokyo'; alter database {0} set datestyle = 'German'; alter database {0} set search_path = nowhere",
        configured.name
    ));
    assert_same(&dump(&one), &dump(&configured));
}

#[test]
fn what_needs_each_other_is_dumped_in_an_order_that_runs() {
    // Each of these stands, by its name or its sort, before what it needs.
    let original = database(
        "create function a_total(int) returns numeric language sql immutable as 'select $1::numeric'; \
         create domain a_amount as numeric check (value < a_total(10)); create table z (id int primary key, amount a_amount); \
         create view a as select * from z; create function a_row(z) returns int language sql immutable as 'select $1.id'; \
         create index z_row on z (a_row(z)); create view b as select id, count(*) from z group by id; \
         create materialized view a_m as select * from b; create function of_view(a) returns int language sql as 'select 1'; \
         create table a_default (x int default a_row(null::z)); create type zz as (v a_amount); create table aa (v zz[])",
    );
    let text = dump(&original);
    let copy = database(&text);
    assert_same(&original.pg_dump(), &copy.pg_dump());
    assert_same(&text, &dump(&copy));
}

#[test]
fn what_no_dump_may_show_is_refused_by_name_and_devdbs_own_tables_are_left_out() {
    let database = database(
        "create operator family f using hash; create publication p; create table t (i int); insert into t values (1), (1); \
         create table devdb_migration_journal (); create table devdb_repair_log (id serial)",
    );
    let failed = database.script("create unique index concurrently t_once on t (i)", false);
    assert_eq!(failed, Ok(()), "psql goes on behind a statement that fails");
    let outcome = stage(&database).run(["devdb", "schema", "--dump", "-q"]);
    assert_eq!(
        outcome.stderr,
        "warning: the dump leaves out index public.t_once, which is invalid; so does `pg_dump --schema-only`\n"
    );
    assert!(!outcome.stdout.contains("devdb_") && outcome.stdout.contains("CREATE OPERATOR FAMILY"), "{outcome}");
    database.sql("create subscription s connection 'password=secret' publication p with (connect = false)");
    insta::assert_snapshot!(stage(&database).run(["devdb", "schema", "--dump", "-q"]), @"
    ------- stderr -------
    error: no dump can hold subscription s (what it connects to is a secret)

    hint: try `pg_dump --schema-only`, which writes secrets too, and warns of what it cannot put in order
    ------- exit 1
    ");
    database.sql("create view v as select * from devdb_repair_log");
    let refused = stage(&database).run(["devdb", "schema", "--dump", "-q"]);
    assert!(refused.stderr.contains("view public.v (it needs an object that belongs to devdb"), "{refused}");
}

#[test]
fn a_dump_is_a_first_migration_and_the_ledger_is_no_obstacle() {
    for schema in [None, Some("history")] {
        let migrate = |database: &Database, file: &str| {
            let stage = stage(database).file("db/migrations/001_all.up.sql", file);
            let stage = match schema {
                Some(schema) => {
                    stage.file("devdb.toml", &format!("project = \"shop\"\n[migrations]\nschema = \"{schema}\"\n"))
                }
                None => stage,
            };
            let outcome = stage.run_all(&["devdb", "migrate", "to", "latest", "-q", "--yes"]);
            assert_eq!(outcome.code, 0, "{outcome}");
            let dumped = stage.run_all(&["devdb", "schema", "--dump", "-q"]);
            assert_eq!(dumped.code, 0, "{dumped}");
            dumped.stdout
        };
        let original = database("select 1");
        let text = migrate(&original, EVERY_FEATURE);
        assert!(text.contains("CREATE TABLE IF NOT EXISTS") && !text.contains("devdb_migration_journal"), "{text}");
        let copy = database("select 1");
        assert_same(&text, &migrate(&copy, &text));
        assert_same(&original.pg_dump(), &copy.pg_dump());
    }
}

#[test]
fn a_login_without_rights_reads_the_same_schema() {
    let database = database(
        "create schema hidden; create table hidden.t (id int generated always as identity, n int default 5 check (n > 0)); \
         create view hidden.v as select * from hidden.t; revoke all on schema public from public",
    );
    let owner = dump(&database);
    let stage = Stage::new().var("DATABASE_URL", &database.url_as("app"));
    assert_same(&owner, &schema(&stage, &["--dump"]).stdout);
    assert_eq!(schema(&stage, &["--diagram", "a.mmd"]).stdout, "a.mmd: 1 table, 0 foreign keys\n");
    assert_eq!(schema(&stage, &[]).code, 0);
}
