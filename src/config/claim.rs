use super::file::{FileEntries, PERSONAL_FILE};
use super::keys::{KEYS, Key, Kind, Scope};
use super::{Entry, Origin, Value};
use crate::system::{Links, hex, read_plain};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Settings of an environment that name no account, no database and no program, and let no one in.
const HARMLESS: [&str; 4] = ["env.client", "tunnel.writer_port", "tunnel.reader_port", "tunnel.hold"];

/// Bytes of a file of certificates; what is longer is not used either.
const LONGEST: u64 = 16 * 1024 * 1024;

impl Key {
    /// Whether a committed file's value counts only after `devdb trust`: it runs a program, or says which account and
    /// database are used, who is believed, who is let in, or what may be done. `project` and `alias` are among them
    /// because they name the state folder, with the bastion's key and the tunnel, and the bastion itself.
    pub fn needs_trust(&self) -> bool {
        matches!(self.name, "project" | "alias") || (self.scope == Scope::Environment && !HARMLESS.contains(&self.name))
    }
}

/// A value that a file claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClaimedValue {
    /// `project`, or `NAME.key` for the environment NAME; the file is said too where it is not the committed one, because
    /// the personal one wins: the same values in each other's place have another effect.
    pub key: String,
    pub value: Value,
    /// SHA-256 of the file that the value names, in hex; another content is another claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Everything that the files of a project claim and that needs trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Where the committed file lies: the claim is this file's and no other's.
    pub file: PathBuf,
    pub project: Option<String>,
    /// In the order of their keys.
    pub values: Vec<ClaimedValue>,
}

impl Claim {
    /// Whether a value of this environment names a file with another content than was claimed.
    pub fn has_moved_on(&self, environment: &str, key: &str, entry: &Entry, content: &str) -> bool {
        let Origin::File { path, .. } = &entry.origin else { return false };
        let name = said_of(path.file_name() == self.file.file_name(), format!("{environment}.{key}"));
        let mut claimed = self.values.iter().filter(|value| value.key == name);
        claimed.any(|value| value.content.as_deref() != Some(content))
    }

    /// `files` are those that a clone may have brought: the committed one, and perhaps the personal one.
    pub(super) fn of(path: &Path, files: &[&FileEntries]) -> Self {
        let mut values = Vec::new();
        for key in KEYS.iter().filter(|key| key.needs_trust()) {
            for (number, file) in files.iter().enumerate() {
                let of_file = |name| said_of(number == 0, name);
                let top = file.top.get(key.name).map(|entry| (key.name.to_owned(), entry));
                let environments = file
                    .environments
                    .iter()
                    .filter_map(|(name, entries)| Some((format!("{name}.{}", key.name), entries.get(key.name)?)));
                values.extend(
                    top.into_iter().chain(environments).map(|(name, entry)| claimed(key, of_file(name), entry)),
                );
            }
        }
        values.sort();
        let project = files.iter().rev().find_map(|file| match &file.top.get("project")?.value {
            Value::Text(project) => Some(project.clone()),
            _ => None,
        });
        Self { file: located(path), project, values }
    }
}

/// The path with a folder without links. The file itself may be a link that a clone brought: what it leads to may be
/// trusted, and what lies beside the link is not.
pub(super) fn located(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn said_of(is_committed: bool, name: String) -> String {
    if is_committed { name } else { format!("{name} ({PERSONAL_FILE})") }
}

fn claimed(key: &Key, name: String, entry: &Entry) -> ClaimedValue {
    let named = match (&entry.value, &entry.origin) {
        (Value::Text(text), Origin::File { path, .. }) if key.kind == Kind::Path => {
            Some(path.parent().unwrap_or(Path::new("")).join(text))
        }
        _ => None,
    };
    let content = named
        .and_then(|path| read_plain(&path, Links::Followed, LONGEST).ok())
        .map(|bytes| hex(&Sha256::digest(bytes)));
    ClaimedValue { key: name, value: entry.value.clone(), content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_to_be_harmless_needs_trust() {
        let harmless: Vec<&str> = KEYS.iter().filter(|key| !key.needs_trust()).map(|key| key.name).collect();
        let migrations =
            ["dir", "table", "lock_table", "schema", "allow_unordered"].map(|key| format!("migrations.{key}"));
        let expected: Vec<&str> = migrations.iter().map(String::as_str).chain(HARMLESS).collect();
        assert_eq!(harmless, expected);
    }
}
