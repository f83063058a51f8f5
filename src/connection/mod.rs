//! How a database is reached and as whom: one [`Connection`] value feeds `env`, `migrate` and every probe.
//!
//! Also the secret's shapes and the text that shells can `eval`.

mod compose;
mod database_url;
mod error;
mod model;
mod render;
mod secret;

pub use compose::{Endpoint, Login, Role, compose};
pub use database_url::UrlError;
pub use error::ConnectionError;
pub use model::{Connection, Tls};
pub use render::{LIBPQ_NAMES, ShellKind, Variable, libpq_variables, posix_quote, render, unset};
pub use secret::{DatabaseSecret, Password, SecretStore};
