//! The ssh that devdb starts, against real sshds: the pinned host key, the configuration, the way through a gate.

use crate::support::sshd::{Sshd, command};
use devdb::bastion::{BastionAccess, Shell, ShellError};
use devdb::host::Host;
use devdb::tunnel::{LinkError, LinkRequest, LinkSpec, ProxyCommand, Ssh};
use std::path::Path;
use std::sync::Arc;

/// A laptop's state folder in front of a bastion, perhaps behind a gate.
struct Way {
    bastion: Sshd,
    folder: tempfile::TempDir,
    proxy_command: Option<String>,
}

impl Way {
    fn new() -> Self {
        // In /tmp: a control socket's path must be short.
        let folder = tempfile::Builder::new().prefix("b").tempdir_in("/tmp").unwrap();
        Self { bastion: Sshd::start(), folder, proxy_command: None }
    }

    fn shell(&self) -> Arc<dyn Shell> {
        let host = Host::from_process();
        host.tools.bastion_shell(host.processes, self.folder.path())
    }

    fn access(&self) -> BastionAccess {
        BastionAccess {
            instance_id: "i-0test".to_owned(),
            public_ip: [127, 0, 0, 1].into(),
            public_dns: None,
            user: Sshd::user(),
            port: self.bastion.port,
            key_file: self.bastion.path("login_key"),
            known_hosts_file: self.bastion.path("known_hosts"),
            expires_at: None,
            place: None,
            proxy_command: self.proxy_command.clone(),
            proxy_jump: None,
        }
    }

    async fn answers(&self) -> Result<(i32, String), ShellError> {
        self.shell().run(&self.access(), "echo here").await.map(|said| (said.code, said.stdout))
    }

    /// The text of `authorized_keys`: options, and the key that opens it.
    fn authorize(&self, options: &str) {
        let key = std::fs::read_to_string(self.bastion.path("login_key.pub")).unwrap();
        std::fs::write(self.bastion.path("authorized_keys"), format!("{options}{key}")).unwrap();
    }

    fn link(&self) -> LinkRequest {
        LinkRequest {
            link: LinkSpec {
                proxy_command: self.proxy_command.as_deref().map(|text| ProxyCommand::parse(text).unwrap()),
                ..self.bastion.link()
            },
            targets: Vec::new(),
            folder: self.folder.path().to_owned(),
        }
    }

    /// `devdb bastion ssh -- WORDS…`, without the devdb around it.
    fn ssh(&self, words: &[&str]) -> std::process::Output {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let line = self.shell().command_line(&self.access(), &words).unwrap();
        command(line.program).args(line.args).stdin(std::process::Stdio::null()).output().unwrap()
    }
}

fn real_ssh() -> Arc<dyn Ssh> {
    Host::from_process().tools.ssh()
}

#[tokio::test]
async fn a_host_that_nobody_pinned_is_not_believed_and_not_learnt() {
    let way = Way::new();
    let known_hosts = way.bastion.path("known_hosts");
    for unpinned in ["", "i-0other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH6RSvqDlPxJGsvmUxnVvzMQZMT9tYZLuaJvpmR9zzYS\n"]
    {
        std::fs::write(&known_hosts, unpinned).unwrap();
        let refused = way.answers().await.unwrap_err();
        assert!(matches!(refused, ShellError::HostKey { .. }), "{refused}");
        let refused = real_ssh().open(&way.link()).await.err().unwrap();
        assert!(matches!(refused, LinkError::HostKey { .. }), "{refused:?}");
        assert_eq!(way.ssh(&["true"]).status.code(), Some(255));
        assert_eq!(std::fs::read_to_string(&known_hosts).unwrap(), unpinned);
    }
    assert!(!std::fs::read_to_string(way.bastion.path("sshd.log")).unwrap().contains("Accepted"));
    std::fs::remove_file(&known_hosts).unwrap();
    assert!(matches!(way.answers().await, Err(ShellError::HostKey { .. })));
    assert!(!known_hosts.exists());
}

