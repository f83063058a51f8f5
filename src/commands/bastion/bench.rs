use crate::bastion::{AddressEcho, Event, KeyMaker, LocalState, Scope, Shell, Turn, Workshop};
use crate::commands::context::Context;
use crate::config::{Settings, Transport};
use crate::error::{CommandError, ErrorKind};
use crate::host::Aws;
use crate::ui::{Printer, Step};
use std::sync::{Arc, Mutex, PoisonError};

/// The workbench: every tool that a procedure of the bastion needs, fetched for the selected environment.
pub(super) struct Bench<'a> {
    context: &'a Context,
    pub(super) settings: &'a Settings,
    pub(super) aws: Arc<dyn Aws>,
    shell: Arc<dyn Shell>,
    pub(super) echo: Arc<dyn AddressEcho>,
    keys: Arc<dyn KeyMaker>,
    local: LocalState,
    region: String,
}

impl<'a> Bench<'a> {
    pub(super) async fn fetch(context: &'a Context) -> Result<Self, CommandError> {
        let host = context.host();
        let state_dir = context.state_dir()?;
        let dir = state_dir.ensure()?;
        let aws = context.aws(&context.aws_target()?).await?;
        Ok(Self {
            context,
            settings: context.settings()?,
            region: aws.region().unwrap_or_default(),
            aws,
            shell: host.tools.bastion_shell(host.processes.clone(), dir),
            echo: host.tools.address_echo(),
            keys: host.tools.key_maker(),
            local: LocalState::new(dir),
        })
    }

    pub(super) fn scope(&self) -> Scope {
        scope(self.settings)
    }

    /// The right to change the bastion; a dry run only looks and needs none.
    pub(super) async fn turn(
        &self,
        dry_run: bool,
        tell: &(dyn Fn(Event) + Sync),
    ) -> Result<Option<Turn>, CommandError> {
        Ok(if dry_run { None } else { Some(self.local.turn(tell).await?) })
    }

    /// Asks what has to be asked, up to the first no. Where nobody can be asked, the question is the refusal.
    ///
    /// # Errors
    /// Whatever is not a yes.
    pub(super) fn agreed(&self, questions: &[String]) -> Result<(), CommandError> {
        for question in questions {
            let answer = self.context.confirm(question).map_err(|error| CommandError {
                kind: if error.kind == ErrorKind::Failed { ErrorKind::Refused } else { error.kind },
                causes: vec![error.message],
                message: format!("an answer is needed: {question}"),
                ..error
            });
            if !answer? {
                return Err(self.context.cancelled());
            }
        }
        Ok(())
    }

    pub(super) fn workshop<'b>(&'b self, tell: &'b (dyn Fn(Event) + Sync)) -> Workshop<'b> {
        Workshop {
            cloud: &*self.aws,
            shell: &*self.shell,
            echo: &*self.echo,
            echo_url: &self.settings.echo_url,
            keys: &*self.keys,
            clock: &*self.context.host().clock,
            local: &self.local,
            region: &self.region,
            proxy: (self.settings.ssh.proxy_command.clone(), self.settings.ssh.proxy_jump.clone()),
            tell,
        }
    }
}

/// Whose resources: the tags to look for.
pub(super) fn scope(settings: &Settings) -> Scope {
    Scope {
        project: settings.project.as_str().to_owned(),
        environment: settings.environment.clone(),
        owner: settings.alias.as_str().to_owned(),
    }
}

pub(super) fn needs_bastion(settings: &Settings) -> Result<(), CommandError> {
    if settings.transport == Transport::Direct {
        let what = format!("environment `{}` is reached directly and needs no bastion", settings.environment);
        return Err(CommandError::failed(what).hint("`transport = \"ssh\"` in devdb.toml would go through a bastion"));
    }
    // The name goes into sshd's settings and into a script that root runs.
    let user = &settings.bastion.ssh_user;
    let allowed = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter);
    if user.is_empty() || user.starts_with('-') || !user.chars().all(allowed) {
        return Err(CommandError::failed(format!("`bastion.ssh_user` is `{user}`, which is no login name")));
    }
    Ok(())
}

/// Shows the events of an applied plan, one line a step.
pub(super) struct Progress {
    printer: Printer,
    running: Mutex<Vec<(String, Step)>>,
}

impl Progress {
    pub(super) fn new(printer: &Printer) -> Self {
        Self { printer: printer.clone(), running: Mutex::default() }
    }

    /// Nothing ticks any more: what had begun is given up.
    pub(super) fn clear(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn tell(&self, event: Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begun(text) => {
                let step = self.printer.step(&text);
                running.push((text, step));
            }
            Event::Waiting(text) => {
                if let Some((_, step)) = running.last() {
                    step.waiting(&text);
                }
            }
            Event::Done { step, outcome } => {
                if let Some(at) = running.iter().position(|(text, _)| *text == step) {
                    running.remove(at).1.done(&outcome);
                }
            }
            Event::Warning(text) => self.printer.warning(&text),
            Event::Told(text) => self.printer.status(&format!("  {text}")),
        }
    }
}
