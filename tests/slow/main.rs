//! Tests that nobody waits for after each edit: dozens of real servers, every spelling, hundreds of kills.
//!
//! `cargo test --test slow` runs them, and so does the gate; `cargo test` alone does not (`test = false`).

#![expect(clippy::disallowed_methods, reason = "tests start real programs")]
#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, the functions around it included")]

mod addresses;
mod bastion_ssh;
mod children;
mod clients;
mod completions;
mod deny;
mod hostile_scene;
mod hostile_terminal;
mod hostile_text;
mod import;
mod import_cases;
mod kysely;
mod lambda_deadline;
mod lambda_zip;
mod migrate_alone;
mod migrate_bad_input;
mod migrate_crash;
mod migrate_kinds;
mod migrate_kysely_cases;
mod migrate_locked;
mod migrate_plan;
mod migrate_rehearsal;
mod migrate_reports;
mod migrate_runs;
mod month;
mod odd_homes;
mod permission_calls;
mod permissions;
mod probe;
mod readers_fuzz;
mod repair_cases;
mod repair_links;
mod repair_moments;
mod repair_seeded;
mod schema;
mod shells;
#[allow(dead_code, reason = "each test binary needs a part of it")]
#[path = "../it/support/mod.rs"]
mod support;
mod templates;
mod tls;
mod tunnel;
mod tunnel_carried;
mod tunnel_guests;
mod tunnel_killed;
mod tunnel_robust;
mod tunnel_stale;
mod tunnel_succession;
