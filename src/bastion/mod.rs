//! The bastion: observe what stands, plan what is missing, apply it step by step, report.
//!
//! - [`up`], [`down`], [`allow`], [`gc_all`] and [`status`] are the procedures; [`plan_up`], [`plan_down`],
//!   [`plan_allow`] and [`plan_gc`] decide and are pure.
//! - [`Cloud`], [`Shell`], [`AddressEcho`] and [`KeyMaker`] are the seams.
//! - [`ImportKeyPair`](Cloud::import_key_pair) is the first mutation and the lock between two laptops;
//!   [`Turn`] is the lock between two runs on one.
//! - Nothing is adopted or touched that lacks our tags with the same project, environment, owner and principal, and none
//!   of it is in the way: names that are taken are given up, and the rest is told.

mod access;
mod allow;
mod apply;
mod cidr;
mod console;
mod error;
mod filling;
mod gone;
mod launch;
mod lifetime;
mod local;
mod login;
mod mend;
mod model;
mod observe;
mod placement;
mod plan;
mod plan_down;
mod plan_gc;
mod procedure;
mod reach;
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
pub use allow::{AllowPlan, allow, observe_allow, plan_allow};
pub use cidr::Cidr;
pub use console::Console;
pub use error::BastionError;
pub use filling::Filling;
pub use lifetime::{Extension, Lifetime, extend, observe_lifetime, plan_extend};
pub use local::{Generation, LocalState};
pub use login::{Defect, check_login};
pub use mend::{Beyond, mends};
pub use model::{
    Caller, Direction, Group, Instance, InstanceState, KeyPair, Launch, NewRule, Offer, Place, Rule, RuleSource, Scope,
    Stock, Tags,
};
pub use observe::{Condemned, Observed};
pub use plan::plan_up;
pub use plan_down::plan_down;
pub use plan_gc::{OwnersPart, plan_gc, plan_gc_all, still_left};
pub use procedure::{Workshop, down, gc_all, observe, observe_down, observe_for_up, status, up};
pub use reach::{Reach, reach};
pub use report::{BastionReport, BastionStatus};
pub use seams::{AddressEcho, Cloud, EchoError, KeyMaker, MadeKey, Said, Shell, ShellError};
pub use spec::{BastionSpec, DatabaseSource, Identity, Principal, Site, SiteSubnet};
pub use step::{Event, Plan, PlannedSource, Step};
pub use tags::{EXPIRES_AT, PROJECT, SPEC};
pub use turn::Turn;
pub use user_data::{READY_FILE, UserData, sshd_settings};
