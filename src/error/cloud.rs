//! The notice board's part for AWS and for what is looked up there.

use super::{CommandError, ErrorKind};
use crate::config::{ProfileFinding, SignIn};
use crate::discovery::DiscoveryError;
use crate::system::{CloudError, shell_word, toml_text};

impl From<CloudError> for CommandError {
    fn from(error: CloudError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        cloud_hints(shown, &error)
    }
}

pub(super) fn cloud_hints(mut shown: CommandError, error: &CloudError) -> CommandError {
    if let CloudError::NoCredentials { profile, .. } | CloudError::ExpiredCredentials { profile, .. } = error {
        shown.signing_in = Some(profile.clone());
    }
    match error {
        CloudError::NoCredentials { profile: Some(profile), .. } => shown.hint(sign_in_or_keys(profile)),
        CloudError::NoCredentials { profile: None, .. } => shown
            .hint("set `profile` in devdb.toml or pass `--profile NAME`; `aws configure sso` makes one")
            .hint("or export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"),
        CloudError::ExpiredCredentials { profile: Some(profile), .. } => {
            shown.hint(format!("`aws sso login --profile {}`", shell_word(profile)))
        }
        CloudError::ExpiredCredentials { profile: None, .. } => {
            shown.hint("`aws sso login`, or export fresh AWS_… variables")
        }
        CloudError::InvalidCredentials { profile, .. } => {
            let (flag, make) = match profile {
                Some(profile) => {
                    let profile = shell_word(profile);
                    (format!(" --profile {profile}"), format!("`aws configure --profile {profile}` sets them"))
                }
                None => {
                    let variables = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
                    (String::new(), format!("they come from {variables}, or from the default profile"))
                }
            };
            shown.hint(format!("the access key or its secret is wrong, or was deleted; {make}")).hint(format!(
                "`aws sts get-caller-identity{flag}` checks them; a computer's wrong clock looks like this as well"
            ))
        }
        CloudError::NoRegion => shown.hint("set `region` in devdb.toml, or pass `--region eu-west-1`"),
        CloudError::Denied { action, .. } => {
            shown.hint(format!("ask whoever keeps your AWS permissions to allow `{action}`"))
        }
        CloudError::Throttled { .. } => shown.hint("wait a minute and run the command again; it continues"),
        CloudError::Unreachable { .. } => {
            shown.hint("check the network, HTTPS_PROXY and NO_PROXY, and that the region exists")
        }
        CloudError::Incomplete { .. } => shown.hint("run the command again; it begins by looking at what is there"),
        CloudError::Refused { code, .. } => match advice(code) {
            Some(advice) => shown.hint(advice),
            None => shown,
        },
        CloudError::NotFound { .. } => shown,
    }
}

impl CommandError {
    /// The same, with what the files of the AWS tools say about the profile, if its login is what failed.
    pub fn with_profile(mut self, look: impl FnOnce(Option<&str>) -> Option<ProfileFinding>) -> Self {
        let Some(finding) = self.signing_in.as_ref().and_then(|profile| look(profile.as_deref())) else { return self };
        match finding.is_in_order() {
            // The SDK says this of a profile that it has failed with before.
            true => self.causes.retain(|cause| !cause.contains("initialization error already taken")),
            false => self.causes.clear(),
        }
        self.causes.push(finding.to_string());
        self.hints = profile_hints(&finding);
        self
    }
}

fn profile_hints(finding: &ProfileFinding) -> Vec<String> {
    let list = || "`aws configure list-profiles` shows what there is".to_owned();
    let did_you_mean = |nearest: &str| format!("did you mean `{}`?", shell_word(nearest));
    let aws = |verb: &str, profile: &str| format!("`aws {verb} --profile {}`", shell_word(profile));
    match finding {
        ProfileFinding::NotUtf8 { .. } => vec!["save the file as UTF-8".to_owned()],
        ProfileFinding::Broken { .. } => {
            vec![
                "correct that line; every line is `[profile NAME]`, `name = value`, or a comment behind `#`".to_owned(),
            ]
        }
        ProfileFinding::NoProfile { nearest: Some(nearest), .. } => {
            vec![format!("did you mean `--profile {}`?", shell_word(nearest)), list()]
        }
        ProfileFinding::NoProfile { profile, nearest: None, .. } => {
            vec![format!("{} makes it", aws("configure sso", profile)), list()]
        }
        ProfileFinding::NoSource { wanted, nearest, .. } => {
            let make = || format!("{} makes it, with access keys", aws("configure", wanted));
            vec![nearest.as_deref().map_or_else(make, did_you_mean), list()]
        }
        ProfileFinding::Loop { .. } => {
            vec!["give one of them credentials of its own instead of `source_profile`".to_owned()]
        }
        ProfileFinding::NoSsoSession { session, nearest, .. } => {
            let make = || format!("`aws configure sso-session` makes it; call it `{}`", shell_word(session));
            vec![nearest.as_deref().map_or_else(make, did_you_mean)]
        }
        ProfileFinding::Incomplete { profile, key: "aws_secret_access_key" } => {
            vec![format!("{} sets it", aws("configure", profile))]
        }
        ProfileFinding::Incomplete { profile, key: "source_profile" } => {
            let set = aws("configure set source_profile NAME", profile);
            vec![format!("{set} names the profile that may take the role")]
        }
        ProfileFinding::Incomplete { profile, .. } => vec![format!("{} sets it", aws("configure sso", profile))],
        ProfileFinding::Empty { profile } => {
            vec![format!("{}, or {} for access keys", aws("configure sso", profile), aws("configure", profile))]
        }
        ProfileFinding::Mfa { profile } => through_the_cli(profile, "sts get-caller-identity"),
        ProfileFinding::NoTokenFile { .. } => vec!["whatever writes that file must have run".to_owned()],
        ProfileFinding::SignsIn { profile, way } => match way {
            SignIn::Sso => vec![aws("sso login", profile)],
            SignIn::Console => through_the_cli(profile, "login"),
            SignIn::Process => {
                vec![format!("{} runs that program and shows what it says", aws("sts get-caller-identity", profile))]
            }
            SignIn::Keys => vec![format!("{} sets other access keys", aws("configure", profile))],
            SignIn::WebIdentity | SignIn::Surroundings => {
                vec![format!("{} tries it without devdb", aws("sts get-caller-identity", profile))]
            }
        },
    }
}

