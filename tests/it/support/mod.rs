//! Real services for tests, started on first use and ended with the test binary.

pub(crate) mod postgres;
pub(crate) mod relay;
