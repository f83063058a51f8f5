use super::claim::{Claim, located};
use super::file::{self, COMMITTED_FILE, FileEntries, PERSONAL_FILE};
use super::search::{Found, check_file, search};
use super::trust::TRUSTED_CONFIG;
use super::{ConfigError, Origin, Request};
use std::path::{Path, PathBuf};

/// Whether a clone brought a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    Tracked,
    Untracked,
    /// It lies in no work tree, or git does not answer.
    Unknown,
}

pub(super) struct Root {
    pub(super) folder: PathBuf,
    pub(super) file: Option<PathBuf>,
    /// A file that was not read, because others may write to its folder.
    pub(super) passed_over: Option<PathBuf>,
    /// git does not track the personal file, so no clone brought it.
    pub(super) is_proven_personal: bool,
}

impl Root {
    /// Whether a clone may have brought the file that a value stands in.
    pub(super) fn is_brought(&self, origin: &Origin) -> bool {
        match (origin, &self.file) {
            (Origin::File { path, .. }, Some(file)) => !self.is_proven_personal || path == file,
            _ => false,
        }
    }

    pub(super) fn not_found(&self, request: &Request<'_>) -> ConfigError {
        ConfigError::NotFound { start: request.cwd.to_owned(), passed_over: self.passed_over.clone() }
    }
}

pub(super) struct Files {
    pub(super) committed: FileEntries,
    pub(super) personal: FileEntries,
    pub(super) root: Root,
}

impl Files {
    /// Those that a clone may have brought.
    pub(super) fn brought(&self) -> Vec<&FileEntries> {
        if self.root.is_proven_personal { vec![&self.committed] } else { vec![&self.committed, &self.personal] }
    }
}

pub(super) fn load_files(request: &Request<'_>) -> Result<Files, ConfigError> {
    let chosen = request
        .file
        .clone()
        .or_else(|| request.vars.get("DEVDB_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
        .map(|path| request.cwd.join(path));
    let is_chosen = chosen.is_some();
    let named = request.vars.get(TRUSTED_CONFIG).map(Path::new).filter(|path| path.is_absolute());
    let found = match chosen {
        Some(path) => Found::File(path),
        None => search(request.cwd, named)?,
    };
    let path = match found {
        Found::File(path) => path,
        Found::Nothing { passed_over } => {
            let folder = request.cwd.to_owned();
            let root = Root { folder, file: None, passed_over, is_proven_personal: true };
            let (committed, personal) = (FileEntries::default(), FileEntries::default());
            return Ok(Files { committed, personal, root });
        }
    };
    let committed = file::load(&path, false)?;
    let folder = path.parent().unwrap_or(request.cwd).to_owned();
    debug_assert!(path.file_name().is_some(), "a path to {COMMITTED_FILE} has a name");
    let is_named = is_chosen || named.is_some_and(|named| located(named) == located(&path));
    let (personal, is_proven_personal) = load_personal(request, &folder.join(PERSONAL_FILE), is_named)?;
    let root = Root { folder, file: Some(path), passed_over: None, is_proven_personal };
    Ok(Files { committed, personal, root })
}

/// A personal file that git tracks came with the clone, and one that another user may write is no person's own: both count
/// as the committed one does. The second is read only where the user named the file beside it.
fn load_personal(request: &Request<'_>, path: &Path, is_named: bool) -> Result<(FileEntries, bool), ConfigError> {
    if !path.is_file() {
        return Ok((FileEntries::default(), true));
    }
    let checked = check_file(path);
    let is_own = checked.is_ok();
    if !is_named {
        checked?;
    }
    let tracking = (request.tracking)(path);
    let entries = file::load(path, tracking != Tracking::Tracked)?;
    Ok((entries, is_own && tracking == Tracking::Untracked))
}

/// What the project's files claim, whichever environment is selected.
///
/// # Errors
/// As [`resolve`], where no file is found too.
pub fn claim(request: &Request<'_>) -> Result<Claim, ConfigError> {
    let files = load_files(request)?;
    let Some(file) = &files.root.file else { return Err(files.root.not_found(request)) };
    Ok(Claim::of(file, &files.brought()))
}
