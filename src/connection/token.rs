use super::Password;
use crate::system::CloudError;
use async_trait::async_trait;
use jiff::Timestamp;

/// Who wants to log in where, with IAM instead of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLogin {
    /// The endpoint's real name: RDS knows no tunnel.
    pub host: String,
    /// The endpoint's own port.
    pub port: u16,
    pub user: String,
}

/// Makes the password that RDS takes instead of one that is kept (Aurora user guide, "IAM database authentication").
#[async_trait]
pub trait TokenSigner: Send + Sync {
    /// A token that lets this user in for 15 minutes from `now`; a session that it began goes on. Nobody is called:
    /// it is the credentials' signature.
    ///
    /// # Errors
    /// [`CloudError`] when there are no credentials to sign with.
    async fn database_token(&self, login: &TokenLogin, now: Timestamp) -> Result<Password, CloudError>;
}
