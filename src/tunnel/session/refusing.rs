//! A database that takes no sessions is asked again and again while clients wait for it.

use super::{Note, Session};

impl Session {
    /// A client was refused, or waits because others were.
    pub(super) fn refused(&mut self, target: usize) {
        if !self.knocks.contains(&target) {
            self.probe(target);
        }
    }

    /// A client of a reader was answered, which is asked by nobody else.
    pub(super) fn reader_answered(&mut self, target: usize) {
        if self.tools.refusals.get(target).is_some_and(|refusals| refusals.go_on()) {
            self.probe(target);
        }
    }

    /// The database was asked, and takes no sessions.
    pub(super) fn knock_again(&mut self, target: usize) {
        let Some(pause) = self.tools.refusals.get(target).and_then(|refusals| refusals.pause()) else { return };
        if !self.knocks.contains(&target) {
            self.knocks.push(target);
            self.later(pause, Note::KnockDue { target });
        }
    }

    pub(super) fn knock(&mut self, target: usize) {
        self.knocks.retain(|other| *other != target);
        if self.tools.refusals.get(target).is_some_and(|refusals| refusals.pause().is_some()) {
            self.probe(target);
        }
    }
}
