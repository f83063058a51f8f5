use super::{BastionAccess, Caller, Group, Instance, KeyPair, Launch, NewRule, Offer, Rule, Scope, Stock, Tags};
use crate::system::{CloudError, SpawnSpec};
use async_trait::async_trait;
use std::net::{Ipv4Addr, Ipv6Addr};
use zeroize::Zeroizing;

/// What a bastion needs from EC2 and STS.
///
/// Listings may lag behind: what was just made can be missing for seconds (EC2 API reference, "Eventual consistency").
/// Deleting what is gone already is a success.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Whose credentials these are.
    async fn caller(&self) -> Result<Caller, CloudError>;
    /// Everything of a project, of all its environments and owners.
    async fn stock(&self, project: &str) -> Result<Stock, CloudError>;

    /// Instances that carry the scope's tags, terminated ones too.
    async fn instances(&self, scope: &Scope) -> Result<Vec<Instance>, CloudError>;
    /// One instance; `None` while EC2 does not know it.
    async fn instance(&self, id: &str) -> Result<Option<Instance>, CloudError>;
    /// Which of these types the zones offer.
    async fn offers(&self, types: &[String], zones: &[String]) -> Result<Vec<Offer>, CloudError>;
    /// # Errors
    /// Code `IdempotentParameterMismatch` when the token was used with other parameters.
    async fn launch(&self, launch: &Launch) -> Result<Instance, CloudError>;
    async fn start(&self, instance_id: &str) -> Result<(), CloudError>;
    /// What EC2 has of the instance's serial console, at most 64 KB: the newest where it can tell, what was posted after
    /// the boot otherwise (EC2 API reference, "GetConsoleOutput"). `None` while there is nothing, and where there is no
    /// such instance.
    async fn console(&self, instance_id: &str) -> Result<Option<String>, CloudError>;
    async fn terminate(&self, instance_id: &str) -> Result<(), CloudError>;
    /// Sets one tag of an instance, whatever it was before.
    async fn tag_instance(&self, instance_id: &str, key: &str, value: &str) -> Result<(), CloudError>;

    /// Groups with this name, or with this name and a dot and more behind it, in all VPCs and of all principals.
    async fn groups(&self, name: &str) -> Result<Vec<Group>, CloudError>;
    /// Makes a group and returns its id.
    ///
    /// # Errors
    /// Code `InvalidGroup.Duplicate`.
    async fn create_group(
        &self,
        name: &str,
        vpc_id: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<String, CloudError>;
    /// Takes away the rule that lets everything leave a new group; where the VPC has IPv6, there is one more for that.
    async fn close_egress(&self, group_id: &str, ipv6: bool) -> Result<(), CloudError>;
    /// # Errors
    /// Code `DependencyViolation` while an interface still carries the group.
    async fn delete_group(&self, group_id: &str) -> Result<(), CloudError>;

    /// Rules that carry the scope's tags, in whatever group.
    async fn rules(&self, scope: &Scope) -> Result<Vec<Rule>, CloudError>;
    /// All rules of a group, whoever made them.
    async fn rules_of(&self, group_id: &str) -> Result<Vec<Rule>, CloudError>;
    /// Makes rules and returns their ids, without those that are there already, whoever made them.
    async fn authorize(&self, rule: &NewRule) -> Result<Vec<String>, CloudError>;
    async fn revoke(&self, rule: &Rule) -> Result<(), CloudError>;

    /// Key pairs with this name, or with this name and a dot and more behind it, of all principals.
    async fn key_pairs(&self, name: &str) -> Result<Vec<KeyPair>, CloudError>;
    /// # Errors
    /// Code `InvalidKeyPair.Duplicate` when the name is taken; nothing was changed then.
    /// Returns its id.
    async fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<String, CloudError>;
    /// Success as well when it is gone already.
    async fn delete_key_pair(&self, id: &str) -> Result<(), CloudError>;
}

