use crate::bastion::{KeyMaker, MadeKey};
use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey};

/// Makes keys with the operating system's randomness.
pub(crate) struct Ed25519Keys;

impl KeyMaker for Ed25519Keys {
    fn make(&self, comment: &str) -> Result<MadeKey, Box<dyn std::error::Error + Send + Sync>> {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
        key.set_comment(comment);
        Ok(MadeKey { private_key: key.to_openssh(LineEnding::LF)?, public_key: key.public_key().to_openssh()? })
    }
}
