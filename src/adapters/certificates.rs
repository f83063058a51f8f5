//! What a server's certificate says and whether it is to be believed; shared by connections and probes.

use crate::system::{Links, read_plain};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Who may vouch for a server, and what follows when nobody does.
pub(super) enum Trust {
    /// The chain must end in one of these authorities and name the server, or the handshake fails.
    Authorities(Arc<WebPkiServerVerifier>),
    /// The same is looked at and written down; the handshake goes on, so that one learns whose certificate it is.
    Witnessed(Arc<WebPkiServerVerifier>),
    /// libpq's `sslmode=require`: encrypted, and whoever answers is believed.
    Anybody,
}

/// All authorities that browsers know are 200 kB.
const LONGEST: u64 = 16 << 20;

/// The certificate authorities of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn authorities(ca_file: &Path) -> Result<Arc<WebPkiServerVerifier>, Source> {
    let mut roots = RootCertStore::empty();
    let bytes = read_plain(ca_file, Links::Followed, LONGEST)?;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build()?)
}

/// The client's side of TLS; what the server shows is written to `seen`.
pub(super) fn client_config(trust: Trust, seen: &Seen) -> Result<ClientConfig, rustls::Error> {
    let mut provider = ring::default_provider();
    // PostgreSQL's `ssl_ecdh_curve` is prime256v1: a share for another curve costs a HelloRetryRequest, a round trip.
    provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::secp256r1);
    let provider = Arc::new(provider);
    let verifier = Arc::new(Witness { trust, provider: provider.clone(), seen: seen.clone() });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// What a server showed during the handshake, even if it was refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Shown>>>);

#[derive(Debug, Clone)]
struct Shown {
    names: Vec<String>,
    distrust: Option<rustls::Error>,
}

impl Seen {
    fn shown(&self) -> Option<Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The DNS names and addresses that the certificate was issued for (RFC 5280, 4.2.1.6).
    pub(super) fn names(&self) -> Vec<String> {
        self.shown().map(|shown| shown.names).unwrap_or_default()
    }

    /// Why the certificate was not believed.
    pub(super) fn distrust(&self) -> Option<rustls::Error> {
        self.shown()?.distrust
    }

    /// True when no certificate was shown: the connection is not encrypted.
    pub(super) fn is_empty(&self) -> bool {
        self.shown().is_none()
    }
}

/// What is wrong with a certificate, as far as it has a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    UnknownIssuer,
    OtherName,
    Expired,
}

/// Sorts what the verifier says.
pub(super) fn fault(error: &rustls::Error) -> Option<Fault> {
    let rustls::Error::InvalidCertificate(reason) = error else { return None };
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(Fault::UnknownIssuer),
        // webpki's word for a server that shows an authority's certificate as its own: a self-signed one, as
        // PostgreSQL's documentation makes it. rustls has no word for it.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            Some(Fault::UnknownIssuer)
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Some(Fault::OtherName),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some(Fault::Expired),
        _ => None,
    }
}

fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(bytes) => Some(std::net::Ipv4Addr::from(bytes).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        },
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

/// Writes down every certificate and decides as its trust says. The handshake's signature is checked in any case, so
/// what is written down belongs to whoever answered.
struct Witness {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Witness")
    }
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
        let believed = match &self.trust {
            Trust::Authorities(inner) | Trust::Witnessed(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Trust::Anybody => Ok(ServerCertVerified::assertion()),
        };
        let shown = Shown { names: names(end_entity), distrust: believed.as_ref().err().cloned() };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        match self.trust {
            Trust::Witnessed(_) => Ok(ServerCertVerified::assertion()),
            _ => believed,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
