use super::context::Context;
use crate::cli::Cli;
use crate::error::CommandError;
use crate::system::{one_line, write_plain};
use crate::ui::{ExitStatus, Paint, Report};
use clap::CommandFactory;
use clap_mangen::Man;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Print the manual page of devdb, or write one for every command
///
/// `devdb man | man -l -` shows it. `devdb man --output ~/.local/share/man/man1` installs all of them, and
/// `man devdb-tunnel-up` finds its own.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Write devdb.1, devdb-bastion.1, … into this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let mut command = Cli::command();
    command.build();
    let Some(folder) = &args.output else {
        if context.host().surroundings.stdout_is_terminal {
            context.printer().hint("this is a page's source; `devdb man | man -l -` shows it");
        }
        context.printer().for_programs(&String::from_utf8_lossy(&page(&command)?))?;
        return Ok(ExitStatus::Success);
    };
    let folder = context.host().surroundings.cwd.join(folder);
    let mut written = Vec::new();
    std::fs::create_dir_all(&folder).and_then(|()| write(&command, &folder, &mut written)).map_err(|error| {
        CommandError::failed(format!("{} could not be written: {error}", folder.display()))
            .hint("name a folder that you may write to: `devdb man --output DIR`")
    })?;
    context.printer().report(&ManReport { folder, pages: written })?;
    Ok(ExitStatus::Success)
}

fn page(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

/// The command's page, and those of what is below it.
fn write(command: &clap::Command, folder: &Path, written: &mut Vec<String>) -> std::io::Result<()> {
    let name = format!("{}.1", command.get_display_name().unwrap_or(command.get_name()));
    write_plain(&folder.join(&name), &page(command)?)?;
    written.push(name);
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| write(below, folder, written))
}

#[derive(Serialize)]
struct ManReport {
    folder: PathBuf,
    pages: Vec<String>,
}

impl Report for ManReport {
    fn text(&self, _paint: Paint) -> String {
        format!("{}: {} pages\n", one_line(&self.folder.display().to_string()), self.pages.len())
    }
}
