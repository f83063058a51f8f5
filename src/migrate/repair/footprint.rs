use crate::migrate::Script;
use crate::migrate::sql::{TokenKind, tokens};
use std::collections::BTreeSet;

/// What a script touches, read from its words alone.
///
/// It errs on one side only: two scripts whose footprints are apart can run in either order and leave the same. What is
/// not understood has no footprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Objects that are made, changed, filled or dropped, without their schema.
    owned: BTreeSet<String>,
    /// Every word that might name something: what an expression or a function's body refers to is among them.
    mentioned: BTreeSet<String>,
}

/// Why the order of two migrations matters, or may matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Both have to do with these.
    Shared(Vec<String>),
    /// What this statement does, its words do not tell.
    Opaque(String),
}

impl Footprint {
    /// # Errors
    /// The first statement that is not understood, shortened.
    pub fn of(script: &Script) -> Result<Self, String> {
        let mut found = Self::default();
        for at in 0..script.statements().len() {
            let words = Words::of(script.sql(&(at..at + 1)));
            let owned = words.owned().ok_or_else(|| first_line(&script.excerpt(at)))?;
            found.owned.extend(owned);
            found.mentioned.extend(words.mentioned);
        }
        Ok(found)
    }

    /// The objects for which the order matters: one changes them, and the other knows them.
    pub fn shared(&self, other: &Self) -> Vec<String> {
        let knows = |side: &Self, name: &String| side.owned.contains(name) || side.mentioned.contains(name);
        let all = self.owned.iter().filter(|name| knows(other, name));
        let all = all.chain(other.owned.iter().filter(|name| knows(self, name)));
        all.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What is changed, for a line of a plan.
    pub fn owned(&self) -> impl Iterator<Item = &str> {
        self.owned.iter().map(String::as_str)
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

enum Piece {
    Word(String),
    Quoted(String),
    Symbol(char),
    Text,
}

struct Words {
    pieces: Vec<Piece>,
    mentioned: BTreeSet<String>,
}

impl Words {
    fn of(text: &str) -> Self {
        let (mut pieces, mut mentioned) = (Vec::new(), BTreeSet::new());
        // A text that was split before has no open end.
        for token in tokens(text).unwrap_or_default() {
            let written = &text[token.range];
            match token.kind {
                TokenKind::Word => {
                    mentioned.insert(written.to_lowercase());
                    pieces.push(Piece::Word(written.to_lowercase()));
                }
                TokenKind::QuotedIdentifier => {
                    let name = written[1..written.len() - 1].replace("\"\"", "\"");
                    mentioned.insert(name.clone());
                    pieces.push(Piece::Quoted(name));
                }
                TokenKind::Text => {
                    // `nextval('invoice_id_seq')`, and bodies of functions.
                    let inner = written.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                    mentioned.extend(inner.clone().map(str::to_owned));
                    mentioned.extend(inner.map(str::to_lowercase));
                    pieces.push(Piece::Text);
                }
                TokenKind::Symbol(symbol) => pieces.push(Piece::Symbol(symbol)),
                TokenKind::Comment => {}
            }
        }
        Self { pieces, mentioned }
    }

    fn word(&self, at: usize) -> &str {
        match self.pieces.get(at) {
            Some(Piece::Word(word)) => word,
            _ => "",
        }
    }

    fn has(&self, wanted: &str) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Word(word) if word == wanted))
    }

    fn is_symbol(&self, at: usize, wanted: char) -> bool {
        matches!(self.pieces.get(at), Some(Piece::Symbol(symbol)) if *symbol == wanted)
    }

    fn behind(&self, from: usize, skipped: &[&str]) -> usize {
        (from..self.pieces.len()).find(|at| !skipped.contains(&self.word(*at))).unwrap_or(self.pieces.len())
    }

    /// The last part of the name that begins here, and what comes behind it.
    fn name(&self, from: usize) -> Option<(String, usize)> {
        let mut at = from;
        loop {
            let (Some(Piece::Word(name)) | Some(Piece::Quoted(name))) = self.pieces.get(at) else { return None };
            if !self.is_symbol(at + 1, '.') {
                return Some((name.clone(), at + 1));
            }
            at += 2;
        }
    }

    /// The table behind the first `ON` from here.
    fn on_table(&self, from: usize) -> Option<String> {
        let on = (from..self.pieces.len()).find(|at| self.word(*at) == "on")?;
        self.name(self.behind(on + 1, &["only"])).map(|(name, _)| name)
    }

    /// `None` where the statement is not understood.
    fn owned(&self) -> Option<Vec<String>> {
        let one = |at: usize, skipped: &[&str]| self.name(self.behind(at, skipped)).map(|(name, _)| vec![name]);
        match self.word(0) {
            "create" => self.created(),
            "alter" if self.word(1) == "table" => self.altered(),
            "drop" if self.word(1) == "table" && !self.has("cascade") => self.names(2, &["if", "exists"]),
            "comment" if matches!(self.word(2), "table" | "column") => self.commented(),
            "insert" => one(1, &["into"]),
            "update" => one(1, &["only"]),
            "delete" => one(1, &["from", "only"]),
            "truncate" if !self.has("cascade") => self.names(1, &["table", "only"]),
            // Without a call and without a table nothing can happen.
            "select" if !self.has("into") && !self.has("from") && !self.pieces.iter().any(is_opening) => {
                Some(Vec::new())
            }
            _ => None,
        }
    }

