//! PostgreSQL through tokio-postgres, with rustls: the only home of both.

mod cancel;
mod connect;
mod error;
mod ledger;
mod migrations;

pub(crate) use migrations::PostgresMigrations;
