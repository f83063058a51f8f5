//! Whether there is room for a tunnel, asked before there is a bastion for it.

use super::{Control, POLL};
use crate::tunnel::client::{ANSWER_LIMIT, Presence};
use crate::tunnel::ports::{self, Predecessor};
use crate::tunnel::{PortOwnerKind, TargetSpec, TunnelError};
use tokio::time::{Instant, sleep};

impl Control {
    /// Sees whether a tunnel to these could have its ports, before anything is done that only a tunnel needs. What this
    /// one has, or would take over, counts as free.
    ///
    /// # Errors
    /// [`TunnelError::PortBusy`].
    pub async fn check_ports(&self, targets: &[TargetSpec]) -> Result<(), TunnelError> {
        // `up` ends a watchdog that does nothing. Of a supervisor that is gone nothing is left but its specification.
        let gone = || Predecessor { pid: 0, spec_file: self.files().spec(), ports: Vec::new() };
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            let present = match self.settled_presence().await {
                Presence::Absent => None,
                Presence::Ready(_) | Presence::Outdated(_) | Presence::Stale(_) => self.predecessor(),
            };
            let checked = ports::check(targets, self.processes.as_ref(), Some(&present.unwrap_or_else(gone))).await;
            match checked {
                // Ours, perhaps, as in `use_hidden`.
                Err(TunnelError::PortBusy { owner: Some(owner), .. })
                    if owner.kind == PortOwnerKind::Devdb && Instant::now() < limit =>
                {
                    sleep(POLL).await;
                }
                checked => return checked,
            }
        }
    }
}
