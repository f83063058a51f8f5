//! `devdb migrate plan`: what it says is what a run does.

use crate::support::postgres::{Database, cluster};
use crate::support::relay::Relay;
use devdb::testing::{Outcome, Stage};

fn stage(database: &Database, files: &[(&str, &str)]) -> Stage {
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    files.iter().fold(stage, |stage, (name, text)| stage.file(&format!("db/migrations/{name}"), text))
}

const STORY: [(&str, &str); 4] = [
    ("1_users.up.sql", "create table users (id int primary key, mood text);\n"),
    ("1_users.down.sql", "drop table users;\n"),
    (
        "2_orders.sql",
        "-- migrate:up\ncreate table orders (id int, user_id int references users);\n\n\
         -- Everybody is happy.\nalter table users\n  alter column mood set default 'happy';\n-- migrate:down\ndrop table orders;\n",
    ),
    (
        "3_index.up.sql",
        "create index concurrently orders_user on orders (user_id);\ncomment on table orders is 'bought';\n",
    ),
];

fn json(outcome: &Outcome) -> serde_json::Value {
    assert_eq!(outcome.code, 0, "{outcome}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn a_plan_is_sql_that_people_can_read() {
    let database = Database::create();
    let stage = stage(&database, &STORY);
    insta::assert_snapshot!(stage.run(["devdb", "migrate", "plan"]).stdout);
    assert_eq!(database.sql("select to_regclass('kysely_migration') is null"), "t", "nothing is written");
    assert_eq!(stage.run(["devdb", "migrate", "to", "2_orders"]).code, 0);
    insta::assert_snapshot!("down", stage.run(["devdb", "migrate", "plan", "none"]).stdout);
    assert_eq!(stage.run(["devdb", "migrate", "plan", "2_orders"]).stdout, "nothing to do\n");
    let unknown = stage.run(["devdb", "migrate", "plan", "4_more"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("migration \"4_more\" doesn't exist"), "{unknown}");
}

#[test]
fn a_run_takes_the_round_trips_that_the_plan_names() {
    let database = Database::create();
    let relay = Relay::to(cluster().port);
    let url = database.url_at(relay.port);
    let stage = stage(&database, &STORY);
    let run = |words: &[&str]| {
        relay.take_round_trips();
        let outcome = stage.run_all(&[&["devdb", "--json", "migrate"], words, &["--database-url", &url]].concat());
        (json(&outcome), relay.take_round_trips())
    };
    // Connecting without TLS and with scram.
    const CONNECT: usize = 3;
    for target in ["1_users", "1_users", "latest", "latest"] {
        let (plan, looked) = run(&["plan", target]);
        assert_eq!(looked, CONNECT + 1, "a look");
        let (_, taken) = run(&["to", target]);
        assert_eq!(plan["round_trips"], taken - CONNECT, "{target}: {plan:#}");
    }
}

/// Each statement runs on a table that stands; what the server says of its locks is the truth.
#[test]
fn the_locks_that_are_told_are_those_that_the_server_takes() {
    let database = Database::create();
    database.sql(
        "create table a (id int primary key, t text, n int not null default 1, check (n > 0) not valid);
         create table b (id int primary key, a_id int);
         create table p (id int) partition by range (id);
         create table p1 (id int);
         create table p2 partition of p for values from (20) to (30);
         create index b_a on b (a_id);
         create view v as select id from a;
         create materialized view m as select id from a;
         create unique index m_id on m (id);
         create function f() returns trigger language plpgsql as 'begin return new; end';
         create trigger g after insert on a for each row execute function f();
         create policy y on a;
         create statistics s on id, n from a;",
    );
    let statements = [
        "select * from a for update",
        "insert into a values (1)",
        "with gone as (delete from a returning *) select * from gone",
        "update a set t = 'x'",
        "alter table a add column c int, alter column n set statistics 10",
        "alter table a alter column n set statistics 10",
        "alter table a validate constraint a_n_check",
        "alter table only b add constraint k foreign key (a_id) references a",
        "alter table b add column o int references a",
        "alter table a disable trigger g",
        "alter table p attach partition p1 for values from (1) to (10)",
        "alter table p detach partition p2",
        "alter table a rename column t to u",
        "alter index b_a rename to b_b",
        "alter view v rename to w",
        "create index on b (a_id)",
        "create unique index i on b (a_id)",
        "create table c (a_id int references a)",
        "create table c (like a)",
        "create table p3 partition of p for values from (30) to (40)",
        "create table c () inherits (a)",
        "create or replace trigger h before insert on a for each row execute function f()",
        "create constraint trigger h after insert on a for each row execute function f()",
        "create policy z on a",
        "create or replace view v as select id, n from a",
        "create statistics r on id, t from a",
        "create rule r as on insert to b do nothing",
        "comment on table a is 'x'",
        "comment on column \"a\".id is 'x'",
        "analyze a",
        "refresh materialized view m",
        "refresh materialized view concurrently m",
        "reindex table a",
        "cluster a using a_pkey",
        "truncate a, b",
        "drop table b",
        "drop view v",
        "drop materialized view m",
        "drop index b_a",
        "drop trigger g on a",
        "drop policy y on a",
        "lock table a",
        "copy a from '/dev/null'",
    ];
    let modes = ["RowExclusive", "ShareUpdateExclusive", "Share", "ShareRowExclusive", "Exclusive", "AccessExclusive"];
    let order = modes.iter().map(|mode| format!("'{mode}Lock'")).collect::<Vec<_>>().join(",");
    let stage = Stage::new().var("DATABASE_URL", &database.url());
    let stage = statements.iter().enumerate().fold(stage, |stage, (number, statement)| {
        stage.file(&format!("db/migrations/{number:02}.up.sql"), &format!("{statement};\n"))
    });
    let plan = json(&stage.run(["devdb", "--json", "migrate", "plan"]));
    let planned = plan["segments"].as_array().unwrap().iter().flat_map(|one| one["statements"].as_array().unwrap());
    let mut wrong = Vec::new();
    for (statement, planned) in statements.iter().zip(planned) {
        assert_eq!(planned["sql"], *statement);
        // Relations that were there before: their rows in the catalog are older than this transaction.
        let truth = database.sql(&format!(
            "begin; create temp table before on commit drop as select oid from pg_class; {statement}; \
             select (array[{order}])[max(array_position(array[{order}], mode))] from pg_locks \
             where pid = pg_backend_pid() and locktype = 'relation' and relation >= 16384 \
             and relation in (select oid from before) and relation <> 'before'::regclass; rollback"
        ));
        let truth = truth.lines().last().unwrap_or_default().trim_end_matches("Lock").to_owned();
        let told = planned["lock"].as_str().unwrap_or_default().replace('_', "").to_lowercase();
        if truth.to_lowercase() != told {
            wrong.push(format!("{statement}: told `{told}`, but it is `{truth}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
