//! What hangs on what a migration touches, kind by kind, on a real PostgreSQL: a branch ran `3` before main's `2`, and in
//! the order of the files another database comes of it. Without down parts, a repair has to refuse, and to say why.

use crate::support::postgres::Database;
use devdb::testing::{Outcome, Stage};
use std::fs;

/// A folder of migrations and a database on which the branch's ran first.
pub(crate) struct Branch {
    stage: Stage,
    pub(crate) database: Database,
}

impl Branch {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::new().file("devdb.toml", ""), database: Database::create() }
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let folder = self.stage.project().join("db/migrations");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.sql")), format!("-- migrate:up\n{text}")).unwrap();
    }

    fn devdb_at(&self, url: &str, settings: &str, words: &[&str]) -> Outcome {
        let settings = format!("project = \"shop\"\n[environment.dev]\nkind = \"personal\"\n{settings}");
        fs::write(self.stage.project().join("devdb.toml"), settings).unwrap();
        self.stage.run_all(&[&["devdb", "--yes", "migrate"], words, &["--database-url", url]].concat())
    }

    pub(crate) fn devdb(&self, words: &[&str]) -> Outcome {
        self.devdb_at(&self.database.url(), "", words)
    }

    /// Runs what is pending, wherever its place is.
    pub(crate) fn latest_unordered(&self) -> Outcome {
        self.devdb_at(&self.database.url(), "[migrations]\nallow_unordered = true\n", &["to", "latest"])
    }

    /// Schema and rows of a database on which all files ran in their order; none where one of them fails.
    pub(crate) fn fresh(&self) -> Option<String> {
        let fresh = Database::create();
        let outcome = self.devdb_at(&fresh.url(), "", &["to", "latest"]);
        (outcome.code == 0).then(|| without_ledger(&fresh.pg_dump_with_rows()))
    }

    pub(crate) fn state(&self) -> String {
        without_ledger(&self.database.pg_dump_with_rows())
    }
}

/// Rows have no order, and the ledger tells when things ran.
fn without_ledger(dump: &str) -> String {
    let is_ledger = |section: &&str| {
        let heading = section.lines().next().unwrap_or_default();
        heading.contains("kysely_migration") || heading.contains("devdb_")
    };
    let sorted = |section: &str| {
        let mut lines: Vec<&str> = section.trim_end().lines().collect();
        if let Some(copy) = lines.iter().position(|line| line.starts_with("COPY ")) {
            lines[copy + 1..].sort_unstable();
        }
        lines.join("\n") + "\n"
    };
    dump.split("\n--\n-- ").filter(|section| !is_ledger(section)).map(sorted).collect()
}

struct Case {
    kind: &'static str,
    base: &'static str,
    branch: &'static str,
    main: &'static str,
    /// A part of the reason.
    because: &'static str,
}

const NOTE: &str = "create table audit (n int, note text); create table person (n int); \
    create function note() returns trigger language plpgsql as $$ begin insert into audit values (new.n, 'raw'); return new; end $$; ";
const PARENT: &str = "create table a (id int primary key); insert into a values (1); ";
const LOGGING: &str = "create table log (n int); create function f() returns int language plpgsql as $$ begin \
    insert into log values (1); return 7; end $$; ";
const COUNTING: &str = "create table log (n int); insert into log values (1); create function counted(int) returns int \
    language plpgsql immutable as $$ begin return (select count(*) from log); end $$; ";

