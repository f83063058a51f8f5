//! From a stack's name (or explicit ids) to the VPC, the subnets, the cluster and the secret.

mod model;

pub use model::{Cluster, ClusterMember, Subnet, Topology};
