//! The topology in the state folder, so that a command with a warm cache needs no call. AWS stays the truth.

use super::Topology;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file's name in the state folder.
pub const FILE: &str = "topology.json";

#[derive(Serialize, Deserialize)]
struct Cached {
    /// What was asked for; the settings may have changed since.
    wanted: String,
    topology: Topology,
    #[serde(default)]
    answers: Answers,
}

/// What was answered when there was more than one candidate: nobody wants to be asked that twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    pub cluster: Option<String>,
    pub secret: Option<String>,
}

impl Answers {
    /// The settings that would say the same.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let pairs = [("cluster", &self.cluster), ("secret", &self.secret)];
        pairs.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect()
    }
}

/// The cached topology, if it was found for the same settings. An unreadable cache is no cache.
pub fn load(path: &Path, wanted: &str) -> Option<Topology> {
    read(path, wanted).map(|cached| cached.topology)
}

/// What was answered for the same settings.
pub fn answers(path: &Path, wanted: &str) -> Answers {
    read(path, wanted).map(|cached| cached.answers).unwrap_or_default()
}

fn read(path: &Path, wanted: &str) -> Option<Cached> {
    let cached: Cached = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (cached.wanted == wanted).then_some(cached)
}

/// Keeps a topology (0600), all of it or nothing of it.
///
/// # Errors
/// When the file cannot be written.
pub fn store(path: &Path, wanted: &str, topology: &Topology, answers: &Answers) -> std::io::Result<()> {
    let cached = Cached { wanted: wanted.to_owned(), topology: topology.clone(), answers: answers.clone() };
    let bytes = serde_json::to_vec_pretty(&cached)?;
    let part = path.with_extension("part");
    drop(&part)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(&bytes)?;
    std::fs::rename(&part, path)
}

/// Forgets it: AWS said that something in it is gone.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn drop(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Cluster;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_topology_is_kept_for_the_settings_it_was_found_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let topology = Topology {
            vpc_id: "vpc-1".to_owned(),
            ingress_subnets: Vec::new(),
            database_cidrs: Vec::new(),
            ipv6: false,
            cluster: Cluster {
                id: "db".to_owned(),
                writer_endpoint: "db.example".to_owned(),
                reader_endpoint: None,
                port: 5432,
                database: None,
                master_user: None,
                members: Vec::new(),
            },
            secret: None,
        };
        assert_eq!(load(&path, "a"), None);
        let given = Answers { cluster: Some("db".to_owned()), secret: None };
        store(&path, "a", &topology, &Answers::default()).unwrap();
        store(&path, "a", &topology, &given).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path, "a"), Some(topology));
        assert_eq!((answers(&path, "a"), answers(&path, "b")), (given, Answers::default()));
        assert_eq!(load(&path, "b"), None);
        drop(&path).unwrap();
        drop(&path).unwrap();
        assert_eq!(load(&path, "a"), None);
    }
}
