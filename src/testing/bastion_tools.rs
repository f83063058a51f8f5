use crate::bastion::{AddressEcho, BastionAccess, EchoError, KeyMaker, MadeKey, Said, Shell, ShellError};
use crate::system::SpawnSpec;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Makes what a spoiled instance answers; [`ShellError`] cannot be copied.
type Answer = Box<dyn Fn() -> Result<(i32, String), ShellError> + Send + Sync>;

/// A bastion that is ready at once, unless a script says otherwise.
///
/// Like ssh with a strict check it refuses a host that `known_hosts` does not name.
#[derive(Default)]
pub struct FakeShell {
    script: Mutex<VecDeque<Result<(i32, String), ShellError>>>,
    spoiled: Mutex<Option<(String, Answer)>>,
    commands: Mutex<Vec<String>>,
}

impl FakeShell {
    /// What the next commands answer; afterwards every command says that the bastion is ready.
    pub fn script(&self, answers: impl IntoIterator<Item = Result<(i32, String), ShellError>>) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    /// Whatever instance's id begins like this always gives this answer, once the script has ended.
    pub fn spoil(
        &self,
        instance_id: &str,
        answer: impl Fn() -> Result<(i32, String), ShellError> + Send + Sync + 'static,
    ) {
        *self.spoiled.lock().unwrap_or_else(PoisonError::into_inner) = Some((instance_id.to_owned(), Box::new(answer)));
    }

    /// The commands that were run, in order.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Shell for FakeShell {
    async fn run(&self, access: &BastionAccess, command: &str) -> Result<Said, ShellError> {
        let known = std::fs::read_to_string(&access.known_hosts_file).unwrap_or_default();
        if !known.lines().any(|line| line.starts_with(&format!("{} ssh-ed25519 ", access.instance_id))) {
            return Err(ShellError::HostKey { message: "the host is not known".to_owned() });
        }
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command.to_owned());
        let scripted = self.script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let spoiled = self.spoiled.lock().unwrap_or_else(PoisonError::into_inner);
        let spoiled = spoiled.as_ref().filter(|(id, _)| access.instance_id.starts_with(id)).map(|(_, answer)| answer());
        let (code, stdout) = scripted.or(spoiled).unwrap_or_else(|| Ok((0, "ready\n".to_owned())))?;
        Ok(Said { code, stdout, stderr: String::new() })
    }

    async fn knock(&self, _access: &BastionAccess) -> Result<(), ShellError> {
        Ok(())
    }

    fn command_line(&self, access: &BastionAccess, words: &[String]) -> Result<SpawnSpec, ShellError> {
        let args = std::iter::once(&access.instance_id).chain(words).map(Into::into).collect();
        Ok(SpawnSpec { program: "ssh".into(), args, ..SpawnSpec::default() })
    }
}

/// Sees everybody with the same address.
pub struct FakeEcho(pub Mutex<Option<Ipv4Addr>>);

impl Default for FakeEcho {
    fn default() -> Self {
        Self(Mutex::new(Some(Ipv4Addr::new(198, 51, 100, 7))))
    }
}

impl FakeEcho {
    /// Moves the caller to another address, or takes the service down.
    pub fn set(&self, address: Option<Ipv4Addr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }
}

#[async_trait]
impl AddressEcho for FakeEcho {
    async fn address(&self, url: &str) -> Result<Ipv4Addr, EchoError> {
        let address = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        address.ok_or_else(|| EchoError::Unreachable { url: url.to_owned(), source: "no route".into() })
    }
}

/// Counts instead of throwing dice. The halves look like keys and are none.
#[derive(Default)]
pub struct FakeKeys(Mutex<u32>);

impl KeyMaker for FakeKeys {
    fn make(&self, comment: &str) -> Result<MadeKey, Box<dyn std::error::Error + Send + Sync>> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *made += 1;
        Ok(MadeKey {
            private_key: Zeroizing::new(format!("private {made}\n")),
            public_key: format!("ssh-ed25519 AAAAfake{made:04} {comment}"),
        })
    }
}
