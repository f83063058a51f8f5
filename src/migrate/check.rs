use super::{FolderSource, MigrationName, MigrationSource, NameError, SourceError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a folder holds: each file's name, and git's id of its content.
pub type Tree = BTreeMap<String, String>;

/// The migrations folder on the branch that this one will be merged into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// As the branch is now.
    pub tip: Tree,
    /// Where the two branches parted; none where the history is not there (a shallow clone).
    pub fork: Option<Tree>,
}

/// Why git could not answer.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    #[error("`git` was not found")]
    NoGit,
    #[error("{} is in no git repository", dir.display())]
    NotARepository { dir: PathBuf },
    #[error("git knows no commit `{reference}` here")]
    NoReference { reference: String, is_shallow: bool },
    #[error("`git {command}` failed: {message}")]
    Failed { command: String, message: String },
}

/// Asks git about the migrations folder.
pub trait Repository: Send + Sync {
    /// What the folder holds on a branch, tag or commit.
    ///
    /// # Errors
    /// [`RepositoryError`]; a folder that is not there yet is an empty one.
    fn base(&self, reference: &str) -> Result<Base, RepositoryError>;

    /// The ids that git would give these files of the folder, line endings as they would be committed.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn contents(&self, files: &[&str]) -> Result<Tree, RepositoryError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckProblem {
    /// Databases that have the base's newest would call the history corrupted.
    OutOfOrder,
    /// The base has the file with another content; whoever ran that will never run this.
    Edited,
    /// The base has the file; every database that ran it would miss it.
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    pub migration: MigrationName,
    pub problem: CheckProblem,
    /// Names within the folder.
    pub files: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rename {
    pub from: String,
    pub to: String,
}

/// How a branch's migrations stand to those of the branch that it will be merged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    pub base: String,
    /// The base's newest migration.
    pub newest: Option<MigrationName>,
    /// The migrations that the base does not have, in order.
    pub new: Vec<MigrationName>,
    pub findings: Vec<CheckFinding>,
    /// What brings the new ones behind the base's newest, and keeps their own order.
    pub renames: Vec<Rename>,
}

/// Compares the folder with the base.
///
/// # Errors
/// [`RepositoryError`] and, for names that clash on either side, [`SourceError`].
pub fn check(
    repository: &dyn Repository,
    dir: &Path,
    reference: &str,
    allow_unordered: bool,
    now: jiff::Timestamp,
) -> Result<CheckReport, CheckError> {
    let own = FolderSource::open(dir, dir)?;
    let base = repository.base(reference)?;
    let names: Vec<String> = own.names().iter().flat_map(|name| own.files(name)).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).filter(|name| base.tip.contains_key(*name)).collect();
    let contents = repository.contents(&known)?;
    compare(&own, &contents, &base, allow_unordered, now)
        .map(|report| CheckReport { base: reference.to_owned(), ..report })
}

/// Why the comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Name(#[from] NameError),
}

fn compare(
    own: &FolderSource,
    contents: &Tree,
    base: &Base,
    allow_unordered: bool,
    now: jiff::Timestamp,
) -> Result<CheckReport, CheckError> {
    let theirs = FolderSource::listed(base.tip.keys())?;
    let theirs_names: BTreeSet<&MigrationName> = theirs.names().iter().collect();
    let newest = theirs.names().last().cloned();
    let new: Vec<MigrationName> = own.names().iter().filter(|name| !theirs_names.contains(name)).cloned().collect();
    let is_early = |name: &MigrationName| !allow_unordered && newest.as_ref().is_some_and(|newest| name < newest);
    let mut findings: Vec<CheckFinding> = new
        .iter()
        .filter(|name| is_early(name))
        .map(|name| CheckFinding { migration: name.clone(), problem: CheckProblem::OutOfOrder, files: own.files(name) })
        .collect();
    for name in theirs.names() {
        let files = theirs.files(name);
        let edited: Vec<String> = files.iter().filter(|file| is_edited(file, contents, base)).cloned().collect();
        // What is missing here may be younger than this branch; it is deleted only if it was there when they parted.
        let was_there = |file: &String| base.fork.as_ref().is_some_and(|fork| fork.contains_key(file));
        let deleted: Vec<String> =
            files.into_iter().filter(|file| !contents.contains_key(file) && was_there(file)).collect();
        for (problem, files) in [(CheckProblem::Edited, edited), (CheckProblem::Deleted, deleted)] {
            if !files.is_empty() {
                findings.push(CheckFinding { migration: name.clone(), problem, files });
            }
        }
    }
    let renames = renames(own, &new, newest.as_ref(), is_early, now)?;
    Ok(CheckReport { base: String::new(), newest, new, findings, renames })
}

