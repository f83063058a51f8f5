//! Real services for the tests that need them.

#[cfg(feature = "aws")]
pub(crate) mod api;
pub(crate) mod database;
pub(crate) mod dice;
pub(crate) mod drivers;
pub(crate) mod exhausted;
pub(crate) mod kysely;
pub(crate) mod lambda;
#[cfg(feature = "aws")]
pub(crate) mod laptop;
pub(crate) mod pgbouncer;
pub(crate) mod policy;
pub(crate) mod postgres;
#[cfg(feature = "aws")]
pub(crate) mod pulse;
pub(crate) mod readers;
pub(crate) mod relay;
pub(crate) mod sshd;
pub(crate) mod terminal;
#[cfg(feature = "aws")]
pub(crate) mod trial;
pub(crate) mod world;
