use super::AwsAdapter;
use super::instances::{tag_specification, tags_from};
use crate::bastion::{Direction, Group, NewRule, Rule, RuleSource, Tags};
use crate::system::CloudError;
use aws_sdk_ec2::types::{self as ec2, Filter, IpPermission, IpRange, ResourceType, UserIdGroupPair};

impl AwsAdapter {
    pub(super) async fn describe_groups(&self, filters: Vec<Filter>) -> Result<Vec<Group>, CloudError> {
        let action = "ec2:DescribeSecurityGroups";
        let groups: Result<Vec<_>, _> = self
            .ec2
            .describe_security_groups()
            .set_filters(Some(filters))
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let groups = groups.map_err(|error| self.translate(action, error))?;
        groups
            .iter()
            .map(|group| {
                let lacks = |what| self.lacks(action, what);
                Ok(Group {
                    id: group.group_id().ok_or_else(|| lacks("a group id"))?.to_owned(),
                    name: group.group_name().ok_or_else(|| lacks("a group name"))?.to_owned(),
                    vpc_id: group.vpc_id().ok_or_else(|| lacks("a VPC id"))?.to_owned(),
                    open_egress: group.ip_permissions_egress().iter().any(is_open),
                    tags: tags_from(group.tags()),
                })
            })
            .collect()
    }

    pub(super) async fn make_group(
        &self,
        name: &str,
        vpc_id: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<String, CloudError> {
        let action = "ec2:CreateSecurityGroup";
        let answer = self
            .ec2
            .create_security_group()
            .group_name(name)
            .vpc_id(vpc_id)
            .description(description)
            .tag_specifications(tag_specification(ResourceType::SecurityGroup, tags))
            .send()
            .await
            .map_err(|error| self.translate(action, error))?;
        Ok(answer.group_id().ok_or_else(|| self.lacks(action, "the group id"))?.to_owned())
    }

    /// Every new group has one rule that lets everything leave, and in a VPC with IPv6 a second one for that.
    pub(super) async fn revoke_open_egress(&self, group_id: &str, ipv6: bool) -> Result<(), CloudError> {
        let action = "ec2:RevokeSecurityGroupEgress";
        let everything = IpPermission::builder().ip_protocol("-1");
        let version_4 = everything.clone().ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build()).build();
        let version_6 = everything.ipv6_ranges(ec2::Ipv6Range::builder().cidr_ipv6("::/0").build()).build();
        // Each on its own: EC2 refuses both when one is not there.
        let revoke = async |permission| {
            let answer =
                self.ec2.revoke_security_group_egress().group_id(group_id).ip_permissions(permission).send().await;
            match answer.map_err(|error| self.translate(action, error)) {
                // A group that EC2 does not know yet is no group without the rule.
                Err(error) if !error.is_code("InvalidPermission.NotFound") => Err(error),
                _ => Ok(()),
            }
        };
        if ipv6 { tokio::try_join!(revoke(version_4), revoke(version_6)).map(drop) } else { revoke(version_4).await }
    }

    pub(super) async fn remove_group(&self, group_id: &str) -> Result<(), CloudError> {
        let answer = self.ec2.delete_security_group().group_id(group_id).send().await;
        gone_is_fine(answer.map(|_| ()).map_err(|error| self.translate("ec2:DeleteSecurityGroup", error)))
    }

    pub(super) async fn describe_rules(&self, filters: Vec<Filter>) -> Result<Vec<Rule>, CloudError> {
        let action = "ec2:DescribeSecurityGroupRules";
        let rules: Result<Vec<_>, _> = self
            .ec2
            .describe_security_group_rules()
            .set_filters(Some(filters))
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let rules = rules.map_err(|error| self.translate(action, error))?;
        rules.iter().map(|rule| self.rule_from(action, rule)).collect()
    }

