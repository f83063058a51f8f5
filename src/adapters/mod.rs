//! Plumbing: the only homes of foreign crates. Adapters translate; they never decide.

#[cfg(feature = "cli")]
pub(crate) mod clock;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
