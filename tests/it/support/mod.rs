//! Real services for the tests that need them.

pub(crate) mod database;
#[cfg(feature = "aws")]
pub(crate) mod laptop;
pub(crate) mod postgres;
pub(crate) mod relay;
pub(crate) mod sshd;
pub(crate) mod world;
