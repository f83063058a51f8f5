//! The client's side: finds the supervisor, starts it, talks to it, ends it.

mod finding;
mod room;

pub use finding::status;

use super::client::{self, ANSWER_LIMIT, Client, Presence};
use super::files::{Lock, TunnelFiles};
use super::ports::{self, Predecessor};
use super::protocol::{Reply, Request};
use super::{Obstacle, PortOwnerKind, Probe, SupervisorSpec, TunnelError, TunnelReport, TunnelState};
use super::{direct, orphans, predecessor, read_spec, report, story};
use crate::system::{Gets, Processes, SpawnSpec};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(25);
/// ssh's own connect time-out, twice, and a database that wakes up.
const UP_LIMIT: Duration = Duration::from_secs(45);
/// A supervisor opens its socket at once.
const START_LIMIT: Duration = Duration::from_secs(10);
/// The link works and the database does not take the connection. A rule that devdb puts back, and a server that starts,
/// fit into this; waiting longer seldom helps.
const DATABASE_LIMIT: Duration = Duration::from_secs(15);

/// One environment's tunnel.
pub struct Control {
    pub state_dir: PathBuf,
    /// This program, which is the supervisor as well.
    pub executable: PathBuf,
    pub processes: Arc<dyn Processes>,
    pub probe: Arc<dyn Probe>,
}

/// What has been done, for the caller to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Began {
    Started,
    /// It ran already.
    Reused,
    Restarted,
    /// A supervisor of another release, or one that did not answer, was replaced.
    Replaced,
    /// The route is direct; there is nothing to start.
    NotNeeded,
}

impl Control {
    fn files(&self) -> TunnelFiles {
        TunnelFiles::new(&self.state_dir)
    }

    /// The specification that the last `up` used.
    pub fn last_spec(&self) -> Option<SupervisorSpec> {
        read_spec(&self.files().spec()).ok()
    }

    /// Makes the tunnel be up, and returns when the writer answered end to end.
    ///
    /// # Errors
    /// Port in use, a tunnel that gave up, a tunnel that is not up in time (it keeps trying in the background).
    pub async fn up(
        &self,
        spec: &SupervisorSpec,
        progress: &(dyn Fn(&TunnelReport) + Sync),
    ) -> Result<(Began, TunnelReport), TunnelError> {
        if spec.link.is_none() {
            self.files().write_spec(spec)?;
            let report = direct::report(spec, self.probe.as_ref()).await;
            return if report.is_up() { Ok((Began::NotNeeded, report)) } else { Err(direct::refusal(&report)) };
        }
        let startup = self.startup_lock().await?;
        let began = match self.begin(spec).await {
            Ok(began) => began,
            Err(error) => self.use_hidden(spec, error).await?,
        };
        drop(startup);
        Ok((began, self.wait_until_up(progress).await?))
    }

    async fn begin(&self, spec: &SupervisorSpec) -> Result<Began, TunnelError> {
        match self.settled_presence().await {
            Presence::Ready(client) => self.use_present(client, spec).await,
            Presence::Outdated(_) | Presence::Stale(_) => self.replace(spec).await.map(|()| Began::Replaced),
            Presence::Absent => {
                // One that does nothing, or not soon, holds ports that nobody serves.
                self.watchdog().end_with_what_it_started().await;
                self.launch(spec, false).await.map(|()| Began::Started)
            }
        }
    }

