use super::{Group, Instance, InstanceState, Rule};
use serde::Serialize;
use std::net::Ipv4Addr;

/// The state of the bastion as `status` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BastionStatus {
    Absent,
    Pending,
    Running,
    Stopping,
    Stopped,
    Terminated,
}

impl BastionStatus {
    pub fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Terminated => "terminated",
        }
    }
}

impl From<InstanceState> for BastionStatus {
    fn from(state: InstanceState) -> Self {
        match state {
            InstanceState::Pending => Self::Pending,
            InstanceState::Running => Self::Running,
            InstanceState::Stopping => Self::Stopping,
            InstanceState::Stopped => Self::Stopped,
            InstanceState::ShuttingDown | InstanceState::Terminated => Self::Terminated,
        }
    }
}

/// What stands; the JSON contract of `bastion status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BastionReport {
    pub state: BastionStatus,
    pub instance_id: Option<String>,
    pub instance_type: Option<String>,
    pub public_dns: Option<String>,
    pub public_ip: Option<Ipv4Addr>,
    pub private_ip: Option<Ipv4Addr>,
    pub subnet_id: Option<String>,
    pub security_group_id: Option<String>,
    pub database_rule_id: Option<String>,
    pub expires_at: Option<jiff::Timestamp>,
    /// What stands although there is no instance any more.
    pub leftovers: Vec<String>,
}

impl BastionReport {
    pub(super) fn new(instance: Option<&Instance>, group: Option<&Group>, database_rule: Option<&Rule>) -> Self {
        Self {
            state: instance.map_or(BastionStatus::Absent, |instance| instance.state.into()),
            instance_id: instance.map(|instance| instance.id.clone()),
            instance_type: instance.map(|instance| instance.instance_type.clone()),
            public_dns: instance.and_then(|instance| instance.public_dns.clone()),
            public_ip: instance.and_then(|instance| instance.public_ip),
            private_ip: instance.and_then(|instance| instance.private_ip),
            subnet_id: instance.and_then(|instance| instance.subnet_id.clone()),
            security_group_id: group.map(|group| group.id.clone()),
            database_rule_id: database_rule.map(|rule| rule.id.clone()),
            expires_at: instance.and_then(Instance::expires_at),
            leftovers: Vec::new(),
        }
    }
}
