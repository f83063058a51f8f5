use super::{Cidr, Scope, Tags};
use std::fmt;
use std::time::Duration;

/// The AWS principal behind the credentials, in a form that stays the same from one login to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    id: String,
    is_role_only: bool,
}

impl Principal {
    /// From the `UserId` of GetCallerIdentity: `AIDA…` for a user, `AROA…:session` for a role.
    ///
    /// IAM Identity Center puts the person's name into the session; tools that assume a role without being told a name
    /// put a time stamp there (`botocore-session-1767323045`), which would make everybody a stranger at the next
    /// login. Such a session says nothing about the person, so only the role counts.
    pub fn from_user_id(user_id: &str) -> Self {
        let made_up = |session: &str| {
            session.split(|letter: char| !letter.is_ascii_digit()).any(|digits| digits.len() >= 10)
                && !session.contains('@')
        };
        match user_id.split_once(':') {
            Some((role, session)) if made_up(session) => Self { id: role.to_owned(), is_role_only: true },
            _ => Self { id: user_id.to_owned(), is_role_only: false },
        }
    }

    pub fn as_str(&self) -> &str {
        &self.id
    }

    /// True when everybody who assumes the role is the same principal, so that tags cannot tell whose a resource is.
    pub fn is_role_only(&self) -> bool {
        self.is_role_only
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Whose bastion it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub scope: Scope,
    pub principal: Principal,
}

impl Identity {
    /// The instance's `Name`, as in the runbook.
    pub fn instance_name(&self) -> String {
        self.scope.instance_name()
    }

    /// The name of the security group and of the key pair; key pairs are per region, so it names everything.
    pub fn resource_name(&self) -> String {
        self.scope.resource_name()
    }
}

impl Scope {
    pub fn instance_name(&self) -> String {
        format!("{}-db-bastion", self.owner)
    }

    pub fn resource_name(&self) -> String {
        format!("devdb-{}-{}-{}", self.project, self.environment, self.owner)
    }

    /// The name, or the first of `name.2`, `name.3` and so on that is not taken: anyone in the account may have given ours
    /// to something of their own. No alias has a dot, so it is no other owner's either.
    pub(super) fn free_name(&self, is_taken: impl Fn(&str) -> bool) -> String {
        let name = self.resource_name();
        let further = (2..).map(|number| format!("{name}.{number}"));
        std::iter::once(name.clone()).chain(further).find(|name| !is_taken(name)).unwrap_or(name)
    }

    /// True for [`Self::resource_name`] and for what stands in for it.
    pub(super) fn is_name(&self, name: &str) -> bool {
        let rest = name.strip_prefix(&self.resource_name());
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok())
        })
    }
}

/// Where the bastion stands, and what it may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    pub vpc_id: String,
    /// Subnets with a way to the internet, the preferred first.
    pub subnets: Vec<SiteSubnet>,
    /// The writer's security group.
    pub database_group_id: String,
    /// The cluster's endpoints.
    pub endpoints: Vec<String>,
    pub port: u16,
    pub database_cidrs: Vec<String>,
    /// The VPC has IPv6 addresses as well.
    pub ipv6: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSubnet {
    pub id: String,
    pub zone: String,
}

/// Whom the database's security group lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseSource {
    /// The bastion's private address, as in the runbook.
    PrivateIp,
    /// Whoever carries the bastion's security group.
    Group,
}

/// The bastion that is wanted.
#[derive(Debug, Clone)]
pub struct BastionSpec {
    pub site: Site,
    pub instance_type: String,
    /// Somebody chose the type; a fallback would go against their word.
    pub instance_type_is_chosen: bool,
    pub image: Option<String>,
    pub kms_key: Option<String>,
    pub ssh_user: String,
    pub ssh_port: u16,
    pub ttl: Duration,
    pub database_source: DatabaseSource,
    /// Who may reach the ssh port.
    pub ssh_cidrs: Vec<Cidr>,
    /// The team's own tags.
    pub tags: Tags,
}

impl BastionSpec {
    /// The types to try, in order; the second and third are newer and as cheap, for zones without the first.
    pub(super) fn instance_types(&self) -> Vec<String> {
        if self.instance_type_is_chosen {
            return vec![self.instance_type.clone()];
        }
        let others = ["t3.micro", "t4g.micro"].into_iter().filter(|name| *name != self.instance_type);
        std::iter::once(self.instance_type.as_str()).chain(others).map(str::to_owned).collect()
    }

    /// The image: the configured one, else the newest Amazon Linux 2023 of the type's architecture. EC2 resolves the
    /// parameter itself (EC2 user guide, "Reference AMIs using Systems Manager parameters").
    pub(super) fn image_for(&self, instance_type: &str) -> String {
        let architecture = if is_arm(instance_type) { "arm64" } else { "x86_64" };
        self.image.clone().unwrap_or_else(|| {
            format!("resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}")
        })
    }
}

/// AWS's own processors: a `g` right behind the generation's number (`t4g`, `m7gd`, `c6gn`), and the old `a1`.
fn is_arm(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let behind = family.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    family == "a1" || behind.trim_start_matches(|letter: char| letter.is_ascii_digit()).starts_with('g')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_name_that_a_tool_made_up_is_left_out_of_the_principal() {
        for (user_id, principal) in [
            ("AIDA123", "AIDA123"),
            ("AROA123:ada@example.com", "AROA123:ada@example.com"),
            ("AROA123:ada", "AROA123:ada"),
            ("AROA123:botocore-session-1767323045", "AROA123"),
            ("AROA123:1767323045123456789", "AROA123"),
            ("AROA123:4915112345678@example.com", "AROA123:4915112345678@example.com"),
        ] {
            let found = Principal::from_user_id(user_id);
            assert_eq!(found.as_str(), principal);
            assert_eq!(found.is_role_only(), user_id != principal);
        }
    }

    #[test]
    fn arm_is_told_from_the_family() {
        for arm in ["t4g.micro", "m7gd.large", "c6gn.xlarge", "a1.medium"] {
            assert!(is_arm(arm), "{arm}");
        }
        for other in ["t2.micro", "t3.micro", "t3a.nano", "g4dn.xlarge", "m5.large"] {
            assert!(!is_arm(other), "{other}");
        }
    }
}
