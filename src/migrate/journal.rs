use super::script::Script;
use super::sql::{Lexer, TokenKind};
use super::{Direction, MigrationName, MigrationSource};
use crate::system::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// What is kept of a migration beside its row in the ledger, so that it can be undone and recognised without its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// See [`fingerprint`].
    pub hash: String,
    /// Empty where it is too large to be kept.
    pub up_sql: String,
    /// None where the migration had no down part, or one that cannot be read or is too large.
    pub down_sql: Option<String>,
    /// What was checked out.
    pub git_commit: Option<String>,
}

impl JournalEntry {
    /// The entry of a migration that is about to run.
    pub(super) fn of(
        source: &dyn MigrationSource,
        name: &MigrationName,
        up: &Script,
        git_commit: Option<&str>,
    ) -> Self {
        /// What is larger is known by its hash alone: a journal of files full of rows would hold those rows twice.
        const LARGEST: usize = 1 << 20;
        let kept = |script: &Script| (script.text().len() <= LARGEST).then(|| script.standalone());
        // A down part that cannot be read stops no run up.
        let down = source.script(name, Direction::Down).ok().flatten();
        Self {
            hash: fingerprint(up),
            up_sql: kept(up).unwrap_or_default(),
            down_sql: down.and_then(|down| kept(&down)),
            git_commit: git_commit.map(str::to_owned),
        }
    }
}

/// What the journal says about a migration that is in the ledger, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JournalRow {
    pub name: String,
    /// The time of the ledger's row that this belongs to; another time there means that somebody without a journal
    /// (Kysely) has undone and run the migration since.
    pub timestamp: String,
    pub hash: String,
    /// `devdb/<alias>/<run>`.
    pub application_name: String,
    pub git_commit: Option<String>,
    pub is_undone: bool,
    /// Empty where only the hashes were asked for, or where it was too large to be kept.
    pub up_sql: String,
    pub down_sql: Option<String>,
}

impl JournalRow {
    /// Who ran it: the alias of the application name.
    pub fn alias(&self) -> &str {
        alias(&self.application_name)
    }
}

/// The alias in `devdb/<alias>/<run>`; empty for any other name.
pub fn alias(application_name: &str) -> &str {
    let inner = application_name.strip_prefix("devdb/").and_then(|rest| rest.rsplit_once('/'));
    inner.map_or("", |(alias, _)| alias)
}

/// Whether the journal can be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum JournalState {
    /// There is none, or this role may not write to it, and may not make one.
    #[default]
    Unavailable,
    /// There is none yet; the next migration makes it.
    Absent,
    Present,
}

/// A hash of what the server is told: white space between the tokens, line ends and comments do not matter.
pub fn fingerprint(script: &Script) -> String {
    let mut hasher = Sha256::new();
    for text in script.each(0..script.statements().len()) {
        for token in Lexer::new(text) {
            match token {
                Ok(token) if token.kind == TokenKind::Comment => continue,
                Ok(token) => hasher.update(&text[token.range]),
                // Strings with escapes by setting: the lexer alone does not know where they end.
                Err(open) => {
                    hasher.update(&text[open.offset..]);
                    break;
                }
            }
            hasher.update([0]);
        }
        hasher.update(b";");
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::Layout;
    use std::path::Path;

    fn script(text: &str) -> Script {
        Script::parse(Path::new("a.sql"), text.as_bytes(), Layout::Whole, Direction::Up).unwrap().unwrap()
    }

    #[test]
    fn only_what_the_server_is_told_counts() {
        let one = fingerprint(&script("create table a (id int);\nselect 'x  y';\n"));
        let same = "-- why\r\ncreate table a (id int)  ;\r\n\r\n/* and */ select 'x  y'";
        assert_eq!(fingerprint(&script(same)), one);
        for other in ["create table a (id int); select 'x y'", "create table a (id int), select 'x  y'"] {
            assert_ne!(fingerprint(&script(other)), one, "{other}");
        }
    }

    #[test]
    fn a_standalone_text_is_read_back_as_the_same_script() {
        for text in ["-- devdb: transaction=false\nselect 1; -- x\nselect 2;", "select 1"] {
            let (first, again) = (script(text), script(&script(text).standalone()));
            assert_eq!(fingerprint(&first), fingerprint(&again));
            assert_eq!(first.is_transactional(), again.is_transactional());
        }
    }

    #[test]
    fn the_alias_is_read_from_the_application_name() {
        assert_eq!(alias("devdb/ada/1234abcd"), "ada");
        assert_eq!(alias("devdb/a/b/1234abcd"), "a/b");
        assert_eq!(alias("psql"), "");
    }
}