const CASES: &[Case] = &[
    Case {
        kind: "trigger",
        base: "create trigger t after insert on person for each row execute function note();",
        branch: "insert into person values (1);",
        main: "update audit set note = 'checked';",
        because: "the order of 2 and 3 matters: both have to do with audit (3 inserts into person, whose trigger t calls note(), which mentions audit)",
    },
    Case {
        kind: "trigger at the commit",
        base: "create constraint trigger t after insert on person deferrable initially deferred for each row execute function note();",
        branch: "insert into person values (1);",
        main: "update audit set note = 'checked';",
        because: "both have to do with audit",
    },
    Case {
        kind: "trigger that the pending one makes",
        base: "",
        branch: "insert into person values (1);",
        main: "create trigger t after insert on person for each row execute function note();",
        because: "both have to do with person",
    },
    Case {
        kind: "trigger that the branch dropped",
        base: "create trigger t after insert on person for each row execute function note();",
        branch: "insert into person values (1); drop trigger t on person;",
        main: "update audit set note = 'checked';",
        because: "3 inserts into person, and what hung on person before 3 is not known",
    },
    Case {
        kind: "trigger that the branch turned off",
        base: "create trigger t after insert on person for each row execute function note();",
        branch: "insert into person values (1); alter table person disable trigger t;",
        main: "update audit set note = 'checked';",
        because: "what hung on person before 3 is not known",
    },
    Case {
        kind: "cascade",
        base: "create table b (owner int references a on delete cascade); insert into b values (1);",
        branch: "delete from a;",
        main: "create table kept as select * from b;",
        because: "both have to do with b (3 deletes from a, whose changes b follows)",
    },
    Case {
        kind: "cascade that the branch dropped with its table",
        base: "create table b (owner int references a on delete cascade); insert into b values (1); create trigger t after delete on b for each row execute function gone();",
        branch: "drop table b;",
        main: "delete from a;",
        because: "what hung on it before 3 is not known",
    },
    Case {
        kind: "set null",
        base: "create table b (owner int references a on delete set null); insert into b values (1);",
        branch: "delete from a;",
        main: "create table kept as select * from b;",
        because: "whose changes b follows",
    },
    Case {
        kind: "on update cascade",
        base: "create table b (owner int references a on update cascade); insert into b values (1);",
        branch: "update a set id = 2;",
        main: "create table kept as select * from b;",
        because: "whose changes b follows",
    },
    Case {
        kind: "rule",
        base: "create rule r as on insert to person do also insert into audit values (1, 'raw');",
        branch: "insert into person values (1);",
        main: "update audit set note = 'checked';",
        because: "3 inserts into person, whose rule r has to do with audit",
    },
    Case {
        kind: "view",
        base: "create view v as select * from person;",
        branch: "insert into v values (1);",
        main: "update person set n = 2;",
        because: "3 inserts into v, which is a view of person",
    },
    Case {
        kind: "view that is read",
        base: "create view v as select n from person; create view w as select n from v;",
        branch: "insert into person values (1);",
        main: "create table kept as select * from w;",
        because: "which is a view of person",
    },
    Case {
        kind: "view with a trigger instead",
        base: "create view v as select 1 as n; create trigger t instead of insert on v for each row execute function note();",
        branch: "insert into v values (1);",
        main: "update audit set note = 'checked';",
        because: "whose trigger t calls note()",
    },
    Case {
        kind: "default that calls a function",
        base: "create table p (n int default f());",
        branch: "insert into p default values;",
        main: "update log set n = 2;",
        because: "3 inserts into p, which is defined with f, which mentions log",
    },
    Case {
        kind: "new column whose default calls a function",
        base: "create table p (n int); insert into p values (1);",
        branch: "alter table p add column m int default f();",
        main: "update log set n = 2;",
        because: "3 mentions f, which mentions log",
    },
    Case {
        kind: "shared sequence",
        base: "create sequence s; create table p (n int default nextval('s'), x int); create table q (n int default nextval('s'), x int);",
        branch: "insert into p (x) values (1);",
        main: "insert into q (x) values (1);",
        because: "whose default takes from s",
    },
    Case {
        kind: "shared sequence, by name",
        base: "create sequence s; create table p (n int); create table q (n int);",
        branch: "insert into p values (nextval('s'));",
        main: "insert into q values (nextval('public.s'));",
        because: "both have to do with s",
    },
    Case {
        kind: "domain whose default takes from a sequence",
        base: "create sequence s; create domain numbered as int default nextval('s'); create table p (n numbered, x int); create table q (n numbered, x int);",
        branch: "insert into p (x) values (1);",
        main: "insert into q (x) values (1);",
        because: "which is defined with numbered, which takes from s",
    },
    Case {
        kind: "view of the catalog",
        base: "create view tables as select count(*) from pg_class;",
        branch: "create table x (n int);",
        main: "create table kept as select * from tables;",
        because: "2 mentions tables, which looks at more than its definition names",
    },
    Case {
        kind: "table made like another",
        base: "create sequence s; create table p (n int default nextval('s'), x int); create table q (n int default nextval('s'), x int);",
        branch: "insert into q (x) values (1);",
        main: "create table z (like p including all); insert into z (x) values (1);",
        because: "takes from s",
    },
    Case {
        kind: "identity",
        base: "create table p (id int generated always as identity, x int); create table q (n int);",
        branch: "insert into p (x) values (1);",
        main: "insert into q select nextval('p_id_seq');",
        because: "both have to do with p_id_seq",
    },
    Case {
        kind: "generated column",
        base: "create table p (n int, m int generated always as (counted(n)) stored);",
        branch: "insert into p values (1);",
        main: "insert into log values (2);",
        because: "which is defined with counted, which mentions log",
    },
    Case {
        kind: "check",
        base: "create table p (n int check (n <= counted(n)));",
        branch: "insert into p values (1);",
        main: "delete from log;",
        because: "which is defined with counted, which mentions log",
    },
    Case {
        kind: "domain",
        base: "create domain few as int check (value <= counted(value)); create table p (n few);",
        branch: "insert into p values (1);",
        main: "delete from log;",
        because: "which is defined with few, which is defined with counted, which mentions log",
    },
    Case {
        kind: "index over a function",
        base: "create table p (n int); create unique index i on p (n) where counted(n) > 1; insert into p values (1);",
        branch: "insert into p values (1);",
        main: "insert into log values (2);",
        because: "which is defined with counted, which mentions log",
    },
    Case {
        kind: "inheritance",
        base: "create table p (n int); create table c () inherits (p); insert into c values (1);",
        branch: "update p set n = 2;",
        main: "create table kept as select * from c;",
        because: "3 updates p, of which c is a part",
    },
    Case {
        kind: "inheritance, upwards",
        base: "create table p (n int); create table c () inherits (p);",
        branch: "insert into c values (1);",
        main: "create table kept as select * from p;",
        because: "(2 mentions p, of which c is a part)",
    },
    Case {
        kind: "partition with a trigger on its parent",
        base: "create table p (n int) partition by range (n); create table p1 partition of p for values from (0) to (9); create trigger t after insert on p for each row execute function note();",
        branch: "insert into p1 values (1);",
        main: "update audit set note = 'checked';",
        because: "whose trigger t calls note()",
    },
    Case {
        kind: "materialized view",
        base: "create materialized view m as select count(*) from person;",
        branch: "refresh materialized view m;",
        main: "insert into person values (1);",
        because: "3 refreshes m, which is a view of person",
    },
    Case {
        kind: "event trigger",
        base: "create function seen() returns event_trigger language plpgsql as $$ begin insert into audit select count(*), 'raw' from audit; end $$; create event trigger e on ddl_command_end execute function seen();",
        branch: "create table x (n int);",
        main: "update audit set note = 'checked';",
        because: "3 changes definitions, on which the event trigger e calls seen(), which mentions audit",
    },
    Case {
        kind: "cast",
        base: "create type pair as (l int, r int); create function paired(int) returns pair language plpgsql as $$ begin insert into audit values ($1, 'raw'); return row($1, $1); end $$; create cast (int as pair) with function paired(int) as assignment; create table p (x pair);",
        branch: "insert into p values (1);",
        main: "update audit set note = 'checked';",
        because: "paired(), which mentions audit",
    },
    Case {
        kind: "function that calls a function",
        base: "create function outer_one() returns int language sql as $$ select inner_one() $$; create table p (n int default outer_one());",
        branch: "insert into p default values;",
        main: "update log set n = 2;",
        because: "which mentions inner_one, which mentions f, which mentions log",
    },
    Case {
        kind: "function that was parsed",
        base: "create function parsed() returns int begin atomic insert into audit values (1, 'raw'); select 1; end; create table p (n int default parsed());",
        branch: "insert into p default values;",
        main: "update audit set note = 'checked';",
        because: "which is defined with parsed, which has to do with audit",
    },
    Case {
        kind: "function that the pending one replaces",
        base: "create trigger t after insert on person for each row execute function note();",
        branch: "insert into person values (1);",
        main: "create or replace function note() returns trigger language plpgsql as $$ begin insert into audit values (new.n, 'new'); return new; end $$;",
        because: "both have to do with note (3 inserts into person, whose trigger t calls note())",
    },
    Case {
        kind: "function that is found instead",
        base: "create table p (n int default f(1)); create trigger t after insert on person for each row execute function note();",
        branch: "insert into p default values;",
        main: "create function f(text) returns int language sql as 'select 1'; insert into log select f('x');",
        because: "both have to do with",
    },
    Case {
        kind: "dynamic SQL",
        base: "create function dynamic() returns trigger language plpgsql as $$ begin execute 'insert into ' || tg_argv[0] || ' values (1)'; return new; end $$; create trigger t after insert on person for each row execute function dynamic('audit');",
        branch: "insert into person values (1);",
        main: "update audit set note = 'checked';",
        because: "cannot be told: 3 inserts into person, whose trigger t calls dynamic(), which runs SQL that it puts together itself",
    },
    Case {
        kind: "policy",
        base: "create table p (n int); alter table p enable row level security, force row level security; create policy y on p using (n in (select n from person)); grant all on p, person to app;",
        branch: "insert into person values (1);",
        main: "create table kept as select * from p;",
        because: "whose policy y asks person",
    },
    Case {
        kind: "extension",
        base: "create extension if not exists dblink; create table p (n int);",
        branch: "insert into p select 1 where dblink_get_connections() is null;",
        main: "create table z (n int);",
        because: "3 mentions dblink_get_connections, which is part of a program",
    },
    Case {
        kind: "names that the server numbers",
        base: "create table t (a_b int); create table t_a (b int);",
        branch: "create index on t (a_b);",
        main: "create index on t_a (b);",
        because: "names that the server makes up for",
    },
];

