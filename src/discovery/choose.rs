use super::{ClusterFacts, DiscoveryError, StackResource};
use std::collections::BTreeSet;

fn physical_ids(resources: &[StackResource], kind: &str) -> Vec<String> {
    let found: BTreeSet<&str> =
        resources.iter().filter(|one| one.kind == kind).map(|one| one.physical_id.as_str()).collect();
    found.into_iter().map(str::to_owned).collect()
}

pub(super) fn nested_stacks(resources: &[StackResource]) -> Vec<String> {
    physical_ids(resources, "AWS::CloudFormation::Stack")
}

/// The stack's one Aurora cluster.
///
/// # Errors
/// [`DiscoveryError::NoCluster`] and [`DiscoveryError::Ambiguous`].
pub fn choose_cluster(stack: &str, resources: &[StackResource]) -> Result<String, DiscoveryError> {
    let mut clusters = physical_ids(resources, "AWS::RDS::DBCluster");
    match clusters.len() {
        0 => Err(DiscoveryError::NoCluster { stack: stack.to_owned() }),
        1 => Ok(clusters.remove(0)),
        _ => Err(DiscoveryError::Ambiguous { what: "cluster", key: "cluster", candidates: clusters }),
    }
}

/// Where the secret may come from besides the settings.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a> {
    pub cluster: &'a ClusterFacts,
    pub resources: &'a [StackResource],
}

/// The cluster's password: what the settings name, what RDS keeps itself, the secret that is attached to a database
/// (its attachment's physical id is the secret's ARN), the stack's only secret. None at all is possible with IAM.
///
/// # Errors
/// [`DiscoveryError::Ambiguous`].
pub fn choose_secret(named: Option<&str>, from: Secrets<'_>) -> Result<Option<String>, DiscoveryError> {
    if let Some(name) = named {
        return Ok(Some(name.to_owned()));
    }
    if let Some(arn) = &from.cluster.master_secret {
        return Ok(Some(arn.clone()));
    }
    for kind in ["AWS::SecretsManager::SecretTargetAttachment", "AWS::SecretsManager::Secret"] {
        let mut found = physical_ids(from.resources, kind);
        match found.len() {
            0 => {}
            1 => return Ok(found.pop()),
            _ => return Err(DiscoveryError::Ambiguous { what: "secret", key: "secret", candidates: found }),
        }
    }
    Ok(None)
}
