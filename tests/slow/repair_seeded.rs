//! Small schemas and migrations drawn by dice, with links of every kind between tables: whatever a repair leaves behind
//! without undoing anything is, in schema and rows, what a fresh run in the order of the files leaves.

use crate::repair_links::Branch;
use crate::support::dice::{Dice, seeds};
use std::fmt::Write;

/// The tables t0…t3 with links, and f0…f3 without.
const TABLES: usize = 4;

struct Draw {
    dice: Dice,
    base: String,
    /// Relations with the columns n and note.
    rows: Vec<String>,
    parents: Vec<String>,
    materialized: Vec<String>,
    /// Each statement takes some link away, or changes what hangs on it.
    breaking: Vec<String>,
    /// Functions that write when they are called.
    callable: Vec<String>,
    has_sequence: bool,
}

impl Draw {
    fn new(seed: u64) -> Self {
        let mut base = String::new();
        for table in 0..TABLES {
            for kind in ["t", "f"] {
                writeln!(base, "create table {kind}{table} (n int, note text default 'd');").unwrap();
                writeln!(base, "insert into {kind}{table} values (1, 'one'), (7, 'seven');").unwrap();
            }
        }
        Self {
            dice: Dice::seeded(seed + 1),
            base,
            rows: (0..TABLES).map(|table| format!("t{table}")).collect(),
            parents: Vec::new(),
            materialized: Vec::new(),
            breaking: Vec::new(),
            callable: Vec::new(),
            has_sequence: false,
        }
    }

    fn table(&mut self) -> String {
        format!("t{}", self.dice.roll(TABLES))
    }

    fn row(&mut self) -> String {
        let at = self.dice.roll(self.rows.len());
        self.rows[at].clone()
    }

    fn base(&mut self, sql: &str) {
        writeln!(self.base, "{sql}").unwrap();
    }

    fn function(&mut self, name: &str, body: &str) {
        self.base(&format!(
            "create function {name}() returns trigger language plpgsql as $$ begin {body} return coalesce(new, old); end $$;"
        ));
    }

    /// A link of some kind from one table to another; `k` tells it from the others.
    fn link(&mut self, k: usize, kinds: usize) {
        let (x, y) = (self.table(), self.table());
        let raw = format!("insert into {y} values (coalesce(new.n, old.n), 'raw{k}');");
        let trigger = |on: &str, when: &str, each: &str| {
            format!("create trigger g{k} {when} on {on} for each {each} execute function e{k}();")
        };
        match self.dice.roll(kinds) {
            0 | 1 if x != y => {
                let event = ["insert", "update", "delete", "insert or update"][self.dice.roll(4)];
                self.function(&format!("e{k}"), &raw);
                self.base(&trigger(&x, &format!("after {event}"), "row"));
                self.breaking.push(format!("drop trigger g{k} on {x}"));
                self.breaking.push(format!("alter table {x} disable trigger g{k}"));
                self.breaking.push(format!(
                    "create or replace function e{k}() returns trigger language plpgsql as $$ begin return new; end $$"
                ));
            }
            2 => {
                self.function(&format!("e{k}"), &format!("new.n := (select count(*) from {y});"));
                self.base(&trigger(&x, "before insert", "row"));
            }
            3 if x != y => {
                self.function(&format!("e{k}"), &format!("update {y} set note = note || '{k}';"));
                self.base(&trigger(&x, "after update or truncate", "statement"));
            }
            4 => {
                let follow = ["on delete cascade on update cascade", "on delete set null", "on update set default"];
                let follow = follow[self.dice.roll(3)];
                self.base(&format!(
                    "create table p{k} (id int primary key, n int); insert into p{k} values (1, 1), (2, 2);"
                ));
                self.base(&format!(
                    "create table c{k} (n int, note text, owner int constraint k{k} references p{k} {follow});"
                ));
                self.base(&format!("insert into c{k} values (1, 'x', 1), (2, 'y', 2);"));
                self.function(&format!("e{k}"), &raw);
                self.base(&trigger(&format!("c{k}"), "after update or delete", "row"));
                self.parents.push(format!("p{k}"));
                self.rows.push(format!("c{k}"));
                self.breaking.push(format!("alter table c{k} drop constraint k{k}"));
                self.breaking.push(format!("drop table c{k}"));
            }
            5 if x != y => {
                self.base(&format!(
                    "create rule u{k} as on insert to {x} do also insert into {y} values (new.n, 'rule');"
                ));
                self.breaking.push(format!("drop rule u{k} on {x}"));
            }
            6 => {
                self.base(&format!("create view v{k} as select n, note from {x};"));
                self.rows.push(format!("v{k}"));
                self.breaking.push(format!("create or replace view v{k} as select n, note from {y}"));
                self.breaking.push(format!("drop view v{k}"));
            }
            7 => {
                self.function(&format!("e{k}"), &raw);
                self.base(&format!("create view v{k} as select 1 as n, 'x'::text as note;"));
                self.base(&trigger(&format!("v{k}"), "instead of insert or update or delete", "row"));
                self.rows.push(format!("v{k}"));
            }
            8 => {
                self.base(&format!(
                    "create function d{k}() returns int language plpgsql as $$ begin insert into {y} values ({k}, 'call'); return {k}; end $$;"
                ));
                self.callable.push(format!("d{k}"));
                if x != y {
                    self.base(&format!(
                        "alter table {x} add column d{k} int; alter table {x} alter column d{k} set default d{k}();"
                    ));
                    self.breaking.push(format!("alter table {x} alter column d{k} drop default"));
                }
            }
            9 => {
                let create = if self.has_sequence { "" } else { "create sequence s; " };
                self.has_sequence = true;
                self.base(&format!("{create}alter table {x} add column q{k} int default nextval('s');"));
            }
            10 => {
                self.base(&format!(
                    "create function i{k}(int) returns int language plpgsql immutable as $$ begin return (select count(*) from {y}); end $$;"
                ));
                self.base(&format!("alter table {x} add column i{k} int generated always as (i{k}(n)) stored;"));
            }
            11 => {
                self.base(&format!(
                    "create table h{k} () inherits ({x}); insert into h{k} (n, note) values (3, 'child');"
                ));
                self.rows.push(format!("h{k}"));
                self.breaking.push(format!("drop table h{k}"));
            }
            12 => {
                self.base(&format!("create table r{k} (n int, note text) partition by range (n);"));
                self.base(&format!("create table r{k}a partition of r{k} for values from (minvalue) to (5);"));
                self.base(&format!("create table r{k}b partition of r{k} default;"));
                self.function(&format!("e{k}"), &raw);
                self.base(&trigger(&format!("r{k}"), "after insert or update", "row"));
                self.rows.extend([format!("r{k}"), format!("r{k}a"), format!("r{k}b")]);
            }
            13 => {
                self.base(&format!("create materialized view m{k} as select count(*), max(note) from {x};"));
                self.materialized.push(format!("m{k}"));
            }
            14 => {
                self.function(
                    &format!("e{k}"),
                    &format!("execute 'insert into ' || tg_argv[0] || ' values ({k}, ''raw'')';"),
                );
                self.base(&format!(
                    "create trigger g{k} after insert on {x} for each statement execute function e{k}('f0');"
                ));
            }
            15 if x != y => {
                self.function(&format!("e{k}"), &raw);
                self.base(&format!(
                    "create constraint trigger g{k} after insert on {x} deferrable initially deferred for each row execute function e{k}();"
                ));
            }
            16 if self.dice.roll(4) == 0 => {
                self.base(&format!(
                    "create function e{k}() returns event_trigger language plpgsql as $$ begin insert into {y} select count(*), tg_tag from {y}; end $$;"
                ));
                self.base(&format!("create event trigger g{k} on ddl_command_end execute function e{k}();"));
            }
            _ => {}
        }
    }

