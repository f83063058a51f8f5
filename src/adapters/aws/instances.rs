use super::AwsAdapter;
use crate::bastion::{Instance, InstanceState, Launch, Offer, Scope, Tags};
use crate::system::CloudError;
use aws_sdk_ec2::types::{
    self as ec2, BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceStateName, InstanceType, LocationType, ResourceType,
    ShutdownBehavior, TagSpecification, VolumeType,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

const DESCRIBE: &str = "ec2:DescribeInstances";
const RUN: &str = "ec2:RunInstances";

impl AwsAdapter {
    pub(super) async fn describe_instances(&self, filters: Vec<Filter>) -> Result<Vec<Instance>, CloudError> {
        let reservations: Result<Vec<_>, _> =
            self.ec2.describe_instances().set_filters(Some(filters)).into_paginator().items().send().collect().await;
        let reservations = reservations.map_err(|error| self.translate(DESCRIBE, error))?;
        let found = reservations.iter().flat_map(|reservation| reservation.instances());
        found.map(|instance| self.instance_from(DESCRIBE, instance)).collect()
    }

    pub(super) async fn run_instance(&self, launch: &Launch) -> Result<Instance, CloudError> {
        let interface = InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&launch.subnet_id)
            .groups(&launch.group_id)
            .associate_public_ip_address(true)
            .delete_on_termination(true)
            .build();
        let (device, gibibytes) = self.root_device(&launch.image).await?;
        let volume = EbsBlockDevice::builder()
            .volume_type(VolumeType::Gp3)
            .volume_size(gibibytes)
            .encrypted(true)
            .set_kms_key_id(launch.kms_key.clone())
            .delete_on_termination(true)
            .build();
        let user_data = BASE64.encode(launch.user_data.as_bytes());
        let answer = self
            .ec2
            .run_instances()
            .client_token(&launch.client_token)
            .image_id(&launch.image)
            .instance_type(InstanceType::from(launch.instance_type.as_str()))
            .min_count(1)
            .max_count(1)
            .key_name(&launch.key_name)
            .network_interfaces(interface)
            .block_device_mappings(BlockDeviceMapping::builder().device_name(device).ebs(volume).build())
            .metadata_options(
                InstanceMetadataOptionsRequest::builder()
                    .http_tokens(HttpTokensState::Required)
                    .http_put_response_hop_limit(1)
                    .build(),
            )
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
            .user_data(user_data)
            .tag_specifications(tag_specification(ResourceType::Instance, &launch.tags))
            .tag_specifications(tag_specification(ResourceType::Volume, &launch.tags))
            .tag_specifications(tag_specification(ResourceType::NetworkInterface, &launch.tags))
            .send()
            .await
            .map_err(|error| self.translate(RUN, error))?;
        let instance = answer.instances().first().ok_or_else(|| self.lacks(RUN, "the instance"))?;
        self.instance_from(RUN, instance)
    }

    /// Only instances on Nitro tell what is on the console now; the others refuse to be asked for it (EC2 API reference,
    /// "GetConsoleOutput", `Latest`).
    pub(super) async fn console_output(&self, instance_id: &str) -> Result<Option<String>, CloudError> {
        let ask = async |latest: bool| {
            let request = self.ec2.get_console_output().instance_id(instance_id);
            let answer = request.set_latest(latest.then_some(true)).send().await;
            answer.map_err(|error| self.translate("ec2:GetConsoleOutput", error))
        };
        let answer = match ask(true).await {
            Ok(answer) if answer.output().is_some_and(|text| !text.is_empty()) => Ok(answer),
            Err(error) if !matches!(error, CloudError::Refused { .. }) => Err(error),
            _ => ask(false).await,
        };
        match answer {
            Err(error) if error.is_code("InvalidInstanceID.NotFound") => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => {
                let bytes = answer.output().and_then(|text| BASE64.decode(text.trim()).ok()).unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty()))
            }
        }
    }

    /// The image's root device and the GiB that it needs. Under another name a second volume would be made, and the
    /// root would stay as the image has it: perhaps not encrypted.
    async fn root_device(&self, image: &str) -> Result<(String, i32), CloudError> {
        let action = "ec2:DescribeImages";
        let (usual, smallest) = ("/dev/xvda".to_owned(), 8);
        // A parameter is resolved by the launch itself; Amazon Linux's images have these.
        if !image.starts_with("ami-") {
            return Ok((usual, smallest));
        }
        let answer = self.ec2.describe_images().image_ids(image).send().await;
        let answer = answer.map_err(|error| self.translate(action, error))?;
        let image = answer.images().first().ok_or_else(|| self.lacks(action, "the image"))?;
        let device = image.root_device_name().map_or(usual, str::to_owned);
        let mapping = image.block_device_mappings().iter().find(|one| one.device_name() == Some(device.as_str()));
        let needed = mapping.and_then(|mapping| mapping.ebs()?.volume_size()).unwrap_or(smallest);
        Ok((device, needed.max(smallest)))
    }

    pub(super) async fn type_offers(&self, types: &[String], zones: &[String]) -> Result<Vec<Offer>, CloudError> {
        let action = "ec2:DescribeInstanceTypeOfferings";
        let offers: Result<Vec<_>, _> = self
            .ec2
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("instance-type", types.iter().map(String::as_str)))
            .filters(filter("location", zones.iter().map(String::as_str)))
            .into_paginator()
            .items()
            .send()
            .collect()
            .await;
        let offers = offers.map_err(|error| self.translate(action, error))?;
        offers
            .iter()
            .map(|offer| {
                Ok(Offer {
                    zone: offer.location().ok_or_else(|| self.lacks(action, "a location"))?.to_owned(),
                    instance_type: offer
                        .instance_type()
                        .ok_or_else(|| self.lacks(action, "an instance type"))?
                        .as_str()
                        .to_owned(),
                })
            })
            .collect()
    }

    fn instance_from(&self, action: &str, instance: &ec2::Instance) -> Result<Instance, CloudError> {
        let state = instance.state().and_then(|state| state.name()).ok_or_else(|| self.lacks(action, "a state"))?;
        // EC2 leaves addresses empty instead of out while there is none.
        let address = |text: Option<&str>| text.and_then(|text| text.parse().ok());
        let groups = instance.security_groups().iter();
        Ok(Instance {
            id: instance.instance_id().ok_or_else(|| self.lacks(action, "an instance id"))?.to_owned(),
            state: match state {
                InstanceStateName::Pending => InstanceState::Pending,
                InstanceStateName::Running => InstanceState::Running,
                InstanceStateName::Stopping => InstanceState::Stopping,
                InstanceStateName::Stopped => InstanceState::Stopped,
                InstanceStateName::ShuttingDown => InstanceState::ShuttingDown,
                InstanceStateName::Terminated => InstanceState::Terminated,
                _ => return Err(self.lacks(action, "a known state")),
            },
            instance_type: instance
                .instance_type()
                .ok_or_else(|| self.lacks(action, "an instance type"))?
                .as_str()
                .to_owned(),
            subnet_id: instance.subnet_id().map(str::to_owned),
            public_ip: address(instance.public_ip_address()),
            public_dns: instance.public_dns_name().filter(|name| !name.is_empty()).map(str::to_owned),
            private_ip: address(instance.private_ip_address()),
            launched_at: instance.launch_time().and_then(|time| jiff::Timestamp::from_second(time.secs()).ok()),
            state_reason: instance
                .state_reason()
                .and_then(|reason| reason.message())
                .filter(|message| !message.is_empty())
                .map(str::to_owned),
            client_token: instance.client_token().filter(|token| !token.is_empty()).map(str::to_owned),
            group_ids: groups.filter_map(|group| group.group_id().map(str::to_owned)).collect(),
            tags: tags_from(instance.tags()),
        })
    }
}

pub(super) fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(str::to_owned).collect())).build()
}

pub(super) fn scope_filters(scope: &Scope) -> Vec<Filter> {
    scope.filters().iter().map(|(key, value)| filter(&format!("tag:{key}"), [*value])).collect()
}

pub(super) fn tags_from(tags: &[ec2::Tag]) -> Tags {
    tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))).collect()
}

pub(super) fn tag_specification(resource: ResourceType, tags: &Tags) -> TagSpecification {
    let tags = tags.iter().map(|(key, value)| ec2::Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(resource).set_tags(Some(tags)).build()
}
