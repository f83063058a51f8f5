use super::AwsKeys;
use crate::system::CloudError;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;

impl AwsKeys {
    /// The one translation of the SDK's errors. `action` is the IAM action (`ec2:RunInstances`).
    pub(super) fn translate<E>(&self, action: &str, error: SdkError<E, HttpResponse>) -> CloudError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let (action, profile) = (action.to_owned(), self.profile.clone());
        if let SdkError::ServiceError(context) = &error {
            // A gateway's answer on the way holds no code of AWS's.
            let code = error.code().map_or_else(|| format!("HTTP {}", context.raw().status().as_u16()), str::to_owned);
            let message = error.message().unwrap_or("no message").to_owned();
            if are_invalid_credentials(&code, &message) {
                return CloudError::InvalidCredentials { profile, message };
            }
            return match code.as_str() {
                "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired" => {
                    CloudError::ExpiredCredentials { profile, source: Some(message.into()) }
                }
                "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
                    CloudError::Denied { action: denied_action(&message).unwrap_or(action), source: reason(&message) }
                }
                "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "TooManyRequestsException" => {
                    CloudError::Throttled { action, source: None }
                }
                _ => CloudError::Refused { action, code, message },
            };
        }
        match credentials_error(&error) {
            Some(true) => CloudError::ExpiredCredentials { profile, source: Some(innermost(&error)) },
            Some(false) => CloudError::NoCredentials { profile, source: Some(innermost(&error)) },
            None => CloudError::Unreachable { action, source: Some(innermost(&error)) },
        }
    }

    /// Why there is nothing to sign with.
    pub(super) fn translate_credentials(&self, error: &CredentialsError) -> CloudError {
        let (profile, source) = (self.profile.clone(), Some(innermost(error)));
        match credentials_error(error) {
            Some(true) => CloudError::ExpiredCredentials { profile, source },
            _ => CloudError::NoCredentials { profile, source },
        }
    }
}

/// EC2 says AuthFailure, the Query and the JSON protocols have their own words for it (AWS API references, "Common
/// errors"). AuthFailure also refuses an image that is somebody else's, and that says nothing about the keys.
fn are_invalid_credentials(code: &str, message: &str) -> bool {
    match code {
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature" => true,
        "AuthFailure" => message.contains("credentials"),
        _ => false,
    }
}

/// The action that EC2 and IAM name in their refusal: `… is not authorized to perform: ec2:CreateTags on resource …`.
/// It may be another one than the call's (launching with tags needs `ec2:CreateTags`).
fn denied_action(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("not authorized to perform: ")?;
    let action: String = rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == ':').collect();
    action.contains(':').then_some(action)
}

/// The part of a refusal that says who may not do what to which resource, and which kind of policy is in the way.
fn reason(message: &str) -> Option<Box<dyn Error + Send + Sync>> {
    let from = &message[message.find("User: ")?..];
    // For `sts:DecodeAuthorizationMessage`, and a page long.
    let (readable, _) = from.split_once("Encoded authorization failure message").unwrap_or((from, ""));
    Some(readable.trim_end_matches([' ', '.']).into())
}

/// `None` when it is not about credentials; true when they were there once and have expired.
fn credentials_error(error: &(dyn Error + 'static)) -> Option<bool> {
    let mut is_about_credentials = false;
    let mut has_expired = false;
    let mut next = Some(error);
    while let Some(found) = next {
        is_about_credentials |= found.downcast_ref::<CredentialsError>().is_some();
        let text = found.to_string().to_lowercase();
        // The SSO provider says it in words only: "the SSO token has expired", "ExpiredTokenException",
        // "UnauthorizedException: Session token not found or invalid".
        has_expired |= text.contains("expired") || text.contains("unauthorizedexception");
        next = found.source();
    }
    is_about_credentials.then_some(has_expired)
}

/// The last of the causes, as text: it is the one that says something.
fn innermost(error: &(dyn Error + 'static)) -> Box<dyn Error + Send + Sync> {
    let mut found = error;
    while let Some(source) = found.source() {
        found = source;
    }
    let text = found.to_string();
    match text.as_str() {
        // The SDK's way to say that a profile was named which does not exist or holds nothing.
        "the credential provider was not enabled" => "there is no such profile, or it holds no credentials".into(),
        // A list of all the places that were looked at follows; the hint says it in one line.
        other => other.lines().next().unwrap_or_default().trim_end_matches(". Attempted:").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_keys_are_told_from_other_refusals() {
        for code in ["InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"] {
            assert!(are_invalid_credentials(code, "The security token included in the request is invalid."), "{code}");
        }
        assert!(are_invalid_credentials("AuthFailure", "AWS was not able to validate the provided access credentials"));
        assert!(!are_invalid_credentials("AuthFailure", "Not authorized for images: [ami-1]"));
        assert!(!are_invalid_credentials("UnauthorizedOperation", "no"));
    }

    #[test]
    fn the_missing_action_is_read_from_the_refusal() {
        let message = "You are not authorized to perform this operation. User: arn:aws:iam::1:user/ada is not \
                       authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:… because no policy allows it";
        assert_eq!(denied_action(message).as_deref(), Some("ec2:CreateTags"));
        let encoded = format!("{message}. Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6X");
        assert_eq!(denied_action(&encoded).as_deref(), Some("ec2:CreateTags"));
        let said = reason(&encoded).unwrap().to_string();
        assert!(said.starts_with("User: arn:") && said.ends_with("no policy allows it"), "{said}");
        assert!(reason("You are not authorized to perform this operation.").is_none());
        assert_eq!(denied_action("You are not authorized to perform this operation."), None);
    }
}
