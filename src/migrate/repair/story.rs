use super::classify::Problem;
use super::facts::{Facts, Gathering, Origin};
use serde::Serialize;

/// Who is behind a migration that a problem is about, as far as ledger, journal and git know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    pub name: String,
    /// The ledger's own text; none where it is pending.
    pub executed_at: Option<String>,
    /// How long that is ago by the database's clock, in milliseconds.
    pub executed_ms_ago: Option<i64>,
    /// The alias of whoever ran it.
    pub executed_by: Option<String>,
    /// That is the alias of whoever asks.
    pub is_mine: bool,
    /// The commit that brought its files.
    pub commit: Option<String>,
    pub author: Option<String>,
    /// For one without a file here: a branch that has it.
    pub branch: Option<String>,
}

/// So many of each kind are told; each costs a question to git.
const TOLD: usize = 3;

/// The stories of the migrations that the problems name.
pub(super) fn stories(problems: &[Problem], gathering: &Gathering<'_>, facts: &Facts, now: i64) -> Vec<Story> {
    let mut names: Vec<&String> = Vec::new();
    for problem in problems {
        let lists: [&[String]; 2] = match problem {
            Problem::Gap { pending, executed } => [pending, executed],
            Problem::PartialDown { undone, kept } => [undone, kept],
            Problem::Reorder { executed } => [executed, &[]],
            Problem::Missing { name } => [std::slice::from_ref(name), &[]],
            // These tell about clocks, not about people.
            Problem::Tie { .. } | Problem::Skew { .. } | Problem::UnreadableTime { .. } => [&[], &[]],
        };
        for name in lists.into_iter().flat_map(|list| list.iter().take(TOLD)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.into_iter().map(|name| story(name, gathering, facts, now)).collect()
}

fn story(name: &str, gathering: &Gathering<'_>, facts: &Facts, now: i64) -> Story {
    let row = gathering.rows.iter().find(|row| row.name == name);
    let entry = gathering.entry(name);
    let (commit, author, branch) = match facts.get(name).and_then(|fact| fact.found.as_ref()) {
        Some(Origin::Commit { commit, author, branch }) => (Some(commit.clone()), Some(author.clone()), branch.clone()),
        Some(Origin::File | Origin::Journal) | None => {
            let (commit, author) = gathering.history.written(name).unzip();
            (commit, author, None)
        }
    };
    Story {
        name: name.to_owned(),
        executed_at: row.map(|row| row.timestamp.clone()),
        executed_ms_ago: row.and_then(|row| row.time()).map(|time| now - time).filter(|ago| *ago >= 0),
        executed_by: entry.map(|entry| entry.alias().to_owned()).filter(|alias| !alias.is_empty()),
        is_mine: gathering.is_mine(entry),
        commit,
        author,
        branch,
    }
}
