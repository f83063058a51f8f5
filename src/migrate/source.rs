use super::script::{Layout, Script, ScriptError};
use super::{Direction, MigrationName, NameError};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Why the migrations could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("the migrations folder {} was not found", dir.display())]
    NoFolder { dir: PathBuf },
    #[error("{} could not be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
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

#[derive(Debug)]
enum Files {
    Pair { up: PathBuf, down: Option<PathBuf> },
    Single(PathBuf),
}

/// A folder of `NAME.up.sql` with `NAME.down.sql`, or `NAME.sql` with parts. Subfolders and other files are left alone.
#[derive(Debug)]
pub struct FolderSource {
    names: Vec<MigrationName>,
    files: BTreeMap<MigrationName, Files>,
    /// Files are named in messages relative to this folder.
    shown_from: PathBuf,
}

impl FolderSource {
    /// Lists the folder; no file is opened.
    ///
    /// # Errors
    /// [`SourceError`] for names that clash, lack an up part or cannot stand in the ledger.
    pub fn open(dir: &Path, shown_from: &Path) -> Result<Self, SourceError> {
        let unreadable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => SourceError::NoFolder { dir: dir.to_owned() },
            _ => SourceError::Unreadable { path: dir.to_owned(), source },
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        // The folder's order is the file system's; the first of two clashing files must always be the same one.
        paths.sort();
        Self::from_paths(paths, shown_from)
    }

    /// A folder that is known by its files' names alone, such as another branch's; nothing of it can be read.
    ///
    /// # Errors
    /// As [`Self::open`], for the names.
    pub fn listed<'a>(names: impl Iterator<Item = &'a String>) -> Result<Self, SourceError> {
        Self::from_paths(names.map(PathBuf::from).collect(), Path::new(""))
    }

    /// The names of a migration's files.
    pub fn files(&self, name: &MigrationName) -> Vec<String> {
        let paths: Vec<&PathBuf> = match self.files.get(name) {
            Some(Files::Single(path)) => vec![path],
            Some(Files::Pair { up, down }) => [up].into_iter().chain(down).collect(),
            None => Vec::new(),
        };
        paths.into_iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    }

    fn from_paths(paths: Vec<PathBuf>, shown_from: &Path) -> Result<Self, SourceError> {
        let mut files: BTreeMap<MigrationName, Files> = BTreeMap::new();
        let mut downs = Vec::new();
        for path in paths.into_iter().filter(|path| path.extension() == Some(OsStr::new("sql"))) {
            let shown = || shown(&path, shown_from);
            let stem =
                path.file_stem().and_then(OsStr::to_str).ok_or_else(|| SourceError::NameNotUtf8 { path: shown() })?;
            if stem.starts_with('.') {
                continue;
            }
            let (text, found) = match stem.strip_suffix(".up") {
                Some(name) => (name, Files::Pair { up: path.clone(), down: None }),
                None => (stem, Files::Single(path.clone())),
            };
            let (text, is_down) = text.strip_suffix(".down").map_or((text, false), |name| (name, true));
            let name = MigrationName::parse(text).map_err(|reason| SourceError::BadName { path: shown(), reason })?;
            if is_down {
                downs.push((name, path));
                continue;
            }
            match files.entry(name) {
                Entry::Vacant(vacant) => {
                    vacant.insert(found);
                }
                Entry::Occupied(taken) => {
                    let (Files::Pair { up: first, .. } | Files::Single(first)) = taken.get();
                    let first = self::shown(first, shown_from);
                    return Err(SourceError::Duplicate { name: text.to_owned(), first, second: shown() });
                }
            }
        }
        for (name, path) in downs {
            match files.get_mut(&name) {
                Some(Files::Pair { down, .. }) => *down = Some(path),
                Some(Files::Single(first)) => {
                    let (first, second) = (shown(first, shown_from), shown(&path, shown_from));
                    return Err(SourceError::Duplicate { name: name.to_string(), first, second });
                }
                None => return Err(SourceError::NoUp { name: name.to_string(), path: shown(&path, shown_from) }),
            }
        }
        Ok(Self { names: files.keys().cloned().collect(), files, shown_from: shown_from.to_owned() })
    }
}

fn shown(path: &Path, from: &Path) -> PathBuf {
    path.strip_prefix(from).unwrap_or(path).to_owned()
}

impl MigrationSource for FolderSource {
    fn names(&self) -> &[MigrationName] {
        &self.names
    }

    fn script(&self, name: &MigrationName, direction: Direction) -> Result<Option<Script>, SourceError> {
        let (path, layout) = match (self.files.get(name), direction) {
            (Some(Files::Single(path)), _) => (path, Layout::Parts),
            (Some(Files::Pair { up, .. }), Direction::Up) => (up, Layout::Whole),
            (Some(Files::Pair { down: Some(down), .. }), Direction::Down) => (down, Layout::Whole),
            (Some(Files::Pair { down: None, .. }), Direction::Down) | (None, _) => return Ok(None),
        };
        let shown = shown(path, &self.shown_from);
        let bytes = std::fs::read(path).map_err(|source| SourceError::Unreadable { path: shown.clone(), source })?;
        Ok(Script::parse(&shown, &bytes, layout, direction)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(names: &[&str]) -> Result<FolderSource, SourceError> {
        FolderSource::from_paths(names.iter().map(|name| Path::new("/p/m").join(name)).collect(), Path::new("/p"))
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
