//! Somebody who asks the database through the laptop's port all the time, and what a test of the tunnel asks besides.

use super::laptop::Laptop;
use std::process::Child;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) const LIMIT: Duration = Duration::from_secs(180);
pub(crate) const QUERY: &str = r#"eval "$(devdb env)" && psql -Atc 'select 1'"#;

pub(crate) fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

pub(crate) struct Beat {
    pub(crate) began: f64,
    pub(crate) ended: f64,
    pub(crate) outcome: String,
}

/// A loop of psql, with a connection of its own each time.
pub(crate) struct Pulse<'a> {
    laptop: &'a Laptop,
    child: Child,
}

impl<'a> Pulse<'a> {
    pub(crate) fn start(laptop: &'a Laptop) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/lib/pulse.py");
        for file in ["stop", "beats"] {
            let _ = std::fs::remove_file(laptop.home().join(file));
        }
        let child =
            laptop.start_shell(&format!("exec devdb exec -- python3 {script} 5432 \"$HOME/stop\" >\"$HOME/beats\""));
        let pulse = Self { laptop, child };
        poll("the loop runs", || (!pulse.beats().is_empty()).then_some(()));
        pulse
    }

    /// How each psql that has ended did so.
    pub(crate) fn beats(&self) -> Vec<Beat> {
        let text = std::fs::read_to_string(self.laptop.home().join("beats")).unwrap_or_default();
        let beat = |line: &str| {
            let mut words = line.split(' ');
            let mut seconds = || words.next()?.parse().ok();
            let (began, ended) = (seconds()?, seconds()?);
            Some(Beat { began, ended, outcome: words.next()?.to_owned() })
        };
        // The last line may be half written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .filter_map(|line| beat(line.trim_end()))
            .collect()
    }

    /// Waits until one that began after the fault is served, and ends the loop; how each psql ended.
    pub(crate) fn stop_when_served_after(mut self, end_of_fault: f64) -> Vec<Beat> {
        poll("psql is answered after the fault", || {
            self.beats().iter().any(|beat| beat.began > end_of_fault && beat.outcome == "served").then_some(())
        });
        std::fs::write(self.laptop.home().join("stop"), "").unwrap();
        self.child.wait().unwrap();
        self.beats()
    }
}

impl Drop for Pulse<'_> {
    /// A test that fails leaves no loop behind.
    fn drop(&mut self) {
        let _ = std::fs::write(self.laptop.home().join("stop"), "");
        let _ = self.child.wait();
    }
}

pub(crate) fn up() -> Laptop {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    laptop
}

pub(crate) fn state(laptop: &Laptop) -> serde_json::Value {
    laptop.devdb("tunnel status --json").json()
}

/// What mends tells of it when it is done, and that may be a moment after it helped.
pub(crate) fn await_log(laptop: &Laptop, words: &str) {
    poll("the log tells it", || laptop.devdb("tunnel logs").expect_code(0).stdout.contains(words).then_some(()));
}

pub(crate) fn await_state(laptop: &Laptop, wanted: &str) -> serde_json::Value {
    poll(wanted, || Some(state(laptop)).filter(|report| report["state"] == wanted))
}

pub(crate) fn master(laptop: &Laptop) -> u64 {
    poll("an ssh master", || state(laptop)["bastion"]["ssh_pid"].as_u64())
}

/// Every ssh process of the link, as words of a command line: somebody who asks all the time has several.
pub(crate) fn masters(laptop: &Laptop) -> String {
    poll("an ssh master", || {
        let report = state(laptop);
        let pids: Vec<String> = report["bastion"]["ssh_pids"].as_array()?.iter().map(ToString::to_string).collect();
        (!pids.is_empty()).then(|| pids.join(" "))
    })
}

/// Runs a program against the stand-in API, with boto3 as `ec2`.
pub(crate) fn api(laptop: &Laptop, program: &str) -> String {
    let line = format!(
        r#"exec "$(sed -n 's/.*"python": "\(.*\)".*/\1/p' "$DEVDB_SANDBOX_ENDPOINTS")" -c 'import boto3
ec2 = boto3.client("ec2")
{program}'"#
    );
    laptop.shell(&line).expect_code(0).stdout
}

/// What whoever asks for TLS (PostgreSQL's SSLRequest) is told first, as Python shows it.
pub(crate) fn first_answer(laptop: &Laptop) -> String {
    let line = r#"exec python3 -c 'import socket
stream = socket.create_connection(("127.0.0.1", 5432), 5)
try:
    stream.sendall(bytes.fromhex("0000000804d2162f"))
    print(stream.recv(1))
except ConnectionError:
    print(b"")'"#;
    laptop.shell(line).expect_code(0).stdout
}

/// Nobody was refused or left without an answer, and everybody who came a while after the fault was served.
#[track_caller]
pub(crate) fn held_and_served(pulse: Pulse<'_>, end_of_fault: f64) -> Vec<Beat> {
    let beats = pulse.stop_when_served_after(end_of_fault);
    let count = |outcome: &str| beats.iter().filter(|beat| beat.outcome == outcome).count();
    let (served, refused, closed, silent) = (count("served"), count("refused"), count("closed"), count("silent"));
    let told = format!("{served} served, {refused} refused, {closed} closed, {silent} silent");
    assert_eq!((refused, silent), (0, 0), "{told}");
    let late: Vec<_> =
        beats.iter().filter(|beat| beat.began > end_of_fault + 20.0 && beat.outcome != "served").collect();
    assert!(late.is_empty(), "{told}");
    beats
}

/// Nobody who came after this moment was sent away.
#[track_caller]
pub(crate) fn all_served_from(moment: f64, beats: &[Beat]) {
    let beats: Vec<_> = beats.iter().filter(|beat| beat.began > moment).map(|beat| beat.outcome.as_str()).collect();
    assert!(beats.iter().all(|outcome| *outcome == "served"), "{beats:?}");
}

/// The clock goes on by so many seconds.
pub(crate) fn pass(seconds: f64) {
    let end = now() + seconds;
    poll("time passes", || (now() >= end).then_some(()));
}

pub(crate) fn finish(laptop: &Laptop) {
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "1\n");
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}
