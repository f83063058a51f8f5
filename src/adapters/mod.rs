//! Plumbing: the only homes of foreign crates. Adapters translate; they never decide.

#[cfg(feature = "cli")]
pub(crate) mod clock;
pub(crate) mod postgres;
#[cfg(feature = "cli")]
pub(crate) mod process;
#[cfg(feature = "cli")]
pub(crate) mod terminal;
