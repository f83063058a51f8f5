//! A run of two migrations is two runs of one: what a file sets, leaves or defers stays with it. psql, with a session for
//! each file, says what is right.

use crate::support::dice::{Dice, seeds};
use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};

type File<'a> = (&'a str, &'a str);

fn stage(database: &Database, files: &[File<'_>]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}.up.sql"), text))
}

fn together(database: &Database, files: &[File<'_>]) -> Outcome {
    stage(database, files).run(["devdb", "migrate", "to", "latest"])
}

/// Each in a run of its own, until one fails.
fn one_by_one(database: &Database, files: &[File<'_>]) -> bool {
    let stage = stage(database, files);
    files.iter().all(|_| stage.run(["devdb", "migrate", "up"]).code == 0)
}

fn by_psql(database: &Database, files: &[File<'_>]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    files.iter().all(|(name, text)| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        database.psql_file(&file)
    })
}

/// Runs the files in three ways, and compares what they leave.
#[track_caller]
fn assert_same(files: &[File<'_>]) {
    let [one, two, psql] = [Database::create(), Database::create(), Database::create()];
    let outcome = together(&one, files);
    assert_eq!(outcome.code == 0, by_psql(&psql, files), "psql: {files:?}\n{outcome}");
    assert_eq!(outcome.code == 0, one_by_one(&two, files), "one by one: {files:?}\n{outcome}");
    if outcome.code == 0 {
        let dump = one.pg_dump_without_ledger();
        assert_eq!(dump, two.pg_dump_without_ledger(), "{files:?}");
        assert_eq!(dump, psql.pg_dump_without_ledger(), "{files:?}");
    }
}

/// What 001 does, and what 002 does that would go wrong if anything of it were left.
const PAIRS: [(&str, &str); 37] = [
    ("set local statement_timeout = '200ms'; create table t (i int);", "insert into t select 1 from pg_sleep(0.4);"),
    ("set statement_timeout = '200ms'; create table t (i int);", "insert into t select 1 from pg_sleep(0.4);"),
    (
        "set row_security = off; create table t (i int);",
        "create table r as select current_setting('row_security') as s;",
    ),
    (
        "set check_function_bodies = off; create table t (i int);",
        "create function f() returns int language sql as 'select nothing from nowhere';",
    ),
    ("set client_encoding = 'LATIN1'; create table t (i int);", "create table ü as select 'ü' as letter;"),
    ("set client_encoding = 'SJIS'; create table t (i int);", "create table ü as select 'ü' as letter;"),
    ("create schema s; set search_path = s; create table t (i int);", "create table t (i int);"),
    ("select set_config('search_path', '', false);", "create table t (i int);"),
    ("set session authorization app; select 1;", "create table t as select current_user as own;"),
    ("set role app; select 1;", "create table t as select current_user as own;"),
    ("set datestyle = 'German'; select 1;", "create table t as select '2026-02-03'::date::text as day;"),
    ("set timezone = 'Asia/Tokyo'; select 1;", "create table t as select '2026-02-03 00:00'::timestamptz as at;"),
    ("set intervalstyle = 'iso_8601'; select 1;", "create table t as select interval '1 day'::text as i;"),
    ("set bytea_output = 'escape'; select 1;", "create table t as select '\\x00ff'::bytea::text as b;"),
    ("set extra_float_digits = -10; select 1;", "create table t as select (1.0/3)::float8::text as f;"),
    (
        "set standard_conforming_strings = off; create table t as select 'it\\'s' as a;",
        "create table u as select 'a\\b' as a;",
    ),
    ("set default_transaction_read_only = on; create table t (i int);", "insert into t values (1);"),
    ("set default_table_access_method = heap; set default_with_oids = off;", "create table t (i int);"),
    (
        "set session_replication_role = replica; create table t (i int);",
        "create table u as select current_setting('session_replication_role') as s;",
    ),
    ("set my.tenant = 'a'; select 1;", "create table t as select nullif(current_setting('my.tenant', true), '') as s;"),
    ("set xmloption = document; select 1;", "create table t as select current_setting('xmloption') as s;"),
    ("set array_nulls = off; select 1;", "create table t as select '{NULL}'::text[] as a;"),
    ("set transform_null_equals = on; select 1;", "create view v as select null = 1 as a;"),
    (
        "set constraint_exclusion = on; set enable_seqscan = off;",
        "create table t as select current_setting('enable_seqscan') as s;",
    ),
    (
        "create temp table t as select 1 as i;",
        "create temp table t as select 2 as i; create table u as select i from t;",
    ),
    (
        "create schema s; do $$ begin execute format('alter database %I set search_path = s, public', current_database()); end $$;",
        "create table t (i int);",
    ),
    (
        "do $$ begin execute format('alter role postgres in database %I set datestyle = German', current_database()); end $$;",
        "create table t as select '2026-02-03'::date::text as day;",
    ),
    (
        "do $$ begin execute format('alter database %I set work_mem = ''8MB''', current_database()); end $$; set work_mem = '4MB';",
        "create table t as select current_setting('work_mem') as s;",
    ),
    ("create temp table t as select 1 as i;", "create table u as select i from t;"),
    ("create temp table t (i int) on commit drop;", "create table t (i int);"),
    ("prepare p as select 1; select 1;", "prepare p as select 2; create table t as execute p;"),
    (
        "declare c cursor with hold for select 1; select 1;",
        "declare c cursor with hold for select 2; create table t (i int);",
    ),
    ("savepoint a; create table t (i int);", "rollback to a; create table u (i int);"),
    ("create sequence s; select nextval('s');", "create table t as select currval('s') as i;"),
    ("create sequence s cache 20; select nextval('s');", "create table t as select nextval('s') as i;"),
    ("create type e as enum ('a');", "do $$ begin execute 'alter type e add value ''b'''; end $$;"),
    (
        "do $$ begin set local statement_timeout = '200ms'; end $$; create table t (i int);",
        "insert into t select 1 from pg_sleep(0.4);",
    ),
];

#[test]
fn what_a_file_sets_stays_with_it() {
    for (first, second) in PAIRS {
        assert_same(&[("001", first), ("002", second)]);
    }
}

/// A parent and a child whose key is checked late, as 000 makes them.
const KEYS: &str = "create table parent (id int primary key); create table child (id int references parent deferrable initially deferred); \
    create table once (id int unique deferrable);";

/// What 001 defers, and what 002 would meet.
const DEFERRED: [(&str, &str); 10] = [
    ("insert into child values (1); insert into parent values (1);", "alter table child add column x int;"),
    ("insert into child values (1);", "insert into parent values (1);"),
    (
        "insert into child values (1); insert into parent values (1);",
        "insert into child values (2); insert into parent values (2);",
    ),
    ("set constraints all immediate; select 1;", "insert into child values (2); insert into parent values (2);"),
    ("set constraints all deferred; insert into once values (1);", "insert into once values (1);"),
    (
        "set constraints all immediate; select 1;",
        "create table late (id int references parent deferrable initially deferred); insert into late values (3); insert into parent values (3);",
    ),
    (
        "set constraints all deferred; select 1;",
        "create table t (i int unique deferrable); insert into t values (1); do $$ begin insert into t values (1); exception when others then null; end $$;",
    ),
    (
        "do $$ begin set constraints all immediate; end $$;",
        "insert into child values (2); insert into parent values (2);",
    ),
    ("insert into once values (1), (2); update once set id = 3 - id;", "alter table once add column x int;"),
    (
        "create table log (n int); create function note() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$; \
         create constraint trigger late after insert on parent deferrable initially deferred for each row execute function note(); insert into parent values (1);",
        "update log set n = n + 10; insert into parent values (2);",
    ),
];

#[test]
fn what_a_file_defers_is_checked_at_its_own_end() {
    for (first, second) in DEFERRED {
        assert_same(&[("000", KEYS), ("001", first), ("002", second)]);
    }
    let database = Database::create();
    let files =
        [("000", KEYS), ("001", "select 1;\ninsert into child values (1);"), ("002", "insert into parent values (1);")];
    let outcome = together(&database, &files);
    for text in
        ["migration 001 failed", "001.up.sql:2:1", "violates foreign key", "checked at the end of the migration"]
    {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

/// The preamble of every file that pg_dump writes.
const PREAMBLE: &str = "SET statement_timeout = 0; SET lock_timeout = 0; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on;\n\
    SELECT pg_catalog.set_config('search_path', '', false); SET check_function_bodies = false; SET xmloption = content; SET row_security = off;\n";

#[test]
fn files_in_any_order_leave_what_they_leave_alone() {
    for seed in 1..=seeds().unwrap_or(1) {
        let mut dice = Dice::seeded(seed);
        let mut files = vec![("000".to_owned(), KEYS.to_owned())];
        let mut made = 0;
        for number in 1..=6 {
            let mut text = String::new();
            for _ in 0..dice.roll(3) + 1 {
                made += 1;
                let pair = PAIRS[dice.roll(PAIRS.len())].0;
                text += match dice.roll(6) {
                    0 => PREAMBLE,
                    1 => DEFERRED[dice.roll(5)].0,
                    // Those that make an object make it once.
                    _ if pair.contains("create t") || pair.contains("create s") => "",
                    _ => pair,
                };
                text += &format!(
                    "\ncreate table public.made_{made} as select current_setting('search_path') as path, 'ü\\' as letters;\n"
                );
            }
            files.push((format!("{number:03}"), text));
        }
        let files: Vec<File<'_>> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let [one, two] = [Database::create(), Database::create()];
        let (outcome, each) = (together(&one, &files), one_by_one(&two, &files));
        assert_eq!(outcome.code == 0, each, "seed {seed}: {files:?}\n{outcome}");
        if each {
            assert_eq!(one.pg_dump_without_ledger(), two.pg_dump_without_ledger(), "seed {seed}: {files:?}");
        }
    }
}
