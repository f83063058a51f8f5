use super::cloud_state::{Fault, MakeError, Misfortune, State};
use crate::bastion::{Group, InstanceState, KeyPair, Rule, RuleSource, Tags};
use crate::discovery::StackResource;
use crate::host::Aws;
use crate::system::CloudError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// AWS in memory: a stack `AppDbStack` in eu-west-1, an EC2 whose states move with every look, scripted misfortune.
#[derive(Default)]
pub struct FakeCloud {
    state: Mutex<State>,
    cut: Notify,
}

impl FakeCloud {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the credentials belong to (a `UserId`).
    pub fn log_in(&self, user_id: &str) {
        self.state().user_id = user_id.to_owned();
    }

    /// Another account's or region's AWS: the same stack, nothing else.
    pub fn elsewhere(account: &str, region: &str) -> Self {
        let cloud = Self::default();
        cloud.state().account = account.to_owned();
        cloud.state().region = region.to_owned();
        cloud
    }

    /// How many looks an instance stays in a passing state.
    pub fn take_time(&self, looks: u32) {
        self.state().looks = looks;
    }

    /// What the zones offer: zone and type.
    pub fn offer(&self, offers: &[(&str, &str)]) {
        self.state().offers = offers.iter().map(|(zone, kind)| ((*zone).to_owned(), (*kind).to_owned())).collect();
    }

    pub fn add_group(&self, group: Group) {
        self.state().groups.push(group);
    }

