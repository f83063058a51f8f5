use super::step::{PlannedSource, somebody_elses};
use super::tags::{EXPIRES_AT, Ownership, ownership, tags};
use super::{
    BastionAccess, BastionError, BastionReport, BastionSpec, Direction, Event, Generation, Group, Identity, Instance,
    InstanceState, Launch, NewRule, Observed, Plan, Rule, RuleSource, Step, Tags, UserData, Workshop,
};
use crate::system::CloudError;
use std::time::Duration;
use tokio::time::Instant;

const GONE_LIMIT: Duration = Duration::from_secs(300);
/// How long EC2 may take to know what it has just made.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);

/// Applies a plan, carrying what the steps learn from one to the next.
pub(super) struct Apply<'a> {
    pub(super) workshop: &'a Workshop<'a>,
    pub(super) identity: &'a Identity,
    /// Missing for `down`.
    pub(super) spec: Option<&'a BastionSpec>,
    tags: Tags,
    observed: &'a Observed,
    group_id: Option<String>,
    pub(super) instance: Option<Instance>,
    generation: Option<Generation>,
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
        if let Some(spec) = spec {
            group_id = ours.groups.iter().find(|group| group.vpc_id == spec.site.vpc_id).map(|group| group.id.clone());
            made_tags = tags(identity, &spec.hash()?, &spec.tags);
            let generation = observed.generation.as_ref();
            instance = ours.live.iter().find(|one| generation.is_some_and(|generation| one.is_of(generation))).copied();
        }
        Ok(Self {
            workshop,
            identity,
            spec,
            tags: made_tags,
            observed,
            group_id,
            instance: instance.cloned(),
            generation: observed.generation.clone(),
            database_rule: None,
        })
    }

    pub(super) fn tell(&self, event: Event) {
        (self.workshop.tell)(event);
    }

    pub(super) async fn run(&mut self, plan: &Plan) -> Result<(), BastionError> {
        for step in &plan.steps {
            self.tell(Event::Begun(step.to_string()));
            let outcome = self.apply(step).await?;
            self.tell(Event::Done(outcome.unwrap_or_else(|| step.to_string())));
        }
        Ok(())
    }

    /// Returns what to say instead of the step's own text, where more is known now.
    async fn apply(&mut self, step: &Step) -> Result<Option<String>, BastionError> {
        let cloud = self.workshop.cloud;
        match step {
            Step::Terminate { instance_id, .. } => cloud.terminate(instance_id).await?,
            Step::AwaitTermination { instance_ids } => self.await_termination(instance_ids).await?,
            Step::Start { instance_id } => self.start(instance_id).await?,
            Step::Launch { instance_type, subnet_id, .. } => {
                let instance = self.launch(instance_type, subnet_id).await?;
                return Ok(Some(format!("launched {} ({instance_type}) in {subnet_id}", instance.id)));
            }
            Step::AwaitReady => {
                let access = self.await_ready().await?;
                return Ok(Some(format!("ssh works: {} ({})", access.instance_id, access.public_ip)));
            }
            Step::MakeKeys => self.make_keys()?,
            Step::ImportKeyPair { name } => self.import_key_pair(name).await?,
            Step::DeleteKeyPair { name } => cloud.delete_key_pair(name).await?,
            Step::CreateGroup { name, vpc_id } => {
                let id = self.create_group(name, vpc_id).await?;
                self.group_id = Some(id.clone());
                return Ok(Some(format!("created security group {name} ({id})")));
            }
            Step::CloseEgress => {
                let group_id = self.group_id()?;
                settled(&["InvalidGroup.NotFound"], || cloud.close_egress(group_id)).await?;
            }
            Step::AllowEgress { cidrs, port } => {
                self.allow(Direction::Egress, *port, cidrs, "database").await?;
            }
            Step::AllowSsh { cidrs, port } => self.allow(Direction::Ingress, *port, cidrs, "ssh").await?,
            Step::AllowDatabase { group_id, port, source } => {
                return self.allow_database(group_id, *port, source).await;
            }
            Step::Revoke { rule, .. } => cloud.revoke(rule).await?,
            Step::DeleteGroup { group_id, .. } => self.delete_group(group_id).await?,
            Step::ForgetKeys => self.workshop.local.forget()?,
        }
        Ok(None)
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

    fn group_id(&self) -> Result<&str, BastionError> {
        self.group_id.as_deref().ok_or_else(|| missing("the security group"))
    }

    fn spec(&self) -> Result<&'a BastionSpec, BastionError> {
        self.spec.ok_or_else(|| missing("the spec"))
    }

    fn generation(&self) -> Result<&Generation, BastionError> {
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
    async fn import_key_pair(&self, name: &str) -> Result<(), BastionError> {
        let (cloud, generation) = (self.workshop.cloud, self.generation()?);
        match cloud.import_key_pair(name, &generation.public_key, &self.tags).await {
            Err(error) if error.is_code("InvalidKeyPair.Duplicate") => {
                // A repeated request whose first answer was lost finds its own work.
                let pair = cloud.key_pair(name).await?;
                let key = pair.as_ref().and_then(|pair| pair.public_key.as_deref());
                if key.is_some_and(|key| generation.is_public_key(key)) {
                    return Ok(());
                }
                Err(BastionError::AnotherComputer { name: name.to_owned() })
            }
            other => Ok(other?),
        }
    }

    async fn create_group(&self, name: &str, vpc_id: &str) -> Result<String, BastionError> {
        let cloud = self.workshop.cloud;
        let description = format!("devdb bastion of {}", self.identity.scope.owner);
        match cloud.create_group(name, vpc_id, &description, &self.tags).await {
            Err(error) if error.is_code("InvalidGroup.Duplicate") => {
                let groups = cloud.groups(name).await?;
                let ours = groups
                    .into_iter()
                    .find(|group| group.vpc_id == vpc_id && ownership(&group.tags, self.identity) == Ownership::Ours);
                let taken = || BastionError::NameTaken { kind: "security group", name: name.to_owned() };
                Ok(ours.ok_or_else(taken)?.id)
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
        let made = settled(&["InvalidGroup.NotFound"], || self.workshop.cloud.authorize(&rule)).await?;
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

    async fn launch(&mut self, instance_type: &str, subnet_id: &str) -> Result<Instance, BastionError> {
        let (spec, local) = (self.spec()?, self.workshop.local);
        let mut generation = self.generation()?.clone();
        let host_key = local.host_private_key().ok_or_else(|| missing("the host key"))?;
        let user_data = UserData::render(spec, &host_key, &generation.host_public_key, &generation.spec_hash)?;
        let mut tags = self.tags.clone();
        tags.insert(EXPIRES_AT.to_owned(), generation.expires_at.to_string());
        let launch = Launch {
            client_token: generation.client_token(),
            image: spec.image_for(instance_type),
            instance_type: instance_type.to_owned(),
            subnet_id: subnet_id.to_owned(),
            group_id: self.group_id()?.to_owned(),
            key_name: self.identity.resource_name(),
            kms_key: spec.kms_key.clone(),
            user_data: user_data.text,
            tags,
        };
        let unsettled = ["InvalidGroup.NotFound", "InvalidKeyPair.NotFound"];
        let instance = match settled(&unsettled, || self.workshop.cloud.launch(&launch)).await {
            // Launched by an earlier run that asked a little differently, and not listed yet when we looked.
            Err(error) if error.is_code("IdempotentParameterMismatch") => self.launched_before(&generation).await?,
            other => other?,
        };
        generation.instance_id = Some(instance.id.clone());
        local.keep(&generation)?;
        local.pin(&instance.id, &generation.host_public_key)?;
        self.generation = Some(generation);
        self.instance = Some(instance.clone());
        Ok(instance)
    }

    async fn launched_before(&self, generation: &Generation) -> Result<Instance, BastionError> {
        let started = Instant::now();
        loop {
            let instances = self.workshop.cloud.instances(&self.identity.scope).await?;
            if let Some(found) = instances.into_iter().find(|one| one.is_of(generation) && one.state.is_live()) {
                return Ok(found);
            }
            if started.elapsed() > SETTLE_LIMIT {
                let what = "finding the instance that an earlier run launched".to_owned();
                return Err(BastionError::TooSlow { what, seconds: SETTLE_LIMIT.as_secs() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A stopping instance has to be stopped before it can be started.
    async fn start(&mut self, instance_id: &str) -> Result<(), BastionError> {
        settled(&["IncorrectInstanceState"], || self.workshop.cloud.start(instance_id)).await?;
        if let Some(seen) = self.workshop.cloud.instance(instance_id).await? {
            self.instance = Some(seen);
        }
        Ok(())
    }

    async fn await_termination(&self, ids: &[String]) -> Result<(), BastionError> {
        let started = Instant::now();
        loop {
            let instances = self.workshop.cloud.instances(&self.identity.scope).await?;
            let left: Vec<&str> = instances
                .iter()
                .filter(|one| ids.contains(&one.id) && one.state != InstanceState::Terminated)
                .map(|one| one.id.as_str())
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if started.elapsed() > GONE_LIMIT {
                let what = format!("terminating {}", left.join(", "));
                return Err(BastionError::TooSlow { what, seconds: GONE_LIMIT.as_secs() });
            }
            self.tell(Event::Waiting(format!("{} is shutting down", left.join(", "))));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The interface of a terminated instance lets go of its group a little later.
    async fn delete_group(&self, group_id: &str) -> Result<(), BastionError> {
        let started = Instant::now();
        loop {
            match self.workshop.cloud.delete_group(group_id).await {
                Err(error) if error.is_code("DependencyViolation") && started.elapsed() < GONE_LIMIT => {
                    self.tell(Event::Waiting("the group's last interface".to_owned()));
                    tokio::time::sleep(PAUSE * 2).await;
                }
                other => return Ok(other?),
            }
        }
    }
}

fn missing(what: &'static str) -> BastionError {
    BastionError::Cloud(CloudError::Incomplete { action: "bastion up".to_owned(), what })
}

/// Repeats a call while EC2 does not know yet what it has just made (EC2 API reference, "Eventual consistency").
async fn settled<T, F>(codes: &[&str], mut call: impl FnMut() -> F) -> Result<T, CloudError>
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
