use super::AwsAdapter;
use super::instances::{filter, tag_specification, tags_from};
use crate::bastion::{KeyPair, Tags};
use crate::system::CloudError;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::ResourceType;

impl AwsAdapter {
    pub(super) async fn describe_key_pair(&self, name: &str) -> Result<Option<KeyPair>, CloudError> {
        let action = "ec2:DescribeKeyPairs";
        let answer = self
            .ec2
            .describe_key_pairs()
            // By filter: asking for a name that does not exist would be an error.
            .filters(filter("key-name", [name]))
            .include_public_key(true)
            .send()
            .await
            .map_err(|error| self.translate(action, error))?;
        let Some(pair) = answer.key_pairs().first() else { return Ok(None) };
        Ok(Some(KeyPair {
            id: pair.key_pair_id().ok_or_else(|| self.lacks(action, "a key pair id"))?.to_owned(),
            name: name.to_owned(),
            public_key: pair.public_key().map(|key| key.trim().to_owned()),
            tags: tags_from(pair.tags()),
        }))
    }

    pub(super) async fn make_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<(), CloudError> {
        self.ec2
            .import_key_pair()
            .key_name(name)
            .public_key_material(Blob::new(public_key))
            .tag_specifications(tag_specification(ResourceType::KeyPair, tags))
            .send()
            .await
            .map_err(|error| self.translate("ec2:ImportKeyPair", error))?;
        Ok(())
    }

    /// EC2 answers success for a name that does not exist.
    pub(super) async fn remove_key_pair(&self, name: &str) -> Result<(), CloudError> {
        let answer = self.ec2.delete_key_pair().key_name(name).send().await;
        answer.map(|_| ()).map_err(|error| self.translate("ec2:DeleteKeyPair", error))
    }
}
