use crate::tunnel::{
    BastionNotes, BoxStream, GoesOn, HealOutcome, HealReport, HealSpec, Healer, HostName, Link, LinkEnd, LinkError,
    LinkRequest, LinkSpec, Probe, ProbeError, ProbeReport, Ssh, Stream,
};
use async_trait::async_trait;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An ssh whose links lead to an echo in this process. Refusals are scripted; a link can be killed or frozen.
#[derive(Default)]
pub struct FakeSsh {
    refusals: Mutex<VecDeque<LinkError>>,
    links: Mutex<Vec<Arc<FakeLink>>>,
    /// Links open only as long as this is set.
    closed_for_now: AtomicBool,
    only_one: Mutex<Option<Duration>>,
}

impl FakeSsh {
    /// The next attempts fail like this.
    pub fn refuse(&self, errors: impl IntoIterator<Item = LinkError>) {
        locked(&self.refusals).extend(errors);
    }

    /// While set, every attempt times out.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.closed_for_now.store(unreachable, SeqCst);
    }

    /// As a bastion that ends every ssh as soon as another one connects, which is ready so much later.
    pub fn allow_only_one(&self, pause: Duration) {
        *locked(&self.only_one) = Some(pause);
    }

    /// Every link that was ever opened, in order.
    pub fn links(&self) -> Vec<Arc<FakeLink>> {
        locked(&self.links).clone()
    }
}

#[async_trait]
impl Ssh for FakeSsh {
    async fn open(&self, request: &LinkRequest) -> Result<Arc<dyn Link>, LinkError> {
        if let Some(refusal) = locked(&self.refusals).pop_front() {
            return Err(refusal);
        }
        if self.closed_for_now.load(SeqCst) {
            return Err(LinkError::TimedOut { said: "Connection timed out".to_owned() });
        }
        let pause = *locked(&self.only_one);
        if let Some(pause) = pause {
            self.links().iter().for_each(|link| link.kill());
            tokio::time::sleep(pause).await;
        }
        let link = Arc::new(FakeLink::new(request.targets.iter().map(|target| target.endpoint()).collect()));
        locked(&self.links).push(link.clone());
        Ok(link)
    }

    async fn resume(&self, request: &LinkRequest) -> Option<Arc<dyn Link>> {
        let endpoints: Vec<_> = request.targets.iter().map(|target| target.endpoint()).collect();
        let mut links = self.links().into_iter().rev();
        let is_left = |link: &Arc<FakeLink>| !*link.dead.borrow() && !link.is_disowned.load(SeqCst);
        let living = links.find(|link| link.endpoints == endpoints && is_left(link))?;
        Some(living)
    }

    async fn reachable(&self, _link: &LinkSpec) -> bool {
        !self.closed_for_now.load(SeqCst)
    }
}

/// A link that answers every byte with the same byte.
pub struct FakeLink {
    endpoints: Vec<String>,
    dead: watch::Sender<bool>,
    frozen: AtomicBool,
    socket_gone: AtomicBool,
    is_disowned: AtomicBool,
    refusals: AtomicUsize,
    hangs_up: AtomicBool,
    lingers: Mutex<Duration>,
    carries: Arc<AtomicUsize>,
}

impl FakeLink {
    /// Whoever says this gets it back, and then the server ends the connection.
    pub const LAST_WORD: &[u8] = b"terminate";

    /// Whoever says this is told `S`.
    pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

    pub(crate) fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            dead: watch::Sender::new(false),
            frozen: AtomicBool::new(false),
            socket_gone: AtomicBool::new(false),
            is_disowned: AtomicBool::new(false),
            refusals: AtomicUsize::new(0),
            hangs_up: AtomicBool::new(false),
            lingers: Mutex::default(),
            carries: Arc::default(),
        }
    }

    /// As SIGKILL of the ssh master.
    pub fn kill(&self) {
        self.dead.send_replace(true);
    }

    /// As a link that is cut silently: everything is accepted, nothing is answered.
    pub fn freeze(&self) {
        self.frozen.store(true, SeqCst);
    }

    /// The opposite of [`Self::freeze`], for new connections.
    pub fn thaw(&self) {
        self.frozen.store(false, SeqCst);
    }

    /// As a database that reads what it is told and closes without an answer.
    pub fn hang_up(&self) {
        self.hangs_up.store(true, SeqCst);
    }

    /// The opposite of [`Self::hang_up`].
    pub fn take_up(&self) {
        self.hangs_up.store(false, SeqCst);
    }

    /// As a server far away, whose end reaches a client who has left so much later.
    pub fn linger(&self, pause: Duration) {
        *locked(&self.lingers) = pause;
    }

    /// As a cleaner that takes the forward's socket away: ssh and its connections live on.
    pub fn lose_socket(&self) {
        self.socket_gone.store(true, SeqCst);
    }

    /// As an ssh whose queue is full: so many attempts to connect are told to come again.
    pub fn refuse_next(&self, attempts: usize) {
        self.refusals.store(attempts, SeqCst);
    }

    /// How many connections run through it.
    pub fn carries(&self) -> usize {
        self.carries.load(SeqCst)
    }

    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }
}

