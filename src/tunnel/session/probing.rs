//! Asking the databases behind the link who they are, and what follows from their answers.

use super::{Note, Session};
use crate::tunnel::generation::{Blocked, Generation, Verdict};
use crate::tunnel::machine::Event;
use crate::tunnel::{Absence, ProbeError, ProbeReport, Unusable, identify, judge};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A database that was paused may take this long to wake up.
const FIRST_PROBE_LIMIT: Duration = Duration::from_secs(15);
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// What a database answered, or why it could not be asked.
pub(super) type Asked = Result<Result<ProbeReport, ProbeError>, Blocked>;

impl Session {
    /// Asks although a question is under way, which may wait for a packet that was lost and is sent again much later.
    pub(super) fn probe_anew(&mut self, target: usize) {
        let id = self.generation.as_ref().map(|generation| generation.id);
        self.probing.retain(|probe| Some(probe.0) != id || probe.1 != target);
        self.probe(target);
    }

    pub(super) fn probe(&mut self, target: usize) {
        let Some(generation) = self.generation.clone() else { return };
        let Some(wanted) = self.spec.targets.get(target) else { return };
        if self.probing.contains(&(generation.id, target)) {
            return;
        }
        self.probing.push((generation.id, target));
        let known = generation.verdict(target) == Verdict::Trusted;
        let limit = if known { PROBE_LIMIT } else { FIRST_PROBE_LIMIT };
        let (host, ca_file) = (wanted.host.clone(), self.spec.ca_file.clone());
        let (probe, notes) = (self.tools.probe.clone(), self.notes.clone());
        let began = Instant::now();
        tokio::spawn(async move {
            // Clients that have their answer already need not wait until the database has told whether it takes sessions.
            let wanted = Mutex::new(None);
            let goes_on = |report: &ProbeReport| {
                let is_wanted = identify(report, &host).is_ok();
                if is_wanted {
                    generation.judge(target, Verdict::Trusted);
                    *wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
                }
                is_wanted
            };
            let asked = async {
                let passage = generation.connect(target).await?;
                Ok(probe.probe(passage.stream, &host, &ca_file, &goes_on).await)
            };
            let result = timeout(limit, asked).await.unwrap_or_else(|_| {
                // It was slow, and has said who it is.
                let report = wanted.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(report.ok_or(ProbeError::Silent { limit }))
            });
            let _ = notes.send(Note::Probed { id: generation.id, target, began, result });
        });
    }

    /// The machine looks at the link and then at the writer, so a reader is asked here.
    pub(super) fn doubt(&mut self, target: usize, cause: &str) {
        self.happened(Event::Suspicion { cause: cause.to_owned() });
        if target > 0 {
            self.probe(target);
        }
    }

    /// A probe is back: what the database answered, or why it could not be asked.
    pub(super) fn asked(&mut self, id: u64, target: usize, began: Instant, result: Asked) {
        self.probing.retain(|probe| *probe != (id, target));
        if let Some(generation) = self.current(id) {
            match result {
                Ok(result) => self.probed(&generation, target, began, result),
                // A database cannot be judged by an ssh that is not there.
                Err(Blocked::NoSocket) => self.unreachable(id),
                // The end of ssh is told on its own, with ssh's last words.
                Err(Blocked::Ended) => {}
                Err(Blocked::Busy) => self.probed(&generation, target, began, Err(ProbeError::Busy)),
            }
        }
        self.answer_those_who_wait();
    }

    fn probed(
        &mut self,
        generation: &Generation,
        target: usize,
        began: Instant,
        result: Result<ProbeReport, ProbeError>,
    ) {
        let Some(wanted) = self.spec.targets.get(target) else { return };
        let found = judge(&result, &wanted.host);
        if matches!(found, Err(Unusable::Down { .. })) && generation.has_answered_since(target, began) {
            return;
        }
        match &found {
            Ok(_) => {
                generation.judge(target, Verdict::Trusted);
                if generation.answered(target, began) {
                    self.probe(target);
                }
            }
            Err(Unusable::Foreign(_)) => generation.judge(target, Verdict::Foreign),
            // A database that was trusted and is down stays trusted: what comes back is asked again.
            Err(Unusable::Down { .. }) => {}
        }
        if let Some(refusals) = self.tools.refusals.get(target) {
            match &found {
                Ok(_) | Err(Unusable::Foreign(_)) => refusals.ended(),
                Err(Unusable::Down { absence: Absence::Refused | Absence::Unready, .. }) => {
                    refusals.refused(self.spec.hold());
                }
                Err(Unusable::Down { .. }) => {}
            }
        }
        if let Err(Unusable::Down { .. }) = &found {
            self.knock_again(target);
        }
        if found.as_ref().is_ok_and(|(_, round_trip)| self.growth.measured(*round_trip)) {
            self.probe(target);
        }
        if let (Ok(_), Ok(report), 0) = (&found, &result, target) {
            self.writer_seen(report, began);
        }
        self.snapshot.send_modify(|snapshot| snapshot.probed(target, &found));
        if target == 0 {
            self.happened(match found {
                Ok(_) => Event::WriterUp,
                Err(Unusable::Foreign(foreign)) => Event::WriterForeign(foreign),
                Err(Unusable::Down { cause, absence }) => Event::WriterDown { cause, absence },
            });
        }
    }

    pub(super) fn answer_those_who_wait(&mut self) {
        let id = self.generation.as_ref().map(|generation| generation.id);
        if !self.probing.iter().any(|(probed, _)| Some(*probed) == id) {
            for done in self.waiting_for_probes.drain(..) {
                let _ = done.send(());
            }
        }
    }
}
