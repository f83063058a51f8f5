use crate::host::{Aws, AwsTarget};
use crate::system::CloudError;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// The clients of one account and region.
pub(crate) struct AwsAdapter {
    pub(super) profile: Option<String>,
    pub(super) region: String,
    pub(super) credentials: Option<SharedCredentialsProvider>,
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) rds: aws_sdk_rds::Client,
    pub(super) cloudformation: aws_sdk_cloudformation::Client,
    pub(super) secrets: aws_sdk_secretsmanager::Client,
    pub(super) sts: aws_sdk_sts::Client,
}

impl Aws for AwsAdapter {}

impl AwsAdapter {
    /// Reads configuration and environment as every AWS tool does (`AWS_ENDPOINT_URL` included); calls nothing.
    pub(crate) async fn load(target: &AwsTarget) -> Result<Self, CloudError> {
        let config = sdk_config(target).await?;
        let region = config.region().map(ToString::to_string).ok_or(CloudError::NoRegion)?;
        Ok(Self {
            profile: target.profile.clone(),
            region,
            credentials: config.credentials_provider(),
            ec2: aws_sdk_ec2::Client::new(&config),
            rds: aws_sdk_rds::Client::new(&config),
            cloudformation: aws_sdk_cloudformation::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
        })
    }
}

async fn sdk_config(target: &AwsTarget) -> Result<SdkConfig, CloudError> {
    let http = http_client();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
        .retry_config(RetryConfig::standard().with_max_attempts(4));
    if let Ok(name) = AppName::new("devdb") {
        loader = loader.app_name(name);
    }
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let Some(profile) = &target.profile else { return Ok(loader.load().await) };
    let config = loader.profile_name(profile).load().await;
    // As `aws --profile` does it: keys left over in the environment may be another account's.
    let provider = ProfileFileCredentialsProvider::builder()
        .profile_name(profile)
        .configure(&ProviderConfig::without_region().with_region(config.region().cloned()).with_http_client(http))
        .build();
    Ok(config.to_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build())
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
