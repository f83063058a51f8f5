/// What AWS said, in words a developer can act on. The adapter translates each SDK error into it once.
#[derive(Debug, thiserror::Error)]
pub enum CloudError {
    #[error("no AWS credentials were found{}", in_profile(.profile))]
    NoCredentials { profile: Option<String>, source: Option<Source> },
    /// Expired keys or SSO session, or a token that AWS no longer accepts.
    #[error("the AWS credentials have expired{}", in_profile(.profile))]
    ExpiredCredentials { profile: Option<String>, source: Option<Source> },
    /// There are keys, and AWS does not know them or finds the signature wrong.
    #[error("AWS does not accept the credentials{}: {message}", in_profile(.profile))]
    InvalidCredentials { profile: Option<String>, message: String },
    #[error("no AWS region is set")]
    NoRegion,
    #[error("AWS does not allow `{action}`")]
    Denied { action: String, source: Option<Source> },
    #[error("{what} was not found")]
    NotFound { what: String, source: Option<Source> },
    /// Throttled for longer than the SDK's own retries.
    #[error("AWS asks to slow down (`{action}`)")]
    Throttled { action: String, source: Option<Source> },
    /// No answer: name, connection, time-out, TLS.
    #[error("AWS could not be reached (`{action}`)")]
    Unreachable { action: String, source: Option<Source> },
    /// Any other refusal, with AWS's own code.
    #[error("`{action}` failed with {code}: {message}")]
    Refused { action: String, code: String, message: String },
    /// An answer without a field that AWS documents as present.
    #[error("the answer to `{action}` lacks {what}")]
    Incomplete { action: String, what: &'static str },
}

type Source = Box<dyn std::error::Error + Send + Sync>;

fn in_profile(profile: &Option<String>) -> String {
    profile.as_ref().map(|name| format!(" (profile `{name}`)")).unwrap_or_default()
}

impl CloudError {
    /// This program knows nothing of AWS: the feature was left out.
    pub fn not_built(feature: &str) -> Self {
        Self::Refused {
            action: "any call".to_owned(),
            code: "NotBuilt".to_owned(),
            message: format!("this devdb was built without the `{feature}` feature"),
        }
    }

    /// True when a new login, and nothing else, would help.
    pub fn is_about_credentials(&self) -> bool {
        matches!(self, Self::NoCredentials { .. } | Self::ExpiredCredentials { .. } | Self::InvalidCredentials { .. })
    }

    /// True when AWS answered with this error code.
    pub fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}
