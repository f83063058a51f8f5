use super::{BastionAccess, BastionError, KeyMaker, Place};
use crate::system::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const GENERATION_FILE: &str = "generation.json";
const KEY_FILE: &str = "bastion_key";
const HOST_KEY_FILE: &str = "bastion_host_key";
const KNOWN_HOSTS_FILE: &str = "known_hosts";

/// Between a launch's token, which is hexadecimal, and the number of the attempt.
const ATTEMPT: char = '-';

/// The keys of one instance: made together, used for one launch, forgotten with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Of the login, in OpenSSH's form.
    pub public_key: String,
    pub host_public_key: String,
    /// Decided once, so that a repeated launch asks for exactly the same.
    pub expires_at: jiff::Timestamp,
    /// The spec that was asked for.
    pub spec_hash: String,
    /// Known once EC2 answered.
    #[serde(default)]
    pub key_pair_id: Option<String>,
    /// Missing where it has the scope's own name, or was imported by an old release.
    #[serde(default)]
    pub key_pair_name: Option<String>,
    /// Known once EC2 answered.
    pub instance_id: Option<String>,
    /// Missing in the files of old releases.
    #[serde(default)]
    pub place: Option<Place>,
}

impl Generation {
    /// The launch's `ClientToken` (at most 64 characters): whoever holds the private key launched the instance.
    pub fn client_token(&self) -> String {
        client_token(&self.public_key)
    }

    /// A refused launch that is tried elsewhere is another request, and needs another token.
    pub(super) fn token_of_attempt(&self, number: usize) -> String {
        let token = self.client_token();
        if number == 0 { token } else { format!("{token}{ATTEMPT}{number}") }
    }

    /// True for the token of any attempt.
    pub(super) fn is_token(&self, token: &str) -> bool {
        token.split(ATTEMPT).next() == Some(&self.client_token())
    }

    pub(super) fn is_public_key(&self, other: &str) -> bool {
        blob(&self.public_key).is_some() && blob(&self.public_key) == blob(other)
    }
}

pub(super) fn client_token(public_key: &str) -> String {
    hex(&Sha256::digest(blob(public_key).unwrap_or(public_key))[..24])
}

/// The key itself, without type and comment.
fn blob(public_key: &str) -> Option<&str> {
    public_key.split_whitespace().nth(1)
}

/// What the laptop knows: keys (0600) and pinned host keys, in the environment's state folder.
#[derive(Debug, Clone)]
pub struct LocalState {
    dir: PathBuf,
}

impl LocalState {
    /// The folder must exist and be private.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.join(KEY_FILE)
    }

    pub fn known_hosts_file(&self) -> PathBuf {
        self.dir.join(KNOWN_HOSTS_FILE)
    }

    /// The current generation, if its private key is there as well.
    pub fn generation(&self) -> Option<Generation> {
        if !self.key_file().is_file() {
            return None;
        }
        let generation = self.record()?;
        // Nothing can be launched with it any more once the host key is gone.
        (generation.instance_id.is_some() || self.host_private_key().is_some()).then_some(generation)
    }

    fn record(&self) -> Option<Generation> {
        serde_json::from_slice(&std::fs::read(self.dir.join(GENERATION_FILE)).ok()?).ok()
    }

    /// Which place the keys were made for, as far as a file tells. The folder is the environment's, whatever account
    /// and region the command line names today.
    pub fn place(&self) -> Option<Place> {
        let of_keys = self.record().and_then(|generation| generation.place);
        of_keys.or_else(|| BastionAccess::load(&self.dir)?.place)
    }

    /// Makes new keys and puts them on disk; the record comes last, so that it never names a key that is not there.
    pub(super) fn make_generation(
        &self,
        maker: &dyn KeyMaker,
        comment: &str,
        expires_at: jiff::Timestamp,
        spec_hash: &str,
        place: &Place,
    ) -> Result<Generation, BastionError> {
        self.forget()?;
        let login = maker.make(comment).map_err(BastionError::Key)?;
        let host = maker.make(comment).map_err(BastionError::Key)?;
        write_private(&self.dir.join(HOST_KEY_FILE), host.private_key.as_bytes())?;
        write_private(&self.key_file(), login.private_key.as_bytes())?;
        let generation = Generation {
            public_key: login.public_key.trim().to_owned(),
            host_public_key: host.public_key.trim().to_owned(),
            expires_at,
            spec_hash: spec_hash.to_owned(),
            key_pair_id: None,
            key_pair_name: None,
            instance_id: None,
            place: Some(place.clone()),
        };
        self.keep(&generation)?;
        Ok(generation)
    }

    pub(super) fn keep(&self, generation: &Generation) -> Result<(), BastionError> {
        write_private(&self.dir.join(GENERATION_FILE), &json(generation))
    }

    /// The host's private half; only there between making it and the first login.
    pub(super) fn host_private_key(&self) -> Option<Zeroizing<String>> {
        std::fs::read_to_string(self.dir.join(HOST_KEY_FILE)).ok().map(Zeroizing::new)
    }

    pub(super) fn forget_host_private_key(&self) -> Result<(), BastionError> {
        remove(&self.dir.join(HOST_KEY_FILE))
    }

    /// Pins the host key under the instance's id; an entry of another instance has no business there.
    pub(super) fn pin(&self, instance_id: &str, host_public_key: &str) -> Result<(), BastionError> {
        write_private(&self.known_hosts_file(), format!("{instance_id} {host_public_key}\n").as_bytes())
    }

    /// True while the folder holds anything of a bastion.
    pub fn is_used(&self) -> bool {
        [GENERATION_FILE, KEY_FILE, HOST_KEY_FILE, KNOWN_HOSTS_FILE, super::ACCESS_FILE]
            .iter()
            .any(|name| self.dir.join(name).exists())
    }

    /// Deletes all keys and caches of the bastion; the record first, for the reason above.
    pub(super) fn forget(&self) -> Result<(), BastionError> {
        for name in
            [GENERATION_FILE, super::ACCESS_FILE, super::SSH_CONFIG_FILE, KEY_FILE, HOST_KEY_FILE, KNOWN_HOSTS_FILE]
        {
            remove(&self.dir.join(name))?;
        }
        Ok(())
    }
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// Writes a file that only its owner may read, all of it or nothing of it.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), BastionError> {
    let failed = |source| BastionError::Local { path: path.to_owned(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    remove(&part)?;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)
}

pub(super) fn remove(path: &Path) -> Result<(), BastionError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(BastionError::Local { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
