use super::template::fill;
use super::{BastionError, BastionSpec};
use crate::system::hex;
use sha2::{Digest, Sha256};
use std::time::Duration;
use zeroize::Zeroizing;

/// Written last by the first boot; readable by the login user. Its text is `ready <spec hash>`.
pub const READY_FILE: &str = "/var/lib/devdb/ready";

/// However often the deadline is moved, an instance ends a week after its first boot.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// EC2's limit (EC2 user guide, "Run commands when you launch an EC2 instance with user data input").
const LARGEST: usize = 16 * 1024;

/// The cloud-init text that makes a plain image a bastion.
///
/// It can be read by whoever may describe the instance and by everything that runs on it, so nothing in it is worth
/// more than the bastion itself; it is never printed.
pub struct UserData {
    pub text: Zeroizing<String>,
}

impl UserData {
    /// # Errors
    /// [`BastionError::Template`], also when the text is larger than EC2 takes.
    pub fn render(
        spec: &BastionSpec,
        host_private_key: &str,
        host_public_key: &str,
        spec_hash: &str,
    ) -> Result<Self, BastionError> {
        let ttl_s = spec.ttl.as_secs().to_string();
        let cap_s = LONGEST_LIFE.max(spec.ttl).as_secs().to_string();
        let boot = fill(
            "devdb-boot.sh",
            include_str!("../../templates/bastion/devdb-boot.sh"),
            &[("cap_s", &cap_s), ("ttl_s", &ttl_s), ("user", &spec.ssh_user), ("spec", spec_hash)],
        )?;
        let text = fill(
            "cloud-init.yaml",
            include_str!("../../templates/bastion/cloud-init.yaml"),
            &[
                ("spec", spec_hash),
                ("host_private_key", host_private_key),
                ("host_public_key", host_public_key),
                ("sshd_settings", &sshd_settings(spec)?),
                ("expire_service", include_str!("../../templates/bastion/devdb-expire.service")),
                ("expire_timer", include_str!("../../templates/bastion/devdb-expire.timer")),
                ("expire_script", include_str!("../../templates/bastion/devdb-expire.sh")),
                ("boot_script", &boot),
            ],
        )?;
        if text.len() > LARGEST {
            let reason = format!("{} bytes are more than the {LARGEST} that EC2 takes", text.len());
            return Err(BastionError::Template { template: "cloud-init.yaml", reason });
        }
        Ok(Self { text: Zeroizing::new(text) })
    }
}

/// sshd's drop-in: a way to the cluster's endpoints, and nothing else.
///
/// # Errors
/// [`BastionError::Template`].
pub fn sshd_settings(spec: &BastionSpec) -> Result<String, BastionError> {
    let open: Vec<String> =
        spec.site.endpoints.iter().map(|endpoint| format!("{endpoint}:{}", spec.site.port)).collect();
    // sshd listens on 22 as well, so that the image's own tools keep working; the security group opens only one.
    let ports = if spec.ssh_port == 22 { "Port 22".to_owned() } else { format!("Port 22\nPort {}", spec.ssh_port) };
    fill(
        "sshd.conf",
        include_str!("../../templates/bastion/sshd.conf"),
        &[("ports", &ports), ("user", &spec.ssh_user), ("permit_open", &open.join(" "))],
    )
}

impl BastionSpec {
    /// Hash over what an instance is made from; a difference means that it has to be replaced.
    ///
    /// Left out: the keys (each instance has its own), and the time to live, which is the deadline's business.
    ///
    /// # Errors
    /// [`BastionError::Template`].
    pub fn hash(&self) -> Result<String, BastionError> {
        let ageless = Self { ttl: Duration::ZERO, ..self.clone() };
        let user_data = UserData::render(&ageless, "-", "-", "-")?;
        let mut hash = Sha256::new();
        for part in [
            user_data.text.as_str(),
            &self.site.vpc_id,
            &self.instance_type,
            self.image.as_deref().unwrap_or_default(),
            self.kms_key.as_deref().unwrap_or_default(),
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Ok(hex(&hash.finalize()[..8]))
    }
}
