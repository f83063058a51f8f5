use super::apply::{Apply, Patience};
use super::{BastionError, Event, InstanceState};
use std::time::Duration;

const GONE_LIMIT: Duration = Duration::from_secs(300);

impl Apply<'_> {
    pub(super) async fn await_termination(&self, ids: &[String]) -> Result<(), BastionError> {
        let mut patience = Patience::new(GONE_LIMIT);
        loop {
            // First, for what was told to end a moment ago has not ended yet, and every look is a call.
            self.tell(Event::Waiting(format!("waiting for {} to shut down", ids.join(", "))));
            patience.pause().await;
            let left = self.not_terminated(ids).await?;
            if left.is_empty() {
                return Ok(());
            }
            if patience.is_at_an_end() {
                return Err(patience.too_slow(format!("terminating {}", left.join(", "))));
            }
        }
    }

    /// The interface of a terminated instance lets go of its group a little later, and before that EC2 refuses. A
    /// deletion that succeeds tells as much as a look at the instances, and is wanted anyway.
    pub(super) async fn delete_group(&self, group_id: &str, carriers: &[String]) -> Result<(), BastionError> {
        let mut patience = Patience::new(GONE_LIMIT);
        let waits_for = match carriers {
            [] => "the group's last network interface to go".to_owned(),
            some => format!("{} to shut down", some.join(", ")),
        };
        let mut is_carried = !carriers.is_empty();
        loop {
            if is_carried {
                self.tell(Event::Waiting(format!("waiting for {waits_for}")));
                patience.pause().await;
            }
            match self.workshop.cloud.delete_group(group_id).await {
                Err(error) if error.is_code("DependencyViolation") => {
                    if !patience.is_at_an_end() {
                        is_carried = true;
                        continue;
                    }
                    let left = self.not_terminated(carriers).await?;
                    if !left.is_empty() {
                        return Err(patience.too_slow(format!("terminating {}", left.join(", "))));
                    }
                    return Err(error.into());
                }
                other => return Ok(other?),
            }
        }
    }

    async fn not_terminated(&self, ids: &[String]) -> Result<Vec<String>, BastionError> {
        let instances = self.workshop.cloud.instances(&self.identity.scope).await?;
        let is_left = |one: &super::Instance| ids.contains(&one.id) && one.state != InstanceState::Terminated;
        Ok(instances.into_iter().filter(is_left).map(|one| one.id).collect())
    }
}
