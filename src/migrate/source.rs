use super::script::{Layout, Script, ScriptError};
use super::{Direction, MigrationName, NameError};
use crate::system::{Links, PlainFileError, oddity, read_plain};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// Larger ones than this are no SQL that a person or a tool wrote. All of a file is in memory while it runs.
pub(in crate::migrate) const LONGEST: u64 = 256 << 20;

/// Why the migrations could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the migrations folder {} was not found", dir.display())]
    NoFolder { dir: PathBuf },
    #[error("{} could not be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is {what} and no regular file", path.display())]
    NotPlain { path: PathBuf, what: &'static str },
    #[error("{} is longer than {} MiB", path.display(), LONGEST >> 20)]
    TooLong { path: PathBuf },
    #[error("{}: the file's name is not UTF-8", path.display())]
    NameNotUtf8 { path: PathBuf },
    #[error("{}: {reason}", path.display())]
    BadName { path: PathBuf, reason: NameError },
    #[error("{} and {} are both the migration `{name}`", first.display(), second.display())]
    Duplicate { name: String, first: PathBuf, second: PathBuf },
    #[error("{} has no {name}.up.sql beside it", path.display())]
    NoUp { name: String, path: PathBuf },
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// Where migrations come from: a folder, and later a git commit or the journal.
pub trait MigrationSource: Send + Sync {
    /// All names, in Kysely's order.
    fn names(&self) -> &[MigrationName];

    /// One direction's SQL; `None` when there is no down part.
    ///
    /// # Errors
    /// [`SourceError`] when the file cannot be read or run. Only files that are about to run are ever read, so an old
    /// file that nobody would run again stops nobody.
    fn script(&self, name: &MigrationName, direction: Direction) -> Result<Option<Script>, SourceError>;
}

/// Names of files in the folder.
#[derive(Debug)]
enum Files {
    Pair { up: String, down: Option<String> },
    Single(String),
}

/// A folder of `NAME.up.sql` with `NAME.down.sql`, or `NAME.sql` with parts. Subfolders and other files are left alone.
#[derive(Debug)]
pub struct FolderSource {
    names: Vec<MigrationName>,
    files: BTreeMap<MigrationName, Files>,
    dir: PathBuf,
    /// Files are named in messages relative to this folder.
    shown_from: PathBuf,
}

impl FolderSource {
    /// Lists the folder; no file is opened. What is called like a migration and is no regular file is refused here: it may
    /// lead out of the repository, and git would compare something else than what runs.
    ///
    /// # Errors
    /// [`SourceError`] for names that clash, lack an up part or cannot stand in the ledger.
    pub fn open(dir: &Path, shown_from: &Path) -> Result<Self, SourceError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => SourceError::NoFolder { dir: dir.to_owned() },
            _ => SourceError::Unreadable { path: dir.to_owned(), source },
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let file = entry.file_name();
            let is_migration = Path::new(&file).extension() == Some(OsStr::new("sql")) && !is_hidden(&file);
            if is_migration && let Some(what) = oddity(entry.file_type().map_err(unreadable)?) {
                return Err(SourceError::NotPlain { path: shown(&dir.join(&file), shown_from), what });
            }
            files.push(file);
        }
        // The folder's order is the file system's; the first of two clashing files must always be the same one.
        files.sort_unstable();
        Self::from_files(dir, files, shown_from)
    }

    /// A folder that is known by its files' names alone, such as another branch's; nothing of it can be read.
    ///
    /// # Errors
    /// As [`Self::open`], for the names.
    pub fn listed<'a>(names: impl Iterator<Item = &'a String>) -> Result<Self, SourceError> {
        Self::from_files(Path::new(""), names.map(OsString::from).collect(), Path::new(""))
    }

    /// The names of a migration's files.
    pub fn files(&self, name: &MigrationName) -> Vec<String> {
        match self.files.get(name) {
            Some(Files::Single(file)) => vec![file.clone()],
            Some(Files::Pair { up, down }) => [up].into_iter().chain(down).cloned().collect(),
            None => Vec::new(),
        }
    }

    fn from_files(dir: &Path, listed: Vec<OsString>, shown_from: &Path) -> Result<Self, SourceError> {
        let shown = |file: &OsStr| shown(&dir.join(file), shown_from);
        let mut files: BTreeMap<MigrationName, Files> = BTreeMap::new();
        let mut downs = Vec::new();
        for file in listed.into_iter().filter(|file| Path::new(file).extension() == Some(OsStr::new("sql"))) {
            let file = file.into_string().map_err(|file| SourceError::NameNotUtf8 { path: shown(&file) })?;
            let stem = file.strip_suffix(".sql").unwrap_or(&file);
            if is_hidden(file.as_ref()) {
                continue;
            }
            let (stem, is_pair) = stem.strip_suffix(".up").map_or((stem, false), |name| (name, true));
            let (text, is_down) = stem.strip_suffix(".down").map_or((stem, false), |name| (name, true));
            let bad = |reason| SourceError::BadName { path: shown(file.as_ref()), reason };
            let name = MigrationName::parse(text).map_err(bad)?;
            if is_down {
                downs.push((name, file));
                continue;
            }
            match files.entry(name) {
                Entry::Vacant(vacant) => {
                    vacant.insert(if is_pair { Files::Pair { up: file, down: None } } else { Files::Single(file) });
                }
                Entry::Occupied(taken) => {
                    let (Files::Pair { up: first, .. } | Files::Single(first)) = taken.get();
                    let (first, second) = (shown(first.as_ref()), shown(file.as_ref()));
                    return Err(SourceError::Duplicate { name: taken.key().to_string(), first, second });
                }
            }
        }
        for (name, file) in downs {
            match files.get_mut(&name) {
                Some(Files::Pair { down, .. }) => *down = Some(file),
                Some(Files::Single(first)) => {
                    let (first, second) = (shown(first.as_ref()), shown(file.as_ref()));
                    return Err(SourceError::Duplicate { name: name.to_string(), first, second });
                }
                None => return Err(SourceError::NoUp { name: name.to_string(), path: shown(file.as_ref()) }),
            }
        }
        let (dir, shown_from) = (dir.to_owned(), shown_from.to_owned());
        Ok(Self { names: files.keys().cloned().collect(), files, dir, shown_from })
    }
}

