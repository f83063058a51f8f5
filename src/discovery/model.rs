use serde::{Deserialize, Serialize};

/// What devdb needs to know about the team's stack. Cached in the state folder; AWS stays the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub vpc_id: String,
    /// The subnets that a bastion may stand in, the writer's zone first.
    pub ingress_subnets: Vec<Subnet>,
    /// CIDR blocks of the subnets that the database stands in.
    pub database_cidrs: Vec<String>,
    /// The VPC has IPv6 addresses as well. Missing in the files of old releases.
    #[serde(default)]
    pub ipv6: bool,
    pub cluster: Cluster,
    /// ARN (or name) of the secret with the database's password.
    pub secret: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    pub cidr: String,
}

/// An Aurora cluster as `DescribeDBClusters` and `DescribeDBInstances` tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    pub id: String,
    pub writer_endpoint: String,
    pub reader_endpoint: Option<String>,
    pub port: u16,
    pub database: Option<String>,
    pub master_user: Option<String>,
    pub members: Vec<ClusterMember>,
}

/// One instance of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMember {
    pub instance_id: String,
    pub is_writer: bool,
    pub zone: Option<String>,
    pub endpoint: Option<String>,
    pub security_group_ids: Vec<String>,
}

impl Cluster {
    /// The member that takes writes now.
    pub fn writer(&self) -> Option<&ClusterMember> {
        self.members.iter().find(|member| member.is_writer)
    }
}
