//! devdb: the one command between a developer's laptop and an Aurora PostgreSQL cluster in a private VPC.
//!
//! # Floor plan
//!
//! | room | job |
//! |---|---|
//! | [`cli`], `commands` | reception: understands the command, calls one workshop, tells the answer |
//! | [`discovery`] [`bastion`] [`tunnel`] [`connection`] [`migrate`] [`schema`] | workshops: decide; never print, prompt or read the environment |
//! | `lambda` | the side door: a Lambda function that migrates while a stack is deployed (feature `lambda`) |
//! | [`config`] | nameplate: files, variables and flags become settings, each with its origin |
//! | [`ui`] | windows: the only place that is seen from outside |
//! | [`host`] | key cabinet: what the process was given, and the only place that picks an adapter |
//! | [`error`] | notice board: what we say when something broke, and what to type next |
//! | [`system`] | the traits for time and processes |
//! | `adapters` | plumbing: the only homes of foreign crates; translate, never decide |
//! | `testing` | rehearsal: fakes behind the same traits (feature `testing`) |
//!
//! # Invariants
//!
//! - Every command can run twice, die anywhere, and be run again: observe, plan (pure), apply.
//! - Nothing is killed, deleted or overwritten that devdb cannot prove is its own.
//! - No secret in argv, logs, state files, errors or `--json`, except where printing it is the command's purpose.
//! - stdout is the product, stderr is the narration.
//! - Workshops never enter one another; reception carries what one needs from the other.
//!
//! `ARCHITECTURE.md` walks four commands from the door to the answer; `tests/it/tidy.rs` keeps the import table true.

pub mod connection;
pub mod migrate;
pub mod system;

pub(crate) mod adapters;

#[cfg(feature = "cli")]
pub mod bastion;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
pub mod config;
#[cfg(feature = "cli")]
pub mod discovery;
#[cfg(feature = "cli")]
pub mod error;
#[cfg(feature = "cli")]
pub mod host;
#[cfg(any(feature = "lambda", feature = "testing"))]
pub mod lambda;
#[cfg(feature = "cli")]
pub mod schema;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "cli")]
pub mod tunnel;
#[cfg(feature = "cli")]
pub mod ui;

/// Whether this command line is one of those that `devdb tunnel up` starts its background processes with.
#[cfg(feature = "cli")]
pub fn is_background(argv: &[std::ffi::OsString]) -> bool {
    argv.get(1..3).is_some_and(|words| words == ["tunnel", "supervise"] || words == ["tunnel", "watchdog"])
}

/// Runs one command line and returns how it ended.
///
/// This is the only entry: `main` calls it with the real [`host::Host`], tests call it with a sealed one.
/// `argv` holds the program's name first, as in [`std::env::args_os`].
#[cfg(feature = "cli")]
pub async fn run(argv: Vec<std::ffi::OsString>, host: host::Host) -> ui::ExitStatus {
    commands::run(argv, host).await
}
