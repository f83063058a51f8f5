//! `devdb migrate import`, as far as no Node.js is needed. `tests/slow/import.rs` and `import_cases.rs` have the rest.

use crate::support::postgres::Database;
use devdb::migrate::import::{Parameter, literal};
use devdb::testing::Stage;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn the_provider_is_written_once_and_never_over_another_file() {
    let stage = Stage::new();
    let write =
        |words: &[&str]| stage.run_all(&[&["devdb", "migrate", "import", "--provider", "sql.ts"], words].concat());
    assert_eq!(write(&[]).code, 0);
    let again = write(&[]);
    assert!(again.code == 0 && again.stderr.contains("sql.ts is unchanged"), "{again}");
    std::fs::write(stage.project().join("sql.ts"), "mine").unwrap();
    assert_eq!(write(&[]).code, 4);
    assert_eq!(std::fs::read_to_string(stage.project().join("sql.ts")).unwrap(), "mine");
    assert_eq!(write(&["--force"]).code, 0);
    assert!(std::fs::read_to_string(stage.project().join("sql.ts")).unwrap().contains("class SqlMigrationProvider"));
}

/// Whatever `standard_conforming_strings` says, the server reads the text that was meant.
#[test]
fn each_text_reads_back_as_itself() {
    let strings = prop::collection::vec("[^\\x00]{0,12}|[\\\\'\"$\r\nEe0-9ux/*;-]{0,12}", 200);
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let database = Database::create();
    let check = |texts: Vec<String>| {
        for setting in ["on", "off"] {
            let rows: Vec<String> = texts
                .iter()
                .map(|text| {
                    let constant = literal(&Parameter::Text { text: text.clone(), date: false });
                    format!("(encode(convert_to({constant}, 'UTF8'), 'hex'))")
                })
                .collect();
            let read = database
                .sql(&format!("set standard_conforming_strings = {setting}; values {}, ('end')", rows.join(",")));
            let wanted: Vec<String> = texts
                .iter()
                .map(|text| text.bytes().map(|byte| format!("{byte:02x}")).collect())
                .chain(["end".to_owned()])
                .collect();
            prop_assert_eq!(read.split('\n').collect::<Vec<_>>(), wanted);
        }
        Ok(())
    };
    runner.run(&strings, check).unwrap();
}
