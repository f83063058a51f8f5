//! PostgreSQL through tokio-postgres, with rustls: the only home of both.

mod answer;
mod blockers;
mod cancel;
mod catalog;
mod catalog_sql;
mod connect;
mod error;
mod ledger;
mod migrations;
#[cfg(feature = "cli")]
mod scratch;
mod side_tables;

pub(crate) use catalog::PostgresCatalog;
pub(crate) use migrations::PostgresMigrations;
#[cfg(feature = "cli")]
pub(crate) use scratch::PostgresScratch;
