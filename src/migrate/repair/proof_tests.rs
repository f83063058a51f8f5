//! What the words of two scripts, and what hangs on that in a catalog, say about their order.

use super::links::{Function, Link, LinkKind, Links};
use super::proof::{Conflict, Part, Proof};
use crate::migrate::{Direction, Layout, Script};
use std::path::Path;

fn script(text: &str) -> Script {
    Script::parse(Path::new("a.sql"), text.as_bytes(), Layout::Whole, Direction::Up).unwrap().unwrap()
}

/// Of `3`, which ran, and `2`, which would run.
fn conflict(ran: &str, runs: &str, live: &Links) -> Option<Conflict> {
    let (ran, runs) = (script(ran), script(runs));
    let parts = [
        Part { name: "3".to_owned(), ran: vec![&ran], runs: Vec::new() },
        Part { name: "2".to_owned(), ran: Vec::new(), runs: vec![&runs] },
    ];
    Proof::new(&parts, live).conflict("2", "3")
}

#[track_caller]
fn is_apart(ran: &str, runs: &str, live: &Links) {
    assert_eq!(conflict(ran, runs, live), None, "{ran} | {runs}");
}

#[track_caller]
fn is_opaque(ran: &str, runs: &str, live: &Links, wanted: &str) {
    let found = conflict(ran, runs, live);
    let is_wanted = matches!(&found, Some(Conflict::Opaque(why)) if why.contains(wanted));
    assert!(is_wanted, "{ran} | {runs}: {found:?}");
}

/// The tables a, b, c, audit and log, the function note() that writes audit, and these links.
fn live(links: &[(LinkKind, &str, &str)]) -> Links {
    let link = |(kind, from, to): &(LinkKind, &str, &str)| Link {
        kind: *kind,
        from: (*from).to_owned(),
        to: (*to).to_owned(),
        detail: "t".to_owned(),
    };
    Links {
        path: vec!["postgres".to_owned(), "public".to_owned()],
        relations: ["a", "b", "c", "audit", "log", "s"].map(str::to_owned).to_vec(),
        others: vec!["mood".to_owned()],
        functions: vec![function("note", "plpgsql", "begin insert into audit values (1); end")],
        links: links.iter().map(link).collect(),
        ..Links::default()
    }
}

fn function(name: &str, language: &str, body: &str) -> Function {
    Function {
        name: name.to_owned(),
        language: language.to_owned(),
        is_volatile: true,
        is_immutable: false,
        is_aggregate: false,
        extension: None,
        body: body.to_owned(),
    }
}

#[test]
fn what_has_nothing_in_common_is_apart() {
    for (left, right) in [
        ("create table a (id int primary key, name text)", "create table b (id int primary key, name text)"),
        ("create index on invoice (number)", "create table user_flag (id int references \"user\")"),
        ("alter table a add column user_id int references users", "create table c (user_id int references users)"),
        ("insert into a values (1, 'x')", "alter table only sales.b add column x int"),
        ("select 1", "drop table a"),
        (
            "create trigger u before update on a for each row execute function touch()",
            "create trigger u before update on b for each row execute function touch()",
        ),
        ("create table p (at date) partition by range (at)", "comment on column b.at is 'when'"),
        ("alter table a add foreign key (x) references p on delete cascade", "create table c (id int)"),
    ] {
        is_apart(left, right, &Links::default());
        is_apart(right, left, &Links::default());
    }
}

#[test]
fn what_one_changes_and_the_other_knows_is_shared() {
    for (left, right, wanted) in [
        ("alter table public.a add column x int", "alter table A add column y int", "a"),
        ("create table b (id int)", "alter table a add foreign key (x) references b", "b"),
        ("create type mood as enum ('x')", "create table a (m mood)", "mood"),
        ("create table a (x int)", "create function f() returns int language sql as $$ select x from a $$", "a"),
        ("create sequence s", "create table a (x int default nextval('public.s'))", "s"),
        ("insert into a values (1)", "create unique index i on only a (x)", "a"),
        ("alter table b rename to a", "create view v as select * from a", "a"),
        ("create table c (i int)", "comment on column public.c.x is 'y'", "c"),
        ("insert into a values (nextval('s'))", "insert into b values (nextval('s'))", "s"),
        (
            "create table k as with x as (delete from a returning *) select * from x",
            "create view v as select 1 from a",
            "a",
        ),
        (
            "create function f() returns int language plpgsql as E'begin\\ninsert into a values (1); end'",
            "create table a ()",
            "a",
        ),
        ("create table \"Ü\" ()", "alter table \"Ü\" add x int", "Ü"),
        ("create table Ü ()", "alter table Ü add x int", "Ü"),
    ] {
        let live = Links { relations: vec!["a".to_owned(), "s".to_owned()], ..Links::default() };
        for (ran, runs) in [(left, right), (right, left)] {
            let found = conflict(ran, runs, &live);
            let names = match &found {
                Some(Conflict::Shared { names, how }) if how.is_empty() => names.clone(),
                _ => panic!("{ran} | {runs}: {found:?}"),
            };
            assert_eq!(names, [wanted], "{ran} | {runs}");
        }
    }
}

