use super::{Console, Defect, EchoError, Filling, Place, Reach, ShellError};
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
    /// Each of the ranges is narrow enough.
    #[error("{addresses} addresses of the internet would be let in together; {most} are the most")]
    TooOpen { addresses: u64, most: u64 },
    /// Same project, environment and alias, other person.
    #[error("{resource} belongs to another AWS principal ({principal}) under the alias `{owner}`")]
    AnotherPrincipal { resource: String, principal: String, owner: String },
    /// The keys here are another bastion's, which may well be alive.
    #[error("the keys on this computer are those of a bastion in {there}, but this is {here}")]
    Elsewhere { here: Place, there: Place },
    /// Between the look and the step.
    #[error("{kind} `{name}` exists already and is not yours")]
    NameTaken { kind: &'static str, name: String },
    /// The race for the key pair was lost.
    #[error("another computer is bringing up the same bastion right now (key pair `{name}`)")]
    AnotherComputer { name: String },
    #[error("{name} is not there, so there is no rule to change")]
    Absent { name: String },
    #[error("none of {} is offered in {}", types.join(", "), zones.join(", "))]
    NotOffered { types: Vec<String>, zones: Vec<String> },
    /// Offered, but all given away.
    #[error("AWS has no room for the bastion right now; tried {}", tried.join(", "))]
    NoCapacity { tried: Vec<String>, source: CloudError },
    #[error("the writer's security group {group_id} takes no more rules ({filling})")]
    RulesFull { group_id: String, filling: Filling },
    #[error("instance {id} became {state} while it was waited for{}", because(reason.as_deref()))]
    Died { id: String, state: &'static str, reason: Option<String> },
    #[error("{what} took longer than {seconds} s")]
    TooSlow { what: String, seconds: u64 },
    #[error("the bastion {id} is running, but ssh did not work within {seconds} s")]
    NotReady { id: String, seconds: u64, reach: Option<Reach>, console: Box<Console>, source: ShellError },
    /// It runs, and is of no use.
    #[error("the bastion {id} {defect}")]
    Defective { id: String, defect: Defect, console: Console },
    #[error("the host key of {id} is not the one that it was given; somebody may be in between")]
    HostKey { id: String, message: String },
    #[error("the bastion {id} cannot be reached")]
    NoWayIn { id: String, source: ShellError },
    #[error("the bastion cannot stay until {wanted}; it ends at {latest} at the latest")]
    BeyondCap { wanted: jiff::Timestamp, latest: jiff::Timestamp, now: jiff::Timestamp },
    #[error("the deadline on {id} could not be read or written")]
    NoDeadline { id: String },
    #[error("the deadline on {id} is {kept} after it was moved to {until}")]
    DeadlineNotKept { id: String, until: jiff::Timestamp, kept: jiff::Timestamp },
    #[error("the bastion stays until {until}, but its tag in AWS does not say so yet")]
    TagBehind { until: jiff::Timestamp, source: CloudError },
    #[error("ssh could not be run")]
    Ssh(#[source] ShellError),
    #[error("no key could be made")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{} could not be used", path.display())]
    Local { path: PathBuf, source: std::io::Error },
    #[error("the template {template} cannot be filled in: {reason}")]
    Template { template: &'static str, reason: String },
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}
