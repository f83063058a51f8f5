//! One client connection: held while there is no link, then spliced to the endpoint.

use super::Stream;
use super::carry::carry;
use super::counters::{Count, Counters, Metered};
use super::generation::{Blocked, DEATH_NOTICE, Gate, Generation, Passage, Verdict};
use super::greeting::{Greeting, LONGEST_GREETING, SSL_REQUEST, is_always_answered, is_cancel_request};
use super::lanes::Lane;
use super::refusals::Refusals;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// So many connections may wait at once; a pool that spins must not eat the machine.
pub(super) const MOST_HELD: usize = 512;
/// A greeting is said so often again to databases that refused it or did not answer, while others were answered.
const MOST_REPEATS: u32 = 5;
/// What was closed later than this after it was opened, before anything was said, was no refusal.
const REFUSES_WITHIN: Duration = Duration::from_secs(5);
/// So long may a first answer take before the link is looked at.
const DOUBT_AFTER: Duration = Duration::from_millis(1500);

/// What connections tell the owner of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    /// A client of this target waits in vain.
    Doubt(usize, &'static str),
    /// A client has an answer from this target, which nobody has identified yet.
    Unidentified(usize),
    /// A client waits for a link.
    Held,
    /// This target has refused a client, who waits for it.
    Refused(usize),
    /// The generation with this id cannot be reached any more, although its ssh lives.
    NoSocket(u64),
    /// This target, which is known, has answered a new client.
    Answered(usize),
    /// This target has ended a connection that a client would have gone on with.
    Ended(usize),
}

/// A client's connection.
pub(super) trait Client: Stream {
    /// As another process may take it over; nothing of it may be under way.
    fn into_socket(self) -> Option<OwnedFd>;
}

impl Client for TcpStream {
    fn into_socket(self) -> Option<OwnedFd> {
        self.into_std().ok().map(OwnedFd::from)
    }
}

/// A client that waits for a link, as it is given to another supervisor, where its patience begins anew.
pub(super) struct Waiting {
    pub(super) socket: OwnedFd,
    pub(super) greeting: Greeting,
}

/// What all connections share.
pub(super) struct Hub {
    /// Where those go that wait, once another supervisor has the ports.
    pub(super) successor: watch::Receiver<Option<mpsc::UnboundedSender<Waiting>>>,
    pub(super) gate: watch::Receiver<Gate>,
    pub(super) hold: Duration,
    /// One for each target, as the next ones are.
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) refusals: Vec<Arc<Refusals>>,
    pub(super) held: Arc<AtomicUsize>,
    pub(super) remarks: mpsc::UnboundedSender<Remark>,
}

enum Attempt {
    /// With it comes what tells that the target is another instance by now.
    Answered(Passage, watch::Receiver<Option<Instant>>),
    /// The generation is gone; nothing was answered, so the next one may be asked.
    GenerationGone,
    /// This ssh is of no use, takes nobody just now, or led to where nobody answers, although the target does by now: it
    /// may be another instance. The same generation may lead there.
    Elsewhere,
    /// The database takes no connections just now.
    Refused,
    /// The client left, or the database ended it.
    Over,
}

/// Serves one client, who may have said something already, until it or the database ends, or it is another
/// supervisor's.
pub(super) async fn serve<S: Client>(client: S, mut greeting: Greeting, target: usize, hub: Arc<Hub>) {
    let Some(counters) = hub.counters.get(target).cloned() else { return };
    let Some(refusals) = hub.refusals.get(target) else { return };
    counters.arrived();
    let mut client = Metered::new(client, counters.clone());
    let mut gate = hub.gate.clone();
    let deadline = Instant::now() + hub.hold;
    let mut last = 0;
    // A database that is starting up would take the connection, and then send the client away.
    let mut is_refused = refusals.are_worth_a_wait(hub.hold);
    loop {
        let waited = hold(&mut client, &mut greeting.bytes, &mut gate, last, is_refused, target, &hub);
        let Ok(Some(generation)) = timeout_at(deadline, waited).await else {
            let successor = hub.successor.borrow().clone();
            if let Some((successor, socket)) = successor.zip(client.into_inner().into_socket()) {
                let _ = successor.send(Waiting { socket, greeting });
            }
            return;
        };
        (last, is_refused) = (generation.id, false);
        let open = counters.count(Count::Open);
        let connected = Instant::now();
        match attempt(&mut client, &mut greeting, &mut gate, &generation, target, &hub, deadline).await {
            Attempt::Answered(passage, mut moves) => {
                // Nobody else is told it, and connections last for days.
                drop(greeting);
                tokio::select! {
                    () = splice(&mut client, passage, target, &hub) => {}
                    // The old instance may be gone without a word, or answer as if nothing had happened and be read-only.
                    Ok(_) = moves.wait_for(|since| since.is_some_and(|since| connected < since)) => {}
                }
                return;
            }
            Attempt::GenerationGone => drop(open),
            Attempt::Refused if greeting.repeats == MOST_REPEATS => return,
            Attempt::Refused => {
                greeting.repeats += 1;
                (last, is_refused) = (generation.id.saturating_sub(1), true);
            }
            // The wait for a generation is none, when the same one is asked again.
            Attempt::Elsewhere if Instant::now() >= deadline => return,
            Attempt::Elsewhere => last = generation.id.saturating_sub(1),
            Attempt::Over => return,
        }
    }
}

