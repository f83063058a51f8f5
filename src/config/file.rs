use super::keys::{KEYS, Key, Scope};
use super::{ConfigError, Entry, Origin, Value};
use crate::system::{Links, read_plain};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file a team commits.
pub const COMMITTED_FILE: &str = "devdb.toml";
/// The file a person keeps out of git.
pub const PERSONAL_FILE: &str = "devdb.local.toml";

/// Far more than any team has to say.
const LONGEST: u64 = 1 << 20;

/// The entries of one file: top-level keys, and keys by environment.
#[derive(Debug, Default)]
pub(super) struct FileEntries {
    pub(super) top: BTreeMap<&'static str, Entry>,
    pub(super) environments: BTreeMap<String, BTreeMap<&'static str, Entry>>,
}

pub(super) fn load(path: &Path, personal: bool) -> Result<FileEntries, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let bytes = read_plain(path, Links::Followed, LONGEST).map_err(|error| unreadable(error.into()))?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::other(error)))?;
    parse(path, &text, personal)
}

fn parse(path: &Path, text: &str, personal: bool) -> Result<FileEntries, ConfigError> {
    let file = File { path, text, personal };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut entries = FileEntries::default();
    for (key, value) in table.get_ref() {
        if key.get_ref() == "environment" {
            file.environments(value, &mut entries)?;
        } else {
            file.walk(key.get_ref().to_string(), key.span().start, value, Place::Top, &mut entries.top)?;
        }
    }
    Ok(entries)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Environment,
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    personal: bool,
}

impl File<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text[..offset.min(self.text.len())].matches('\n').count() + 1
    }

    fn environments(&self, value: &Spanned<DeValue<'_>>, entries: &mut FileEntries) -> Result<(), ConfigError> {
        let DeValue::Table(environments) = value.get_ref() else {
            return Err(self.syntax(value.span().start, "`environment` is a table: write [environment.NAME]"));
        };
        for (name, value) in environments {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.syntax(value.span().start, "an environment is a table: write [environment.NAME]"));
            };
            let found = entries.environments.entry(name.get_ref().to_string()).or_default();
            for (key, value) in table {
                self.walk(key.get_ref().to_string(), key.span().start, value, Place::Environment, found)?;
            }
        }
        Ok(())
    }

    fn walk(
        &self,
        name: String,
        offset: usize,
        value: &Spanned<DeValue<'_>>,
        place: Place,
        found: &mut BTreeMap<&'static str, Entry>,
    ) -> Result<(), ConfigError> {
        if let Some(key) = self.known(&name, place) {
            if key.scope == Scope::Personal && !self.personal {
                return Err(ConfigError::PersonalKey {
                    path: self.path.to_owned(),
                    line: self.line(offset),
                    key: name,
                });
            }
            let value = convert(value.get_ref())
                .ok_or_else(|| self.syntax(value.span().start, &format!("`{name}` has a value of the wrong type")))?;
            let origin = Origin::File { path: self.path.to_owned(), line: self.line(offset) };
            found.insert(key.name, Entry { value, origin });
            return Ok(());
        }
        match value.get_ref() {
            DeValue::Table(table) if self.is_folder(&name, place) => {
                for (key, value) in table {
                    self.walk(format!("{name}.{}", key.get_ref()), key.span().start, value, place, found)?;
                }
                Ok(())
            }
            _ => Err(self.unknown(name, offset, place)),
        }
    }

    fn known(&self, name: &str, place: Place) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name && (key.scope == Scope::Environment) == (place == Place::Environment))
    }

    fn is_folder(&self, name: &str, place: Place) -> bool {
        let prefix = format!("{name}.");
        candidates(place).any(|known| known.starts_with(&prefix))
    }

    fn syntax(&self, offset: usize, message: &str) -> ConfigError {
        ConfigError::Syntax { path: self.path.to_owned(), line: self.line(offset), message: message.to_owned() }
    }

    fn unknown(&self, key: String, offset: usize, place: Place) -> ConfigError {
        let mut names: BTreeSet<String> = BTreeSet::new();
        for name in candidates(place) {
            names.insert(name.to_owned());
            if let Some((folder, _)) = name.split_once('.') {
                names.insert(folder.to_owned());
            }
        }
        if place == Place::Top {
            names.insert("environment".to_owned());
        }
        let nearest = nearest(&key, names.iter().map(String::as_str)).map(str::to_owned);
        ConfigError::UnknownKey { path: self.path.to_owned(), line: self.line(offset), key, nearest }
    }
}

fn candidates(place: Place) -> impl Iterator<Item = &'static str> {
    KEYS.iter()
        .filter(move |key| (key.scope == Scope::Environment) == (place == Place::Environment))
        .map(|key| key.name)
}

fn convert(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::Text(text.to_string())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Integer),
        DeValue::Boolean(truth) => Some(Value::Boolean(*truth)),
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            })
            .collect::<Option<_>>()
            .map(Value::List),
        DeValue::Table(items) => items
            .iter()
            .map(|(key, item)| match item.get_ref() {
                DeValue::String(text) => Some((key.get_ref().to_string(), text.to_string())),
                _ => None,
            })
            .collect::<Option<_>>()
            .map(Value::Map),
        DeValue::Float(_) | DeValue::Datetime(_) => None,
    }
}

/// The known name that is closest to a misspelled one, if any is close at all.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let leaf = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    known
        .map(|name| (distance(wrong, name).min(distance(&leaf(wrong), &leaf(name)) + 1), name))
        .filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 2)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(from != *to)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_committed(text: &str) -> Result<FileEntries, ConfigError> {
        parse(Path::new("devdb.toml"), text, false)
    }

    #[test]
    fn a_value_carries_its_file_and_line() {
        let found = parse_committed("project = \"shop\"\n[environment.dev.bastion]\n\nttl = \"1h\"\n").unwrap();
        assert_eq!(found.top["project"].value, Value::Text("shop".into()));
        assert_eq!(
            found.environments["dev"]["bastion.ttl"].origin,
            Origin::File { path: "devdb.toml".into(), line: 4 }
        );
    }

    #[test]
    fn a_misspelled_key_names_its_line_and_the_nearest_known_one() {
        let error = parse_committed("project = \"shop\"\n[environment.dev]\nregoin = \"eu-west-1\"\n").unwrap_err();
        assert!(
            matches!(&error, ConfigError::UnknownKey { line: 3, key, nearest: Some(near), .. } if key == "regoin" && near == "region"),
            "{error:?}"
        );
    }

    #[test]
    fn a_misspelled_table_is_found_too() {
        let error = parse_committed("[environment.dev.bastoin]\nttl = \"1h\"\n").unwrap_err();
        assert!(
            matches!(&error, ConfigError::UnknownKey { nearest: Some(near), .. } if near == "bastion"),
            "{error:?}"
        );
    }

    #[test]
    fn the_alias_does_not_belong_into_the_committed_file() {
        assert!(matches!(parse_committed("alias = \"ada\"\n"), Err(ConfigError::PersonalKey { line: 1, .. })));
        assert!(parse(Path::new("devdb.local.toml"), "alias = \"ada\"\n", true).is_ok());
    }

    #[test]
    fn broken_toml_names_the_line() {
        assert!(matches!(parse_committed("project = \"shop\"\nx = = 1\n"), Err(ConfigError::Syntax { line: 2, .. })));
    }
}
