use super::{DiscoveryError, RouteTableFacts, Subnet, SubnetFacts};
use std::collections::BTreeSet;

/// The subnets that a bastion may stand in, the preferred first.
///
/// A subnet is told by its id, else by its CDK name (tag `aws-cdk:subnet-name`), else by its logical id, else by its
/// Name; the first of the four that finds any decides. One that holds the database is never taken, nor one that is called Database
/// or Application, whatever else it is called. It must route to an internet gateway.
///
/// # Errors
/// [`DiscoveryError::NoSubnet`] and [`DiscoveryError::NoInternetRoute`].
pub fn choose_ingress(
    vpc_id: &str,
    wanted: &str,
    subnets: &[SubnetFacts],
    tables: &[RouteTableFacts],
    database_subnet_ids: &[String],
    writer_zone: Option<&str>,
) -> Result<Vec<Subnet>, DiscoveryError> {
    let allowed: Vec<&SubnetFacts> = subnets
        .iter()
        .filter(|subnet| !database_subnet_ids.contains(&subnet.id) && !is_private_by_name(subnet))
        .collect();
    let matchers: [fn(&SubnetFacts, &str) -> bool; 4] = [
        |subnet, wanted| subnet.id == wanted,
        |subnet, wanted| subnet.cdk_name.as_deref() == Some(wanted),
        |subnet, wanted| subnet.logical_id.as_deref().is_some_and(|id| id.contains(&format!("{wanted}Subnet"))),
        |subnet, wanted| subnet.name.as_deref().is_some_and(|name| names(name, wanted)),
    ];
    let named = matchers
        .iter()
        .map(|matches| allowed.iter().copied().filter(|subnet| matches(subnet, wanted)).collect::<Vec<_>>())
        .find(|found| !found.is_empty())
        .ok_or_else(|| DiscoveryError::NoSubnet {
            vpc: vpc_id.to_owned(),
            wanted: wanted.to_owned(),
            seen: subnets.iter().map(describe).collect(),
            open: names_to_choose(&allowed, tables),
        })?;
    let mut open: Vec<&SubnetFacts> =
        named.iter().copied().filter(|subnet| has_internet_route(&subnet.id, tables)).collect();
    if open.is_empty() {
        return Err(DiscoveryError::NoInternetRoute {
            wanted: wanted.to_owned(),
            subnets: named.into_iter().map(describe).collect(),
        });
    }
    open.sort_by_key(|subnet| {
        let other_zone = writer_zone != Some(subnet.zone.as_str());
        (other_zone, subnet.free_addresses == 0, subnet.zone.clone(), subnet.id.clone())
    });
    Ok(open
        .into_iter()
        .map(|subnet| Subnet { id: subnet.id.clone(), zone: subnet.zone.clone(), cidr: subnet.cidr.clone() })
        .collect())
}

/// `App/Vpc/IngressSubnet1`, `ingress-a`, `shop-Ingress`: the wanted name as a word of its own, or before `Subnet`.
fn names(name: &str, wanted: &str) -> bool {
    let wanted = wanted.to_lowercase();
    name.to_lowercase()
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .any(|word| word == wanted || word.strip_prefix(&wanted).is_some_and(|rest| rest.starts_with("subnet")))
}

fn is_private_by_name(subnet: &SubnetFacts) -> bool {
    ["Database", "Application"].iter().any(|private| match (&subnet.cdk_name, &subnet.logical_id, &subnet.name) {
        (Some(cdk_name), ..) => cdk_name == private,
        (None, Some(logical_id), _) => logical_id.contains(&format!("{private}Subnet")),
        (None, None, Some(name)) => names(name, private),
        (None, None, None) => false,
    })
}

/// What `subnet_name` could be set to, each once.
fn names_to_choose(allowed: &[&SubnetFacts], tables: &[RouteTableFacts]) -> Vec<String> {
    let open = allowed.iter().filter(|subnet| has_internet_route(&subnet.id, tables));
    let names: BTreeSet<&String> = open.map(|subnet| subnet.cdk_name.as_ref().unwrap_or(&subnet.id)).collect();
    names.into_iter().cloned().collect()
}

fn describe(subnet: &SubnetFacts) -> String {
    let name = subnet.cdk_name.as_ref().or(subnet.logical_id.as_ref()).or(subnet.name.as_ref());
    name.map_or_else(|| subnet.id.clone(), |name| format!("{} ({name})", subnet.id))
}

