use super::apply::Apply;
use super::tags::{Ownership, ownership};
use super::{
    AddressEcho, BastionAccess, BastionError, BastionReport, BastionSpec, Cloud, Event, Group, Identity, InstanceState,
    KeyMaker, LocalState, Observed, OwnersPart, Place, Plan, Principal, Rule, Scope, Shell, Tags,
};
use crate::system::{Clock, CloudError};

/// The tools that the procedures work with.
pub struct Workshop<'a> {
    pub cloud: &'a dyn Cloud,
    pub shell: &'a dyn Shell,
    pub echo: &'a dyn AddressEcho,
    pub echo_url: &'a str,
    pub keys: &'a dyn KeyMaker,
    pub clock: &'a dyn Clock,
    pub local: &'a LocalState,
    /// Where `cloud` looks.
    pub region: &'a str,
    /// OpenSSH's ProxyCommand and ProxyJump.
    pub proxy: (Option<String>, Option<String>),
    pub tell: &'a (dyn Fn(Event) + Sync),
}

/// Looks at everything that carries the scope's tags or names, and asks who we are.
///
/// # Errors
/// What AWS answers.
pub async fn observe(workshop: &Workshop<'_>, scope: &Scope) -> Result<(Identity, Observed), BastionError> {
    let name = scope.resource_name();
    let ((identity, mut observed), key_pairs) =
        tokio::try_join!(observe_all_but_keys(workshop, scope), async { Ok(workshop.cloud.key_pairs(&name).await?) })?;
    observed.key_pairs = key_pairs;
    Ok((identity, observed))
}

/// As [`observe`], for [`plan_down`](super::plan_down): the key pair is looked for only where its id is not known.
///
/// # Errors
/// What AWS answers.
pub async fn observe_down(workshop: &Workshop<'_>, scope: &Scope) -> Result<(Identity, Observed), BastionError> {
    let (identity, mut observed) = observe_all_but_keys(workshop, scope).await?;
    if observed.own_key_pair_id(&identity).is_none() {
        observed.key_pairs = workshop.cloud.key_pairs(&scope.resource_name()).await?;
    }
    Ok((identity, observed))
}

async fn observe_all_but_keys(workshop: &Workshop<'_>, scope: &Scope) -> Result<(Identity, Observed), BastionError> {
    let name = scope.resource_name();
    let cloud = workshop.cloud;
    let (caller, instances, groups, rules) =
        tokio::try_join!(cloud.caller(), cloud.instances(scope), cloud.groups(&name), cloud.rules(scope))?;
    let identity = Identity { scope: scope.clone(), principal: Principal::from_user_id(&caller.user_id) };
    let observed = Observed {
        instances,
        groups,
        rules,
        generation: workshop.local.generation(),
        local_files: workshop.local.is_used(),
        here: Place { account: caller.account, region: workshop.region.to_owned() },
        kept_for: workshop.local.place(),
        ..Observed::default()
    };
    Ok((identity, observed))
}

/// Adds to what [`observe`] saw what `up` has to know besides: what the zones offer if an instance is missing, and what
/// others let into the database if our rule is.
///
/// # Errors
/// What AWS answers, and the refusals of [`plan_up`](super::plan_up).
pub async fn observe_for_up(
    workshop: &Workshop<'_>,
    identity: &Identity,
    spec: &BastionSpec,
    observed: &mut Observed,
) -> Result<(), BastionError> {
    if observed.needs_launch(identity, spec, workshop.clock.now())? {
        let zones: Vec<String> = spec.site.subnets.iter().map(|subnet| subnet.zone.clone()).collect();
        observed.offers = workshop.cloud.offers(&spec.instance_types(), &zones).await?;
    }
    if observed.lacks_database_rule(identity, spec, workshop.clock.now())? {
        observed.database_rules = workshop.cloud.rules_of(&spec.site.database_group_id).await?;
    }
    Ok(())
}

