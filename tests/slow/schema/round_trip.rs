//! Dump, load, and what `pg_dump` says of both: fixed cases, and schemas that a seed draws from all kinds of objects.

use super::stage;
use crate::support::dice::{Dice, seeds};
use crate::support::postgres::Database;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

/// Why a dump may be refused; nothing else is a reason.
const REASONS: &[&str] = &[
    "what it connects to is a secret",
    "its options hold a secret",
    "its table belongs to an extension",
    "its parents disagree about a column",
    "no statement puts its columns in this order again",
    "they need each other",
];

/// What became of a schema: it came back the same, or the dump was refused with these words.
#[derive(Debug, PartialEq)]
enum Outcome {
    Same,
    Refused(String),
}

/// A database, and the tablespace that some of them ask for.
fn create() -> Database {
    static TABLESPACE: Once = Once::new();
    let database = Database::create();
    TABLESPACE.call_once(|| {
        let made = "set allow_in_place_tablespaces = on; create tablespace devdb_space location '';";
        let _ = database.script(&made.replace("; ", ";\n"), false);
    });
    database
}

/// Dumps a database, loads the dump into an empty one, and compares. What does not come back the same must be what
/// `pg_dump` does not bring back the same either, and must load all the same.
fn round_trip(origin: &Database) -> Result<Outcome, String> {
    let dumped = stage(origin).run(["devdb", "schema", "--dump", "-q"]);
    if dumped.code != 0 {
        let refused = dumped.stderr.lines().next().and_then(|line| line.strip_prefix("error: no dump can hold "));
        let words = refused.ok_or_else(|| format!("{dumped}"))?.to_owned();
        let is_known = dumped.stdout.is_empty() && REASONS.iter().any(|reason| words.contains(&format!("({reason})")));
        return if is_known { Ok(Outcome::Refused(words)) } else { Err(words) };
    }
    let copy = create();
    copy.script(&dumped.stdout, true).map_err(|error| format!("the dump does not load: {error}\n{}", dumped.stdout))?;
    let again = stage(&copy).run(["devdb", "schema", "--dump", "-q"]);
    let (before, after) = (origin.pg_dump_without_owners(), copy.pg_dump_without_owners());
    if before != after || dumped.stdout != again.stdout {
        let judged = create();
        let is_carried = judged.script(&before, false).is_ok() && judged.pg_dump_without_owners() == before;
        let (one, other) = if before == after { (&dumped.stdout, &again.stdout) } else { (&before, &after) };
        if is_carried {
            return Err(format!("it comes back another:\n{}", difference(one, other)));
        }
        judged.remove();
    }
    copy.remove();
    Ok(Outcome::Same)
}