#[test]
fn what_words_do_not_tell_has_no_footprint() {
    for sql in [
        "do $$ begin end $$",
        "select setval('s', 5)",
        "drop table a cascade",
        "alter type mood add value 'x'",
        "create table p1 partition of p for values in (1)",
        "create table c () inherits (p)",
        "alter table p attach partition p1 for values in (1)",
        "alter table p drop column x cascade",
        "with x as (delete from a returning *) insert into b select * from x",
        "set search_path = other",
        "create extension citext",
        "create event trigger e on ddl_command_end execute function f()",
        "create rule r as on insert to a do also insert into b values (1)",
        "grant select on a to app",
        "alter default privileges grant select on tables to app",
        "truncate a cascade",
        "insert into a select relname from pg_class",
        "insert into a select relname from \"pg_class\"",
        "insert into a select lastval()",
        "insert into a select nextval(name) from sequences",
        "insert into a select * from query_to_xml('select 1', true, true, '')",
        "insert into U&\"d\\0061t\" values (1)",
        "insert into a values (E'\\x61')",
        "create table k as execute prepared",
        "create schema s create table t (i int)",
        "create schema postgres",
    ] {
        is_opaque(sql, "create table z ()", &live(&[]), "");
        is_opaque("create table z ()", sql, &live(&[]), "");
    }
}

#[test]
fn what_hangs_on_it_belongs_to_it_and_the_reason_says_how() {
    use LinkKind as K;
    let said = |ran: &str, runs: &str, links: &[(LinkKind, &str, &str)]| match conflict(ran, runs, &live(links)) {
        Some(Conflict::Shared { names, how }) => format!("{} ({})", names.join(" "), how.join("; ")),
        other => panic!("{ran} | {runs}: {other:?}"),
    };
    let trigger = [(K::Trigger, "a", "note")];
    let of_a = "audit (3 inserts into a, whose trigger t calls note(), which mentions audit)";
    assert_eq!(said("insert into a values (1)", "update audit set n = 1", &trigger), of_a);
    is_apart("alter table a add column x int", "update audit set n = 1", &live(&trigger));
    for (ran, runs, links, wanted) in [
        (
            "delete from a",
            "create table k as select * from b",
            &[(K::Cascade, "b", "a")][..],
            "b (3 deletes from a, whose changes b follows)",
        ),
        (
            "update a set i = 1",
            "insert into b values (1)",
            &[(K::Cascade, "b", "a")],
            "a (2 inserts into b, which refers to a)",
        ),
        (
            "insert into a values (1)",
            "update b set i = 1",
            &[(K::Rule, "a", "b")],
            "b (3 inserts into a, whose rule t has to do with b)",
        ),
        (
            "insert into a values (1)",
            "update b set i = 1",
            &[(K::View, "a", "b")],
            "b (3 inserts into a, which is a view of b)",
        ),
        (
            "create table k as select * from a",
            "insert into b values (nextval('s'))",
            &[(K::Draws, "a", "s")],
            "s (3 mentions a, which takes from s)",
        ),
        (
            "create table k as select * from a",
            "update b set i = 1",
            &[(K::View, "a", "b")],
            "b (3 mentions a, which is a view of b)",
        ),
        (
            "insert into a values (1)",
            "insert into b values (1)",
            &[(K::Default, "a", "s"), (K::Default, "b", "s")],
            "s (2 inserts into b, whose default takes from s; 3 inserts into a, whose default takes from s)",
        ),
        (
            "insert into a values (1)",
            "update audit set n = 1",
            &[(K::Column, "a", "note")],
            "audit (3 inserts into a, which is defined with note, which mentions audit)",
        ),
        (
            "insert into b values (1)",
            "create table k as select * from a",
            &[(K::Child, "b", "a")],
            "a (3 inserts into b, which is a part of a)",
        ),
        (
            "update a set i = 1",
            "create table k as select * from b",
            &[(K::Child, "b", "a")],
            "b (3 updates a, of which b is a part)",
        ),
        (
            "create table z ()",
            "update audit set n = 1",
            &[(K::Event, "", "note")],
            "audit (3 changes definitions, on which the event trigger t calls note(), which mentions audit)",
        ),
        (
            "insert into b values (1)",
            "update audit set n = 1",
            &[(K::Operator, "", "note")],
            "audit (3 runs expressions, for which t may call note(), which mentions audit)",
        ),
        (
            "refresh materialized view a",
            "update b set i = 1",
            &[(K::View, "a", "b")],
            "b (3 refreshes a, which is a view of b)",
        ),
        (
            "select 1; insert into a select 1 from c where note()",
            "update audit set n = 1",
            &[],
            "audit (3 mentions note, which mentions audit)",
        ),
    ] {
        assert_eq!(said(ran, runs, links), wanted, "{ran} | {runs}");
    }
    let copied = said(
        "insert into b values (1)",
        "create table z (like a including all); insert into z values (1)",
        &[(K::Default, "a", "s"), (K::Default, "b", "s")],
    );
    assert!(copied.starts_with("s ("), "{copied}");
    // Both are parts of p, whose rows one of them makes itself.
    let parts = [(K::Child, "a", "c"), (K::Child, "b", "c")];
    assert!(
        said("insert into a values (1); insert into c values (1)", "create table k as select * from b", &parts)
            .starts_with("b (")
    );
    // A reference is looked up, which nothing but a change of its row can disturb.
    is_apart("insert into b values (1)", "insert into a values (1)", &live(&[(K::ForeignKey, "b", "a")]));
    is_apart("insert into b values (1)", "alter table a add column x int", &live(&[(K::Cascade, "b", "a")]));
}

