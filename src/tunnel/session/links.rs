//! One link after the other: opening, taking into use, and ending.

use super::{Note, Session};
use crate::tunnel::generation::Generation;
use crate::tunnel::lanes::Lane;
use crate::tunnel::report::Snapshot;
use crate::tunnel::{Link, LinkError, LinkRequest};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often a link that is out of use is asked whether its connections can still end, and for how long.
const LOOK_AFTER_RETIRED: Duration = Duration::from_secs(20);
/// sshd before 10.1 has Nagle on until its first session, which holds back what it says second for a whole round trip:
/// that shall be the session and the readers, and not the writer's probe that everybody waits for.
const AFTER_PROBE: Duration = Duration::from_millis(20);
const RETIRED_LIMIT: Duration = Duration::from_secs(15);

impl Session {
    /// With a supervisor before this one everybody's connections have ended.
    pub(in crate::tunnel) fn restarted(&mut self, cause: &str) {
        self.machine.restarted(cause.to_owned(), self.tools.clock.now());
    }

    pub(super) fn open(&self, errand: u64) {
        self.start_ssh(move |result| Note::Opened { errand, result });
    }

    /// Starts an ssh; what becomes of it is noted.
    pub(super) fn start_ssh(&self, note: impl FnOnce(Result<Arc<dyn Link>, LinkError>) -> Note + Send + 'static) {
        let Some(link) = self.spec.link.clone() else { return };
        let folder = match (self.folder)() {
            Ok(folder) => folder,
            Err(error) => {
                let _ = self.notes.send(note(Err(LinkError::Failed { said: error.to_string() })));
                return;
            }
        };
        let request = LinkRequest { link, targets: self.spec.targets.clone(), folder };
        let (ssh, notes) = (self.tools.ssh.clone(), self.notes.clone());
        tokio::spawn(async move {
            let _ = notes.send(note(ssh.open(&request).await));
        });
    }

    pub(super) fn adopt(&mut self, link: Arc<dyn Link>) {
        let id = self.errand;
        let generation = Arc::new(Generation::new(id, self.spec.targets.len()));
        self.growth.begin_generation();
        self.healing.forget_trouble();
        self.add_lane(&generation, link.clone());
        let notes = self.notes.clone();
        tokio::spawn(async move {
            sleep(AFTER_PROBE).await;
            let _ = notes.send(Note::Noted { id, notes: link.notes().await });
        });
        self.generation = Some(generation);
        self.snapshot.send_modify(Snapshot::forget_targets);
        self.later(AFTER_PROBE, Note::ReadersDue { id });
    }

    pub(super) fn retire(&mut self, at_once: bool) {
        let Some(generation) = self.generation.take() else { return };
        self.retired.retain(|old| old.strong_count() > 0);
        self.retired.push(Arc::downgrade(&generation));
        // What it measured is no truth about its successor.
        self.snapshot.send_modify(Snapshot::forget_targets);
        for lane in generation.lanes.all() {
            lane.link.disown();
            let generation = generation.clone();
            tokio::spawn(async move {
                if !at_once {
                    finished(&lane).await;
                }
                lane.link.close().await;
                drop(generation);
            });
        }
    }
}

/// Ends when the last connection through a lane that is out of use has ended, or none of them can go on. An ssh whose
/// bastion is gone ends by itself (keepalive); one that is stopped would never.
pub(super) async fn finished(lane: &Lane) {
    loop {
        tokio::select! {
            () = lane.idle() => return,
            () = lane.link.closed() => return,
            () = sleep(LOOK_AFTER_RETIRED) => {}
        }
        if !lane.link.answers(RETIRED_LIMIT).await {
            return;
        }
    }
}
