use crate::system::CloudError;
use async_trait::async_trait;

/// A resource of a CloudFormation stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackResource {
    pub logical_id: String,
    pub physical_id: String,
    /// `AWS::RDS::DBCluster` and the like.
    pub kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFacts {
    pub id: String,
    pub writer_endpoint: Option<String>,
    pub reader_endpoint: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
    pub master_user: Option<String>,
    /// ARN of the secret that RDS keeps itself.
    pub master_secret: Option<String>,
    /// Instance id, and whether it takes writes now.
    pub members: Vec<(String, bool)>,
}

/// A database instance with the network that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceFacts {
    pub id: String,
    pub zone: Option<String>,
    pub endpoint: Option<String>,
    pub security_group_ids: Vec<String>,
    pub vpc_id: Option<String>,
    pub subnet_ids: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetFacts {
    pub id: String,
    pub zone: String,
    pub cidr: String,
    pub free_addresses: u32,
    /// Tag `aws-cdk:subnet-name`.
    pub cdk_name: Option<String>,
    /// Tag `aws:cloudformation:logical-id`.
    pub logical_id: Option<String>,
    /// Tag `Name`.
    pub name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTableFacts {
    /// Subnets that are associated explicitly.
    pub subnet_ids: Vec<String>,
    /// The VPC's main table serves the subnets that no table names.
    pub is_main: bool,
    pub routes: Vec<RouteFacts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteFacts {
    pub destination: String,
    pub gateway_id: Option<String>,
    /// False for a black hole.
    pub active: bool,
}

/// What discovery asks AWS.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// The region that the calls go to.
    fn region(&self) -> Option<String>;
    /// All resources of one stack, however many pages; nested stacks are resources of kind `AWS::CloudFormation::Stack`.
    ///
    /// # Errors
    /// [`CloudError::NotFound`] when there is no such stack.
    async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResource>, CloudError>;
    /// # Errors
    /// [`CloudError::NotFound`] when there is no such cluster.
    async fn cluster(&self, id: &str) -> Result<ClusterFacts, CloudError>;
    async fn cluster_instances(&self, cluster_id: &str) -> Result<Vec<InstanceFacts>, CloudError>;
    async fn subnets(&self, vpc_id: &str) -> Result<Vec<SubnetFacts>, CloudError>;
    async fn route_tables(&self, vpc_id: &str) -> Result<Vec<RouteTableFacts>, CloudError>;
}
