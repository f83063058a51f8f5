use super::claim::Claim;
use super::value::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The name that tells one developer's resources from another's: 1 to 32 of `a-z 0-9 -`, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias(String);

impl Alias {
    /// Parses an alias that somebody wrote; nothing is changed silently.
    pub fn parse(text: &str) -> Result<Self, String> {
        name_part(text, 32).map(Self)
    }

    /// Makes an alias from an address or a login (`Ada.Lovelace@example.com` becomes `ada-lovelace`).
    pub fn from_login(login: &str) -> Option<Self> {
        let local = login.split('@').next().unwrap_or_default().to_lowercase();
        let mut text = String::new();
        for letter in local.chars() {
            match letter {
                'a'..='z' => text.push(letter),
                '0'..='9' if !text.is_empty() => text.push(letter),
                '.' | '_' | '-' | '+' if !text.is_empty() && !text.ends_with('-') => text.push('-'),
                _ => {}
            }
        }
        text.truncate(32);
        Self::parse(text.trim_end_matches('-')).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The project's name, in resource names and in the state folder; the same letters as an [`Alias`], up to 40.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectName(String);

impl ProjectName {
    pub fn parse(text: &str) -> Result<Self, String> {
        name_part(text, 40).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn name_part(text: &str, longest: usize) -> Result<String, String> {
    let starts_well = text.starts_with(|letter: char| letter.is_ascii_lowercase());
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if starts_well && text.len() <= longest && text.chars().all(allowed) && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err(format!("use 1 to {longest} of a-z, 0-9 and -, beginning with a letter and not ending with -"))
    }
}

/// What may be done to an environment's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentKind {
    /// Only mine: every verb.
    Personal,
    /// Other people's rows are there too.
    Shared,
    /// Every write asks for the environment's name.
    Protected,
}

/// How the endpoint is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Through the bastion.
    Ssh,
    /// It is reachable already: Client VPN, another route, or inside the VPC.
    Direct,
}

/// What the database's security group lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRule {
    PrivateIp,
    SecurityGroup,
}

#[derive(Debug, Clone)]
pub struct BastionSettings {
    pub instance_type: String,
    /// Somebody chose the type; a fallback would go against their word.
    pub instance_type_is_chosen: bool,
    pub ttl: Duration,
    pub database_rule: DatabaseRule,
    pub allow_cidrs: Vec<String>,
    pub ssh_port: u16,
    pub ssh_user: String,
    pub ami: Option<String>,
    pub kms_key: Option<String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct TunnelSettings {
    pub writer_port: u16,
    pub reader_port: u16,
    pub hold: Duration,
    /// Programs of other users of this computer are served as well.
    pub serves_all_users: bool,
}

#[derive(Debug, Clone)]
pub struct SshSettings {
    pub proxy_command: Option<String>,
    pub proxy_jump: Option<String>,
}

#[derive(Debug, Clone)]
pub struct MigrationSettings {
    pub dir: PathBuf,
    /// A file that a clone may have brought says where the folder is, or none does.
    pub dir_is_brought: bool,
    pub table: String,
    pub lock_table: String,
    pub schema: Option<String>,
    pub allow_unordered: bool,
}

/// Everything that is configured for the selected environment.
#[derive(Debug, Clone)]
pub struct Settings {
    pub project: ProjectName,
    pub alias: Alias,
    /// The selected environment's name.
    pub environment: String,
    pub kind: EnvironmentKind,
    pub profile: Option<String>,
    pub region: Option<String>,
    pub stack: Option<String>,
    pub vpc: Option<String>,
    pub cluster: Option<String>,
    pub secret: Option<String>,
    pub database: Option<String>,
    pub user: Option<String>,
    pub iam: bool,
    pub iam_user: Option<String>,
    /// `libpq`, `node` or `jdbc`.
    pub env_client: String,
    pub transport: Transport,
    pub subnet_name: String,
    pub ca_file: Option<PathBuf>,
    pub echo_url: String,
    pub bastion: BastionSettings,
    pub tunnel: TunnelSettings,
    pub ssh: SshSettings,
    pub migrations: MigrationSettings,
    /// The committed file, if there is one.
    pub file: Option<PathBuf>,
    /// What counts only after `devdb trust`, where these settings hold any of it.
    pub claim: Option<Claim>,
    /// Each effective value with its origin, for `config show`.
    pub entries: BTreeMap<&'static str, Entry>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_made_from_an_address() {
        assert_eq!(Alias::from_login("Ada.Lovelace+work@example.com").unwrap().as_str(), "ada-lovelace-work");
        assert_eq!(Alias::from_login("42grace").unwrap().as_str(), "grace");
        assert_eq!(Alias::from_login("@@"), None);
    }

    #[test]
    fn an_alias_that_somebody_wrote_is_taken_as_it_is_or_refused() {
        assert!(Alias::parse("ada-2").is_ok());
        for wrong in ["", "Ada", "2ada", "ada_l", "ada-", "a".repeat(33).as_str()] {
            assert!(Alias::parse(wrong).is_err(), "{wrong}");
        }
    }
}
