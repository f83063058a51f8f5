//! The front door: parse, run, exit code.

use devdb::ui::ExitStatus;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a bug, and the exit code says so; Rust's own message tells where.
    std::panic::catch_unwind(run).unwrap_or(ExitStatus::Bug).into()
}

fn run() -> ExitStatus {
    let host = devdb::host::Host::from_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return ExitStatus::Bug,
    };
    let status = runtime.block_on(devdb::run(std::env::args_os().collect(), host));
    // A prompt or a resolver may still sit in a blocking thread; the answer has been given, so nobody waits for it.
    runtime.shutdown_background();
    status
}
