use super::body::{draws, is_opaque};
use super::links::{Function, Link, LinkKind, Mode};
use super::words::Words;
use std::collections::BTreeSet;

/// What one statement does, as far as its own words tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deed {
    /// `inserts into`, for a reason.
    pub(super) verb: &'static str,
    pub(super) touched: Vec<(String, Mode)>,
    /// Every word that might name something.
    pub(super) mentioned: BTreeSet<String>,
    /// How what is mentioned is reached.
    pub(super) mention: Mode,
    /// It is made where it is not there, and nothing happens where it is.
    pub(super) is_conditional: bool,
    /// What is certainly new.
    pub(super) created: Vec<String>,
    /// What is touched is no relation: a type, a function.
    pub(super) is_other: bool,
    pub(super) is_ddl: bool,
    /// The server makes up names from those of the table and its columns.
    pub(super) makes_names: bool,
    /// What hangs on what from now on.
    pub(super) links: Vec<Link>,
    pub(super) function: Option<Function>,
    pub(super) schema: Option<String>,
    pub(super) removal: Removal,
}

/// What once hung on something, and does not show in the catalog any more when this was executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Removal {
    pub(super) of: Vec<String>,
    pub(super) scope: Scope,
}

/// Which other relations something that is gone may have hung on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    #[default]
    None,
    /// A foreign key is gone: rows that follow those of some other table.
    Keys,
    /// A table is gone: it may have been another's child, too.
    Rows,
    /// A statement that is not understood.
    Anything,
    /// The same, and its words speak of event triggers, operators or casts.
    Everything,
}

impl Deed {
    /// `None` where the statement is not understood.
    pub(super) fn of(text: &str) -> Option<Self> {
        let words = Words::of(text);
        let mut deed = Self::read(&words, text)?;
        let Self { touched, mentioned, .. } = &mut deed;
        // Where a table's name stands once, it is only written to.
        mentioned.retain(|name| !touched.iter().any(|(touched, _)| touched == name) || words.times(name) > 1);
        Some(deed)
    }

    fn read(words: &Words, text: &str) -> Option<Self> {
        let is_function = words.word(0) == "create" && words.has_any(&["function", "procedure"]);
        if words.is_unclear || (is_opaque(words) && !is_function) {
            return None;
        }
        let one = |from: usize, skipped: &[&str]| Some(vec![words.name(words.behind(from, skipped))?.0]);
        match words.word(0) {
            "insert" => {
                let is_upsert = words.has("conflict") && words.has("update");
                let mode = if is_upsert { Mode::Written } else { Mode::Inserted };
                Self::runs("inserts into", one(1, &["into"])?, mode, words)
            }
            "update" => Self::runs("updates", one(1, &["only"])?, Mode::Written, words),
            "delete" => Self::runs("deletes from", one(1, &["from", "only"])?, Mode::Written, words),
            "truncate" if !words.has("cascade") => {
                Self::runs("empties", words.names(1, &["table", "only"])?, Mode::Written, words)
            }
            // The rows are made anew of what it reads.
            "refresh" => {
                let name = one(3, &["concurrently"])?;
                let deed = Self::runs("refreshes", name, Mode::Defined, words)?;
                Some(Self { is_ddl: true, ..deed })
            }
            "create" => created(words, text),
            "alter" if words.word(1) == "table" => altered(words),
            "drop" if !words.has("cascade") => dropped(words),
            "comment" => commented(words),
            // Without a call and without a table nothing can happen.
            "select" if !words.has("into") && !words.has("from") && !words.has_symbol('(') => {
                Some(Self { is_ddl: false, ..Self::defines("reads", Vec::new(), words) })
            }
            _ => None,
        }
    }

    /// A statement that evaluates its expressions.
    fn runs(verb: &'static str, names: Vec<String>, mode: Mode, words: &Words) -> Option<Self> {
        let is_change = |word: &str| ["insert", "update", "delete", "merge"].contains(&word);
        // `WITH gone AS (DELETE …)`.
        let changes = (1..words.len()).any(|at| words.is_symbol(at - 1, '(') && is_change(words.word(at)));
        let mention = if draws(words)? || changes { Mode::Written } else { Mode::Used };
        let touched = names.into_iter().map(|name| (name, mode)).collect();
        Some(Self { touched, mention, is_ddl: false, ..Self::defines(verb, Vec::new(), words) })
    }

    /// A statement that runs nothing.
    fn defines(verb: &'static str, names: Vec<String>, words: &Words) -> Self {
        Self {
            verb,
            touched: names.into_iter().map(|name| (name, Mode::Defined)).collect(),
            mentioned: words.mentioned.clone(),
            mention: Mode::Known,
            is_conditional: words.word(0) == "create" && words.places("if").any(|at| words.word(at + 1) == "not"),
            created: Vec::new(),
            is_other: false,
            is_ddl: true,
            makes_names: false,
            links: Vec::new(),
            function: None,
            schema: None,
            removal: Removal::default(),
        }
    }

