//! The one integration binary. `sealed` commands run in this process with fakes; real services come with their tests.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, the functions around it included")]

mod config;
mod database;
mod ledger;
mod migrate;
mod shells;
mod support;
mod tidy;
