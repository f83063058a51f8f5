use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// The answer of GetCallerIdentity (STS API reference).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// `AIDA…` for a user, `AROA…:session` for a role.
    pub user_id: String,
    /// The account's twelve digits.
    pub account: String,
    pub arn: String,
}

/// Where the calls go: key pairs, instances and groups of one place are unknown in every other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    pub region: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of account {}", self.region, self.account)
    }
}

/// What tells one developer's resources in one environment from everybody else's: the values of three tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    pub project: String,
    pub environment: String,
    pub owner: String,
}

/// The states of an EC2 instance (EC2 API reference, `InstanceState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    Stopping,
    Stopped,
    ShuttingDown,
    Terminated,
}

impl InstanceState {
    /// True while the instance exists: a terminated one is still listed for about an hour, but is gone.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    pub id: String,
    pub state: InstanceState,
    pub instance_type: String,
    pub subnet_id: Option<String>,
    pub public_ip: Option<Ipv4Addr>,
    pub public_dns: Option<String>,
    pub private_ip: Option<Ipv4Addr>,
    /// When it was launched, or started last.
    pub launched_at: Option<jiff::Timestamp>,
    /// Why it is in its state, in EC2's words; told of one that did not come up or was ended.
    pub state_reason: Option<String>,
    /// The token that launched it; it tells which generation of keys it was given.
    pub client_token: Option<String>,
    /// The security groups of its interfaces; EC2 stops telling them when it is terminated.
    pub group_ids: Vec<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub vpc_id: String,
    /// The rule that EC2 gives every new group: everything may leave.
    pub open_egress: bool,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

/// The other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleSource {
    Cidr(String),
    Group(String),
    /// A prefix list or an IPv6 range; devdb makes none of them.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: String,
    pub group_id: String,
    pub direction: Direction,
    /// Of a rule for one TCP port.
    pub port: Option<u16>,
    pub source: RuleSource,
    pub tags: Tags,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} in {}", self.id, self.group_id)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    pub id: String,
    pub name: String,
    /// In OpenSSH's form; missing where AWS does not tell it.
    pub public_key: Option<String>,
    pub created_at: Option<jiff::Timestamp>,
    pub tags: Tags,
}

/// Everything that carries one project's tag in a place, whoever made it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stock {
    /// Terminated ones too.
    pub instances: Vec<Instance>,
    pub groups: Vec<Group>,
    pub rules: Vec<Rule>,
    pub key_pairs: Vec<KeyPair>,
}

/// Rules to make: TCP, one port, one or more sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRule {
    pub group_id: String,
    pub direction: Direction,
    pub port: u16,
    pub sources: Vec<RuleSource>,
    /// Letters, digits, spaces and `._-:/()#,@[]+=&;{}!$*` (EC2 API reference, `IpRange`).
    pub description: String,
    pub tags: Tags,
}

/// An instance type that a zone offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub zone: String,
    pub instance_type: String,
}

/// What RunInstances is asked for. `Debug` leaves out the user data: it holds the host's private key.
#[derive(Clone, PartialEq, Eq)]
pub struct Launch {
    /// Same token and same parameters: the same instance, however often it is asked for.
    pub client_token: String,
    pub image: String,
    pub instance_type: String,
    pub subnet_id: String,
    pub group_id: String,
    pub key_name: String,
    pub kms_key: Option<String>,
    /// Not encoded.
    pub user_data: zeroize::Zeroizing<String>,
    pub tags: Tags,
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("client_token", &self.client_token)
            .field("image", &self.image)
            .field("instance_type", &self.instance_type)
            .field("subnet_id", &self.subnet_id)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}
