//! The one integration binary. `sealed` commands run in this process with fakes; real services come with their tests.

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, the functions around it included")]

mod bastion;
mod bastion_contract;
mod bastion_convergence;
mod bastion_crash;
mod bastion_defects;
mod bastion_extend;
mod bastion_gc;
mod bastion_lifetime;
mod bastion_others;
mod bastion_plan;
mod bastion_refusals;
mod bastion_rig;
mod bastion_user_data;
mod bastion_verbs;
mod config;
mod database;
mod discovery;
mod doctor;
mod env;
mod files;
mod git_honest;
mod git_hostile;
mod help;
mod hints;
mod lambda;
#[cfg(feature = "lambda")]
mod lambda_failures;
#[cfg(feature = "lambda")]
mod lambda_program;
#[cfg(feature = "lambda")]
mod lambda_waking;
mod ledger;
mod login;
mod migrate;
mod migrate_check;
mod migrate_import;
mod migrate_journal;
mod migrate_lint;
mod migrate_progress;
mod migrate_sync;
mod ports_first;
mod processes;
mod prompter;
mod readme;
#[cfg(feature = "aws")]
mod sandbox;
#[cfg(feature = "aws")]
mod sandbox_crash;
#[cfg(feature = "aws")]
mod sandbox_defects;
#[cfg(feature = "aws")]
mod sandbox_discovery;
#[cfg(feature = "aws")]
mod sandbox_doctor;
#[cfg(feature = "aws")]
mod sandbox_faults;
#[cfg(feature = "aws")]
mod sandbox_instance;
#[cfg(feature = "aws")]
mod sandbox_lambda;
#[cfg(feature = "aws")]
mod sandbox_people;
#[cfg(feature = "aws")]
mod sandbox_permissions;
#[cfg(feature = "aws")]
mod sandbox_refusals;
#[cfg(feature = "aws")]
mod sandbox_runbook;
#[cfg(feature = "aws")]
mod sandbox_supervisor;
#[cfg(feature = "aws")]
mod sandbox_token;
#[cfg(feature = "aws")]
mod sandbox_tunnel;
#[cfg(feature = "aws")]
mod sandbox_wrap;
#[allow(dead_code, reason = "each test binary needs a part of it")]
mod support;
mod terminal;
mod tidy;
mod trust;
mod tunnel_seams;
mod whole;
mod wrap;
