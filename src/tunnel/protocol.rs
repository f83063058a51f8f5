//! What clients and the supervisor say to each other: one JSON document a line, over the supervisor's unix socket.

use super::greeting::Greeting;
use super::{SupervisorSpec, TunnelError, TunnelReport};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Raised when a message changes its meaning. `hello`, `status`, `stop`, `hand_over` and `next_waiting` keep theirs
/// for ever, so that any devdb can replace any supervisor.
pub(super) const PROTOCOL: u32 = 1;
/// The release that a supervisor and its clients must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// The first line of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) version: String,
    pub(super) pid: u32,
}

impl Hello {
    pub(super) fn mine() -> Self {
        Self { protocol: PROTOCOL, version: VERSION.to_owned(), pid: std::process::id() }
    }

    /// Whether the two sides may say more to each other than what every release understands ([`PROTOCOL`]).
    pub(super) fn suits(&self) -> bool {
        self.protocol == PROTOCOL && self.version == VERSION
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub(super) enum Request {
    /// `probe`: ask every database first.
    Status {
        probe: bool,
    },
    /// Take up this specification, if it differs.
    Use {
        spec: Box<SupervisorSpec>,
    },
    /// Replace the link.
    Restart,
    Stop,
    /// As `Stop`, but the ports stay open: the listening sockets come with the first byte of the reply.
    HandOver,
    /// After `HandOver`: the next client that waits for a link.
    NextWaiting,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(super) enum Reply {
    Status {
        report: Box<TunnelReport>,
    },
    Accepted,
    HandedOver,
    /// What a client has said that waits; its connection comes with the first byte. `None`: nobody waits any more.
    Waiting {
        client: Option<Greeting>,
    },
    /// Only a new supervisor can do that: the ports differ.
    NeedsReplacement,
    Refused {
        reason: String,
    },
}

pub(super) fn line<T: Serialize>(message: &T) -> Result<Vec<u8>, TunnelError> {
    let mut line = serde_json::to_vec(message).map_err(|source| TunnelError::Protocol { source: Some(source) })?;
    line.push(b'\n');
    Ok(line)
}

pub(super) fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, TunnelError> {
    serde_json::from_slice(line).map_err(|source| TunnelError::Protocol { source: Some(source) })
}

/// Writes one message.
pub(super) async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> Result<(), TunnelError> {
    stream.write_all(&line(message)?).await.map_err(TunnelError::Broken)
}

/// Reads one message; `None` when the other side has left.
pub(super) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<T>, TunnelError> {
    let mut line = Vec::new();
    let count = stream.take(LONGEST_LINE as u64).read_until(b'\n', &mut line).await.map_err(TunnelError::Broken)?;
    if count == 0 {
        return Ok(None);
    }
    parse(&line).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_every_release_understands_are_written_like_this() {
        let hello = Hello { protocol: 1, version: "0.1.0".to_owned(), pid: 7 };
        assert_eq!(serde_json::to_string(&hello).unwrap(), r#"{"protocol":1,"version":"0.1.0","pid":7}"#);
        assert_eq!(serde_json::to_string(&Request::Stop).unwrap(), r#"{"request":"stop"}"#);
        assert_eq!(serde_json::to_string(&Request::HandOver).unwrap(), r#"{"request":"hand_over"}"#);
        assert_eq!(serde_json::to_string(&Reply::HandedOver).unwrap(), r#"{"reply":"handed_over"}"#);
        assert_eq!(serde_json::to_string(&Request::NextWaiting).unwrap(), r#"{"request":"next_waiting"}"#);
        let waiting = r#"{"reply":"waiting","client":{"bytes":[0,255],"was_told_yes":true}}"#;
        assert_eq!(serde_json::to_string(&parse::<Reply>(waiting.as_bytes()).unwrap()).unwrap(), waiting);
        let nobody = serde_json::to_string(&Reply::Waiting { client: None }).unwrap();
        assert_eq!(nobody, r#"{"reply":"waiting","client":null}"#);
        let status = serde_json::to_string(&Request::Status { probe: true }).unwrap();
        assert_eq!(status, r#"{"request":"status","probe":true}"#);
        assert_eq!(serde_json::to_string(&Reply::Accepted).unwrap(), r#"{"reply":"accepted"}"#);
    }

    #[test]
    fn the_report_is_the_contract() {
        let mut report = serde_json::to_value(TunnelReport::stopped()).unwrap();
        for key in ["state", "since", "cause", "restarts", "targets", "bastion"] {
            assert!(report.as_object_mut().unwrap().remove(key).is_some(), "{key}");
        }
    }

    #[tokio::test]
    async fn a_message_too_long_or_cut_short_is_an_error_and_not_a_hang() {
        let mut cut = &b"{\"request\":\"sto"[..];
        assert!(receive::<Request>(&mut cut).await.is_err());
        assert_eq!(receive::<Request>(&mut &b""[..]).await.unwrap(), None);
    }
}
