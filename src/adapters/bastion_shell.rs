use crate::bastion::{BastionAccess, SSH_CONFIG_FILE, Shell, ShellError};
use crate::system::{Captured, ProcessError, Processes, SpawnSpec};
use async_trait::async_trait;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs `ssh -F FILE INSTANCE COMMAND`, one connection per command.
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

#[async_trait]
impl Shell for SshShell {
    async fn run(&self, access: &BastionAccess, command: &str) -> Result<(i32, String), ShellError> {
        let config = access.ssh_config().map_err(|error| ShellError::Unavailable(Box::new(error)))?;
        write(&self.config_file, &config).map_err(|error| ShellError::Unavailable(Box::new(error)))?;
        let spec = SpawnSpec {
            program: "ssh".into(),
            // Said on the command line too, where it wins over whatever a file may say.
            args: ["-F".into(), self.config_file.clone().into_os_string()]
                .into_iter()
                .chain(["-o", "StrictHostKeyChecking=yes", "-T", &access.instance_id, command].map(Into::into))
                .collect(),
            ..SpawnSpec::default()
        };
        let processes = self.processes.clone();
        let captured = tokio::task::spawn_blocking(move || processes.capture(&spec)).await;
        let captured = captured
            .map_err(|error| ShellError::Unavailable(Box::new(error)))?
            .map_err(|error: ProcessError| ShellError::Unavailable(Box::new(error)))?;
        judge(&captured)
    }
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
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
