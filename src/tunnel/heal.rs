//! Mending what only AWS can mend: the supervisor links no AWS, and asks this same program to do it, as a child.

use crate::system::{Captured, Gets, ProcessError, Processes, SpawnSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

/// The settings of the environment that this tunnel belongs to, as they were at its `up`: what a branch that is checked
/// out later says counts for the next `up`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealSpec {
    /// Where `devdb tunnel up` was run.
    pub folder: PathBuf,
    pub environment: String,
    /// By their keys; only the settings' own room knows them.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealOutcome {
    Healed,
    /// Everything was as it should be.
    Unchanged,
    NeedsCredentials,
    /// The bastion does not exist any more.
    Gone,
    Failed,
}

/// What `devdb tunnel heal` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealReport {
    pub outcome: HealOutcome,
    pub changes: Vec<String>,
    pub cause: Option<String>,
    pub hint: Option<String>,
}

/// Mends the way to the bastion.
#[async_trait]
pub trait Healer: Send + Sync {
    async fn heal(&self, spec: &HealSpec) -> HealReport;

    /// Another number when somebody may have logged in since. Cheap: it is asked every half second.
    fn credentials(&self, spec: &HealSpec) -> u64;
}

/// Where AWS tools keep what a login leaves: files, and folders with a file for each login. A login that leaves nothing
/// there (a `credential_process`, variables) is only found by asking.
///
/// Source: AWS SDKs and Tools Reference Guide, "Location of the shared config and credentials files"; the caches of
/// `aws sso login` and `aws login`.
pub fn credential_places(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let named = |name: &str| variable(name).filter(|value| !value.is_empty());
    let home = named("HOME").map(PathBuf::from);
    let place = |name: &str, usual: &str| match (named(name), &home) {
        (Some(path), Some(home)) if path.starts_with("~/") => Some(home.join(&path[2..])),
        (Some(path), _) => Some(PathBuf::from(path)),
        (None, home) => Some(home.as_ref()?.join(".aws").join(usual)),
    };
    let login_cache = place("AWS_LOGIN_CACHE_DIRECTORY", "login/cache");
    let files = [place("AWS_SHARED_CREDENTIALS_FILE", "credentials"), place("AWS_CONFIG_FILE", "config")];
    files.into_iter().chain([login_cache, home.as_ref().map(|home| home.join(".aws/sso/cache"))]).flatten().collect()
}

/// Words of the child's command line.
pub(super) const ERRAND: [&str; 2] = ["tunnel", "heal"];

/// Runs `devdb tunnel heal`.
pub struct ChildHealer {
    pub executable: PathBuf,
    /// Holds the specification, and in it what is to be healed.
    pub spec_file: PathBuf,
    pub processes: Arc<dyn Processes>,
    /// See [`credential_places`].
    pub credentials: Vec<PathBuf>,
}

#[async_trait]
impl Healer for ChildHealer {
    async fn heal(&self, spec: &HealSpec) -> HealReport {
        let words = ["--json", "--no-input"].into_iter().chain(ERRAND);
        let spec_file = ["--spec".into(), self.spec_file.clone().into()];
        let args = words.map(Into::into).chain(spec_file).collect();
        let program = self.executable.clone().into();
        // Another branch, without the folder, may be checked out by now.
        let cwd = if spec.folder.is_dir() { spec.folder.clone() } else { PathBuf::from("/") };
        let child = SpawnSpec { program, args, gets: Gets::Tunnel, cwd: Some(cwd), ..SpawnSpec::default() };
        let processes = self.processes.clone();
        let ended = tokio::task::spawn_blocking(move || processes.capture(&child)).await;
        ended.map_or_else(|_| failed("it was cut short".to_owned()), read)
    }

