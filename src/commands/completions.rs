use super::context::Context;
use crate::cli::Cli;
use crate::error::CommandError;
use crate::ui::ExitStatus;
use clap::{CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_complete_nushell::Nushell;

/// Print the script with which your shell completes devdb's commands and options
///
/// bash: `devdb completions bash > ~/.local/share/bash-completion/completions/devdb`.
///
/// zsh: `devdb completions zsh > ~/.zfunc/_devdb`, with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc.
///
/// fish: `devdb completions fish > ~/.config/fish/completions/devdb.fish`.
///
/// Nushell: `devdb completions nu | save --force ($nu.user-autoload-dirs | first | path join devdb.nu)`.
///
/// PowerShell: `devdb completions powershell | Out-String | Invoke-Expression` in $PROFILE.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    shell: CompletionShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CompletionShell {
    Bash,
    Zsh,
    Fish,
    #[value(alias = "nushell")]
    Nu,
    #[value(name = "powershell", alias = "pwsh")]
    PowerShell,
}

pub(crate) fn run(args: &CompletionsArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let script = match args.shell {
        CompletionShell::Bash => script(Shell::Bash),
        CompletionShell::Zsh => script(Shell::Zsh),
        CompletionShell::Fish => script(Shell::Fish),
        CompletionShell::Nu => script(Nushell),
        CompletionShell::PowerShell => script(Shell::PowerShell),
    };
    if context.host().surroundings.stdout_is_terminal {
        context
            .printer()
            .hint("this is for the shell to read; `devdb completions --help` says where each looks for it");
    }
    context.printer().for_programs(&script)?;
    Ok(ExitStatus::Success)
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(&Cli::command()), "devdb", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The command without what `--help` hides; clap's generators would offer that as well.
fn shown(command: &clap::Command) -> clap::Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let mut shown = clap::Command::new(command.get_name().to_owned())
        .args(arguments.cloned())
        .subcommands(below.map(self::shown))
        .disable_help_subcommand(true);
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    match command.get_version() {
        Some(version) => shown.version(version.to_owned()),
        None => shown,
    }
}
