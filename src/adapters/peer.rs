//! Whose socket is at the other end of a connection on this machine.

use std::net::SocketAddr;

/// The uid of the process that made the socket at `peer`, which is connected to `local`; absent where the kernel does
/// not tell, or the socket is gone.
///
/// The kernel finds one socket by its addresses, whatever else is open: 10 microseconds, while reading
/// `/proc/net/tcp` walks the whole table (4 ms here). Source: sock_diag(7), "INET_DIAG"; any user may ask.
#[cfg(target_os = "linux")]
pub(super) fn uid(local: SocketAddr, peer: SocketAddr) -> Option<u32> {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with,
    };
    let kind = (AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = socket_with(kind.0, kind.1, kind.2, Some(netlink::SOCK_DIAG)).ok()?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(&socket, &request(local, peer), SendFlags::empty(), &kernel).ok()?;
    let mut answer = [0; 512];
    // The kernel answers before sendto comes back.
    let (_, length) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
    uid_of(answer.get(..length)?, local, peer)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn uid(_local: SocketAddr, _peer: SocketAddr) -> Option<u32> {
    None
}

/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
#[cfg(target_os = "linux")]
const BY_FAMILY: u16 = 20;

/// `struct nlmsghdr`, then `struct inet_diag_req_v2` (linux/netlink.h, linux/inet_diag.h).
#[cfg(target_os = "linux")]
fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    const LENGTH: u32 = 16 + 56;
    const NLM_F_REQUEST: u16 = 1;
    const IPPROTO_TCP: u8 = 6;
    /// `INET_DIAG_NOCOOKIE`: no socket is known from before.
    const NO_COOKIE: [u8; 8] = [0xff; 8];
    // AF_INET and AF_INET6 of Linux.
    let family = if peer.is_ipv4() { 2 } else { 10 };
    let mut message = Vec::new();
    message.extend(LENGTH.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence and port number: there is one question, and the kernel fills in the sender.
    message.extend([0; 8]);
    message.extend([family, IPPROTO_TCP, 0, 0]);
    // In every state.
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(addresses(local, peer));
    // Through any interface.
    message.extend([0; 4]);
    message.extend(NO_COOKIE);
    message
}

/// The beginning of `struct inet_diag_sockid`: the socket's own port and address are the source.
#[cfg(target_os = "linux")]
fn addresses(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| {
        let mut octets = match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        octets.resize(16, 0);
        octets
    };
    [&peer.port().to_be_bytes()[..], &local.port().to_be_bytes(), &octets(peer), &octets(local)].concat()
}

/// `struct inet_diag_msg`. Where no connection is found the kernel may answer with a listener of the port.
#[cfg(target_os = "linux")]
fn uid_of(answer: &[u8], local: SocketAddr, peer: SocketAddr) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let (ports, message) = (addresses(local, peer), answer.get(16..)?);
    if kind != BY_FAMILY || message.get(4..8)? != &ports[..4] {
        return None;
    }
    Some(u32::from_ne_bytes(message.get(64..68)?.try_into().ok()?))
}
