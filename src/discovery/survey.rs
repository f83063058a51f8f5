use super::choose::{Secrets, choose_cluster, choose_secret, nested_stacks};
use super::{
    Cluster, ClusterFacts, ClusterMember, DiscoveryError, InstanceFacts, Inventory, StackResource, Topology,
    choose_ingress,
};
use crate::system::{CloudError, together};

/// What the settings say; everything that is named wins over what would be found.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub stack: Option<String>,
    pub vpc: Option<String>,
    pub cluster: Option<String>,
    pub secret: Option<String>,
    /// Name of the subnets that a bastion may stand in; without it they are not looked for (no bastion is wanted).
    pub subnet_name: Option<String>,
}

/// Finds the topology.
///
/// # Errors
/// What AWS answers, and what cannot be decided.
pub async fn discover(inventory: &dyn Inventory, wanted: &Wanted) -> Result<Topology, DiscoveryError> {
    let resources = match &wanted.stack {
        // With cluster and secret named, the stack has nothing to tell: the VPC is the cluster's.
        Some(_) if wanted.cluster.is_some() && wanted.secret.is_some() => Vec::new(),
        Some(stack) => stack_tree(inventory, stack).await?,
        None => Vec::new(),
    };
    let cluster_id = match (&wanted.cluster, &wanted.stack) {
        (Some(cluster), _) => cluster.clone(),
        (None, Some(stack)) => choose_cluster(stack, &resources)?,
        (None, None) => return Err(DiscoveryError::NothingNamed),
    };
    let (facts, instances) = tokio::try_join!(
        async {
            inventory.cluster(&cluster_id).await.map_err(|source| match source {
                CloudError::NotFound { .. } => {
                    DiscoveryError::ClusterNotFound { cluster: cluster_id.clone(), region: inventory.region(), source }
                }
                other => other.into(),
            })
        },
        async { Ok(inventory.cluster_instances(&cluster_id).await?) },
    )?;
    let secret = choose_secret(wanted.secret.as_deref(), Secrets { cluster: &facts, resources: &resources })?;
    let writer_id = facts.members.iter().find(|(_, is_writer)| *is_writer).map(|(id, _)| id);
    let writer = instances
        .iter()
        .find(|instance| Some(&instance.id) == writer_id)
        .ok_or_else(|| DiscoveryError::NoWriter { cluster: cluster_id.clone() })?;
    let vpc_id = wanted.vpc.clone().or_else(|| writer.vpc_id.clone()).ok_or(CloudError::Incomplete {
        action: "rds:DescribeDBInstances".to_owned(),
        what: "the VPC of the writer's subnet group",
    })?;
    let (subnets, tables) = tokio::try_join!(inventory.subnets(&vpc_id), inventory.route_tables(&vpc_id))?;
    // Every VPC has a main route table, and an unknown id is no error for EC2, only an empty list.
    if tables.is_empty() {
        return Err(DiscoveryError::VpcNotFound { vpc: vpc_id, region: inventory.region() });
    }
    if let Some(its) = writer.vpc_id.as_ref().filter(|its| **its != vpc_id) {
        return Err(DiscoveryError::OtherVpc { cluster: cluster_id, its: its.clone(), named: vpc_id });
    }
    let ingress_subnets = match &wanted.subnet_name {
        Some(name) => choose_ingress(&vpc_id, name, &subnets, &tables, &writer.subnet_ids, writer.zone.as_deref())?,
        None => Vec::new(),
    };
    let database_cidrs: Vec<String> = subnets
        .iter()
        .filter(|subnet| writer.subnet_ids.contains(&subnet.id))
        .map(|subnet| subnet.cidr.clone())
        .collect();
    let cluster = cluster(facts, &instances)?;
    // A VPC's own addresses are in every one of its tables (VPC user guide, "Route tables": the local route).
    let mut routes = tables.iter().flat_map(|table| &table.routes);
    let ipv6 = routes.any(|route| route.gateway_id.as_deref() == Some("local") && route.destination.contains(':'));
    Ok(Topology { vpc_id, ingress_subnets, database_cidrs, ipv6, cluster, secret })
}

/// The resources of a stack and of the stacks in it, level by level.
async fn stack_tree(inventory: &dyn Inventory, stack: &str) -> Result<Vec<StackResource>, DiscoveryError> {
    let mut found = Vec::new();
    let mut level = vec![stack.to_owned()];
    while !level.is_empty() {
        let listed = together(level.iter().map(|name| stack_resources(inventory, name))).await;
        let listed = listed.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        level = nested_stacks(&listed);
        found.extend(listed);
    }
    Ok(found)
}

async fn stack_resources(inventory: &dyn Inventory, stack: &str) -> Result<Vec<StackResource>, DiscoveryError> {
    inventory.stack_resources(stack).await.map_err(|source| match source {
        CloudError::NotFound { .. } => {
            DiscoveryError::StackNotFound { stack: stack.to_owned(), region: inventory.region(), source }
        }
        other => other.into(),
    })
}

fn cluster(facts: ClusterFacts, instances: &[InstanceFacts]) -> Result<Cluster, CloudError> {
    let lacks = |what| CloudError::Incomplete { action: "rds:DescribeDBClusters".to_owned(), what };
    let members = facts
        .members
        .iter()
        .filter_map(|(id, is_writer)| {
            let instance = instances.iter().find(|instance| instance.id == *id)?;
            Some(ClusterMember {
                instance_id: id.clone(),
                is_writer: *is_writer,
                zone: instance.zone.clone(),
                endpoint: instance.endpoint.clone(),
                security_group_ids: instance.security_group_ids.clone(),
            })
        })
        .collect();
    Ok(Cluster {
        writer_endpoint: facts.writer_endpoint.ok_or_else(|| lacks("the cluster's endpoint"))?,
        reader_endpoint: facts.reader_endpoint,
        port: facts.port.ok_or_else(|| lacks("the cluster's port"))?,
        database: facts.database,
        master_user: facts.master_user,
        id: facts.id,
        members,
    })
}
