//! From a stack's name (or explicit ids) to the VPC, the subnets, the cluster and the secret.
//!
//! [`discover`] fetches raw facts through [`Inventory`]; every choice is a pure function. What cannot be decided is
//! [`DiscoveryError::Ambiguous`] with the candidates, so that reception can ask.

pub mod cache;
mod choose;
mod error;
mod facts;
mod model;
mod subnets;
mod survey;

pub use choose::{Secrets, choose_cluster, choose_secret};
pub use error::DiscoveryError;
pub use facts::{ClusterFacts, InstanceFacts, Inventory, RouteFacts, RouteTableFacts, StackResource, SubnetFacts};
pub use model::{Cluster, ClusterMember, Subnet, Topology};
pub use subnets::choose_ingress;
pub use survey::{Wanted, discover};