/// Some editor's or tool's own.
fn is_hidden(file: &OsStr) -> bool {
    file.as_encoded_bytes().starts_with(b".")
}

/// Reads a file of the folder.
pub(super) fn read(path: &Path, shown: &Path) -> Result<Vec<u8>, SourceError> {
    let path_shown = || shown.to_owned();
    read_plain(path, Links::Refused, LONGEST).map_err(|error| match error {
        PlainFileError::NotPlain { what } => SourceError::NotPlain { path: path_shown(), what },
        PlainFileError::TooLong { .. } => SourceError::TooLong { path: path_shown() },
        PlainFileError::Unreadable(source) => SourceError::Unreadable { path: path_shown(), source },
    })
}

fn shown(path: &Path, from: &Path) -> PathBuf {
    path.strip_prefix(from).unwrap_or(path).to_owned()
}

impl MigrationSource for FolderSource {
    fn names(&self) -> &[MigrationName] {
        &self.names
    }

    fn script(&self, name: &MigrationName, direction: Direction) -> Result<Option<Script>, SourceError> {
        let (file, layout) = match (self.files.get(name), direction) {
            (Some(Files::Single(file)), _) => (file, Layout::Parts),
            (Some(Files::Pair { up, .. }), Direction::Up) => (up, Layout::Whole),
            (Some(Files::Pair { down: Some(down), .. }), Direction::Down) => (down, Layout::Whole),
            (Some(Files::Pair { down: None, .. }), Direction::Down) | (None, _) => return Ok(None),
        };
        let path = self.dir.join(file);
        let shown = shown(&path, &self.shown_from);
        Ok(Script::parse(&shown, read(&path, &shown)?, layout, direction)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(names: &[&str]) -> Result<FolderSource, SourceError> {
        FolderSource::from_files(Path::new("/p/m"), names.iter().map(OsString::from).collect(), Path::new("/p"))
    }

    #[test]
    fn names_come_in_kyselys_order_and_other_files_are_left_alone() {
        let found =
            source(&["a_x.up.sql", "B_x.sql", "a_x.down.sql", "c.ts", "README.md", ".d.sql", "v1.2_y.sql"]).unwrap();
        let names: Vec<&str> = found.names().iter().map(MigrationName::as_str).collect();
        assert_eq!(names, ["B_x", "a_x", "v1.2_y"]);
    }

    #[test]
    fn names_that_clash_or_lack_an_up_are_refused() {
        let said = |names: &[&str]| source(names).unwrap_err().to_string();
        assert_eq!(said(&["a.sql", "a.up.sql"]), "m/a.sql and m/a.up.sql are both the migration `a`");
        assert_eq!(said(&["a.sql", "a.down.sql"]), "m/a.sql and m/a.down.sql are both the migration `a`");
        assert_eq!(said(&["a.down.sql"]), "m/a.down.sql has no a.up.sql beside it");
        assert_eq!(said(&["latest.sql"]), "m/latest.sql: `latest` is a target of `migrate to`, so it cannot be a name");
    }
}
