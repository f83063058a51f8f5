use crate::connection::{Connection, SecretStore, TokenSigner};
use crate::migrate::{MigrationDatabase, SessionSpec};
use crate::system::{Clock, CloudError, DatabaseError};
use async_trait::async_trait;
use jiff::Timestamp;
use std::sync::Arc;

/// What opens the database: a secret or a token.
pub trait Keys: SecretStore + TokenSigner {}

#[cfg(feature = "lambda")]
impl Keys for crate::adapters::aws::AwsKeys {}

/// What the handler needs of the world; each is asked for only when an event needs it.
#[async_trait]
pub trait World: Send + Sync {
    fn now(&self) -> Timestamp;

    /// The account's. Loading it costs no call.
    ///
    /// # Errors
    /// [`CloudError::NoRegion`], or where this program was built without AWS.
    async fn keys(&self) -> Result<Arc<dyn Keys>, CloudError>;

    /// # Errors
    /// [`DatabaseError`].
    async fn database(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
    ) -> Result<Box<dyn MigrationDatabase>, DatabaseError>;
}

/// The function as AWS runs it.
pub(super) struct RealWorld;

#[async_trait]
impl World for RealWorld {
    fn now(&self) -> Timestamp {
        crate::adapters::clock::SystemClock.now()
    }

    #[cfg(feature = "lambda")]
    async fn keys(&self) -> Result<Arc<dyn Keys>, CloudError> {
        Ok(Arc::new(crate::adapters::aws::AwsKeys::load().await?))
    }

    #[cfg(not(feature = "lambda"))]
    async fn keys(&self) -> Result<Arc<dyn Keys>, CloudError> {
        Err(CloudError::not_built("lambda"))
    }

    async fn database(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
    ) -> Result<Box<dyn MigrationDatabase>, DatabaseError> {
        Ok(Box::new(crate::adapters::postgres::PostgresMigrations::connect(connection, spec).await?))
    }
}
