use super::HealSpec;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{value}` cannot be used as {what}: {reason}")]
pub struct SpecError {
    pub what: &'static str,
    pub value: String,
    pub reason: &'static str,
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, SpecError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(reason) => Err(SpecError { what: $what, value: text.escape_debug().to_string(), reason }),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = SpecError;
            fn try_from(text: String) -> Result<Self, SpecError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// A DNS name or a literal address, safe in an ssh configuration and on a command line.
    HostName, "a host name", |text| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
        plain_word(text, allowed)
    }
);
checked_text!(
    /// A login on the bastion.
    LoginName, "a login name", |text| {
        plain_word(text, |letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_'))
    }
);
checked_text!(
    /// OpenSSH's `ProxyJump`: `[user@]host[:port]`, more than one separated by commas.
    ProxyJump, "a proxy jump", |text| {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_:@,[]".contains(letter);
        plain_word(text, allowed)
    }
);
checked_text!(
    /// OpenSSH's `ProxyCommand`. It is the user's own shell command; it must only stay on its line.
    ProxyCommand, "a proxy command", |text| {
        if text.trim().is_empty() {
            Err("it is empty")
        } else if text.chars().any(char::is_control) {
            Err("it holds a control character")
        } else {
            Ok(())
        }
    }
);
checked_text!(
    /// An absolute path that every release of OpenSSH can be given: before 8.7 nothing escapes a double quote, and from
    /// then on a backslash escapes.
    SshPath, "a path in the ssh configuration", |text| {
        if !text.starts_with('/') {
            Err("it is not absolute")
        } else if text.chars().any(|letter| letter.is_control() || matches!(letter, '"' | '\\')) {
            Err("ssh cannot be given a path with a double quote, a backslash or a control character")
        } else if text.contains("${") {
            // ssh_config(5): IdentityFile and UserKnownHostsFile expand ${VARIABLE}, and there is no way to escape it.
            Err("ssh would expand `${`")
        } else {
            Ok(())
        }
    }
);

fn plain_word(text: &str, allowed: fn(char) -> bool) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > 255 {
        Err("it is longer than 255 characters")
    } else if text.starts_with('-') {
        Err("it begins with a dash")
    } else if !text.chars().all(allowed) {
        Err("it holds a character that does not belong there")
    } else {
        Ok(())
    }
}

impl SshPath {
    pub fn from_path(path: &Path) -> Result<Self, SpecError> {
        match path.to_str() {
            Some(text) => Self::parse(text),
            None => Err(SpecError {
                what: "a path in the ssh configuration",
                value: path.display().to_string(),
                reason: "it is not UTF-8",
            }),
        }
    }

    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// As a value of IdentityFile and UserKnownHostsFile, which expand `%` (ssh_config(5), "TOKENS"), in the double quotes
    /// that keep blanks, `#` and apostrophes together.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('%', "%%"))
    }
}

/// How to reach the bastion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// The instance's id; host keys are pinned under it (`HostKeyAlias`), because addresses are recycled.
    pub instance_id: HostName,
    pub address: HostName,
    pub ssh_port: u16,
    pub user: LoginName,
    pub identity_file: SshPath,
    pub known_hosts_file: SshPath,
    #[serde(default)]
    pub proxy_command: Option<ProxyCommand>,
    #[serde(default)]
    pub proxy_jump: Option<ProxyJump>,
}

impl LinkSpec {
    /// Nothing stands between this machine and the bastion that ssh would have to be told of.
    pub fn is_straight(&self) -> bool {
        self.proxy_command.is_none() && self.proxy_jump.is_none()
    }
}

/// One database endpoint behind one local port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// `writer` or `reader`; the first target decides whether the tunnel is up.
    pub name: String,
    pub host: HostName,
    pub port: u16,
    pub local_port: u16,
}

impl TargetSpec {
    /// `host:port`, as shown to people.
    pub fn endpoint(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// What the supervisor shall keep alive. It is a file in the state folder and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupervisorSpec {
    /// Absent: the endpoints are reachable directly, and no supervisor is needed.
    pub link: Option<LinkSpec>,
    /// The writer first.
    pub targets: Vec<TargetSpec>,
    /// Certificates of the authorities that may sign the database's certificate (PEM).
    pub ca_file: PathBuf,
    /// How long new connections wait for the tunnel, in milliseconds.
    pub hold_ms: u64,
    /// Whether programs of other users of this machine are served as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serves_all_users: bool,
    /// How to mend the way; absent where nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal: Option<HealSpec>,
}

impl SupervisorSpec {
    pub fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    /// Whether a link that was opened for the other one is as good for this one.
    pub(super) fn leads_as(&self, other: &Self) -> bool {
        *self == Self { heal: self.heal.clone(), ..other.clone() }
    }

    /// The line of the runbook that this tunnel replaces.
    pub fn equivalent(&self) -> Option<String> {
        let link = self.link.as_ref()?;
        let forwards: String = self
            .targets
            .iter()
            .map(|target| format!(" -L {}:{}:{}", target.local_port, target.host, target.port))
            .collect();
        let port = if link.ssh_port == 22 { String::new() } else { format!(" -p {}", link.ssh_port) };
        let option = |name: &str, path: &SshPath| in_shell(&format!("{name}={}", path.quoted()));
        Some(format!(
            "ssh -o {} -o HostKeyAlias={} -o {}{port} -fN{forwards} {}@{}",
            option("IdentityFile", &link.identity_file),
            link.instance_id,
            option("UserKnownHostsFile", &link.known_hosts_file),
            link.user,
            link.address
        ))
    }
}

/// One word of a POSIX shell.
fn in_shell(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ssh_would_read_as_more_than_a_value_gets_in() {
        for wrong in ["", "-oProxyCommand=x", "a b", "a\nHost *", "a;b", "$(x)", "%h", "a\"b", &"a".repeat(256)] {
            assert!(HostName::parse(wrong).is_err(), "{wrong}");
            assert!(LoginName::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["relative", "/a\nProxyCommand x", "/a\"b", "/a\\b", "/a${HOME}"] {
            assert!(SshPath::parse(wrong).is_err(), "{wrong}");
        }
        assert!(ProxyCommand::parse("nc -X connect %h %p\nLocalCommand x").is_err());
        assert!(ProxyCommand::parse("aws ssm start-session --target \"%h\"").is_ok());
        assert!(ProxyJump::parse("-oProxyCommand=x").is_err());
        assert!(ProxyJump::parse("ada@gate.example.com:2222,[::1]:22").is_ok());
        assert!(SshPath::parse("/home/ada o'brien/100%/#1/$x/id").is_ok());
    }

    #[test]
    fn a_spec_file_with_an_unsafe_value_is_refused_while_it_is_read() {
        let text = r#"{"name": "writer", "host": "db\nHost *", "port": 5432, "local_port": 5432}"#;
        assert!(serde_json::from_str::<TargetSpec>(text).is_err());
    }
}
