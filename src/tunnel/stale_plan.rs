//! Which ssh processes are forgotten tunnels: decided from what was seen, without touching anything.

use super::ssh_command::SshCommand;
use crate::system::{ProcessInfo, SocketState, TcpSocket};
use serde::Serialize;
use std::net::SocketAddr;

/// A connection to the bastion on which this many resends went unacknowledged is dead. The kernel of a machine that
/// is there acknowledges at once, whatever its programs do, so a database that thinks for long makes none.
const DEAD_AFTER_RESENDS: u32 = 2;

/// What has been decided about one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proven to serve nobody.
    Stale,
    Healthy,
    /// It does not serve, and nothing proves that it never will.
    Unclear,
    /// devdb's own; its other verbs take care of it.
    Devdb,
    /// No ssh: never ended.
    OtherProgram,
    /// Never ended.
    OtherUser,
}

/// What sort of program it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Program {
    Ssh(SshCommand),
    Devdb,
    PostgreSql,
    Other,
}

/// What came back when a connection was opened to a port that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// `wanted`: it is one of this environment's databases, where these are known.
    Database {
        name: String,
        wanted: Option<bool>,
    },
    WithoutTls,
    Something,
    /// Accepted, and closed without a word.
    Closed,
    /// Accepted, and nothing for as long as was waited, twice.
    Silent,
}

/// A process that holds one of the ports, or was started to hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    /// Absent where the port's holder may not be seen.
    pub(super) process: Option<ProcessInfo>,
    pub(super) program: Program,
    /// The ports in question that it holds or was told to hold.
    pub(super) ports: Vec<u16>,
    /// Where it listens on these ports.
    pub(super) local: Vec<SocketAddr>,
    /// Where it listens on others.
    pub(super) elsewhere: Vec<SocketAddr>,
    /// How often each of its own connections had to send again.
    pub(super) resends: Vec<u32>,
}

impl Suspect {
    /// Worth a connection: an ssh of this user that holds a port.
    pub(super) fn wants_probe(&self) -> bool {
        let own = self.process.as_ref().is_some_and(|process| process.own && !process.is_stopped);
        own && matches!(self.program, Program::Ssh(_)) && !self.local.is_empty()
    }
}

/// Everybody who holds one of the ports, and every ssh that was started to hold one and does not.
///
/// `ports` empty: whatever an ssh holds or was told to hold.
pub(super) fn suspects(processes: &[(ProcessInfo, Program)], sockets: &[TcpSocket], ports: &[u16]) -> Vec<Suspect> {
    let is_asked = |port: u16| ports.is_empty() || ports.contains(&port);
    let is_listening = |socket: &&TcpSocket| socket.state == SocketState::Listening;
    let mut found = Vec::new();
    for (process, program) in processes {
        let own_sockets = || sockets.iter().filter(|socket| socket.pid == Some(process.pid));
        let listening: Vec<SocketAddr> = own_sockets().filter(is_listening).map(|socket| socket.local).collect();
        let (local, elsewhere): (Vec<_>, Vec<_>) =
            listening.iter().copied().partition(|address| is_asked(address.port()));
        // A connection on a port that it listens on is a client's; the others lead to the bastion.
        let resends = own_sockets().filter_map(|socket| match socket.state {
            SocketState::Connected { resent } => {
                (!listening.iter().any(|address| address.port() == socket.local.port())).then_some(resent)
            }
            SocketState::Listening => None,
        });
        let resends = resends.collect();
        let mut asked: Vec<u16> = local.iter().map(SocketAddr::port).collect();
        match program {
            Program::Ssh(command) => {
                // Somebody who sits in front of it, or a command at the other end, is what it is for.
                let is_tunnel = command.runs_nothing && !process.has_terminal && !command.is_message;
                if is_tunnel {
                    asked.extend(command.forwards.iter().filter_map(|forward| forward.port).filter(|p| is_asked(*p)));
                }
            }
            // All ports of everybody are no answer to a question about tunnels.
            _ if ports.is_empty() => continue,
            _ => {}
        }
        asked.sort_unstable();
        asked.dedup();
        if !asked.is_empty() {
            let process = Some(process.clone());
            found.push(Suspect { process, program: program.clone(), ports: asked, local, elsewhere, resends });
        }
    }
    for socket in sockets.iter().filter(is_listening) {
        let port = socket.local.port();
        if socket.pid.is_none() && ports.contains(&port) {
            let (program, local, ports) = (Program::Other, vec![socket.local], vec![port]);
            let (elsewhere, resends) = (Vec::new(), Vec::new());
            found.push(Suspect { process: None, program, ports, local, elsewhere, resends });
        }
    }
    found
}

