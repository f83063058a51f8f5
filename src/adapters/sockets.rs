//! The TCP sockets of this machine.

use crate::system::{SocketState, SocketUser, TcpSocket};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Linux shows them all, other systems (through `listeners`) those that listen.
pub(super) fn all() -> Vec<TcpSocket> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    if tables.iter().all(Result::is_err) {
        return listening();
    }
    let owners = owners();
    let rows = tables.iter().flatten().flat_map(|table| table.lines().skip(1)).filter_map(row);
    rows.map(|(local, state, inode)| TcpSocket { local, pid: owners.get(&inode).copied(), state }).collect()
}

/// Whose socket takes connections to this address. `is_own` asks for the process, where there is no table of users: those
/// of other users are not shown then, so what takes the address and is not shown is theirs.
pub(super) fn port_user(address: SocketAddr, is_own: impl Fn() -> bool) -> Option<SocketUser> {
    if let Some(uids) = users(address) {
        let users = || uids.iter().map(|uid| user(*uid));
        return users().find(|user| *user != SocketUser::Trusted).or_else(|| users().next());
    }
    if is_own() {
        return Some(SocketUser::Trusted);
    }
    let is_taken =
        std::net::TcpListener::bind(address).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    is_taken.then_some(SocketUser::Other { uid: None })
}

pub(super) fn user(uid: u32) -> SocketUser {
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        SocketUser::Trusted
    } else {
        SocketUser::Other { uid: Some(uid) }
    }
}

/// The users whose sockets take connections to this address, by their uids; absent where the system keeps no such table.
fn users(address: SocketAddr) -> Option<Vec<u32>> {
    let tables: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(|table| std::fs::read_to_string(table).ok()).collect();
    if tables.is_empty() {
        return None;
    }
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let takes = |line: &&str| {
        row(line).is_some_and(|(local, state, _)| state == SocketState::Listening && takes_in(local, address))
    };
    Some(lines.filter(takes).filter_map(|line| line.split_ascii_whitespace().nth(7)?.parse().ok()).collect())
}

/// Whether a listener takes what is sent to this address: `::` takes IPv4 too, unless it was told not to (ipv6(7)).
fn takes_in(listener: SocketAddr, address: SocketAddr) -> bool {
    let mapped = match listener.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        ip => ip,
    };
    let is_there = mapped == address.ip() || mapped == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    listener.port() == address.port()
        && (is_there || (address.is_ipv4() && mapped == IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

fn listening() -> Vec<TcpSocket> {
    let found = listeners::get_all().unwrap_or_default().into_iter();
    found
        .filter(|listener| listener.protocol == listeners::Protocol::TCP)
        .map(|found| TcpSocket { local: found.socket, pid: Some(found.process.pid), state: SocketState::Listening })
        .collect()
}

/// Which process has which socket open, for the processes that this user may look into. A socket that several have
/// (a parent and its child) counts as the oldest one's.
fn owners() -> HashMap<u64, u32> {
    let mut owners = HashMap::new();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    for pid in pids {
        for inode in open_by(pid).into_iter().flatten() {
            owners.entry(inode).or_insert(pid);
        }
    }
    owners
}

/// The sockets that a process has open; absent where this user may not look into it.
fn open_by(pid: u32) -> Option<Vec<u64>> {
    let inode = |open: std::fs::DirEntry| {
        let target = std::fs::read_link(open.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().filter_map(inode).collect())
}

/// A connection carries the path of the socket that takes it in, whether it has been accepted or still waits.
pub(super) fn unix_clients(pid: u32) -> Option<usize> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/unix")).ok()?;
    let own = open_by(pid)?;
    let rows: Vec<UnixRow<'_>> = table.lines().skip(1).filter_map(unix_row).collect();
    let is_taken_in = |row: &&UnixRow<'_>| {
        let listens_there = |other: &&UnixRow<'_>| other.is_listening && other.path == row.path;
        let listener = rows.iter().find(listens_there).filter(|listener| own.contains(&listener.inode));
        !row.is_listening && listener.is_some() && (row.inode == 0 || own.contains(&row.inode))
    };
    Some(rows.iter().filter(is_taken_in).count())
}

struct UnixRow<'a> {
    is_listening: bool,
    /// None yet (0) while the connection waits to be accepted.
    inode: u64,
    path: &'a str,
}

/// One line of `/proc/net/unix` (proc_pid_net(5)): address, references, protocol, flags, type, state, inode, and the
/// path, which may hold blanks. `SO_ACCEPTCON` is the flag of a listener.
fn unix_row(line: &str) -> Option<UnixRow<'_>> {
    const LISTENING: u32 = 0x10000;
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        rest = rest.trim_start_matches(' ');
        (*field, rest) = rest.split_once(' ')?;
    }
    let flags = u32::from_str_radix(fields[3], 16).ok()?;
    Some(UnixRow { is_listening: flags & LISTENING != 0, inode: fields[6].parse().ok()?, path: rest })
}

/// One line of `/proc/net/tcp` (proc_pid_net(5), net/ipv4/tcp_ipv4.c): local address, state, and inode. `retrnsmt`
/// counts the resends since the last acknowledgement (`icsk_retransmits`), and is of one that is under way only while
/// there is something to acknowledge.
fn row(line: &str) -> Option<(SocketAddr, SocketState, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let state = match *fields.get(3)? {
        "0A" => SocketState::Listening,
        "01" => {
            let waiting = u32::from_str_radix(fields.get(4)?.split_once(':')?.0, 16).ok()?;
            let resent = u32::from_str_radix(fields.get(6)?, 16).ok()?;
            SocketState::Connected { resent: if waiting == 0 { 0 } else { resent } }
        }
        _ => return None,
    };
    Some((address(fields.get(1)?)?, state, fields.get(9)?.parse().ok()?))
}

/// `0100007F:1538`: words of 32 bits as the machine holds them.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[at * 4..at * 4 + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let listening = "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(row(listening), Some(("127.0.0.1:5432".parse().unwrap(), SocketState::Listening, 4711)));
        let stuck = "   1: 0A0A0A0A:C350 0107C0CB:0016 01 00000060:00000000 01:0000012C 00000003     0        0 12 3 0 100 0 0 10 0";
        let stuck = row(stuck).unwrap();
        assert_eq!(stuck.1, SocketState::Connected { resent: 3 });
        let ipv6 = "   0: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1";
        assert_eq!(row(ipv6).unwrap().0, "[::1]:5432".parse().unwrap());
        assert_eq!(row("   2: 0100007F:1538 0100007F:C350 06 00000000:00000000 03:00000F3C 00000000 0 0 0 3"), None);
        assert_eq!(row("nonsense"), None);
    }
}
