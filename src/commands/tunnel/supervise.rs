use crate::error::CommandError;
use crate::host::Host;
use crate::tunnel::{ChildHealer, SupervisorTools, credential_places, supervise};
use crate::ui::ExitStatus;
use clap::Parser;
use std::ffi::OsString;
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
    #[arg(long)]
    succeed: bool,
}

/// The whole command line of a supervisor, as `tunnel up` writes it.
#[derive(Parser)]
struct Alone {
    #[command(flatten)]
    args: SuperviseArgs,
}

/// Reads a supervisor's command line without building all others, which would stay in its memory for good (half a
/// megabyte). `None` for any other command line, and for one that it does not understand.
pub(crate) fn alone(argv: &[OsString]) -> Option<SuperviseArgs> {
    let words = argv.get(2..).filter(|_| crate::is_supervisor(argv))?;
    Alone::try_parse_from(words).ok().map(|alone| alone.args)
}

pub(crate) async fn run(args: &SuperviseArgs, host: &Host) -> Result<ExitStatus, CommandError> {
    host.processes.leave_terminal();
    host.processes.allow_many_files();
    let tools = SupervisorTools {
        ssh: host.tools.ssh(),
        probe: host.tools.probe(),
        clock: host.clock.clone(),
        processes: host.processes.clone(),
        healer: Arc::new(ChildHealer {
            executable: host.surroundings.executable.clone(),
            processes: host.processes.clone(),
            credentials: credential_places(|name| host.surroundings.vars.get(name).cloned()),
        }),
        runtime_dir: host.surroundings.vars.get("XDG_RUNTIME_DIR").map(PathBuf::from),
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
    let ended_well = supervise(&args.spec, args.succeed, tools, ended).await.is_ok();
    Ok(if ended_well { ExitStatus::Success } else { ExitStatus::Failure })
}
