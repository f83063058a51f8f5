//! A laptop with a project, a bastion and a database, for the real `devdb` binary.

use super::database::{Authority, Database, is_served};
use super::sshd::{Sshd, command, eventually, free_port};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Longer than the replacement of anything takes.
const SERVED_WITHIN: Duration = Duration::from_secs(15);

pub(crate) struct World {
    home: tempfile::TempDir,
    pub(crate) sshd: Sshd,
    pub(crate) authority: Authority,
    pub(crate) database: Option<Database>,
    pub(crate) database_port: u16,
    pub(crate) port: u16,
    /// A process with mounts of its own, which every `devdb` of this world shall see.
    mounts: Option<Child>,
}

impl World {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("devdb-t-").tempdir_in("/tmp").unwrap();
        let authority = Authority::new(&home.path().join("ca.pem"));
        let database = Database::start(&authority, "localhost");
        let database_port = database.port;
        let world = Self {
            home,
            sshd: Sshd::start(),
            authority,
            database: Some(database),
            database_port,
            port: free_port(),
            mounts: None,
        };
        for folder in ["project", "run"] {
            std::fs::create_dir(world.path(folder)).unwrap();
        }
        std::fs::write(world.path("project/devdb.toml"), "project = \"shop\"\n[environment.dev]\n").unwrap();
        world.write_spec("i-0test");
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write_spec(&self, instance: &str) {
        let spec = json!({
            "link": {
                "instance_id": instance, "address": "127.0.0.1", "ssh_port": self.sshd.port, "user": Sshd::user(),
                "identity_file": self.sshd.path("login_key"), "known_hosts_file": self.sshd.path("known_hosts"),
            },
            "targets": [{"name": "writer", "host": "localhost", "port": self.database_port, "local_port": self.port}],
            "ca_file": self.path("ca.pem"),
            "hold_ms": 20_000,
        });
        std::fs::write(self.path("spec.json"), spec.to_string()).unwrap();
    }

    /// Changes what the next `up` wants.
    pub(crate) fn change_spec(&self, change: impl FnOnce(&mut Value)) {
        let mut spec = serde_json::from_slice(&std::fs::read(self.path("spec.json")).unwrap()).unwrap();
        change(&mut spec);
        std::fs::write(self.path("spec.json"), spec.to_string()).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Gives this world's `.local` a disk of its own, of this many kilobytes.
    pub(crate) fn use_small_disk(&mut self, kilobytes: u32) {
        let folder = self.path(".local");
        std::fs::create_dir(&folder).unwrap();
        let line = format!(
            "mount -t tmpfs -o size={kilobytes}k,mode=0700 small '{}' && echo ready && exec cat",
            folder.display()
        );
        let own = ["--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c", &line];
        let mut holder = command("unshare").args(own).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "this machine allows neither root nor user namespaces");
        self.mounts = Some(holder);
    }

