use super::links::Function;
use super::words::Words;
use std::collections::BTreeSet;

/// What a function may touch when it is called.
pub(super) enum Body {
    /// All that it mentions; with `true`, relations among that may be changed.
    Mentions(BTreeSet<String>, bool),
    /// Why that cannot be told, as a clause.
    Opaque(String),
}

/// Extensions of which no function touches a table or a sequence by itself.
const HARMLESS_EXTENSIONS: [&str; 24] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "insert_username",
    "intarray",
    "ip4r",
    "isn",
    "lo",
    "ltree",
    "moddatetime",
    "pg_trgm",
    "pgcrypto",
    "plpgsql",
    "seg",
    "tcn",
    "unaccent",
    "uuid-ossp",
    "vector",
];

/// Of the server's own words that begin so, those that neither read the catalog nor change anything.
const HARMLESS: [&str; 14] = [
    "pg_catalog",
    "pg_typeof",
    "pg_sleep",
    "pg_get_serial_sequence",
    "pg_notify",
    "pg_default",
    "pg_lsn",
    "pg_column_size",
    "pg_trigger_depth",
    "pg_current_xact_id",
    "pg_backend_pid",
    "pg_advisory_lock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_xact_lock",
];

/// What reads or changes something that no word beside it names (`pg_proc`, volatile functions of PostgreSQL 15).
const OPAQUE: [&str; 26] = [
    "lastval",
    "set_config",
    "setseed",
    "information_schema",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xmlschema",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xmlschema",
    "database_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "loread",
    "lowrite",
    "dblink",
    "dblink_exec",
    "dblink_send_query",
    "currtid2",
];

/// Whether something in it reaches further than its words.
pub(super) fn is_opaque(words: &Words) -> bool {
    let is_call = |at: usize| words.is_symbol(at + 1, '(');
    (0..words.len()).any(|at| {
        let word = words.named(at);
        OPAQUE.contains(&word)
            || (word.starts_with("pg_") && !HARMLESS.contains(&word))
            || ((word.starts_with("lo_") || word.starts_with("crosstab")) && is_call(at))
    })
}

/// Whether it takes from a sequence or sets one; `None` where the words do not tell which.
pub(super) fn draws(words: &Words) -> Option<bool> {
    let mut found = false;
    for at in (0..words.len()).filter(|at| ["nextval", "setval", "currval"].contains(&words.named(*at))) {
        let of_column = words.named(at + 2) == "pg_get_serial_sequence" && words.text(at + 4).is_some();
        // A name alone may be that of a column.
        if words.is_symbol(at + 1, '(') {
            (words.text(at + 2).is_some() || of_column).then_some(())?;
            found = true;
        }
    }
    Some(found)
}

impl Body {
    pub(super) fn of(function: &Function) -> Self {
        let is_harmless = function.extension.as_deref().is_some_and(|name| HARMLESS_EXTENSIONS.contains(&name));
        if is_harmless || function.is_aggregate {
            return Self::Mentions(BTreeSet::new(), false);
        }
        match function.language.as_str() {
            "sql" | "plpgsql" => Self::read(function),
            "c" | "internal" if function.is_immutable => Self::Mentions(BTreeSet::new(), false),
            "c" | "internal" => Self::Opaque("which is part of a program".to_owned()),
            language => Self::Opaque(format!("which is written in {language}")),
        }
    }

    fn read(function: &Function) -> Self {
        const PUT_TOGETHER: &str = "which runs SQL that it puts together itself";
        const OTHERS: [&str; 10] =
            ["create", "alter", "drop", "grant", "revoke", "copy", "reset", "discard", "prepare", "load"];
        let words = Words::of(&function.body);
        if words.has("execute") {
            return Self::Opaque(PUT_TOGETHER.to_owned());
        }
        let Some(draws) = draws(&words) else { return Self::Opaque("which takes from some sequence".to_owned()) };
        let begins = |at: usize| {
            at == 0 || words.is_symbol(at - 1, ';') || ["begin", "then", "else", "loop"].contains(&words.word(at - 1))
        };
        let sets = words.places("set").any(begins);
        if words.is_unclear || is_opaque(&words) || sets || words.has_any(&OTHERS) {
            return Self::Opaque("which does more than rows and names show".to_owned());
        }
        // The server keeps a function that is not volatile from changing rows, but not from taking numbers.
        Self::Mentions(words.mentioned, function.is_volatile || draws)
    }
}
