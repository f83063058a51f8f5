//! Nameplate: flags, `DEVDB_…` variables, `devdb.local.toml`, `devdb.toml` and defaults become [`Settings`],
//! each value with its [`Origin`].
//!
//! Layers, strongest first: flag > variable > `devdb.local.toml` (personal) > `devdb.toml` (committed) > default.
//! What the stack tells (VPC, cluster, secret) is discovered later and only where nothing is set here.

mod claim;
mod error;
mod file;
mod frozen;
mod keys;
mod load;
mod paths;
mod profiles;
mod resolve;
mod search;
mod settings;
mod trust;
mod value;

pub use claim::{Claim, ClaimedValue};
pub use error::ConfigError;
pub use file::{COMMITTED_FILE, PERSONAL_FILE};
pub use frozen::{freeze, thaw};
pub use keys::{KEYS, Key, Kind, Scope};
pub use load::{Tracking, claim};
pub use paths::StateDir;
pub use profiles::{ProfileFinding, SignIn, diagnose_profile};
pub use resolve::{Request, Resolved, resolve};
pub use settings::{
    Alias, BastionSettings, DatabaseRule, EnvironmentKind, MigrationSettings, ProjectName, Settings, SshSettings,
    Transport, TunnelSettings,
};
pub use trust::{Standing, TRUSTED_CONFIG, TrustStore};
pub use value::{Entry, Origin, Value};