/// Carries bytes both ways until both sides have ended.
async fn splice<S: Stream>(client: &mut Metered<S>, mut passage: Passage, target: usize, hub: &Hub) {
    let seat = &passage.seat;
    let ended = || {
        if seat.has_client() {
            let _ = hub.remarks.send(Remark::Ended(target));
        }
    };
    let _ = carry(client, &mut passage.stream, || seat.client_left(), ended).await;
}

/// Waits for a generation newer than `last`, and for the target where it is known to take no sessions, listening to the
/// client meanwhile; `None` when waiting is pointless.
async fn hold<S: Stream>(
    client: &mut S,
    greeting: &mut Vec<u8>,
    gate: &mut watch::Receiver<Gate>,
    last: u64,
    is_refused: bool,
    target: usize,
    hub: &Hub,
) -> Option<Arc<Generation>> {
    let (counters, refusals) = (hub.counters.get(target)?, hub.refusals.get(target)?);
    let mut waits = is_refused && !is_cancel_request(greeting);
    let newer = |gate: &Gate, waits: bool| match gate {
        Gate::Open(generation) if generation.id > last && !waits => Some(Some(generation.clone())),
        Gate::Closed => Some(None),
        Gate::Open(_) | Gate::Wait => None,
    };
    if let Some(decided) = newer(&gate.borrow_and_update(), waits) {
        return decided;
    }
    let slot = Slot::take(&hub.held)?;
    let held = counters.count(Count::Held);
    let mut successor = hub.successor.clone();
    let _ = hub.remarks.send(Remark::Held);
    // It counts before the session is told, which asks again only for those who wait.
    let waiting = waits.then(|| refusals.wait());
    if waits {
        let _ = hub.remarks.send(Remark::Refused(target));
    }
    let over = refusals.over(hub.hold);
    tokio::pin!(over);
    let found = loop {
        tokio::select! {
            changed = gate.changed() => changed.ok()?,
            () = &mut over, if waits => waits = false,
            more = listen(client, greeting), if greeting.len() < LONGEST_GREETING => {
                if !more {
                    return None;
                }
                // Whoever cancels waits for it, and the query may run elsewhere.
                waits &= !is_cancel_request(greeting);
            }
            Ok(_) = successor.wait_for(Option::is_some) => return None,
        }
        if let Some(decided) = newer(&gate.borrow_and_update(), waits) {
            break decided;
        }
    };
    drop((slot, held, waiting));
    found
}

/// Reads more of the greeting; false when the client has left.
async fn listen<S: Stream>(client: &mut S, greeting: &mut Vec<u8>) -> bool {
    greeting.reserve_exact(2048);
    client.read_buf(greeting).await.is_ok_and(|count| count > 0)
}

