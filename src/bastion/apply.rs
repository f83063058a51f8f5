use super::step::{PlannedSource, somebody_elses};
use super::tags::{Ownership, ownership, tags};
use super::{
    BastionAccess, BastionError, BastionReport, BastionSpec, Direction, Event, Filling, Generation, Group, Identity,
    Instance, KeyPair, NewRule, Observed, Plan, Rule, RuleSource, Step, Tags, Workshop,
};
use crate::system::{CloudError, together};
use std::time::Duration;
use tokio::time::Instant;

/// How long EC2 may take to know what it has just made.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(60);
pub(super) const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Applies a plan, carrying what the steps learn from one to the next.
pub(super) struct Apply<'a> {
    pub(super) workshop: &'a Workshop<'a>,
    pub(super) identity: &'a Identity,
    /// Missing for `down`.
    pub(super) spec: Option<&'a BastionSpec>,
    pub(super) tags: Tags,
    pub(super) observed: &'a Observed,
    group_id: Option<String>,
    pub(super) instance: Option<Instance>,
    pub(super) generation: Option<Generation>,
    /// Of the key pair that an instance is launched with.
    pub(super) key_name: String,
    database_rule: Option<String>,
}

impl<'a> Apply<'a> {
    pub(super) fn new(
        workshop: &'a Workshop<'a>,
        identity: &'a Identity,
        spec: Option<&'a BastionSpec>,
        observed: &'a Observed,
    ) -> Result<Self, BastionError> {
        let ours = observed.ours(identity)?;
        let (mut group_id, mut instance, mut made_tags) = (None, None, Tags::new());
        let mut generation = observed.generation.clone();
        if let (Some(mine), Some(pair)) = (&mut generation, ours.key_pair().filter(|pair| observed.is_own_pair(pair))) {
            // A run that ended between the import and its record.
            mine.key_pair_id = Some(pair.id.clone());
        }
        if let Some(spec) = spec {
            group_id = ours.groups.iter().find(|group| group.vpc_id == spec.site.vpc_id).map(|group| group.id.clone());
            made_tags = tags(identity, &spec.hash()?, &spec.tags);
            let mine = generation.as_ref();
            instance = ours.live.iter().find(|one| mine.is_some_and(|generation| one.is_of(generation))).copied();
        }
        Ok(Self {
            workshop,
            identity,
            spec,
            tags: made_tags,
            observed,
            group_id,
            instance: instance.cloned(),
            generation,
            key_name: ours.key_pair().map_or_else(|| identity.resource_name(), |pair| pair.name.clone()),
            database_rule: None,
        })
    }

    pub(super) fn tell(&self, event: Event) {
        (self.workshop.tell)(event);
    }

    pub(super) async fn run(&mut self, plan: &Plan) -> Result<(), BastionError> {
        for batch in plan.steps.chunk_by(|before, step| step.goes_along_with(before)) {
            match batch {
                [step] => {
                    self.tell(Event::Begun(step.to_string()));
                    let outcome = self.apply(step).await?;
                    self.tell_done(step, outcome);
                }
                several => self.run_at_once(several).await?,
            }
        }
        Ok(())
    }

    /// All of them end, well or not, before a failure of one is told: no call is left in mid-air.
    async fn run_at_once(&self, steps: &[Step]) -> Result<(), BastionError> {
        let run = async |step: &Step| {
            self.tell(Event::Begun(step.to_string()));
            self.apply_alone(step).await?;
            self.tell_done(step, None);
            Ok(())
        };
        together(steps.iter().map(run)).await.into_iter().collect()
    }

    fn tell_done(&self, step: &Step, outcome: Option<String>) {
        let step = step.to_string();
        self.tell(Event::Done { outcome: outcome.unwrap_or_else(|| step.clone()), step });
    }

