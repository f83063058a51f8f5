use super::serve::Waiting;
use super::{TargetSpec, TunnelError};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
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

/// What another supervisor has handed over, and nobody has taken yet.
#[derive(Default)]
pub(super) struct Inherited {
    listeners: Vec<TcpListener>,
    /// Clients of its ports that wait for a link.
    pub(super) waiting: Vec<Waiting>,
}

impl Inherited {
    pub(super) fn new(sockets: Vec<OwnedFd>) -> Self {
        let listener = |socket: OwnedFd| {
            let listener = std::net::TcpListener::from(socket);
            listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)).ok()
        };
        Self { listeners: sockets.into_iter().filter_map(listener).collect(), waiting: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    /// The clients; ports that nobody has taken are closed.
    pub(super) fn into_waiting(self) -> Vec<Waiting> {
        self.waiting
    }

    fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at =
            self.listeners.iter().position(|listener| listener.local_addr().is_ok_and(|local| local == address))?;
        Some(self.listeners.swap_remove(at))
    }
}

/// Binds the target's port on every loopback address, or on none; what was inherited is taken instead.
pub(super) async fn bind(target: &TargetSpec, inherited: &mut Inherited) -> Result<Listeners, TunnelError> {
    bind_port(&target.name, target.local_port, inherited).await
}

async fn bind_port(name: &str, port: u16, inherited: &mut Inherited) -> Result<Listeners, TunnelError> {
    let mut found = Listeners { bound: Vec::new(), local: Vec::new(), skipped: Vec::new() };
    for ip in LOOPBACK {
        let address = SocketAddr::new(ip, port);
        let bound = match inherited.take(address) {
            Some(listener) => Ok(listener),
            None => TcpListener::bind(address).await,
        };
        match bound {
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
        if bind_port("", candidate, &mut Inherited::default()).await.is_ok() {
            return Some(candidate);
        }
    }
    None
}
