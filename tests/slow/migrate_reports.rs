//! Faults that people reported of other tools: each file with what psql or Kysely makes of it, and each message with the
//! hint that works when it is followed.

use crate::support::kysely::{Kysely, VERSIONS};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::postgres::{Database, cluster};
use devdb::testing::{Outcome, Stage};
use std::fs;

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}.up.sql"), text))
}

fn latest(database: &Database, files: &[(&str, &str)]) -> Outcome {
    stage(database, files).run(["devdb", "migrate", "to", "latest"])
}

#[track_caller]
fn assert_done(outcome: &Outcome) {
    assert_eq!(outcome.code, 0, "{outcome}");
}

#[track_caller]
fn assert_says(outcome: &Outcome, texts: &[&str]) {
    assert_eq!(outcome.code, 1, "{outcome}");
    for text in texts {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

/// Texts whose lines end in ways that only the server decides, and how many tables they make.
const LINES: [(&str, &str); 6] = [
    ("create table a(i int); -- one\rcreate table b(i int);", "2"),
    ("create table a(i int);\r-- two\r\rcreate table b(i int);\r", "2"),
    ("create table a(i int); /* x\r*/ -- y\r\ncreate table b(i int);", "2"),
    ("create table a(t text default 'x'\n'y;'); create table b(i int);", "2"),
    ("create table a(t text default E'x' -- z\n'\\';' ); create table b(i int);", "2"),
    ("create table a(i int);\x0ccreate table b(i int);", "2"),
];

#[test]
fn a_line_ends_where_the_server_ends_it() {
    let tables = "select count(*) from pg_class where relname in ('a', 'b') and relkind = 'r'";
    let mut kysely = Kysely::start();
    for (text, wanted) in LINES {
        let [devdb, psql, node] = [Database::create(), Database::create(), Database::create()];
        let stage = stage(&devdb, &[("001", text)]);
        let plan = stage.run(["devdb", "migrate", "plan"]);
        assert!(plan.stdout.contains("create table b"), "{plan}");
        assert_done(&stage.run(["devdb", "migrate", "to", "latest"]));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("001.up.sql"), text).unwrap();
        assert!(psql.psql_file(&folder.path().join("001.up.sql")));
        kysely.ask(VERSIONS[0], &node.url(), folder.path(), &["latest"], false);
        assert_eq!(kysely.answer().error, None, "{text:?}");
        for database in [&devdb, &psql, &node] {
            assert_eq!(database.sql(tables), wanted, "{text:?}");
        }
    }
}

#[test]
fn what_only_psql_can_send_or_take_is_refused_before_anything_runs() {
    for (text, wanted) in [
        ("create table x(i int); copy x to stdout;", "001.up.sql:1:24: `COPY … TO STDOUT` needs psql"),
        ("create table x(i int);\ncopy (select 1) to stdout with (format csv);", "001.up.sql:2:1: `COPY … TO STDOUT`"),
        ("create table x(i int);\0", "byte 22 is NUL"),
        ("\u{feff}create table x(i int);\0", "byte 25 is NUL"),
        ("create table x(i int); select pg_advisory_unlock_all();", "`pg_advisory_unlock_all` would release"),
    ] {
        let database = Database::create();
        assert_says(&latest(&database, &[("001", text)]), &[wanted, "hint: "]);
        assert_eq!(database.sql("select to_regclass('x') is null"), "t", "{text}");
    }
}

#[test]
fn what_holds_until_a_transaction_ends_is_refused_where_the_file_ends_it() {
    for (text, wanted) in [
        (
            "create schema s; set local search_path = s; create table t(i int); create index concurrently ti on t(i);",
            "1:18: `set local` holds until its transaction ends, and the statement in line 1 ends it",
        ),
        (
            "select set_config('search_path', 's', true);\ncreate index concurrently ti on t(i);",
            "`set_config(…, true)`",
        ),
        (
            "create temp table u on commit drop as select 1;\nalter type e add value 'b';\nselect 1;",
            "dropped on commit",
        ),
        ("savepoint a;\nvacuum t;\nrollback to a;", "a savepoint"),
        ("lock table t;\ncreate index concurrently ti on t(i);", "a lock on a table"),
    ] {
        let database = Database::create();
        database.sql("create table t(i int); create type e as enum ('a')");
        let stage = stage(&database, &[("001", text)]);
        assert_says(&stage.run(["devdb", "migrate", "to", "latest"]), &[wanted, "hint: put the statement in line "]);
        assert_says(&stage.run(["devdb", "migrate", "plan"]), &[wanted]);
        assert_eq!(database.sql("select count(*) from pg_class where relname in ('ti', 'kysely_migration')"), "0");
    }
    // The hint, followed.
    let database = Database::create();
    database.sql("create table t(i int)");
    let text = "create schema s; set search_path = s; create table t(i int); create index concurrently ti on t(i);";
    assert_done(&latest(&database, &[("001", text), ("002", "create table u(i int);")]));
    assert_eq!(database.sql("select to_regclass('s.ti') is not null and to_regclass('public.u') is not null"), "t");
}

const COMMITS: &str = "create table b (n int primary key);\ninsert into b select 7;\n";

#[test]
fn what_a_block_has_committed_is_not_called_unchanged() {
    let block = "do $$ begin for n in 1..5 loop insert into b values (case n when 4 then 1 else n end); commit; end loop; end $$;";
    let procedure = "create procedure p() language plpgsql as $$ begin insert into b values (1); commit; insert into b values (1); end $$;";
    let directive = "-- devdb: transaction=false\n";
    for (text, wanted) in [
        (format!("{directive}{block}"), "parts of this statement may be committed"),
        (format!("{directive}{procedure}\ncall p();"), "parts of this statement may be committed"),
        (format!("{directive}vacuum b, nothing_of_this_name;"), "parts of this statement may be committed"),
        (format!("{directive}insert into b values (7);"), "nothing was changed"),
        (format!("{directive}do $$ begin insert into b values (1), (1); end $$;"), "nothing was changed"),
    ] {
        let database = Database::create();
        let files = [("001", COMMITS), ("002", text.as_str())];
        assert_done(&latest(&database, &files[..1]));
        let outcome = stage(&database, &files).run(["devdb", "--json", "migrate", "to", "latest"]);
        assert_says(&outcome, &[wanted]);
        assert!(outcome.stdout.contains(wanted), "{outcome}");
        let unchanged =
            database.sql("select count(*) from b") == "1" && database.sql("select to_regproc('p') is null") == "t";
        assert!(unchanged || !wanted.starts_with("nothing"), "{outcome}");
    }
    // Without the directive the server refuses the commit, and the hint leads on.
    let database = Database::create();
    let files = [("001", COMMITS), ("002", "do $$ begin insert into b values (1); commit; end $$;")];
    let outcome = latest(&database, &files);
    assert_says(&outcome, &["2D000", "hint: put `-- devdb: transaction=false` on a line of its own"]);
    let mended = format!("{directive}{}", files[1].1);
    assert_done(&latest(&database, &[files[0], ("002", &mended)]));
}

#[test]
fn an_invalid_index_is_found_however_its_name_is_written() {
    let long = "x".repeat(70);
    for name in ["Übersicht_Idx", "\"Über\"\"sicht\"", "İndex", long.as_str(), "U&\"Id\\0041\"", "ti"] {
        let database = Database::create();
        let build = format!("create unique index concurrently {name} on t(a);");
        let files = [("001", "create table t(a int);\ninsert into t values (1), (1);"), ("002", build.as_str())];
        let outcome = latest(&database, &files);
        assert_says(&outcome, &["the invalid index public.", "hint: mend the cause and run this again"]);
        database.sql("update t set a = 2 where ctid = (select min(ctid) from t)");
        let outcome = latest(&database, &files);
        assert_done(&outcome);
        assert!(outcome.stderr.contains("dropped the invalid index"), "{outcome}");
        assert_eq!(database.sql("select count(*) from pg_index where indrelid = 't'::regclass and indisvalid"), "1");
    }
}

#[test]
fn a_value_that_was_just_added_names_the_way_on() {
    let database = Database::create();
    let files = [
        (
            "001",
            "create type e as enum ('a'); create function grow() returns void language plpgsql as $$ begin execute 'alter type e add value ''b'''; end $$;",
        ),
        ("002", "select grow();"),
        ("003", "create table t as select 'b'::e as v;"),
    ];
    let stage = stage(&database, &files);
    assert_done(&stage.run(["devdb", "migrate", "up"]));
    let outcome = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_says(
        &outcome,
        &["55P04", "hint: the value was added in this same transaction: run `devdb migrate to 002` first"],
    );
    assert_done(&stage.run(["devdb", "migrate", "to", "002"]));
    assert_done(&stage.run(["devdb", "migrate", "to", "latest"]));
}

#[test]
fn pending_trigger_events_name_the_way_on() {
    let keys =
        "create table p (id int primary key); create table c (id int references p deferrable initially deferred);";
    let text = "insert into c values (1); insert into p values (1);\nalter table c add column x int;";
    let database = Database::create();
    assert_says(
        &latest(&database, &[("001", keys), ("002", text)]),
        &["55006", "hint: write `set constraints all immediate;`"],
    );
    let mended = text.replace("\nalter", "\nset constraints all immediate;\nalter");
    assert_done(&latest(&database, &[("001", keys), ("002", &mended)]));
}

#[test]
fn a_file_of_pg_dump_is_told_all_that_is_wrong_and_the_way_out_works() {
    let origin = Database::create();
    origin.sql(
        "create table names (id int primary key, name text); insert into names values (1, 'it''s'), (2, e'a\\\\b')",
    );
    origin.sql("create table more (id int); insert into more values (1)");
    let dump = origin.pg_dump_as_it_is();
    let database = Database::create();
    let outcome = latest(&database, &[("001", &dump)]);
    assert_says(&outcome, &["is a command of psql", "`COPY … FROM STDIN` needs psql", "pg_dump --inserts"]);
    assert!(!outcome.stderr.contains("never ends"), "{outcome}");
    let said: Vec<&str> = outcome.stderr.lines().filter(|line| line.contains(": `COPY … FROM STDIN`")).collect();
    assert_eq!(said.len(), 2, "{outcome}");

    let hint =
        outcome.stderr.lines().find_map(|line| line.trim().strip_prefix("hint: if pg_dump has written")).unwrap();
    let command = hint.split('`').nth(1).unwrap().replace("DATABASE", &format!("'{}'", origin.url()));
    let written = std::process::Command::new("bash").args(["-c", &command]).output().unwrap();
    assert!(written.status.success(), "{command}: {}", String::from_utf8_lossy(&written.stderr));
    let database = Database::create();
    assert_done(&latest(&database, &[("001", &String::from_utf8(written.stdout).unwrap())]));
    assert_eq!(database.pg_dump_without_ledger(), origin.pg_dump_without_ledger());
}

#[test]
fn strings_are_read_as_the_file_has_the_server_read_them() {
    let text = "set standard_conforming_strings = off;\ncreate table t as select 'it\\'s; here' as a;\nset standard_conforming_strings = on;\ncreate table u as select 'a\\' as a;\n";
    let body = "create table r (id int, \"end\" int); create function f() returns int language sql begin atomic select r.end from r; select 1 as end; end;\ncreate table v (i int);";
    let database = Database::create();
    assert_done(&latest(&database, &[("001", text), ("002", body)]));
    assert_eq!(database.sql("select (select a from t) || (select a from u)"), "it's; herea\\");
    // Where the database itself says so, files keep their meaning.
    database.sql(&format!("alter database {} set standard_conforming_strings = off", database.name));
    let more = [("001", text), ("002", body), ("003", "create table w as select 'b\\' as a;")];
    assert_done(&latest(&database, &more));
    assert_eq!(database.sql("select a from w"), "b\\");
}

#[test]
fn what_the_server_says_is_shown_with_file_and_statement() {
    let database = Database::create();
    let files = [
        (
            "001",
            "create table a (i int);\n\ndo $$ begin raise notice 'one %', E'\\x1b[31m'; end $$;\ndrop table if exists nothing;\n",
        ),
        ("002", "-- devdb: transaction=false\ndo $$ begin raise warning 'two' using hint = 'look'; end $$;\nselect 1;"),
    ];
    let stage = stage(&database, &files);
    let outcome = stage.run(["devdb", "--json", "migrate", "to", "latest"]);
    assert_done(&outcome);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let notices: Vec<String> = document["notices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| {
            let text = |key: &str| notice[key].as_str().unwrap_or_default();
            format!(
                "{} {} {} {} {}",
                text("migration"),
                notice["line"],
                text("severity"),
                text("message"),
                text("hint")
            )
        })
        .collect();
    assert_eq!(
        notices,
        [
            "001 3 NOTICE one \u{1b}[31m ",
            "001 4 NOTICE table \"nothing\" does not exist, skipping ",
            "002 2 WARNING two look",
        ]
    );
    let database = Database::create();
    let outcome = latest(&database, &files);
    for text in [
        "001.up.sql:3: NOTICE: one \\u{1b}[31m",
        "001.up.sql:4: NOTICE: table",
        "warning: db/migrations/002.up.sql:2: WARNING: two",
    ] {
        assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    }
}