    fn rule_from(&self, action: &str, rule: &ec2::SecurityGroupRule) -> Result<Rule, CloudError> {
        let group = rule.referenced_group_info().and_then(|group| group.group_id());
        // Somebody else's rule for UDP is no way to the database.
        let is_one_tcp_port = rule.ip_protocol() == Some("tcp") && rule.from_port() == rule.to_port();
        let one_port = is_one_tcp_port.then(|| rule.from_port()).flatten();
        Ok(Rule {
            id: rule.security_group_rule_id().ok_or_else(|| self.lacks(action, "a rule id"))?.to_owned(),
            group_id: rule.group_id().ok_or_else(|| self.lacks(action, "a group id"))?.to_owned(),
            direction: if rule.is_egress() == Some(true) { Direction::Egress } else { Direction::Ingress },
            port: one_port.and_then(|port| u16::try_from(port).ok()),
            source: match (rule.cidr_ipv4(), group) {
                (Some(cidr), _) => RuleSource::Cidr(cidr.to_owned()),
                (None, Some(group)) => RuleSource::Group(group.to_owned()),
                (None, None) => RuleSource::Other,
            },
            tags: tags_from(rule.tags()),
        })
    }

    pub(super) async fn authorize_rule(&self, rule: &NewRule) -> Result<Vec<String>, CloudError> {
        let permission = permission(rule);
        let tags = tag_specification(ResourceType::SecurityGroupRule, &rule.tags);
        let made = match rule.direction {
            Direction::Ingress => self
                .ec2
                .authorize_security_group_ingress()
                .group_id(&rule.group_id)
                .ip_permissions(permission)
                .tag_specifications(tags)
                .send()
                .await
                .map(|answer| answer.security_group_rules().to_vec())
                .map_err(|error| self.translate("ec2:AuthorizeSecurityGroupIngress", error)),
            Direction::Egress => self
                .ec2
                .authorize_security_group_egress()
                .group_id(&rule.group_id)
                .ip_permissions(permission)
                .tag_specifications(tags)
                .send()
                .await
                .map(|answer| answer.security_group_rules().to_vec())
                .map_err(|error| self.translate("ec2:AuthorizeSecurityGroupEgress", error)),
        };
        match made {
            Ok(rules) => Ok(rules.iter().filter_map(|rule| rule.security_group_rule_id()).map(str::to_owned).collect()),
            // EC2 makes none of them if one is there already.
            Err(error) if error.is_code("InvalidPermission.Duplicate") && rule.sources.len() > 1 => {
                let mut made = Vec::new();
                for source in &rule.sources {
                    let one = NewRule { sources: vec![source.clone()], ..rule.clone() };
                    made.extend(Box::pin(self.authorize_rule(&one)).await?);
                }
                Ok(made)
            }
            Err(error) if error.is_code("InvalidPermission.Duplicate") => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn revoke_rule(&self, rule: &Rule) -> Result<(), CloudError> {
        let outcome = match rule.direction {
            Direction::Ingress => self
                .ec2
                .revoke_security_group_ingress()
                .group_id(&rule.group_id)
                .security_group_rule_ids(&rule.id)
                .send()
                .await
                .map(|_| ())
                .map_err(|error| self.translate("ec2:RevokeSecurityGroupIngress", error)),
            Direction::Egress => self
                .ec2
                .revoke_security_group_egress()
                .group_id(&rule.group_id)
                .security_group_rule_ids(&rule.id)
                .send()
                .await
                .map(|_| ())
                .map_err(|error| self.translate("ec2:RevokeSecurityGroupEgress", error)),
        };
        gone_is_fine(outcome)
    }
}

fn permission(rule: &NewRule) -> IpPermission {
    let mut permission =
        IpPermission::builder().ip_protocol("tcp").from_port(i32::from(rule.port)).to_port(i32::from(rule.port));
    for source in &rule.sources {
        permission = match source {
            RuleSource::Cidr(cidr) => {
                permission.ip_ranges(IpRange::builder().cidr_ip(cidr).description(&rule.description).build())
            }
            RuleSource::Group(id) => permission
                .user_id_group_pairs(UserIdGroupPair::builder().group_id(id).description(&rule.description).build()),
            RuleSource::Other => permission,
        };
    }
    permission.build()
}

fn is_open(permission: &IpPermission) -> bool {
    permission.ip_ranges().iter().any(|range| range.cidr_ip() == Some("0.0.0.0/0"))
        || permission.ipv6_ranges().iter().any(|range| range.cidr_ipv6() == Some("::/0"))
}

/// Deleting what is gone already is a success.
fn gone_is_fine(outcome: Result<(), CloudError>) -> Result<(), CloudError> {
    const GONE: [&str; 3] =
        ["InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound"];
    match outcome {
        Err(error) if GONE.iter().any(|code| error.is_code(code)) => Ok(()),
        other => other,
    }
}
