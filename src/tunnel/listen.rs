use super::{TargetSpec, TunnelError};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;

/// Both loopback addresses: `psql -h localhost` tries ::1 first, and must not find somebody else there.
pub(super) const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The listeners of one target.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) bound: Vec<TcpListener>,
    pub(super) local: Vec<SocketAddr>,
    /// Addresses of a family that this machine does not have.
    pub(super) skipped: Vec<SocketAddr>,
}

/// Binds the target's port on every loopback address, or on none.
pub(super) async fn bind(target: &TargetSpec) -> Result<Listeners, TunnelError> {
    bind_port(&target.name, target.local_port).await
}

async fn bind_port(name: &str, port: u16) -> Result<Listeners, TunnelError> {
    let mut found = Listeners { bound: Vec::new(), local: Vec::new(), skipped: Vec::new() };
    for ip in LOOPBACK {
        let address = SocketAddr::new(ip, port);
        match TcpListener::bind(address).await {
            Ok(listener) => {
                found.local.push(address);
                found.bound.push(listener);
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(TunnelError::PortBusy { target: name.to_owned(), address, owner: None, free: None });
            }
            Err(error) if is_missing_family(&error) => found.skipped.push(address),
            Err(source) => return Err(TunnelError::File { path: address.to_string().into(), source }),
        }
    }
    if found.bound.is_empty() {
        return Err(TunnelError::NoLoopback { port });
    }
    Ok(found)
}

/// A machine without IPv6 answers EADDRNOTAVAIL where the address is missing, EAFNOSUPPORT (97 on Linux, 47 on
/// macOS) where the kernel was built without it.
fn is_missing_family(error: &std::io::Error) -> bool {
    let no_family = if cfg!(target_os = "linux") { 97 } else { 47 };
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(no_family)
}

/// The next port from `port` on that is free on every loopback address.
pub(super) async fn next_free(port: u16, taken: &[u16]) -> Option<u16> {
    for candidate in (port.checked_add(1)?..=u16::MAX).take(200).filter(|candidate| !taken.contains(candidate)) {
        if bind_port("", candidate).await.is_ok() {
            return Some(candidate);
        }
    }
    None
}
