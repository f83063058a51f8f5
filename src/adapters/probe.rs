use crate::tunnel::{BoxStream, HostName, Probe, ProbeError, ProbeReport};
use async_trait::async_trait;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// PostgreSQL documentation, "Message Formats": SSLRequest is length 8 and code 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The probe by rustls.
pub(crate) struct TlsProbe;

#[async_trait]
impl Probe for TlsProbe {
    async fn probe(&self, mut stream: BoxStream, host: &HostName, ca_file: &Path) -> Result<ProbeReport, ProbeError> {
        let authority = |said: String| ProbeError::Authority { path: ca_file.to_owned(), said };
        let tls = |said: String| ProbeError::Tls { said };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let witness = Arc::new(Witness {
            inner: verifier(ca_file, &provider).map_err(authority)?,
            provider: provider.clone(),
            seen: seen.clone(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(witness)
            .with_no_client_auth();
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

        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(ProbeReport { round_trip, names: seen.names, distrust: seen.distrust })
    }
}

fn verifier(ca_file: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| error.to_string())
}

#[derive(Debug, Default)]
struct Seen {
    names: Vec<String>,
    distrust: Option<String>,
}

/// Lets every certificate pass and writes down what it is and whether it is to be believed: a probe that broke off
/// at a foreign certificate could not say whose it was. The handshake's signature is still checked, so what is
/// written down belongs to whoever answered.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
    seen: Arc<Mutex<Seen>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let is_other_name = |error: &rustls::Error| {
            matches!(
                error,
                rustls::Error::InvalidCertificate(
                    rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. }
                )
            )
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.names = names(end_entity);
        // A wrong name is told by the names themselves.
        seen.distrust = verified.err().filter(|error| !is_other_name(error)).map(|error| error.to_string());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The DNS names of the certificate's subject alternative name extension (RFC 5280 §4.2.1.6).
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(dns).collect()
}