    /// `COMMENT ON TABLE a.b`, `COMMENT ON COLUMN a.b.c`: any part may be the table.
    fn commented(&self) -> Option<Vec<String>> {
        let (mut at, mut found) = (3, Vec::new());
        loop {
            let (Piece::Word(name) | Piece::Quoted(name)) = self.pieces.get(at)? else { return None };
            found.push(name.clone());
            if !self.is_symbol(at + 1, '.') {
                return Some(found);
            }
            at += 2;
        }
    }

    fn created(&self) -> Option<Vec<String>> {
        const BEFORE: [&str; 8] =
            ["global", "local", "temp", "temporary", "unlogged", "unique", "materialized", "constraint"];
        let kind = self.behind(1, &BEFORE);
        let (name, end) = self.name(self.behind(kind + 1, &["if", "not", "exists", "concurrently"]))?;
        let with_table = |name: String| Some(vec![name, self.on_table(kind)?]);
        match self.word(kind) {
            // The parent gets a child, and its columns come from there.
            "table" if self.has("inherits") || self.has("partition") => None,
            "table" | "view" | "sequence" | "type" | "domain" | "schema" | "function" | "procedure" => Some(vec![name]),
            // `CREATE INDEX ON t`: the name is the table's.
            "index" if name == "on" => self.on_table(kind).map(|table| vec![table]),
            "index" | "trigger" | "policy" if end < self.pieces.len() => with_table(name),
            _ => None,
        }
    }

    fn altered(&self) -> Option<Vec<String>> {
        let (name, end) = self.name(self.behind(2, &["if", "exists", "only"]))?;
        let is_opaque = ["attach", "detach", "inherit", "cascade"].into_iter().any(|word| self.has(word));
        if is_opaque || (self.word(end) == "set" && self.word(end + 1) == "schema") {
            return None;
        }
        let renamed = (self.word(end) == "rename" && self.word(end + 1) == "to").then(|| self.name(end + 2)).flatten();
        Some(std::iter::once(name).chain(renamed.map(|(name, _)| name)).collect())
    }

    /// A list of names.
    fn names(&self, from: usize, skipped: &[&str]) -> Option<Vec<String>> {
        let (mut at, mut found) = (self.behind(from, skipped), Vec::new());
        loop {
            let (name, end) = self.name(at)?;
            found.push(name);
            if !self.is_symbol(end, ',') {
                return Some(found);
            }
            at = self.behind(end + 1, &["only"]);
        }
    }
}

fn is_opening(piece: &Piece) -> bool {
    matches!(piece, Piece::Symbol('('))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::{Direction, Layout};
    use std::path::Path;

    fn footprint(text: &str) -> Result<Footprint, String> {
        let script = Script::parse(Path::new("a.sql"), text.as_bytes(), Layout::Whole, Direction::Up);
        Footprint::of(&script.unwrap().unwrap())
    }

    fn shared(left: &str, right: &str) -> Vec<String> {
        footprint(left).unwrap().shared(&footprint(right).unwrap())
    }

    #[test]
    fn what_has_nothing_in_common_is_apart() {
        for (left, right) in [
            ("create table a (id int primary key, name text)", "create table b (id int primary key, name text)"),
            ("create index on invoice (number)", "create table user_flag (id int references \"user\")"),
            ("alter table a add column user_id int references users", "create table c (user_id int references users)"),
            ("insert into a values (1, 'x')", "alter table only sales.b add column x int"),
            ("select 1", "drop table a"),
        ] {
            assert_eq!(shared(left, right), [""; 0], "{left} | {right}");
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
            ("drop table if exists c, a", "comment on column public.a.x is 'y'", "a"),
        ] {
            assert_eq!(shared(left, right), [wanted], "{left} | {right}");
            assert_eq!(shared(right, left), [wanted], "{right} | {left}");
        }
    }

    #[test]
    fn what_words_do_not_tell_has_no_footprint() {
        for sql in [
            "do $$ begin end $$",
            "select setval('s', 5)",
            "drop table a cascade",
            "drop index i",
            "alter type mood add value 'x'",
            "create or replace function f() returns int language sql as $$ select 1 $$",
            "create table p1 partition of p for values in (1)",
            "alter table p attach partition p1 for values in (1)",
            "with x as (delete from a returning *) insert into b select * from x",
            "set search_path = other",
            "create extension citext",
            "grant select on a to app",
            "truncate a cascade",
        ] {
            assert!(footprint(sql).is_err(), "{sql}");
        }
    }
}
