//! Drawings, as files.

use super::{EVERY_FEATURE, database, schema, stage};
use devdb::testing::Stage;
use std::fs;
use std::process::Command;

/// The XML is well-formed, and what it holds: tables and lines.
fn count(stage: &Stage, file: &str) -> (usize, usize) {
    let text = fs::read_to_string(stage.project().join(file)).unwrap();
    let parse = "import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])";
    let parsed = Command::new("python3").args(["-c", parse]).arg(stage.project().join(file)).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    (text.matches("class=\"box\"").count(), text.matches("class=\"link\"").count())
}

#[test]
fn tables_and_foreign_keys_are_drawn_in_both_languages() {
    let database = database(EVERY_FEATURE);
    let stage = stage(&database);
    let drawn = schema(&stage, &["--diagram", "schema.mmd"]);
    assert_eq!(drawn.stdout, "schema.mmd: 14 tables, 4 foreign keys\n");
    insta::assert_snapshot!("mermaid", fs::read_to_string(stage.project().join("schema.mmd")).unwrap());
    let drawn = schema(&stage, &["--diagram", "schema.svg", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&drawn.stdout).unwrap();
    assert_eq!((&document["tables"], &document["foreign_keys"]), (&14.into(), &4.into()));
    assert_eq!(count(&stage, "schema.svg"), (14, 4));
    let drawn = schema(&stage, &["order_lines", "--diagram", "near.svg"]);
    assert_eq!(drawn.stdout, "near.svg: 2 tables, 1 foreign key\n");
}

#[test]
fn a_hundred_tables_are_drawn_with_their_keys() {
    let database = database(
        "do $$ begin for n in 0 .. 99 loop execute format('create table t%s (id int primary key, note text, other int references t%s)', \
         n, n / 3); end loop; end $$",
    );
    let stage = stage(&database);
    assert_eq!(schema(&stage, &["--diagram", "e.svg"]).stdout, "e.svg: 100 tables, 100 foreign keys\n");
    assert_eq!(count(&stage, "e.svg"), (100, 100));
    let text = fs::read_to_string(stage.project().join("e.svg")).unwrap();
    assert!(text.contains("… 1 more") && !text.contains(">note<"), "a hundred tables show keys alone");
}

#[test]
fn the_ledger_is_not_drawn_and_wrong_files_are_refused_before_anybody_is_asked() {
    let database = database("create table kysely_migration (name text); create table a ()");
    let stage = stage(&database);
    assert_eq!(schema(&stage, &["--diagram", "a.mmd"]).stdout, "a.mmd: 1 table, 0 foreign keys\n");
    let refused = Stage::new().run(["devdb", "schema", "--diagram", "a.png"]);
    insta::assert_snapshot!(refused, @"
    ------- stderr -------
    error: a.png is neither an .svg nor an .mmd file

    hint: name the file by what it should be: `--diagram schema.svg` or `--diagram schema.mmd`
    ------- exit 2
    ");
    let outcome = stage.run(["devdb", "schema", "-q", "--diagram", "nowhere/a.svg"]);
    assert!(outcome.stderr.starts_with("error: nowhere/a.svg could not be written\n"), "{outcome}");
    assert_eq!(outcome.code, 1);
}
