use super::ssh_config;
use crate::bastion::{BastionAccess, SSH_CONFIG_FILE, Said, Shell, ShellError};
use crate::system::{Captured, Gets, ProcessError, Processes, SpawnSpec};
use crate::tunnel::{HostName, LinkSpec, LoginName, ProxyCommand, ProxyJump, SpecError, SshPath};
use async_trait::async_trait;
use std::ffi::OsString;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Runs `ssh -F FILE -- INSTANCE COMMAND`, one connection per command.
///
/// No master: before the bastion is ready there is nothing worth keeping, and a master's control socket would not fit
/// below a long state folder.
pub(crate) struct SshShell {
    processes: Arc<dyn Processes>,
    config_file: PathBuf,
}

impl SshShell {
    pub(crate) fn new(processes: Arc<dyn Processes>, state_dir: &Path) -> Self {
        Self { processes, config_file: state_dir.join(SSH_CONFIG_FILE) }
    }
}

/// A tunnel may take its time to connect; here a bastion that does not answer yet is asked again soon.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A login and a short command, on a machine that may be busy with its boot. An account whose shell hangs has no end.
const RUN_LIMIT: Duration = Duration::from_secs(20);

/// On the command line, where it wins over whatever a file may say.
const OPTIONS: [&str; 4] = ["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5"];

/// A person at a terminal rather waits through a gap than starts again; a tunnel must know of it soon.
const PATIENCE: [&str; 2] = ["-o", "ServerAliveInterval=15"];

impl SshShell {
    /// `words` come behind the host, where `--` keeps ssh from reading them as options of its own.
    fn ssh<'a>(
        &self,
        access: &BastionAccess,
        options: &[&str],
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<SpawnSpec, ShellError> {
        let link = link(access).map_err(|error| ShellError::Unavailable(Box::new(error)))?;
        write(&self.config_file, &ssh_config::render(&link))
            .map_err(|error| ShellError::Unavailable(Box::new(error)))?;
        // For a ProxyJump ssh starts another one, by a shell that it hands this path to as it is (`main` of ssh.c); the
        // name alone has nothing in it that a shell or ssh would expand.
        let folder = self.config_file.parent().filter(|_| access.proxy_jump.is_some()).map(Path::to_owned);
        let config = if folder.is_some() { SSH_CONFIG_FILE.into() } else { self.config_file.clone().into_os_string() };
        let mut args: Vec<OsString> = vec!["-F".into(), config];
        args.extend(OPTIONS.iter().chain(options).chain(&["--", link.instance_id.as_str()]).map(Into::into));
        args.extend(words.into_iter().map(Into::into));
        Ok(SpawnSpec { program: "ssh".into(), args, gets: Gets::Ssh, cwd: folder, ..SpawnSpec::default() })
    }
}

#[async_trait]
impl Shell for SshShell {
    async fn run(&self, access: &BastionAccess, command: &str) -> Result<Said, ShellError> {
        // Only its talk tells whose host key was checked, and how far it came.
        let spec = self.ssh(access, &["-v", "-T"], [command])?;
        let processes = self.processes.clone();
        let captured = tokio::task::spawn_blocking(move || processes.capture_within(&spec, RUN_LIMIT)).await;
        let captured = captured
            .map_err(|error| ShellError::Unavailable(Box::new(error)))?
            .map_err(|error: ProcessError| ShellError::Unavailable(Box::new(error)))?;
        judge(access, &captured)
    }

    async fn knock(&self, access: &BastionAccess) -> Result<(), ShellError> {
        if access.proxy_command.is_some() || access.proxy_jump.is_some() {
            return Ok(());
        }
        let address = (access.public_ip, access.port);
        let no_answer = |reason: &str, timed_out| ShellError::NoAnswer {
            message: format!("{}:{}: {reason}", access.public_ip, access.port),
            timed_out,
        };
        match tokio::time::timeout(CONNECT_LIMIT, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(no_answer(&error.to_string(), error.kind() == std::io::ErrorKind::TimedOut)),
            Err(_) => Err(no_answer("the connection timed out", true)),
        }
    }