    /// Returns what to say instead of the step's own text, where more is known now.
    async fn apply(&mut self, step: &Step) -> Result<Option<String>, BastionError> {
        match step {
            Step::AwaitTermination { instance_ids } => self.await_termination(instance_ids).await?,
            Step::Start { instance_id } => self.start(instance_id).await?,
            Step::Launch { instance_type, subnet_id, zone, instead_of } => {
                let launched = self.launch(instance_type, subnet_id).await?;
                let as_planned = self.instance()?.subnet_id.as_deref() == Some(subnet_id);
                let wanted = instead_of.as_ref().filter(|_| as_planned);
                let why = wanted.map(|wanted| format!(": {zone} does not offer {wanted}"));
                return Ok(Some(launched + why.as_deref().unwrap_or_default()));
            }
            Step::AwaitReady => {
                let access = self.await_ready().await?;
                return Ok(Some(format!("ssh works: {} ({})", access.instance_id, access.public_ip)));
            }
            Step::MakeKeys => self.make_keys()?,
            Step::ImportKeyPair { name } => self.import_key_pair(name).await?,
            Step::CreateGroup { name, vpc_id } => {
                let id = self.create_group(name, vpc_id).await?;
                self.group_id = Some(id.clone());
                return Ok(Some(format!("created security group {name} ({id})")));
            }
            Step::AllowDatabase { group_id, port, source } => {
                return self.allow_database(group_id, *port, source).await;
            }
            alone => self.apply_alone(alone).await?,
        }
        Ok(None)
    }

    /// The steps that later ones learn nothing from.
    async fn apply_alone(&self, step: &Step) -> Result<(), BastionError> {
        let cloud = self.workshop.cloud;
        match step {
            Step::Terminate { instance_id, .. } => cloud.terminate(instance_id).await?,
            Step::DeleteKeyPair { id, .. } => cloud.delete_key_pair(id).await?,
            Step::CloseEgress => {
                let (group_id, ipv6) = (self.group_id()?, self.spec()?.site.ipv6);
                settled(&["InvalidGroup.NotFound"], || cloud.close_egress(group_id, ipv6)).await?;
            }
            Step::AllowEgress { cidrs, port } => self.allow(Direction::Egress, *port, cidrs, "database").await?,
            Step::AllowSsh { cidrs, port } => self.allow(Direction::Ingress, *port, cidrs, "ssh").await?,
            Step::Revoke { rule, .. } => cloud.revoke(rule).await?,
            Step::DeleteGroup { group_id, carriers, .. } => self.delete_group(group_id, carriers).await?,
            Step::ForgetKeys => self.workshop.local.forget()?,
            // `goes_along_with` joins none of the others.
            _ => return Err(missing("a step that stands alone")),
        }
        Ok(())
    }

    /// The report and the way in, after all steps.
    pub(super) async fn finish_up(&mut self) -> Result<(BastionReport, BastionAccess), BastionError> {
        let instance = self.instance()?.clone();
        let access = self.access(&instance)?;
        let group = self.group_id.clone().map(|id| Group {
            id,
            name: self.identity.resource_name(),
            vpc_id: String::new(),
            open_egress: false,
            tags: Tags::new(),
        });
        let mut report = BastionReport::new(Some(&instance), group.as_ref(), None);
        let database_group = self.spec.map(|spec| spec.site.database_group_id.as_str());
        let known = |rules: &[Rule]| {
            rules.iter().find(|rule| Some(rule.group_id.as_str()) == database_group).map(|rule| rule.id.clone())
        };
        report.database_rule_id = self.database_rule.clone().or_else(|| known(&self.observed.rules));
        Ok((report, access))
    }

    pub(super) fn instance(&self) -> Result<&Instance, BastionError> {
        self.instance.as_ref().ok_or_else(|| missing("the instance"))
    }

    pub(super) fn group_id(&self) -> Result<&str, BastionError> {
        self.group_id.as_deref().ok_or_else(|| missing("the security group"))
    }

