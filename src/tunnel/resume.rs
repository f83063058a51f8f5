//! The ssh that a killed supervisor has left, in use again.

use super::{Link, LinkError, LinkRequest, LinkSpec, Ssh, SupervisorSpec};
use async_trait::async_trait;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// An ssh whose first link has been there before.
pub(super) struct Resuming {
    ssh: Arc<dyn Ssh>,
    left: Mutex<Option<(LinkRequest, Arc<dyn Link>)>>,
}

impl Resuming {
    /// Looks for an ssh that leads where this specification does, in a folder that nobody else may enter.
    pub(super) async fn look(ssh: Arc<dyn Ssh>, spec: &SupervisorSpec, folder: &Path) -> Self {
        let mut left = None;
        if let Some(link) = spec.link.clone() {
            let request = LinkRequest { link, targets: spec.targets.clone(), folder: folder.to_owned() };
            left = ssh.resume(&request).await.map(|link| (request, link));
        }
        Self { ssh, left: Mutex::new(left) }
    }

    /// The process that goes on.
    pub(super) fn pid(&self) -> Option<u32> {
        self.left().as_ref().and_then(|(_, link)| link.pid())
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Option<(LinkRequest, Arc<dyn Link>)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ssh for Resuming {
    async fn open(&self, request: &LinkRequest) -> Result<Arc<dyn Link>, LinkError> {
        let left = self.left().take();
        match left {
            Some((led, link)) if led.leads_as(request) => return Ok(link),
            Some((_, link)) => link.close().await,
            None => {}
        }
        self.ssh.open(request).await
    }

    async fn resume(&self, request: &LinkRequest) -> Option<Arc<dyn Link>> {
        self.ssh.resume(request).await
    }

    async fn reachable(&self, link: &LinkSpec) -> bool {
        self.ssh.reachable(link).await
    }
}