    fn command_line(&self, access: &BastionAccess, words: &[String]) -> Result<SpawnSpec, ShellError> {
        self.ssh(access, &PATIENCE, words.iter().map(String::as_str))
    }
}

/// The same link as the tunnel's, so that what works here works there. Parsed, so that no setting and no path can add
/// a line to the configuration.
fn link(access: &BastionAccess) -> Result<LinkSpec, SpecError> {
    Ok(LinkSpec {
        instance_id: HostName::parse(&access.instance_id)?,
        address: HostName::parse(&access.public_ip.to_string())?,
        ssh_port: access.port,
        user: LoginName::parse(&access.user)?,
        identity_file: SshPath::from_path(&access.key_file)?,
        known_hosts_file: SshPath::from_path(&access.known_hosts_file)?,
        proxy_command: access.proxy_command.as_deref().map(ProxyCommand::parse).transpose()?,
        proxy_jump: access.proxy_jump.as_deref().map(ProxyJump::parse).transpose()?,
    })
}

/// All of it or nothing of it: another devdb's ssh may be reading.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(part, path)
}

/// How far ssh came, as it tells with `-v`. The texts are those of OpenSSH 8.7 to 10.1 (`sshconnect.c`, `sshconnect2.c`).
///
/// The ssh of a ProxyJump writes to the same place: what it says of the host in between says nothing of the bastion.
struct Talk<'a> {
    /// What is meant for people.
    words: Vec<&'a str>,
    is_connected: bool,
    /// The host key was the pinned one.
    is_verified: bool,
    /// The key on this computer was not tried, or could not be used.
    has_no_key: bool,
    is_in: bool,
}

impl<'a> Talk<'a> {
    fn read(access: &BastionAccess, stderr: &'a str) -> Self {
        let is_chatter = |line: &&str| {
            let starts = ["debug", "OpenSSH_", "Authenticated to ", "Transferred: ", "Bytes per second: ", "@"];
            line.is_empty() || starts.iter().any(|start| line.starts_with(start))
        };
        let known = format!("debug1: Host '{}' is known and matches ", access.instance_id);
        let after = stderr.lines().position(|line| line.starts_with(&known));
        let then = |start: &str| after.is_some_and(|at| stderr.lines().skip(at).any(|line| line.starts_with(start)));
        let is_direct = access.proxy_command.is_none() && access.proxy_jump.is_none();
        Self {
            words: stderr.lines().map(str::trim).filter(|line| !is_chatter(line)).collect(),
            is_connected: is_direct && stderr.lines().any(|line| line.starts_with("debug1: Connection established.")),
            is_verified: after.is_some(),
            has_no_key: !then("debug1: Offering public key: ") || then("Load key "),
            is_in: then("Authenticated to "),
        }
    }

    fn has(&self, text: &str) -> bool {
        self.words.iter().any(|line| line.contains(text))
    }

    /// The line with this text, or what was said first: the rest are ssh's own conclusions.
    fn reason(&self, text: &str) -> String {
        let found = self.words.iter().find(|line| line.contains(text)).or(self.words.first());
        found.map_or("no reason given", |line| line).to_owned()
    }
}

