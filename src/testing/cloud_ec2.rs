use super::FakeCloud;
use super::cloud_state::{FakeInstance, refused};
use crate::bastion::{
    Caller, Cloud, Direction, Group, Instance, InstanceState, KeyPair, Launch, NewRule, Offer, PROJECT, Rule,
    RuleSource, Scope, Stock, Tags,
};
use crate::system::CloudError;
use async_trait::async_trait;
use std::net::Ipv4Addr;

fn carries(tags: &Tags, scope: &Scope) -> bool {
    scope.filters().iter().all(|(key, value)| tags.get(*key).is_some_and(|found| found == value))
}

fn is_named(found: &str, name: &str) -> bool {
    found.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[async_trait]
impl Cloud for FakeCloud {
    async fn caller(&self) -> Result<Caller, CloudError> {
        self.call("sts:GetCallerIdentity", |state| {
            Ok(Caller {
                user_id: state.user_id.clone(),
                account: state.account.clone(),
                arn: "arn:aws:iam::123456789012:user/ada".to_owned(),
            })
        })
        .await
    }

    async fn stock(&self, project: &str) -> Result<Stock, CloudError> {
        let is_of = |tags: &Tags| tags.get(PROJECT).is_some_and(|found| found == project);
        Ok(Stock {
            instances: self
                .call("ec2:DescribeInstances", |state| {
                    state.look();
                    let found = state.instances.iter().map(|one| one.instance.clone());
                    Ok(found.filter(|instance| is_of(&instance.tags)).collect())
                })
                .await?,
            groups: self
                .call("ec2:DescribeSecurityGroups", |state| {
                    Ok(state.groups.iter().filter(|group| is_of(&group.tags)).cloned().collect())
                })
                .await?,
            rules: self
                .call("ec2:DescribeSecurityGroupRules", |state| {
                    Ok(state.rules.iter().filter(|rule| is_of(&rule.tags)).cloned().collect())
                })
                .await?,
            key_pairs: self
                .call("ec2:DescribeKeyPairs", |state| {
                    Ok(state.key_pairs.values().filter(|pair| is_of(&pair.tags)).cloned().collect())
                })
                .await?,
        })
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
            let known =
                state.instances.iter().find(|one| one.instance.client_token.as_ref() == Some(&launch.client_token));
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
                // When the fixed clock starts.
                state_reason: None,
                launched_at: jiff::Timestamp::from_second(1_767_323_045).ok(),
                client_token: Some(launch.client_token.clone()),
                group_ids: vec![launch.group_id.clone()],
                tags: launch.tags.clone(),
            };
            let looks = state.looks;
            state.instances.push(FakeInstance { instance, looks });
            let number = state.instances.len() - 1;
            // Nobody has to wait for what takes no time.
            if looks == 0 {
                state.move_on(number);
            }
            Ok(state.instances[number].instance.clone())
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

    async fn console(&self, instance_id: &str) -> Result<Option<String>, CloudError> {
        self.call("ec2:GetConsoleOutput", |state| {
            let known = state.instances.iter().find(|one| one.instance.id == instance_id);
            let has_booted = known.is_some_and(|one| one.instance.state == InstanceState::Running);
            Ok(state.console.clone().filter(|_| has_booted))
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

    async fn tag_instance(&self, instance_id: &str, key: &str, value: &str) -> Result<(), CloudError> {
        self.call("ec2:CreateTags", |state| {
            let found = state.instances.iter_mut().find(|one| one.instance.id == instance_id);
            let one = found.ok_or_else(|| refused("ec2:CreateTags", "InvalidInstanceID.NotFound"))?;
            one.instance.tags.insert(key.to_owned(), value.to_owned());
            Ok(())
        })
        .await
    }

    async fn groups(&self, name: &str) -> Result<Vec<Group>, CloudError> {
        self.call("ec2:DescribeSecurityGroups", |state| {
            let blind = state.is_blind("ec2:DescribeSecurityGroups");
            Ok(state.groups.iter().filter(|group| is_named(&group.name, name) && !blind).cloned().collect())
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

    async fn close_egress(&self, group_id: &str, _ipv6: bool) -> Result<(), CloudError> {
        self.call("ec2:RevokeSecurityGroupEgress", |state| {
            state.groups.iter_mut().filter(|group| group.id == group_id).for_each(|group| group.open_egress = false);
            Ok(())
        })
        .await
    }

    async fn delete_group(&self, group_id: &str) -> Result<(), CloudError> {
        self.call("ec2:DeleteSecurityGroup", |state| {
            state.look();
            let carried = |one: &FakeInstance| {
                one.instance.group_ids.iter().any(|id| id == group_id)
                    && one.instance.state != InstanceState::Terminated
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

    async fn rules_of(&self, group_id: &str) -> Result<Vec<Rule>, CloudError> {
        self.call("ec2:DescribeSecurityGroupRules", |state| {
            Ok(state.rules.iter().filter(|rule| rule.group_id == group_id).cloned().collect())
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
            let mut made = Vec::new();
            for source in &rule.sources {
                if state.rules.iter().any(|known| equal(known, source)) {
                    continue;
                }
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

    async fn key_pairs(&self, name: &str) -> Result<Vec<KeyPair>, CloudError> {
        self.call("ec2:DescribeKeyPairs", |state| {
            let blind = state.is_blind("ec2:DescribeKeyPairs");
            let named = state.key_pairs.values().filter(|pair| is_named(&pair.name, name) && !blind);
            Ok(named.cloned().collect())
        })
        .await
    }

    async fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<String, CloudError> {
        self.call("ec2:ImportKeyPair", |state| {
            if state.key_pairs.contains_key(name) {
                return Err(refused("ec2:ImportKeyPair", "InvalidKeyPair.Duplicate"));
            }
            let pair = KeyPair {
                id: state.id("key"),
                name: name.to_owned(),
                public_key: Some(public_key.to_owned()),
                // When the fixed clock starts.
                created_at: jiff::Timestamp::from_second(1_767_323_045).ok(),
                tags: tags.clone(),
            };
            let id = pair.id.clone();
            state.key_pairs.insert(name.to_owned(), pair);
            Ok(id)
        })
        .await
    }

    async fn delete_key_pair(&self, id: &str) -> Result<(), CloudError> {
        self.call("ec2:DeleteKeyPair", |state| {
            state.key_pairs.retain(|_, pair| pair.id != id);
            Ok(())
        })
        .await
    }
}
