use super::classify::Problem;
use super::proof::Conflict;
use super::steps::RepairStep;
use super::story::Story;
use crate::migrate::{LedgerRow, MigrationName, Script};
use crate::system::hex;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// How a repair goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Only times and names in the ledger change.
    ReStamp,
    /// What is pending runs on top of what is there, and takes its place in the ledger.
    SlideIn,
    /// What has no file here is undone; the rest stays.
    RollBack,
    /// What ran too early is undone, and runs again in its turn.
    Replay,
}

impl Strategy {
    pub fn word(self) -> &'static str {
        match self {
            Self::ReStamp => "re-stamp",
            Self::SlideIn => "slide-in",
            Self::RollBack => "roll-back",
            Self::Replay => "replay",
        }
    }
}

/// Whose migrations may be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// A personal database.
    Anybodys,
    /// A shared one: only what this user ran.
    Mine,
    /// A protected one.
    Never,
}

/// What is allowed, and what is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub replay: Replay,
    /// None: whatever can be proved to keep the most.
    pub strategy: Option<Strategy>,
}

/// Why a way is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The order of these two matters, or may matter.
    Conflict {
        first: String,
        second: String,
        conflict: Conflict,
    },
    /// A clause that follows the name.
    CannotUndo {
        name: String,
        why: String,
    },
    CannotRun {
        name: String,
        why: String,
    },
    /// Somebody else ran it, or nobody knows who.
    NotMine {
        name: String,
    },
    /// The environment is protected.
    Protected {
        name: String,
    },
    /// No file, no journal, no branch knows it.
    Unknown {
        name: String,
    },
    /// A statement in it cannot share a transaction.
    NotTransactional {
        name: String,
        statement: String,
    },
    /// The strategy that was asked for does something else.
    OtherStrategy {
        wanted: Strategy,
        needed: Strategy,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { first, second, conflict } => match conflict {
                Conflict::Shared { names, how } => {
                    let names = names.join(", ");
                    write!(f, "the order of {first} and {second} matters: both have to do with {names}")?;
                    if how.is_empty() { Ok(()) } else { write!(f, " ({})", how.join("; ")) }
                }
                Conflict::Names([one, other]) => write!(
                    f,
                    "the order of {first} and {second} may matter: names that the server makes up for {one} and {other} may \
                     be the same"
                ),
                Conflict::Opaque(why) => {
                    write!(f, "whether the order of {first} and {second} matters cannot be told: {why}")
                }
            },
            Self::CannotUndo { name, why } | Self::CannotRun { name, why } => write!(f, "{name} {why}"),
            Self::NotMine { name } => {
                write!(f, "{name} would have to be undone, and the journal does not say that you ran it")
            }
            Self::Protected { name } => {
                write!(f, "{name} would have to be undone, which never happens in a protected environment")
            }
            Self::Unknown { name } => {
                write!(f, "{name} is known nowhere: there is no file, no journal and no branch that has it")
            }
            Self::NotTransactional { name, statement } => {
                write!(f, "{name} cannot be part of one transaction: {statement}")
            }
            Self::OtherStrategy { wanted, needed } => {
                let takes = match needed {
                    Strategy::ReStamp => "only the ledger has to change",
                    Strategy::SlideIn => "something pending has to run",
                    Strategy::RollBack | Strategy::Replay => "something has to be undone",
                };
                write!(f, "{} is not enough: {takes}", wanted.word())
            }
        }
    }
}

/// What was not planned, and why. The reasons of the gentle way come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub problems: Vec<Problem>,
    pub reasons: Vec<Reason>,
}

/// What two sides of a proof own; they have nothing in common, so their order does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// What runs now, or is undone, or ran too early.
    pub moved: BTreeSet<String>,
    /// What it passes.
    pub passed: BTreeSet<String>,
}

/// What a repair will do.
#[derive(Debug, Clone)]
pub struct RepairPlan {
    pub problems: Vec<Problem>,
    pub strategy: Strategy,
    /// The proof that it leaves what a replay would; none where the order of nothing changes.
    pub apart: Option<Apart>,
    /// Why nothing gentler will do.
    pub instead: Vec<Reason>,
    /// Ways that are open too.
    pub alternatives: Vec<Strategy>,
    pub steps: Vec<RepairStep>,
    /// The rows that it was made of.
    pub before: Vec<LedgerRow>,
    /// The executed migrations afterwards, in order: the first of the files.
    pub after: Vec<MigrationName>,
    /// How many files are pending then.
    pub pending: usize,
    pub seen: Seen,
}

/// What was seen beside the rows when the plan was made; nothing is decided by it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The database's clock, in milliseconds since the epoch.
    pub now: i64,
    /// Of the migrations that the problems are about.
    pub stories: Vec<Story>,
    /// The relations that the steps lock and that are there, with about how many rows, if anybody has counted.
    pub sizes: BTreeMap<String, Option<u64>>,
}

impl RepairPlan {
    /// Eight digits that stand for these rows, this way and these statements.
    pub fn id(&self) -> String {
        let mut hasher = Sha256::new();
        let mut feed = |texts: &[&str]| {
            for text in texts {
                hasher.update(text);
                hasher.update([0]);
            }
            hasher.update([1]);
        };
        feed(&[self.strategy.word()]);
        let mut before: Vec<&LedgerRow> = self.before.iter().collect();
        before.sort_by(|left, right| left.name.cmp(&right.name));
        before.iter().for_each(|row| feed(&[&row.name, &row.timestamp]));
        for step in &self.steps {
            let sql = step.script().map(Script::standalone).unwrap_or_default();
            feed(&[step.word(), step.name().as_str(), &sql]);
        }
        self.after.iter().for_each(|name| feed(&[name.as_str()]));
        hex(&hasher.finalize()[..4])
    }
}
