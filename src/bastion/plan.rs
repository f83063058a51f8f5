use super::observe::Ours;
use super::placement::placements;
use super::step::{PlannedSource, somebody_elses};
use super::tags::SPEC;
use super::{
    BastionError, BastionSpec, Condemned, DatabaseSource, Direction, Generation, Group, Identity, Instance,
    InstanceState, Observed, Plan, Rule, RuleSource, Step,
};
use std::collections::BTreeSet;

/// Decides what is missing for the wanted bastion to stand. Pure.
///
/// # Errors
/// The refusals: another principal's resources under our alias, names that are taken, types that no zone offers.
pub fn plan_up(
    identity: &Identity,
    spec: &BastionSpec,
    observed: &Observed,
    now: jiff::Timestamp,
) -> Result<Plan, BastionError> {
    let ours = observed.ours(identity)?;
    let planner = Planner { identity, spec, spec_hash: spec.hash()?, observed, ours: &ours, now };
    planner.plan()
}

impl Observed {
    /// True when `up` will have to launch an instance, so that it needs to know what the zones offer.
    ///
    /// # Errors
    /// As [`plan_up`].
    pub fn needs_launch(
        &self,
        identity: &Identity,
        spec: &BastionSpec,
        now: jiff::Timestamp,
    ) -> Result<bool, BastionError> {
        let ours = self.ours(identity)?;
        let planner = Planner { identity, spec, spec_hash: spec.hash()?, observed: self, ours: &ours, now };
        Ok(planner.kept().is_none())
    }

    /// True when the instance stays and our rule for it is missing, so that `up` has to know who else lets it in.
    ///
    /// # Errors
    /// As [`plan_up`].
    pub fn lacks_database_rule(
        &self,
        identity: &Identity,
        spec: &BastionSpec,
        now: jiff::Timestamp,
    ) -> Result<bool, BastionError> {
        let ours = self.ours(identity)?;
        let planner = Planner { identity, spec, spec_hash: spec.hash()?, observed: self, ours: &ours, now };
        let Some(kept) = planner.kept() else { return Ok(false) };
        let group = planner.group_here();
        Ok(!ours.rules.iter().any(|rule| planner.is_database_rule(rule, group, Some(kept))))
    }
}

struct Planner<'a> {
    identity: &'a Identity,
    spec: &'a BastionSpec,
    spec_hash: String,
    observed: &'a Observed,
    ours: &'a Ours<'a>,
    now: jiff::Timestamp,
}

/// Why an instance cannot stay, and whether its owner has to agree.
struct Flaw {
    reason: &'static str,
    ask: bool,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, BastionError> {
        let mut plan = Plan { warnings: self.ours.others.clone(), ..Plan::default() };
        let kept = self.kept();
        if let (true, Some((namesake, principal))) = (self.ours.live.is_empty(), self.ours.namesakes.first()) {
            plan.questions.push(format!(
                "bring up a bastion of your own, though instance {} under the alias `{}` is another AWS principal's \
                 ({principal})?",
                namesake.id, self.identity.scope.owner
            ));
        }
        for instance in self.ours.live.iter().filter(|instance| kept.is_none_or(|kept| kept.id != instance.id)) {
            let flaw = self.flaw(instance).unwrap_or(Flaw { reason: "one is enough", ask: false });
            if self.observed.may_be_a_colleagues(self.identity, instance) {
                plan.questions.push(format!(
                    "replace instance {}{}: {}, and it may be a colleague's with the same role?",
                    instance.id,
                    instance.age(self.now),
                    flaw.reason
                ));
            } else if flaw.ask {
                plan.questions.push(format!("replace instance {}: {}?", instance.id, flaw.reason));
            }
            plan.steps.push(Step::Terminate { instance_id: instance.id.clone(), reason: Some(flaw.reason) });
        }
        let group = self.group_here();
        self.keys(kept, &mut plan)?;
        self.group(group, &mut plan);
        let stale: Vec<&Rule> = self.stale_rules(group, kept);
        match kept {
            // The right rule comes before the wrong one goes, so that a working bastion is never shut out.
            Some(instance) => {
                if matches!(instance.state, InstanceState::Stopped | InstanceState::Stopping) {
                    plan.steps.push(Step::Start { instance_id: instance.id.clone() });
                }
                self.database(group, Some(instance), &mut plan);
                plan.steps.extend(stale.into_iter().map(|rule| self.revoke(rule)));
            }
            None => {
                plan.steps.extend(stale.into_iter().map(|rule| self.revoke(rule)));
                plan.steps.push(self.launch()?);
                self.database(group, None, &mut plan);
            }
        }
        plan.steps.push(Step::AwaitReady);
        self.leftovers(group, &mut plan);
        Ok(plan)
    }

    fn group_here(&self) -> Option<&Group> {
        self.ours.groups.iter().copied().find(|group| group.vpc_id == self.spec.site.vpc_id)
    }

