//! The world below the workshops: time, processes, and the words for what AWS refuses.
//!
//! What others wrote is made fit for a screen (`shown`) and for a command line (`typed`) here, and nowhere else.
//!
//! Sleeping needs no seam (tokio's paused time serves tests); wall-clock time and processes do.

mod clock;
mod cloud_error;
mod database_error;
#[cfg(feature = "cli")]
mod descriptors;
#[cfg(feature = "cli")]
mod git;
mod hex;
mod plain_file;
#[cfg(feature = "cli")]
mod private_file;
mod processes;
mod reached;
mod shown;
mod together;
mod typed;
mod variables;

pub use clock::Clock;
pub use cloud_error::CloudError;
pub use database_error::{DatabaseError, ServerError, TlsError};
#[cfg(feature = "cli")]
pub use descriptors::{MOST_DESCRIPTORS, receive_descriptors, send_descriptors};
#[cfg(feature = "cli")]
pub use git::{git, work_tree};
pub use hex::hex;
pub use plain_file::{Links, PlainFileError, oddity, read_plain, write_plain};
#[cfg(feature = "cli")]
pub use private_file::{append_private, write_private};
pub use processes::{
    Captured, Child, ProcessError, ProcessInfo, Processes, SocketState, SocketUser, SpawnSpec, TcpSocket,
};
pub use reached::Reached;
pub use shown::{barred, is_unseen, json_visible, one_line, visible};
pub use together::together;
pub use typed::{shell_word, single_quoted, toml_key, toml_text};
pub use variables::Gets;
