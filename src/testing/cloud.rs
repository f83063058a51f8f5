use super::cloud_state::{FakeInstance, Fault, MakeError, Misfortune, State, refused};
use crate::bastion::{
    Cloud, Direction, Group, Instance, InstanceState, KeyPair, Launch, NewRule, Offer, Rule, RuleSource, Scope, Tags,
};
use crate::connection::SecretStore;
use crate::discovery::{ClusterFacts, InstanceFacts, Inventory, RouteTableFacts, StackResource, SubnetFacts};
use crate::host::Aws;
use crate::system::CloudError;
use async_trait::async_trait;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// AWS in memory: a stack `AppDbStack` in eu-west-1, an EC2 whose states move with every look, scripted misfortune.
#[derive(Default)]
pub struct FakeCloud {
    state: Mutex<State>,
    cut: Notify,
}

impl FakeCloud {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the credentials belong to (a `UserId`).
    pub fn log_in(&self, user_id: &str) {
        self.state().user_id = user_id.to_owned();
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

    pub fn add_key_pair(&self, pair: KeyPair) {
        self.state().key_pairs.insert(pair.name.clone(), pair);
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

    /// Puts all instances into a state, as AWS's own console would.
    pub fn set_state(&self, state: InstanceState) {
        self.state().instances.iter_mut().for_each(|one| one.instance.state = state);
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

    async fn call<T>(
        &self,
        action: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
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

fn carries(tags: &Tags, scope: &Scope) -> bool {
    scope.filters().iter().all(|(key, value)| tags.get(*key).is_some_and(|found| found == value))
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn caller(&self) -> Result<String, CloudError> {
        self.call("sts:GetCallerIdentity", |state| Ok(state.user_id.clone())).await
    }

    async fn instances(&self, scope: &Scope) -> Result<Vec<Instance>, CloudError> {
        self.call("ec2:DescribeInstances", |state| {
            state.look();
            let found = state.instances.iter().map(|one| one.instance.clone());
            Ok(found.filter(|instance| carries(&instance.tags, scope)).collect())
        })
        .await
    }

    async fn instance(&self, id: &str) -> Result<Option<Instance>, CloudError> {
        self.call("ec2:DescribeInstances", |state| {
            state.look();
            Ok(state.instances.iter().find(|one| one.instance.id == id).map(|one| one.instance.clone()))
        })
        .await
    }

    async fn offers(&self, types: &[String], zones: &[String]) -> Result<Vec<Offer>, CloudError> {
        self.call("ec2:DescribeInstanceTypeOfferings", |state| {
            let wanted = state.offers.iter().filter(|(zone, kind)| zones.contains(zone) && types.contains(kind));
            Ok(wanted.map(|(zone, kind)| Offer { zone: zone.clone(), instance_type: kind.clone() }).collect())
        })
        .await
    }

    async fn launch(&self, launch: &Launch) -> Result<Instance, CloudError> {
        self.call("ec2:RunInstances", |state| {
            let known = state.instances.iter().find(|one| {
                one.instance.client_token.as_ref() == Some(&launch.client_token)
            });
            match known {
                Some(one) if !one.instance.state.is_live() => {
                    return Err(refused("ec2:RunInstances", "IdempotentInstanceTerminated"));
                }
                Some(one) if one.instance.instance_type != launch.instance_type => {
                    return Err(refused("ec2:RunInstances", "IdempotentParameterMismatch"));
                }
                Some(one) => return Ok(one.instance.clone()),
                None => {}
            }
            if !state.key_pairs.contains_key(&launch.key_name) {
                return Err(refused("ec2:RunInstances", "InvalidKeyPair.NotFound"));
            }
            if !state.groups.iter().any(|group| group.id == launch.group_id) {
                return Err(refused("ec2:RunInstances", "InvalidGroup.NotFound"));
            }
            let host = u8::try_from(state.instances.len() + 10).unwrap_or(255);
            let instance = Instance {
                id: state.id("i"),
                state: InstanceState::Pending,
                instance_type: launch.instance_type.clone(),
                subnet_id: Some(launch.subnet_id.clone()),
                public_ip: None,
                public_dns: None,
                private_ip: Some(Ipv4Addr::new(10, 0, 1, host)),
                client_token: Some(launch.client_token.clone()),
                tags: launch.tags.clone(),
            };
            let looks = state.looks;
            state.instances.push(FakeInstance {
                instance: instance.clone(),
                group_id: launch.group_id.clone(),
                looks,
            });
            Ok(instance)
        })
        .await
    }

    async fn start(&self, instance_id: &str) -> Result<(), CloudError> {
        self.call("ec2:StartInstances", |state| {
            let looks = state.looks;
            for one in state.instances.iter_mut().filter(|one| one.instance.id == instance_id) {
                match one.instance.state {
                    InstanceState::Stopped => {
                        one.instance.state = InstanceState::Pending;
                        one.looks = looks;
                    }
                    InstanceState::Pending | InstanceState::Running => {}
                    _ => return Err(refused("ec2:StartInstances", "IncorrectInstanceState")),
                }
            }
            Ok(())
        })
        .await
    }

    async fn terminate(&self, instance_id: &str) -> Result<(), CloudError> {
        self.call("ec2:TerminateInstances", |state| {
            let looks = state.looks;
            for one in state.instances.iter_mut().filter(|one| one.instance.id == instance_id) {
                if one.instance.state.is_live() {
                    one.instance.state = InstanceState::ShuttingDown;
                    one.looks = looks;
                }
            }
            Ok(())
        })
        .await
    }

    async fn groups(&self, name: &str) -> Result<Vec<Group>, CloudError> {
        self.call("ec2:DescribeSecurityGroups", |state| {
            Ok(state.groups.iter().filter(|group| group.name == name).cloned().collect())
        })
        .await
    }

    async fn create_group(
        &self,
        name: &str,
        vpc_id: &str,
        _description: &str,
        tags: &Tags,
    ) -> Result<String, CloudError> {
        self.call("ec2:CreateSecurityGroup", |state| {
            if state.groups.iter().any(|group| group.name == name && group.vpc_id == vpc_id) {
                return Err(refused("ec2:CreateSecurityGroup", "InvalidGroup.Duplicate"));
            }
            let id = state.id("sg");
            state.groups.push(Group {
                id: id.clone(),
                name: name.to_owned(),
                vpc_id: vpc_id.to_owned(),
                open_egress: true,
                tags: tags.clone(),
            });
            Ok(id)
        })
        .await
    }

    async fn close_egress(&self, group_id: &str) -> Result<(), CloudError> {
        self.call("ec2:RevokeSecurityGroupEgress", |state| {
            state.groups.iter_mut().filter(|group| group.id == group_id).for_each(|group| group.open_egress = false);
            Ok(())
        })
        .await
    }

    async fn delete_group(&self, group_id: &str) -> Result<(), CloudError> {
        self.call("ec2:DeleteSecurityGroup", |state| {
            let carried = |one: &FakeInstance| {
                one.group_id == group_id && one.instance.state != InstanceState::Terminated
            };
            let source = RuleSource::Group(group_id.to_owned());
            if state.instances.iter().any(carried) || state.rules.iter().any(|rule| rule.source == source) {
                return Err(refused("ec2:DeleteSecurityGroup", "DependencyViolation"));
            }
            state.groups.retain(|group| group.id != group_id);
            state.rules.retain(|rule| rule.group_id != group_id);
            Ok(())
        })
        .await
    }

    async fn rules(&self, scope: &Scope) -> Result<Vec<Rule>, CloudError> {
        self.call("ec2:DescribeSecurityGroupRules", |state| {
            Ok(state.rules.iter().filter(|rule| carries(&rule.tags, scope)).cloned().collect())
        })
        .await
    }

    async fn authorize(&self, rule: &NewRule) -> Result<Vec<String>, CloudError> {
        let action = match rule.direction {
            Direction::Ingress => "ec2:AuthorizeSecurityGroupIngress",
            Direction::Egress => "ec2:AuthorizeSecurityGroupEgress",
        };
        self.call(action, |state| {
            let equal = |known: &Rule, source: &RuleSource| {
                known.group_id == rule.group_id
                    && known.direction == rule.direction
                    && known.port == Some(rule.port)
                    && known.source == *source
            };
            if rule.sources.iter().any(|source| state.rules.iter().any(|known| equal(known, source))) {
                return Ok(Vec::new());
            }
            let mut made = Vec::new();
            for source in &rule.sources {
                let id = state.id("sgr");
                made.push(id.clone());
                state.rules.push(Rule {
                    id,
                    group_id: rule.group_id.clone(),
                    direction: rule.direction,
                    port: Some(rule.port),
                    source: source.clone(),
                    tags: rule.tags.clone(),
                });
            }
            Ok(made)
        })
        .await
    }

    async fn revoke(&self, rule: &Rule) -> Result<(), CloudError> {
        let action = match rule.direction {
            Direction::Ingress => "ec2:RevokeSecurityGroupIngress",
            Direction::Egress => "ec2:RevokeSecurityGroupEgress",
        };
        self.call(action, |state| {
            state.rules.retain(|known| known.id != rule.id);
            Ok(())
        })
        .await
    }

    async fn key_pair(&self, name: &str) -> Result<Option<KeyPair>, CloudError> {
        self.call("ec2:DescribeKeyPairs", |state| Ok(state.key_pairs.get(name).cloned())).await
    }

    async fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<(), CloudError> {
        self.call("ec2:ImportKeyPair", |state| {
            if state.key_pairs.contains_key(name) {
                return Err(refused("ec2:ImportKeyPair", "InvalidKeyPair.Duplicate"));
            }
            let pair = KeyPair {
                id: state.id("key"),
                name: name.to_owned(),
                public_key: Some(public_key.to_owned()),
                tags: tags.clone(),
            };
            state.key_pairs.insert(name.to_owned(), pair);
            Ok(())
        })
        .await
    }

    async fn delete_key_pair(&self, name: &str) -> Result<(), CloudError> {
        self.call("ec2:DeleteKeyPair", |state| {
            state.key_pairs.remove(name);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Inventory for FakeCloud {
    fn region(&self) -> Option<String> {
        Some("eu-west-1".to_owned())
    }

    async fn stack_resources(&self, stack: &str) -> Result<Vec<StackResource>, CloudError> {
        self.call("cloudformation:ListStackResources", |state| {
            let missing = || CloudError::NotFound { what: format!("stack `{stack}`"), source: None };
            state.stacks.get(stack).cloned().ok_or_else(missing)
        })
        .await
    }

    async fn cluster(&self, id: &str) -> Result<ClusterFacts, CloudError> {
        self.call("rds:DescribeDBClusters", |state| {
            let missing = || CloudError::NotFound { what: format!("cluster `{id}`"), source: None };
            state.clusters.get(id).map(|(facts, _)| facts.clone()).ok_or_else(missing)
        })
        .await
    }

    async fn cluster_instances(&self, cluster_id: &str) -> Result<Vec<InstanceFacts>, CloudError> {
        self.call("rds:DescribeDBInstances", |state| {
            Ok(state.clusters.get(cluster_id).map(|(_, instances)| instances.clone()).unwrap_or_default())
        })
        .await
    }

    async fn subnets(&self, vpc_id: &str) -> Result<Vec<SubnetFacts>, CloudError> {
        self.call("ec2:DescribeSubnets", |state| Ok(state.subnets.get(vpc_id).cloned().unwrap_or_default())).await
    }

    async fn route_tables(&self, vpc_id: &str) -> Result<Vec<RouteTableFacts>, CloudError> {
        self.call("ec2:DescribeRouteTables", |state| {
            Ok(state.route_tables.get(vpc_id).cloned().unwrap_or_default())
        })
        .await
    }
}

#[async_trait]
impl SecretStore for FakeCloud {
    async fn secret(&self, id: &str) -> Result<Zeroizing<String>, CloudError> {
        self.call("secretsmanager:GetSecretValue", |state| {
            let missing = || CloudError::NotFound { what: format!("secret `{id}`"), source: None };
            state.secrets.get(id).cloned().map(Zeroizing::new).ok_or_else(missing)
        })
        .await
    }
}
