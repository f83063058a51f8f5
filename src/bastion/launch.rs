use super::apply::{Apply, PAUSE, SETTLE_LIMIT, missing, settled};
use super::placement::{Placement, placements};
use super::tags::EXPIRES_AT;
use super::{BastionError, Event, Generation, Instance, Launch, UserData};
use crate::system::CloudError;
use tokio::time::Instant;

/// Refusals that another subnet or type may not meet (EC2 API reference, "Error codes").
const NO_ROOM: [&str; 3] =
    ["InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientFreeAddressesInSubnet"];
/// "Your requested instance type is not supported in your requested Availability Zone": another one may support it.
const NOT_HERE: &str = "Unsupported";

impl Apply<'_> {
    /// Launches where it was planned; where AWS has no room there, wherever else the plan might have gone. Says what
    /// was launched.
    pub(super) async fn launch(&mut self, instance_type: &str, subnet_id: &str) -> Result<String, BastionError> {
        let spec = self.spec()?;
        let planned = |place: &Placement| place.instance_type == instance_type && place.subnet.id == subnet_id;
        let mut others = placements(spec, &self.observed.offers);
        others.retain(|place| !planned(place));
        let mut tried = vec![format!("{instance_type} in {subnet_id}")];
        let mut outcome = self.launch_at(instance_type, subnet_id, 0).await;
        for (number, Placement { instance_type, subnet }) in (1..).zip(others) {
            let Err(BastionError::Cloud(CloudError::Refused { code, .. })) = &outcome else { break };
            if code != NOT_HERE && !NO_ROOM.contains(&code.as_str()) {
                break;
            }
            let next = format!("{instance_type} in {}", subnet.id);
            self.tell(Event::Warning(format!(
                "AWS launches no {} now ({code}); trying a {next} ({})",
                tried.last().map_or("bastion", String::as_str),
                subnet.zone
            )));
            tried.push(next);
            outcome = self.launch_at(&instance_type, &subnet.id, number).await;
        }
        match outcome {
            Err(BastionError::Cloud(source)) if is_about_room(&source) => {
                Err(BastionError::NoCapacity { tried, source })
            }
            other => other,
        }
    }

    async fn launch_at(&mut self, instance_type: &str, subnet_id: &str, number: usize) -> Result<String, BastionError> {
        let (spec, local) = (self.spec()?, self.workshop.local);
        let mut generation = self.generation()?.clone();
        let host_key = local.host_private_key().ok_or_else(|| missing("the host key"))?;
        let user_data = UserData::render(spec, &host_key, &generation.host_public_key, &generation.spec_hash)?;
        let mut tags = self.tags.clone();
        tags.insert(EXPIRES_AT.to_owned(), generation.expires_at.to_string());
        let launch = Launch {
            client_token: generation.token_of_attempt(number),
            image: spec.image_for(instance_type),
            instance_type: instance_type.to_owned(),
            subnet_id: subnet_id.to_owned(),
            group_id: self.group_id()?.to_owned(),
            key_name: self.key_name.clone(),
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
        let done = format!("launched {} ({instance_type}) in {subnet_id}", instance.id);
        self.instance = Some(instance);
        Ok(done)
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
}

fn is_about_room(error: &CloudError) -> bool {
    NO_ROOM.iter().any(|code| error.is_code(code))
}