    /// Replaces the link (or the supervisor, where it must be); connections that come meanwhile are held.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub async fn restart(
        &self,
        spec: &SupervisorSpec,
        progress: &(dyn Fn(&TunnelReport) + Sync),
    ) -> Result<(Began, TunnelReport), TunnelError> {
        if spec.link.is_some()
            && let Presence::Ready(mut client) = self.settled_presence().await
            && client.ask(&Request::Restart, ANSWER_LIMIT).await.is_ok()
        {
            return Ok((Began::Restarted, self.wait_until_up(progress).await?));
        }
        self.up(spec, progress).await
    }

    /// Gives a running supervisor this specification; without one, or where only a new one could use it, nothing happens.
    pub async fn hand_over(&self, spec: &SupervisorSpec) -> Result<(), TunnelError> {
        if let Presence::Ready(client) = self.settled_presence().await {
            self.reuse(client, spec).await?;
        }
        Ok(())
    }

    /// Waits until the tunnel is up, whoever starts it; the report is the last one that was seen.
    pub async fn wait(&self, limit: Duration, progress: &(dyn Fn(&TunnelReport) + Sync)) -> TunnelReport {
        let end = Instant::now() + limit;
        loop {
            let report = match self.last_spec().filter(|spec| spec.link.is_none()) {
                Some(spec) => direct::report(&spec, self.probe.as_ref()).await,
                None => client::status(&self.state_dir).await.unwrap_or_else(TunnelReport::stopped),
            };
            // A tunnel that gave up will not come up while one waits.
            if report.is_up() || report.state == TunnelState::Failed || Instant::now() >= end {
                return report;
            }
            progress(&report);
            sleep(POLL * 4).await;
        }
    }

    /// Looks again and again, and shows what it sees. Ends only when showing fails.
    pub async fn watch(
        &self,
        every: Duration,
        show: &mut (dyn FnMut(TunnelReport) -> std::io::Result<()> + Send),
    ) -> std::io::Result<()> {
        loop {
            show(self.status().await)?;
            sleep(every).await;
        }
    }

    /// Ends the supervisor and everything of it; false when there was none.
    pub async fn down(&self) -> Result<bool, TunnelError> {
        let startup = self.startup_lock().await?;
        // First, so that a successor that is waiting for its turn (its `up` was cancelled) finds nothing to do. Without
        // this file a direct route is not reported as configured, either.
        let _ = std::fs::remove_file(self.files().spec());
        let mut ended = false;
        loop {
            // One whose state folder was deleted has a watchdog, and puts itself back within a second.
            match self.settled_presence().await {
                Presence::Absent if !self.watchdog().end_with_what_it_started().await => break,
                Presence::Absent => {}
                Presence::Ready(_) | Presence::Outdated(_) | Presence::Stale(_) => {
                    predecessor::end(&self.files(), self.processes.as_ref()).await?;
                }
            }
            ended = true;
        }
        self.clean_up().await?;
        // A supervisor whose state folder was deleted has put it back meanwhile.
        let _ = std::fs::remove_file(self.files().spec());
        drop(startup);
        Ok(ended)
    }

    /// The whole truth: every database is asked.
    pub async fn status(&self) -> TunnelReport {
        let spec = self.last_spec();
        if let Some(spec) = spec.as_ref().filter(|spec| spec.link.is_none()) {
            return direct::report(spec, self.probe.as_ref()).await;
        }
        let mut report = match self.settled_presence().await {
            Presence::Ready(mut client) | Presence::Outdated(mut client) => {
                match client.status(true).await {
                    Ok(report) => return report,
                    // It takes its time to ask, or was killed; what it or the next one knows is better than nothing.
                    Err(_) => return self.reported().await.unwrap_or_else(TunnelReport::stopped),
                }
            }
            Presence::Stale(holder) => {
                let mut report = TunnelReport::stopped();
                report.cause = Some("the supervisor does not answer".to_owned());
                report.pid = holder.map(|holder| holder.pid);
                report
            }
            Presence::Absent => TunnelReport::stopped(),
        };
        if let Some(spec) = &spec {
            report.targets = report::targets(spec);
            report.bastion = report::bastion(spec);
            report.equivalent = spec.equivalent();
        }
        report
    }

    /// Lets a running supervisor take up the specification; false when only a new one can.
    async fn reuse(&self, mut client: Client, spec: &SupervisorSpec) -> Result<bool, TunnelError> {
        let request = Request::Use { spec: Box::new(spec.clone()) };
        let accepted = matches!(client.ask(&request, ANSWER_LIMIT).await, Ok(Reply::Accepted));
        if accepted {
            self.files().write_spec(spec)?;
        }
        Ok(accepted)
    }

    /// A supervisor whose state folder was deleted holds the port, and puts itself back within a second; another one may
    /// have been faster than ours.
    async fn use_hidden(&self, spec: &SupervisorSpec, error: TunnelError) -> Result<Began, TunnelError> {
        let patience = match &error {
            TunnelError::PortBusy { owner: Some(owner), .. } if owner.kind == PortOwnerKind::Devdb => ANSWER_LIMIT,
            TunnelError::NotStarted { .. } => Duration::ZERO,
            _ => return Err(error),
        };
        let limit = Instant::now() + patience;
        loop {
            if let Presence::Ready(client) = self.presence().await {
                return self.use_present(client, spec).await;
            }
            if Instant::now() >= limit {
                return Err(error);
            }
            sleep(POLL).await;
        }
    }

    async fn use_present(&self, client: Client, spec: &SupervisorSpec) -> Result<Began, TunnelError> {
        if self.reuse(client, spec).await? {
            return Ok(Began::Reused);
        }
        self.replace(spec).await?;
        Ok(Began::Replaced)
    }

    async fn startup_lock(&self) -> Result<Lock, TunnelError> {
        let lock = Lock::take_within(&self.files().startup_lock(), UP_LIMIT).await?;
        lock.ok_or(TunnelError::StartupBusy { seconds: UP_LIMIT.as_secs() })
    }

    /// Starts a supervisor in the place of the one that runs.
    async fn replace(&self, spec: &SupervisorSpec) -> Result<(), TunnelError> {
        self.launch(spec, true).await
    }

    fn predecessor(&self) -> Option<Predecessor> {
        let holder = Lock::holder(&self.files().lock())?;
        let targets = self.last_spec().map(|spec| spec.targets).unwrap_or_default();
        let ports = targets.iter().map(|target| target.local_port).collect();
        Some(Predecessor { pid: holder.pid, spec_file: self.files().spec(), ports })
    }

    /// `succeeds`: the new one ends whoever holds the lock, and takes the ports over.
    async fn launch(&self, spec: &SupervisorSpec, succeeds: bool) -> Result<(), TunnelError> {
        let predecessor = if succeeds { self.predecessor() } else { None };
        ports::check(&spec.targets, self.processes.as_ref(), predecessor.as_ref()).await?;
        self.files().write_spec(spec)?;
        let files = self.files();
        let log = files.log();
        let mut args: Vec<std::ffi::OsString> = ["tunnel", "supervise", "--spec"].map(Into::into).to_vec();
        args.push(files.spec().into());
        args.extend(succeeds.then(|| "--succeed".into()));
        let program = SpawnSpec {
            program: self.executable.clone().into(),
            args,
            gets: Gets::Tunnel,
            cwd: Some("/".into()),
            ..SpawnSpec::default()
        };
        let pid = self.processes.spawn_detached(&program, &log)?;
        let limit = Instant::now() + START_LIMIT + if succeeds { predecessor::LIMIT } else { Duration::ZERO };
        loop {
            if let Presence::Ready(client) = self.presence().await
                && client.pid() == pid
            {
                return Ok(());
            }
            sleep(POLL).await;
            let has_ended = self.processes.find(pid).is_none();
            // Perhaps because another one was faster, whose own `up` was cancelled.
            if has_ended
                && let Presence::Ready(client) = self.settled_presence().await
                && self.reuse(client, spec).await?
            {
                return Ok(());
            }
            if has_ended || Instant::now() >= limit {
                return Err(TunnelError::NotStarted { last: story::last_line(&log), log });
            }
        }
    }

    async fn wait_until_up(&self, progress: &(dyn Fn(&TunnelReport) + Sync)) -> Result<TunnelReport, TunnelError> {
        let started = Instant::now();
        let mut suspect_since = None;
        let mut silent_since = None;
        loop {
            let (report, silence) = match self.presence().await {
                Presence::Ready(mut client) | Presence::Outdated(mut client) => match client.status(false).await {
                    Ok(report) => (report, None),
                    Err(error) => (TunnelReport::stopped(), Some(error)),
                },
                Presence::Stale(holder) => {
                    let pid = holder.map_or(0, |holder| holder.pid);
                    (TunnelReport::stopped(), Some(TunnelError::Stale { pid }))
                }
                Presence::Absent => (TunnelReport::stopped(), None),
            };
            // Another devdb may be putting a new supervisor in the place of this one.
            if report.state == TunnelState::Stopped {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() < ANSWER_LIMIT {
                    sleep(POLL).await;
                    continue;
                }
            } else {
                silent_since = None;
            }
            if let Some(error) = silence {
                return Err(error);
            }
            progress(&report);
            let cause = || report.cause.clone().unwrap_or_else(|| format!("it is {}", report.state.word()));
            let waited = started.elapsed();
            let has_link = report.bastion.as_ref().is_some_and(|bastion| bastion.ssh_pid.is_some());
            let obstacle = if has_link { Obstacle::Database } else { Obstacle::Bastion };
            let late = || TunnelError::NotUp { cause: cause(), seconds: waited.as_secs(), obstacle };
            match report.state {
                TunnelState::Up => return Ok(report),
                TunnelState::Failed => {
                    return Err(TunnelError::Failed { cause: cause(), remedy: report.remedy });
                }
                TunnelState::Stopping | TunnelState::Stopped => {
                    return Err(TunnelError::NotUp {
                        cause: "it was taken down".to_owned(),
                        seconds: waited.as_secs(),
                        obstacle: Obstacle::TakenDown,
                    });
                }
                TunnelState::Suspect => {
                    let since = *suspect_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > DATABASE_LIMIT {
                        return Err(late());
                    }
                }
                TunnelState::Starting | TunnelState::Reconnecting => suspect_since = None,
            }
            if waited > UP_LIMIT {
                return Err(late());
            }
            sleep(POLL).await;
        }
    }

    /// Ends what a supervisor that was killed has left behind.
    async fn clean_up(&self) -> Result<(), TunnelError> {
        let Some(holder) = Lock::holder(&self.files().lock()) else { return Ok(()) };
        // With the lock in hand nobody else can be using the folders. One that has vanished may still have its ssh.
        if let Some(_lock) = Lock::take_within(&self.files().lock(), ANSWER_LIMIT).await? {
            for folder in holder.folders() {
                orphans::sweep(self.processes.as_ref(), &self.files(), &folder, None).await;
            }
        }
        Ok(())
    }
}
