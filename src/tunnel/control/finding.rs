//! Finding the supervisor, also one that is just about to be there.

use super::{Control, POLL};
use crate::system::Processes;
use crate::tunnel::client::{self, ANSWER_LIMIT, Presence};
use crate::tunnel::files::TunnelFiles;
use crate::tunnel::watchdog::{Watchdog, is_watchdog};
use crate::tunnel::{TunnelReport, read_spec};
use std::path::Path;
use tokio::time::{Instant, sleep};

/// What the supervisor says, if there is one or a watchdog is about to start it again: local and fast, no database is
/// asked.
pub async fn status(state_dir: &Path, processes: &dyn Processes) -> Option<TunnelReport> {
    let watchdog = Watchdog { processes, spec_file: TunnelFiles::new(state_dir).spec() };
    // Looking through all processes is spared whom no tunnel was started for.
    let was_started = || read_spec(&watchdog.spec_file).is_ok_and(|spec| spec.link.is_some());
    let limit = Instant::now() + ANSWER_LIMIT;
    loop {
        let report = client::status(state_dir).await;
        let is_expected = || was_started() && Instant::now() < limit && watchdog.exists();
        if report.is_some() || !is_expected() {
            return report;
        }
        sleep(POLL).await;
    }
}

impl Control {
    pub(super) async fn reported(&self) -> Option<TunnelReport> {
        status(&self.state_dir, self.processes.as_ref()).await
    }

    /// Whether this process keeps the ports open for a supervisor of this tunnel.
    pub fn is_watchdog(&self, pid: u32) -> bool {
        self.processes.find(pid).is_some_and(|process| is_watchdog(&process, &self.files().spec()))
    }

    /// Finds the supervisor.
    pub async fn presence(&self) -> Presence {
        Presence::of(&self.files()).await
    }

    /// As [`Self::presence`], but gives a watchdog the time to start the supervisor again.
    async fn presence_soon(&self) -> Presence {
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.presence().await {
                Presence::Absent if Instant::now() < limit && self.watchdog().exists() => sleep(POLL).await,
                presence => return presence,
            }
        }
    }

    /// The same, and a supervisor that is just starting the time to open its socket.
    pub(super) async fn settled_presence(&self) -> Presence {
        let limit = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.presence_soon().await {
                Presence::Stale(_) if Instant::now() < limit => sleep(POLL).await,
                presence => return presence,
            }
        }
    }

    pub(super) fn watchdog(&self) -> Watchdog<'_> {
        Watchdog { processes: self.processes.as_ref(), spec_file: self.files().spec() }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::system::ProcessInfo;
    use crate::testing::FakeProcesses;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_status_waits_for_what_a_watchdog_may_start_and_for_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        let spec = TunnelFiles::new(state.path()).spec();
        let processes = FakeProcesses::default();
        let waited = async || {
            let began = Instant::now();
            assert!(status(state.path(), &processes).await.is_none());
            began.elapsed()
        };
        let write = |link: &str| {
            let targets = r#"[{"name": "writer", "host": "db", "port": 5432, "local_port": 5432}]"#;
            let text = format!(r#"{{"link": {link}, "targets": {targets}, "ca_file": "/ca.pem", "hold_ms": 1000}}"#);
            std::fs::write(&spec, text).unwrap();
            read_spec(&spec).unwrap();
        };
        let link = r#"{"instance_id": "i-0", "address": "192.0.2.7", "ssh_port": 22, "user": "ada",
            "identity_file": "/key", "known_hosts_file": "/known_hosts"}"#;
        write(link);
        assert_eq!(waited().await, Duration::ZERO);
        let command = ["/opt/devdb", "tunnel", "watchdog", "--spec", spec.to_str().unwrap()];
        let command = command.map(str::to_owned).to_vec();
        processes.add(ProcessInfo { pid: 1, own: true, command, ..ProcessInfo::default() });
        assert!(waited().await >= ANSWER_LIMIT);
        write("null");
        assert_eq!(waited().await, Duration::ZERO);
        write(link);
        std::fs::remove_file(&spec).unwrap();
        assert_eq!(waited().await, Duration::ZERO);
    }
}