/// 255 is ssh's own failure (ssh(1), "EXIT STATUS"), 137 that it was ended because it took too long.
fn judge(access: &BastionAccess, captured: &Captured) -> Result<Said, ShellError> {
    let stderr = String::from_utf8_lossy(&captured.stderr);
    let talk = Talk::read(access, &stderr);
    let is_late = captured.code == 137;
    if captured.code != 255 && !is_late {
        let stdout = String::from_utf8_lossy(&captured.stdout).into_owned();
        return Ok(Said { code: captured.code, stdout, stderr: talk.words.join("\n") });
    }
    let late = format!("it took longer than {} s", RUN_LIMIT.as_secs());
    let last = if is_late { &late } else { talk.words.last().copied().unwrap_or("no reason given") };
    let message = last.to_owned();
    let host_key =
        ["REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed", "no matching host key type found"];
    let unusable = ["Bad configuration option", "Bad owner or permissions"];
    Err(if talk.is_in {
        match talk.has("timed out") || talk.has("Timeout, server") {
            true => ShellError::NoAnswer { timed_out: true, message },
            false => ShellError::Broken { message },
        }
    } else if talk.is_verified {
        match talk.has("Permission denied") && talk.has_no_key {
            true => ShellError::Unavailable(talk.reason("Load key").into()),
            false if is_late => ShellError::Refused { message },
            false => ShellError::Refused { message: talk.reason("Permission denied") },
        }
    } else if host_key.iter().any(|text| stderr.contains(text)) {
        ShellError::HostKey { message }
    } else if unusable.iter().any(|text| talk.has(text)) {
        ShellError::Unavailable(message.into())
    } else if talk.is_connected {
        ShellError::HungUp { message: talk.reason("kex_exchange_identification") }
    } else {
        ShellError::NoAnswer { timed_out: talk.has("timed out"), message }
    })
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use super::*;
    use crate::testing::FakeProcesses;

    fn access(dir: &Path) -> BastionAccess {
        BastionAccess {
            instance_id: "i-0abc".to_owned(),
            public_ip: [203, 0, 113, 7].into(),
            public_dns: None,
            user: "ec2-user".to_owned(),
            port: 22,
            key_file: dir.join("bastion_key"),
            known_hosts_file: dir.join("known_hosts"),
            expires_at: None,
            place: None,
            proxy_command: None,
            proxy_jump: None,
        }
    }

    /// What ssh was started with, and the file it was given.
    async fn ran(access: &BastionAccess, dir: &Path) -> Result<(Vec<String>, String), ShellError> {
        let processes = Arc::new(FakeProcesses::default());
        processes.set_output("ssh", Captured { code: 0, stdout: Vec::new(), stderr: Vec::new() });
        SshShell::new(processes.clone(), dir).run(access, "true").await?;
        let spec = processes.captured().remove(0);
        assert_eq!(spec.gets, Gets::Ssh);
        let args = spec.args.into_iter().map(|arg| arg.into_string().unwrap()).collect();
        Ok((args, std::fs::read_to_string(dir.join(SSH_CONFIG_FILE)).unwrap()))
    }

    #[tokio::test]
    async fn ssh_gets_the_tunnels_configuration_and_little_time_to_connect() {
        let home = tempfile::tempdir().unwrap();
        let (args, config) = ran(&access(home.path()), home.path()).await.unwrap();
        let options = ["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-v", "-T", "--", "i-0abc", "true"];
        assert_eq!(args[2..], options.map(str::to_owned));
        assert_eq!(config, ssh_config::render(&link(&access(home.path())).unwrap()));
        assert!(config.starts_with("Host i-0abc\n  HostName 203.0.113.7\n"), "{config}");
    }

    #[tokio::test]
    async fn no_setting_and_no_path_adds_a_line_to_the_configuration() {
        let home = tempfile::tempdir().unwrap();
        let good = access(home.path());
        let bad = [
            BastionAccess { proxy_jump: Some("gate\n  ProxyCommand touch /tmp/evil".to_owned()), ..good.clone() },
            BastionAccess { proxy_command: Some("nc %h %p\n  LocalCommand evil".to_owned()), ..good.clone() },
            BastionAccess { key_file: "/state/\"\n  LocalCommand evil/key".into(), ..good.clone() },
            BastionAccess { user: "ada\n  LocalCommand evil".to_owned(), ..good.clone() },
        ];
        for access in bad {
            let refused = ran(&access, home.path()).await.unwrap_err();
            assert!(matches!(refused, ShellError::Unavailable(_)), "{refused}");
            assert!(!home.path().join(SSH_CONFIG_FILE).exists());
        }
    }

    const KNOWN: &str =
        "debug1: Connection established.\ndebug1: Host 'i-0abc' is known and matches the ED25519 host key.\n";
    const OFFERED: &str = "debug1: Offering public key: /state/bastion_key ED25519 SHA256:kRN2 explicit\n";
    const DENIED: &str = "ec2-user@203.0.113.7: Permission denied (publickey).\r\n";

    fn judged(code: i32, stderr: &str) -> Result<Said, ShellError> {
        let access = access(Path::new("/state"));
        judge(&access, &Captured { code, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() })
    }

    /// What `tests/slow/bastion_ssh.rs` has real daemons say, where one machine can bring them to it.
    #[test]
    fn what_ssh_says_is_told_apart() {
        let kind = |stderr: &str| match judged(255, stderr).unwrap_err() {
            ShellError::NoAnswer { timed_out: true, .. } => "late",
            ShellError::NoAnswer { .. } => "no answer",
            ShellError::HostKey { .. } => "host key",
            ShellError::HungUp { .. } => "hung up",
            ShellError::Refused { .. } => "refused",
            ShellError::Broken { .. } => "broken",
            ShellError::Unavailable(_) => "unavailable",
        };
        let changed = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r\n";
        let unknown = "No ED25519 host key is known for i-0abc and you have requested strict checking.\nHost key verification failed.\n";
        let reset = "kex_exchange_identification: read: Connection reset by peer\n";
        let closed = "Connection closed by 203.0.113.7 port 22\n";
        let expired = "Your account has expired; please contact your system administrator.\n";
        let gate = "debug1: Connection established.\ndebug1: Host 'gate' is known and matches the ED25519 host key.\n";
        let key = "Load key \"/state/bastion_key\": error in libcrypto\n";
        for (stderr, wanted) in [
            (changed.to_owned(), "host key"),
            (unknown.to_owned(), "host key"),
            (format!("{KNOWN}{OFFERED}{DENIED}"), "refused"),
            (format!("{KNOWN}{OFFERED}{expired}{closed}"), "refused"),
            (format!("{KNOWN}{OFFERED}{closed}"), "refused"),
            (format!("{KNOWN}{key}{DENIED}"), "unavailable"),
            (format!("{KNOWN}{OFFERED}{key}{DENIED}"), "unavailable"),
            (format!("{KNOWN}no such identity: /state/bastion_key\n{DENIED}"), "unavailable"),
            (format!("{KNOWN}{OFFERED}Authenticated to 203.0.113.7 ([203.0.113.7]:22).\n{closed}"), "broken"),
            (
                format!("{KNOWN}{OFFERED}Authenticated to 203.0.113.7\nTimeout, server 203.0.113.7 not responding.\n"),
                "late",
            ),
            ("ssh: connect to host 203.0.113.7 port 22: Connection timed out\n".to_owned(), "late"),
            ("ssh: connect to host 203.0.113.7 port 22: Connection refused\n".to_owned(), "no answer"),
            (reset.to_owned(), "no answer"),
            (format!("debug1: Connection established.\n{reset}"), "hung up"),
            ("debug1: Connection established.\nConnection timed out during banner exchange\n".to_owned(), "hung up"),
            // A host in between that refuses its own user is not the bastion.
            (format!("{OFFERED}ada@gate: Permission denied (publickey).\n{closed}"), "no answer"),
            ("/state/config: line 7: Bad configuration option: knock\n".to_owned(), "unavailable"),
        ] {
            assert_eq!(kind(&stderr), wanted, "{stderr}");
        }
        let behind = BastionAccess { proxy_jump: Some("gate".to_owned()), ..access(Path::new("/state")) };
        let stderr = format!("{gate}{OFFERED}Authenticated to gate ([192.0.2.1]:22).\n{reset}").into_bytes();
        let error = judge(&behind, &Captured { code: 255, stdout: Vec::new(), stderr }).unwrap_err();
        assert!(matches!(error, ShellError::NoAnswer { .. }), "{error:?}");
    }

    #[test]
    fn the_reason_is_said_and_the_chatter_is_not() {
        let Err(ShellError::Refused { message }) = judged(255, &format!("{KNOWN}{OFFERED}{DENIED}")) else { panic!() };
        assert_eq!(message, DENIED.trim());
        let Err(ShellError::Refused { message }) = judged(137, &format!("{KNOWN}{OFFERED}")) else { panic!() };
        assert_eq!(message, "it took longer than 20 s");
        let stderr = format!("{KNOWN}{OFFERED}Authenticated to 203.0.113.7\nno shell\ndebug1: Exit status 1\n");
        assert_eq!(judged(1, &stderr).unwrap(), Said { code: 1, stdout: String::new(), stderr: "no shell".to_owned() });
    }
}
