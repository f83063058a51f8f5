use crate::error::CommandError;
use crate::host::Host;
use crate::tunnel::{Beginning, ChildHealer, SupervisorTools, WatchdogTools, credential_places, supervise, watch};
use crate::ui::ExitStatus;
use clap::Parser;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Own the local ports and keep the link alive (started by `tunnel up`)
#[derive(Debug, clap::Args)]
pub(crate) struct SuperviseArgs {
    /// The specification; the folder it lies in is the state folder
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
    /// In the place of the supervisor that runs
    #[arg(long, conflicts_with = "watched")]
    succeed: bool,
    /// With the ports of the watchdog at the other end of stdin
    #[arg(long)]
    watched: bool,
}

/// Start the supervisor that is at the other end of stdin again when it was killed (started by that)
#[derive(Debug, clap::Args)]
pub(crate) struct WatchdogArgs {
    /// The supervisor's specification
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
}

/// The command lines that nobody types.
#[derive(Parser)]
pub(crate) enum Background {
    Supervise(SuperviseArgs),
    Watchdog(WatchdogArgs),
}

/// Reads a background process's command line without building all others, which would stay in its memory for good (half
/// a megabyte). `None` for any other command line, and for one that it does not understand.
pub(crate) fn background(argv: &[OsString]) -> Option<Background> {
    let words = argv.get(1..).filter(|_| crate::is_background(argv))?;
    Background::try_parse_from(words).ok()
}

pub(crate) async fn run(background: &Background, host: &Host) -> Result<ExitStatus, CommandError> {
    host.processes.leave_terminal();
    host.processes.guard_memory(false);
    match background {
        Background::Supervise(args) => supervise_until_signalled(args, host).await,
        Background::Watchdog(args) => {
            let tools = WatchdogTools {
                executable: host.surroundings.executable.clone(),
                processes: host.processes.clone(),
                clock: host.clock.clone(),
            };
            watch(&args.spec, stdin()?, tools).await?;
            Ok(ExitStatus::Success)
        }
    }
}

/// The line to the other one.
fn stdin() -> std::io::Result<UnixStream> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

async fn supervise_until_signalled(args: &SuperviseArgs, host: &Host) -> Result<ExitStatus, CommandError> {
    host.processes.allow_many_files();
    let tools = SupervisorTools {
        ssh: host.tools.ssh(),
        probe: host.tools.probe(),
        clock: host.clock.clone(),
        processes: host.processes.clone(),
        healer: Arc::new(ChildHealer {
            executable: host.surroundings.executable.clone(),
            spec_file: args.spec.clone(),
            processes: host.processes.clone(),
            credentials: credential_places(|name| host.surroundings.vars.get(name).cloned()),
        }),
        runtime_dir: host.surroundings.vars.get("XDG_RUNTIME_DIR").map(PathBuf::from),
        executable: host.surroundings.executable.clone(),
    };
    let beginning = match (args.succeed, args.watched) {
        (true, _) => Beginning::Succeeds,
        (false, true) => Beginning::Watched(stdin()?),
        (false, false) => Beginning::Fresh,
    };
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupted = signal(SignalKind::interrupt())?;
    let ended = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    // Its stderr is the log, and the log has been told already.
    let ended_well = supervise(&args.spec, beginning, tools, ended).await.is_ok();
    Ok(if ended_well { ExitStatus::Success } else { ExitStatus::Failure })
}