    /// Lets a name hang on everything that is mentioned.
    fn linked(mut self, kind: LinkKind, from: &str, detail: &str) -> Self {
        let link = |to: &String| Link { kind, from: from.to_owned(), to: to.clone(), detail: detail.to_owned() };
        self.links.extend(self.mentioned.iter().filter(|to| *to != from).map(link));
        self
    }

    /// `None` where it takes from a sequence that the words do not tell.
    fn drawing(self, words: &Words, from: &str) -> Option<Self> {
        Some(if draws(words)? { self.linked(LinkKind::Draws, from, "") } else { self })
    }
}

fn created(words: &Words, text: &str) -> Option<Deed> {
    const BEFORE: [&str; 11] = [
        "or",
        "replace",
        "global",
        "local",
        "temp",
        "temporary",
        "unlogged",
        "unique",
        "materialized",
        "constraint",
        "recursive",
    ];
    let kind = words.behind(1, &BEFORE);
    let (name, end) = words.name(words.behind(kind + 1, &["if", "not", "exists", "concurrently"]))?;
    let deed = |names: Vec<String>| Deed::defines("creates", names, words);
    let replaced = |of: &str| Removal {
        of: if words.word(1) == "or" { vec![of.to_owned()] } else { Vec::new() },
        scope: Scope::None,
    };
    let is_new = !words.has("exists") && words.word(1) != "or";
    let created = if is_new { vec![name.clone()] } else { Vec::new() };
    match words.word(kind) {
        // Objects inside of a schema's statement.
        _ if words.places("create").count() > 1 => None,
        "table" => table(words, name, created),
        "view" => {
            let deed = if words.has("materialized") {
                Deed { is_ddl: true, ..Deed::runs("creates", vec![name.clone()], Mode::Defined, words)? }
            } else {
                deed(vec![name.clone()])
            };
            let deed = deed.linked(LinkKind::View, &name, "").drawing(words, &name)?;
            Some(Deed { created, removal: replaced(&name), ..deed })
        }
        "sequence" => Some(Deed { created, ..deed(vec![name]) }),
        "type" | "domain" => {
            let deed = deed(vec![name.clone()]).linked(LinkKind::Column, &name, "").drawing(words, &name)?;
            Some(Deed { created, is_other: true, ..deed })
        }
        "schema" => Some(Deed { is_other: true, schema: Some(name.clone()), ..deed(vec![name]) }),
        "function" | "procedure" => {
            let removal = replaced(&name);
            let function = Some(function(words, text, &name));
            let deed = deed(vec![name.clone()]).linked(LinkKind::Function, &name, "");
            Some(Deed { function, removal, is_other: true, ..deed })
        }
        "index" => {
            // `CREATE INDEX ON t`: the server makes up a name.
            let named = name != "on" && end < words.len();
            let table = words.on_table(kind)?;
            let deed = Deed::runs("indexes", vec![table.clone()], Mode::Defined, words)?;
            let mut deed = deed.linked(LinkKind::Column, &table, "");
            deed.touched.extend(named.then_some((name, Mode::Defined)));
            Some(Deed { is_ddl: true, makes_names: !named, ..deed })
        }
        kind @ ("trigger" | "policy") if end < words.len() => {
            let table = words.on_table(end)?;
            let link = if kind == "trigger" { LinkKind::Trigger } else { LinkKind::Policy };
            let removal = replaced(&table);
            let deed = deed(vec![table.clone()]).linked(link, &table, &name).drawing(words, &table)?;
            Some(Deed { removal, ..deed })
        }
        _ => None,
    }
}

fn table(words: &Words, name: String, created: Vec<String>) -> Option<Deed> {
    let is_part = words.places("partition").any(|at| words.word(at + 1) == "of");
    if is_part || words.has("inherits") {
        return None;
    }
    // `GENERATED ALWAYS AS`, `BY DEFAULT AS IDENTITY`.
    let is_filled = words.places("as").any(|at| !["always", "default"].contains(&words.word(at - 1)));
    let deed = if is_filled {
        if words.has("execute") {
            return None;
        }
        Deed { is_ddl: true, ..Deed::runs("fills", vec![name.clone()], Mode::Defined, words)? }
    } else {
        Deed::defines("creates", vec![name.clone()], words)
    };
    Some(Deed { created, makes_names: true, ..with_columns(deed, words, &name)? })
}

