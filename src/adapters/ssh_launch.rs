//! Starting an ssh master on a connection that is made here.
//!
//! An ssh that connects by itself leaves Nagle's algorithm on until it has authenticated, and so waits twice in each
//! handshake for an acknowledgement that the other side delays: two round trips more until the first query
//! (`scripts/bench tunnel_distance`). `ProxyCommand -` makes it speak through its stdin and stdout (`ssh_connect` of
//! OpenSSH's sshconnect.c; with `-f` since 8.0, which copies them first).

use super::process::given;
use super::ssh::failed;
use super::ssh_words::classify;
use crate::system::Gets;
use crate::tunnel::{LinkError, LinkSpec};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// TCP connect, and then banner and key exchange. Short, because a SYN that was lost while the network was away is not
/// sent again for seconds; a new attempt sends one at once.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Starts a master in a folder of its own, and returns that when it has authenticated and gone to the background.
/// Dropped before, it ends ssh.
pub(super) async fn launch(link: &LinkSpec, config: &Path, folder: &Path) -> Result<TempDir, LinkError> {
    let home = tempfile::Builder::new().prefix(".ssh-").tempdir_in(folder).map_err(failed)?;
    let log = home.path().join("log");
    let is_proxied = link.proxy_command.is_some() || link.proxy_jump.is_some();
    let socket = if is_proxied { None } else { Some(connect(link).await?) };
    let prompt = socket.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?;
    let mut args: Vec<OsString> = vec!["-E".into(), log.clone().into(), "-S".into(), home.path().join("master").into()];
    args.extend(["-M", "-f", "-N", "-o", "ControlPersist=yes", "-o", "BatchMode=yes"].map(Into::into));
    // Here it wins over whatever a file may say.
    args.extend(["-o", "StrictHostKeyChecking=yes"].map(Into::into));
    args.extend(["-o".into(), format!("ConnectTimeout={}", CONNECT_LIMIT.as_secs()).into()]);
    if socket.is_some() {
        args.extend(["-o", "ProxyCommand=-"].map(Into::into));
    }
    args.extend(["-F".into(), config.into(), link.instance_id.as_str().into()]);
    let status = start(args, socket).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => LinkError::NoSsh,
        _ => failed(error),
    })?;
    if status.success() {
        prompt.into_iter().for_each(|socket| drop(tokio::spawn(acknowledge_at_once(socket))));
        return Ok(home);
    }
    Err(classify(&std::fs::read_to_string(log).map_err(failed)?))
}

/// The master puts itself into the background (`-f`), so the child that was started ends when it is ready.
#[expect(clippy::disallowed_methods, reason = "a SpawnSpec has no word for a socket as stdin and stdout")]
async fn start(args: Vec<OsString>, socket: Option<OwnedFd>) -> std::io::Result<std::process::ExitStatus> {
    let mut command = tokio::process::Command::new("ssh");
    command.args(args).env_clear().envs(given(Gets::Tunnel)).stderr(Stdio::null()).kill_on_drop(true);
    match socket {
        Some(socket) => command.stdin(socket.try_clone()?).stdout(socket),
        None => command.stdin(Stdio::null()).stdout(Stdio::null()),
    };
    let mut child = command.spawn()?;
    // A socket that we keep would outlive ssh.
    drop(command);
    child.wait().await
}

/// What sshd says unasked after authentication (its host keys) is acknowledged only 40 ms later, because ssh has no answer
/// to it; until then an sshd before 10.1 holds back the answer to the first channel (Nagle). The kernel takes the wish
/// for now only, and forgets it when ssh sends something.
///
/// Source: tcp(7), TCP_QUICKACK. Elsewhere than on Linux there is no such word, and the 40 ms are lost.
#[cfg(target_os = "linux")]
async fn acknowledge_at_once(socket: OwnedFd) {
    /// Two of the longest round trips that are usual.
    const LIMIT: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_millis(10);
    let again_and_again = async {
        while rustix::net::sockopt::set_tcp_quickack(&socket, true).is_ok() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let _ = timeout(LIMIT, again_and_again).await;
}

#[cfg(not(target_os = "linux"))]
async fn acknowledge_at_once(_socket: OwnedFd) {}

async fn connect(link: &LinkSpec) -> Result<OwnedFd, LinkError> {
    let (address, port) = (link.address.as_str(), link.ssh_port);
    let connecting = timeout(CONNECT_LIMIT, TcpStream::connect((address, port))).await;
    let stream = connecting.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())).map_err(|error| {
        // Not the system's number, which says nothing to anybody.
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        let said = format!("connect to host {address} port {port}: {why}");
        match error.kind() {
            ErrorKind::ConnectionRefused => LinkError::Refused { said },
            ErrorKind::TimedOut => LinkError::TimedOut { said },
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown => {
                LinkError::NoNetwork { said }
            }
            // The resolver's errors have no kind of their own.
            _ if address.parse::<std::net::IpAddr>().is_err() => LinkError::NoNetwork { said },
            _ => LinkError::Failed { said },
        }
    })?;
    stream.set_nodelay(true).map_err(failed)?;
    // As ssh does itself (`TCPKeepAlive yes`).
    rustix::net::sockopt::set_socket_keepalive(&stream, true).map_err(|error| failed(error.into()))?;
    let stream = stream.into_std().map_err(failed)?;
    stream.set_nonblocking(false).map_err(failed)?;
    Ok(stream.into())
}
