use super::access::{bastion_access, explained};
use crate::bastion::{BastionError, ShellError};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::system::shell_word;
use crate::ui::{ExitStatus, Paint, Report};
use serde::Serialize;

/// Log in to your bastion, or run a command there
///
/// This is ssh itself, with devdb's configuration and the pinned host key: its terminal, its signals, its exit code.
/// Nobody is root on a bastion, and it reaches the database's port and nothing else.
#[derive(Debug, clap::Args)]
pub(crate) struct SshArgs {
    /// Show the ssh command line, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// What to run there; a login without it
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) async fn run(args: &SshArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let host = context.host();
    let access = bastion_access(context).await?;
    let shell = host.tools.bastion_shell(host.processes.clone(), context.state_dir()?.ensure()?);
    let line = shell.command_line(&access, &args.command).map_err(BastionError::Ssh)?;
    if args.dry_run {
        let words = std::iter::once(&line.program).chain(&line.args);
        let command = words.map(|word| word.to_string_lossy().into_owned()).collect();
        context.printer().report(&SshReport { dry_run: true, command })?;
        return Ok(ExitStatus::Success);
    }
    let id = access.instance_id.clone();
    if let Err(source) = shell.knock(&access).await {
        return Err(explained(context, BastionError::NoWayIn { id, source }).await);
    }
    let ended = host.processes.exec(&line);
    let ended = ended.map_err(|error| BastionError::Ssh(ShellError::Unavailable(Box::new(error))))?;
    Ok(ExitStatus::Child(u8::try_from(ended.code).unwrap_or(u8::MAX)))
}

/// What would be run.
#[derive(Serialize)]
struct SshReport {
    dry_run: bool,
    command: Vec<String>,
}

impl Report for SshReport {
    fn text(&self, _paint: Paint) -> String {
        self.command.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ") + "\n"
    }
}
