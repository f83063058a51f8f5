use super::AwsAdapter;
use crate::connection::SecretStore;
use crate::system::CloudError;
use async_trait::async_trait;
use zeroize::Zeroizing;

#[async_trait]
impl SecretStore for AwsAdapter {
    async fn secret(&self, id: &str) -> Result<Zeroizing<String>, CloudError> {
        let answer = self.secrets.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| match self.translate("secretsmanager:GetSecretValue", error) {
            error if error.is_code("ResourceNotFoundException") => {
                CloudError::NotFound { what: format!("secret `{id}`"), source: None }
            }
            error => error,
        })?;
        match answer.secret_string {
            Some(text) => Ok(Zeroizing::new(text)),
            None => Err(CloudError::NotFound { what: format!("a text in secret `{id}` (it is binary)"), source: None }),
        }
    }
}
