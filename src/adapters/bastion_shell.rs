use super::ssh_config;
use crate::bastion::{BastionAccess, SSH_CONFIG_FILE, Shell, ShellError};
use crate::system::{Captured, ProcessError, Processes, SpawnSpec};
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
        Ok(SpawnSpec { program: "ssh".into(), args, cwd: folder, ..SpawnSpec::default() })
    }
}

#[async_trait]
impl Shell for SshShell {
    async fn run(&self, access: &BastionAccess, command: &str) -> Result<(i32, String), ShellError> {
        let spec = self.ssh(access, &["-T"], [command])?;
        let processes = self.processes.clone();
        let captured = tokio::task::spawn_blocking(move || processes.capture(&spec)).await;
        let captured = captured
            .map_err(|error| ShellError::Unavailable(Box::new(error)))?
            .map_err(|error: ProcessError| ShellError::Unavailable(Box::new(error)))?;
        judge(&captured)
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

/// 255 is ssh's own failure (ssh(1), "EXIT STATUS"); the reason stands on stderr only.
fn judge(captured: &Captured) -> Result<(i32, String), ShellError> {
    if captured.code != 255 {
        return Ok((captured.code, String::from_utf8_lossy(&captured.stdout).into_owned()));
    }
    let stderr = String::from_utf8_lossy(&captured.stderr);
    let has = |text: &str| stderr.contains(text);
    let message =
        stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim().to_owned();
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Host key verification failed") {
        return Err(ShellError::HostKey { message });
    }
    if has("Permission denied") || has("Too many authentication failures") {
        return Err(ShellError::Refused { message });
    }
    if has("Bad configuration option") || has("Bad owner or permissions") || has("bad permissions") {
        return Err(ShellError::Unavailable(message.into()));
    }
    Err(ShellError::NoAnswer { timed_out: has("timed out"), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stderr: &str) -> ShellError {
        judge(&Captured { code: 255, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }).unwrap_err()
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        assert!(matches!(
            judged("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.\r\n"),
            ShellError::HostKey { .. }
        ));
        assert!(matches!(
            judged(
                "No ED25519 host key is known for i-1 and you have requested strict checking.\nHost key verification failed.\n"
            ),
            ShellError::HostKey { .. }
        ));
        assert!(matches!(judged("ec2-user@1.2.3.4: Permission denied (publickey).\n"), ShellError::Refused { .. }));
        assert!(matches!(
            judged("ssh: connect to host 1.2.3.4 port 22: Connection timed out\n"),
            ShellError::NoAnswer { timed_out: true, .. }
        ));
        assert!(matches!(
            judged("ssh: connect to host 1.2.3.4 port 22: Connection refused\n"),
            ShellError::NoAnswer { timed_out: false, .. }
        ));
        assert!(matches!(judged("kex_exchange_identification: read: Connection reset"), ShellError::NoAnswer { .. }));
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod configuration {
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
        let args = processes.captured().remove(0).args.into_iter().map(|arg| arg.into_string().unwrap()).collect();
        Ok((args, std::fs::read_to_string(dir.join(SSH_CONFIG_FILE)).unwrap()))
    }

    #[tokio::test]
    async fn ssh_gets_the_tunnels_configuration_and_little_time_to_connect() {
        let home = tempfile::tempdir().unwrap();
        let (args, config) = ran(&access(home.path()), home.path()).await.unwrap();
        let options = ["-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5", "-T", "--", "i-0abc", "true"];
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
}