/// The base may have changed the file since; that is nobody's edit here.
fn is_edited(file: &str, contents: &Tree, base: &Base) -> bool {
    let Some(own) = contents.get(file) else { return false };
    let before = base.fork.as_ref().and_then(|fork| fork.get(file));
    base.tip.get(file) != Some(own) && before != Some(own)
}

/// A later one that an early one would come to stand behind moves too: it may need the early one.
fn renames(
    own: &FolderSource,
    new: &[MigrationName],
    newest: Option<&MigrationName>,
    is_early: impl Fn(&MigrationName) -> bool,
    now: jiff::Timestamp,
) -> Result<Vec<Rename>, NameError> {
    let mut renames = Vec::new();
    let mut last = newest.cloned();
    for name in new.iter().skip_while(|name| !is_early(name)) {
        if last.as_ref().is_none_or(|last| name > last) {
            last = Some(name.clone());
            continue;
        }
        let to = MigrationName::following(words(name), last.as_ref(), now)?;
        renames.extend(own.files(name).into_iter().map(|from| {
            let end = from.strip_prefix(name.as_str()).unwrap_or(".sql");
            Rename { to: format!("{to}{end}"), from: from.clone() }
        }));
        last = Some(to);
    }
    Ok(renames)
}

/// A name without the number that it begins with.
fn words(name: &MigrationName) -> &str {
    let words = name.as_str().trim_start_matches(|letter: char| letter.is_ascii_digit() || "_-.T".contains(letter));
    if words.is_empty() { "migration" } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(name, object)| ((*name).to_owned(), (*object).to_owned())).collect()
    }

    fn compared(
        own: &[(&str, &str)],
        tip: &[(&str, &str)],
        fork: Option<&[(&str, &str)]>,
        unordered: bool,
    ) -> CheckReport {
        let (own, base) = (tree(own), Base { tip: tree(tip), fork: fork.map(tree) });
        let contents = own.iter().filter(|(name, _)| base.tip.contains_key(*name));
        let contents = contents.map(|(name, object)| (name.clone(), object.clone())).collect();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        compare(&FolderSource::listed(own.keys()).unwrap(), &contents, &base, unordered, now).unwrap()
    }

    fn problems(report: &CheckReport) -> Vec<(String, CheckProblem)> {
        report.findings.iter().map(|finding| (finding.migration.to_string(), finding.problem)).collect()
    }

    #[test]
    fn what_sorts_before_the_bases_newest_is_named_with_the_way_out() {
        let own = [
            ("1_a.sql", "a"),
            ("2_b.up.sql", "b"),
            ("2_b.down.sql", "c"),
            ("2_c.sql", "c"),
            ("4_a.sql", "d"),
            ("7_e.sql", "e"),
        ];
        let base = [("1_a.sql", "a"), ("3_c.sql", "c")];
        let report = compared(&own, &base, Some(&base[..1]), false);
        let early = ["2_b", "2_c"].map(|name| (name.to_owned(), CheckProblem::OutOfOrder));
        assert_eq!(problems(&report), early);
        // `4_a` is not early, but it may need those before it; `7_e` still comes last.
        let renames: Vec<(&str, &str)> =
            report.renames.iter().map(|rename| (rename.from.as_str(), rename.to.as_str())).collect();
        assert_eq!(
            renames,
            [
                ("2_b.up.sql", "4_b.up.sql"),
                ("2_b.down.sql", "4_b.down.sql"),
                ("2_c.sql", "5_c.sql"),
                ("4_a.sql", "6_a.sql"),
            ]
        );
        assert_eq!(problems(&compared(&own, &base, None, true)), []);
    }

    #[test]
    fn an_edit_is_told_from_a_file_that_the_base_has_changed_since() {
        let base = [("1_a.sql", "new")];
        let edited =
            |own, fork: Option<&[(&str, &str)]>| problems(&compared(&[("1_a.sql", own)], &base, fork, false)).len();
        assert_eq!(edited("new", None), 0);
        assert_eq!(edited("other", None), 1);
        assert_eq!(edited("old", Some(&[("1_a.sql", "old")])), 0);
        assert_eq!(edited("other", Some(&[("1_a.sql", "old")])), 1);
    }

    #[test]
    fn a_file_that_this_branch_never_had_is_not_deleted() {
        let base = [("1_a.sql", "a"), ("2_b.sql", "b")];
        assert_eq!(problems(&compared(&base[..1], &base, None, false)), []);
        assert_eq!(problems(&compared(&base[..1], &base, Some(&base[..1]), false)), []);
        let deleted = compared(&base[..1], &base, Some(&base), false);
        assert_eq!(problems(&deleted), [("2_b".to_owned(), CheckProblem::Deleted)]);
    }
}