#[tokio::test]
async fn another_host_key_is_a_stop_for_every_ssh() {
    let mut way = Way::new();
    assert_eq!(way.answers().await.unwrap(), (0, "here\n".to_owned()));
    way.bastion.swap_host_key();
    assert!(matches!(way.answers().await, Err(ShellError::HostKey { .. })));
    assert!(matches!(real_ssh().open(&way.link()).await.err(), Some(LinkError::HostKey { .. })));
    let said = way.ssh(&["true"]);
    assert_eq!(said.status.code(), Some(255));
    assert!(String::from_utf8_lossy(&said.stderr).contains("Host key verification failed"));
}

#[tokio::test]
async fn a_knock_tells_an_open_door_from_a_closed_one() {
    let mut way = Way::new();
    way.shell().knock(&way.access()).await.unwrap();
    way.bastion.stop();
    let refused = way.shell().knock(&way.access()).await.unwrap_err();
    assert!(matches!(refused, ShellError::NoAnswer { timed_out: false, .. }), "{refused}");
    way.proxy_command = Some("nc %h %p".to_owned());
    way.shell().knock(&way.access()).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_masters_argv_shows_the_strict_check() {
    let way = Way::new();
    let link = real_ssh().open(&way.link()).await.unwrap();
    let argv = std::fs::read_to_string(format!("/proc/{}/cmdline", link.pid().unwrap())).unwrap();
    link.close().await;
    let argv: Vec<&str> = argv.split('\0').collect();
    let options: Vec<&str> = argv.windows(2).filter(|pair| pair[0] == "-o").map(|pair| pair[1]).collect();
    let checks: Vec<&&str> = options.iter().filter(|option| option.contains("StrictHostKeyChecking")).collect();
    assert_eq!(checks, [&"StrictHostKeyChecking=yes"], "{argv:?}");
    assert!(argv.contains(&"-F"), "{argv:?}");
}

#[test]
fn ssh_ends_as_the_command_ends_and_reads_no_word_of_it_as_its_own() {
    let way = Way::new();
    assert_eq!(way.ssh(&["exit 7"]).status.code(), Some(7));
    assert_eq!(way.ssh(&["echo", "-n", "-v", "two  words"]).stdout, b"-v two words");
    let evil = way.folder.path().join("evil");
    let option = format!("-oProxyCommand=touch {}", evil.display());
    assert!(!way.ssh(&[&option, "true"]).status.success() && !evil.exists(), "ssh took a word for an option");
    assert_eq!(way.ssh(&["echo \"[$SSH_AUTH_SOCK][$DISPLAY]\""]).stdout, b"[][]\n");
}

/// What a gate's user would write: the gate's own host key is checked like any other.
fn through(gate: &Sshd, folder: &Path) -> String {
    let config = folder.join("gate");
    let text = format!(
        "Host gate\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile {}\n HostKeyAlias i-0test\n \
         UserKnownHostsFile {}\n StrictHostKeyChecking yes\n BatchMode yes\n",
        gate.port,
        Sshd::user(),
        gate.path("login_key").display(),
        gate.path("known_hosts").display(),
    );
    std::fs::write(&config, text).unwrap();
    format!("ssh -F {} -W %h:%p gate", config.display())
}

#[tokio::test]
async fn a_proxy_command_leads_through_a_gate_and_the_bastions_key_is_checked_behind_it() {
    let mut gate = Sshd::start();
    let mut way = Way::new();
    way.proxy_command = Some(through(&gate, way.folder.path()));
    assert_eq!(way.answers().await.unwrap(), (0, "here\n".to_owned()));
    let link = real_ssh().open(&way.link()).await.unwrap();
    assert!(link.answers(std::time::Duration::from_secs(20)).await);
    link.close().await;
    assert_eq!(way.ssh(&["exit 7"]).status.code(), Some(7));
    let log = std::fs::read_to_string(gate.path("sshd.log")).unwrap();
    assert_eq!(log.matches("Accepted publickey").count(), 3, "{log}");

    way.bastion.swap_host_key();
    assert!(matches!(way.answers().await, Err(ShellError::HostKey { .. })));
    gate.stop();
    assert!(matches!(way.answers().await, Err(ShellError::NoAnswer { .. })));
}

#[tokio::test]
async fn a_login_that_is_refused_is_told_from_one_that_cannot_be_tried() {
    let way = Way::new();
    std::fs::write(way.bastion.path("authorized_keys"), "").unwrap();
    let Err(ShellError::Refused { message }) = way.answers().await else { panic!("not refused") };
    assert!(message.starts_with(&format!("{}@127.0.0.1: Permission denied (publickey", Sshd::user())), "{message}");
    // It is not the bastion's fault that this key opens nothing.
    way.authorize("");
    std::fs::write(way.bastion.path("login_key"), "no key\n").unwrap();
    // With the public half beside it, ssh offers the key before it misses the private one.
    for _ in 0..2 {
        let Err(ShellError::Unavailable(source)) = way.answers().await else { panic!("another error") };
        assert!(source.to_string().contains("login_key"), "{source}");
        let _ = std::fs::remove_file(way.bastion.path("login_key.pub"));
    }
    assert!(!std::fs::read_to_string(way.bastion.path("sshd.log")).unwrap().contains("Accepted publickey"));
}

#[tokio::test]
async fn an_account_without_a_shell_says_so_itself() {
    let way = Way::new();
    way.authorize("command=\"echo 'This account is currently not available.'; exit 1\" ");
    let said = way.shell().run(&way.access(), "echo here").await.unwrap();
    assert_eq!((said.code, said.stdout.trim()), (1, "This account is currently not available."));
    way.authorize("command=\"echo 'Password change required but no TTY available.' >&2; exit 1\" ");
    let said = way.shell().run(&way.access(), "echo here").await.unwrap();
    assert_eq!(said.stderr, "Password change required but no TTY available.");
    way.authorize("command=\"kill -9 $PPID\" ");
    let broken = way.answers().await.unwrap_err();
    assert!(matches!(broken, ShellError::Broken { .. }), "{broken:?}");
}

#[tokio::test]
async fn an_account_that_hangs_is_left_after_a_while() {
    let way = Way::new();
    way.authorize("command=\"sleep 60\" ");
    let began = std::time::Instant::now();
    let broken = way.answers().await.unwrap_err();
    assert!(matches!(&broken, ShellError::Broken { message } if message == "it took longer than 20 s"), "{broken:?}");
    assert!(began.elapsed() < std::time::Duration::from_secs(50));
}

/// A full disk, too many callers, or a firewall that takes every connection.
#[tokio::test]
async fn a_port_that_hangs_up_or_says_nothing_is_not_a_refusal() {
    let mut way = Way::new();
    way.bastion.freeze(true);
    let mute = way.answers().await.unwrap_err();
    way.bastion.freeze(false);
    assert!(matches!(&mute, ShellError::HungUp { message } if message.contains("timed out")), "{mute:?}");
    way.bastion.stop();
    let listener = std::net::TcpListener::bind(("127.0.0.1", way.bastion.port)).unwrap();
    let closing = std::thread::spawn(move || {
        for greeting in ["", "Exceeded MaxStartups\r\n", "Not allowed at this time\r\n"] {
            let (mut caller, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut caller, greeting.as_bytes()).unwrap();
        }
    });
    for _ in 0..3 {
        let closed = way.answers().await.unwrap_err();
        assert!(matches!(closed, ShellError::HungUp { .. }), "{closed:?}");
    }
    closing.join().unwrap();
    assert!(matches!(way.answers().await, Err(ShellError::NoAnswer { timed_out: false, .. })));
}

#[tokio::test]
async fn a_gate_that_refuses_its_user_is_not_the_bastion() {
    let gate = Sshd::start();
    let mut way = Way::new();
    way.proxy_command = Some(through(&gate, way.folder.path()).replace("ssh -F", "ssh -v -F"));
    for file in [way.folder.path().join("gate"), gate.path("known_hosts")] {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("i-0test", "i-0gate")).unwrap();
    }
    assert_eq!(way.answers().await.unwrap(), (0, "here\n".to_owned()));
    std::fs::write(gate.path("authorized_keys"), "").unwrap();
    let silent = way.answers().await.unwrap_err();
    assert!(matches!(silent, ShellError::NoAnswer { .. }), "{silent:?}");
}
