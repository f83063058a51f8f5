use super::certificates::{Fault, Seen, Trust, authorities, client_config, fault};
use crate::tunnel::{BoxStream, Distrust, GoesOn, HostName, Probe, ProbeError, ProbeReport};
use async_trait::async_trait;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// PostgreSQL documentation, "Message Formats": SSLRequest is length 8 and code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The same page: StartupMessage of protocol 3.0. The names need not exist: a server that asks for
/// passwords looks for them when it has one.
const PROTOCOL_3: u32 = 196_608;
const STARTUP: &[u8] = b"user\0devdb\0database\0postgres\0application_name\0devdb/probe\0\0";

/// So long may a database take to say whether it takes sessions. One that is waking up takes longer, and is no worse
/// for it.
const PATIENCE: Duration = Duration::from_secs(2);
/// An ErrorResponse of more bytes is none.
const LONGEST_ERROR: u32 = 8 * 1024;
/// PostgreSQL documentation, "PostgreSQL Error Codes": admin_shutdown, crash_shutdown, cannot_connect_now.
const UNREADY: [&str; 3] = ["57P01", "57P02", "57P03"];

/// The probe by rustls.
pub(crate) struct TlsProbe;

#[async_trait]
impl Probe for TlsProbe {
    async fn probe(
        &self,
        mut stream: BoxStream,
        host: &HostName,
        ca_file: &Path,
        goes_on: &GoesOn<'_>,
    ) -> Result<ProbeReport, ProbeError> {
        let tls = |said: String| ProbeError::Tls { said };
        let authorities = authorities(ca_file)
            .map_err(|error| ProbeError::Authority { path: ca_file.to_owned(), said: error.to_string() })?;
        // A probe that broke off at a foreign certificate could not say whose it was.
        let seen = Seen::default();
        let config = client_config(Trust::Witnessed(authorities), &seen).map_err(|error| tls(error.to_string()))?;
        let name = ServerName::try_from(host.as_str().to_owned()).map_err(|error| tls(error.to_string()))?;

        let mut answer = [0];
        // Closed before a single byte: nobody is behind the bastion, or it refused.
        stream.write_all(&SSL_REQUEST).await.map_err(|_| ProbeError::Closed)?;
        stream.read_exact(&mut answer).await.map_err(|_| ProbeError::Closed)?;
        match answer[0] {
            b'S' => {}
            b'N' => return Err(ProbeError::NoTls),
            _ => return Err(ProbeError::NotPostgres),
        }

        let started = Instant::now();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut connected = connector.connect(name, stream).await.map_err(|error| tls(error.to_string()))?;
        let handshake = started.elapsed();
        // RFC 8446: a full handshake of TLS 1.3 is one round trip; RFC 5246: of TLS 1.2, two.
        let is_newest = connected.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let round_trip = if is_newest { handshake } else { handshake / 2 };
        let distrust = seen.distrust().and_then(|error| match fault(&error) {
            // The names themselves tell that.
            Some(Fault::OtherName) => None,
            Some(Fault::UnknownIssuer) => Some(Distrust::UnknownIssuer { ca_file: ca_file.to_owned() }),
            Some(Fault::Expired) => Some(Distrust::Expired),
            None => Some(Distrust::Other { said: error.to_string() }),
        });
        let report = ProbeReport { round_trip, names: seen.names(), distrust, unready: None };
        if !goes_on(&report) {
            return Ok(report);
        }
        let answer = timeout(PATIENCE, unready(&mut connected)).await;
        let _ = connected.shutdown().await;
        // Whoever says nothing is waking up, at the worst; whoever leaves was about to end.
        let unready = answer.unwrap_or(Ok(None)).map_err(|_| ProbeError::Closed)?;
        Ok(ProbeReport { unready, ..report })
    }
}

/// Begins a session and takes the answer's first message: why the database takes no sessions at all. What it thinks of
/// this one is of no interest, and it hears no password.
async fn unready(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<Option<String>> {
    let length = u32::try_from(STARTUP.len() + 8).unwrap_or_default();
    let packet = [&length.to_be_bytes(), &PROTOCOL_3.to_be_bytes(), STARTUP].concat();
    stream.write_all(&packet).await?;
    stream.flush().await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let [kind, length @ ..] = head;
    let length = u32::from_be_bytes(length).saturating_sub(4);
    if kind != b'E' || length > LONGEST_ERROR {
        return Ok(None);
    }
    let mut fields = vec![0; length as usize];
    stream.read_exact(&mut fields).await?;
    let field = |name: u8| fields.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[name]));
    let is_unready = field(b'C').is_some_and(|code| UNREADY.iter().any(|unready| unready.as_bytes() == code));
    Ok(is_unready.then(|| String::from_utf8_lossy(field(b'M').unwrap_or_default()).into_owned()))
}
