//! git, asked through its own command line.

use crate::migrate::{Base, FileHistory, FoundFiles, Repository, RepositoryError, Tree};
use crate::system::{Captured, Gets, ProcessError, Processes, SpawnSpec};
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

    fn capture(&self, args: &[&str]) -> Result<Captured, RepositoryError> {
        let options = ["--no-pager", "--literal-pathspecs"];
        let spec = SpawnSpec {
            program: "git".into(),
            gets: Gets::Git,
            args: options.iter().chain(args).map(Into::into).collect(),
            // A question must not wait for, or leave, a lock of the index; its messages are read.
            env: vec![("GIT_OPTIONAL_LOCKS".into(), "0".into()), ("LC_ALL".into(), "C".into())],

            cwd: Some(self.dir.clone()),
            ..SpawnSpec::default()
        };
        self.processes.capture(&spec).map_err(|error| match error {
            ProcessError::NotFound { .. } => RepositoryError::NoGit,
            error => RepositoryError::Failed { command: args.join(" "), message: error.to_string() },
        })
    }

    /// What git printed; none when it failed, or is not installed.
    fn bytes(&self, args: &[&str]) -> Option<Vec<u8>> {
        let found = self.capture(args).ok()?;
        (found.code == 0).then_some(found.stdout)
    }

    fn line(&self, args: &[&str]) -> Option<String> {
        let text = String::from_utf8(self.bytes(args)?).ok()?;
        text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
    }

    /// The newest commit that these options find, and its author.
    fn newest(&self, options: &[&str], files: &[String]) -> Option<(String, String)> {
        let log = [&["log", "-1", "--format=%H%x09%an"], options, &["--"]].concat();
        let log: Vec<&str> = log.into_iter().chain(files.iter().map(String::as_str)).collect();
        let line = self.line(&log)?;
        let (commit, author) = line.split_once('\t')?;
        Some((commit.to_owned(), author.to_owned()))
    }

    fn ask(&self, args: &[&str]) -> Result<String, RepositoryError> {
        let found = self.capture(args)?;
        if found.code == 0 {
            return Ok(String::from_utf8_lossy(&found.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&found.stderr);
        if said.contains("not a git repository") {
            return Err(RepositoryError::NotARepository { dir: self.dir.clone() });
        }
        let message = said.trim().trim_start_matches("fatal: ").to_owned();
        Err(RepositoryError::Failed { command: args.first().copied().unwrap_or_default().to_owned(), message })
    }

    /// The files of the folder itself, in a commit; `ls-tree` counts from the working directory (git-ls-tree(1)).
    fn tree(&self, commit: &str) -> Result<Tree, RepositoryError> {
        let listed = self.ask(&["ls-tree", "-z", commit])?;
        let entry = |entry: &str| {
            // `<mode> SP <type> SP <object> TAB <file>`
            let (about, name) = entry.split_once('\t')?;
            let mut words = about.split(' ').skip(1);
            (words.next() == Some("blob")).then_some(())?;
            Some((name.to_owned(), words.next()?.to_owned()))
        };
        Ok(listed.split('\0').filter_map(entry).collect())
    }

    /// A branch behind this commit that still has the file.
    fn branch_with(&self, commit: &str, file: &str) -> Option<String> {
        let branches = self.bytes(&["branch", "--all", "--contains", commit, "--format=%(refname:short)"])?;
        let branches = String::from_utf8(branches).ok()?;
        // A detached head is no branch: `(HEAD detached at …)`.
        let mut named = branches.lines().filter(|branch| !branch.starts_with('('));
        named.find(|branch| self.bytes(&["cat-file", "-e", &format!("{branch}:./{file}")]).is_some()).map(str::to_owned)
    }
}

/// What the files of a migration may be called.
fn files(name: &str) -> [String; 3] {
    ["up.sql", "down.sql", "sql"].map(|ending| format!("{name}.{ending}"))
}

impl FileHistory for Git {
    fn head(&self) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", "HEAD"])
    }

    fn written(&self, name: &str) -> Option<(String, String)> {
        self.newest(&["--diff-filter=A"], &files(name))
    }

    fn find(&self, name: &str) -> Option<FoundFiles> {
        let files = files(name);
        let (commit, author) = self.newest(&["--all", "--full-history", "--diff-filter=AM"], &files)?;
        let contents: Vec<(String, Vec<u8>)> = files
            .iter()
            .filter_map(|file| Some((file.clone(), self.bytes(&["show", &format!("{commit}:./{file}")])?)))
            .collect();
        let first = contents.first().map(|(file, _)| file.clone())?;
        Some(FoundFiles { branch: self.branch_with(&commit, &first), commit, author, files: contents })
    }
}

impl Repository for Git {
    fn base(&self, reference: &str) -> Result<Base, RepositoryError> {
        let is_shallow = self.ask(&["rev-parse", "--is-shallow-repository"])?.trim() == "true";
        let unknown = || RepositoryError::NoReference { reference: reference.to_owned(), is_shallow };
        if reference.starts_with('-') {
            return Err(unknown());
        }
        let commit = format!("{reference}^{{commit}}");
        let found = self.capture(&["rev-parse", "--verify", "--quiet", &commit])?;
        if found.code != 0 {
            return Err(unknown());
        }
        let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        // No common commit, or none that a shallow clone has.
        let fork = self.capture(&["merge-base", "HEAD", &commit])?;
        let fork = String::from_utf8_lossy(&fork.stdout).trim().to_owned();
        Ok(Base { tip: self.tree(&commit)?, fork: if fork.is_empty() { None } else { Some(self.tree(&fork)?) } })
    }

    fn contents(&self, files: &[&str]) -> Result<Tree, RepositoryError> {
        /// Well below what a command line may hold (execve(2)).
        const AT_ONCE: usize = 200;
        let mut found = Tree::new();
        for files in files.chunks(AT_ONCE) {
            let objects = self.ask(&[&["hash-object", "--"], files].concat())?;
            found.extend(files.iter().map(|name| (*name).to_owned()).zip(objects.lines().map(str::to_owned)));
        }
        Ok(found)
    }
}
