//! The side door: the `bootstrap` of a Lambda function that runs migrations while a stack is deployed.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let vars = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // Lambda keeps what comes here as the function's log; a log that is full stops nothing.
    let log = |line: &str| drop(writeln!(std::io::stderr(), "{line}"));
    log(&format!("error: {}", devdb::lambda::run(&vars, &log)));
    ExitCode::FAILURE
}