    fn credentials(&self, spec: &HealSpec) -> u64 {
        let mut hasher = DefaultHasher::new();
        // A relative one is looked for where the child that asks AWS would.
        for place in self.credentials.iter().map(|place| spec.folder.join(place)) {
            let inside = std::fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut files: Vec<PathBuf> = inside.chain([place]).collect();
            files.sort();
            for file in files {
                let about = std::fs::metadata(&file).ok().map(|about| (about.len(), about.modified().ok()));
                (file, about).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

fn read(ended: Result<Captured, ProcessError>) -> HealReport {
    match ended {
        Ok(said) => serde_json::from_slice(&said.stdout).unwrap_or_else(|_| {
            let words = String::from_utf8_lossy(&said.stderr).trim().to_owned();
            failed(if words.is_empty() { format!("it ended with code {}", said.code) } else { words })
        }),
        Err(error) => failed(error.to_string()),
    }
}

fn failed(cause: String) -> HealReport {
    HealReport { outcome: HealOutcome::Failed, changes: Vec::new(), cause: Some(cause), hint: None }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::FakeProcesses;

    #[test]
    fn a_login_that_leaves_a_file_behind_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let variable = |name: &str| match name {
            "HOME" => Some(home.path().display().to_string()),
            "AWS_SHARED_CREDENTIALS_FILE" => Some("~/keys".to_owned()),
            "AWS_CONFIG_FILE" => Some(String::new()),
            "AWS_LOGIN_CACHE_DIRECTORY" => Some("logins".to_owned()),
            _ => None,
        };
        let healer = ChildHealer {
            executable: PathBuf::new(),
            spec_file: PathBuf::new(),
            processes: Arc::new(FakeProcesses::default()),
            credentials: credential_places(variable),
        };
        let folder = home.path().join("project");
        let spec = HealSpec { folder, environment: "dev".to_owned(), settings: serde_json::Map::new() };
        let look = || healer.credentials(&spec);
        let mut before = look();
        assert_eq!(look(), before);
        for folder in [".aws/sso/cache", "project/logins"] {
            std::fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for file in ["keys", ".aws/config", ".aws/sso/cache/a.json", "project/logins/b.json"] {
            std::fs::write(home.path().join(file), "x").unwrap();
            let after = look();
            assert_ne!(after, before, "{file}");
            before = after;
        }
        std::fs::write(home.path().join(".aws/credentials"), "of no use: the variable names another").unwrap();
        assert_eq!(look(), before);
        assert_eq!(credential_places(|_| None), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn the_child_is_given_the_environment_and_its_answer_is_read() {
        let processes = Arc::new(FakeProcesses::default());
        let healer = ChildHealer {
            executable: "/bin/devdb".into(),
            spec_file: "/state/spec.json".into(),
            processes: processes.clone(),
            credentials: Vec::new(),
        };
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().to_owned();
        let spec = HealSpec { folder, environment: "staging".to_owned(), settings: serde_json::Map::new() };
        assert_eq!(healer.heal(&spec).await.outcome, HealOutcome::Failed, "there is no such program");
        let asked = processes.captured().remove(0);
        assert_eq!((asked.cwd.as_deref(), asked.gets), (Some(home.path()), Gets::Tunnel));
        assert_eq!(asked.args, ["--json", "--no-input", "tunnel", "heal", "--spec", "/state/spec.json"]);
        drop(home);
        assert_eq!(healer.heal(&spec).await.outcome, HealOutcome::Failed);
        assert_eq!(processes.captured()[1].cwd, Some("/".into()), "another branch may lack the folder");

        let say = |stdout: &str, stderr: &str| {
            let (stdout, stderr) = (stdout.as_bytes().to_vec(), stderr.as_bytes().to_vec());
            processes.set_output("/bin/devdb", Captured { code: 1, stdout, stderr });
        };
        say(r#"{"outcome": "needs_credentials", "changes": [], "cause": "expired", "hint": null}"#, "");
        assert_eq!(healer.heal(&spec).await.outcome, HealOutcome::NeedsCredentials);
        say("", "{\"error\": …}\n");
        assert_eq!(healer.heal(&spec).await.cause.as_deref(), Some("{\"error\": …}"));
        say("", "");
        assert_eq!(healer.heal(&spec).await.cause.as_deref(), Some("it ended with code 1"));
    }
}