#[async_trait]
impl Link for FakeLink {
    async fn connect(&self, target: usize) -> std::io::Result<BoxStream> {
        if self.is_dead() || target >= self.endpoints.len() {
            return Err(std::io::ErrorKind::ConnectionRefused.into());
        }
        if self.socket_gone.load(SeqCst) {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        if self.refusals.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let (near, mut far) = tokio::io::duplex(4096);
        let (mut dead, frozen) = (self.dead.subscribe(), self.frozen.load(SeqCst));
        let (hangs_up, lingers) = (self.hangs_up.load(SeqCst), *locked(&self.lingers));
        let carries = self.carries.clone();
        carries.fetch_add(1, SeqCst);
        tokio::spawn(async move {
            let echo = async {
                let mut bytes = [0; 1024];
                while let Ok(count @ 1..) = far.read(&mut bytes).await {
                    if hangs_up {
                        break;
                    }
                    let said = if bytes[..count] == Self::SSL_REQUEST { b"S" } else { &bytes[..count] };
                    if !frozen && far.write_all(said).await.is_err() || said == Self::LAST_WORD {
                        break;
                    }
                }
                tokio::time::sleep(lingers).await;
            };
            tokio::select! {
                () = echo => {}
                _ = dead.wait_for(|dead| *dead) => {}
            }
            carries.fetch_sub(1, SeqCst);
        });
        Ok(Box::new(near))
    }

    async fn closed(&self) {
        let _ = self.dead.subscribe().wait_for(|dead| *dead).await;
    }

    async fn notes(&self) -> Option<BastionNotes> {
        (!self.is_dead()).then_some(BastionNotes { ready: true, deadline: None })
    }

    async fn lives(&self) -> bool {
        !self.is_dead()
    }

    async fn answers(&self, limit: Duration) -> bool {
        if self.frozen.load(SeqCst) {
            tokio::time::sleep(limit).await;
            return false;
        }
        !self.is_dead()
    }

    fn disown(&self) {
        self.is_disowned.store(true, SeqCst);
    }

    async fn close(&self) {
        self.kill();
    }

    fn end(&self) -> LinkEnd {
        LinkEnd::Other { said: Some("killed by the test".to_owned()) }
    }

    fn pid(&self) -> Option<u32> {
        None
    }
}

/// A healer with scripted answers; without one there is nothing to mend.
#[derive(Default)]
pub struct FakeHealer {
    answers: Mutex<VecDeque<HealReport>>,
    visits: AtomicUsize,
    logins: AtomicU64,
}

impl FakeHealer {
    /// Somebody logs in.
    pub fn log_in(&self) {
        self.logins.fetch_add(1, SeqCst);
    }

    pub fn answer(&self, answers: impl IntoIterator<Item = HealReport>) {
        locked(&self.answers).extend(answers);
    }

    pub fn visits(&self) -> usize {
        self.visits.load(SeqCst)
    }
}

#[async_trait]
impl Healer for FakeHealer {
    async fn heal(&self, _spec: &HealSpec) -> HealReport {
        self.visits.fetch_add(1, SeqCst);
        let unchanged = HealReport { outcome: HealOutcome::Unchanged, changes: Vec::new(), cause: None, hint: None };
        locked(&self.answers).pop_front().unwrap_or(unchanged)
    }

    fn credentials(&self, _spec: &HealSpec) -> u64 {
        self.logins.load(SeqCst)
    }
}

/// A probe with scripted answers; without one, the wanted database answers as soon as a byte comes back.
#[derive(Default)]
pub struct FakeProbe {
    thinks: Mutex<Duration>,
    round_trip: Mutex<Option<Duration>>,
    answers: Mutex<VecDeque<Result<ProbeReport, ProbeError>>>,
}

impl FakeProbe {
    /// The database is this far away from now on.
    pub fn move_away(&self, round_trip: Duration) {
        *locked(&self.round_trip) = Some(round_trip);
    }

    pub fn answer(&self, answers: impl IntoIterator<Item = Result<ProbeReport, ProbeError>>) {
        locked(&self.answers).extend(answers);
    }

    /// Every answer takes so long from now on.
    pub fn think(&self, pause: Duration) {
        *locked(&self.thinks) = pause;
    }

    /// What a database with this certificate answers.
    pub fn certificate(name: &str) -> ProbeReport {
        ProbeReport {
            round_trip: Duration::from_millis(12),
            names: vec![name.to_owned()],
            distrust: None,
            unready: None,
        }
    }
}

#[async_trait]
impl Probe for FakeProbe {
    async fn probe(
        &self,
        mut stream: BoxStream,
        host: &HostName,
        _ca: &Path,
        goes_on: &GoesOn<'_>,
    ) -> Result<ProbeReport, ProbeError> {
        let (pause, scripted) = (*locked(&self.thinks), locked(&self.answers).pop_front());
        tokio::time::sleep(pause).await;
        let mut answer = match scripted {
            Some(answer) => answer,
            None => {
                echoes(&mut stream).await.map(|()| Self::certificate(host.as_str())).map_err(|_| ProbeError::Closed)
            }
        };
        if let (Ok(report), Some(round_trip)) = (&mut answer, *locked(&self.round_trip)) {
            report.round_trip = round_trip;
        }
        if let Ok(report) = &answer {
            goes_on(report);
        }
        answer
    }
}

async fn echoes(stream: &mut impl Stream) -> std::io::Result<()> {
    stream.write_all(b"?").await?;
    stream.read_exact(&mut [0]).await.map(|_| ())
}
