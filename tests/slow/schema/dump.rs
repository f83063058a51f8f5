//! The dump, judged by `pg_dump` and by itself.

use super::{EVERY_FEATURE, RARE_FEATURES, database, schema, stage};
use crate::support::postgres::Database;

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
fn what_the_dump_has_no_word_for_is_said_and_devdbs_own_tables_are_left_out() {
    let database = database(
        "create operator family f using hash; create publication p; create publication q; \
         create table devdb_migration_journal (); create table devdb_repair_log (id serial)",
    );
    let outcome = schema(&stage(&database), &["--dump"]);
    assert_eq!(
        outcome.stderr,
        "warning: the dump leaves out operator families (1), publications (2); `pg_dump --schema-only` has them\n"
    );
    assert!(!outcome.stdout.contains("devdb_migration_journal"), "{outcome}");
    let document: serde_json::Value =
        serde_json::from_str(&schema(&stage(&database), &["--dump", "--json"]).stdout).unwrap();
    assert_eq!(document["left_out"][0]["what"], "operator families");
}