    /// The instance that can stay as it is; a running one before a stopped one.
    fn kept(&self) -> Option<&Instance> {
        let rank = |instance: &Instance| match instance.state {
            InstanceState::Running => 0,
            InstanceState::Pending => 1,
            _ => 2,
        };
        self.ours.live.iter().copied().filter(|instance| self.flaw(instance).is_none()).min_by_key(|one| rank(one))
    }

    fn flaw(&self, instance: &Instance) -> Option<Flaw> {
        let stopped = matches!(instance.state, InstanceState::Stopped | InstanceState::Stopping);
        if stopped && instance.expires_at().is_some_and(|expiry| expiry <= self.now) {
            return Some(Flaw { reason: "it is stopped and has expired", ask: false });
        }
        let lost = Flaw { reason: "its key is not on this computer", ask: true };
        let Some(generation) = &self.observed.generation else { return Some(lost) };
        if !instance.is_of(generation) {
            return Some(lost);
        }
        let key_differs = self.ours.key_pair().and_then(|pair| pair.public_key.as_deref());
        if key_differs.is_some_and(|key| !generation.is_public_key(key)) {
            return Some(Flaw { reason: "another computer has put its own key in place", ask: true });
        }
        match &self.observed.condemned {
            Some(Condemned::All) => return Some(Flaw { reason: "it is to be replaced", ask: false }),
            Some(Condemned::One { instance_id, reason }) if *instance_id == instance.id => {
                return Some(Flaw { reason, ask: true });
            }
            _ => {}
        }
        if instance.tags.get(SPEC) != Some(&self.spec_hash) {
            return Some(Flaw { reason: "it was made from other settings", ask: true });
        }
        None
    }

    fn keys(&self, kept: Option<&Instance>, plan: &mut Plan) -> Result<(), BastionError> {
        let pair = self.ours.key_pair();
        if kept.is_some() && pair.is_some() {
            return Ok(());
        }
        let matches_pair = |generation: &Generation| {
            pair.and_then(|pair| pair.public_key.as_deref()).is_some_and(|key| generation.is_public_key(key))
        };
        let generation = self.observed.generation.as_ref();
        let usable = kept.is_some() || generation.is_some_and(|generation| self.is_unused(generation));
        if pair.is_some() && usable && generation.is_some_and(matches_pair) {
            return Ok(());
        }
        if let Some(pair) = self.observed.pair_of_another_run(self.ours, self.now) {
            return Err(BastionError::AnotherComputer { name: pair.name.clone() });
        }
        if let Some(pair) = pair {
            // A pair without an instance that is not ours to tell: perhaps another computer is at work right now.
            if !generation.is_some_and(matches_pair) && plan.questions.is_empty() {
                plan.questions.push(format!("replace key pair {}: it was made on another computer?", pair.name));
            }
            plan.steps.push(Step::DeleteKeyPair { id: pair.id.clone(), name: pair.name.clone() });
        }
        if !usable {
            plan.steps.push(Step::MakeKeys);
        }
        let taken = &self.ours.foreign_key_pairs;
        let name = self.identity.scope.free_name(|name| taken.iter().any(|pair| pair.name == name));
        plan.steps.push(Step::ImportKeyPair { name });
        Ok(())
    }

    /// A generation whose launch never happened (as far as can be seen), with enough of its time left.
    fn is_unused(&self, generation: &Generation) -> bool {
        let half = self.spec.ttl / 2;
        generation.instance_id.is_none()
            && generation.spec_hash == self.spec_hash
            && self.now.checked_add(half).is_ok_and(|soon| generation.expires_at > soon)
            && !self.observed.instances.iter().any(|instance| instance.is_of(generation))
    }

    fn group(&self, group: Option<&Group>, plan: &mut Plan) {
        let site = &self.spec.site;
        if group.is_none() {
            let taken = self.ours.foreign_groups.iter().filter(|group| group.vpc_id == site.vpc_id);
            let name = self.identity.scope.free_name(|name| taken.clone().any(|group| group.name == name));
            plan.steps.push(Step::CreateGroup { name, vpc_id: site.vpc_id.clone() });
        }
        if group.is_none_or(|group| group.open_egress) {
            plan.steps.push(Step::CloseEgress);
        }
        let have = |direction: Direction, port: u16, cidr: &str| {
            self.ours.rules.iter().any(|rule| {
                group.is_some_and(|group| group.id == rule.group_id)
                    && rule.direction == direction
                    && rule.port == Some(port)
                    && rule.source == RuleSource::Cidr(cidr.to_owned())
            })
        };
        let cidrs: Vec<String> =
            site.database_cidrs.iter().filter(|cidr| !have(Direction::Egress, site.port, cidr)).cloned().collect();
        if !cidrs.is_empty() {
            plan.steps.push(Step::AllowEgress { cidrs, port: site.port });
        }
        let port = self.spec.ssh_port;
        let cidrs: Vec<String> =
            self.ssh_cidrs().into_iter().filter(|cidr| !have(Direction::Ingress, port, cidr)).collect();
        if !cidrs.is_empty() {
            plan.steps.push(Step::AllowSsh { cidrs, port });
        }
    }

