use super::{BastionError, BastionReport, BastionStatus, Place, local};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// The cache of [`BastionAccess`] in the state folder.
pub const ACCESS_FILE: &str = "bastion.json";

/// The file for `ssh -F`, in the state folder; written before each use.
pub const SSH_CONFIG_FILE: &str = "bastion_ssh_config";

/// All that ssh needs to reach the bastion. Cached; AWS stays the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BastionAccess {
    /// Also the name under which the host key is pinned (`HostKeyAlias`).
    pub instance_id: String,
    pub public_ip: Ipv4Addr,
    pub public_dns: Option<String>,
    pub user: String,
    pub port: u16,
    pub key_file: PathBuf,
    pub known_hosts_file: PathBuf,
    pub expires_at: Option<jiff::Timestamp>,
    /// Missing in the files of old releases.
    #[serde(default)]
    pub place: Option<Place>,
    /// OpenSSH's ProxyCommand; from the settings, never from the cache.
    #[serde(skip)]
    pub proxy_command: Option<String>,
    #[serde(skip)]
    pub proxy_jump: Option<String>,
}

impl BastionAccess {
    /// The cached access; an unreadable cache is no cache.
    pub fn load(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state_dir.join(ACCESS_FILE)).ok()?).ok()
    }

    /// # Errors
    /// [`BastionError::Local`].
    pub fn store(&self, state_dir: &Path) -> Result<(), BastionError> {
        local::write_private(&state_dir.join(ACCESS_FILE), &local::json(self))
    }

    /// False when AWS sees another instance, another address or deadline, or none that runs.
    pub fn agrees_with(&self, seen: &BastionReport) -> bool {
        seen.state == BastionStatus::Running
            && seen.instance_id.as_ref() == Some(&self.instance_id)
            && seen.public_ip == Some(self.public_ip)
            && seen.expires_at == self.expires_at
    }

    /// Forgets the cache.
    ///
    /// # Errors
    /// [`BastionError::Local`].
    pub fn drop_cache(state_dir: &Path) -> Result<(), BastionError> {
        local::remove(&state_dir.join(ACCESS_FILE))
    }
}