    fn pick(&mut self, from: &[String]) -> Option<String> {
        (!from.is_empty()).then(|| from[self.dice.roll(from.len())].clone())
    }

    fn statement(&mut self, file: usize, at: usize) -> String {
        let (x, y, r) = (self.table(), self.table(), self.row());
        let (number, other) = (self.dice.roll(9), self.row());
        let parents = self.parents.clone();
        let parent = self.pick(&parents).unwrap_or_else(|| "p".to_owned());
        match self.dice.roll(24) {
            0..3 => format!("insert into {r} (n, note) values ({number}, 's{file}')"),
            3 | 4 => format!("update {r} set note = coalesce(note, '') || '{file}'"),
            5 => format!("delete from {r} where n < {number}"),
            6 | 7 => format!("create table k{file}{at} as select n, note from {r}"),
            8 => format!("create table x{file}{at} (n int primary key, note text)"),
            9 if self.callable.is_empty() => format!("alter table {x} add column a{file}{at} int default 1"),
            9 => {
                let callable = self.callable.clone();
                let function = self.pick(&callable).unwrap_or_default();
                match self.dice.roll(2) {
                    0 => format!("alter table {x} add column a{file}{at} int default {function}()"),
                    _ => format!("insert into {x} (n) values ({function}())"),
                }
            }
            10 => format!("create index on {x} (n)"),
            11 => format!("create view w{file}{at} as select n, note from {r}"),
            12 => format!(
                "create function z{file}{at}() returns trigger language plpgsql as $$ begin insert into {y} values (0, 'new'); return new; end $$; \
                 create trigger z{file}{at} after insert on {x} for each row when (pg_trigger_depth() < 3) execute function z{file}{at}()"
            ),
            13 | 14 => {
                let breaking = self.breaking.clone();
                self.pick(&breaking).unwrap_or_else(|| format!("truncate {x}"))
            }
            15 | 16 if !self.materialized.is_empty() => {
                let materialized = self.materialized.clone();
                format!("refresh materialized view {}", self.pick(&materialized).unwrap_or_default())
            }
            17 | 18 if !self.parents.is_empty() => {
                ["delete from P where id = 1", "update P set id = id + 10 where id = 2", "insert into P values (9, 9)"]
                    [self.dice.roll(3)]
                .replace('P', &parent)
            }
            19 => format!("alter table {x} alter column note set default 'e{file}'"),
            20 if self.has_sequence => format!("insert into {r} (n) select nextval('s')"),
            21 => format!("insert into {r} (n, note) select n, note from {other}"),
            22 => format!("alter table {x} rename to {x}_{file}"),
            _ => format!(
                "create table y{file}{at} (n int, note text); insert into y{file}{at} values ({number}, '{file}')"
            ),
        }
    }

