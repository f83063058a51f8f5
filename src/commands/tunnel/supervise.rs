use crate::commands::context::Context;
use crate::error::CommandError;
use crate::tunnel::{ChildHealer, SupervisorTools, supervise};
use crate::ui::ExitStatus;
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

pub(crate) async fn run(args: &SuperviseArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let host = context.host();
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
        }),
        runtime_dir: host.surroundings.vars.get("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let ended = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = hung_up.recv() => {}
        }
    };
    // Its stderr is the log, and the log has been told already.
    let ended_well = supervise(&args.spec, args.succeed, tools, ended).await.is_ok();
    Ok(if ended_well { ExitStatus::Success } else { ExitStatus::Failure })
}