    pub(super) fn spec(&self) -> Result<&'a BastionSpec, BastionError> {
        self.spec.ok_or_else(|| missing("the spec"))
    }

    pub(super) fn generation(&self) -> Result<&Generation, BastionError> {
        self.generation.as_ref().ok_or_else(|| missing("the keys"))
    }

    /// The way in; pins the host key, so that no contact comes before that.
    pub(super) fn access(&self, instance: &Instance) -> Result<BastionAccess, BastionError> {
        let (spec, local) = (self.spec()?, self.workshop.local);
        let generation = self.generation()?;
        if generation.instance_id.as_ref() != Some(&instance.id) {
            // A run that ended between the launch and its record: from here on the keys are this instance's.
            local.keep(&Generation { instance_id: Some(instance.id.clone()), ..generation.clone() })?;
        }
        local.pin(&instance.id, &generation.host_public_key)?;
        let (proxy_command, proxy_jump) = self.workshop.proxy.clone();
        Ok(BastionAccess {
            instance_id: instance.id.clone(),
            public_ip: instance.public_ip.ok_or_else(|| missing("the public address"))?,
            public_dns: instance.public_dns.clone(),
            user: spec.ssh_user.clone(),
            port: spec.ssh_port,
            key_file: local.key_file(),
            known_hosts_file: local.known_hosts_file(),
            expires_at: instance.expires_at(),
            place: Some(self.observed.here.clone()),
            proxy_command,
            proxy_jump,
        })
    }

    fn make_keys(&mut self) -> Result<(), BastionError> {
        let spec = self.spec()?;
        let now = self.workshop.clock.now();
        // Whole seconds: the tag is for people as well.
        let expires_at = jiff::Timestamp::from_second(now.as_second())
            .and_then(|now| now.checked_add(spec.ttl))
            .unwrap_or(jiff::Timestamp::MAX);
        let comment = self.identity.resource_name();
        let (workshop, here) = (self.workshop, &self.observed.here);
        let made = workshop.local.make_generation(workshop.keys, &comment, expires_at, &spec.hash()?, here)?;
        self.generation = Some(made);
        Ok(())
    }

    /// The lock: of two computers, one gets the name.
    async fn import_key_pair(&mut self, name: &str) -> Result<(), BastionError> {
        let (cloud, mut generation) = (self.workshop.cloud, self.generation()?.clone());
        let id = match cloud.import_key_pair(name, &generation.public_key, &self.tags).await {
            Err(error) if error.is_code("InvalidKeyPair.Duplicate") => {
                // A repeated request whose first answer was lost finds its own work.
                let named = async || Ok(cloud.key_pairs(name).await?.into_iter().find(|pair| pair.name == name));
                let pair = listed(named).await?;
                let is_own =
                    |pair: &KeyPair| pair.public_key.as_deref().is_some_and(|key| generation.is_public_key(key));
                pair.filter(is_own).ok_or_else(|| BastionError::AnotherComputer { name: name.to_owned() })?.id
            }
            other => other?,
        };
        name.clone_into(&mut self.key_name);
        generation.key_pair_id = Some(id);
        generation.key_pair_name = (name != self.identity.resource_name()).then(|| name.to_owned());
        self.workshop.local.keep(&generation)?;
        self.generation = Some(generation);
        Ok(())
    }

    async fn create_group(&self, name: &str, vpc_id: &str) -> Result<String, BastionError> {
        let cloud = self.workshop.cloud;
        let description = format!("devdb bastion of {}", self.identity.scope.owner);
        match cloud.create_group(name, vpc_id, &description, &self.tags).await {
            Err(error) if error.is_code("InvalidGroup.Duplicate") => {
                let look = async || {
                    let groups = cloud.groups(name).await?;
                    Ok(groups.into_iter().find(|group| group.vpc_id == vpc_id && group.name == name))
                };
                match listed(look).await? {
                    Some(group) if ownership(&group.tags, self.identity) == Ownership::Ours => Ok(group.id),
                    _ => Err(BastionError::NameTaken { kind: "security group", name: name.to_owned() }),
                }
            }
            other => Ok(other?),
        }
    }

    async fn allow(&self, direction: Direction, port: u16, cidrs: &[String], what: &str) -> Result<(), BastionError> {
        let rule = NewRule {
            group_id: self.group_id()?.to_owned(),
            direction,
            port,
            sources: cidrs.iter().cloned().map(RuleSource::Cidr).collect(),
            description: format!("devdb {what} {}", self.identity.scope.owner),
            tags: self.tags.clone(),
        };
        settled(&["InvalidGroup.NotFound"], || self.workshop.cloud.authorize(&rule)).await?;
        Ok(())
    }

    /// Returns what to say when somebody else's rule does the work of ours.
    async fn allow_database(
        &mut self,
        group_id: &str,
        port: u16,
        source: &PlannedSource,
    ) -> Result<Option<String>, BastionError> {
        let address = match source {
            PlannedSource::Address(address) => Some(*address),
            PlannedSource::NewAddress => {
                Some(self.instance()?.private_ip.ok_or_else(|| missing("the private address"))?)
            }
            PlannedSource::Group => None,
        };
        let source = match address {
            Some(address) => RuleSource::Cidr(format!("{address}/32")),
            None => RuleSource::Group(self.group_id()?.to_owned()),
        };
        let expiry = self.generation()?.expires_at;
        let rule = NewRule {
            group_id: group_id.to_owned(),
            direction: Direction::Ingress,
            port,
            sources: vec![source.clone()],
            description: format!("devdb bastion of {} until {expiry}", self.identity.scope.owner),
            tags: self.tags.clone(),
        };
        let made = match settled(&["InvalidGroup.NotFound"], || self.workshop.cloud.authorize(&rule)).await {
            Err(error) if error.is_code("RulesPerSecurityGroupLimitExceeded") => {
                let rules = self.workshop.cloud.rules_of(group_id).await?;
                return Err(BastionError::RulesFull { group_id: group_id.to_owned(), filling: Filling::of(&rules) });
            }
            other => other?,
        };
        self.database_rule = made.into_iter().next();
        if self.database_rule.is_some() {
            return Ok(None);
        }
        let rules = self.workshop.cloud.rules_of(group_id).await?;
        let equal = rules
            .into_iter()
            .find(|rule| rule.direction == Direction::Ingress && rule.port == Some(port) && rule.source == source);
        match equal {
            Some(rule) if ownership(&rule.tags, self.identity) == Ownership::Ours => self.database_rule = Some(rule.id),
            Some(rule) => return Ok(Some(somebody_elses(&rule))),
            None => {}
        }
        Ok(None)
    }

    /// A stopping instance has to be stopped before it can be started.
    async fn start(&mut self, instance_id: &str) -> Result<(), BastionError> {
        settled(&["IncorrectInstanceState"], || self.workshop.cloud.start(instance_id)).await?;
        if let Some(seen) = self.workshop.cloud.instance(instance_id).await? {
            self.instance = Some(seen);
        }
        Ok(())
    }
}

