use super::{Identity, Scope, Tags};

pub(super) const NAME: &str = "Name";
/// The tag that all resources of a project share.
pub const PROJECT: &str = "devdb:project";
pub(super) const ENVIRONMENT: &str = "devdb:environment";
pub(super) const OWNER: &str = "devdb:owner";
pub(super) const PRINCIPAL: &str = "devdb:principal";
/// Hash of what the instance was made from.
pub const SPEC: &str = "devdb:spec";
/// RFC 3339.
pub const EXPIRES_AT: &str = "devdb:expires-at";

/// Whose a resource is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ownership {
    Ours,
    /// Same project, environment and alias, made by somebody else.
    AnotherPrincipal(String),
    /// Not devdb's, or of another project, environment or alias.
    Foreign,
}

pub(super) fn ownership(tags: &Tags, identity: &Identity) -> Ownership {
    if !identity.scope.owns(tags) {
        return Ownership::Foreign;
    }
    match tags.get(PRINCIPAL) {
        Some(principal) if principal == identity.principal.as_str() => Ownership::Ours,
        Some(principal) => Ownership::AnotherPrincipal(principal.clone()),
        None => Ownership::Foreign,
    }
}

/// The tags of everything that is made; the team's own never replace ours.
pub(super) fn tags(identity: &Identity, spec_hash: &str, more: &Tags) -> Tags {
    let mut tags = more.clone();
    let scope = &identity.scope;
    for (key, value) in [
        (NAME, identity.instance_name()),
        (PROJECT, scope.project.clone()),
        (ENVIRONMENT, scope.environment.clone()),
        (OWNER, scope.owner.clone()),
        (PRINCIPAL, identity.principal.as_str().to_owned()),
        (SPEC, spec_hash.to_owned()),
    ] {
        tags.insert(key.to_owned(), value);
    }
    tags
}

impl Scope {
    /// True for what carries the scope's tags, whichever principal made it.
    pub(super) fn owns(&self, tags: &Tags) -> bool {
        let is = |key: &str, wanted: &str| tags.get(key).is_some_and(|value| value == wanted);
        is(PROJECT, &self.project) && is(ENVIRONMENT, &self.environment) && is(OWNER, &self.owner)
    }

    /// The tags to filter by.
    pub fn filters(&self) -> [(&'static str, &str); 3] {
        [(PROJECT, &self.project), (ENVIRONMENT, &self.environment), (OWNER, &self.owner)]
    }
}
