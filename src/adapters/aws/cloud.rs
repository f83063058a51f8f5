use super::AwsAdapter;
use super::instances::{filter, scope_filters};
use crate::bastion::{
    Caller, Cloud, Group, Instance, KeyPair, Launch, NewRule, Offer, PROJECT, Rule, Scope, Stock, Tags,
};
use crate::system::CloudError;
use async_trait::async_trait;
use aws_sdk_ec2::types::Tag;

/// A filter's wildcards are read in more than one way by what speaks EC2's language.
fn is_named(found: &str, name: &str) -> bool {
    found.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[async_trait]
impl Cloud for AwsAdapter {
    async fn caller(&self) -> Result<Caller, CloudError> {
        let action = "sts:GetCallerIdentity";
        let answer = self.sts.get_caller_identity().send().await.map_err(|error| self.translate(action, error))?;
        Ok(Caller {
            user_id: answer.user_id().ok_or_else(|| self.lacks(action, "the user id"))?.to_owned(),
            account: answer.account().ok_or_else(|| self.lacks(action, "the account"))?.to_owned(),
            arn: answer.arn().ok_or_else(|| self.lacks(action, "the ARN"))?.to_owned(),
        })
    }

    async fn stock(&self, project: &str) -> Result<Stock, CloudError> {
        let filters = || vec![filter(&format!("tag:{PROJECT}"), [project])];
        let (instances, groups, rules, key_pairs) = tokio::try_join!(
            self.describe_instances(filters()),
            self.describe_groups(filters()),
            self.describe_rules(filters()),
            self.describe_key_pairs(filters()),
        )?;
        Ok(Stock { instances, groups, rules, key_pairs })
    }

    async fn instances(&self, scope: &Scope) -> Result<Vec<Instance>, CloudError> {
        self.describe_instances(scope_filters(scope)).await
    }

    async fn instance(&self, id: &str) -> Result<Option<Instance>, CloudError> {
        // By filter: an instance that EC2 does not know yet would be an error.
        Ok(self.describe_instances(vec![filter("instance-id", [id])]).await?.into_iter().next())
    }

    async fn offers(&self, types: &[String], zones: &[String]) -> Result<Vec<Offer>, CloudError> {
        self.type_offers(types, zones).await
    }

    async fn launch(&self, launch: &Launch) -> Result<Instance, CloudError> {
        self.run_instance(launch).await
    }

    async fn start(&self, instance_id: &str) -> Result<(), CloudError> {
        let answer = self.ec2.start_instances().instance_ids(instance_id).send().await;
        answer.map(|_| ()).map_err(|error| self.translate("ec2:StartInstances", error))
    }

    async fn console(&self, instance_id: &str) -> Result<Option<String>, CloudError> {
        self.console_output(instance_id).await
    }

    async fn terminate(&self, instance_id: &str) -> Result<(), CloudError> {
        let answer = self.ec2.terminate_instances().instance_ids(instance_id).send().await;
        match answer.map_err(|error| self.translate("ec2:TerminateInstances", error)) {
            Err(error) if error.is_code("InvalidInstanceID.NotFound") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn tag_instance(&self, instance_id: &str, key: &str, value: &str) -> Result<(), CloudError> {
        let tag = Tag::builder().key(key).value(value).build();
        let answer = self.ec2.create_tags().resources(instance_id).tags(tag).send().await;
        answer.map(|_| ()).map_err(|error| self.translate("ec2:CreateTags", error))
    }

    async fn groups(&self, name: &str) -> Result<Vec<Group>, CloudError> {
        let mut found = self.describe_groups(vec![filter("group-name", [name, &format!("{name}.*")])]).await?;
        found.retain(|group| is_named(&group.name, name));
        Ok(found)
    }

    async fn create_group(
        &self,
        name: &str,
        vpc_id: &str,
        description: &str,
        tags: &Tags,
    ) -> Result<String, CloudError> {
        self.make_group(name, vpc_id, description, tags).await
    }

    async fn close_egress(&self, group_id: &str, ipv6: bool) -> Result<(), CloudError> {
        self.revoke_open_egress(group_id, ipv6).await
    }

    async fn delete_group(&self, group_id: &str) -> Result<(), CloudError> {
        self.remove_group(group_id).await
    }

    async fn rules(&self, scope: &Scope) -> Result<Vec<Rule>, CloudError> {
        self.describe_rules(scope_filters(scope)).await
    }

    async fn rules_of(&self, group_id: &str) -> Result<Vec<Rule>, CloudError> {
        self.describe_rules(vec![filter("group-id", [group_id])]).await
    }

    async fn authorize(&self, rule: &NewRule) -> Result<Vec<String>, CloudError> {
        self.authorize_rule(rule).await
    }

    async fn revoke(&self, rule: &Rule) -> Result<(), CloudError> {
        self.revoke_rule(rule).await
    }

    async fn key_pairs(&self, name: &str) -> Result<Vec<KeyPair>, CloudError> {
        // By filter: asking for a name that does not exist would be an error.
        let mut found = self.describe_key_pairs(vec![filter("key-name", [name, &format!("{name}.*")])]).await?;
        found.retain(|pair| is_named(&pair.name, name));
        Ok(found)
    }

    async fn import_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<String, CloudError> {
        self.make_key_pair(name, public_key, tags).await
    }

    async fn delete_key_pair(&self, id: &str) -> Result<(), CloudError> {
        self.remove_key_pair(id).await
    }
}
