//! The bastion: observe what stands, plan what is missing, apply it step by step, report.
//!
//! - [`up`], [`down`] and [`status`] are the procedures; [`plan_up`] and [`plan_down`] decide and are pure.
//! - [`Cloud`], [`Shell`], [`AddressEcho`] and [`KeyMaker`] are the seams.
//! - [`ImportKeyPair`](Cloud::import_key_pair) is the first mutation and the lock between two laptops;
//!   [`Turn`] is the lock between two runs on one.
//! - Nothing is adopted or touched that lacks our tags with the same project, environment and owner.

mod access;
mod apply;
mod cidr;
mod error;
mod local;
mod mend;
mod model;
mod observe;
mod plan;
mod plan_down;
mod procedure;
mod ready;
mod report;
mod seams;
mod spec;
mod step;
mod tags;
mod template;
mod turn;
mod user_data;

pub use access::{ACCESS_FILE, BastionAccess, SSH_CONFIG_FILE};
pub use cidr::Cidr;
pub use error::BastionError;
pub use local::{Generation, LocalState};
pub use mend::{Beyond, mends};
pub use model::{
    Caller, Direction, Group, Instance, InstanceState, KeyPair, Launch, NewRule, Offer, Place, Rule, RuleSource, Scope,
    Tags,
};
pub use observe::Observed;
pub use plan::plan_up;
pub use plan_down::plan_down;
pub use procedure::{Workshop, down, observe_down, observe_up, status, up};
pub use report::{BastionReport, BastionStatus};
pub use seams::{AddressEcho, Cloud, EchoError, KeyMaker, MadeKey, Shell, ShellError};
pub use spec::{BastionSpec, DatabaseSource, Identity, Principal, Site, SiteSubnet};
pub use step::{Event, Plan, PlannedSource, Step};
pub use tags::{EXPIRES_AT, SPEC};
pub use turn::Turn;
pub use user_data::{READY_FILE, UserData, sshd_settings};
