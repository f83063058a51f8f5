//! What one login tells about a bastion, and what is wrong with one that runs and is of no use.

use super::console::plain;
use super::{BastionAccess, BastionError, Console, READY_FILE, Shell, ShellError, Workshop};
use std::fmt;
use std::time::Duration;

/// cloud-init writes it at the end of the first boot, whether its scripts failed or not (cloud-init reference,
/// "Boot stages", final).
const ENDED_FILE: &str = "/var/lib/cloud/instance/boot-finished";

/// A login that is refused, or a shell that is not there, may come with the first boot; not later than this.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);
/// The mark and the end of the boot are written one after the other, and looked at one after the other.
const MARK_PATIENCE: Duration = Duration::from_secs(1);
/// A daemon that is being set up, or has too many at its door, may hang up for a while.
const GREETING_PATIENCE: Duration = Duration::from_secs(60);

/// Between the two logins of [`check_login`].
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// What a login shell of whatever kind passes on to a plain one.
pub(super) fn question() -> String {
    format!("sh -c 'cat {READY_FILE} 2>/dev/null || {{ test -e {ENDED_FILE} && echo ended || echo booting; }}'")
}

/// What is wrong with a bastion that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// sshd has shown the pinned host key and refuses the login.
    Refuses { said: String },
    /// The key is accepted, and commands do not run: the account is closed, its shell is gone.
    RunsNothing { said: String },
    /// Its first boot ended and did not get through.
    Unfinished,
    /// Its first boot does not end.
    Unending { seconds: u64 },
    /// Its port takes connections and ends them before any host key is seen: perhaps it is not the bastion.
    HangsUp { said: String },
}

impl Defect {
    /// How long it must be seen without a break before it is believed.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Refuses { .. } | Self::RunsNothing { .. } => LOGIN_PATIENCE,
            Self::Unfinished => MARK_PATIENCE,
            Self::Unending { .. } => Duration::ZERO,
            Self::HangsUp { .. } => GREETING_PATIENCE,
        }
    }

    /// True where the pinned host key proves that it is the instance itself that is broken, and no machine in between.
    pub fn is_proven(&self) -> bool {
        !matches!(self, Self::HangsUp { .. })
    }

    /// For a question and a step: why the instance is replaced.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refuses { .. } => "it refuses the login",
            Self::RunsNothing { .. } => "it runs no command",
            Self::Unfinished => "its first boot failed",
            Self::Unending { .. } => "its first boot does not end",
            Self::HangsUp { .. } => "its ssh port hangs up",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuses { said } => write!(f, "answers with its pinned host key and refuses the login: {said}"),
            Self::RunsNothing { said } => write!(f, "accepts the key and runs no command: {said}"),
            Self::Unfinished => f.write_str("lets you in, but its first boot failed: the ready mark is missing"),
            Self::Unending { seconds } => {
                write!(f, "lets you in, but its first boot has not ended within {seconds} s")
            }
            Self::HangsUp { said } => {
                write!(f, "takes connections at its ssh port and ends them before it shows its host key: {said}")
            }
        }
    }
}

/// What was seen at one login.
#[derive(Debug)]
pub(super) enum Login {
    Ready,
    Booting,
    Defect(Defect),
    /// No connection: it may come with time.
    Silent(ShellError),
}

/// Logs in once.
///
/// # Errors
/// A host key that is not the pinned one, and an ssh that cannot be run: waiting helps neither.
pub(super) async fn log_in(shell: &dyn Shell, access: &BastionAccess) -> Result<Login, BastionError> {
    match shell.run(access, &question()).await {
        Ok(said) => Ok(read(said.code, &said.stdout, &said.stderr)),
        Err(ShellError::HostKey { message }) => Err(BastionError::HostKey { id: access.instance_id.clone(), message }),
        Err(error @ ShellError::Unavailable(_)) => Err(BastionError::Ssh(error)),
        Err(ShellError::Refused { message }) => Ok(Login::Defect(Defect::Refuses { said: plain(&message) })),
        Err(ShellError::Broken { message }) => Ok(Login::Defect(Defect::RunsNothing { said: plain(&message) })),
        Err(ShellError::HungUp { message }) => Ok(Login::Defect(Defect::HangsUp { said: plain(&message) })),
        Err(error @ ShellError::NoAnswer { .. }) => Ok(Login::Silent(error)),
    }
}

/// A login shell may greet before it answers.
fn read(code: i32, stdout: &str, stderr: &str) -> Login {
    let has = |word: &str| stdout.lines().any(|line| line.trim() == word);
    if stdout.lines().any(|line| line.trim_start().starts_with("ready")) {
        return Login::Ready;
    }
    match code {
        0 if has("ended") => Login::Defect(Defect::Unfinished),
        0 if has("booting") => Login::Booting,
        _ => {
            let words = stdout.lines().chain(stderr.lines()).map(plain).rfind(|line| !line.is_empty());
            Login::Defect(Defect::RunsNothing { said: words.unwrap_or_else(|| format!("exit code {code}")) })
        }
    }
}

/// Finds out with a login whether the bastion lets us in; false while its first boot goes on. A defect must be seen
/// twice; nothing is waited for beyond that.
///
/// # Errors
/// [`BastionError::Defective`] with the console's word, a host key that is not the pinned one, no way in.
pub async fn check_login(workshop: &Workshop<'_>, access: &BastionAccess) -> Result<bool, BastionError> {
    let id = access.instance_id.clone();
    let mut first = true;
    loop {
        match log_in(workshop.shell, access).await? {
            Login::Ready => return Ok(true),
            Login::Booting => return Ok(false),
            Login::Silent(source) => return Err(BastionError::NoWayIn { id, source }),
            Login::Defect(_) if first => tokio::time::sleep(SECOND_LOOK).await,
            Login::Defect(defect) => {
                let console = Console::of(workshop.cloud, &id).await;
                return Err(BastionError::Defective { id, defect, console });
            }
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_answers_is_told_apart() {
        assert!(matches!(read(0, "ready 5d41402a\n", ""), Login::Ready));
        assert!(matches!(read(0, "Welcome, and be careful\nready 5d41402a\n", ""), Login::Ready));
        assert!(matches!(read(0, "booting\n", ""), Login::Booting));
        assert!(matches!(read(0, "ended\n", ""), Login::Defect(Defect::Unfinished)));
        for (code, stdout, stderr, wanted) in [
            (1, "This account is currently not available.\n", "", "This account is currently not available."),
            (
                1,
                "",
                "WARNING: Your password has expired.\nPassword change required but no TTY available.\n",
                "Password change required but no TTY available.",
            ),
            (127, "", "bash: line 1: sh: command not found\n", "bash: line 1: sh: command not found"),
            (0, "", "", "exit code 0"),
            (0, "rbash\u{1b}[2J\n", "", "rbash"),
        ] {
            let Login::Defect(Defect::RunsNothing { said }) = read(code, stdout, stderr) else { panic!("{stdout}") };
            assert_eq!(said, wanted);
        }
    }
}
