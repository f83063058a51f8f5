//! A batch of migrations on its way to the server: messages are sent ahead of their answers, but never more than a few
//! megabytes of them.

use super::answer::{Answer, failure};
use super::connect::Session;
use super::error::in_session;
use super::notices::Listener;
use crate::migrate::{BatchError, FailedAt, Notice, Stage, Told};
use std::collections::VecDeque;

/// How many bytes may be under way without an answer.
const WINDOW: usize = 4 << 20;

/// What a message is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The part and the stage.
    Part(FailedAt),
    /// What concerns all parts, or the transaction.
    Whole,
}

/// The messages that the server has not answered yet, in order.
pub(super) struct Batch<'a> {
    session: &'a Session,
    listener: Listener,
    told: &'a mut (dyn FnMut(Told) + Send),
    under_way: VecDeque<(Purpose, usize, Answer)>,
    bytes: usize,
    /// Where parts are complete, in order.
    last_stages: VecDeque<FailedAt>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(session: &'a Session, told: &'a mut (dyn FnMut(Told) + Send)) -> Self {
        let listener = session.notices.listen();
        Self { session, listener, told, under_way: VecDeque::new(), bytes: 0, last_stages: VecDeque::new() }
    }

    /// Sends a message, as soon as the server has answered enough of the earlier ones.
    ///
    /// # Errors
    /// The first failure of an earlier message; nothing more may be sent then but the end of the transaction.
    pub(super) async fn send(&mut self, purpose: Purpose, sql: &str) -> Result<(), BatchError> {
        while self.bytes > 0 && self.bytes + sql.len() > WINDOW {
            self.hear().await?;
        }
        let answer = self.session.client.simple_query_raw(sql).await;
        let answer = answer.map_err(|error| failure(None, in_session(error)))?;
        self.bytes += sql.len();
        self.under_way.push_back((purpose, sql.len(), Answer(Box::pin(answer))));
        Ok(())
    }

    /// The part is complete with the message that was sent last.
    pub(super) fn complete(&mut self) {
        if let Some((Purpose::Part(at), ..)) = self.under_way.back() {
            self.last_stages.push_back(*at);
        }
    }

    async fn finish(&mut self) -> Result<(), BatchError> {
        while !self.under_way.is_empty() {
            self.hear().await?;
        }
        Ok(())
    }

    /// Takes the oldest answer.
    async fn hear(&mut self) -> Result<(), BatchError> {
        let Some((purpose, bytes, mut answer)) = self.under_way.pop_front() else { return Ok(()) };
        let told = &mut *self.told;
        let mut on_notice = |notice: Notice| {
            if let Purpose::Part(at) = purpose {
                told(Told::Notice { at, notice });
            }
        };
        let outcome = self.listener.hear(&mut answer, &mut on_notice).await;
        self.bytes -= bytes;
        let at = match purpose {
            Purpose::Part(at) => Some(at),
            Purpose::Whole => None,
        };
        outcome.map_err(|error| failure(at, error))?;
        if at.is_some() && at == self.last_stages.front().copied() {
            self.last_stages.pop_front();
            at.into_iter().for_each(|at| (self.told)(Told::Finished { part: at.part }));
        }
        Ok(())
    }

    /// Commits where all was sent, and waits for all answers. Ends the transaction in any case.
    ///
    /// # Errors
    /// The first failure, be it that of the commit itself, such as that of a deferred constraint.
    pub(super) async fn end(mut self, sent: Result<(), BatchError>) -> Result<(), BatchError> {
        let outcome = match sent {
            // After an error the server takes it as a rollback (PostgreSQL documentation, "COMMIT").
            Ok(()) => match self.send(Purpose::Whole, "commit").await {
                Ok(()) => self.finish().await,
                failed => failed,
            },
            failed => failed,
        };
        let Err(failure) = outcome else { return Ok(()) };
        let session = self.session;
        // The session waits for the listener where a notice has not been heard.
        drop(self);
        let _ = session.client.simple_query("rollback").await;
        Err(failure)
    }
}

/// A stage of a part.
pub(super) fn at(part: usize, stage: Stage) -> Purpose {
    Purpose::Part(FailedAt { part, stage })
}
