use super::sources::SourceFile;
use crate::migrate::{Direction, source::LONGEST};
use crate::system::{Links, Processes, read_plain};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What stands in the folder under the names that an import is concerned with.
pub(super) type Standing = BTreeMap<String, Vec<u8>>;

/// A file that could not be read, written or moved.
#[derive(Debug, thiserror::Error)]
#[error("{} could not be {what}", path.display())]
pub struct FileError {
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl FileError {
    fn new(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, what, source }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewFile {
    pub(super) file: String,
    pub(super) text: String,
    /// A file of another content may be there.
    pub(super) replaces: bool,
}

/// Reads what is there; a missing folder holds nothing.
pub(super) fn standing(dir: &Path, sources: &[SourceFile]) -> Result<Standing, FileError> {
    let mut found = Standing::new();
    let endings = [Direction::Up, Direction::Down].map(|direction| format!("{}.sql", direction.word()));
    for SourceFile { name, .. } in sources {
        for ending in endings.iter().map(String::as_str).chain(["sql"]) {
            let file = format!("{name}.{ending}");
            let path = dir.join(&file);
            match read_plain(&path, Links::Refused, LONGEST).map_err(io::Error::from) {
                Ok(bytes) => {
                    found.insert(file, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(FileError::new(&path, "read")(error)),
            }
        }
    }
    Ok(found)
}

/// Where the files stand until all of them are complete; gone afterwards, however that ends.
struct Staging(PathBuf);

const STAGING: &str = ".devdb-import-";

impl Staging {
    /// What a killed import left goes first: its process is no more.
    fn make(dir: &Path, processes: &dyn Processes) -> Result<Self, FileError> {
        fs::create_dir_all(dir).map_err(FileError::new(dir, "made"))?;
        for entry in fs::read_dir(dir).map_err(FileError::new(dir, "read"))?.flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(STAGING)?.parse::<u32>().ok());
            if pid.is_some_and(|pid| pid != std::process::id() && processes.find(pid).is_none()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let path = dir.join(format!("{STAGING}{}", std::process::id()));
        fs::create_dir(&path).map_err(FileError::new(&path, "made"))?;
        Ok(Self(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes all files, or none: they are complete before the first one gets its name, and what has its name already loses it
/// again when another one cannot have its own. A kill in between leaves the first of them; the next import goes on.
pub(super) fn write(dir: &Path, files: &[NewFile], processes: &dyn Processes) -> Result<(), FileError> {
    if files.is_empty() {
        return Ok(());
    }
    let staging = Staging::make(dir, processes)?;
    for NewFile { file, text, .. } in files {
        let path = staging.0.join(file);
        let written = fs::File::create(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(FileError::new(&path, "written"))?;
    }
    let mut placed: Vec<&NewFile> = Vec::new();
    for new in files {
        if let Err(error) = place(&staging.0, dir, new) {
            placed.iter().rev().for_each(|new| take_back(&staging.0, dir, new));
            return Err(FileError::new(&dir.join(&new.file), "written")(error));
        }
        placed.push(new);
    }
    Ok(())
}

fn old(staging: &Path, new: &NewFile) -> PathBuf {
    staging.join(format!("{}.old", new.file))
}

fn place(staging: &Path, dir: &Path, new: &NewFile) -> io::Result<()> {
    let (from, to) = (staging.join(&new.file), dir.join(&new.file));
    if new.replaces {
        fs::hard_link(&to, old(staging, new))?;
        return fs::rename(from, to);
    }
    // A link, because renaming would overwrite what somebody has saved in the meantime.
    fs::hard_link(from, to)
}

fn take_back(staging: &Path, dir: &Path, new: &NewFile) {
    let path = dir.join(&new.file);
    // Only while it is what was put there.
    if fs::read(&path).is_ok_and(|bytes| bytes == new.text.as_bytes()) {
        let _ = if new.replaces { fs::rename(old(staging, new), path) } else { fs::remove_file(path) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeProcesses;

    fn new(file: &str, replaces: bool) -> NewFile {
        NewFile { file: file.to_owned(), text: format!("-- new {file}"), replaces }
    }

    fn listed(dir: &Path) -> Vec<(String, String)> {
        let text = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path));
        let mut files: Vec<(String, String)> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| text(entry.unwrap().path()))
            .map(|(name, text)| (name, text.unwrap_or_else(|_| "a folder".to_owned())))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_file_that_appears_in_between_stops_all_and_everything_is_as_before() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b"), "-- old b").unwrap();
        fs::write(folder.path().join("c"), "-- somebody else's c").unwrap();
        let before = listed(folder.path());
        let files = [new("a", false), new("b", true), new("c", false), new("d", false)];
        let error = write(folder.path(), &files, &FakeProcesses::default()).unwrap_err();
        assert!(error.to_string().ends_with("c could not be written"), "{error}");
        assert_eq!(listed(folder.path()), before);
        fs::remove_file(folder.path().join("c")).unwrap();
        write(folder.path(), &files, &FakeProcesses::default()).unwrap();
        let wanted = ["a", "b", "c", "d"].map(|name| (name.to_owned(), format!("-- new {name}")));
        assert_eq!(listed(folder.path()), wanted);
    }

    #[test]
    fn what_a_killed_import_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".devdb-import-4000000000");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("a"), "-- half").unwrap();
        fs::create_dir(folder.path().join(".devdb-import-mine")).unwrap();
        write(folder.path(), &[new("a", false)], &FakeProcesses::default()).unwrap();
        let names: Vec<String> = listed(folder.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [".devdb-import-mine", "a"]);
    }
}