/// The time between two looks at EC2, which counts requests: longer and longer.
pub(super) struct Patience {
    since: Instant,
    next: Duration,
    limit: Duration,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { since: Instant::now(), next: PAUSE, limit }
    }

    pub(super) fn is_at_an_end(&self) -> bool {
        self.since.elapsed() > self.limit
    }

    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 3 / 2).min(LONGEST_PAUSE);
    }

    /// The error of who waited until its end.
    pub(super) fn too_slow(&self, what: String) -> BastionError {
        BastionError::TooSlow { what, seconds: self.limit.as_secs() }
    }
}

pub(super) fn missing(what: &'static str) -> BastionError {
    BastionError::Cloud(CloudError::Incomplete { action: "bastion up".to_owned(), what })
}

/// Repeats a call while EC2 does not know yet what it has just made (EC2 API reference, "Eventual consistency").
pub(super) async fn settled<T, F>(codes: &[&str], mut call: impl FnMut() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let started = Instant::now();
    loop {
        match call().await {
            Err(error) if codes.iter().any(|code| error.is_code(code)) && started.elapsed() < SETTLE_LIMIT => {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Repeats a look while EC2 does not list yet what it says is there.
async fn listed<T, F>(mut look: impl FnMut() -> F) -> Result<Option<T>, CloudError>
where
    F: Future<Output = Result<Option<T>, CloudError>>,
{
    let started = Instant::now();
    loop {
        match look().await? {
            None if started.elapsed() < SETTLE_LIMIT => tokio::time::sleep(PAUSE).await,
            other => return Ok(other),
        }
    }
}