/// The verdict, and why.
pub(super) fn judge(suspect: &Suspect, answers: &[(SocketAddr, Answer)]) -> (Verdict, String) {
    let Some(process) = &suspect.process else {
        return (Verdict::OtherUser, "held by a process that this user may not see".to_owned());
    };
    let command = match &suspect.program {
        Program::Devdb => {
            return (Verdict::Devdb, "devdb's own tunnel; `devdb tunnel restart` renews it".to_owned());
        }
        Program::PostgreSql => return (Verdict::OtherProgram, "a PostgreSQL server; it is never ended".to_owned()),
        Program::Other => return (Verdict::OtherProgram, "no ssh; it is never ended".to_owned()),
        Program::Ssh(command) => command,
    };
    if !process.own {
        let user = process.user.as_deref().unwrap_or("another user");
        return (Verdict::OtherUser, format!("it belongs to {user}"));
    }
    if suspect.local.is_empty() {
        return without_port(suspect, command, process);
    }
    if process.is_stopped {
        return (Verdict::Stale, "it is stopped (SIGSTOP or Ctrl-Z): it holds the port and answers nobody".to_owned());
    }
    for (address, answer) in answers {
        let which = match answer {
            Answer::Database { name, wanted: Some(true) } => {
                format!("works: {name}, this environment's database, answers")
            }
            Answer::Database { name, wanted: Some(false) } => format!("works, and leads to another database: {name}"),
            Answer::Database { name, wanted: None } => format!("works: {name} answers"),
            Answer::WithoutTls => "works: a PostgreSQL without TLS answers".to_owned(),
            Answer::Something => "works: something that is not PostgreSQL answers".to_owned(),
            Answer::Closed | Answer::Silent => continue,
        };
        return (Verdict::Healthy, format!("{which}{}", half(suspect, *address)));
    }
    let silent = !answers.is_empty() && answers.iter().all(|(_, answer)| *answer == Answer::Silent);
    let is_dead = |resent: &u32| *resent >= DEAD_AFTER_RESENDS;
    let most = suspect.resends.iter().max().copied().unwrap_or_default();
    if silent && !suspect.resends.is_empty() && suspect.resends.iter().all(is_dead) {
        let why = format!(
            "its connection is dead: it accepts, but the bastion has acknowledged nothing while it was sent {most} times again"
        );
        return (Verdict::Stale, why);
    }
    let why = if answers.is_empty() {
        "it could not be asked"
    } else if !silent {
        "its connection to the bastion works, but the bastion cannot reach the database, which closes at once"
    } else if suspect.resends.is_empty() {
        "it accepts and stays silent; nothing shows whether its connection to the bastion lives"
    } else {
        "it accepts and stays silent, but its connection to the bastion works: the database may be slow or starting"
    };
    (Verdict::Unclear, why.to_owned())
}

/// An ssh that was told to hold a port and does not: the runbook's line exits with 0 although the port was taken.
fn without_port(suspect: &Suspect, command: &SshCommand, process: &ProcessInfo) -> (Verdict, String) {
    let ports: Vec<String> = suspect.ports.iter().map(u16::to_string).collect();
    let ports = ports.join(" and ");
    if !suspect.elsewhere.is_empty() || command.serves_otherwise {
        return (Verdict::Unclear, format!("it failed to take port {ports}, but serves in another way"));
    }
    if suspect.resends.is_empty() {
        let why = format!("it does not hold port {ports}; nothing shows whether it is still connecting");
        return (Verdict::Unclear, why);
    }
    let standing = if process.is_stopped { ", and it is stopped" } else { "" };
    (
        Verdict::Stale,
        format!("it was started to forward port {ports}, but holds no port: somebody else had it{standing}"),
    )
}

