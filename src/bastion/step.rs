use super::{Group, Instance, Rule, RuleSource};
use std::fmt;
use std::net::Ipv4Addr;

/// One change of the world, or one wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Terminate {
        instance_id: String,
        reason: Option<&'static str>,
    },
    AwaitTermination {
        instance_ids: Vec<String>,
    },
    Start {
        instance_id: String,
    },
    Launch {
        instance_type: String,
        subnet_id: String,
        zone: String,
        instead_of: Option<String>,
    },
    AwaitReady,
    MakeKeys,
    ImportKeyPair {
        name: String,
    },
    DeleteKeyPair {
        id: String,
        name: String,
    },
    CreateGroup {
        name: String,
        vpc_id: String,
    },
    CloseEgress,
    AllowEgress {
        cidrs: Vec<String>,
        port: u16,
    },
    AllowSsh {
        cidrs: Vec<String>,
        port: u16,
    },
    AllowDatabase {
        group_id: String,
        port: u16,
        source: PlannedSource,
    },
    Revoke {
        rule: Rule,
        what: &'static str,
    },
    /// EC2 refuses it until the instances that still carry the group are terminated.
    DeleteGroup {
        group_id: String,
        name: String,
        carriers: Vec<String>,
    },
    ForgetKeys,
}

/// The database rule's other end, as far as it is known while planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlannedSource {
    Address(Ipv4Addr),
    /// The private address that the launch will tell.
    NewAddress,
    Group,
}

impl Step {
    /// True for steps that may run beside the one before: neither needs what the other makes, and no order is safer.
    pub(super) fn goes_along_with(&self, before: &Self) -> bool {
        let is_group_setting =
            |step: &Self| matches!(step, Self::CloseEgress | Self::AllowEgress { .. } | Self::AllowSsh { .. });
        let both = |is: fn(&Self) -> bool| is(self) && is(before);
        (is_group_setting(self) && is_group_setting(before))
            || both(|step| matches!(step, Self::Revoke { .. }))
            || both(|step| matches!(step, Self::Terminate { .. }))
            || both(|step| matches!(step, Self::DeleteGroup { .. }))
    }

    pub(super) fn delete_group(group: &Group, leaving: &[&Instance]) -> Self {
        let carriers = leaving.iter().filter(|instance| instance.carries(group)).map(|instance| instance.id.clone());
        Self::DeleteGroup { group_id: group.id.clone(), name: group.name.clone(), carriers: carriers.collect() }
    }

    /// False for waits: a plan of waits changes nothing.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::AwaitReady | Self::AwaitTermination { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminate { instance_id, reason: None } => write!(f, "terminate instance {instance_id}"),
            Self::Terminate { instance_id, reason: Some(reason) } => {
                write!(f, "terminate instance {instance_id} ({reason})")
            }
            Self::AwaitTermination { instance_ids } => {
                write!(f, "wait until {} is gone", instance_ids.join(", "))
            }
            Self::Start { instance_id } => write!(f, "start the stopped instance {instance_id}"),
            Self::Launch { instance_type, subnet_id, zone, instead_of } => {
                write!(f, "launch a {instance_type} in subnet {subnet_id} ({zone}")?;
                match instead_of {
                    Some(wanted) => write!(f, ", which does not offer {wanted})"),
                    None => f.write_str(")"),
                }
            }
            Self::AwaitReady => f.write_str("wait until ssh works and the instance says that it is ready"),
            Self::MakeKeys => f.write_str("make a login key and a host key on this computer"),
            Self::ImportKeyPair { name } => write!(f, "import the public key as key pair {name}"),
            Self::DeleteKeyPair { name, .. } => write!(f, "delete key pair {name}"),
            Self::CreateGroup { name, vpc_id } => write!(f, "create security group {name} in {vpc_id}"),
            Self::CloseEgress => f.write_str("close the group's outgoing side"),
            Self::AllowEgress { cidrs, port } => {
                write!(f, "let the bastion reach port {port} of the database's subnets ({})", cidrs.join(", "))
            }
            Self::AllowSsh { cidrs, port } => write!(f, "let {} reach the bastion's port {port}", cidrs.join(", ")),
            Self::AllowDatabase { group_id, port, source } => {
                write!(f, "let {source} reach port {port} in the writer's security group {group_id}")
            }
            Self::Revoke { rule, what } => write!(f, "revoke {what} {} in {}", rule.id, rule.group_id),
            Self::DeleteGroup { group_id, name, carriers } => {
                write!(f, "delete security group {name} ({group_id})")?;
                if carriers.is_empty() { Ok(()) } else { write!(f, ", once {} is gone", carriers.join(", ")) }
            }
            Self::ForgetKeys => f.write_str("delete the keys on this computer"),
        }
    }
}

impl fmt::Display for PlannedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the bastion's private address {address}/32"),
            Self::NewAddress => f.write_str("the bastion's private address"),
            Self::Group => f.write_str("the bastion's security group"),
        }
    }
}

/// What has to be done, and what has to be asked before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Each of them must be agreed to: something of the user's own is replaced.
    pub questions: Vec<String>,
    /// What is good enough as it is, but worth knowing.
    pub warnings: Vec<String>,
}

impl Plan {
    /// True when something changes.
    pub fn changes(&self) -> bool {
        self.steps.iter().any(Step::is_change)
    }

    /// The changes, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.steps.iter().filter(|step| step.is_change()).map(Step::to_string).collect()
    }
}

/// What is said of a rule that does what ours would do; EC2 allows no second one like it.
pub(super) fn somebody_elses(rule: &Rule) -> String {
    let source = match &rule.source {
        RuleSource::Cidr(cidr) => cidr,
        RuleSource::Group(id) => id,
        RuleSource::Other => "the bastion",
    };
    let id = &rule.id;
    format!("{source} is let in already by somebody else's rule {id}; it will not be removed by `devdb down`")
}

/// What is told while a plan is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A step begins; several may run at once.
    Begun(String),
    /// What the step that began last waits for.
    Waiting(String),
    /// A step that had begun is done, and what there is to say of it.
    Done { step: String, outcome: String },
    /// Something that is not as it should be, and stays like that.
    Warning(String),
    /// Something to know that belongs to no step.
    Told(String),
}
