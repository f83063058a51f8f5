use super::procedure::observe_down;
use super::tags::{Ownership, ownership};
use super::{
    BastionError, Cidr, Direction, Event, Group, Identity, NewRule, Observed, Rule, RuleSource, Scope, Step, Workshop,
};

/// A change of who may reach the ssh port.
#[derive(Debug)]
pub struct AllowPlan {
    openings: Vec<Opening>,
    port: u16,
    pub questions: Vec<String>,
    pub warnings: Vec<String>,
}

/// In one group: what has to be let in, and what goes afterwards.
#[derive(Debug)]
struct Opening {
    group: Group,
    missing: Vec<String>,
    stale: Vec<Rule>,
}

impl AllowPlan {
    pub fn changes(&self) -> bool {
        !self.lines().is_empty()
    }

    /// The changes, a line each.
    pub fn lines(&self) -> Vec<String> {
        self.openings.iter().flat_map(|opening| opening.lines(self.port)).collect()
    }
}

impl Opening {
    fn lines(&self, port: u16) -> Vec<String> {
        self.allow(port).into_iter().chain(self.stale.iter().map(revoke)).collect()
    }

    fn allow(&self, port: u16) -> Option<String> {
        let cidrs = self.missing.clone();
        (!cidrs.is_empty()).then(|| Step::AllowSsh { cidrs, port }.to_string())
    }
}

fn revoke(rule: &Rule) -> String {
    format!("no longer let {} in (revoke {})", source(rule), rule.id)
}

fn source(rule: &Rule) -> &str {
    match &rule.source {
        RuleSource::Cidr(cidr) => cidr,
        RuleSource::Group(id) => id,
        RuleSource::Other => "an unknown source",
    }
}

/// As [`observe_down`], with every rule of our groups, whoever made it: EC2 knows no two equal ones.
///
/// # Errors
/// What AWS answers.
pub async fn observe_allow(workshop: &Workshop<'_>, scope: &Scope) -> Result<(Identity, Observed), BastionError> {
    let (identity, mut observed) = observe_down(workshop, scope).await?;
    let mut rules = Vec::new();
    for group in observed.groups.iter().filter(|group| ownership(&group.tags, &identity) == Ownership::Ours) {
        rules.extend(workshop.cloud.rules_of(&group.id).await?);
    }
    observed.rules = rules;
    Ok((identity, observed))
}

/// Decides how exactly these ranges may reach the ssh port, and nobody else whom devdb let in. Pure.
///
/// # Errors
/// [`BastionError::Absent`], and what is not ours.
pub fn plan_allow(
    identity: &Identity,
    observed: &Observed,
    cidrs: &[Cidr],
    port: u16,
    now: jiff::Timestamp,
) -> Result<AllowPlan, BastionError> {
    let ours = observed.ours(identity)?;
    let (Some(instance), false) = (ours.live.first(), ours.groups.is_empty()) else {
        return Err(match ours.namesakes.into_iter().next() {
            Some((instance, principal)) => BastionError::AnotherPrincipal {
                resource: format!("instance {}", instance.id),
                principal,
                owner: identity.scope.owner.clone(),
            },
            None => BastionError::Absent { name: identity.instance_name() },
        });
    };
    let wanted: Vec<String> = cidrs.iter().map(ToString::to_string).collect();
    let mut plan = AllowPlan { openings: Vec::new(), port, questions: Vec::new(), warnings: ours.others.clone() };
    for group in &ours.groups {
        let is_here =
            |rule: &&Rule| rule.group_id == group.id && rule.direction == Direction::Ingress && rule.port == Some(port);
        let is_wanted = |rule: &Rule| matches!(&rule.source, RuleSource::Cidr(cidr) if wanted.contains(cidr));
        let lets_in = |cidr: &String| {
            observed.rules.iter().filter(is_here).any(|rule| rule.source == RuleSource::Cidr(cidr.clone()))
        };
        let is_ours = |rule: &Rule| ours.rules.iter().any(|mine| mine.id == rule.id);
        for rule in observed.rules.iter().filter(is_here).filter(|rule| !is_ours(rule) && !is_wanted(rule)) {
            if let RuleSource::Cidr(cidr) = &rule.source {
                plan.warnings.push(format!("{cidr} is let in by somebody else's rule {}; it stays", rule.id));
            }
        }
        plan.openings.push(Opening {
            group: (*group).clone(),
            missing: wanted.iter().filter(|cidr| !lets_in(cidr)).cloned().collect(),
            stale: ours
                .rules
                .iter()
                .filter(|rule| is_here(rule) && !is_wanted(rule))
                .map(|rule| (*rule).clone())
                .collect(),
        });
    }
    let is_of_this_computer = observed.generation.as_ref().is_some_and(|mine| instance.is_of(mine));
    let stale = plan.openings.iter().flat_map(|opening| &opening.stale).map(|rule| source(rule).to_owned());
    let stale: Vec<String> = stale.collect();
    if !is_of_this_computer && !stale.is_empty() {
        let perhaps = if identity.principal.is_role_only() { ", perhaps a colleague's with the same role" } else { "" };
        plan.questions.push(format!(
            "shut out {} from instance {}{}, whose key is on another computer{perhaps}?",
            stale.join(", "),
            instance.id,
            instance.age(now)
        ));
    }
    Ok(plan)
}

/// Applies a plan of [`plan_allow`]: in each group the new rules first, so that nobody is shut out in between.
///
/// # Errors
/// Whatever goes wrong on the way; the next run continues from there.
pub async fn allow(workshop: &Workshop<'_>, identity: &Identity, plan: &AllowPlan) -> Result<(), BastionError> {
    let tell = workshop.tell;
    for opening in &plan.openings {
        if let Some(step) = opening.allow(plan.port) {
            tell(Event::Begun(step.clone()));
            let rule = NewRule {
                group_id: opening.group.id.clone(),
                direction: Direction::Ingress,
                port: plan.port,
                sources: opening.missing.iter().cloned().map(RuleSource::Cidr).collect(),
                description: format!("devdb ssh {}", identity.scope.owner),
                // The team's own tags are among the group's.
                tags: opening.group.tags.clone(),
            };
            workshop.cloud.authorize(&rule).await?;
            tell(Event::Done { outcome: step.clone(), step });
        }
        for rule in &opening.stale {
            let step = revoke(rule);
            tell(Event::Begun(step.clone()));
            workshop.cloud.revoke(rule).await?;
            tell(Event::Done { outcome: step.clone(), step });
        }
    }
    Ok(())
}
