use super::apply::Apply;
use super::{BastionError, Event, InstanceState};
use std::time::Duration;
use tokio::time::Instant;

const GONE_LIMIT: Duration = Duration::from_secs(300);
/// Between two looks at EC2, which counts requests.
const PAUSE: Duration = Duration::from_secs(1);

impl Apply<'_> {
    pub(super) async fn await_termination(&self, ids: &[String]) -> Result<(), BastionError> {
        let started = Instant::now();
        loop {
            let instances = self.workshop.cloud.instances(&self.identity.scope).await?;
            let left: Vec<&str> = instances
                .iter()
                .filter(|one| ids.contains(&one.id) && one.state != InstanceState::Terminated)
                .map(|one| one.id.as_str())
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            if started.elapsed() > GONE_LIMIT {
                let what = format!("terminating {}", left.join(", "));
                return Err(BastionError::TooSlow { what, seconds: GONE_LIMIT.as_secs() });
            }
            self.tell(Event::Waiting(format!("waiting for {} to shut down", left.join(", "))));
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The interface of a terminated instance lets go of its group a little later.
    pub(super) async fn delete_group(&self, group_id: &str) -> Result<(), BastionError> {
        let started = Instant::now();
        loop {
            match self.workshop.cloud.delete_group(group_id).await {
                Err(error) if error.is_code("DependencyViolation") && started.elapsed() < GONE_LIMIT => {
                    self.tell(Event::Waiting("waiting for the group's last network interface to go".to_owned()));
                    tokio::time::sleep(PAUSE * 2).await;
                }
                other => return Ok(other?),
            }
        }
    }
}
