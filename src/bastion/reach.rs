use super::cidr::covers;
use super::tags::{Ownership, ownership};
use super::{Direction, Identity, Principal, Rule, RuleSource, Scope, Workshop};
use crate::system::CloudError;
use std::fmt;
use std::net::Ipv4Addr;

/// Why the bastion may not be reached, as far as the rules in AWS and the caller's address tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It is not the security group.
    LetIn {
        address: Ipv4Addr,
        port: u16,
    },
    ShutOut {
        address: Ipv4Addr,
        port: u16,
        open: Vec<String>,
    },
    /// Nobody could tell with which address we are seen.
    AddressUnknown {
        port: u16,
        open: Vec<String>,
    },
    /// ssh goes another way, so that the bastion sees somebody else's address.
    Proxied {
        port: u16,
        open: Vec<String>,
    },
    NoGroup,
}

/// Compares the rules that AWS has now with the address that we are seen with now.
///
/// # Errors
/// What AWS answers; that the address cannot be found out is a finding.
pub async fn reach(workshop: &Workshop<'_>, scope: &Scope, port: u16) -> Result<Reach, CloudError> {
    let looked_up = async {
        let (cloud, name) = (workshop.cloud, scope.resource_name());
        let (caller, groups) = tokio::try_join!(cloud.caller(), cloud.groups(&name))?;
        let identity = Identity { scope: scope.clone(), principal: Principal::from_user_id(&caller.user_id) };
        let mut rules = None;
        for group in groups {
            if ownership(&group.tags, &identity) == Ownership::Ours {
                rules.get_or_insert_with(Vec::new).extend(workshop.cloud.rules_of(&group.id).await?);
            }
        }
        Ok::<_, CloudError>(rules)
    };
    if workshop.proxy != (None, None) {
        let open = looked_up.await?.map(|rules| open_to(&rules, port));
        return Ok(open.map_or(Reach::NoGroup, |open| Reach::Proxied { port, open }));
    }
    let (rules, address) = tokio::join!(looked_up, workshop.echo.address(workshop.echo_url));
    Ok(rules?.map_or(Reach::NoGroup, |rules| judge(address.ok(), open_to(&rules, port), port)))
}

fn open_to(rules: &[Rule], port: u16) -> Vec<String> {
    let opens = rules.iter().filter(|rule| rule.direction == Direction::Ingress && rule.port == Some(port));
    let mut open: Vec<String> = opens
        .filter_map(|rule| match &rule.source {
            RuleSource::Cidr(cidr) => Some(cidr.clone()),
            RuleSource::Group(_) | RuleSource::Other => None,
        })
        .collect();
    open.sort();
    open
}

fn judge(address: Option<Ipv4Addr>, open: Vec<String>, port: u16) -> Reach {
    match address {
        None => Reach::AddressUnknown { port, open },
        Some(address) if open.iter().any(|cidr| covers(cidr, address)) => Reach::LetIn { address, port },
        Some(address) => Reach::ShutOut { address, port, open },
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |open: &[String]| if open.is_empty() { "nobody".to_owned() } else { open.join(", ") };
        match self {
            Self::LetIn { address, port } => {
                write!(f, "the security group lets {address} in; a firewall on the way may block port {port}")
            }
            Self::ShutOut { address, open, .. } => {
                write!(f, "you are seen with {address} now, but the security group lets in {}", list(open))
            }
            Self::AddressUnknown { open, .. } => {
                write!(f, "the security group lets in {}; is that the address you are seen with?", list(open))
            }
            Self::Proxied { open, .. } => write!(
                f,
                "ssh goes through a proxy or another host, whose address the security group must let in; it lets in {}",
                list(open)
            ),
            Self::NoGroup => f.write_str("the bastion's security group is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_compared_with_every_range() {
        let address = Ipv4Addr::new(198, 51, 100, 7);
        let judged = |open: &[&str]| judge(Some(address), open.iter().map(|cidr| (*cidr).to_owned()).collect(), 22);
        for open in [&["198.51.100.7/32"][..], &["203.0.113.9/32", "198.51.100.0/24"], &["0.0.0.0/0"]] {
            assert_eq!(judged(open), Reach::LetIn { address, port: 22 }, "{open:?}");
        }
        for open in [&[][..], &["198.51.100.8/32"], &["nonsense"]] {
            assert!(matches!(judged(open), Reach::ShutOut { .. }), "{open:?}");
        }
    }
}
