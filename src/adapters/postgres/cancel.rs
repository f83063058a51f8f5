use crate::migrate::Interrupt;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::{CancelToken, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a request to cancel may take. The server answers nothing, and a user who pressed Ctrl-C waits for it.
const LIMIT: Duration = Duration::from_secs(2);

/// Asks the server, over a connection of its own, to end what a session is doing (PostgreSQL documentation, 55.2.8
/// "Canceling Requests in Progress").
#[derive(Clone)]
pub(super) struct Cancel {
    pub(super) token: CancelToken,
    pub(super) tls: Option<MakeRustlsConnect>,
}

impl Cancel {
    /// Best effort: the request may come too late, or not at all.
    pub(super) async fn send(self) {
        let sending = async {
            match self.tls {
                Some(tls) => self.token.cancel_query(tls).await,
                None => self.token.cancel_query(NoTls).await,
            }
        };
        let _ = tokio::time::timeout(LIMIT, sending).await;
    }

    /// Sends it when the guard is dropped, unless it is disarmed before.
    pub(super) fn on_drop(self) -> CancelOnDrop {
        CancelOnDrop(Some(self))
    }
}

/// The session that is in use now: another one after a connection was lost.
#[derive(Clone)]
pub(super) struct Current(Arc<Mutex<Cancel>>);

impl Current {
    pub(super) fn new(cancel: Cancel) -> Self {
        Self(Arc::new(Mutex::new(cancel)))
    }

    pub(super) fn replace(&self, cancel: Cancel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cancel;
    }
}

#[async_trait]
impl Interrupt for Current {
    async fn interrupt(&self) {
        let cancel = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cancel.send().await;
    }
}

pub(super) struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        let Some(cancel) = self.0.take() else { return };
        // Dropping cannot await, and the runtime may be on its way out; so a thread does it. It is waited for, because
        // the process may end right behind this.
        let thread = std::thread::Builder::new().spawn(|| {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(cancel.send());
            }
        });
        // Without a thread the server notices by itself that its client is gone; a panic here could be the second one.
        let _ = thread.map(std::thread::JoinHandle::join);
    }
}