    /// Runs a line of sh that sees what this world's `devdb` sees.
    pub(crate) fn shell(&self, line: &str) -> String {
        let output = self.program("sh").args(["-c", line]).env("HOME", self.home.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn program(&self, program: &str) -> Command {
        let Some(mounts) = &self.mounts else { return command(program) };
        let mut entered = command("nsenter");
        entered.arg(format!("--target={}", mounts.id())).args(["--user", "--preserve-credentials", "--mount"]);
        entered.args(["sh", "-c", r#"cd "$0" && exec "$@""#]).arg(self.path("project")).arg(program);
        entered
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut devdb = self.program(env!("CARGO_BIN_EXE_devdb"));
        devdb.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        devdb.env("XDG_RUNTIME_DIR", self.path("run")).env("DEVDB_ALIAS", "ada");
        devdb.env("DEVDB_TRUSTED_CONFIG", self.path("project/devdb.toml"));
        devdb.current_dir(self.path("project")).args(["--json", "tunnel", verb]).stdin(Stdio::null());
        if matches!(verb, "up" | "restart") {
            devdb.arg("--spec").arg(self.path("spec.json"));
        }
        devdb
    }

    pub(crate) fn run(&self, verb: &str) -> Output {
        self.command(verb).output().unwrap()
    }

    /// Runs a verb that must succeed; its document.
    pub(crate) fn done(&self, verb: &str) -> Value {
        let output = self.run(verb);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{verb}: {said}\n{}", self.log());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs a verb that must fail: its exit code and the error's message and hints.
    pub(crate) fn refused(&self, verb: &str) -> (i32, String) {
        let output = self.run(verb);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{verb}: {said}");
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.run("status");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    pub(crate) fn wait_for_state(&self, state: &str) -> Value {
        eventually(state, Duration::from_secs(20), || Some(self.status()).filter(|report| report["state"] == state))
    }

    /// Runs this while four clients connect again and again, each of whom must be served; how many were.
    pub(crate) fn served_while(&self, work: impl FnOnce()) -> usize {
        self.served_or(|_| false, work)
    }

    /// The same, where clients may also come to this end.
    pub(crate) fn served_or(&self, may_be: impl Fn(&std::io::Error) -> bool + Sync, work: impl FnOnce()) -> usize {
        let is_over = AtomicBool::new(false);
        let knock = || {
            let mut served = 0;
            while !is_over.load(Relaxed) {
                match is_served(self.address(), SERVED_WITHIN) {
                    Ok(_) => served += 1,
                    Err(error) => assert!(may_be(&error), "{error}: {}", self.log()),
                }
            }
            served
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..4).map(|_| scope.spawn(knock)).collect();
            // Also when the work fails: otherwise nobody would ever be told.
            let over = Over(&is_over);
            work();
            drop(over);
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        })
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state("tunnel.log")).unwrap_or_default()
    }

    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.path(".local/state/devdb/shop/dev/ada").join(name)
    }

    /// Where the supervisor's sockets lie, as it wrote down itself.
    pub(crate) fn socket_folder(&self) -> PathBuf {
        let signed = || {
            let holder = std::fs::read(self.state("tunnel.lock")).ok()?;
            let holder: Value = serde_json::from_slice(&holder).ok()?;
            Some(PathBuf::from(holder["socket"].as_str()?).parent()?.to_owned())
        };
        signed().unwrap_or_else(|| self.path("run"))
    }

    /// The processes with a word in their command line that names this world's folder: supervisors and ssh masters.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let home = self.home.path().display().to_string();
        // Where the runtime folder is of no use the sockets lie elsewhere.
        let sockets = self.socket_folder().display().to_string();
        // `ssh -G` is another test's kill-stale, which asks ssh what it makes of the configurations that are in use.
        let is_ours =
            |command: &str| (command.contains(&home) || command.contains(&sockets)) && !command.starts_with("ssh -G ");
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter_map(|pid| {
            let command =
                String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ");
            is_ours(&command).then_some((pid, command))
        })
        .collect()
    }

    pub(crate) fn masters(&self) -> Vec<u32> {
        let ssh = |(pid, command): (u32, String)| command.starts_with("ssh ").then_some(pid);
        self.processes().into_iter().filter_map(ssh).collect()
    }

    pub(crate) fn supervisors(&self) -> Vec<u32> {
        let devdb = |(pid, command): (u32, String)| command.contains(" tunnel supervise ").then_some(pid);
        self.processes().into_iter().filter_map(devdb).collect()
    }

    pub(crate) fn watchdogs(&self) -> Vec<u32> {
        let devdb = |(pid, command): (u32, String)| command.contains(" tunnel watchdog ").then_some(pid);
        self.processes().into_iter().filter_map(devdb).collect()
    }

    /// The watchdog, as soon as it has the port as well.
    pub(crate) fn watchdog(&self) -> u32 {
        let row = format!("0100007F:{:04X} 00000000:0000 0A", self.port);
        let inode = || {
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let found = sockets.lines().find(|line| line.contains(&row))?;
            Some(format!("socket:[{}]", found.split_ascii_whitespace().nth(9)?))
        };
        let has = |pid: u32, socket: &str| {
            let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.map(|file| std::fs::read_link(file.path()))
                .any(|link| link.is_ok_and(|link| link == Path::new(socket)))
        };
        eventually("a watchdog that has the port", SERVED_WITHIN, || {
            self.watchdogs().into_iter().find(|pid| inode().is_some_and(|socket| has(*pid, &socket)))
        })
    }

    /// Ends the supervisor in such a way that nobody starts it again.
    pub(crate) fn kill_for_good(&self) {
        for pid in [vec![self.watchdog()], self.supervisors()].concat() {
            self.signal(pid, "-9");
        }
        let are_gone = || (self.watchdogs().is_empty() && self.supervisors().is_empty()).then_some(());
        eventually("their end", SERVED_WITHIN, are_gone);
    }

    pub(crate) fn signal(&self, pid: u32, signal: &str) {
        assert!(command("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    }

    /// No process, no socket, no port.
    pub(crate) fn assert_nothing_is_left(&self) {
        assert_eq!(self.processes(), []);
        let sockets: Vec<_> = std::fs::read_dir(self.path("run/devdb")).into_iter().flatten().flatten().collect();
        assert!(sockets.is_empty(), "{sockets:?}");
        assert!(std::net::TcpListener::bind(self.address()).is_ok());
    }
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Another one would be started by the watchdogs.
        for pid in self.watchdogs().into_iter().chain(self.processes().into_iter().map(|(pid, _)| pid)) {
            let _ = command("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
        }
        if let Some(mut mounts) = self.mounts.take() {
            let _ = mounts.kill();
            let _ = mounts.wait();
        }
    }
}
