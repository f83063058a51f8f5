use super::AwsKeys;
use crate::connection::{Password, SecretContent, SecretStore, TokenLogin, TokenSigner};
use crate::host::{Aws, AwsTarget};
use crate::system::CloudError;
use async_trait::async_trait;
use jiff::Timestamp;
use std::ops::Deref;

/// The clients of one account and region.
pub(crate) struct AwsAdapter {
    keys: AwsKeys,
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) rds: aws_sdk_rds::Client,
    pub(super) cloudformation: aws_sdk_cloudformation::Client,
    pub(super) sts: aws_sdk_sts::Client,
}

impl Aws for AwsAdapter {}

impl AwsAdapter {
    /// Reads configuration and environment as every AWS tool does (`AWS_ENDPOINT_URL` included); calls nothing.
    pub(crate) async fn load(target: &AwsTarget) -> Result<Self, CloudError> {
        let (keys, config) = AwsKeys::configured(target.profile.as_deref(), target.region.as_deref()).await?;
        Ok(Self {
            keys,
            ec2: aws_sdk_ec2::Client::new(&config),
            rds: aws_sdk_rds::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
        })
    }

    pub(super) fn lacks(&self, action: &str, what: &'static str) -> CloudError {
        CloudError::Incomplete { action: action.to_owned(), what }
    }
}

/// Account, region and the translation of errors are the same for all services.
impl Deref for AwsAdapter {
    type Target = AwsKeys;

    fn deref(&self) -> &AwsKeys {
        &self.keys
    }
}

#[async_trait]
impl SecretStore for AwsAdapter {
    async fn secret(&self, id: &str) -> Result<SecretContent, CloudError> {
        self.keys.secret(id).await
    }
}

#[async_trait]
impl TokenSigner for AwsAdapter {
    async fn database_token(&self, login: &TokenLogin, now: Timestamp) -> Result<Password, CloudError> {
        self.keys.database_token(login, now).await
    }
}
