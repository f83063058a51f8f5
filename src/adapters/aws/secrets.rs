use super::AwsKeys;
use crate::connection::{SecretContent, SecretStore};
use crate::system::CloudError;
use async_trait::async_trait;
use zeroize::Zeroizing;

#[async_trait]
impl SecretStore for AwsKeys {
    async fn secret(&self, id: &str) -> Result<SecretContent, CloudError> {
        let answer = self.secrets.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| match self.translate("secretsmanager:GetSecretValue", error) {
            error if error.is_code("ResourceNotFoundException") => {
                CloudError::NotFound { what: format!("secret `{id}`"), source: None }
            }
            error => error,
        })?;
        // Of the two fields there is exactly one (Secrets Manager API reference, "GetSecretValue").
        let bytes = answer.secret_binary.map(aws_sdk_secretsmanager::primitives::Blob::into_inner);
        let binary = || SecretContent::Binary(Zeroizing::new(bytes.unwrap_or_default()));
        Ok(answer.secret_string.map_or_else(binary, |text| SecretContent::Text(Zeroizing::new(text))))
    }
}
