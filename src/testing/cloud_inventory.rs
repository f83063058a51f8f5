use super::FakeCloud;
use crate::connection::{Password, SecretContent, SecretStore, TokenLogin, TokenSigner};
use crate::discovery::{ClusterFacts, InstanceFacts, Inventory, RouteTableFacts, StackResource, SubnetFacts};
use crate::system::CloudError;
use async_trait::async_trait;
use jiff::Timestamp;
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
    async fn secret(&self, id: &str) -> Result<SecretContent, CloudError> {
        self.call("secretsmanager:GetSecretValue", |state| {
            let missing = || CloudError::NotFound { what: format!("secret `{id}`"), source: None };
            let versions = state.secrets.get_mut(id).ok_or_else(missing)?;
            // The last version stays.
            let current = if versions.len() > 1 { versions.remove(0) } else { versions[0].clone() };
            Ok(current.map_or(SecretContent::Binary(Zeroizing::new(vec![0xff])), |text| {
                SecretContent::Text(Zeroizing::new(text))
            }))
        })
        .await
    }
}

#[async_trait]
impl TokenSigner for FakeCloud {
    async fn database_token(&self, login: &TokenLogin, now: Timestamp) -> Result<Password, CloudError> {
        let TokenLogin { host, port, user } = login;
        Ok(Password::new(format!("{host}:{port}/?Action=connect&DBUser={user}&X-Amz-Date={now}")))
    }
}
