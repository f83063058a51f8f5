use super::apply::{Apply, Patience};
use super::{BastionAccess, BastionError, Event, Instance, InstanceState, READY_FILE, Reach, ShellError, reach};
use std::time::Duration;
use tokio::time::Instant;

const RUNNING_LIMIT: Duration = Duration::from_secs(180);
const READY_LIMIT: Duration = Duration::from_secs(300);
/// While it boots, silence says nothing.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Between two tries of ssh; a try itself takes its time.
const SSH_PAUSE: Duration = Duration::from_millis(300);

impl Apply<'_> {
    /// Waits until EC2 calls the instance running and has given it a public address.
    pub(super) async fn await_running(&mut self) -> Result<Instance, BastionError> {
        let mut instance = self.instance()?.clone();
        let mut patience = Patience::new(RUNNING_LIMIT);
        loop {
            let reason = instance.state_reason.clone();
            let died = |state| BastionError::Died { id: instance.id.clone(), state, reason };
            match instance.state {
                InstanceState::Running if instance.public_ip.is_some() => break,
                InstanceState::ShuttingDown => return Err(died("shutting-down")),
                InstanceState::Terminated => return Err(died("terminated")),
                _ => {}
            }
            if patience.is_at_an_end() {
                return Err(patience.too_slow(format!("starting instance {}", instance.id)));
            }
            self.tell(Event::Waiting(format!("waiting for {} to start", instance.id)));
            // First, for what was launched a moment ago does not run yet, and every look is a call.
            patience.pause().await;
            instance = self.workshop.cloud.instance(&instance.id).await?.unwrap_or(instance);
        }
        self.instance = Some(instance.clone());
        Ok(instance)
    }

    /// Waits until ssh works with the pinned host key and the first boot has written its mark.
    pub(super) async fn await_ready(&mut self) -> Result<BastionAccess, BastionError> {
        let instance = self.await_running().await?;
        let access = self.access(&instance)?;
        let started = Instant::now();
        let mut compared = false;
        loop {
            let (waits_for, last) = match self.workshop.shell.run(&access, &format!("cat {READY_FILE}")).await {
                Ok((0, text)) if text.trim_start().starts_with("ready") => break,
                Ok(_) => ("the first boot to finish".to_owned(), None),
                Err(ShellError::HostKey { message }) => {
                    return Err(BastionError::HostKey { id: instance.id, message });
                }
                Err(error @ ShellError::Unavailable(_)) => return Err(BastionError::Ssh(error)),
                Err(error) => (format!("ssh: {}", error.briefly()), Some(error)),
            };
            if started.elapsed() > READY_LIMIT {
                let reach = self.reach(last.as_ref()).await;
                return Err(BastionError::NotReady {
                    id: instance.id,
                    seconds: READY_LIMIT.as_secs(),
                    reach,
                    source: last,
                });
            }
            if !compared && started.elapsed() > BOOT_LIMIT {
                compared = true;
                if let Some(shut_out @ Reach::ShutOut { .. }) = self.reach(last.as_ref()).await {
                    self.tell(Event::Warning(format!(
                        "{shut_out}; Ctrl-C and then `devdb bastion up` let that one in"
                    )));
                }
            }
            self.tell(Event::Waiting(format!("waiting for {waits_for}")));
            tokio::time::sleep(SSH_PAUSE).await;
        }
        // Its only reader has it now; the public half stays pinned.
        self.workshop.local.forget_host_private_key()?;
        access.store(self.workshop.local.dir())?;
        Ok(access)
    }

    /// What the rules tell about a bastion that does not answer.
    async fn reach(&self, error: Option<&ShellError>) -> Option<Reach> {
        let (Some(ShellError::NoAnswer { timed_out: true, .. }), Some(spec)) = (error, self.spec) else { return None };
        // The error that is on its way matters more than one about its explanation.
        reach(self.workshop, &self.identity.scope, spec.ssh_port).await.ok()
    }
}
