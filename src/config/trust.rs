use super::claim::{Claim, ClaimedValue, located};
use super::search::is_own;
use super::{ConfigError, paths};
use crate::system::{hex, write_private};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The variable that trusts a file whatever it holds, for machines without a terminal: an absolute path.
pub const TRUSTED_CONFIG: &str = "DEVDB_TRUSTED_CONFIG";

/// What was trusted of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    file: PathBuf,
    project: Option<String>,
    values: Vec<ClaimedValue>,
}

/// How a file stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// All that it claims was trusted.
    Trusted,
    /// By [`TRUSTED_CONFIG`].
    TrustedByVariable,
    /// Nothing of it was ever trusted; these files have the same project.
    New { others: Vec<PathBuf> },
    /// It claims something else than what was trusted, which was this.
    Changed { before: Vec<ClaimedValue> },
}

impl Standing {
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted | Self::TrustedByVariable)
    }
}

/// The files that the user trusts, in the state folder: one record a file, which holds the values themselves.
///
/// As direnv's `allow` and mise's `trust`; unlike theirs, a record is about values and not about the file's bytes, so that
/// a new comment or another migrations folder asks nothing.
pub struct TrustStore {
    folder: PathBuf,
    by_variable: Option<PathBuf>,
}

impl TrustStore {
    /// # Errors
    /// No home; a [`TRUSTED_CONFIG`] that is no absolute path: a relative one would trust every clone.
    pub fn locate(vars: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let by_variable = vars.get(TRUSTED_CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = by_variable.as_ref().filter(|path| !path.is_absolute()) {
            return Err(ConfigError::RelativeTrust { path: path.clone() });
        }
        // No project's name begins with a dot.
        Ok(Self { folder: paths::state_home(vars)?.join(".trust"), by_variable })
    }

    /// How the file stands that claims this.
    pub fn standing(&self, claim: &Claim) -> Standing {
        if self.by_variable.as_deref().is_some_and(|path| located(path) == claim.file) {
            return Standing::TrustedByVariable;
        }
        match self.read(&self.record_of(&claim.file)).filter(|record| record.file == claim.file) {
            Some(record) if record.values == claim.values => Standing::Trusted,
            Some(record) => Standing::Changed { before: record.values },
            None => Standing::New { others: self.others(claim) },
        }
    }

    /// Trusts what the file claims now.
    pub fn keep(&self, claim: &Claim) -> Result<(), ConfigError> {
        let failed = |source| ConfigError::State { path: self.folder.clone(), source };
        self.folder.parent().into_iter().chain([self.folder.as_path()]).try_for_each(paths::ensure_private)?;
        let record = Record { file: claim.file.clone(), project: claim.project.clone(), values: claim.values.clone() };
        let text = serde_json::to_string_pretty(&record).map_err(|error| failed(error.into()))?;
        write_private(&self.record_of(&claim.file), text.as_bytes()).map_err(failed)
    }

    /// Takes the trust back; false when there was none.
    pub fn forget(&self, file: &Path) -> Result<bool, ConfigError> {
        let path = self.record_of(file);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(ConfigError::State { path, source }),
        }
    }

    fn record_of(&self, file: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let digest = Sha256::digest(file.as_os_str().as_bytes());
        self.folder.join(hex(&digest[..16])).with_extension("json")
    }

    /// A record that another user has written, or may write, is none.
    fn read(&self, path: &Path) -> Option<Record> {
        let is_own = |path: &Path| path.metadata().is_ok_and(|about| is_own(&about));
        (is_own(self.folder.parent()?) && is_own(&self.folder) && is_own(path)).then_some(())?;
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Other trusted files of the same project, which share its state folder.
    fn others(&self, claim: &Claim) -> Vec<PathBuf> {
        let records = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let records = records.filter_map(|entry| self.read(&entry.path()));
        let same = records.filter(|record| record.project.is_some() && record.project == claim.project);
        let mut files: Vec<PathBuf> = same.map(|record| record.file).filter(|file| *file != claim.file).collect();
        files.sort();
        files
    }
}