/// Columns, checks, defaults and foreign keys of a table; `None` where a sequence is not told.
fn with_columns(deed: Deed, words: &Words, table: &str) -> Option<Deed> {
    let mut deed = deed.linked(LinkKind::Column, table, "");
    if draws(words)? {
        deed = deed.linked(LinkKind::Default, table, "");
    }
    // `LIKE t INCLUDING ALL` takes over what hangs on the columns.
    for at in words.places("like").filter(|_| words.has("including")) {
        if let Some((to, _)) = words.name(at + 1).filter(|(to, _)| to != table) {
            deed.links.push(Link { kind: LinkKind::Renamed, from: table.to_owned(), to, detail: String::new() });
        }
    }
    let on_change = |at: usize| words.word(at) == "on" && ["delete", "update"].contains(&words.word(at + 1));
    let kind = if (0..words.len()).any(on_change) { LinkKind::Cascade } else { LinkKind::ForeignKey };
    for at in words.places("references") {
        if let Some((to, _)) = words.name(at + 1).filter(|(to, _)| to != table) {
            deed.links.push(Link { kind, from: table.to_owned(), to, detail: String::new() });
        }
    }
    Some(deed)
}

fn altered(words: &Words) -> Option<Deed> {
    let (name, end) = words.name(words.behind(2, &["if", "exists", "only"]))?;
    let drops: Vec<usize> = words.places("drop").collect();
    let is_opaque = words.has_any(&["attach", "detach", "inherit"]) || (words.has("cascade") && !drops.is_empty());
    if is_opaque || (words.word(end) == "set" && words.word(end + 1) == "schema") {
        return None;
    }
    let deed = Deed::runs("alters", vec![name.clone()], Mode::Defined, words)?;
    let mut deed = with_columns(deed, words, &name)?;
    if words.word(end) == "rename" && words.word(end + 1) == "to" {
        let (renamed, _) = words.name(end + 2)?;
        deed.touched.push((renamed.clone(), Mode::Defined));
        deed.links.push(Link { kind: LinkKind::Renamed, from: name.clone(), to: renamed, detail: String::new() });
    }
    if !drops.is_empty() || words.has_any(&["disable", "set", "no", "type"]) {
        deed.removal.of.push(name);
    }
    let keeps_keys = |at: &usize| ["default", "not", "identity", "expression"].contains(&words.word(at + 1));
    if !drops.iter().all(keeps_keys) {
        deed.removal.scope = Scope::Keys;
    }
    Some(Deed { is_ddl: true, makes_names: true, ..deed })
}

fn dropped(words: &Words) -> Option<Deed> {
    let kind = if words.word(1) == "materialized" { 2 } else { 1 };
    let names = || words.names(kind + 1, &["if", "exists"]);
    let (names, scope) = match words.word(kind) {
        "trigger" | "policy" | "rule" => {
            let (_, end) = words.name(words.behind(kind + 1, &["if", "exists"]))?;
            (vec![words.on_table(end)?], Scope::None)
        }
        // Another's rows may have followed these, and an index decides what conflicts.
        "table" | "index" => (names()?, Scope::Rows),
        "view" | "sequence" | "function" | "procedure" | "type" | "domain" => (names()?, Scope::None),
        _ => return None,
    };
    let is_other = ["function", "procedure", "type", "domain", "index"].contains(&words.word(kind));
    let removal = Removal { of: names.clone(), scope };
    Some(Deed { removal, is_other, ..Deed::defines("drops", names, words) })
}

/// `COMMENT ON TABLE a.b`, `COMMENT ON COLUMN a.b.c`.
fn commented(words: &Words) -> Option<Deed> {
    let (mut parts, _) = words.path(3)?;
    match words.word(2) {
        "table" => {}
        "column" => drop(parts.pop()),
        _ => return None,
    }
    let deed = Deed::defines("comments on", vec![parts.pop()?], words);
    Some(Deed { mentioned: BTreeSet::new(), ..deed })
}

fn function(words: &Words, text: &str, name: &str) -> Function {
    let language = words.places("language").next().map(|at| match words.text(at + 1) {
        Some(text) => text.trim_matches('\'').to_lowercase(),
        None => words.name(at + 1).map(|(name, _)| name).unwrap_or_default(),
    });
    let body = words.places("as").find_map(|at| words.text(at + 1));
    // A body without quotes is whatever stands behind the words before it.
    let tail = || text.to_ascii_lowercase().find("create").map_or(text, |at| &text[at + "create".len()..]).to_owned();
    let body = body.map(inside).unwrap_or_else(tail);
    Function {
        name: name.to_owned(),
        language: language.unwrap_or_else(|| "sql".to_owned()),
        is_volatile: !words.has_any(&["stable", "immutable"]),
        is_immutable: false,
        is_aggregate: false,
        extension: None,
        body,
    }
}

/// What stands between `'` and `'`, or `$tag$` and `$tag$`.
fn inside(written: &str) -> String {
    if let Some(rest) = written.strip_prefix('$')
        && let Some((tag, rest)) = rest.split_once('$')
    {
        return rest.strip_suffix(&format!("${tag}$")).unwrap_or(rest).to_owned();
    }
    written.trim_start_matches(['e', 'E']).trim_matches('\'').replace("''", "'")
}
