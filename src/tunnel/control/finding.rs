//! Finding the supervisor, also one that is just about to be there.

use super::{Control, POLL};
use crate::tunnel::client::{ANSWER_LIMIT, Presence};
use crate::tunnel::watchdog::Watchdog;
use tokio::time::{Instant, sleep};

impl Control {
    /// Finds the supervisor.
    pub async fn presence(&self) -> Presence {
        Presence::of(&self.files()).await
    }

    /// As [`Self::presence`], but gives a watchdog the time to start the supervisor again.
    pub(super) async fn presence_soon(&self) -> Presence {
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.presence().await {
                Presence::Absent if Instant::now() < limit && self.watchdog().exists() => sleep(POLL).await,
                presence => return presence,
            }
        }
    }

    /// The same, and a supervisor that is just starting the time to open its socket.
    pub(super) async fn settled_presence(&self) -> Presence {
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.presence_soon().await {
                Presence::Stale(_) if Instant::now() < limit => sleep(POLL).await,
                presence => return presence,
            }
        }
    }

    pub(super) fn watchdog(&self) -> Watchdog<'_> {
        Watchdog { processes: self.processes.as_ref(), spec_file: self.files().spec() }
    }
}