    pub fn add_rule(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    pub fn add_key_pair(&self, pair: KeyPair) {
        self.state().key_pairs.insert(pair.name.clone(), pair);
    }

    /// Another VPC, shaped like the first.
    pub fn add_vpc(&self, id: &str) {
        let mut state = self.state();
        let subnets = state.subnets.get("vpc-1").cloned().unwrap_or_default();
        let tables = state.route_tables.get("vpc-1").cloned().unwrap_or_default();
        state.subnets.insert(id.to_owned(), subnets);
        state.route_tables.insert(id.to_owned(), tables);
    }

    /// Replaces a stack's resources.
    pub fn set_stack(&self, name: &str, resources: Vec<StackResource>) {
        self.state().stacks.insert(name.to_owned(), resources);
    }

    /// Moves the writer's role to another member.
    pub fn fail_over(&self, cluster: &str, writer: &str) {
        if let Some((facts, _)) = self.state().clusters.get_mut(cluster) {
            facts.members.iter_mut().for_each(|(id, is_writer)| *is_writer = id == writer);
        }
    }

    /// Every secret reads like this, one version after the other; `None` is bytes.
    pub fn set_secret(&self, versions: &[Option<&str>]) {
        let versions: Vec<Option<String>> = versions.iter().map(|text| text.map(str::to_owned)).collect();
        self.state().secrets.values_mut().for_each(|kept| kept.clone_from(&versions));
    }

    /// Keeps another secret under this name.
    pub fn add_secret(&self, id: &str, text: &str) {
        self.state().secrets.insert(id.to_owned(), vec![Some(text.to_owned())]);
    }

    /// Gives the cluster's writer another name.
    pub fn set_writer_endpoint(&self, host: &str) {
        self.state().clusters.values_mut().for_each(|(facts, _)| facts.writer_endpoint = Some(host.to_owned()));
    }

    /// Lets the cluster listen on another port.
    pub fn set_port(&self, port: u16) {
        self.state().clusters.values_mut().for_each(|(facts, _)| facts.port = Some(port));
    }

    /// Puts all instances into a state, as AWS's own console would.
    pub fn set_state(&self, state: InstanceState) {
        self.state().instances.iter_mut().for_each(|one| one.instance.state = state);
    }

    /// What stands on the console of every instance that runs.
    pub fn set_console(&self, text: Option<&str>) {
        self.state().console = text.map(str::to_owned);
    }

    /// Gives all instances another public address, as a stop and a start would.
    pub fn set_public_ip(&self, address: std::net::Ipv4Addr) {
        self.state().instances.iter_mut().for_each(|one| one.instance.public_ip = Some(address));
    }

    /// Makes the call with this number (from 1, counted from now) never return; `after` it took effect.
    pub fn cut_at(&self, number: usize, after: bool) {
        self.add_fault(Some(number), None, after, Misfortune::Cut);
    }

    /// Resolves when a cut happened.
    pub async fn was_cut(&self) {
        self.cut.notified().await;
    }

    /// Makes the call with this number (from 1, counted from now) fail once; `after` it took effect.
    pub fn fail_at(&self, number: usize, after: bool, error: MakeError) {
        self.add_fault(Some(number), None, after, Misfortune::Fail(error));
    }

    /// Makes the next call of this action (`ec2:RunInstances`) fail.
    pub fn fail_action(&self, action: &'static str, after: bool, error: MakeError) {
        self.add_fault(None, Some(action), after, Misfortune::Fail(error));
    }

    fn add_fault(&self, at: Option<usize>, action: Option<&'static str>, after: bool, misfortune: Misfortune) {
        let mut state = self.state();
        let at = at.map(|number| state.calls.len() + number);
        state.faults.push(Fault { at, action, after, misfortune });
    }

    /// Makes the next answer of this action (`ec2:DescribeKeyPairs`, `ec2:DescribeSecurityGroups`) empty, as if what
    /// is there were not listed yet.
    pub fn blind_once(&self, action: &'static str) {
        self.state().blind.push(action);
    }

    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// The actions that were called, in order.
    pub fn calls(&self) -> Vec<&'static str> {
        self.state().calls.clone()
    }

    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    /// Everything that is alive and carries devdb's tags: kind and id, sorted.
    pub fn alive(&self) -> Vec<String> {
        let state = self.state();
        let tagged = |tags: &Tags| tags.keys().any(|key| key.starts_with("devdb:"));
        let instances = state.instances.iter().filter(|one| one.instance.state.is_live() && tagged(&one.instance.tags));
        let mut found: Vec<String> = instances.map(|one| format!("instance {}", one.instance.id)).collect();
        found.extend(state.groups.iter().filter(|one| tagged(&one.tags)).map(|one| format!("group {}", one.id)));
        found.extend(state.rules.iter().filter(|one| tagged(&one.tags)).map(|one| {
            let source = match &one.source {
                RuleSource::Cidr(cidr) => cidr.clone(),
                RuleSource::Group(id) => id.clone(),
                RuleSource::Other => "other".to_owned(),
            };
            format!("rule {:?} {} {source} in {}", one.direction, one.port.unwrap_or(0), one.group_id)
        }));
        found.extend(state.key_pairs.values().filter(|one| tagged(&one.tags)).map(|one| format!("key {}", one.name)));
        found.sort();
        found
    }

    pub(super) async fn call<T>(
        &self,
        action: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        // As on a network, others may come in between.
        tokio::task::yield_now().await;
        let fault = {
            let mut state = self.state();
            state.calls.push(action);
            let number = state.calls.len();
            let hit = |fault: &Fault| fault.at == Some(number) || fault.action == Some(action);
            let found = state.faults.iter().position(hit);
            found.map(|index| state.faults.remove(index))
        };
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.after) {
            return self.suffer(&fault.misfortune).await;
        }
        let outcome = effect(&mut self.state());
        match fault {
            Some(fault) => self.suffer(&fault.misfortune).await,
            None => outcome,
        }
    }

    async fn suffer<T>(&self, misfortune: &Misfortune) -> Result<T, CloudError> {
        match misfortune {
            Misfortune::Fail(error) => Err(error()),
            Misfortune::Cut => {
                self.cut.notify_one();
                std::future::pending().await
            }
        }
    }
}

impl Aws for FakeCloud {}
