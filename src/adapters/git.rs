//! git, asked through its own command line.

use crate::migrate::{Base, FileHistory, FoundFiles, Repository, RepositoryError, Tree};
use crate::system::{Captured, ProcessError, Processes, git, work_tree};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Well below what a command line may hold (execve(2)).
const AT_ONCE: usize = 200;

/// The repository around a folder, if there is one.
pub(crate) struct Git {
    processes: Arc<dyn Processes>,
    dir: PathBuf,
    /// The top of the work tree, and the folder as seen from there.
    place: Option<(PathBuf, PathBuf)>,
}

impl Git {
    pub(crate) fn new(processes: Arc<dyn Processes>, dir: &Path) -> Self {
        let place = work_tree(dir).and_then(|top| {
            let inside = dir.canonicalize().ok()?.strip_prefix(&top).ok()?.to_owned();
            Some((top, inside))
        });
        Self { processes, dir: dir.to_owned(), place }
    }

    fn capture<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Captured, RepositoryError> {
        let Some((top, _)) = &self.place else {
            return Err(RepositoryError::NotARepository { dir: self.dir.clone() });
        };
        let literal = std::iter::once("--literal-pathspecs".into());
        let spec = git(top, literal.chain(words.iter().map(|word| word.as_ref().to_owned())));
        self.processes.capture(&spec).map_err(|error| match error {
            ProcessError::NotFound { .. } => RepositoryError::NoGit,
            error => RepositoryError::Failed { command: command(words), message: error.to_string() },
        })
    }

    /// A file of the folder, as git names it.
    fn path(&self, file: &str) -> OsString {
        self.place.as_ref().map_or_else(|| file.into(), |(_, inside)| inside.join(file).into_os_string())
    }

    /// Such a file, in a commit.
    fn object(&self, commit: &str, file: &str) -> OsString {
        let mut object = OsString::from(format!("{commit}:"));
        object.push(self.path(file));
        object
    }

    /// Words, and behind them the files.
    fn about(&self, words: &[&str], files: &[&str]) -> Vec<OsString> {
        let words = words.iter().map(OsString::from);
        words.chain([OsString::from("--")]).chain(files.iter().map(|file| self.path(file))).collect()
    }

    /// What git printed; none when it failed, or is not installed.
    fn bytes<S: AsRef<OsStr>>(&self, words: &[S]) -> Option<Vec<u8>> {
        let found = self.capture(words).ok()?;
        (found.code == 0).then_some(found.stdout)
    }

    fn line<S: AsRef<OsStr>>(&self, words: &[S]) -> Option<String> {
        let text = String::from_utf8(self.bytes(words)?).ok()?;
        text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
    }

    /// The newest commit that these options find, and its author.
    fn newest(&self, options: &[&str], files: &[String]) -> Option<(String, String)> {
        let log = ["log", "-1", "--format=%H%x09%an", "--no-show-signature", "--no-ext-diff", "--no-textconv"];
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let line = self.line(&self.about(&[&log, options].concat(), &files))?;
        let (commit, author) = line.split_once('\t')?;
        Some((commit.to_owned(), author.to_owned()))
    }

