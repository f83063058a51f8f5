use crate::migrate::{Base, Repository, RepositoryError, Tree};
use crate::system::{Captured, ProcessError, Processes, SpawnSpec};
use std::path::Path;
use std::sync::Arc;

/// git, asked through its own program.
pub(crate) struct GitRepository {
    processes: Arc<dyn Processes>,
}

impl GitRepository {
    pub(crate) fn new(processes: Arc<dyn Processes>) -> Self {
        Self { processes }
    }

    fn capture(&self, dir: &Path, args: &[&str]) -> Result<Captured, RepositoryError> {
        let spec = SpawnSpec {
            program: "git".into(),
            args: args.iter().map(Into::into).collect(),
            // Its messages are read.
            env: vec![("LC_ALL".into(), "C".into())],
            cwd: Some(dir.to_owned()),
            ..SpawnSpec::default()
        };
        self.processes.capture(&spec).map_err(|error| match error {
            ProcessError::NotFound { .. } => RepositoryError::NoGit,
            error => RepositoryError::Failed { command: args.join(" "), message: error.to_string() },
        })
    }

    fn ask(&self, dir: &Path, args: &[&str]) -> Result<String, RepositoryError> {
        let found = self.capture(dir, args)?;
        if found.code == 0 {
            return Ok(String::from_utf8_lossy(&found.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&found.stderr);
        if said.contains("not a git repository") {
            return Err(RepositoryError::NotARepository { dir: dir.to_owned() });
        }
        let message = said.trim().trim_start_matches("fatal: ").to_owned();
        Err(RepositoryError::Failed { command: args.first().copied().unwrap_or_default().to_owned(), message })
    }

    /// The files of the folder itself, in a commit; `ls-tree` counts from the working directory (git-ls-tree(1)).
    fn tree(&self, dir: &Path, commit: &str) -> Result<Tree, RepositoryError> {
        let listed = self.ask(dir, &["ls-tree", "-z", commit])?;
        let entry = |entry: &str| {
            // `<mode> SP <type> SP <object> TAB <file>`
            let (about, name) = entry.split_once('\t')?;
            let mut words = about.split(' ').skip(1);
            (words.next() == Some("blob")).then_some(())?;
            Some((name.to_owned(), words.next()?.to_owned()))
        };
        Ok(listed.split('\0').filter_map(entry).collect())
    }
}

impl Repository for GitRepository {
    fn base(&self, dir: &Path, reference: &str) -> Result<Base, RepositoryError> {
        let is_shallow = self.ask(dir, &["rev-parse", "--is-shallow-repository"])?.trim() == "true";
        let unknown = || RepositoryError::NoReference { reference: reference.to_owned(), is_shallow };
        if reference.starts_with('-') {
            return Err(unknown());
        }
        let commit = format!("{reference}^{{commit}}");
        let found = self.capture(dir, &["rev-parse", "--verify", "--quiet", &commit])?;
        if found.code != 0 {
            return Err(unknown());
        }
        let commit = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        // No common commit, or none that a shallow clone has.
        let fork = self.capture(dir, &["merge-base", "HEAD", &commit])?;
        let fork = String::from_utf8_lossy(&fork.stdout).trim().to_owned();
        Ok(Base {
            tip: self.tree(dir, &commit)?,
            fork: if fork.is_empty() { None } else { Some(self.tree(dir, &fork)?) },
        })
    }

    fn contents(&self, dir: &Path, files: &[&str]) -> Result<Tree, RepositoryError> {
        /// Well below what a command line may hold (execve(2)).
        const AT_ONCE: usize = 200;
        let mut found = Tree::new();
        for files in files.chunks(AT_ONCE) {
            let objects = self.ask(dir, &[&["hash-object", "--"], files].concat())?;
            found.extend(files.iter().map(|name| (*name).to_owned()).zip(objects.lines().map(str::to_owned)));
        }
        Ok(found)
    }
}
