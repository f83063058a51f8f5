use super::AwsAdapter;
use super::instances::filter;
use crate::discovery::{
    ClusterFacts, InstanceFacts, Inventory, RouteFacts, RouteTableFacts, StackResource, SubnetFacts,
};
use crate::system::CloudError;
use async_trait::async_trait;
use aws_sdk_cloudformation::types::{ResourceStatus, StackResourceSummary};
use aws_sdk_ec2::types::RouteState;
use aws_sdk_rds::types as rds;

const LIST_RESOURCES: &str = "cloudformation:ListStackResources";
const CLUSTERS: &str = "rds:DescribeDBClusters";
const DATABASE_INSTANCES: &str = "rds:DescribeDBInstances";
const SUBNETS: &str = "ec2:DescribeSubnets";
const ROUTE_TABLES: &str = "ec2:DescribeRouteTables";

#[async_trait]
impl Inventory for AwsAdapter {
    fn region(&self) -> Option<String> {
        Some(self.region.clone())
    }

    async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResource>, CloudError> {
        let listed: Result<Vec<_>, _> = self
            .cloudformation
            .list_stack_resources()
            .stack_name(stack)
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let resources = listed.map_err(|error| match self.translate(LIST_RESOURCES, error) {
            CloudError::Refused { code, message, .. }
                if code == "ValidationError" && message.contains("does not exist") =>
            {
                CloudError::NotFound { what: format!("stack `{stack}`"), source: None }
            }
            other => other,
        })?;
        // What is still being created has no physical id yet, and nothing to tell; what an update removed is listed on.
        let is_gone =
            |resource: &StackResourceSummary| resource.resource_status() == Some(&ResourceStatus::DeleteComplete);
        let found = resources.iter().filter(|resource| !is_gone(resource)).filter_map(|resource| {
            Some(StackResource {
                logical_id: resource.logical_resource_id()?.to_owned(),
                physical_id: resource.physical_resource_id()?.to_owned(),
                kind: resource.resource_type()?.to_owned(),
            })
        });
        Ok(found.collect())
    }

    async fn cluster(&self, id: &str) -> Result<ClusterFacts, CloudError> {
        let missing = || CloudError::NotFound { what: format!("cluster `{id}`"), source: None };
        let answer = self.rds.describe_db_clusters().db_cluster_identifier(id).send().await;
        let answer = answer.map_err(|error| match self.translate(CLUSTERS, error) {
            error if error.is_code("DBClusterNotFoundFault") => missing(),
            error => error,
        })?;
        let cluster = answer.db_clusters().first().ok_or_else(missing)?;
        Ok(ClusterFacts {
            id: cluster.db_cluster_identifier().unwrap_or(id).to_owned(),
            writer_endpoint: cluster.endpoint().map(str::to_owned),
            reader_endpoint: cluster.reader_endpoint().map(str::to_owned),
            port: cluster.port().and_then(|port| u16::try_from(port).ok()),
            database: cluster.database_name().map(str::to_owned),
            master_user: cluster.master_username().map(str::to_owned),
            master_secret: cluster.master_user_secret().and_then(|secret| secret.secret_arn()).map(str::to_owned),
            members: cluster
                .db_cluster_members()
                .iter()
                .filter_map(|member| {
                    Some((member.db_instance_identifier()?.to_owned(), member.is_cluster_writer() == Some(true)))
                })
                .collect(),
        })
    }

    async fn cluster_instances(&self, cluster_id: &str) -> Result<Vec<InstanceFacts>, CloudError> {
        let found: Result<Vec<_>, _> = self
            .rds
            .describe_db_instances()
            .filters(rds::Filter::builder().name("db-cluster-id").values(cluster_id).build())
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let found = found.map_err(|error| self.translate(DATABASE_INSTANCES, error))?;
        found.iter().map(|instance| self.database_instance(instance)).collect()
    }

    async fn subnets(&self, vpc_id: &str) -> Result<Vec<SubnetFacts>, CloudError> {
        let found: Result<Vec<_>, _> = self
            .ec2
            .describe_subnets()
            .filters(filter("vpc-id", [vpc_id]))
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let found = found.map_err(|error| self.translate(SUBNETS, error))?;
        found
            .iter()
            .map(|subnet| {
                let lacks = |what| self.lacks(SUBNETS, what);
                let tag = |key: &str| {
                    let found = subnet.tags().iter().find(|tag| tag.key() == Some(key));
                    found.and_then(|tag| tag.value()).map(str::to_owned)
                };
                Ok(SubnetFacts {
                    id: subnet.subnet_id().ok_or_else(|| lacks("a subnet id"))?.to_owned(),
                    zone: subnet.availability_zone().ok_or_else(|| lacks("a zone"))?.to_owned(),
                    cidr: subnet.cidr_block().ok_or_else(|| lacks("a CIDR block"))?.to_owned(),
                    free_addresses: subnet
                        .available_ip_address_count()
                        .and_then(|count| u32::try_from(count).ok())
                        .unwrap_or(0),
                    cdk_name: tag("aws-cdk:subnet-name"),
                    logical_id: tag("aws:cloudformation:logical-id"),
                    name: tag("Name"),
                })
            })
            .collect()
    }

    async fn route_tables(&self, vpc_id: &str) -> Result<Vec<RouteTableFacts>, CloudError> {
        let found: Result<Vec<_>, _> = self
            .ec2
            .describe_route_tables()
            .filters(filter("vpc-id", [vpc_id]))
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let found = found.map_err(|error| self.translate(ROUTE_TABLES, error))?;
        let tables = found.iter().map(|table| RouteTableFacts {
            subnet_ids: table.associations().iter().filter_map(|one| one.subnet_id()).map(str::to_owned).collect(),
            is_main: table.associations().iter().any(|one| one.main() == Some(true)),
            routes: table
                .routes()
                .iter()
                .filter_map(|route| {
                    Some(RouteFacts {
                        destination: route.destination_cidr_block().or(route.destination_ipv6_cidr_block())?.to_owned(),
                        gateway_id: route.gateway_id().map(str::to_owned),
                        active: route.state() != Some(&RouteState::Blackhole),
                    })
                })
                .collect(),
        });
        Ok(tables.collect())
    }
}

impl AwsAdapter {
    fn database_instance(&self, instance: &rds::DbInstance) -> Result<InstanceFacts, CloudError> {
        let group = instance.db_subnet_group();
        Ok(InstanceFacts {
            id: instance
                .db_instance_identifier()
                .ok_or_else(|| self.lacks(DATABASE_INSTANCES, "an instance identifier"))?
                .to_owned(),
            zone: instance.availability_zone().map(str::to_owned),
            endpoint: instance.endpoint().and_then(|endpoint| endpoint.address()).map(str::to_owned),
            security_group_ids: instance
                .vpc_security_groups()
                .iter()
                .filter_map(|group| group.vpc_security_group_id())
                .map(str::to_owned)
                .collect(),
            vpc_id: group.and_then(|group| group.vpc_id()).map(str::to_owned),
            subnet_ids: group
                .map(|group| {
                    group.subnets().iter().filter_map(|one| one.subnet_identifier()).map(str::to_owned).collect()
                })
                .unwrap_or_default(),
        })
    }
}
