//! What OpenSSH says, and what it means. The texts are those of releases 8.7 to 10.1.

use crate::tunnel::{LinkEnd, LinkError};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What ssh said last, on one line.
pub(super) fn last_words(log: &Path) -> Option<String> {
    let mut file = std::fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut bytes = Vec::new();
    file.take(4096).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// The words of `clientloop.c` and `packet.c` (OpenSSH 8.7 to 10.1) for a bastion that is silent.
pub(super) fn end_of(said: Option<String>) -> LinkEnd {
    const SILENT: [&str; 5] =
        ["Timeout, server", "Broken pipe", "Connection timed out", "No route to host", "Network is"];
    match said {
        Some(said) if SILENT.iter().any(|words| said.contains(words)) => LinkEnd::NoAnswer { said },
        said => LinkEnd::Other { said },
    }
}

/// Puts ssh's words into a class. The texts are those of OpenSSH 8.7 to 10.1 (`sshconnect.c`, `sshconnect2.c`).
pub(super) fn classify(text: &str) -> LinkError {
    let said = one_line(text);
    let has = |part: &str| text.contains(part);
    let host_key = [
        "Host key verification failed",
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "no matching host key type found",
        "No ED25519 host key is known",
    ];
    if host_key.into_iter().any(has) {
        LinkError::HostKey { said }
    } else if has("Permission denied (") || has("Too many authentication failures") {
        LinkError::Authentication { said }
    } else if has("Network is unreachable") || has("Could not resolve hostname") || has("No route to host") {
        LinkError::NoNetwork { said }
    } else if has("timed out") || has("Timeout, server") {
        LinkError::TimedOut { said }
    } else if has("Connection refused") {
        LinkError::Refused { said }
    } else {
        LinkError::Failed { said }
    }
}

/// ssh frames some messages with lines of `@`; the last line with words in it says the most.
pub(super) fn one_line(text: &str) -> String {
    let words = |line: &&str| line.chars().any(char::is_alphabetic);
    text.lines().rev().map(str::trim).find(words).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_is_put_into_a_class() {
        let banner =
            "@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@\nHost key verification failed.";
        assert_eq!(classify(banner), LinkError::HostKey { said: "Host key verification failed.".to_owned() });
        let denied = "ec2-user@203.0.113.7: Permission denied (publickey).";
        assert!(matches!(classify(denied), LinkError::Authentication { .. }));
        let late = "connect to host 203.0.113.7 port 22: Connection timed out";
        assert!(matches!(classify(late), LinkError::TimedOut { .. }));
        assert!(matches!(classify("Connection timed out during banner exchange"), LinkError::TimedOut { .. }));
        let away = "connect to host 203.0.113.7 port 22: Network is unreachable";
        assert!(matches!(classify(away), LinkError::NoNetwork { .. }));
        let refused = "connect to host 127.0.0.1 port 2222: Connection refused";
        assert!(matches!(classify(refused), LinkError::Refused { .. }));
        let said = |words: &str| Some(words.to_owned());
        assert!(end_of(said("Timeout, server 203.0.113.7 not responding.")).is_of_the_network());
        assert!(end_of(said("client_loop: send disconnect: Broken pipe")).is_of_the_network());
        assert_eq!(end_of(said("Killed by signal 15.")).to_string(), "ssh ended: Killed by signal 15.");
        assert_eq!(end_of(None).to_string(), "ssh ended");
        assert!(matches!(classify("kex_exchange_identification: read: Connection reset"), LinkError::Failed { .. }));
    }
}
