//! git, asked through its own command line.

use crate::migrate::{FileHistory, FoundFiles};
use crate::system::{Processes, SpawnSpec};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The repository around a folder, if there is one.
pub(crate) struct Git {
    processes: Arc<dyn Processes>,
    dir: PathBuf,
}

impl Git {
    pub(crate) fn new(processes: Arc<dyn Processes>, dir: &Path) -> Self {
        Self { processes, dir: dir.to_owned() }
    }

    /// What git printed; none when it failed, or is not installed.
    fn ask(&self, args: &[&str]) -> Option<Vec<u8>> {
        let options = ["--no-pager", "--literal-pathspecs"];
        let spec = SpawnSpec {
            program: "git".into(),
            args: options.iter().chain(args).map(Into::into).collect(),
            // A question must not wait for, or leave, a lock of the index.
            env: vec![("GIT_OPTIONAL_LOCKS".into(), "0".into()), ("LC_ALL".into(), "C".into())],
            // A hook of git sets these; the folder decides, not the repository of the hook.
            env_remove: vec!["GIT_DIR".into(), "GIT_INDEX_FILE".into(), "GIT_WORK_TREE".into()],
            cwd: Some(self.dir.clone()),
        };
        let found = self.processes.capture(&spec).ok()?;
        (found.code == 0).then_some(found.stdout)
    }

    fn line(&self, args: &[&str]) -> Option<String> {
        let text = String::from_utf8(self.ask(args)?).ok()?;
        text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
    }
}

impl Git {
    /// A branch behind this commit that still has the file.
    fn branch_with(&self, commit: &str, file: &str) -> Option<String> {
        let branches = self.ask(&["branch", "--all", "--contains", commit, "--format=%(refname:short)"])?;
        let branches = String::from_utf8(branches).ok()?;
        // A detached head is no branch: `(HEAD detached at …)`.
        let mut named = branches.lines().filter(|branch| !branch.starts_with('('));
        named.find(|branch| self.ask(&["cat-file", "-e", &format!("{branch}:./{file}")]).is_some()).map(str::to_owned)
    }
}

impl FileHistory for Git {
    fn head(&self) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", "HEAD"])
    }

    fn find(&self, name: &str) -> Option<FoundFiles> {
        let files = ["up.sql", "down.sql", "sql"].map(|ending| format!("{name}.{ending}"));
        let log = ["log", "--all", "-1", "--full-history", "--diff-filter=AM", "--format=%H%x09%an", "--"];
        let log: Vec<&str> = log.into_iter().chain(files.iter().map(String::as_str)).collect();
        let line = self.line(&log)?;
        let (commit, author) = line.split_once('\t')?;
        let contents: Vec<(String, Vec<u8>)> = files
            .iter()
            .filter_map(|file| Some((file.clone(), self.ask(&["show", &format!("{commit}:./{file}")])?)))
            .collect();
        let first = contents.first().map(|(file, _)| file.clone())?;
        Some(FoundFiles {
            commit: commit.to_owned(),
            author: author.to_owned(),
            branch: self.branch_with(commit, &first),
            files: contents,
        })
    }
}