/// What a case's base needs besides its own.
fn base(case: &Case) -> String {
    let gone = "create function gone() returns trigger language plpgsql as $$ begin insert into audit values (0, 'gone'); return old; end $$; ";
    let inner = "create function inner_one() returns int language sql as $$ select f() $$; create function f(numeric) returns int language plpgsql as $$ begin insert into log values (2); return 8; end $$; ";
    let counting = COUNTING.replace("create table log (n int); ", "");
    [NOTE, gone, PARENT, LOGGING, inner, &counting, case.base].concat()
}

#[test]
fn what_is_reached_through_the_catalog_belongs_to_both() {
    for case in CASES {
        let branch = Branch::new();
        branch.write("1", &base(case));
        branch.write("3", case.branch);
        let outcome = branch.devdb(&["to", "latest"]);
        assert_eq!(outcome.code, 0, "{}: {outcome}", case.kind);
        branch.write("2", case.main);
        let before = branch.state();
        let refused = branch.devdb(&["repair"]);
        assert_eq!(refused.code, 4, "{}: {refused}", case.kind);
        assert!(refused.stderr.contains(case.because), "{}: {refused}", case.kind);
        assert_eq!(branch.state(), before, "{}", case.kind);
    }
}

/// These stand beside the same links and touch none of them.
#[test]
fn what_is_apart_still_slides_in() {
    for (kind, base_sql, ran, runs) in [
        ("tables", "", "create table x (n int primary key)", "create table y (n int primary key, a int references a)"),
        (
            "columns of tables with the same trigger",
            "create table p (n int); create table q (n int); create trigger t after insert on p for each row execute function note(); create trigger t after insert on q for each row execute function note();",
            "alter table p add column m int default 1",
            "alter table q add column m text not null default ''",
        ),
        (
            "rows of tables without links",
            "create table p (n serial, x text); create table q (n serial, x text);",
            "insert into p (x) values ('audit')",
            "insert into q (x) values ('y')",
        ),
        (
            "rows of a parent and of a child",
            "create table b (owner int references a on delete cascade);",
            "insert into a values (2)",
            "insert into b values (1)",
        ),
        (
            "an index and a view",
            "create table p (n int);",
            "create index on p (n)",
            "create view v as select * from audit",
        ),
        (
            "a function and rows",
            "create table p (n int);",
            "create function g(int) returns int language sql as 'select $1'",
            "insert into p values (1)",
        ),
        (
            "a trigger that touches only its row",
            "create function touch() returns trigger language plpgsql as $$ begin new.n := now(); return new; end $$; create table p (n timestamptz); create table q (n timestamptz); create trigger t before insert on p for each row execute function touch(); create trigger t before insert on q for each row execute function touch();",
            "insert into p default values",
            "insert into q default values",
        ),
        (
            "known extensions",
            "create extension pgcrypto; create extension citext; create table p (n citext, x uuid default gen_random_uuid()); create table q (n citext);",
            "insert into p (n) values ('a')",
            "insert into q values ('b')",
        ),
    ] {
        let case = Case { kind, base: base_sql, branch: ran, main: runs, because: "" };
        let branch = Branch::new();
        branch.write("1", &base(&case));
        branch.write("3", case.branch);
        let outcome = branch.devdb(&["to", "latest"]);
        assert_eq!(outcome.code, 0, "{kind}: {outcome}");
        branch.write("2", case.main);
        let repaired = branch.devdb(&["repair", "--json"]);
        assert_eq!(repaired.code, 0, "{kind}: {repaired}");
        assert!(repaired.stdout.contains("\"strategy\": \"slide-in\""), "{kind}: {repaired}");
        if !kind.contains("its row") && !kind.contains("extensions") {
            assert_eq!(Some(branch.state()), branch.fresh(), "{kind}");
        }
    }
}
