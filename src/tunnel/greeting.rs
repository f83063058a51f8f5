//! What a client of PostgreSQL says first.

use serde::{Deserialize, Serialize};

/// What a client says before the first answer is kept up to this size, to be said again to the next generation.
/// PostgreSQL's SSLRequest has 8 bytes, a startup packet at most 10,000 (`MAX_STARTUP_PACKET_LENGTH`).
pub(super) const LONGEST_GREETING: usize = 16 * 1024;

/// PostgreSQL documentation, "Message Formats": SSLRequest, which is answered with `S` or `N`.
pub(super) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The same page: GSSENCRequest, which is answered with `G` or `N`.
const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// What a client said before it was told anything that ties it to one database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Greeting {
    pub(super) bytes: Vec<u8>,
    /// It knows that its SSLRequest was taken, and says its part of the TLS handshake.
    pub(super) was_told_yes: bool,
    /// How often it was said again although the link stood.
    #[serde(skip)]
    pub(super) repeats: u32,
}

impl Greeting {
    /// It asks for encryption, and may have begun it: of what may have been heard that is all that can be said again.
    pub(super) fn asks_for_encryption(&self) -> bool {
        self.bytes.starts_with(&SSL_REQUEST) || self.bytes.starts_with(&GSSENC_REQUEST)
    }
}

/// True for a whole CancelRequest, which a server closes without an answer.
///
/// Source: PostgreSQL documentation, "Message Formats": a length, the code 80877102, a process id and a secret key,
/// which has 4 bytes, and since protocol 3.2 up to 256.
pub(super) fn is_cancel_request(said: &[u8]) -> bool {
    (16..=268).contains(&said.len()) && code_of_whole(said) == Some(80_877_102)
}

/// True for what a server that takes connections always answers, be it with an error: who has closed after this, or
/// before anything, has taken none. Of what is no PostgreSQL that cannot be told.
pub(super) fn is_always_answered(said: &[u8]) -> bool {
    let is_startup = || code_of_whole(said).is_some_and(|code| code >> 16 == 3);
    said.is_empty() || said == SSL_REQUEST || said == GSSENC_REQUEST || is_startup()
}

/// What follows the length, where that is the length of all that was said.
fn code_of_whole(said: &[u8]) -> Option<u32> {
    let number = |at: usize| said.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    number(4).filter(|_| number(0).and_then(|length| usize::try_from(length).ok()) == Some(said.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(length: u32, code: u32, rest: usize) -> Vec<u8> {
        let mut packet = [length.to_be_bytes(), code.to_be_bytes()].concat();
        packet.resize(8 + rest, 7);
        packet
    }

    #[test]
    fn a_cancel_request_is_told_from_every_other_greeting() {
        assert!(is_cancel_request(&packet(16, 80_877_102, 8)));
        assert!(is_cancel_request(&packet(44, 80_877_102, 36)), "protocol 3.2 has longer keys");
        assert!(!is_cancel_request(&packet(16, 80_877_102, 7)), "cut short");
        assert!(!is_cancel_request(&packet(8, 80_877_103, 0)), "SSLRequest");
        assert!(!is_cancel_request(&packet(8, 80_877_104, 0)), "GSSENCRequest");
        assert!(!is_cancel_request(&packet(16, 196_608, 8)), "a startup packet of protocol 3.0");
        assert!(!is_cancel_request(&[]));
    }

    #[test]
    fn what_a_server_always_answers_is_told_from_what_it_may_close_without_a_word() {
        assert!(is_always_answered(&packet(8, 80_877_103, 0)), "SSLRequest");
        assert!(is_always_answered(&packet(8, 80_877_104, 0)), "GSSENCRequest");
        assert!(is_always_answered(&packet(16, 196_608, 8)), "a startup packet of protocol 3.0");
        assert!(is_always_answered(&packet(16, 196_610, 8)), "and of 3.2");
        assert!(is_always_answered(&[]), "nobody waits for an answer to nothing");
        assert!(!is_always_answered(&packet(16, 80_877_102, 8)), "CancelRequest");
        assert!(!is_always_answered(&packet(16, 196_608, 4)), "cut short");
        assert!(!is_always_answered(b"GET / HTTP/1.1\r\n\r\n"));
        assert!(!is_always_answered(&[0x16, 3, 1]), "TLS without a request, which older servers do not know");
    }
}
