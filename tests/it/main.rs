//! The one integration binary. `sealed` commands run in this process with fakes; real services come with their tests.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

mod config;
mod database;
mod ledger;
mod migrate;
mod shells;
mod support;
mod tidy;