    fn ssh_cidrs(&self) -> BTreeSet<String> {
        self.spec.ssh_cidrs.iter().map(ToString::to_string).collect()
    }

    fn database(&self, group: Option<&Group>, instance: Option<&Instance>, plan: &mut Plan) {
        let site = &self.spec.site;
        let address = instance.and_then(|instance| instance.private_ip);
        if self.ours.rules.iter().any(|rule| self.is_database_rule(rule, group, instance)) {
            return;
        }
        // EC2 would call ours a duplicate, today and with every run to come.
        if let Some(rule) =
            self.observed.database_rules.iter().find(|rule| self.is_database_rule(rule, group, instance))
        {
            plan.warnings.push(somebody_elses(rule));
            return;
        }
        let source = match (self.spec.database_source, address) {
            (DatabaseSource::Group, _) => PlannedSource::Group,
            (DatabaseSource::PrivateIp, Some(address)) => PlannedSource::Address(address),
            (DatabaseSource::PrivateIp, None) => PlannedSource::NewAddress,
        };
        plan.steps.push(Step::AllowDatabase { group_id: site.database_group_id.clone(), port: site.port, source });
    }

    fn is_database_rule(&self, rule: &Rule, group: Option<&Group>, instance: Option<&Instance>) -> bool {
        let site = &self.spec.site;
        let source = match self.spec.database_source {
            DatabaseSource::Group => group.map(|group| RuleSource::Group(group.id.clone())),
            DatabaseSource::PrivateIp => instance
                .and_then(|instance| instance.private_ip)
                .map(|address| RuleSource::Cidr(format!("{address}/32"))),
        };
        rule.group_id == site.database_group_id
            && rule.direction == Direction::Ingress
            && rule.port == Some(site.port)
            && Some(&rule.source) == source.as_ref()
    }

    /// Rules of ours that let in or out what is not wanted any more: old addresses, other groups, other ports.
    fn stale_rules(&self, group: Option<&Group>, kept: Option<&Instance>) -> Vec<&Rule> {
        let site = &self.spec.site;
        let ssh = self.ssh_cidrs();
        let wanted = |rule: &Rule| {
            let cidr = match &rule.source {
                RuleSource::Cidr(cidr) => cidr.as_str(),
                RuleSource::Group(_) | RuleSource::Other => "",
            };
            if group.is_some_and(|group| group.id == rule.group_id) {
                return match rule.direction {
                    Direction::Ingress => rule.port == Some(self.spec.ssh_port) && ssh.contains(cidr),
                    Direction::Egress => {
                        rule.port == Some(site.port) && site.database_cidrs.iter().any(|known| known == cidr)
                    }
                };
            }
            // The rules of a group that is deleted go with it.
            self.ours.groups.iter().any(|other| other.id == rule.group_id) || self.is_database_rule(rule, group, kept)
        };
        self.ours.rules.iter().copied().filter(|rule| !wanted(rule)).collect()
    }

    fn revoke(&self, rule: &Rule) -> Step {
        let in_own_group = self.ours.groups.iter().any(|group| group.id == rule.group_id);
        Step::Revoke {
            rule: rule.clone(),
            what: if in_own_group { "the outdated rule" } else { "the old database rule" },
        }
    }

    fn launch(&self) -> Result<Step, BastionError> {
        let (spec, types) = (self.spec, self.spec.instance_types());
        if let Some(best) = placements(spec, &self.observed.offers).into_iter().next() {
            return Ok(Step::Launch {
                instead_of: (best.instance_type != types[0]).then(|| types[0].clone()),
                instance_type: best.instance_type,
                subnet_id: best.subnet.id.clone(),
                zone: best.subnet.zone.clone(),
            });
        }
        let zones: BTreeSet<String> = spec.site.subnets.iter().map(|subnet| subnet.zone.clone()).collect();
        Err(BastionError::NotOffered { types, zones: zones.into_iter().collect() })
    }

    /// Groups of ours in other VPCs, where an earlier stack stood.
    fn leftovers(&self, group: Option<&Group>, plan: &mut Plan) {
        let others: Vec<&Group> =
            self.ours.groups.iter().copied().filter(|other| group.is_none_or(|group| group.id != other.id)).collect();
        if others.is_empty() {
            return;
        }
        let ended = |instance: &Instance| {
            plan.steps
                .iter()
                .any(|step| matches!(step, Step::Terminate { instance_id, .. } if *instance_id == instance.id))
        };
        let mut leaving = self.ours.leaving.clone();
        leaving.extend(self.ours.live.iter().filter(|instance| ended(instance)));
        plan.steps.extend(others.into_iter().map(|other| Step::delete_group(other, &leaving)));
    }
}
