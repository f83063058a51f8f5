//! Whose programs the local ports serve.

use super::story::Story;
use crate::system::{Clock, Processes, SocketUser};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;

/// Every user of the machine can reach a port of 127.0.0.1; this serves the one that the tunnel belongs to, and root.
pub(super) struct Guests {
    pub(super) serves_all_users: bool,
    pub(super) processes: Arc<dyn Processes>,
    pub(super) story: Arc<Story>,
    pub(super) clock: Arc<dyn Clock>,
    /// Users whose refusal has been told.
    pub(super) told: Mutex<BTreeSet<Option<u32>>>,
}

impl Guests {
    /// Whether this connection is served. One whose user the system does not tell is.
    pub(super) fn admit(&self, client: &TcpStream) -> bool {
        if self.serves_all_users {
            return true;
        }
        let (Ok(local), Ok(peer)) = (client.local_addr(), client.peer_addr()) else { return true };
        let Some(SocketUser::Other { uid }) = self.processes.peer_user(local, peer) else { return true };
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(uid) {
            let uid = uid.map(|uid| uid.to_string()).unwrap_or_default();
            let text = format!(
                "closed a connection of another user (uid {uid}); `tunnel.users = \"all\"` of the settings serves all users of this computer"
            );
            self.story.tell(self.clock.now(), &text);
        }
        false
    }
}
