//! The front door: parse, run, exit code.

fn main() -> std::process::ExitCode {
    let host = devdb::host::Host::from_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(_) => return devdb::ui::ExitStatus::Bug.into(),
    };
    let status = runtime.block_on(devdb::run(std::env::args_os().collect(), host));
    // A prompt or a resolver may still sit in a blocking thread; the answer has been given, so nobody waits for it.
    runtime.shutdown_background();
    status.into()
}
