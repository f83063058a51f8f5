use super::certificates::{Fault, Seen, Trust, authorities, client_config, fault};
use crate::tunnel::{BoxStream, Distrust, HostName, Probe, ProbeError, ProbeReport};
use async_trait::async_trait;
use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// PostgreSQL documentation, "Message Formats": SSLRequest is length 8 and code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The probe by rustls.
pub(crate) struct TlsProbe;

#[async_trait]
impl Probe for TlsProbe {
    async fn probe(&self, mut stream: BoxStream, host: &HostName, ca_file: &Path) -> Result<ProbeReport, ProbeError> {
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
        let connected = connector.connect(name, stream).await.map_err(|error| tls(error.to_string()))?;
        let handshake = started.elapsed();
        // RFC 8446: a full handshake of TLS 1.3 is one round trip; RFC 5246: of TLS 1.2, two.
        let is_newest = connected.get_ref().1.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let round_trip = if is_newest { handshake } else { handshake / 2 };
        let (mut stream, _) = connected.into_inner();
        let _ = stream.shutdown().await;

        let distrust = seen.distrust().and_then(|error| match fault(&error) {
            // The names themselves tell that.
            Some(Fault::OtherName) => None,
            Some(Fault::UnknownIssuer) => Some(Distrust::UnknownIssuer { ca_file: ca_file.to_owned() }),
            Some(Fault::Expired) => Some(Distrust::Expired),
            None => Some(Distrust::Other { said: error.to_string() }),
        });
        Ok(ProbeReport { round_trip, names: seen.names(), distrust })
    }
}
