//! What an ssh carries besides the ports in question: all of it ends with it.

use super::stale_plan::{Program, Suspect};

/// `clients`: how many connections its unix sockets have taken in; each session of another ssh that goes through a
/// master is one (`PROTOCOL.mux` of OpenSSH). Absent where the operating system does not tell.
///
/// Connections through the ports in question are not among it: they are what the tunnel is for.
pub(super) fn riders(suspect: &Suspect, clients: Option<usize>) -> Vec<String> {
    let (Some(process), Program::Ssh(command)) = (&suspect.process, &suspect.program) else { return Vec::new() };
    // A master in the background has no words of its own any more; sessions are its clients.
    let is_master = process.command.first().is_some_and(|title| title.starts_with("ssh: "));
    let mut carried = Vec::new();
    if !is_master && !command.runs_nothing {
        carried.push("the session or the command that it was started for".to_owned());
    }
    match clients {
        Some(0) => {}
        Some(1) => carried.push("1 session of another ssh".to_owned()),
        Some(several) => carried.push(format!("{several} sessions of other ssh")),
        None if is_master || command.serves_otherwise => carried.push("perhaps sessions of other ssh".to_owned()),
        None => {}
    }
    let mut ports: Vec<u16> = suspect.elsewhere.iter().map(std::net::SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    carried.extend(ports.iter().map(|port| format!("a forward of port {port}")));
    if command.forwards_back {
        carried.push("a forward from the other end".to_owned());
    }
    carried
}

#[cfg(test)]
mod tests {
    use super::super::ssh_command::SshCommand;
    use super::*;
    use crate::system::ProcessInfo;

    fn carried(line: &str, elsewhere: &[&str], clients: Option<usize>) -> Vec<String> {
        let title = line.starts_with("ssh: ");
        let command: Vec<String> = match title {
            true => vec![line.to_owned()],
            false => line.split(' ').map(str::to_owned).collect(),
        };
        let program = Program::Ssh(SshCommand::parse(&command[1..]));
        let process = Some(ProcessInfo { pid: 7, command, own: true, ..ProcessInfo::default() });
        let local = vec!["127.0.0.1:5432".parse().unwrap()];
        let elsewhere = elsewhere.iter().map(|address| address.parse().unwrap()).collect();
        let suspect = Suspect { process, program, ports: vec![5432], local, elsewhere, resends: Vec::new() };
        riders(&suspect, clients)
    }

    #[test]
    fn what_a_tunnel_carries_besides_is_counted() {
        let nothing: [&str; 0] = [];
        assert_eq!(carried("ssh -fNL 5432:db:5432 b", &[], Some(0)), nothing);
        assert_eq!(carried("ssh -fNL 5432:db:5432 b", &[], None), nothing);
        assert_eq!(carried("ssh: /run/ctl [mux]", &[], Some(0)), nothing);
        assert_eq!(carried("ssh: /run/ctl [mux]", &[], Some(1)), ["1 session of another ssh"]);
        assert_eq!(carried("ssh: /run/ctl [mux]", &[], None), ["perhaps sessions of other ssh"]);
        assert_eq!(carried("ssh -fMNL 5432:db:5432 b", &[], None), ["perhaps sessions of other ssh"]);
        let elsewhere = ["127.0.0.1:6000", "[::1]:6000", "127.0.0.1:1080"];
        let both = ["3 sessions of other ssh", "a forward of port 1080", "a forward of port 6000"];
        assert_eq!(carried("ssh: /run/ctl [mux]", &elsewhere, Some(3)), both);
        let own = ["the session or the command that it was started for"];
        assert_eq!(carried("ssh -L 5432:db:5432 b", &[], Some(0)), own);
        assert_eq!(carried("ssh -fL 5432:db:5432 b sleep 600", &[], Some(0)), own);
        assert_eq!(carried("ssh -fNL 5432:db:5432 -R 1:a:1 b", &[], Some(0)), ["a forward from the other end"]);
    }
}
