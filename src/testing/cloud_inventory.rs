use super::FakeCloud;
use crate::connection::SecretStore;
use crate::discovery::{ClusterFacts, InstanceFacts, Inventory, RouteTableFacts, StackResource, SubnetFacts};
use crate::system::CloudError;
use async_trait::async_trait;
use zeroize::Zeroizing;

#[async_trait]
impl Inventory for FakeCloud {
    fn region(&self) -> Option<String> {
        Some(self.state().region.clone())
    }

    async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResource>, CloudError> {
        self.call("cloudformation:ListStackResources", |state| {
            let missing = || CloudError::NotFound { what: format!("stack `{stack}`"), source: None };
            state.stacks.get(stack).cloned().ok_or_else(missing)
        })
        .await
    }

    async fn cluster(&self, id: &str) -> Result<ClusterFacts, CloudError> {
        self.call("rds:DescribeDBClusters", |state| {
            let missing = || CloudError::NotFound { what: format!("cluster `{id}`"), source: None };
            state.clusters.get(id).map(|(facts, _)| facts.clone()).ok_or_else(missing)
        })
        .await
    }

    async fn cluster_instances(&self, cluster_id: &str) -> Result<Vec<InstanceFacts>, CloudError> {
        self.call("rds:DescribeDBInstances", |state| {
            Ok(state.clusters.get(cluster_id).map(|(_, instances)| instances.clone()).unwrap_or_default())
        })
        .await
    }

    async fn subnets(&self, vpc_id: &str) -> Result<Vec<SubnetFacts>, CloudError> {
        self.call("ec2:DescribeSubnets", |state| Ok(state.subnets.get(vpc_id).cloned().unwrap_or_default())).await
    }

    async fn route_tables(&self, vpc_id: &str) -> Result<Vec<RouteTableFacts>, CloudError> {
        self.call("ec2:DescribeRouteTables", |state| Ok(state.route_tables.get(vpc_id).cloned().unwrap_or_default()))
            .await
    }
}

#[async_trait]
impl SecretStore for FakeCloud {
    async fn secret(&self, id: &str) -> Result<Zeroizing<String>, CloudError> {
        self.call("secretsmanager:GetSecretValue", |state| {
            let missing = || CloudError::NotFound { what: format!("secret `{id}`"), source: None };
            state.secrets.get(id).cloned().map(Zeroizing::new).ok_or_else(missing)
        })
        .await
    }
}
