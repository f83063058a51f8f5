//! Plumbing: the only homes of foreign crates. Adapters translate; they never decide.

#[cfg(feature = "aws-auth")]
pub(crate) mod aws;
#[cfg(feature = "cli")]
pub(crate) mod bastion_shell;
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "only the probe looks on without judging"))]
mod certificates;
#[cfg(any(feature = "cli", feature = "lambda"))]
pub(crate) mod clock;
#[cfg(feature = "cli")]
pub(crate) mod echo;
#[cfg(feature = "cli")]
pub(crate) mod git;
#[cfg(feature = "cli")]
pub(crate) mod keys;
#[cfg(any(feature = "lambda", feature = "testing"))]
pub(crate) mod lambda;
#[cfg(feature = "cli")]
pub(crate) mod lint;
#[cfg(feature = "cli")]
pub(crate) mod node;
#[cfg(feature = "cli")]
mod peer;
pub(crate) mod postgres;
#[cfg(feature = "cli")]
pub(crate) mod probe;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
mod sockets;
#[cfg(feature = "cli")]
pub(crate) mod ssh;
#[cfg(feature = "cli")]
mod ssh_config;
#[cfg(feature = "cli")]
mod ssh_launch;
#[cfg(feature = "cli")]
mod ssh_mux;
#[cfg(feature = "cli")]
mod ssh_words;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
#[cfg(feature = "cli")]
mod terminals;