#[test]
fn what_is_not_known_is_opaque() {
    let with = |body: &str, language: &str| {
        let mut live = live(&[(LinkKind::Trigger, "a", "f")]);
        live.functions.push(function("f", language, body));
        live
    };
    for (live, wanted) in [
        (
            with("begin execute 'delete ' || 'from b'; end", "plpgsql"),
            "3 inserts into a, whose trigger t calls f(), which runs SQL that it puts together itself",
        ),
        (with("plv8.execute('')", "plv8"), "which is written in plv8"),
        (with("f", "c"), "which is part of a program"),
        (with("begin perform nextval(tg_argv[0]); end", "plpgsql"), "which takes from some sequence"),
        (with("begin set search_path = x; end", "plpgsql"), "which does more than rows and names show"),
    ] {
        is_opaque("insert into a values (1)", "create table z ()", &live, wanted);
        is_apart("insert into b values (1)", "create table z ()", &live);
    }
    let mut rows = live(&[]);
    rows.foreign.push("a".to_owned());
    is_opaque("insert into a values (1)", "create table z ()", &rows, "whose rows are on another server");
    let mut catalog = live(&[(LinkKind::View, "a", "b")]);
    catalog.opaque.push("a".to_owned());
    let why = "2 mentions a, which looks at more than its definition names";
    is_opaque("create table z ()", "create table k as select * from a", &catalog, why);
    is_apart("create table z ()", "create table k as select * from b", &catalog);
}

#[test]
fn what_was_taken_away_is_not_known() {
    for (ran, runs, wanted) in [
        (
            "insert into a values (1); drop trigger t on a",
            "create table z ()",
            "3 inserts into a, and what hung on a before 3 is not known",
        ),
        ("insert into a values (1); alter table a disable trigger all", "create table z ()", "before 3"),
        ("drop table b", "delete from a", "2 deletes from a, and what hung on it before 3 is not known"),
        ("drop table b", "create table k as select * from a", "before 3"),
        ("alter table b drop constraint k", "delete from a", "before 3"),
        ("alter table b drop column k", "create index if not exists i on c (n)", "before 3"),
        ("drop index i", "insert into a values (1)", "before 3"),
        (
            "create or replace function note() returns int language sql as 'select 1'; insert into b select note()",
            "create table z ()",
            "before 3",
        ),
    ] {
        is_opaque(ran, runs, &live(&[]), wanted);
    }
    for (ran, runs) in [
        ("drop table b", "create table z (id int primary key)"),
        ("alter table b drop column k", "insert into a values (1)"),
        ("alter table b drop column k", "alter table a add column x int"),
        ("create table k (); drop table b", "insert into k2 values (1)"),
    ] {
        is_apart(ran, runs, &live(&[]));
    }
}

/// A third that ran, and is passed by neither.
#[test]
fn what_another_took_away_counts_as_well() {
    let scripts = ["insert into a values (1)", "update audit set n = 1", "drop trigger t on a", "do $$ begin end $$"];
    let [ran, runs, drops, unknown] = scripts.map(script);
    let conflict = |third: &Script| {
        let parts = [
            Part { name: "3".to_owned(), ran: vec![&ran], runs: Vec::new() },
            Part { name: "4".to_owned(), ran: vec![third], runs: Vec::new() },
            Part { name: "2".to_owned(), ran: Vec::new(), runs: vec![&runs] },
        ];
        Proof::new(&parts, &live(&[])).conflict("2", "3")
    };
    let why = "3 inserts into a, and what hung on a before 4 is not known";
    assert_eq!(conflict(&drops), Some(Conflict::Opaque(why.to_owned())));
    assert!(matches!(conflict(&unknown), Some(Conflict::Opaque(why)) if why.contains("before 4 is not known")));
}

#[test]
fn names_that_the_server_makes_up_may_meet() {
    for (left, right) in [
        ("create table t (a_b int unique)", "create table t_a (b int unique)"),
        ("create index on t (a, b)", "alter table t_a add unique (b)"),
        ("create table t (id int primary key)", "create table t_pkey (id int)"),
        ("create table t (id serial)", "create sequence t_id_seq"),
    ] {
        assert!(matches!(conflict(left, right, &Links::default()), Some(Conflict::Names(_))), "{left} | {right}");
        assert!(matches!(conflict(right, left, &Links::default()), Some(Conflict::Names(_))), "{right} | {left}");
    }
    is_apart("create table post (id int, title text)", "create table post_tag (id int)", &Links::default());
}