/// A forward on one of the two loopback addresses only: `localhost` and 127.0.0.1 then lead to different places.
fn half(suspect: &Suspect, address: SocketAddr) -> String {
    let is_wide = suspect.local.iter().any(|local| local.ip().is_unspecified());
    let mut of_port = suspect.local.iter().filter(|local| local.port() == address.port());
    let (first, second) = (of_port.next(), of_port.next());
    match (first, second) {
        (Some(only), None) if !is_wide => format!("; only on {}", only.ip()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "127.0.0.1:5432";

    fn process(pid: u32, command: &str) -> (ProcessInfo, Program) {
        let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let program = match command[0].as_str() {
            "ssh" => Program::Ssh(SshCommand::parse(&command[1..])),
            "postgres" => Program::PostgreSql,
            "devdb" => Program::Devdb,
            _ => Program::Other,
        };
        (ProcessInfo { pid, command, own: true, user: Some("ada".to_owned()), ..ProcessInfo::default() }, program)
    }

    fn socket(pid: u32, local: &str, state: SocketState) -> TcpSocket {
        TcpSocket { local: local.parse().unwrap(), pid: Some(pid), state }
    }

    fn listening(pid: u32, local: &str) -> TcpSocket {
        socket(pid, local, SocketState::Listening)
    }

    fn link(pid: u32, resent: u32) -> TcpSocket {
        socket(pid, "10.0.0.2:40000", SocketState::Connected { resent })
    }

    const TUNNEL: &str = "ssh -fNL 5432:db:5432 bastion";

    fn one(who: (ProcessInfo, Program), sockets: &[TcpSocket]) -> Suspect {
        let mut found = suspects(&[who], sockets, &[5432]);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    fn verdict(suspect: &Suspect, answers: &[Answer]) -> Verdict {
        let answers: Vec<_> = answers.iter().map(|answer| (LOCAL.parse().unwrap(), answer.clone())).collect();
        judge(suspect, &answers).0
    }

    fn holder(resent: u32) -> Suspect {
        one(process(7, TUNNEL), &[listening(7, LOCAL), listening(7, "[::1]:5432"), link(7, resent)])
    }

    #[test]
    fn silence_is_proof_only_with_a_connection_that_nobody_acknowledges() {
        assert_eq!(verdict(&holder(2), &[Answer::Silent]), Verdict::Stale);
        assert_eq!(verdict(&holder(0), &[Answer::Silent]), Verdict::Unclear, "a slow database");
        assert_eq!(verdict(&holder(1), &[Answer::Silent]), Verdict::Unclear, "a lost packet");
        assert_eq!(verdict(&holder(9), &[]), Verdict::Unclear, "nobody asked");
        let hidden = one(process(7, TUNNEL), &[listening(7, LOCAL)]);
        assert_eq!(verdict(&hidden, &[Answer::Silent]), Verdict::Unclear, "behind a ProxyCommand, or on macOS");
        let two = one(process(7, TUNNEL), &[listening(7, LOCAL), link(7, 9), link(7, 0)]);
        assert_eq!(verdict(&two, &[Answer::Silent]), Verdict::Unclear, "which one leads to the bastion is not known");
        let client = socket(7, LOCAL, SocketState::Connected { resent: 9 });
        let client = one(process(7, TUNNEL), &[listening(7, LOCAL), client, link(7, 0)]);
        assert_eq!(verdict(&client, &[Answer::Silent]), Verdict::Unclear, "a client's connection says nothing");
    }

    #[test]
    fn whoever_answers_is_healthy_whatever_the_counters_say() {
        let database = |wanted| Answer::Database { name: "db.example.com".to_owned(), wanted };
        for answer in
            [database(Some(true)), database(Some(false)), database(None), Answer::WithoutTls, Answer::Something]
        {
            assert_eq!(verdict(&holder(9), &[answer]), Verdict::Healthy);
        }
        assert_eq!(verdict(&holder(9), &[Answer::Closed]), Verdict::Unclear, "the bastion has answered");
    }

    #[test]
    fn an_ssh_that_is_stopped_is_stale() {
        let mut stopped = holder(0);
        stopped.process.as_mut().unwrap().is_stopped = true;
        assert!(!stopped.wants_probe());
        assert_eq!(verdict(&stopped, &[]), Verdict::Stale);
    }

    #[test]
    fn an_ssh_without_a_listener_is_a_candidate_only_with_n_and_no_terminal() {
        let orphan = one(process(7, TUNNEL), &[link(7, 0)]);
        assert_eq!(verdict(&orphan, &[]), Verdict::Stale);
        let connecting = one(process(7, TUNNEL), &[]);
        assert_eq!(verdict(&connecting, &[]), Verdict::Unclear);
        let busy =
            one(process(7, "ssh -fN -L 5432:db:5432 -L 6000:db:6000 b"), &[listening(7, "127.0.0.1:6000"), link(7, 0)]);
        assert_eq!(verdict(&busy, &[]), Verdict::Unclear);
        let master = one(process(7, "ssh -fMNL 5432:db:5432 b"), &[link(7, 0)]);
        assert_eq!(verdict(&master, &[]), Verdict::Unclear);

        let mut person = process(7, "ssh -NL 5432:db:5432 bastion");
        person.0.has_terminal = true;
        let none = |who| suspects(&[who], &[link(7, 0)], &[5432]).is_empty();
        assert!(none(person));
        assert!(none(process(7, "ssh -L 5432:db:5432 bastion")), "a session");
        assert!(none(process(7, "ssh bastion psql -p 5432")));
        assert!(none(process(7, "ssh -S ctl -O forward -NL 5432:db:5432 bastion")));
        assert!(none(process(7, "vim -fNL 5432:db:5432")));
    }

    #[test]
    fn nobody_else_is_ever_called_stale() {
        let held = |who: (ProcessInfo, Program)| one(who, &[listening(7, LOCAL), link(7, 9)]);
        assert_eq!(verdict(&held(process(7, "postgres -D /data")), &[Answer::Silent]), Verdict::OtherProgram);
        assert_eq!(verdict(&held(process(7, "nc -l 5432")), &[Answer::Silent]), Verdict::OtherProgram);
        assert_eq!(verdict(&held(process(7, "devdb tunnel supervise")), &[Answer::Silent]), Verdict::Devdb);
        let mut foreign = process(7, TUNNEL);
        foreign.0.own = false;
        assert_eq!(verdict(&held(foreign.clone()), &[Answer::Silent]), Verdict::OtherUser);
        let orphan = one(foreign, &[link(7, 0)]);
        assert_eq!(verdict(&orphan, &[]), Verdict::OtherUser);
        let unseen = TcpSocket { pid: None, ..listening(0, LOCAL) };
        let unseen = suspects(&[], &[unseen], &[5432]);
        assert_eq!(verdict(&unseen[0], &[Answer::Silent]), Verdict::OtherUser);
    }

    #[test]
    fn all_ports_means_all_tunnels_and_not_all_programs() {
        let all = [process(7, "ssh -fNL 6000:db:5432 b"), process(8, "nginx"), process(9, "ssh b")];
        let sockets = [listening(7, "127.0.0.1:6000"), listening(8, "0.0.0.0:80")];
        let found = suspects(&all, &sockets, &[]);
        assert_eq!(found.iter().map(|suspect| suspect.ports.clone()).collect::<Vec<_>>(), [[6000]]);
    }

    #[test]
    fn a_forward_on_one_family_is_said() {
        let half = one(process(7, TUNNEL), &[listening(7, "[::1]:5432"), link(7, 0)]);
        let answer = ("[::1]:5432".parse().unwrap(), Answer::WithoutTls);
        assert!(judge(&half, &[answer]).1.ends_with("only on ::1"));
    }
}