/// Applies a plan of [`plan_up`](super::plan_up).
///
/// # Errors
/// Whatever goes wrong on the way; what was done stays, and the next run continues from it.
pub async fn up(
    workshop: &Workshop<'_>,
    identity: &Identity,
    spec: &BastionSpec,
    observed: &Observed,
    plan: &Plan,
) -> Result<(BastionReport, BastionAccess), BastionError> {
    let mut apply = Apply::new(workshop, identity, Some(spec), observed)?;
    plan.warnings.iter().for_each(|warning| apply.tell(Event::Warning(warning.clone())));
    apply.run(plan).await?;
    apply.finish_up().await
}

/// Applies a plan of [`plan_down`](super::plan_down).
///
/// # Errors
/// Whatever goes wrong on the way; the next run continues from there.
pub async fn down(
    workshop: &Workshop<'_>,
    identity: &Identity,
    observed: &Observed,
    plan: &Plan,
) -> Result<(), BastionError> {
    let mut apply = Apply::new(workshop, identity, None, observed)?;
    plan.warnings.iter().for_each(|warning| apply.tell(Event::Warning(warning.clone())));
    apply.run(plan).await
}

/// Removes the leftovers of every owner. One group that something else still uses does not stop the rest.
///
/// # Errors
/// The first thing that went wrong.
pub async fn gc_all(workshop: &Workshop<'_>, parts: &[OwnersPart]) -> Result<(), BastionError> {
    let mut first = Ok(());
    for part in parts {
        let scope = &part.identity.scope;
        (workshop.tell)(Event::Told(format!("{} in environment {}", scope.owner, scope.environment)));
        match down(workshop, &part.identity, &part.observed, &part.leftovers).await {
            Err(error @ BastionError::Cloud(CloudError::Refused { .. })) => first = first.and(Err(error)),
            other => other?,
        }
    }
    first
}

/// Tells what stands of the caller's own. An instance that is gone for good counts as absent; what it left behind is told
/// then.
///
/// # Errors
/// What AWS answers.
pub async fn status(cloud: &dyn Cloud, scope: &Scope) -> Result<BastionReport, BastionError> {
    let name = scope.resource_name();
    let (caller, mut instances, groups, mut rules) =
        tokio::try_join!(cloud.caller(), cloud.instances(scope), cloud.groups(&name), cloud.rules(scope))?;
    let identity = Identity { scope: scope.clone(), principal: Principal::from_user_id(&caller.user_id) };
    let is_ours = |tags: &Tags| ownership(tags, &identity) == Ownership::Ours;
    instances.retain(|instance| is_ours(&instance.tags));
    rules.retain(|rule| is_ours(&rule.tags));
    let rank = |state: InstanceState| match state {
        InstanceState::Running => 0,
        InstanceState::Pending => 1,
        InstanceState::Stopping | InstanceState::Stopped => 2,
        InstanceState::ShuttingDown | InstanceState::Terminated => 3,
    };
    let instance = instances
        .iter()
        .filter(|instance| instance.state != InstanceState::Terminated)
        .min_by_key(|instance| rank(instance.state));
    let ours: Vec<&Group> = groups.iter().filter(|group| is_ours(&group.tags)).collect();
    let is_own = |rule: &Rule| ours.iter().any(|group| group.id == rule.group_id);
    let database_rule = rules.iter().find(|rule| !is_own(rule));
    let mut report = BastionReport::new(instance, ours.first().copied(), database_rule);
    if !instance.is_some_and(|instance| instance.state.is_live()) {
        let pairs = cloud.key_pairs(&name).await?.into_iter().filter(|pair| is_ours(&pair.tags));
        report.leftovers.extend(ours.iter().map(|group| format!("security group {} ({})", group.name, group.id)));
        let others = rules.iter().filter(|rule| !is_own(rule));
        report.leftovers.extend(others.map(|rule| format!("rule {} in {}", rule.id, rule.group_id)));
        report.leftovers.extend(pairs.map(|pair| format!("key pair {}", pair.name)));
    }
    Ok(report)
}