/// For logins that the AWS CLI knows and the SDK does not: the CLI keeps the session, and hands it to a second profile.
fn through_the_cli(profile: &str, login: &str) -> Vec<String> {
    let export = shell_word(&format!("aws configure export-credentials --profile {}", shell_word(profile)));
    let other = shell_word(&format!("{profile}-devdb"));
    vec![
        format!("`aws {login} --profile {}` signs in; the AWS CLI keeps the session", shell_word(profile)),
        format!(
            "`aws configure set credential_process {export} --profile {other}`, once; then `--profile {other}` lets \
             devdb use it"
        ),
    ]
}

fn sign_in_or_keys(profile: &str) -> String {
    let profile = shell_word(profile);
    format!("`aws sso login --profile {profile}`, or `aws configure --profile {profile}` for access keys")
}

/// For AWS's own words (EC2 API reference, "Error codes"; "Common errors" of the others).
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "InsufficientInstanceCapacity" | "InsufficientHostCapacity" => {
            "capacity comes and goes: run the command again in some minutes; \
             `devdb bastion down`, then `devdb bastion up` looks for room in other subnets as well"
        }
        "InstanceLimitExceeded" | "VcpuLimitExceeded" => {
            "the account runs as many instances as it may in this region: end one that nobody needs, \
             or ask for more under Service Quotas: Amazon EC2, running on-demand instances"
        }
        "SecurityGroupLimitExceeded" => {
            "the account has as many security groups as it may in this region: delete some that nobody needs, \
             or ask for more under Service Quotas: Amazon VPC, VPC security groups per Region"
        }
        "RulesPerSecurityGroupLimitExceeded" => {
            "let in fewer addresses: see `allow_cidrs` in [environment.NAME.bastion]"
        }
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable" => {
            "set `ami` in [environment.NAME.bastion] to an image that this account sees in this region, \
             or take it out: devdb then takes the newest Amazon Linux"
        }
        "OptInRequired" | "SubscriptionRequiredException" => {
            "the account is not signed up for this: whoever administers it enables the service or the region, \
             or accepts the terms of the image that `ami` in [environment.NAME.bastion] names"
        }
        "PendingVerification" => {
            "AWS checks accounts that are new to a region, for minutes, seldom for hours: run the command again later; it continues"
        }
        "UnsupportedOperation" | "Unsupported" => {
            "see `instance_type`, `ami` and `kms_key` in [environment.NAME.bastion]: together they do not fit this region"
        }
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => {
            "AWS has trouble of its own: run the command again in a minute; it continues"
        }
        _ => return None,
    })
}

impl From<DiscoveryError> for CommandError {
    fn from(error: DiscoveryError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match &error {
            DiscoveryError::NothingNamed => {
                shown.hint("set `stack` in devdb.toml (or `cluster`, if there is no CloudFormation stack)")
            }
            DiscoveryError::StackNotFound { region, .. } | DiscoveryError::ClusterNotFound { region, .. } => {
                let region = region.as_deref().map_or_else(|| "REGION".to_owned(), shell_word);
                shown
                    .hint(format!("`aws cloudformation list-stacks --region {region}` shows what this account has there"))
                    .hint("is it another region or account? See `devdb config show --origin`; `--region` and `--profile` change them")
            }
            DiscoveryError::NoCluster { .. } => shown.hint("set `cluster` to the cluster's identifier in devdb.toml"),
            DiscoveryError::Ambiguous { key, candidates, .. } => {
                let first = candidates.first().map_or_else(|| "\"…\"".to_owned(), |first| toml_text(first));
                shown.hint(format!("name the one you mean in devdb.toml: `{key} = {first}`"))
            }
            DiscoveryError::NoWriter { .. } => {
                shown.hint("a failover or a stopped cluster looks like this; try again when the cluster is available")
            }
            DiscoveryError::VpcNotFound { .. } | DiscoveryError::OtherVpc { .. } => shown
                .hint("leave `vpc` out: a bastion stands in the VPC of the cluster's writer")
                .hint("`devdb config show --origin` tells where `vpc` and `region` come from"),
            DiscoveryError::NoSubnet { open, .. } if open.is_empty() => {
                shown.hint("a bastion needs a subnet whose route table leads 0.0.0.0/0 to an internet gateway")
            }
            DiscoveryError::NoSubnet { open, .. } => shown.hint(format!(
                "name one that has a way to the internet in devdb.toml: {}",
                open.iter().map(|name| format!("`subnet_name = {}`", toml_text(name))).collect::<Vec<_>>().join(" or ")
            )),
            DiscoveryError::NoInternetRoute { .. } => {
                shown.hint("a bastion needs a subnet whose route table leads 0.0.0.0/0 to an internet gateway")
            }
            DiscoveryError::Cloud(cloud) => cloud_hints(shown, cloud),
        }
    }
}