    fn ask<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String, RepositoryError> {
        let found = self.capture(words)?;
        if found.code == 0 {
            return Ok(String::from_utf8_lossy(&found.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&found.stderr);
        if said.contains("not a git repository") {
            return Err(RepositoryError::NotARepository { dir: self.dir.clone() });
        }
        let message = said.trim().trim_start_matches("fatal: ").to_owned();
        Err(RepositoryError::Failed { command: command(words), message })
    }

    /// The files of the folder itself, in a commit.
    fn tree(&self, commit: &str) -> Result<Tree, RepositoryError> {
        // The last slash asks for what is in the folder (git-ls-tree(1)); the top itself has no name.
        let folder = Some(self.path("")).filter(|folder| !folder.is_empty());
        let words = ["ls-tree", "-z", commit, "--"].map(OsString::from);
        let listed = self.ask(&words.into_iter().chain(folder).collect::<Vec<_>>())?;
        let entry = |entry: &str| {
            // `<mode> SP <type> SP <object> TAB <file>`
            let (about, path) = entry.split_once('\t')?;
            let mut words = about.split(' ').skip(1);
            (words.next() == Some("blob")).then_some(())?;
            Some((name(path), words.next()?.to_owned()))
        };
        Ok(listed.split('\0').filter_map(entry).collect())
    }

    /// A branch behind this commit that still has the file.
    fn branch_with(&self, commit: &str, file: &str) -> Option<String> {
        let contains = format!("--contains={commit}");
        let words = ["for-each-ref", &contains, "--format=%(refname:short)", "refs/heads", "refs/remotes"];
        let branches = String::from_utf8(self.bytes(&words)?).ok()?;
        let has_file =
            |branch: &&str| self.bytes(&["cat-file".into(), "-e".into(), self.object(branch, file)]).is_some();
        branches.lines().find(has_file).map(str::to_owned)
    }

    /// Those of the files whose content goes through a program of the configuration (git-lfs, git-crypt) on its way into
    /// the repository. Nothing is run for that answer.
    fn filtered<'a>(&self, files: &[&'a str]) -> Result<BTreeSet<&'a str>, RepositoryError> {
        let said = self.ask(&self.about(&["check-attr", "-z", "filter"], files))?;
        // `<path> NUL <attribute> NUL <value> NUL`; programs of these three names are turned off.
        let values = said.split('\0').skip(2).step_by(3);
        let is_filtered = |value: &str| !matches!(value, "unspecified" | "unset" | "set");
        Ok(files.iter().zip(values).filter(|(_, value)| is_filtered(value)).map(|(file, _)| *file).collect())
    }

    /// The ids of the files as they were added last (`git add`).
    fn added(&self, files: &[&str]) -> Result<Tree, RepositoryError> {
        let listed = self.ask(&self.about(&["ls-files", "-s", "-z"], files))?;
        let entry = |entry: &str| {
            // `<mode> SP <object> SP <stage> TAB <file>`
            let (about, path) = entry.split_once('\t')?;
            Some((name(path), about.split(' ').nth(1)?.to_owned()))
        };
        Ok(listed.split('\0').filter_map(entry).collect())
    }

    fn hashed(&self, words: &[&str], files: &[&str]) -> Result<Tree, RepositoryError> {
        if files.is_empty() {
            return Ok(Tree::new());
        }
        let objects = self.ask(&self.about(words, files))?;
        Ok(files.iter().map(|name| (*name).to_owned()).zip(objects.lines().map(str::to_owned)).collect())
    }
}

/// The file that a path of git names.
fn name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// The command that these words give, for a message.
fn command<S: AsRef<OsStr>>(words: &[S]) -> String {
    words.first().map(|word| word.as_ref().to_string_lossy().into_owned()).unwrap_or_default()
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
        let content = |file: &str| self.bytes(&["cat-file".into(), "blob".into(), self.object(&commit, file)]);
        let contents: Vec<(String, Vec<u8>)> =
            files.iter().filter_map(|file| Some((file.clone(), content(file)?))).collect();
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

    /// A file that goes through a program counts as it was added last: running the program is what a clone must not
    /// bring about. One that was never added counts as it is.
    fn contents(&self, files: &[&str]) -> Result<Tree, RepositoryError> {
        let mut found = Tree::new();
        for files in files.chunks(AT_ONCE) {
            let filtered = self.filtered(files)?;
            let (filtered, plain): (Vec<&str>, Vec<&str>) = files.iter().partition(|file| filtered.contains(*file));
            found.extend(self.hashed(&["hash-object"], &plain)?);
            let added = if filtered.is_empty() { Tree::new() } else { self.added(&filtered)? };
            let new: Vec<&str> = filtered.into_iter().filter(|file| !added.contains_key(*file)).collect();
            found.extend(added);
            found.extend(self.hashed(&["hash-object", "--no-filters"], &new)?);
        }
        Ok(found)
    }
}
