use super::{ClusterFacts, DiscoveryError, StackResource};
use std::collections::BTreeSet;

const CLUSTER: &str = "AWS::RDS::DBCluster";

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
    let mut clusters = physical_ids(resources, CLUSTER);
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
/// Of several, the one that CDK made for this very cluster.
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
    for (kind, suffix) in
        [("AWS::SecretsManager::SecretTargetAttachment", "SecretAttachment"), ("AWS::SecretsManager::Secret", "Secret")]
    {
        let mut found = physical_ids(from.resources, kind);
        match found.len() {
            0 => {}
            1 => return Ok(found.pop()),
            _ => {
                let mut of_cluster = physical_ids(&made_with_cluster(from, suffix), kind);
                return match of_cluster.len() {
                    1 => Ok(of_cluster.pop()),
                    _ => Err(DiscoveryError::Ambiguous { what: "secret", key: "secret", candidates: found }),
                };
            }
        }
    }
    Ok(None)
}

/// CDK calls what a cluster's construct makes after the construct: `Database…`, `DatabaseSecret…`,
/// `DatabaseSecretAttachment…`, each with a hash behind.
fn made_with_cluster(from: Secrets<'_>, suffix: &str) -> Vec<StackResource> {
    let is_cluster = |one: &&StackResource| one.kind == CLUSTER && one.physical_id == from.cluster.id;
    let Some(cluster) = from.resources.iter().find(is_cluster) else { return Vec::new() };
    let wanted = format!("{}{suffix}", construct(&cluster.logical_id));
    from.resources.iter().filter(|one| construct(&one.logical_id) == wanted).cloned().collect()
}

/// A logical id without CDK's hash.
fn construct(logical_id: &str) -> &str {
    let is_hash = |text: &str| text.chars().all(|letter| matches!(letter, '0'..='9' | 'A'..='F'));
    match logical_id.len().checked_sub(8).and_then(|at| logical_id.split_at_checked(at)) {
        Some((name, hash)) if is_hash(hash) => name,
        _ => logical_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(logical_id: &str, kind: &str) -> StackResource {
        let physical_id = format!("arn:{logical_id}");
        StackResource { logical_id: logical_id.to_owned(), physical_id, kind: kind.to_owned() }
    }

    fn secret_of(logical_id: &str, resources: &[StackResource]) -> Result<Option<String>, DiscoveryError> {
        let cluster = ClusterFacts {
            id: format!("arn:{logical_id}"),
            writer_endpoint: None,
            reader_endpoint: None,
            port: None,
            database: None,
            master_user: None,
            master_secret: None,
            members: Vec::new(),
        };
        choose_secret(None, Secrets { cluster: &cluster, resources })
    }

    #[test]
    fn of_two_secrets_the_clusters_own_is_taken() {
        let attachment = "AWS::SecretsManager::SecretTargetAttachment";
        let resources = [
            resource("DatabaseB269D8BB", CLUSTER),
            resource("DatabaseTwo0A1B2C3D", CLUSTER),
            resource("DatabaseSecretAttachmentE5D1B020", attachment),
            resource("DatabaseTwoSecretAttachment11223344", attachment),
        ];
        let found = |of: &str| secret_of(of, &resources).unwrap().unwrap();
        assert_eq!(found("DatabaseB269D8BB"), "arn:DatabaseSecretAttachmentE5D1B020");
        assert_eq!(found("DatabaseTwo0A1B2C3D"), "arn:DatabaseTwoSecretAttachment11223344");
        assert!(matches!(secret_of("Elsewhere", &resources), Err(DiscoveryError::Ambiguous { .. })));
    }

    #[test]
    fn secrets_that_nobody_can_tell_apart_are_candidates() {
        let secret = "AWS::SecretsManager::Secret";
        let resources = [resource("Db", CLUSTER), resource("One", secret), resource("Two", secret)];
        let error = secret_of("Db", &resources).unwrap_err();
        let DiscoveryError::Ambiguous { candidates, .. } = error else { panic!("{error}") };
        assert_eq!(candidates, ["arn:One", "arn:Two"]);
    }
}