/// Why a command could not be run on the bastion.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// No connection: refused, timed out, no route. It may come with time.
    #[error("the bastion does not answer: {message}")]
    NoAnswer { message: String, timed_out: bool },
    /// The key that answered is not the pinned one.
    #[error("the bastion's host key is not the one it was given")]
    HostKey { message: String },
    /// It takes the connection and ends it before it shows a host key: too many at its door, no memory, a full disk, or
    /// another machine in between.
    #[error("the bastion's port takes connections and ends them at once: {message}")]
    HungUp { message: String },
    /// It has shown the pinned host key and does not let us in. While it boots this can happen, too.
    #[error("the bastion refuses the login: {message}")]
    Refused { message: String },
    /// It has let us in, and the session broke off without an exit code.
    #[error("the bastion runs no command: {message}")]
    Broken { message: String },
    #[error("ssh could not be run")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ShellError {
    /// The reason alone, as the system calls it: `connection refused`.
    pub(super) fn briefly(&self) -> String {
        match self {
            Self::NoAnswer { message, .. }
            | Self::HostKey { message }
            | Self::HungUp { message }
            | Self::Refused { message }
            | Self::Broken { message } => briefly(message),
            Self::Unavailable(_) => self.to_string(),
        }
    }
}

pub(super) fn briefly(message: &str) -> String {
    // `ssh: connect to host 203.0.113.7 port 22: Connection refused`
    let reason = message.rsplit(": ").next().unwrap_or_default().trim().trim_end_matches('.');
    let mut letters = reason.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// What a command on the bastion said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs commands on the bastion, always with a strict check of its host key.
#[async_trait]
pub trait Shell: Send + Sync {
    /// Runs a command to its end, which must come soon.
    async fn run(&self, access: &BastionAccess, command: &str) -> Result<Said, ShellError>;

    /// Sees whether anything answers at the ssh port, so that silence can be explained before ssh takes over. Where ssh
    /// goes through a proxy only ssh itself can tell, and this is always content.
    ///
    /// # Errors
    /// [`ShellError::NoAnswer`].
    async fn knock(&self, access: &BastionAccess) -> Result<(), ShellError>;

    /// The command line of an ssh for a person at a terminal; without words it is a login. What it reads is in place.
    fn command_line(&self, access: &BastionAccess, words: &[String]) -> Result<SpawnSpec, ShellError>;
}

#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    #[error("{url} could not be reached")]
    Unreachable { url: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("{url} sees you with the IPv6 address {address}, but the bastion is reached over IPv4")]
    Ipv6 { url: String, address: Ipv6Addr },
    #[error("{url} leads to {to}, where nothing is asked")]
    Elsewhere { url: String, to: String },
    /// The answer is shortened.
    #[error("{url} answered `{answer}` instead of an IPv4 address")]
    NotAnAddress { url: String, answer: String },
}

/// Tells from which address we are seen on the internet.
#[async_trait]
pub trait AddressEcho: Send + Sync {
    /// Asks the service over IPv4 and past any proxy: the bastion will see the address of this machine's own route.
    async fn address(&self, url: &str) -> Result<Ipv4Addr, EchoError>;
}

/// A fresh key, both halves in OpenSSH's format.
pub struct MadeKey {
    pub private_key: Zeroizing<String>,
    pub public_key: String,
}

/// Makes ed25519 keys.
pub trait KeyMaker: Send + Sync {
    /// # Errors
    /// When the operating system gives no randomness.
    fn make(&self, comment: &str) -> Result<MadeKey, Box<dyn std::error::Error + Send + Sync>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_ssh_is_told_in_the_systems_own_words() {
        let no_answer = |message: &str| ShellError::NoAnswer { message: message.to_owned(), timed_out: false };
        let refused = ShellError::Refused { message: "ec2-user@1.2.3.4: Permission denied (publickey).".to_owned() };
        for (error, brief) in [
            (no_answer("ssh: connect to host 1.2.3.4 port 22: Connection refused"), "connection refused"),
            (no_answer("kex_exchange_identification: read: Connection reset by peer"), "connection reset by peer"),
            (no_answer("no reason given"), "no reason given"),
            (refused, "permission denied (publickey)"),
        ] {
            assert_eq!(error.briefly(), brief);
        }
    }
}