/// The table that names the subnet, else the VPC's main table (VPC user guide, "Subnet route tables").
fn has_internet_route(subnet_id: &str, tables: &[RouteTableFacts]) -> bool {
    let explicit = tables.iter().find(|table| table.subnet_ids.iter().any(|id| id == subnet_id));
    explicit.or_else(|| tables.iter().find(|table| table.is_main)).is_some_and(|table| {
        table.routes.iter().any(|route| {
            route.active
                && route.destination == "0.0.0.0/0"
                && route.gateway_id.as_deref().is_some_and(|id| id.starts_with("igw-"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::RouteFacts;

    fn subnet(id: &str, zone: &str, cdk_name: Option<&str>) -> SubnetFacts {
        SubnetFacts {
            id: id.to_owned(),
            zone: zone.to_owned(),
            cidr: "10.0.0.0/24".to_owned(),
            free_addresses: 250,
            cdk_name: cdk_name.map(str::to_owned),
            logical_id: None,
            name: None,
        }
    }

    fn table(subnet_ids: &[&str], is_main: bool, gateway_id: Option<&str>) -> RouteTableFacts {
        let route =
            RouteFacts { destination: "0.0.0.0/0".to_owned(), gateway_id: gateway_id.map(str::to_owned), active: true };
        RouteTableFacts {
            subnet_ids: subnet_ids.iter().map(|id| (*id).to_owned()).collect(),
            is_main,
            routes: vec![route],
        }
    }

    fn chosen(subnets: &[SubnetFacts], tables: &[RouteTableFacts]) -> Result<Vec<String>, DiscoveryError> {
        let found = choose_ingress("vpc-1", "Ingress", subnets, tables, &["db-1".to_owned()], Some("b"))?;
        Ok(found.into_iter().map(|subnet| subnet.id).collect())
    }

    #[test]
    fn the_writers_zone_comes_first() {
        let subnets = [
            subnet("in-1", "a", Some("Ingress")),
            subnet("in-2", "b", Some("Ingress")),
            subnet("app-1", "b", Some("Application")),
            subnet("db-1", "b", Some("Database")),
        ];
        let tables = [table(&["in-1", "in-2"], false, Some("igw-1")), table(&[], true, None)];
        assert_eq!(chosen(&subnets, &tables).unwrap(), ["in-2", "in-1"]);
    }

    #[test]
    fn the_logical_id_and_then_the_name_stand_in_for_a_missing_tag() {
        let mut by_id = subnet("in-1", "a", None);
        by_id.logical_id = Some("VpcIngressSubnet1Subnet8A".to_owned());
        let mut by_name = subnet("in-2", "b", None);
        by_name.name = Some("App/Vpc/IngressSubnet2".to_owned());
        let tables = [table(&[], true, Some("igw-1"))];
        assert_eq!(chosen(&[by_id, by_name.clone()], &tables).unwrap(), ["in-1"]);
        assert_eq!(chosen(&[by_name], &tables).unwrap(), ["in-2"]);
    }

    #[test]
    fn a_database_or_application_subnet_is_never_taken() {
        let mut liar = subnet("db-2", "a", Some("Database"));
        liar.name = Some("ingress".to_owned());
        let mut holds_database = subnet("db-1", "a", Some("Ingress"));
        holds_database.name = Some("ingress".to_owned());
        let tables = [table(&[], true, Some("igw-1"))];
        let found = choose_ingress("vpc-1", "Database", &[liar.clone()], &tables, &[], None);
        assert!(matches!(found, Err(DiscoveryError::NoSubnet { .. })));
        assert!(matches!(chosen(&[liar, holds_database], &tables), Err(DiscoveryError::NoSubnet { .. })));
    }

    #[test]
    fn a_subnet_may_be_named_by_its_id() {
        let subnets = [subnet("in-1", "a", Some("Public")), subnet("in-2", "a", Some("Public"))];
        let tables = [table(&["in-1", "in-2"], false, Some("igw-1"))];
        let found = choose_ingress("vpc-1", "in-2", &subnets, &tables, &[], None).unwrap();
        assert_eq!(found.into_iter().map(|subnet| subnet.id).collect::<Vec<_>>(), ["in-2"]);
    }

    #[test]
    fn where_no_subnet_has_the_name_those_that_would_do_are_told() {
        let mut nameless = subnet("in-3", "a", None);
        nameless.name = Some("edge".to_owned());
        let subnets = [
            subnet("in-1", "a", Some("Public")),
            subnet("in-2", "b", Some("Public")),
            nameless,
            subnet("closed", "b", Some("Private")),
            subnet("db-1", "b", Some("Database")),
        ];
        let tables = [table(&["in-1", "in-2", "in-3", "db-1"], false, Some("igw-1"))];
        let Err(DiscoveryError::NoSubnet { open, .. }) = chosen(&subnets, &tables) else { panic!("found one") };
        assert_eq!(open, ["Public", "in-3"]);
    }

    #[test]
    fn without_a_route_to_the_internet_there_is_no_bastion() {
        let subnets = [subnet("in-1", "a", Some("Ingress"))];
        for tables in [
            vec![],
            vec![table(&["in-1"], false, None)],
            vec![table(&["in-1"], false, Some("vgw-1"))],
            // Its own table decides, not the main one.
            vec![table(&["in-1"], false, None), table(&[], true, Some("igw-1"))],
        ] {
            assert!(matches!(chosen(&subnets, &tables), Err(DiscoveryError::NoInternetRoute { .. })), "{tables:?}");
        }
    }
}
