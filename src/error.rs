//! Notice board: room errors become a kind, a message, causes and hints. All advice of the tool stands on this page.

mod database;

pub(crate) use database::describe_holder;

use crate::bastion::BastionError;
use crate::config::ConfigError;
use crate::connection::ConnectionError;
use crate::discovery::DiscoveryError;
use crate::system::CloudError;
use crate::tunnel::{Obstacle, PortOwnerKind, Remedy, SpecError, TunnelError};
use crate::ui::{ExitStatus, Failure, PromptError};
use std::error::Error;

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    Failed,
    Usage,
    /// A question answered "no".
    No,
    Refused,
    Cancelled,
    Bug,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::No => "no",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Bug => "bug",
        }
    }

    fn status(self) -> ExitStatus {
        match self {
            Self::Failed => ExitStatus::Failure,
            Self::Usage => ExitStatus::Usage,
            Self::No => ExitStatus::No,
            Self::Refused => ExitStatus::Refused,
            Self::Cancelled => ExitStatus::Cancelled,
            Self::Bug => ExitStatus::Bug,
        }
    }
}

/// A failed command, ready to be shown.
#[derive(Debug)]
pub struct CommandError {
    pub kind: ErrorKind,
    pub message: String,
    pub causes: Vec<String>,
    pub hints: Vec<String>,
}

