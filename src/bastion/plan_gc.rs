use super::observe::Ours;
use super::tags::{ENVIRONMENT, OWNER, Ownership, PRINCIPAL, PROJECT, ownership};
use super::{
    BastionError, Direction, Identity, Instance, InstanceState, Observed, Plan, Principal, Rule, RuleSource, Scope,
    Step, Stock, Tags, plan_down,
};
use std::collections::BTreeMap;

/// Decides what of one owner is left of bastions that are gone. Pure.
///
/// What belongs to an instance stays, and so does what may be of one that is on its way: the key pair comes first, the
/// instance some calls later. [`Plan::warnings`] tells why something stays.
///
/// # Errors
/// As [`plan_down`].
pub fn plan_gc(identity: &Identity, observed: &Observed, now: jiff::Timestamp) -> Result<Plan, BastionError> {
    let ours = observed.ours(identity)?;
    if !ours.live.is_empty() {
        return Ok(plan_beside_a_bastion(&ours));
    }
    let nothing_because = |reason: String| {
        let warnings = std::iter::once(reason).chain(ours.others.clone()).collect();
        Plan { warnings, ..Plan::default() }
    };
    if let [leaving, ..] = ours.leaving.as_slice() {
        return Ok(nothing_because(format!(
            "instance {} is still shutting down; what belongs to it stays",
            leaving.id
        )));
    }
    if let Some(pair) = observed.pair_of_another_run(&ours, now) {
        return Ok(nothing_because(format!(
            "key pair {} was made minutes ago on another computer; its bastion may be on the way",
            pair.name
        )));
    }
    plan_down(identity, observed, now)
}

/// Beside a bastion that stands only rules can be left: those that let in the addresses of its predecessors.
fn plan_beside_a_bastion(ours: &Ours) -> Plan {
    let instances: Vec<&Instance> = ours.live.iter().chain(&ours.leaving).copied().collect();
    let addresses: Option<Vec<String>> =
        instances.iter().map(|one| one.private_ip.map(|address| format!("{address}/32"))).collect();
    // An address that is not known yet could be any of them.
    let warnings = ours.others.clone();
    let Some(addresses) = addresses else { return Plan { warnings, ..Plan::default() } };
    let is_left = |rule: &Rule| {
        let is_for_nobody = match &rule.source {
            RuleSource::Cidr(cidr) => cidr.ends_with("/32") && !addresses.contains(cidr),
            RuleSource::Group(_) | RuleSource::Other => false,
        };
        rule.direction == Direction::Ingress && is_for_nobody && !ours.is_in_own_group(rule)
    };
    let left = ours.rules.iter().filter(|rule| is_left(rule));
    let steps = left.map(|rule| Step::Revoke { rule: (*rule).clone(), what: "the old database rule" }).collect();
    Plan { steps, warnings, ..Plan::default() }
}

/// One owner's part of a project's [`Stock`], and what is left over there.
#[derive(Debug)]
pub struct OwnersPart {
    pub identity: Identity,
    pub observed: Observed,
    pub leftovers: Plan,
}

/// Splits a project's stock by environment, owner and principal, and applies [`plan_gc`] to each. Pure.
pub fn plan_gc_all(stock: Stock, now: jiff::Timestamp) -> Vec<OwnersPart> {
    let mut parts = BTreeMap::new();
    let (gone, instances): (Vec<_>, Vec<_>) =
        stock.instances.into_iter().partition(|instance| instance.state == InstanceState::Terminated);
    // Tags can be copied by accident, names hardly.
    for group in stock.groups {
        let is_named = |scope: &Scope| scope.is_name(&group.name);
        part(&mut parts, &group.tags, is_named, |observed| observed.groups.push(group.clone()));
    }
    for rule in stock.rules {
        part(&mut parts, &rule.tags, |_| true, |observed| observed.rules.push(rule.clone()));
    }
    for pair in stock.key_pairs {
        let is_named = |scope: &Scope| scope.is_name(&pair.name);
        part(&mut parts, &pair.tags, is_named, |observed| observed.key_pairs.push(pair.clone()));
    }
    for instance in instances {
        part(&mut parts, &instance.tags, |_| true, |observed| observed.instances.push(instance.clone()));
    }
    // Nothing is left of one that left nothing.
    for instance in gone {
        let is_its = |part: &&mut (Identity, Observed)| ownership(&instance.tags, &part.0) == Ownership::Ours;
        if let Some((_, observed)) = parts.values_mut().find(is_its) {
            observed.instances.push(instance);
        }
    }
    let planned = parts.into_values().map(|(identity, observed)| {
        let leftovers = plan_gc(&identity, &observed, now)
            .unwrap_or_else(|error| Plan { warnings: vec![error.to_string()], ..Plan::default() });
        OwnersPart { identity, observed, leftovers }
    });
    planned.collect()
}

/// What was agreed to and is still left over: between a plan and its answer a bastion may have come up. Pure.
pub fn still_left(agreed: &[OwnersPart], mut seen: Vec<OwnersPart>) -> Vec<OwnersPart> {
    for part in &mut seen {
        let before = agreed.iter().find(|agreed| agreed.identity == part.identity);
        part.leftovers.steps.retain(|step| before.is_some_and(|before| before.leftovers.steps.contains(step)));
    }
    seen.retain(|part| !part.leftovers.steps.is_empty());
    seen
}

fn part(
    parts: &mut BTreeMap<(Scope, String), (Identity, Observed)>,
    tags: &Tags,
    is_named: impl Fn(&Scope) -> bool,
    add: impl FnOnce(&mut Observed),
) {
    let tag = |key: &str| tags.get(key).cloned();
    let (Some(project), Some(environment), Some(owner), Some(principal)) =
        (tag(PROJECT), tag(ENVIRONMENT), tag(OWNER), tag(PRINCIPAL))
    else {
        return;
    };
    let scope = Scope { project, environment, owner };
    if is_named(&scope) {
        let identity = Identity { scope: scope.clone(), principal: Principal::from_user_id(&principal) };
        add(&mut parts.entry((scope, principal)).or_insert_with(|| (identity, Observed::default())).1);
    }
}