/// Notices of many statements that are under way together.
#[test]
fn each_notice_belongs_to_its_own_statement() {
    let text: String = (1..=2000)
        .map(|n| {
            if n % 3 == 0 {
                format!("do $$ begin raise notice 'line {n}'; end $$;\n")
            } else {
                "select 1;\n".to_owned()
            }
        })
        .collect();
    let database = Database::create();
    let outcome = stage(&database, &[("001", &text)]).run(["devdb", "--json", "migrate", "to", "latest"]);
    assert_done(&outcome);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let notices = document["notices"].as_array().unwrap();
    assert_eq!(notices.len(), 666);
    for notice in notices {
        assert_eq!(notice["message"], format!("line {}", notice["line"]), "{notice}");
    }
}

#[test]
fn sequences_are_not_called_unchanged() {
    let database = Database::create();
    let files = [("001", "create sequence s;"), ("002", "select setval('s', 1000);\nselect nonsense;")];
    assert_done(&latest(&database, &files[..1]));
    assert_says(&latest(&database, &files), &["nothing was changed, except that sequences may have moved on"]);
    assert_eq!(database.sql("select last_value from s"), "1000");
    let outcome = latest(&database, &[files[0], ("002", "create table t (i int);\ncreate tabel u (i int);")]);
    assert_says(&outcome, &["nothing was changed\n"]);
}

