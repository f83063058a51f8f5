//! Nameplate: flags, `DEVDB_…` variables, `devdb.local.toml`, `devdb.toml` and defaults become [`Settings`],
//! each value with its [`Origin`].
//!
//! Layers, strongest first: flag > variable > `devdb.local.toml` (personal) > `devdb.toml` (committed) > default.
//! What the stack tells (VPC, cluster, secret) is discovered later and only where nothing is set here.

mod error;
mod file;
mod keys;
mod paths;
mod profiles;
mod resolve;
mod settings;
mod value;

pub use error::ConfigError;
pub use file::{COMMITTED_FILE, PERSONAL_FILE, find_upwards};
pub use keys::{KEYS, Key, Kind, Scope};
pub use paths::StateDir;
pub use profiles::{ProfileFinding, SignIn, diagnose_profile};
pub use resolve::{Request, Resolved, resolve};
pub use settings::{
    Alias, BastionSettings, DatabaseRule, EnvironmentKind, MigrationSettings, ProjectName, Settings, SshSettings,
    Transport, TunnelSettings,
};
pub use value::{Entry, Origin, Value};
