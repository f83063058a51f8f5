use super::AwsKeys;
use crate::connection::{Password, TokenLogin, TokenSigner};
use crate::system::CloudError;
use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use jiff::Timestamp;
use std::time::{Duration, SystemTime};

/// The longest that RDS allows.
const LIFE: Duration = Duration::from_secs(15 * 60);

#[async_trait]
impl TokenSigner for AwsKeys {
    async fn database_token(&self, login: &TokenLogin, now: Timestamp) -> Result<Password, CloudError> {
        let none = || CloudError::NoCredentials { profile: self.profile.clone(), source: None };
        let provider = self.credentials.as_ref().ok_or_else(none)?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| self.translate_credentials(&error))?;
        token(credentials, &self.region, login, now)
            .map_err(|source| CloudError::NoCredentials { profile: self.profile.clone(), source: Some(source) })
    }
}

/// A presigned `rds-db:connect` without its scheme, in the order of parameters that botocore has
/// (`botocore/signers.py`, `generate_db_auth_token`).
fn token(
    credentials: Credentials,
    region: &str,
    login: &TokenLogin,
    now: Timestamp,
) -> Result<Password, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    settings.expires_in = Some(LIFE);
    settings.signature_location = SignatureLocation::QueryParams;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let identity = credentials.into();
    let params = SigningParams::builder().identity(&identity).region(region).name("rds-db");
    let params = params.time(SystemTime::from(now)).settings(settings).build()?;
    let bare = format!("{}:{}/?Action=connect&DBUser={}", login.host, login.port, encode(&login.user));
    let url = format!("https://{bare}");
    let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(b""))?;
    let (instructions, _) = sign(request, &params.into())?.into_parts();
    // The signature comes last; the rest is in order already.
    let (signature, mut others): (Vec<_>, Vec<_>) =
        instructions.params().iter().partition(|(name, _)| *name == "X-Amz-Signature");
    others.extend(signature);
    let pairs = others.iter().map(|(name, value)| format!("&{name}={}", encode(value)));
    Ok(Password::new(pairs.fold(bare, |text, pair| text + &pair)))
}

/// RFC 3986: everything but the unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
