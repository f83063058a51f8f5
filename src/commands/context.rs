use crate::cli::{ColorChoice, Globals};
use crate::config::{self, Claim, ConfigError, Request, Resolved, Settings, StateDir, Tracking};
use crate::error::{CommandError, ErrorKind};
use crate::host::{Aws, AwsTarget, Host};
use crate::system::{CloudError, git, one_line, shell_word, visible, work_tree};
use crate::ui::{ExitStatus, Printer, PrinterSettings, PromptError, Selection};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What every verb is given: the host, the printer, the resolved settings.
pub(crate) struct Context {
    host: Host,
    printer: Printer,
    globals: EffectiveGlobals,
    resolved: OnceLock<Resolved>,
    trusted: OnceLock<()>,
    endless: OnceLock<()>,
    asked_aws: OnceLock<()>,
}

/// The global flags after their `DEVDB_…` variables were read.
struct EffectiveGlobals {
    environment: Option<String>,
    config: Option<PathBuf>,
    flags: Vec<(&'static str, &'static str, String)>,
    yes: bool,
    confirm: Option<String>,
    may_ask: bool,
}

impl Context {
    /// # Errors
    /// A `DEVDB_…` variable with an impossible value, with a printer to say so.
    pub(crate) fn new(globals: &Globals, host: Host) -> Result<Self, Box<(Printer, CommandError)>> {
        let is_set = |name: &str| {
            host.surroundings.vars.get(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
        };
        let json = globals.json || is_set("DEVDB_JSON");
        let variable = host.surroundings.vars.get("DEVDB_COLOR").filter(|choice| !choice.is_empty());
        let from_variable = variable.map(|choice| ColorChoice::from_str(choice, true));
        let choice = globals.color.or(from_variable.clone().and_then(Result::ok));
        let dumb = host.surroundings.vars.get("TERM").is_some_and(|term| term == "dumb");
        // no-color.org: any non-empty value counts.
        let no_color = host.surroundings.vars.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = |is_terminal: bool| match choice {
            Some(ColorChoice::Always) => true,
            Some(ColorChoice::Never) => false,
            _ => is_terminal && !no_color && !dumb,
        };
        let settings = PrinterSettings {
            json,
            quiet: globals.quiet || is_set("DEVDB_QUIET"),
            verbose: globals.verbose,
            color_out: color(host.surroundings.stdout_is_terminal) && !json,
            color_err: color(host.surroundings.stderr_is_terminal) && !json,
            animate: host.surroundings.stderr_is_terminal && !dumb,
            screen: host.surroundings.stdout_is_terminal,
        };
        let printer = Printer::new(settings, selection(globals, &host), host.out.clone(), host.err.clone());
        let flag = |key, flag, value: &Option<String>| value.clone().map(|value| (key, flag, value));
        if let Some(Err(_)) = from_variable {
            let error = CommandError::new(ErrorKind::Usage, "DEVDB_COLOR is none of auto, always, never");
            return Err(Box::new((printer, error)));
        }
        let globals = EffectiveGlobals {
            environment: globals.environment.clone(),
            config: globals.config.clone(),
            flags: [flag("profile", "--profile", &globals.profile), flag("region", "--region", &globals.region)]
                .into_iter()
                .flatten()
                .collect(),
            yes: globals.yes,
            confirm: globals.confirm.clone(),
            may_ask: !json
                && !globals.no_input
                && !is_set("DEVDB_NO_INPUT")
                && host.surroundings.stdin_is_terminal
                && host.surroundings.stderr_is_terminal,
        };
        Ok(Self {
            host,
            printer,
            globals,
            resolved: OnceLock::new(),
            trusted: OnceLock::new(),
            endless: OnceLock::new(),
            asked_aws: OnceLock::new(),
        })
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn printer(&self) -> &Printer {
        &self.printer
    }

    fn with_request<T>(&self, ask: impl FnOnce(&Request<'_>) -> Result<T, ConfigError>) -> Result<T, CommandError> {
        let (git_email, tracking) = (|| self.git_email(), |path: &Path| self.tracking(path));
        let request = Request {
            vars: &self.host.surroundings.vars,
            cwd: &self.host.surroundings.cwd,
            file: self.globals.config.clone(),
            environment: self.globals.environment.clone(),
            flags: self.globals.flags.clone(),
            git_email: &git_email,
            tracking: &tracking,
        };
        Ok(ask(&request)?)
    }

    /// The settings, with or without an environment. Nothing of an environment may be used before it is trusted.
    pub(crate) fn resolved(&self) -> Result<&Resolved, CommandError> {
        if self.resolved.get().is_none() {
            let _ = self.resolved.set(self.with_request(config::resolve)?);
        }
        self.resolved.get().ok_or_else(|| CommandError::new(ErrorKind::Bug, "the settings were not kept"))
    }

    /// What the project's files claim, whichever environment is selected.
    pub(crate) fn claim(&self) -> Result<Claim, CommandError> {
        self.with_request(config::claim)
    }

    /// Takes these settings instead of what the files say.
    pub(crate) fn use_settings(&self, settings: Settings) {
        let _ = self.resolved.set(Resolved::Environment(Box::new(settings)));
    }

    /// The settings of the selected environment, to be used: what a clone may have brought is trusted, or the user is
    /// asked.
    pub(crate) fn settings(&self) -> Result<&Settings, CommandError> {
        let settings = self.described()?;
        if self.trusted.get().is_none() {
            self.ask_for_trust(settings)?;
            let _ = self.trusted.set(());
        }
        Ok(settings)
    }

    /// The settings of the selected environment, to be shown.
    pub(crate) fn described(&self) -> Result<&Settings, CommandError> {
        match self.resolved()? {
            Resolved::Environment(settings) => Ok(settings),
            Resolved::NoEnvironment { file: Some(file), .. } => {
                Err(ConfigError::NoEnvironments { file: file.clone() }.into())
            }
            Resolved::NoEnvironment { file: None, passed_over, .. } => {
                let start = self.host.surroundings.cwd.clone();
                Err(ConfigError::NotFound { start, passed_over: passed_over.clone() }.into())
            }
        }
    }

    /// The environment's state folder; not created yet.
    pub(crate) fn state_dir(&self) -> Result<StateDir, CommandError> {
        let settings = self.settings()?;
        let (project, alias) = (settings.project.as_str(), settings.alias.as_str());
        Ok(StateDir::locate(&self.host.surroundings.vars, project, &settings.environment, alias)?)
    }

    /// Which AWS account and region the selected environment names.
    pub(crate) fn aws_target(&self) -> Result<AwsTarget, CommandError> {
        let settings = self.settings()?;
        Ok(AwsTarget { profile: settings.profile.clone(), region: settings.region.clone() })
    }

    /// A client for the account.
    pub(crate) async fn aws(&self, target: &AwsTarget) -> Result<Arc<dyn Aws>, CloudError> {
        let _ = self.asked_aws.set(());
        self.host.tools.aws(target).await
    }

    /// Whether anything was asked of AWS so far.
    pub(crate) fn has_asked_aws(&self) -> bool {
        self.asked_aws.get().is_some()
    }

    /// A question can be answered: by `--yes`, or by somebody at a terminal.
    pub(crate) fn may_agree(&self) -> bool {
        self.globals.yes || self.globals.may_ask
    }

    /// A user at a terminal can be asked.
    pub(crate) fn may_ask_in_person(&self) -> bool {
        self.globals.may_ask
    }

    /// Asks a yes-or-no question unless `--yes` answered it.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, CommandError> {
        if self.globals.yes {
            return Ok(true);
        }
        if !self.globals.may_ask {
            return Err(PromptError::NoTerminal.into());
        }
        Ok(self.printer.aside(|| self.host.prompter.confirm(&asked(question)))?)
    }

    /// Asks a yes-or-no question that `--yes` does not answer; without a terminal `None`.
    pub(crate) fn confirm_in_person(&self, question: &str) -> Result<Option<bool>, CommandError> {
        if !self.globals.may_ask {
            return Ok(None);
        }
        Ok(Some(self.printer.aside(|| self.host.prompter.confirm(&asked(question)))?))
    }

    /// Asks to choose; without a terminal `None`, and the caller lists the candidates.
    pub(crate) fn select(&self, question: &str, options: &[String]) -> Result<Option<usize>, CommandError> {
        if !self.globals.may_ask {
            return Ok(None);
        }
        let options: Vec<String> = options.iter().map(|option| asked(option)).collect();
        Ok(Some(self.printer.aside(|| self.host.prompter.select(&asked(question), &options))?))
    }

    /// Asks for a line of text; without a terminal `None`.
    pub(crate) fn ask_text(&self, question: &str) -> Result<Option<String>, CommandError> {
        if !self.globals.may_ask {
            return Ok(None);
        }
        Ok(Some(self.printer.aside(|| self.host.prompter.text(&asked(question), None))?))
    }

    /// The environment that `--confirm` names.
    pub(crate) fn confirmed_environment(&self) -> Option<&str> {
        self.globals.confirm.as_deref()
    }

    /// From here on Ctrl-C is how the user ends the command, and no reason for advice.
    pub(crate) fn ends_by_interrupt(&self) {
        let _ = self.endless.set(());
    }

    /// What Ctrl-C means.
    pub(crate) fn interrupted(&self) -> Result<ExitStatus, CommandError> {
        if self.endless.get().is_some() { Ok(ExitStatus::Cancelled) } else { Err(self.cancelled()) }
    }

    pub(crate) fn cancelled(&self) -> CommandError {
        CommandError::new(ErrorKind::Cancelled, "cancelled")
            .hint("run the same command again to continue; it begins by looking at what is there")
    }

    fn git_email(&self) -> Option<String> {
        let cwd = &self.host.surroundings.cwd;
        let top = work_tree(cwd).unwrap_or_else(|| cwd.clone());
        let spec = git(&top, ["config", "--get", "user.email"].map(Into::into));
        let found = self.host.processes.capture(&spec).ok().filter(|found| found.code == 0)?;
        String::from_utf8(found.stdout).ok().map(|email| email.trim().to_owned())
    }

    /// Letters in the wrong case name the same file where the disk does not tell them apart.
    fn tracking(&self, path: &Path) -> Tracking {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Tracking::Unknown };
        let Ok(folder) = folder.canonicalize() else { return Tracking::Unknown };
        let Some(top) = work_tree(&folder) else { return Tracking::Unknown };
        let Ok(inside) = folder.strip_prefix(&top) else { return Tracking::Unknown };
        let words = ["--icase-pathspecs", "--noglob-pathspecs", "ls-files", "--cached", "-z", "--"].map(Into::into);
        let spec = git(&top, words.into_iter().chain([inside.join(name).into()]));
        match self.host.processes.capture(&spec) {
            Ok(found) if found.code == 0 && found.stdout.is_empty() => Tracking::Untracked,
            Ok(found) if found.code == 0 => Tracking::Tracked,
            _ => Tracking::Unknown,
        }
    }
}

/// The flags that chose the environment; variables choose for the next command too and need not be said.
fn selection(globals: &Globals, host: &Host) -> Selection {
    let config = globals.config.as_ref().map(|path| path.display().to_string());
    let named = [
        ("-e", &globals.environment),
        ("--config", &config),
        ("--profile", &globals.profile),
        ("--region", &globals.region),
    ];
    let typed = named.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", shell_word(value.as_ref()?))));
    let from_variable = || host.surroundings.vars.get("DEVDB_ENVIRONMENT").filter(|name| !name.is_empty()).cloned();
    let environment = globals.environment.clone().or_else(from_variable).unwrap_or_else(|| "dev".to_owned());
    Selection { flags: typed.collect::<Vec<_>>().join(" "), environment }
}

/// A question holds names from elsewhere, and the prompter writes to the terminal by itself.
fn asked(question: &str) -> String {
    visible(&one_line(question)).into_owned()
}

/// clap's own answer: help and version are the product, anything else is wrong usage.
pub(super) fn show_usage(host: &Host, error: &clap::Error) -> ExitStatus {
    let is_product = !error.use_stderr();
    let color = if is_product { host.surroundings.stdout_is_terminal } else { host.surroundings.stderr_is_terminal };
    let no_color = host.surroundings.vars.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let rendered = error.render();
    let text = if color && !no_color { rendered.ansi().to_string() } else { rendered.to_string() };
    let stream = if is_product { &host.out } else { &host.err };
    let mut stream = stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
    if is_product { ExitStatus::Success } else { ExitStatus::Usage }
}
