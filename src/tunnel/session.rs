//! The one owner of the ssh session: everybody else sends it messages.

mod healing;
mod knocking;
mod lanes;
mod links;
mod moving;
mod probing;
mod refusing;

use super::counters::Counters;
use super::generation::{Gate, Generation};
use super::lanes::Lane;
use super::machine::{Action, Event, Machine};
use super::refusals::Refusals;
use super::report::Snapshot;
use super::serve::Remark;
use super::story::sentence;
use super::{
    BastionNotes, HealReport, Healer, Link, LinkError, Probe, Ssh, Story, SupervisorSpec, TunnelError, TunnelState,
};
use crate::system::Clock;
use healing::Healing;
use jiff::Timestamp;
use knocking::Hurry;
use lanes::Growth;
use moving::Whereabouts;
use probing::Asked;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, sleep};

const CHECK_LIMIT: Duration = Duration::from_millis(2500);
/// After a sleep the link is more likely dead than not, and somebody is about to use it.
const WOKEN_CHECK_LIMIT: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(500);
/// Ticks that come this much too late mean that the machine, or this process, stood still.
const SLEPT: Duration = Duration::from_secs(5);

/// What the session is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Take up this specification; the answer is false when only a new supervisor can.
    Use { spec: Box<SupervisorSpec>, done: oneshot::Sender<bool> },
    /// Replace the link; answered when the old one is out of use, so that nobody takes its `up` for the new one's.
    Restart { cause: String, done: oneshot::Sender<()> },
    /// Ask every database once more; answered when all have been asked.
    Probe { done: oneshot::Sender<()> },
    /// New connections are not served any more; those that run may finish.
    Drain,
    /// End every link, and return.
    Stop,
}

/// What its own errands report back.
enum Note {
    Due { errand: u64 },
    Reachable { errand: u64 },
    ReadersDue { id: u64 },
    Noted { id: u64, notes: Option<BastionNotes> },
    Healed(HealReport),
    Opened { errand: u64, result: Result<Arc<dyn Link>, LinkError> },
    LaneOpened { id: u64, result: Result<Arc<dyn Link>, LinkError> },
    LaneEnded { id: u64, lane: Arc<Lane> },
    Checked { id: u64, answers: bool, silent: Vec<Arc<Lane>> },
    LookDue { series: u64 },
    ProbeDue { id: u64, appointment: u64 },
    KnockDue { target: usize },
    Probed { id: u64, target: usize, began: Instant, result: Asked },
}

pub(super) struct Tools {
    pub(super) ssh: Arc<dyn Ssh>,
    pub(super) probe: Arc<dyn Probe>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) story: Arc<Story>,
    /// Clients that wait for a link.
    pub(super) held: Arc<AtomicUsize>,
    /// One for each target.
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) refusals: Vec<Arc<Refusals>>,
    pub(super) healer: Arc<dyn Healer>,
}

/// Gives the private folder for sockets; it may have to be made again, or lie elsewhere by now.
pub(super) type Folder = Box<dyn Fn() -> Result<PathBuf, TunnelError> + Send + Sync>;

pub(super) struct Session {
    spec: SupervisorSpec,
    folder: Folder,
    tools: Tools,
    machine: Machine,
    gate: watch::Sender<Gate>,
    snapshot: watch::Sender<Snapshot>,
    generation: Option<Arc<Generation>>,
    retired: Vec<Weak<Generation>>,
    /// Every lane that was opened and may live, those that are out of use included.
    lanes: Vec<Weak<Lane>>,
    /// The only errand whose link is wanted; an older one's is closed when it arrives.
    errand: u64,
    /// The errand that has been begun; the newest one waits for its time as long as this is an older one.
    begun: u64,
    hurry: Hurry,
    knocking: JoinSet<()>,
    healing: Healing,
    growth: Growth,
    whereabouts: Whereabouts,
    /// When the present trouble began.
    trouble: Option<Timestamp>,
    check_limit: Duration,
    /// The only pending probe that counts; otherwise every `status` would begin a series of its own.
    appointment: u64,
    probing: Vec<(u64, usize)>,
    /// Targets that are asked again after a pause, because somebody waits for them.
    knocks: Vec<usize>,
    waiting_for_probes: Vec<oneshot::Sender<()>>,
    notes: mpsc::UnboundedSender<Note>,
    inbox: mpsc::UnboundedReceiver<Note>,
}

