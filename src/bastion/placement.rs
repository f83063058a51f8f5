use super::{BastionSpec, Offer, SiteSubnet};

/// Where an instance may be launched, and of which type.
pub(super) struct Placement<'a> {
    pub(super) subnet: &'a SiteSubnet,
    pub(super) instance_type: String,
}

/// All that the zones offer, the best first. The zone matters more than the type: traffic between zones costs money
/// and time, all day long.
pub(super) fn placements<'a>(spec: &'a BastionSpec, offers: &[Offer]) -> Vec<Placement<'a>> {
    let types = spec.instance_types();
    let mut found = Vec::new();
    for subnet in &spec.site.subnets {
        for wanted in &types {
            if offers.iter().any(|offer| offer.zone == subnet.zone && offer.instance_type == *wanted) {
                found.push(Placement { subnet, instance_type: wanted.clone() });
            }
        }
    }
    found
}