fn difference(one: &str, other: &str) -> String {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (one.lines().collect(), other.lines().collect());
    let gone = old.difference(&new).map(|line| format!("- {line}\n"));
    let come = new.difference(&old).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

/// Runs work on several threads, for most of it is waiting.
fn at_once<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

#[test]
fn every_case_comes_back_as_it_was_or_is_refused() {
    let cases: Vec<(&str, &str)> =
        include_str!("cases.sql").split("\n=== ").skip(1).map(|case| case.split_once('\n').unwrap()).collect();
    assert!(cases.len() > 50, "{}", cases.len());
    let wrong: Mutex<Vec<String>> = Mutex::default();
    at_once(&cases, |(name, sql)| {
        let origin = create();
        // The name of a refused one ends with what the refusal names.
        let wanted = name.split_once(" -> ").map(|(_, words)| words);
        let found = origin.script(sql, true).and_then(|()| round_trip(&origin));
        let is_right = match (&found, wanted) {
            (Ok(Outcome::Same), None) => true,
            (Ok(Outcome::Refused(words)), Some(wanted)) => words == wanted,
            _ => false,
        };
        if !is_right {
            wrong.lock().unwrap().push(format!("{name}: {found:?}"));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n").replace("\\n", "\n"));
}

/// Fills the lines of `kinds.txt` with names that it has made up, or used before.
struct Drawing {
    dice: Dice,
    pools: BTreeMap<String, Vec<String>>,
    made: usize,
}

impl Drawing {
    fn draw(seed: u64) -> String {
        let lines: Vec<(&str, &str)> =
            include_str!("kinds.txt").lines().map(|line| line.split_once(": ").unwrap()).collect();
        let mut drawing = Self { dice: Dice::seeded(seed + 1), pools: BTreeMap::new(), made: 0 };
        let mut script = "create schema app;\ncreate schema \"S 1\";\n".to_owned();
        // Something for the others to use, and then whatever comes.
        let first =
            ["table", "keyed", "parent", "function", "tfunc", "enum", "composite", "domain", "view", "sequence"];
        for kind in first {
            let of_kind: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 == kind).collect();
            let at = of_kind[drawing.dice.roll(of_kind.len())];
            script.extend(drawing.fill(lines[at].0, lines[at].1));
        }
        for _ in 0..20 + drawing.dice.roll(50) {
            let (pool, template) = lines[drawing.dice.roll(lines.len())];
            script.extend(drawing.fill(pool, template));
        }
        script
    }

    fn fill(&mut self, pool: &str, template: &str) -> Option<String> {
        let mut filled: BTreeMap<&str, String> = BTreeMap::new();
        let mut text = String::new();
        let mut schema = String::new();
        let mut rest = template;
        while let Some((before, (mark, behind))) =
            rest.split_once('{').and_then(|(before, marked)| Some((before, marked.split_once('}')?)))
        {
            text.push_str(before);
            rest = behind;
            if mark.is_empty() {
                text.push_str("{}");
                continue;
            }
            let mark = if mark == "it" { "new" } else { mark };
            if !filled.contains_key(mark) {
                let name = self.name(mark)?;
                if mark == "any" || mark == "table" || schema.is_empty() {
                    schema = name.rsplit_once('.').map_or_else(String::new, |(schema, _)| schema.to_owned());
                }
                filled.insert(mark, name);
            }
            text.push_str(&filled[mark]);
        }
        text.push_str(rest);
        match (pool, filled.get("new"), filled.get("bare")) {
            ("-", ..) => {}
            ("index", _, Some(name)) => self.put("index", format!("{schema}.{name}")),
            (_, Some(name), _) => self.put(pool, name.clone()),
            _ => {}
        }
        Some(text + ";\n")
    }

    fn put(&mut self, pool: &str, name: String) {
        self.pools.entry(pool.to_owned()).or_default().push(name);
    }

    /// None where nothing of the kind is there yet.
    fn name(&mut self, mark: &str) -> Option<String> {
        self.made += 1;
        let kind = mark.trim_end_matches(char::is_numeric);
        let pools: &[&str] = match kind {
            "new" => {
                let schema = ["public", "app", "\"S 1\""][self.dice.roll(3)];
                return Some(format!("{schema}.{}", self.bare()));
            }
            "bare" => return Some(self.bare()),
            "k" => return Some((self.made + 1).to_string()),
            "any" => &["table", "keyed", "parent"],
            "type" => &["enum", "domain", "composite", "type", "table"],
            kind => &[kind],
        };
        let all: Vec<&String> = pools.iter().filter_map(|pool| self.pools.get(*pool)).flatten().collect();
        if all.is_empty() { None } else { Some(all[self.dice.roll(all.len())].clone()) }
    }

    /// Names of every manner, each used once.
    fn bare(&mut self) -> String {
        let number = self.made;
        match self.dice.roll(8) {
            0 => format!("\"Odd {number}\""),
            1 => format!("\"q\"\"{number}\""),
            2 => format!("\"ü{number}\""),
            3 => format!("\"{number}\""),
            4 => format!("\"n-{number}\""),
            _ => format!("{}{number}", ["a", "m", "z", "b_"][self.dice.roll(4)]),
        }
    }
}

#[test]
fn a_drawn_schema_comes_back_as_it_was_or_is_refused() {
    let all: Vec<u64> = (0..seeds().unwrap_or(4)).collect();
    let (refused, wrong): (AtomicU64, Mutex<Vec<String>>) = Default::default();
    at_once(&all, |seed| {
        let origin = create();
        let script = Drawing::draw(*seed);
        // What does not go together is not part of it.
        let _ = origin.script(&script, false);
        match round_trip(&origin) {
            Ok(Outcome::Same) => origin.remove(),
            Ok(Outcome::Refused(_)) => {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => wrong.lock().unwrap().push(format!("seed {seed}: {error}\n--- of\n{script}")),
        }
    });
    let (refused, wrong) = (refused.into_inner(), wrong.into_inner().unwrap());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n\n"));
    assert!(refused <= all.len() as u64 / 2, "{refused} of {} were refused", all.len());
}
