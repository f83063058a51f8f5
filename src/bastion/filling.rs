use super::tags::{OWNER, PROJECT};
use super::{Direction, Rule};
use std::collections::BTreeMap;
use std::fmt;

/// What fills a security group that takes no more rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    rules: usize,
    /// How many of them devdb made, for whom.
    by_owner: BTreeMap<String, usize>,
}

impl Filling {
    /// Counts ingress: both directions have a quota of their own (VPC user guide, "Amazon VPC quotas").
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut filling = Self { rules: 0, by_owner: BTreeMap::new() };
        for rule in rules.iter().filter(|rule| rule.direction == Direction::Ingress) {
            filling.rules += 1;
            if let (Some(_), Some(owner)) = (rule.tags.get(PROJECT), rule.tags.get(OWNER)) {
                *filling.by_owner.entry(owner.clone()).or_default() += 1;
            }
        }
        filling
    }

    /// True when devdb made some of the rules.
    pub fn holds_ours(&self) -> bool {
        !self.by_owner.is_empty()
    }
}

impl fmt::Display for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made: usize = self.by_owner.values().sum();
        write!(f, "it has {}, and devdb made {made}", self.rules)?;
        let owners: Vec<String> = self.by_owner.iter().map(|(owner, count)| format!("{owner} {count}")).collect();
        if owners.is_empty() { Ok(()) } else { write!(f, " of them: {}", owners.join(", ")) }
    }
}
