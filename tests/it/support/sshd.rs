//! A throwaway bastion: a real sshd on a port of its own, with a host key and a login key made for it.

use devdb::tunnel::{HostName, LinkSpec, LoginName, SshPath};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Polls until the answer is there; a limit instead of a sleep.
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    // What takes long is looked at less often: a look may cost a process, and others need the processors.
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(160));
    }
}

/// A port that was free a moment ago, and that no other test is given. It lies below those that the system gives to
/// whoever wants any (ip(7)).
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Relaxed)) % 20_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

pub(crate) struct Sshd {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Sshd {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("devdb-sshd-").tempdir().unwrap();
        let mut sshd = Self { folder, port: free_port(), child: None };
        for key in ["host_key", "login_key"] {
            sshd.make_key(key);
        }
        std::fs::copy(sshd.path("login_key.pub"), sshd.path("authorized_keys")).unwrap();
        sshd.pin(&std::fs::read_to_string(sshd.path("host_key.pub")).unwrap());
        sshd.run();
        sshd
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How a tunnel reaches it.
    pub(crate) fn link(&self) -> LinkSpec {
        LinkSpec {
            instance_id: HostName::parse("i-0test").unwrap(),
            address: HostName::parse("127.0.0.1").unwrap(),
            ssh_port: self.port,
            user: LoginName::parse(&Self::user()).unwrap(),
            identity_file: SshPath::from_path(&self.path("login_key")).unwrap(),
            known_hosts_file: SshPath::from_path(&self.path("known_hosts")).unwrap(),
            proxy_command: None,
            proxy_jump: None,
        }
    }

    fn make_key(&self, name: &str) {
        let _ = std::fs::remove_file(self.path(name));
        let made = command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(self.path(name)).status();
        assert!(made.unwrap().success());
    }

    /// Writes the host key that clients shall insist on.
    fn pin(&self, public_key: &str) {
        std::fs::write(self.path("known_hosts"), format!("i-0test {public_key}")).unwrap();
    }

    /// Gives sshd another host key; what is pinned stays.
    pub(crate) fn swap_host_key(&mut self) {
        self.stop();
        self.make_key("host_key");
        self.run();
    }

    /// Starts sshd. It re-executes itself after `chdir("/")`, so every path is absolute.
    pub(crate) fn run(&mut self) {
        // sshd insists on this folder when it runs as root.
        let _ = std::fs::create_dir_all("/run/sshd");
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nUsePAM no\nStrictModes no\nPidFile none\n\
             PasswordAuthentication no\nLogLevel VERBOSE\nMaxStartups 100:30:200\n",
            self.port,
            self.path("host_key").display(),
            self.path("authorized_keys").display(),
        );
        std::fs::write(self.path("sshd_config"), config).unwrap();
        let mut sshd = command(sshd_binary());
        sshd.arg("-D").arg("-f").arg(self.path("sshd_config")).arg("-E").arg(self.path("sshd.log"));
        self.child = Some(sshd.stdin(Stdio::null()).spawn().unwrap());
        let address = (Ipv4Addr::LOCALHOST, self.port);
        eventually("sshd", Duration::from_secs(10), || std::net::TcpStream::connect(address).ok());
    }

    /// Stops the listener, so that it accepts and says nothing, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        assert!(command("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends the listener; sessions that are open live on.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The login that works: sshd of an ordinary user accepts only that user.
    pub(crate) fn user() -> String {
        let output = command("id").arg("-un").output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn sshd_binary() -> &'static Path {
    let known = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/opt/homebrew/sbin/sshd"].map(Path::new);
    let found =
        known.into_iter().find(|path| std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o111 != 0));
    found.expect("sshd is needed: apt-get install --no-install-recommends openssh-server")
}