impl CommandError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hints: Vec::new() }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The error and the chain of its sources; a cause that only repeats the line above it is left out.
    pub fn from_error(kind: ErrorKind, error: &(dyn Error + 'static)) -> Self {
        let mut found = Self::new(kind, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            let above = found.causes.last().unwrap_or(&found.message);
            if !above.contains(&text) {
                found.causes.push(text);
            }
            source = cause.source();
        }
        found
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub fn status(&self) -> ExitStatus {
        self.kind.status()
    }

    pub fn failure(&self) -> Failure {
        Failure {
            kind: self.kind.name(),
            message: self.message.clone(),
            causes: self.causes.clone(),
            hints: self.hints.clone(),
        }
    }
}

impl From<PromptError> for CommandError {
    fn from(error: PromptError) -> Self {
        match error {
            PromptError::NoTerminal => Self::from_error(ErrorKind::Failed, &error)
                .hint("pass `--yes` to agree without being asked, or run the command in a terminal"),
            PromptError::Cancelled => Self::from_error(ErrorKind::Cancelled, &error),
            PromptError::Failed(_) => Self::from_error(ErrorKind::Failed, &error),
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::from_error(ErrorKind::Failed, &error)
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            ConfigError::NotFound { .. } => {
                shown.hint("change into the project's folder, or name the file: `--config path/to/devdb.toml`")
            }
            ConfigError::NoEnvironments { .. } => shown.hint(
                "add one: [environment.dev] with `region = \"eu-west-1\"` and `stack = \"YourStack\"`; the README has an example",
            ),
            ConfigError::Unreadable { .. } => shown.hint("check that the file exists and that you may read it"),
            ConfigError::Syntax { .. } => shown.hint("the format is TOML; see the README's example"),
            ConfigError::UnknownKey { nearest: Some(nearest), .. } => shown.hint(format!("did you mean `{nearest}`?")),
            ConfigError::UnknownKey { .. } => shown.hint("`devdb config show` lists the keys that are in use"),
            ConfigError::PersonalKey { key, .. } => {
                shown.hint(format!("move `{key}` to devdb.local.toml, which git ignores"))
            }
            // `config show` would stop at the same value.
            ConfigError::BadValue { origin, .. } => shown.hint(format!("correct it there: {origin}")),
            ConfigError::Missing { key: "alias", .. } => {
                shown.hint("set it with `export DEVDB_ALIAS=ada`, or as `alias = \"ada\"` in devdb.local.toml")
            }
            ConfigError::Missing { key, .. } => shown.hint(format!("set `{key}` in devdb.toml")),
            ConfigError::NoSuchEnvironment { known, .. } => {
                shown.hint(format!("choose one of {} with `-e NAME`", known.join(", ")))
            }
            ConfigError::State { .. } => shown.hint("check the folder's rights, or set XDG_STATE_HOME to another one"),
            ConfigError::ForeignState { .. } => shown.hint("set XDG_STATE_HOME to a folder of your own"),
            ConfigError::NoHome => shown.hint("set HOME"),
        }
    }
}

impl From<ConnectionError> for CommandError {
    fn from(error: ConnectionError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match error {
            ConnectionError::SecretUnreadable | ConnectionError::SecretWithoutPassword => shown.hint(
                "it must be a bare password, or JSON such as {\"username\": …, \"password\": …}; \
                 `secret` in devdb.toml chooses another one",
            ),
            ConnectionError::Incomplete { what } => shown.hint(format!("set `{what}` in devdb.toml")),
            ConnectionError::Unprintable { .. } => shown.hint("change the value; no shell can hold a NUL character"),
        }
    }
}

impl From<CloudError> for CommandError {
    fn from(error: CloudError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        cloud_hints(shown, &error)
    }
}

fn cloud_hints(shown: CommandError, error: &CloudError) -> CommandError {
    match error {
        CloudError::NoCredentials { profile: Some(profile), .. } => shown.hint(format!(
            "`aws sso login --profile {profile}`, or `aws configure --profile {profile}` for access keys"
        )),
        CloudError::NoCredentials { profile: None, .. } => shown
            .hint("set `profile` in devdb.toml or pass `--profile NAME`; `aws configure sso` makes one")
            .hint("or export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"),
        CloudError::ExpiredCredentials { profile: Some(profile), .. } => {
            shown.hint(format!("`aws sso login --profile {profile}`"))
        }
        CloudError::ExpiredCredentials { profile: None, .. } => {
            shown.hint("`aws sso login`, or export fresh AWS_… variables")
        }
        CloudError::InvalidCredentials { profile, .. } => {
            let (flag, make) = match profile {
                Some(profile) => {
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
        CloudError::NotFound { .. } | CloudError::Refused { .. } => shown,
    }
}

impl From<DiscoveryError> for CommandError {
    fn from(error: DiscoveryError) -> Self {
        let shown = Self::from_error(ErrorKind::Failed, &error);
        match &error {
            DiscoveryError::NothingNamed => {
                shown.hint("set `stack` in devdb.toml (or `cluster`, if there is no CloudFormation stack)")
            }
            DiscoveryError::StackNotFound { region, .. } | DiscoveryError::ClusterNotFound { region, .. } => {
                let region = region.as_deref().unwrap_or("REGION");
                shown
                    .hint(format!("`aws cloudformation list-stacks --region {region}` shows what this account has there"))
                    .hint("is it another region or account? See `devdb config show --origin`; `--region` and `--profile` change them")
            }
            DiscoveryError::NoCluster { .. } => shown.hint("set `cluster` to the cluster's identifier in devdb.toml"),
            DiscoveryError::Ambiguous { key, candidates, .. } => {
                let first = candidates.first().map_or("…", String::as_str);
                shown.hint(format!("name the one you mean in devdb.toml: `{key} = \"{first}\"`"))
            }
            DiscoveryError::NoWriter { .. } => {
                shown.hint("a failover or a stopped cluster looks like this; try again when the cluster is available")
            }
            DiscoveryError::NoSubnet { .. } => {
                shown.hint("set `subnet_name` in devdb.toml to the name of the public subnets")
            }
            DiscoveryError::NoInternetRoute { .. } => {
                shown.hint("a bastion needs a subnet whose route table leads 0.0.0.0/0 to an internet gateway")
            }
            DiscoveryError::Cloud(cloud) => cloud_hints(shown, cloud),
        }
    }
}

impl From<BastionError> for CommandError {
    fn from(error: BastionError) -> Self {
        let failed = || Self::from_error(ErrorKind::Failed, &error);
        let refused = || Self::from_error(ErrorKind::Refused, &error);
        let again = "run the command again; it continues from what is there";
        match &error {
            BastionError::Cloud(cloud) => cloud_hints(failed(), cloud),
            BastionError::Echo(_) => failed().hint(
                "pass your address: `devdb bastion up --ip 203.0.113.7`, or set `echo_url` to a service you can reach",
            ),
            BastionError::Cidr { .. } => failed().hint("see `allow_cidrs` in [environment.NAME.bastion]"),
            BastionError::AnotherPrincipal { .. } => refused()
                .hint("choose another alias: `export DEVDB_ALIAS=…`, or `alias` in devdb.local.toml")
                .hint("if that was you with another role, log in with it and run `devdb bastion down` first"),
            BastionError::Elsewhere { here, there } => {
                let region =
                    if here.region == there.region { String::new() } else { format!(" --region {}", there.region) };
                let profile = if here.account == there.account { "" } else { " --profile NAME" };
                let devdb = format!("devdb{region}{profile}");
                let shown = refused()
                    .hint(format!("that one: `{devdb} bastion status`, or `{devdb} bastion down` to remove it first"));
                let shown = match profile {
                    "" => shown,
                    _ => shown.hint(format!("NAME is a profile of account {}", there.account)),
                };
                shown.hint("to have one here as well, give this place an environment of its own in devdb.toml")
            }
            BastionError::NameTaken { .. } => {
                refused().hint("choose another alias (`export DEVDB_ALIAS=…`), or remove it by hand if nobody needs it")
            }
            BastionError::AnotherComputer { .. } => {
                refused().hint("let it finish; then run this command again to take the bastion over")
            }
            BastionError::NotOffered { .. } => failed().hint("set `instance_type` in [environment.NAME.bastion]"),
            BastionError::Died { .. } | BastionError::TooSlow { .. } => failed().hint(again),
            BastionError::NotReady { findings, .. } => findings
                .iter()
                .fold(failed(), |shown, finding| shown.hint(finding.clone()))
                .hint("run `devdb bastion up` again to go on waiting, or `devdb bastion down` to start over"),
            BastionError::HostKey { .. } => {
                refused().hint("`devdb bastion down`, then `devdb bastion up` makes a new one with a new key")
            }
            BastionError::Ssh(_) => failed()
                .hint("install OpenSSH's client (`ssh -V` must work), or correct the setting that is named above"),
            BastionError::Key(_) | BastionError::Template { .. } => Self::from_error(ErrorKind::Bug, &error),
            BastionError::Local { .. } => failed().hint("check the state folder's rights and the disk's space"),
        }
    }
}

impl From<TunnelError> for CommandError {
    fn from(error: TunnelError) -> Self {
        let kind = match &error {
            TunnelError::Failed { remedy: Some(Remedy::HostKey | Remedy::Identity), .. }
            | TunnelError::Unreachable { remedy: Some(_), .. } => ErrorKind::Refused,
            _ => ErrorKind::Failed,
        };
        let shown = Self::from_error(kind, &error);
        match error {
            TunnelError::PortBusy { target, address, owner, free } => {
                let shown = match owner.map(|owner| (owner.kind, owner.pid)) {
                    Some((PortOwnerKind::Ssh, pid)) => {
                        shown.hint(format!("if that is a forgotten tunnel, end it with `kill {pid}` and try again"))
                    }
                    _ => shown,
                };
                match free {
                    Some(free) => shown.hint(format!(
                        "take a free port instead: set `{target}_port = {free}` under [environment.NAME.tunnel] in devdb.local.toml"
                    )),
                    None => shown.hint(format!("free port {}, or choose another `{target}_port`", address.port())),
                }
            }
            TunnelError::Failed { remedy: Some(remedy), .. }
            | TunnelError::Unreachable { remedy: Some(remedy), .. } => shown.hint(remedy_hint(remedy)),
            TunnelError::Unreachable { remedy: None, .. } => shown
                .hint("connect the VPN that leads into the VPC, or set `transport = \"ssh\"` to go through a bastion"),
            TunnelError::NotUp { obstacle: Obstacle::TakenDown, .. } => shown.hint("`devdb tunnel up` starts it again"),
            // `tunnel up` has asked AWS for the address; what is left is a rule, a route or the instance itself.
            TunnelError::NotUp { obstacle: Obstacle::Bastion, .. } => shown.hint(LOOK_AT_BASTION).hint(GOES_ON),
            TunnelError::Failed { remedy: None, .. } | TunnelError::NotUp { obstacle: Obstacle::Database, .. } => {
                shown.hint(GOES_ON)
            }
            TunnelError::NotStarted { last: Some(last), .. } => {
                let mut shown = shown;
                shown.causes.push(last);
                shown
            }
            TunnelError::Stale { .. } => shown.hint("`devdb tunnel down` ends it"),
            // That is what `devdb tunnel down` has just tried.
            TunnelError::NotEnded { pid } => shown
                .hint(format!("see with `ps -fp {pid}` that it is devdb's supervisor, then end it: `kill -9 {pid}`"))
                .hint("run the command again afterwards; it cleans up what the supervisor left"),
            TunnelError::ForeignFolder { .. } => shown.hint("set XDG_RUNTIME_DIR to a folder of your own"),
            _ => shown,
        }
    }
}

const LOOK_AT_BASTION: &str =
    "`devdb bastion up` looks at what AWS says (a new address, a bastion that is gone) and repairs the way in";
const GOES_ON: &str = "it keeps trying in the background; `devdb tunnel status` tells how it goes";

/// What to do about a tunnel that gave up.
pub(crate) fn remedy_hint(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::HostKey => {
            "somebody else may be answering in the bastion's place; `devdb bastion up` looks at what AWS says and repairs the way in"
        }
        Remedy::Authentication => {
            "the bastion does not know this key; `devdb bastion up` looks at what AWS says and repairs the way in"
        }
        Remedy::Identity => {
            "this is not the database that the settings name; compare `devdb config show` with the endpoint, or set `ca_file`"
        }
        Remedy::InstallSsh => "install OpenSSH's client (`openssh-client`) and try again",
    }
}

impl From<SpecError> for CommandError {
    fn from(error: SpecError) -> Self {
        Self::from_error(ErrorKind::Failed, &error)
            .hint("`devdb config show --origin` tells where each value comes from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(error: TunnelError) -> String {
        CommandError::from(error).hints.join("\n")
    }

    #[test]
    fn no_hint_sends_anybody_back_to_the_command_that_has_just_failed() {
        for remedy in [Remedy::HostKey, Remedy::Authentication] {
            let said = hints(TunnelError::Failed { cause: "refused".to_owned(), remedy: Some(remedy) });
            assert!(said.contains("devdb bastion up") && !said.contains("tunnel up"), "{said}");
        }
        let not_up = |obstacle| hints(TunnelError::NotUp { cause: "no answer".to_owned(), seconds: 45, obstacle });
        let said = not_up(Obstacle::Bastion);
        assert!(said.contains("devdb bastion up") && said.contains("devdb tunnel status"), "{said}");
        assert!(!not_up(Obstacle::Database).contains("bastion"));
        assert!(!not_up(Obstacle::TakenDown).contains("background"));
        let said = hints(TunnelError::NotEnded { pid: 4711 });
        assert!(said.contains("kill -9 4711") && !said.contains("tunnel down"), "{said}");
    }
}
