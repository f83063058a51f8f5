use super::keys::{KEYS, Kind};
use super::resolve::settings_of;
use super::{ConfigError, Entry, Origin, Settings, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The effective values, for a process that must not read the files anew: another branch may be checked out meanwhile.
/// Paths are absolute.
pub fn freeze(settings: &Settings) -> BTreeMap<String, Value> {
    let path = |key: &str| match key {
        "ca_file" => settings.ca_file.clone(),
        _ => Some(settings.migrations.dir.clone()),
    };
    let value = |name: &str, entry: &Entry| match KEYS.iter().find(|key| key.name == name)?.kind {
        Kind::Path => Some(Value::Text(path(name)?.to_str()?.to_owned())),
        _ => Some(entry.value.clone()),
    };
    let entries = settings.entries.iter();
    entries.filter_map(|(name, entry)| Some(((*name).to_owned(), value(name, entry)?))).collect()
}

/// The settings that were frozen; a key that this release does not know is left out.
///
/// # Errors
/// A value that this release does not take.
pub fn thaw(environment: &str, folder: &Path, frozen: &BTreeMap<String, Value>) -> Result<Settings, ConfigError> {
    let known = KEYS.iter().filter_map(|key| Some((key.name, frozen.get(key.name)?)));
    let entries = known.map(|(name, value)| (name, Entry { value: value.clone(), origin: Origin::Tunnel }));
    settings_of(environment, folder, entries.collect())
}
