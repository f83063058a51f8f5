//! What a tunnel sees of PostgreSQL: it answers SSLRequest with `S`, shakes hands, and then echoes.

use super::sshd::eventually;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Signs certificates, and writes its own for clients to trust.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(ca_file: &Path) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(ca_file, issuer.pem()).unwrap();
        Self(issuer)
    }

    pub(crate) fn server_config(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

/// One endpoint; ends when it is dropped.
pub(crate) struct Database {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
}

impl Database {
    /// Listens on a port of its own under this certificate name.
    pub(crate) fn start(authority: &Authority, name: &str) -> Self {
        Self::start_on(authority, name, 0)
    }

    pub(crate) fn start_on(authority: &Authority, name: &str, port: u16) -> Self {
        Self::listen(authority, name, port, Duration::ZERO)
    }

    /// A database that thinks for so long before its first answer.
    pub(crate) fn slow(authority: &Authority, name: &str, pause: Duration) -> Self {
        Self::listen(authority, name, 0, pause)
    }

    fn listen(authority: &Authority, name: &str, port: u16, pause: Duration) -> Self {
        let listener = eventually("the database's port", Duration::from_secs(5), || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
        });
        let port = listener.local_addr().unwrap().port();
        let config = authority.server_config(name);
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(SeqCst) {
                    return;
                }
                let (config, stream) = (config.clone(), stream.unwrap());
                std::thread::spawn(move || serve(stream, config, pause));
            }
        });
        Self { port, over }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(mut stream: TcpStream, config: Arc<ServerConfig>, pause: Duration) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut request = [0; 8];
    stream.read_exact(&mut request).ok()?;
    if request != SSL_REQUEST {
        return None;
    }
    std::thread::sleep(pause);
    stream.write_all(b"S").ok()?;
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut bytes = [0; 4096];
    loop {
        let count = tls.read(&mut bytes).ok().filter(|count| *count > 0)?;
        tls.write_all(&bytes[..count]).ok()?;
    }
}

/// A client that goes as far as the first answer: SSLRequest, `S`. It counts as served.
pub(crate) fn is_served(address: SocketAddr, limit: Duration) -> std::io::Result<Duration> {
    let started = std::time::Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(&SSL_REQUEST)?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"S");
    Ok(started.elapsed())
}
