//! PostgreSQL through tokio-postgres, with rustls: the only home of both.

mod answer;
mod batch;
mod blockers;
mod cancel;
#[cfg(feature = "cli")]
mod catalog;
#[cfg(feature = "cli")]
mod catalog_sql;
mod connect;
mod error;
mod index;
mod ledger;
mod links;
mod migrations;
mod named;
mod notices;
mod pooler;
#[cfg(feature = "cli")]
mod scratch;
mod side_tables;

#[cfg(feature = "cli")]
pub(crate) use catalog::PostgresCatalog;
pub(crate) use migrations::PostgresMigrations;
#[cfg(feature = "cli")]
pub(crate) use scratch::PostgresScratch;
