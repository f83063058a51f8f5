//! The front door: parse, run, exit code.

use devdb::ui::ExitStatus;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic is a bug, and the exit code says so; Rust's own message tells where.
    std::panic::catch_unwind(run).unwrap_or(ExitStatus::Bug).into()
}

fn run() -> ExitStatus {
    let host = devdb::host::Host::from_process();
    let argv: Vec<_> = std::env::args_os().collect();
    // The supervisor waits for most of its life, and ssh is what is slow while it copies: one thread, one heap.
    let mut builder = if devdb::is_background(&argv) {
        tokio::runtime::Builder::new_current_thread()
    } else {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return ExitStatus::Bug,
    };
    let status = runtime.block_on(devdb::run(argv, host));
    // A prompt or a resolver may still sit in a blocking thread; the answer has been given, so nobody waits for it.
    runtime.shutdown_background();
    status
}
