use crate::system::CloudError;

#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("neither `stack` nor `cluster` is set for this environment")]
    NothingNamed,
    #[error("there is no stack `{stack}`{}", in_region(.region))]
    StackNotFound { stack: String, region: Option<String>, source: CloudError },
    #[error("there is no cluster `{cluster}`{}", in_region(.region))]
    ClusterNotFound { cluster: String, region: Option<String>, source: CloudError },
    #[error("stack `{stack}` has no Aurora cluster")]
    NoCluster { stack: String },
    /// `key` is the setting that decides.
    #[error("there is more than one {what}: {}", candidates.join(", "))]
    Ambiguous { what: &'static str, key: &'static str, candidates: Vec<String> },
    #[error("cluster `{cluster}` has no writer at the moment")]
    NoWriter { cluster: String },
    #[error("there is no VPC `{vpc}`{}", in_region(.region))]
    VpcNotFound { vpc: String, region: Option<String> },
    #[error("cluster `{cluster}` stands in {its}, not in the VPC that is named, {named}")]
    OtherVpc { cluster: String, its: String, named: String },
    /// `open` are names (or ids) of subnets with a way to the internet.
    #[error("VPC {vpc} has no subnet named `{wanted}`; there are {}", seen.join(", "))]
    NoSubnet { vpc: String, wanted: String, seen: Vec<String>, open: Vec<String> },
    #[error("no subnet named `{wanted}` has a route to an internet gateway: {}", subnets.join(", "))]
    NoInternetRoute { wanted: String, subnets: Vec<String> },
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

fn in_region(region: &Option<String>) -> String {
    region.as_ref().map(|name| format!(" in {name}")).unwrap_or_default()
}

impl DiscoveryError {
    /// True when what was looked for does not exist, so that an older answer is worth nothing.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::StackNotFound { .. }
                | Self::ClusterNotFound { .. }
                | Self::NoCluster { .. }
                | Self::VpcNotFound { .. }
        )
    }
}