/// Carries the greeting to the endpoint until its first answer. Nothing that a database says but its yes to TLS
/// reaches the client before its certificate was seen: a reconnect may end at another machine than before.
///
/// The yes tells nothing of who says it, and saves the client a round trip; what a client says next holds no secret. If
/// the generation ends there, the next database is asked for its own yes, and then told the same.
async fn attempt<S: Stream>(
    client: &mut S,
    greeting: &mut Greeting,
    gate: &mut watch::Receiver<Gate>,
    generation: &Generation,
    target: usize,
    hub: &Hub,
    deadline: Instant,
) -> Attempt {
    let Some(mut moves) = generation.moves(target) else { return Attempt::Over };
    let mut passage = match generation.connect(target).await {
        Ok(passage) => passage,
        Err(blocked) => {
            let remark = match blocked {
                Blocked::Ended => return Attempt::GenerationGone,
                Blocked::NoSocket => Remark::NoSocket(generation.id),
                Blocked::Busy => Remark::Doubt(target, "ssh's socket takes no connection"),
            };
            let _ = hub.remarks.send(remark);
            // Hundreds that were held are let go in the same moment, and ssh takes a hundred: the others come again.
            return if blocked == Blocked::Busy { Attempt::Elsewhere } else { Attempt::GenerationGone };
        }
    };
    let (upstream, lane) = (&mut passage.stream, passage.seat.lane());
    let remark_answer = || {
        let is_known = generation.verdict(target) != Verdict::Pending;
        let _ = hub.remarks.send(if is_known { Remark::Answered(target) } else { Remark::Unidentified(target) });
    };
    let began = Instant::now();
    let mut may_repeat = greeting.repeats < MOST_REPEATS;
    let mut said = 0;
    let mut has_agreed = false;
    let mut answer = vec![0; 1024];
    let mut doubted = None;
    let doubt = sleep(DOUBT_AFTER);
    tokio::pin!(doubt);
    let first = loop {
        // PostgreSQL takes nothing behind an SSLRequest before it has answered that.
        let sayable = if greeting.was_told_yes && !has_agreed { SSL_REQUEST.len() } else { greeting.bytes.len() };
        if said < sayable {
            if upstream.write_all(&greeting.bytes[said..sayable]).await.is_err() {
                let heard = (&greeting.bytes[..said], has_agreed, began);
                return ended_early(heard, lane, target, hub).await;
            }
            said = sayable;
        }
        let is_heard = said > 0 && !(has_agreed && said == SSL_REQUEST.len());
        tokio::select! {
            read = upstream.read(&mut answer) => {
                let Ok(count @ 1..) = read else {
                    let heard = (&greeting.bytes[..said], has_agreed, began);
                    return ended_early(heard, lane, target, hub).await;
                };
                let is_yes = greeting.bytes[..said] == SSL_REQUEST && answer[..count] == *b"S";
                if has_agreed || !is_yes {
                    break count;
                }
                has_agreed = true;
                doubted = None;
                remark_answer();
                doubt.as_mut().reset(Instant::now() + DOUBT_AFTER);
                if !greeting.was_told_yes && client.write_all(b"S").await.is_err() {
                    return Attempt::Over;
                }
                greeting.was_told_yes = true;
            },
            more = listen(client, &mut greeting.bytes), if greeting.bytes.len() < LONGEST_GREETING => {
                if !more {
                    return Attempt::Over;
                }
            }
            () = replaced(gate, generation.id) => return Attempt::GenerationGone,
            () = lane.set_aside() => return Attempt::Elsewhere,
            Ok(()) = moves.changed() => return Attempt::Elsewhere,
            () = later_answer(generation, target, doubted), if may_repeat && greeting.asks_for_encryption() => {
                // Past the deadline there is nothing better than to go on waiting.
                may_repeat = Instant::now() < deadline;
                if may_repeat {
                    greeting.repeats += 1;
                    return Attempt::Elsewhere;
                }
            }
            () = &mut doubt, if is_heard => {
                // Once more after a while: a question that was put before counts for nothing.
                doubt.as_mut().reset(Instant::now() + DOUBT_AFTER);
                doubted = Some(generation.doubted(target));
                let _ = hub.remarks.send(Remark::Doubt(target, "a client gets no answer"));
            }
        }
    };
    if !has_agreed {
        remark_answer();
        if greeting.was_told_yes {
            // This database has no TLS, and the client is in the middle of it.
            return Attempt::Over;
        }
    }
    let trusted = tokio::select! {
        trusted = timeout_at(deadline, generation.trusted(target)) => trusted.unwrap_or(false),
        () = replaced(gate, generation.id) => return Attempt::GenerationGone,
    };
    if !trusted || client.write_all(&answer[..first]).await.is_err() {
        return Attempt::Over;
    }
    Attempt::Answered(passage, moves)
}

/// Ends when a probe was answered that was sent after this client's doubt; never where there is none.
async fn later_answer(generation: &Generation, target: usize, doubted: Option<Instant>) {
    match doubted {
        Some(moment) => generation.answers_since(target, moment).await,
        None => std::future::pending().await,
    }
}

/// The end of a connection without more of an answer than the yes to TLS: what was said, whether there was the yes, and
/// when it began.
async fn ended_early(heard: (&[u8], bool, Instant), lane: &Lane, target: usize, hub: &Hub) -> Attempt {
    let (said, has_agreed, began) = heard;
    let is_no_death = async {
        if !lane.link.lives().await {
            sleep(DEATH_NOTICE).await;
        }
    };
    tokio::select! {
        () = lane.link.closed() => Attempt::Elsewhere,
        // Whoever tries again and again while a database starts is not to lose time here.
        () = is_no_death => {
            if is_cancel_request(said) {
                return Attempt::Over;
            }
            let _ = hub.remarks.send(Remark::Doubt(target, "the database closed a connection without a word"));
            let is_at_once = !said.is_empty() || began.elapsed() < REFUSES_WITHIN;
            let is_refused = !has_agreed && is_at_once && is_always_answered(said);
            let is_worth_it = || hub.refusals.get(target).is_some_and(|refusals| refusals.refused(hub.hold));
            if is_refused && is_worth_it() { Attempt::Refused } else { Attempt::Over }
        }
    }
}

/// Ends when new connections no longer go to this generation.
async fn replaced(gate: &mut watch::Receiver<Gate>, id: u64) {
    let other = |gate: &Gate| gate.generation().is_none_or(|generation| generation.id != id);
    // An error means that the supervisor is stopping, which is a replacement by nothing.
    let _ = gate.wait_for(other).await;
}

struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(held: &'a AtomicUsize) -> Option<Self> {
        let taken = held.fetch_update(Relaxed, Relaxed, |count| (count < MOST_HELD).then_some(count + 1));
        taken.ok().map(|_| Self(held))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
