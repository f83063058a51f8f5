//! How a database is reached and as whom: one [`Connection`] value feeds `env`, `migrate` and every probe.
//!
//! Also the secret's shapes and the text that shells can `eval`.

mod compose;
mod database_url;
mod dotenv;
mod error;
mod model;
mod parameters;
mod pgadmin;
mod render;
mod secret;
mod secret_text;
mod token;
mod variables;

pub use compose::{Endpoint, Login, Role, compose, compose_with_token};
pub use error::{ConnectionError, Setting, UrlError};
pub use model::{ChannelBinding, Connection, Demands, Tls, WantedServer};
pub use pgadmin::{PgAdminServer, pgadmin_servers};
pub use render::{ShellKind, is_quoted_in_dotenv, render, unset};
pub use secret::{DatabaseSecret, Password, SecretContent, SecretFault, SecretStore};
pub use token::{TokenLogin, TokenSigner};
pub use variables::{ClientKind, Variable, variables, verification};
