use super::*;
use crate::migrate::MigrationName;

fn source() -> SourceFile {
    SourceFile { name: MigrationName::parse("1_a").unwrap(), file: "1_a.ts".to_owned() }
}

fn executed(sql: &str, parameters: &[&str]) -> Executed {
    let text = |text: &&str| Parameter::Text { text: (*text).to_owned(), date: false };
    Executed { sql: sql.to_owned(), parameters: parameters.iter().map(text).collect(), raw: false }
}

fn run(statements: &[Executed]) -> Run {
    Run { statements: statements.to_vec(), ..Run::default() }
}

fn recorded(up: [Run; 2], down: Option<[Run; 2]>) -> Recorded {
    Recorded { up, down, variables: Vec::new(), catches: false, transaction: true }
}

fn files(recorded: Recorded) -> Vec<Half> {
    halves(&source(), &Recording::Recorded(Box::new(recorded)))
}

fn up(first: Run, second: Run) -> Result<Text, Refusal> {
    files(recorded([first, second], None)).remove(0).text.map_err(|(refusal, _)| refusal)
}

fn same(run: Run) -> Result<Text, Refusal> {
    up(run.clone(), run)
}

#[test]
fn statements_follow_one_another_and_a_missing_down_stays_missing() {
    let one = run(&[executed("create table a (b text)", &[]), executed("insert into a values ($1)", &["it's"])]);
    let two = run(&[executed("drop table a; ", &[])]);
    let both = files(recorded([one.clone(), one.clone()], Some([two.clone(), two])));
    let texts: Vec<(String, String)> =
        both.into_iter().map(|half| (half.file, half.text.map(|text| text.sql).unwrap())).collect();
    let head = "-- From 1_a.ts (devdb migrate import).\n\n";
    let up = format!("{head}create table a (b text);\n\ninsert into a values ('it''s');\n");
    assert_eq!(texts[0], ("1_a.up.sql".to_owned(), up));
    assert_eq!(texts[1], ("1_a.down.sql".to_owned(), format!("{head}drop table a;\n")));
    assert_eq!(files(recorded([one.clone(), one], None)).len(), 1);
}

#[test]
fn a_semicolon_never_ends_up_in_a_comment() {
    let text = same(run(&[executed("select 1 -- one", &[]), executed("/* nothing */", &[])])).unwrap();
    assert!(text.sql.ends_with("\n\nselect 1 -- one\n;\n"), "{}", text.sql);
}

#[test]
fn a_long_table_has_a_line_for_each_column() {
    let columns = "\"id\" serial primary key, \"exact\" numeric(12, 2) default 'a, (b)', \"kind\" varchar(5) not null";
    let sql = format!("create table \"a\" ({columns}) partition by range (id, kind)");
    let text = same(run(&[executed(&sql, &[])])).unwrap().sql;
    let wanted = "create table \"a\" (\n  \"id\" serial primary key,\n  \"exact\" numeric(12, 2) default 'a, (b)',\n  \
                  \"kind\" varchar(5) not null\n) partition by range (id, kind);\n";
    assert!(text.ends_with(wanted), "{text}");
}

#[test]
fn who_looks_at_rows_is_refused_for_that_before_anything_else() {
    let reads =
        Run { read: Some(0), error: Some("no result".to_owned()), ..run(&[executed("select  *\nfrom a", &[])]) };
    assert_eq!(same(reads), Err(Refusal::Reads("select * from a".to_owned())));
    let throws = Run { error: Some("no".to_owned()), ..Run::default() };
    assert_eq!(same(throws), Err(Refusal::Throws("no".to_owned())));
    assert_eq!(same(Run { rolled_back: true, ..Run::default() }), Err(Refusal::RollsBack));
    assert_eq!(same(Run { introspected: true, ..Run::default() }), Err(Refusal::Introspects));
}

#[test]
fn what_changes_from_run_to_run_is_marked_or_refused() {
    let insert = |value: &str| run(&[executed("insert into a values ($1)", &[value])]);
    let text = up(insert("1"), insert("2")).unwrap();
    assert!(text.sql.contains("values ('1')") && text.looks[0].starts_with("a value changes from run to run"));
    let other = up(insert("1"), run(&[executed("insert into b values ($1)", &["1"])])).unwrap();
    assert!(other.sql.contains("-- Look: the text changes from run to run"), "{}", other.sql);
    let refused = up(insert("1"), Run::default()).unwrap_err();
    assert!(matches!(refused, Refusal::Differs { number: 1, .. }), "{refused}");
}

#[test]
fn what_devdb_would_not_run_is_not_written() {
    let said = |sql: &str| same(run(&[executed(sql, &[])])).unwrap_err().to_string();
    assert!(said("begin").contains("this ends or begins a transaction"), "{}", said("begin"));
    assert!(said("select 'a").contains("never ends"));
    assert!(said("select $1").contains("a parameter $1 and no value"));
}

#[test]
fn nothing_to_do_is_said_in_sql() {
    let text = same(Run::default()).unwrap();
    assert!(text.sql.ends_with("\n\nselect 1;\n") && text.looks == ["it executes nothing"]);
}

#[test]
fn a_draft_holds_what_was_executed_and_no_statement() {
    let reads = Run { read: Some(0), ..run(&[executed("select 1;\n\\. devdb: x */ '", &[])]) };
    let half = files(recorded([reads.clone(), reads], None)).remove(0);
    let (_, draft) = half.text.unwrap_err();
    let parsed = Script::parse(Path::new("a"), draft.as_bytes(), Layout::Whole, Direction::Up).unwrap_err();
    assert!(parsed.to_string().contains("there is no statement"), "{parsed}\n{draft}");
}

#[test]
fn a_migration_that_asks_for_no_transaction_gets_the_directive() {
    let one = run(&[executed("select 1", &[])]);
    let without = Recorded { transaction: false, ..recorded([one.clone(), one], None) };
    let text = files(without).remove(0).text.unwrap().sql;
    let script = Script::parse(Path::new("a"), text.as_bytes(), Layout::Whole, Direction::Up).unwrap().unwrap();
    assert!(!script.is_transactional(), "{text}");
}
