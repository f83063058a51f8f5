use crate::migrate::{MigrationName, NameError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A file that Kysely would take for a migration if it exports `up`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    pub name: MigrationName,
    /// Its name in the folder.
    pub file: String,
}

/// Why the project's migrations could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    #[error("{} could not be read", dir.display())]
    Unreadable { dir: PathBuf, source: io::Error },
    #[error("there is no migration in TypeScript or JavaScript in {}", dir.display())]
    None { dir: PathBuf },
    #[error("{first} and {second} are both the migration `{name}`")]
    Duplicate { name: MigrationName, first: String, second: String },
    #[error("{file}: {reason}")]
    BadName { file: String, reason: NameError },
    #[error("{file}: a name that ends in `.down` would be taken for a down file")]
    LooksLikeDown { file: String },
}

/// The migrations of a folder, in Kysely's order; subfolders are left alone (`FileMigrationProvider`, Kysely 0.29: `.js`, `.ts`,
/// `.mjs`, `.mts`, `.cjs`, `.cts`, without `.d.ts` and its like).
///
/// # Errors
/// [`SourcesError`] when there is none, or two have one name.
pub(super) fn sources(dir: &Path) -> Result<Vec<SourceFile>, SourcesError> {
    let unreadable = |source| SourcesError::Unreadable { dir: dir.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    let found = chosen(names)?;
    if found.is_empty() { Err(SourcesError::None { dir: dir.to_owned() }) } else { Ok(found) }
}

fn chosen(mut files: Vec<String>) -> Result<Vec<SourceFile>, SourcesError> {
    files.sort();
    let mut found: BTreeMap<MigrationName, String> = BTreeMap::new();
    for file in files {
        let Some((stem, extension)) = file.rsplit_once('.') else { continue };
        let is_declaration = stem.ends_with(".d") && extension.ends_with("ts");
        // A hidden file is some tool's settings, and no SQL file of such a name would be seen.
        let is_hidden = stem.is_empty() || stem.starts_with('.');
        if !["js", "ts", "mjs", "mts", "cjs", "cts"].contains(&extension) || is_declaration || is_hidden {
            continue;
        }
        let name = match MigrationName::parse(stem) {
            Ok(name) => name,
            Err(reason) => return Err(SourcesError::BadName { file, reason }),
        };
        if stem.ends_with(".down") {
            return Err(SourcesError::LooksLikeDown { file });
        }
        if let Some(first) = found.get(&name) {
            return Err(SourcesError::Duplicate { name, first: first.clone(), second: file });
        }
        found.insert(name, file);
    }
    Ok(found.into_iter().map(|(name, file)| SourceFile { name, file }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[&str]) -> Result<Vec<String>, String> {
        let found = chosen(files.iter().map(|file| (*file).to_owned()).collect()).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|source| source.name.to_string()).collect())
    }

    #[test]
    fn what_kysely_takes_for_a_migration_is_taken_in_its_order() {
        let files = [
            "b.ts",
            "B.mts",
            "a.js",
            "a.d.ts",
            "a.js.map",
            "c.cjs",
            "d.d.mts",
            "e.1.cts",
            ".eslintrc.js",
            "f.sql",
            "g",
        ];
        assert_eq!(names(&files).unwrap(), ["B", "a", "b", "c", "e.1"]);
    }

    #[test]
    fn names_that_clash_or_cannot_be_kept_are_refused() {
        assert_eq!(names(&["a.ts", "a.js"]).unwrap_err(), "a.js and a.ts are both the migration `a`");
        assert!(names(&["latest.ts"]).unwrap_err().contains("latest.ts: `latest` is a target"));
        assert!(names(&["a.down.ts"]).unwrap_err().starts_with("a.down.ts"));
    }
}
