//! Rehearsal room: the same sockets with toy pipes (feature `testing`).
//!
//! [`Stage`] seals a whole command in a box: cleared environment, temporary home and project, fixed clock, scripted
//! answers, fake AWS. Its [`Outcome`] is one text: stdout, stderr, exit code.

mod bastion_tools;
mod clock;
mod cloud;
mod cloud_ec2;
mod cloud_inventory;
mod cloud_state;
mod ledger;
mod processes;
mod prompter;
mod stage;
mod tunnel;

pub use bastion_tools::{FakeEcho, FakeKeys, FakeShell};
pub use clock::FixedClock;
pub use cloud::FakeCloud;
pub use cloud_state::MakeError;
pub use ledger::FakeLedger;
pub use processes::FakeProcesses;
pub use prompter::{Answer, ScriptedPrompter};
pub use stage::{FakeTools, Outcome, Stage};
pub use tunnel::{FakeHealer, FakeLink, FakeProbe, FakeSsh};
