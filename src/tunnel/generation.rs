use super::BoxStream;
use super::lanes::{Lane, Lanes, Seat};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// A dead ssh master is noticed within a millisecond; what ends before that was ended by somebody else.
pub(super) const DEATH_NOTICE: Duration = Duration::from_millis(250);

/// Whether the database behind a target may be spoken to through this link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pending,
    Trusted,
    Foreign,
}

/// Why a connection could not even reach the local ssh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// ssh has ended; whoever waits for its end has been told.
    Ended,
    /// ssh lives on, but nobody can reach it: its socket is gone (at logout, or by a cleaner), or its mode was changed.
    NoSocket,
    /// Something passing: no file descriptor is free, or ssh's queue is full.
    Busy,
}

/// A connection to a target, with its place on the lane that carries it.
pub(super) struct Passage {
    pub(super) stream: BoxStream,
    pub(super) seat: Seat,
}

/// The ssh masters that were opened for the same way, with what is known of the databases behind them.
pub(super) struct Generation {
    pub(super) id: u64,
    pub(super) lanes: Lanes,
    pub(super) opened: tokio::time::Instant,
    verdicts: Vec<watch::Sender<Verdict>>,
    /// When each target was found to be another instance than before: whoever connected earlier is at the old one.
    moves: Vec<watch::Sender<Option<Instant>>>,
    /// When the last question was put that each target has answered.
    asked: Vec<watch::Sender<Option<Instant>>>,
    /// When a client of each target began to doubt last.
    doubts: Vec<Mutex<Option<Instant>>>,
}

impl Generation {
    pub(super) fn new(id: u64, targets: usize) -> Self {
        Self {
            id,
            lanes: Lanes::default(),
            opened: tokio::time::Instant::now(),
            verdicts: (0..targets).map(|_| watch::Sender::new(Verdict::Pending)).collect(),
            moves: (0..targets).map(|_| watch::Sender::new(None)).collect(),
            asked: (0..targets).map(|_| watch::Sender::new(None)).collect(),
            doubts: (0..targets).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Opens a connection to a target; an error is settled before it is returned. A lane that has ended is no error
    /// as long as there is another.
    pub(super) async fn connect(&self, target: usize) -> Result<Passage, Blocked> {
        let mut tried = Vec::new();
        while let Some(seat) = self.lanes.seat(&tried) {
            match connect_on(seat.lane(), target).await {
                Ok(stream) => return Ok(Passage { stream, seat }),
                Err(Blocked::Ended) => tried.push(seat),
                Err(blocked) => return Err(blocked),
            }
        }
        Err(Blocked::Ended)
    }

    pub(super) fn judge(&self, target: usize, verdict: Verdict) {
        if let Some(sender) = self.verdicts.get(target) {
            sender.send_replace(verdict);
        }
    }

    pub(super) fn verdict(&self, target: usize) -> Verdict {
        self.verdicts.get(target).map_or(Verdict::Foreign, |sender| *sender.borrow())
    }

    /// Waits until the target is judged; true when it may be spoken to.
    pub(super) async fn trusted(&self, target: usize) -> bool {
        let Some(sender) = self.verdicts.get(target) else { return false };
        let mut verdicts = sender.subscribe();
        let judged = verdicts.wait_for(|verdict| *verdict != Verdict::Pending).await;
        judged.is_ok_and(|verdict| *verdict == Verdict::Trusted)
    }

    /// The target is another instance: whoever connected before `since` is to leave the old one.
    pub(super) fn moved(&self, target: usize, since: Instant) {
        if let Some(moves) = self.moves.get(target) {
            moves.send_replace(Some(since));
        }
    }

    /// The target answered what it was asked then; true when somebody has begun to doubt meanwhile.
    pub(super) fn answered(&self, target: usize, asked: Instant) -> bool {
        let (Some(sender), Some(doubt)) = (self.asked.get(target), self.doubts.get(target)) else { return false };
        // An earlier question may be answered later.
        sender.send_modify(|last| *last = (*last).max(Some(asked)));
        doubt.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|doubt| doubt > asked)
    }

    /// A question that was put later than at this moment has been answered.
    pub(super) fn has_answered_since(&self, target: usize, moment: Instant) -> bool {
        self.asked.get(target).is_some_and(|asked| asked.borrow().is_some_and(|asked| asked > moment))
    }

    /// A client of this target got no answer until now.
    pub(super) fn doubted(&self, target: usize) -> Instant {
        let now = Instant::now();
        if let Some(doubt) = self.doubts.get(target) {
            *doubt.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        now
    }

    /// Ends when the target has answered a question that was put then or later.
    pub(super) async fn answers_since(&self, target: usize, moment: Instant) {
        let Some(sender) = self.asked.get(target) else { return };
        let _ = sender.subscribe().wait_for(|asked| asked.is_some_and(|asked| asked >= moment)).await;
    }

    /// Changes when the target becomes another instance than it is now.
    pub(super) fn moves(&self, target: usize) -> Option<watch::Receiver<Option<Instant>>> {
        self.moves.get(target).map(watch::Sender::subscribe)
    }
}

async fn connect_on(lane: &Lane, target: usize) -> Result<BoxStream, Blocked> {
    if let Ok(stream) = lane.link.connect(target).await {
        return Ok(stream);
    }
    tokio::select! {
        () = lane.link.closed() => return Err(Blocked::Ended),
        () = sleep(DEATH_NOTICE) => {}
    }
    // A queue that was full is empty again; it refuses on macOS, as a socket does on which nobody listens any more.
    lane.link.connect(target).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => Blocked::NoSocket,
        _ => Blocked::Busy,
    })
}

/// What a new connection meets.
#[derive(Clone)]
pub(super) enum Gate {
    /// There is no link; wait.
    Wait,
    Open(Arc<Generation>),
    /// Waiting would not help.
    Closed,
}

impl Gate {
    pub(super) fn is_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wait, Self::Wait) | (Self::Closed, Self::Closed) => true,
            (Self::Open(one), Self::Open(another)) => one.id == another.id,
            _ => false,
        }
    }

    pub(super) fn generation(&self) -> Option<&Arc<Generation>> {
        match self {
            Self::Open(generation) => Some(generation),
            Self::Wait | Self::Closed => None,
        }
    }
}
