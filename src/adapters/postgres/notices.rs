//! What the server says beside its answers, told to the code that waits for the answer it belongs to.

use super::answer::Answer;
use super::error::in_session;
use crate::migrate::Notice;
use crate::system::DatabaseError;
use futures_util::{FutureExt, StreamExt};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::error::DbError;

/// One notice; the session goes on when the other half of the channel is dropped.
type Call = (DbError, oneshot::Sender<()>);

/// Where a session's notices go: to one listener at a time, and nowhere without one.
#[derive(Clone, Default)]
pub(super) struct Notices(Arc<Mutex<Option<mpsc::UnboundedSender<Call>>>>);

impl Notices {
    /// Comes back when the listener has placed the notice. Until then no later answer is handed out, so the first answer
    /// that has not ended is the one that the notice belongs to.
    pub(super) async fn tell(&self, notice: DbError) {
        let (heard, wait) = oneshot::channel();
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if sender.is_some_and(|sender| sender.send((notice, heard)).is_ok()) {
            let _ = wait.await;
        }
    }

    pub(super) fn listen(&self) -> Listener {
        let (sender, calls) = mpsc::unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Listener { notices: self.clone(), calls, held: None }
    }
}

/// Takes answers in the order of their requests, and the notices between them.
pub(super) struct Listener {
    notices: Notices,
    calls: mpsc::UnboundedReceiver<Call>,
    /// A notice that belongs to the first answer that has not ended.
    held: Option<Call>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        *self.notices.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Listener {
    /// Waits for the end of one answer. Every answer before it has ended.
    ///
    /// # Errors
    /// The server's, and those of the connection.
    pub(super) async fn hear(
        &mut self,
        answer: &mut Answer,
        on_notice: &mut (dyn FnMut(Notice) + Send),
    ) -> Result<(), DatabaseError> {
        loop {
            let next = if self.held.is_some() {
                match answer.0.next().now_or_never() {
                    Some(next) => next,
                    None => {
                        // Dropping the call lets the session go on.
                        self.held.take().into_iter().for_each(|(notice, _)| on_notice(translated(&notice)));
                        continue;
                    }
                }
            } else {
                tokio::select! {
                    biased;
                    next = answer.0.next() => next,
                    Some(call) = self.calls.recv() => {
                        self.held = Some(call);
                        continue;
                    }
                }
            };
            match next {
                None => return Ok(()),
                // Rows are nothing to a migration.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(in_session(error)),
            }
        }
    }
}

fn translated(notice: &DbError) -> Notice {
    Notice {
        severity: notice.severity().to_owned(),
        code: notice.code().code().to_owned(),
        message: notice.message().to_owned(),
        detail: notice.detail().map(str::to_owned),
        hint: notice.hint().map(str::to_owned),
    }
}
