//! The list, and single definitions.

use super::{EVERY_FEATURE, database, schema, stage};
use crate::support::postgres::cluster;
use crate::support::relay::Relay;
use devdb::testing::Stage;

#[test]
fn the_list_shows_rows_and_sizes_and_folds_partitions() {
    let database = database(EVERY_FEATURE);
    database.sql("insert into tree select n, null from generate_series(1, 1234) n; analyze tree");
    let listed = schema(&stage(&database), &[]);
    insta::assert_snapshot!("list", listed.stdout);
    let document: serde_json::Value = serde_json::from_str(&schema(&stage(&database), &["--json"]).stdout).unwrap();
    let relations = document["relations"].as_array().unwrap();
    let tree = relations.iter().find(|relation| relation["name"] == "tree").unwrap();
    assert_eq!((tree["rows"].as_i64(), tree["kind"].as_str()), (Some(1234), Some("table")));
    let partition = relations.iter().find(|relation| relation["name"] == "events_2025_x").unwrap();
    assert_eq!(partition["partition_of"], "events_2025");
}

#[test]
fn an_empty_database_is_no_error() {
    let database = database("select 1");
    assert_eq!(schema(&stage(&database), &[]).stdout, "0 tables, 0 B\n");
}

#[test]
fn every_sort_of_object_is_shown_by_its_name() {
    let database = database(EVERY_FEATURE);
    let stage = stage(&database);
    for name in [
        "orders",
        "customers",
        "order_lines",
        "events",
        "events_2025",
        "heavy_things",
        "paid_orders",
        "billing.totals",
        "far",
        "invoice_number",
        "order_status",
        "billing.address",
        "positive",
        "float_range",
        "\"Odd Names\".\"Order \"\"Lines\"\"\"",
    ] {
        let plain: String = name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        insta::assert_snapshot!(format!("show_{plain}"), schema(&stage, &[name]).stdout);
    }
    insta::assert_snapshot!("show_json", schema(&stage, &["tree", "--json"]).stdout);
}

#[test]
fn names_are_found_as_postgresql_finds_them() {
    let database = database(
        "create schema app; create table app.t (in_app int); create table public.t (in_public int); \
         create table \"T\" (quoted int); create index t_idx on public.t (in_public)",
    );
    let shown = |name: &str| schema(&stage(&database), &[name]).stdout;
    assert!(shown("t").contains("in_public"));
    assert!(shown("T").contains("in_public"), "a name without quotes is folded");
    assert!(shown("\"T\"").contains("quoted"));
    assert!(shown("app.t").contains("in_app"));
    assert!(shown("t_idx").contains("table t"), "an index stands for its table");
    database.sql(&format!("alter database {} set search_path = app, public", database.name));
    assert!(shown("t").contains("in_app"), "the search path decides");
    assert!(shown("public.t").starts_with("table public.t"));
}

#[test]
fn an_unknown_name_is_answered_with_names_that_are_like_it() {
    let database = database("create table orders (); create table \"Invoices\" (); create type mood as enum ('a')");
    let fails = |name: &str| stage(&database).run(["devdb", "schema", "-q", name]);
    insta::assert_snapshot!(fails("ordres"), @"
    ------- stderr -------
    error: there is no table, view, sequence or type `ordres`

    hint: did you mean `devdb schema orders`?
    ------- exit 1
    ");
    insta::assert_snapshot!(fails("Invoices"), @r#"
    ------- stderr -------
    error: there is no table, view, sequence or type `Invoices`

    hint: did you mean `devdb schema '"Invoices"'`?
    ------- exit 1
    "#);
    insta::assert_snapshot!(fails("zebra"), @"
    ------- stderr -------
    error: there is no table, view, sequence or type `zebra`

    hint: `devdb schema` lists what there is
    ------- exit 1
    ");
    insta::assert_snapshot!(fails("a.b.c"), @r#"
    ------- stderr -------
    error: `a.b.c` has more parts than schema and name

    hint: write it as in SQL, for the shell in quotes of its own: `devdb schema 'billing."Order Lines"'`
    ------- exit 2
    "#);
}

#[test]
fn five_hundred_tables_cost_one_round_trip_after_the_login() {
    let database = database(
        "do $$ begin for n in 1 .. 500 loop execute format('create table t%s (id int primary key, other int references t%s, \
         name text not null default ''x'')', n, greatest(n - 1, 1)); end loop; end $$",
    );
    let relay = Relay::to(cluster().port);
    let stage = Stage::new().var("DATABASE_URL", &database.url_at(relay.port));
    let trips = |args: &[&str]| {
        relay.take_round_trips();
        let _ = schema(&stage, args);
        relay.take_round_trips()
    };
    // Startup, two of SCRAM, one reading.
    assert_eq!([trips(&[]), trips(&["t250"]), trips(&["--dump"])], [4; 3]);
}

/// What `psql \d+` says of a table, each fact as a piece of its text. Rows of columns hold bars; all else is indented.
fn facts(described: &str) -> Vec<String> {
    let mut facts = Vec::new();
    for line in described.lines() {
        match line.split('|').collect::<Vec<_>>().as_slice() {
            [name, kind, _collation, null, default, ..] => {
                facts.extend([*name, *kind, *null, *default].map(str::to_owned))
            }
            _ if line.starts_with("    ") => facts.extend(line.split(['"', ',']).map(str::to_owned)),
            _ => {}
        }
    }
    facts
}

#[test]
fn nothing_that_psql_knows_of_a_table_is_missing() {
    let database = database(EVERY_FEATURE);
    let stage = stage(&database);
    let mut checked = 0;
    for name in [
        "customers",
        "orders",
        "order_lines",
        "tree",
        "events",
        "events_2025",
        "heavy_things",
        "things",
        "far",
        "typed",
    ] {
        let shown = schema(&stage, &[name]).stdout;
        // psql shortens and marks some of what it says; the letters must be there all the same.
        let plain =
            |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>().to_lowercase();
        let shown = plain(&shown);
        for fact in facts(&database.sql(&format!("\\d+ {name}"))) {
            let fact = fact.replace("TABLE ", "").replace("generated by default as identity", "identity, by default");
            let fact = fact
                .replace("generated always as identity", "identity, always")
                .replace("generated always as", "generated");
            checked += 1;
            assert!(shown.contains(&plain(&fact)), "{name}: {fact}");
        }
    }
    assert!(checked > 100, "{checked} facts were checked");
}