#[test]
fn a_second_project_in_one_database_is_led_to_a_ledger_of_its_own() {
    let database = Database::create();
    database.sql("create schema first; create schema second; grant all on schema first, second to app");
    let stage = |name: &str| {
        Stage::new()
            .var("DATABASE_URL", &database.url_as("app"))
            .file(&format!("db/migrations/{name}.up.sql"), "create table t (i int);")
    };
    let path = |schema: &str| {
        database.sql(&format!("alter role app in database {} set search_path = {schema}", database.name))
    };
    path("first");
    assert_done(&stage("001_first").run(["devdb", "migrate", "to", "latest"]));
    path("second");
    let outcome = stage("001_second").run(["devdb", "migrate", "to", "latest"]);
    assert_says(
        &outcome,
        &["there is a ledger first.kysely_migration", "looks for it in second", "DEVDB_MIGRATIONS_SCHEMA"],
    );
    let outcome =
        stage("001_second").var("DEVDB_MIGRATIONS_SCHEMA", "second").run(["devdb", "migrate", "to", "latest"]);
    assert_done(&outcome);
    assert_eq!(
        database.sql(
            "select (select count(*) from first.kysely_migration) + (select count(*) from second.kysely_migration)"
        ),
        "2"
    );
}

const HELD: &str = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";