impl Session {
    pub(super) fn new(
        spec: SupervisorSpec,
        folder: Folder,
        tools: Tools,
        gate: watch::Sender<Gate>,
        snapshot: watch::Sender<Snapshot>,
    ) -> Self {
        let machine = Machine::new(tools.clock.now(), super::Backoff::default());
        let (notes, inbox) = mpsc::unbounded_channel();
        Self {
            spec,
            folder,
            tools,
            machine,
            gate,
            snapshot,
            generation: None,
            retired: Vec::new(),
            lanes: Vec::new(),
            errand: 0,
            begun: 0,
            hurry: Hurry::default(),
            knocking: JoinSet::new(),
            healing: Healing::default(),
            growth: Growth::default(),
            whereabouts: Whereabouts::default(),
            trouble: None,
            check_limit: CHECK_LIMIT,
            appointment: 0,
            probing: Vec::new(),
            knocks: Vec::new(),
            waiting_for_probes: Vec::new(),
            notes,
            inbox,
        }
    }

    /// Runs until it is told to stop; afterwards no link is left.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut remarks: mpsc::UnboundedReceiver<Remark>,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_tick = self.tools.clock.now();
        self.happened(Event::Started);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop) | None => return self.stop().await,
                    Some(command) => self.obey(command),
                },
                Some(note) = self.inbox.recv() => self.note(note),
                Some(remark) = remarks.recv() => match remark {
                    Remark::Doubt(target, cause) => self.doubt(target, cause),
                    Remark::Unidentified(target) => self.probe(target),
                    Remark::Refused(target) => self.refused(target),
                    Remark::NoSocket(id) => self.unreachable(id),
                    Remark::Answered(0) => self.writer_answered(),
                    Remark::Ended(0) => self.look_out(),
                    Remark::Answered(reader) => self.reader_answered(reader),
                    Remark::Ended(_) => {}
                    Remark::Held => self.hurry(),
                },
                _ = tick.tick() => {
                    let now = self.tools.clock.now();
                    let late = now.duration_since(last_tick).unsigned_abs().saturating_sub(TICK);
                    last_tick = now;
                    if late > SLEPT {
                        let cause = format!("the machine stood still for {} s", late.as_secs());
                        self.check_limit = WOKEN_CHECK_LIMIT;
                        self.happened(Event::Suspicion { cause });
                    }
                    self.consider_healing();
                    self.consider_lanes();
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Use { spec, done } => {
                let ports = |spec: &SupervisorSpec| -> Vec<(String, u16)> {
                    spec.targets.iter().map(|target| (target.name.clone(), target.local_port)).collect()
                };
                let fits = ports(&spec) == ports(&self.spec)
                    && spec.hold_ms == self.spec.hold_ms
                    && spec.serves_all_users == self.spec.serves_all_users
                    && spec.link.is_some() == self.spec.link.is_some();
                let changed = !spec.leads_as(&self.spec);
                if fits {
                    self.spec = *spec;
                }
                if changed {
                    self.tools.refusals.iter().for_each(|refusals| refusals.ended());
                }
                if fits && (changed || self.machine.state == TunnelState::Failed) {
                    let cause = if changed { "the way to the database has changed" } else { "asked to try again" };
                    self.restart(cause.to_owned());
                }
                // Whoever says this has just looked at the way, or mended it.
                self.hurry();
                let _ = done.send(fits);
            }
            Command::Restart { cause, done } => {
                self.restart(cause);
                let _ = done.send(());
            }
            Command::Probe { done } => {
                for target in 0..self.spec.targets.len() {
                    self.probe(target);
                }
                self.waiting_for_probes.push(done);
                self.answer_those_who_wait();
            }
            Command::Drain => self.happened(Event::StopAsked),
            Command::Stop => {}
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Due { errand } if errand == self.errand => self.begin(),
            Note::Reachable { errand } if errand == self.errand => self.open(errand),
            Note::Noted { id, notes } if self.current(id).is_some() => {
                self.snapshot.send_modify(|snapshot| snapshot.noted(notes));
            }
            Note::Opened { errand, result } if errand == self.errand => match result {
                Ok(link) => {
                    self.adopt(link);
                    self.happened(Event::LinkOpened);
                }
                Err(error) => self.happened(Event::LinkFailed(error)),
            },
            Note::Opened { result: Ok(link), .. } => {
                tokio::spawn(async move { link.close().await });
            }
            Note::Due { .. } | Note::Reachable { .. } | Note::Noted { .. } | Note::Opened { .. } => {}
            Note::LaneOpened { id, result } => self.lane_opened(id, result),
            Note::LaneEnded { id, lane } => self.lane_ended(id, &lane),
            Note::Checked { id, answers, silent } => {
                let Some(generation) = self.current(id) else { return };
                self.lanes_silent(&generation, silent);
                let lived = generation.opened.elapsed();
                if generation.lanes.all().is_empty() {
                    // The one that answered has ended meanwhile, beside others that were just taken out.
                    return self.happened(Event::LinkLost { end: super::LinkEnd::Other { said: None }, lived });
                }
                self.happened(if answers { Event::LinkAnswers } else { Event::LinkSilent { lived } });
            }
            Note::ProbeDue { id, appointment } if appointment == self.appointment && self.current(id).is_some() => {
                self.probe(0);
            }
            Note::ProbeDue { .. } => {}
            Note::KnockDue { target } => self.knock(target),
            Note::LookDue { series } => self.look(series),
            Note::ReadersDue { id } => {
                if self.current(id).is_some() {
                    (1..self.spec.targets.len()).for_each(|reader| self.probe(reader));
                }
            }
            Note::Healed(report) => self.healed(report),
            Note::Probed { id, target, began, result } => self.asked(id, target, began, result),
        }
    }

    /// The link is of no use to anybody new; what runs through it may finish.
    fn unreachable(&mut self, id: u64) {
        let Some(generation) = self.current(id) else { return };
        self.happened(Event::LinkUnreachable { lived: generation.opened.elapsed() });
    }

    /// The present generation, if it is this one.
    fn current(&self, id: u64) -> Option<Arc<Generation>> {
        self.generation.clone().filter(|generation| generation.id == id)
    }

    fn happened(&mut self, event: Event) {
        let before = (self.machine.state, self.machine.cause.clone());
        let now = self.tools.clock.now();
        let actions = self.machine.on(event, now, random());
        let after = (self.machine.state, self.machine.cause.clone());
        if after != before {
            let lasted = self.trouble.map(|since| now.duration_since(since));
            self.tools.story.tell(now, &sentence(after.0, after.1.as_deref(), lasted));
            match after.0 {
                TunnelState::Up => self.trouble = None,
                _ if before.0 == TunnelState::Up => self.trouble = Some(now),
                _ => {}
            }
        }
        let mut next_attempt = None;
        for action in actions {
            match action {
                Action::OpenLink { after } => {
                    self.errand += 1;
                    self.knocking.abort_all();
                    let after = self.pause(after);
                    next_attempt = Some(Instant::now() + after);
                    self.later(after, Note::Due { errand: self.errand });
                }
                Action::Probe { after } => {
                    if let Some(id) = self.generation.as_ref().map(|generation| generation.id) {
                        self.appointment += 1;
                        self.later(after, Note::ProbeDue { id, appointment: self.appointment });
                    }
                }
                Action::CheckLink => self.check_link(),
                Action::RetireLink => self.retire(false),
                Action::CloseLink => self.retire(true),
            }
        }
        self.publish(next_attempt);
    }

    fn publish(&mut self, next_attempt: Option<Instant>) {
        let gate = match (self.machine.state, &self.generation) {
            (TunnelState::Failed | TunnelState::Stopping, _) => Gate::Closed,
            (_, Some(generation)) => Gate::Open(generation.clone()),
            (_, None) => Gate::Wait,
        };
        // Hundreds may wait at it.
        self.gate.send_if_modified(|before| {
            let is_another = !before.is_the_same(&gate);
            *before = gate;
            is_another
        });
        self.snapshot.send_modify(|snapshot| {
            snapshot.take(&self.machine, &self.spec);
            snapshot.next_attempt = next_attempt;
        });
        self.show_masters();
    }

    fn later(&self, after: Duration, note: Note) {
        let notes = self.notes.clone();
        if after.is_zero() {
            let _ = notes.send(note);
            return;
        }
        tokio::spawn(async move {
            sleep(after).await;
            let _ = notes.send(note);
        });
    }

    fn check_link(&mut self) {
        let limit = std::mem::replace(&mut self.check_limit, CHECK_LIMIT);
        let Some(generation) = self.generation.clone() else { return };
        let notes = self.notes.clone();
        tokio::spawn(async move {
            let (answers, silent) = generation.lanes.answers(limit).await;
            let _ = notes.send(Note::Checked { id: generation.id, answers, silent });
        });
    }

    async fn stop(&mut self) {
        self.knocking.abort_all();
        self.generation = None;
        let lanes = self.lanes.drain(..).filter_map(|lane| lane.upgrade());
        let closing: Vec<_> = lanes.map(|lane| tokio::spawn(async move { lane.link.close().await })).collect();
        for closed in closing {
            let _ = closed.await;
        }
    }
}

/// A number in `0..1`. The hasher's seed is the standard library's own source of randomness.
fn random() -> f64 {
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (number >> 11) as f64 / (1_u64 << 53) as f64
}