    /// Of its own table without links.
    fn independent(&mut self, file: usize) -> String {
        let table = format!("f{}", file % TABLES);
        match self.dice.roll(7) {
            0 => format!("create table x{file} (n int primary key, note text unique)"),
            1 => format!("alter table {table} add column a{file} int not null default 1"),
            2 => format!("insert into {table} values (2, 'two')"),
            3 => format!("update {table} set note = upper(note)"),
            4 => format!("create index on {table} (n)"),
            5 => format!("create view w{file} as select n from {table}"),
            _ => format!("delete from {table} where n = 1"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// The branch alone could not have run.
    Impossible,
    Refused,
    /// The server refused a statement of the pending one; nothing was changed.
    Failed,
    Proven,
}

/// One mixed-up folder; `None` where nothing is mixed up.
fn play(seed: u64, attempt: u64) -> (Ending, String) {
    let is_independent = seed.is_multiple_of(4);
    let mut draw = Draw::new(seed * 16 + attempt);
    // Event triggers and casts hang on everything.
    for k in 0..3 + draw.dice.roll(3) {
        draw.link(k, if is_independent { 14 } else { 17 });
    }
    let files = 2 + draw.dice.roll(3);
    let scripts: Vec<String> = (0..files)
        .map(|file| match is_independent {
            true => draw.independent(file),
            false => (0..1 + draw.dice.roll(2)).map(|at| draw.statement(file, at)).collect::<Vec<_>>().join(";\n"),
        })
        .collect();
    // The first is main's, the last the branch's.
    let is_main: Vec<bool> = (0..files).map(|file| file == 0 || (file + 1 < files && draw.dice.roll(2) == 0)).collect();
    let is_reorder = draw.dice.roll(3) == 0;
    let about = format!(
        "seed {seed}, main has {is_main:?}, all executed: {is_reorder}\n{}\n{}",
        draw.base,
        scripts.join("\n---\n")
    );
    let branch = Branch::new();
    branch.write("1", &draw.base);
    let write = |wanted: bool| {
        for (file, script) in scripts.iter().enumerate().filter(|(file, _)| is_main[*file] == wanted) {
            branch.write(&(file + 2).to_string(), script);
        }
    };
    write(false);
    if branch.devdb(&["to", "latest"]).code != 0 {
        return (Ending::Impossible, about);
    }
    write(true);
    if is_reorder && branch.latest_unordered().code != 0 {
        return (Ending::Impossible, about);
    }
    let before = branch.state();
    let outcome = branch.devdb(&["repair", "--json"]);
    let about = format!("{about}\n{outcome}");
    let ending = match outcome.code {
        0 => Ending::Proven,
        1 => Ending::Failed,
        4 => Ending::Refused,
        _ => panic!("{about}"),
    };
    if ending == Ending::Proven {
        let fresh = branch.fresh().unwrap_or_else(|| panic!("in the order of the files one fails: {about}"));
        assert_eq!(branch.state(), fresh, "{about}");
    } else {
        assert_eq!(branch.state(), before, "{about}");
    }
    assert!(!is_independent || ending == Ending::Proven, "{about}");
    (ending, about)
}

#[test]
fn whatever_is_kept_is_what_a_fresh_run_leaves() {
    const ATTEMPTS: u64 = 8;
    let (mut proven, mut refused, mut failed, mut wrong) = (0, 0, 0, Vec::new());
    let seeds = seeds().unwrap_or(12);
    for seed in 0..seeds {
        let played = std::panic::catch_unwind(|| {
            (0..ATTEMPTS).map(|attempt| play(seed, attempt).0).find(|ending| *ending != Ending::Impossible)
        });
        match played {
            Ok(Some(Ending::Proven)) => proven += 1,
            Ok(Some(Ending::Failed)) => failed += 1,
            Ok(Some(_)) => refused += 1,
            Ok(None) => assert_ne!(seed % 4, 0, "seed {seed} draws nothing that can run"),
            Err(_) => wrong.push(seed),
        }
    }
    let counts = format!("{seeds} seeds: {proven} kept, {refused} refused, {failed} failed and changed nothing");
    assert!(wrong.is_empty(), "{} are wrong, seeds {wrong:?}: {counts}", wrong.len());
    // Every fourth touches nothing that has links.
    assert!(proven * 4 >= seeds, "too few are kept: {counts}");
}