#[test]
fn a_pooler_that_moves_a_session_is_refused_before_it_keeps_a_lock() {
    let files = [("001", "create table t (i int);"), ("002", "create index concurrently on t (i);")];
    for (mode, others, refuses) in [("transaction", 0, true), ("transaction", 3, true), ("session", 0, false)] {
        let database = Database::create();
        let pooler = Pgbouncer::start(cluster().port, mode, if others > 0 { 4 } else { 3 });
        let url = database.url_at(pooler.port);
        let busy: Vec<_> = (0..others).map(|_| pooler.busy_client(&database)).collect();
        let outcome = stage(&database, &files).run(["devdb", "migrate", "to", "latest", "--database-url", &url]);
        drop(busy);
        if refuses {
            let wanted = "is a pooler that takes another server for each transaction";
            assert_says(&outcome, &[wanted, "hint: name the database's own endpoint"]);
            assert_eq!(database.sql("select to_regclass('t') is null"), "t");
            // One transaction needs no session, and the hint leads to a run that works.
            assert_done(&stage(&database, &files[..1]).run([
                "devdb",
                "migrate",
                "to",
                "latest",
                "--database-url",
                &url,
            ]));
            assert_done(&latest(&database, &files));
        } else {
            assert_done(&outcome);
        }
        assert_eq!(database.sql(HELD), "0");
    }
}

/// Time that grows with the square of a line would be minutes here.
#[test]
fn a_file_may_be_one_line_of_megabytes() {
    let rows: Vec<String> = (0..40_000).map(|n| format!("({n},'row number {n} ü')")).collect();
    let many: String = (0..20_000).map(|n| format!("insert into u values ({n}); ")).collect();
    let text = format!(
        "create table t(i int, s text); insert into t values {}; create table u(i int); {many}",
        rows.join(",")
    );
    let database = Database::create();
    let stage = stage(&database, &[("001", &text)]);
    let plan = stage.run(["devdb", "migrate", "plan"]);
    assert_done(&plan);
    assert!(plan.stdout.len() > text.len(), "all of it is shown");
    assert_done(&stage.run(["devdb", "migrate", "to", "latest"]));
    assert_eq!(database.sql("select (select count(*) from t) + (select count(*) from u)"), "60000");
    let status = stage.run(["devdb", "migrate", "status"]);
    assert!(status.code == 0 && !status.stdout.contains("edited"), "{status}");
    // It is larger than what the journal keeps, and is known by its hash.
    assert_eq!(database.sql("select up_sql = '' and length(hash) = 64 from devdb_migration_journal"), "t");
    let lint = stage.run(["devdb", "migrate", "lint", "001"]);
    assert!(lint.code == 3 && !lint.stdout.contains("syntax-error"), "{lint}");
    let broken = format!("{text} create tabel v(i int);");
    let outcome = latest(&database, &[("001", &text), ("002", &broken.replace(" t(", " t2(").replace(" u(", " u2("))]);
    assert_says(&outcome, &["syntax error at or near \"tabel\""]);
}
