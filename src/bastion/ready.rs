use super::apply::{Apply, Patience};
use super::login::{Login, log_in};
use super::seams::briefly;
use super::{BastionAccess, BastionError, Console, Defect, Event, Instance, InstanceState, Reach, ShellError, reach};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;
use tokio::time::Instant;

const RUNNING_LIMIT: Duration = Duration::from_secs(180);
const READY_LIMIT: Duration = Duration::from_secs(300);
/// While it boots, silence says nothing.
const BOOT_LIMIT: Duration = Duration::from_secs(60);
/// Between two tries of ssh; a try itself takes its time.
const SSH_PAUSE: Duration = Duration::from_millis(300);
/// sshd counts logins that fail, and shuts out who comes too often (sshd_config(5), PerSourcePenalties).
const DEFECT_PAUSE: Duration = Duration::from_secs(2);

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
        let limit = self.ready_limit(&instance);
        let mut wait = Wait { started: Instant::now(), defect: None, compared: false };
        loop {
            let login = log_in(self.workshop.shell, &access).await?;
            if matches!(login, Login::Ready) {
                break;
            }
            wait.note(&login);
            if let Some(defect) = wait.believed(&login) {
                let console = Console::of(self.workshop.cloud, &instance.id).await;
                return Err(BastionError::Defective { id: instance.id, defect, console });
            }
            if wait.started.elapsed() > limit {
                return Err(self.not_ready(instance.id, login, limit.as_secs()).await);
            }
            self.compare_addresses(&mut wait, &login).await;
            self.tell(Event::Waiting(format!("waiting for {}", what_is_waited_for(&login))));
            tokio::time::sleep(if wait.defect.is_some() { DEFECT_PAUSE } else { SSH_PAUSE }).await;
        }
        // Its only reader has it now; the public half stays pinned.
        self.workshop.local.forget_host_private_key()?;
        access.store(self.workshop.local.dir())?;
        Ok(access)
    }

    /// An instance that was started long ago has had its time to boot.
    fn ready_limit(&self, instance: &Instance) -> Duration {
        let age = instance.launched_at.map(|then| self.workshop.clock.now().duration_since(then));
        let is_old = age.and_then(|age| Duration::try_from(age).ok()).is_some_and(|age| age > READY_LIMIT);
        if is_old { BOOT_LIMIT } else { READY_LIMIT }
    }

    async fn not_ready(&self, id: String, login: Login, seconds: u64) -> BastionError {
        let console = Console::of(self.workshop.cloud, &id).await;
        let source = match login {
            Login::Silent(error) => error,
            // A defect that comes and goes is one.
            Login::Defect(defect) => return BastionError::Defective { id, defect, console },
            Login::Booting | Login::Ready => {
                return BastionError::Defective { id, defect: Defect::Unending { seconds }, console };
            }
        };
        let reach = self.reach(&source).await;
        BastionError::NotReady { id, seconds, reach, console: Box::new(console), source }
    }

    /// Once, when it has been silent for longer than a boot takes.
    async fn compare_addresses(&self, wait: &mut Wait, login: &Login) {
        let Login::Silent(error) = login else { return };
        if wait.compared || wait.started.elapsed() <= BOOT_LIMIT {
            return;
        }
        wait.compared = true;
        if let Some(shut_out @ Reach::ShutOut { .. }) = self.reach(error).await {
            self.tell(Event::Warning(format!("{shut_out}; Ctrl-C and then `devdb bastion up` let that one in")));
        }
    }

    /// What the rules tell about a bastion that does not answer.
    async fn reach(&self, error: &ShellError) -> Option<Reach> {
        let (ShellError::NoAnswer { timed_out: true, .. }, Some(spec)) = (error, self.spec) else { return None };
        // The error that is on its way matters more than one about its explanation.
        reach(self.workshop, &self.identity.scope, spec.ssh_port).await.ok()
    }
}

struct Wait {
    started: Instant,
    /// The defect that is seen without a break, and since when.
    defect: Option<(Instant, Discriminant<Defect>)>,
    compared: bool,
}

impl Wait {
    fn note(&mut self, login: &Login) {
        let Login::Defect(seen) = login else { return self.defect = None };
        // It hangs up on a caller whom it has refused too often: that is no break.
        let goes_on = |known| known == discriminant(seen) || matches!(seen, Defect::HangsUp { .. });
        if !self.defect.is_some_and(|(_, known)| goes_on(known)) {
            self.defect = Some((Instant::now(), discriminant(seen)));
        }
    }

    fn believed(&self, login: &Login) -> Option<Defect> {
        let (Login::Defect(defect), Some((since, _))) = (login, self.defect) else { return None };
        (since.elapsed() >= defect.patience()).then(|| defect.clone())
    }
}

fn what_is_waited_for(login: &Login) -> String {
    match login {
        Login::Silent(error) => format!("ssh: {}", error.briefly()),
        Login::Defect(Defect::Refuses { said } | Defect::RunsNothing { said } | Defect::HangsUp { said }) => {
            format!("ssh: {}", briefly(said))
        }
        Login::Defect(_) | Login::Booting | Login::Ready => "the first boot to finish".to_owned(),
    }
}
