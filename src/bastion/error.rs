use super::{EchoError, Place, Reach, ShellError};
use crate::system::CloudError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum BastionError {
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("the address that you are seen with could not be found out")]
    Echo(#[from] EchoError),
    #[error("`{text}` cannot be let in: {reason}")]
    Cidr { text: String, reason: String },
    /// Same project, environment and alias, other person.
    #[error("{resource} belongs to another AWS principal ({principal}) under the alias `{owner}`")]
    AnotherPrincipal { resource: String, principal: String, owner: String },
    /// The keys here are another bastion's, which may well be alive.
    #[error("the keys on this computer are those of a bastion in {there}, but this is {here}")]
    Elsewhere { here: Place, there: Place },
    #[error("{kind} `{name}` exists already and was not made by devdb")]
    NameTaken { kind: &'static str, name: String },
    /// The race for the key pair was lost.
    #[error("another computer is bringing up the same bastion right now (key pair `{name}`)")]
    AnotherComputer { name: String },
    #[error("{name} is not there, so there is no rule to change")]
    Absent { name: String },
    #[error("none of {} is offered in {}", types.join(", "), zones.join(", "))]
    NotOffered { types: Vec<String>, zones: Vec<String> },
    #[error("instance {id} became {state} while it was waited for")]
    Died { id: String, state: &'static str },
    #[error("{what} took longer than {seconds} s")]
    TooSlow { what: String, seconds: u64 },
    #[error("the bastion {id} is running, but ssh did not work within {seconds} s")]
    NotReady { id: String, seconds: u64, reach: Option<Reach>, source: Option<ShellError> },
    #[error("the host key of {id} is not the one that it was given; somebody may be in between")]
    HostKey { id: String, message: String },
    #[error("ssh could not be run")]
    Ssh(#[source] ShellError),
    #[error("no key could be made")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{} could not be used", path.display())]
    Local { path: PathBuf, source: std::io::Error },
    #[error("the template {template} cannot be filled in: {reason}")]
    Template { template: &'static str, reason: String },
}
