use crate::system::CloudError;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::time::Duration;

/// No call that devdb makes takes longer. Without it, one whose connection was forgotten on the way is waited for as long
/// as the kernel resends, or for ever.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

/// Secrets and tokens of one account and region: all of AWS that the Lambda function needs.
pub(crate) struct AwsKeys {
    pub(super) profile: Option<String>,
    pub(super) region: String,
    pub(super) credentials: Option<SharedCredentialsProvider>,
    pub(super) secrets: aws_sdk_secretsmanager::Client,
}

impl AwsKeys {
    /// Reads configuration and environment as every AWS tool does (`AWS_ENDPOINT_URL` included); calls nothing.
    #[cfg(feature = "lambda")]
    pub(crate) async fn load() -> Result<Self, CloudError> {
        Ok(Self::configured(None, None).await?.0)
    }

    /// The same, with what the other services' clients are made of.
    pub(super) async fn configured(
        profile: Option<&str>,
        region: Option<&str>,
    ) -> Result<(Self, SdkConfig), CloudError> {
        let config = sdk_config(profile, region).await;
        let keys = Self {
            profile: profile.map(str::to_owned),
            region: config.region().map(ToString::to_string).ok_or(CloudError::NoRegion)?,
            credentials: config.credentials_provider(),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
        };
        Ok((keys, config))
    }
}

async fn sdk_config(profile: Option<&str>, region: Option<&str>) -> SdkConfig {
    let http = http_client();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_LIMIT).build())
        .retry_config(RetryConfig::standard().with_max_attempts(4));
    if let Ok(name) = AppName::new("devdb") {
        loader = loader.app_name(name);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let Some(profile) = profile else { return loader.load().await };
    let config = loader.profile_name(profile).load().await;
    // As `aws --profile` does it: keys left over in the environment may be another account's.
    let provider = ProfileFileCredentialsProvider::builder()
        .profile_name(profile)
        .configure(&ProviderConfig::without_region().with_region(config.region().cloned()).with_http_client(http))
        .build();
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

/// rustls with ring, as in the rest of devdb, and the proxy that the environment names.
fn http_client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
    })
}
