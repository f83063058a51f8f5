use super::AwsAdapter;
use super::instances::{tag_specification, tags_from};
use crate::bastion::{KeyPair, Tags};
use crate::system::CloudError;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{Filter, ResourceType};

impl AwsAdapter {
    pub(super) async fn describe_key_pairs(&self, filters: Vec<Filter>) -> Result<Vec<KeyPair>, CloudError> {
        let action = "ec2:DescribeKeyPairs";
        let answer = self.ec2.describe_key_pairs().set_filters(Some(filters)).include_public_key(true).send().await;
        let answer = answer.map_err(|error| self.translate(action, error))?;
        answer
            .key_pairs()
            .iter()
            .map(|pair| {
                Ok(KeyPair {
                    id: pair.key_pair_id().ok_or_else(|| self.lacks(action, "a key pair id"))?.to_owned(),
                    name: pair.key_name().ok_or_else(|| self.lacks(action, "a key pair's name"))?.to_owned(),
                    public_key: pair.public_key().map(|key| key.trim().to_owned()),
                    created_at: pair.create_time().and_then(|time| jiff::Timestamp::from_second(time.secs()).ok()),
                    tags: tags_from(pair.tags()),
                })
            })
            .collect()
    }

    pub(super) async fn make_key_pair(&self, name: &str, public_key: &str, tags: &Tags) -> Result<String, CloudError> {
        let action = "ec2:ImportKeyPair";
        let answer = self
            .ec2
            .import_key_pair()
            .key_name(name)
            .public_key_material(Blob::new(public_key))
            .tag_specifications(tag_specification(ResourceType::KeyPair, tags))
            .send()
            .await
            .map_err(|error| self.translate(action, error))?;
        answer.key_pair_id().map(str::to_owned).ok_or_else(|| self.lacks(action, "a key pair id"))
    }

    /// By its id: another one may have the name meanwhile.
    pub(super) async fn remove_key_pair(&self, id: &str) -> Result<(), CloudError> {
        let answer = self.ec2.delete_key_pair().key_pair_id(id).send().await;
        match answer.map_err(|error| self.translate("ec2:DeleteKeyPair", error)) {
            Err(error) if !error.is_code("InvalidKeyPair.NotFound") => Err(error),
            _ => Ok(()),
        }
    }
}
