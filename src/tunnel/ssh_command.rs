//! What an `ssh` was told on its command line, in every spelling that ssh itself understands.

/// One `-L`, or one `LocalForward`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Forward {
    /// Absent where a socket file listens instead of a port.
    pub(super) port: Option<u16>,
    /// `host:port` as the bastion sees it, or a socket's path.
    pub(super) to: String,
}

/// The parts of the command line that tell a forgotten tunnel from anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SshCommand {
    pub(super) forwards: Vec<Forward>,
    /// `-N`, or `SessionType none`: it runs nothing at the other end.
    pub(super) runs_nothing: bool,
    /// It serves somebody in another way: `-R`, `-D`, `-W`, `-w`, or as a master for other ssh.
    pub(super) serves_otherwise: bool,
    /// `-R`, or a `RemoteForward`: nothing on this machine shows it.
    pub(super) forwards_back: bool,
    /// `-O`: it only talks to a master.
    pub(super) is_message: bool,
    /// What `ssh -G` needs to tell the same configuration.
    pub(super) configuration: Vec<String>,
    pub(super) destination: Option<String>,
}

/// Options with a value, as in the `getopt` string of OpenSSH 8.7 to 10.1 (ssh.c).
const WITH_VALUE: &str = "bceilmopBDEFIJLOPQRSwW";

impl SshCommand {
    /// Reads the words behind the program's name. Options may stand before and behind the destination; what comes
    /// after the second word without a dash is the other end's command.
    pub(super) fn parse(words: &[String]) -> Self {
        let mut found = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                Some("-") => {
                    let rest = words.next();
                    if found.destination.is_none() {
                        found.destination = rest.cloned();
                    }
                    break;
                }
                Some(cluster) => {
                    for (at, letter) in cluster.char_indices() {
                        if !WITH_VALUE.contains(letter) {
                            found.flag(letter);
                            continue;
                        }
                        let joined = &cluster[at + letter.len_utf8()..];
                        let mut next = || words.next().map(String::as_str);
                        let value = if joined.is_empty() { next() } else { Some(joined) };
                        found.option(letter, value.unwrap_or_default());
                        break;
                    }
                }
                None if found.destination.is_none() => found.destination = Some(word.clone()),
                None => break,
            }
        }
        found
    }

    fn flag(&mut self, letter: char) {
        match letter {
            'N' => self.runs_nothing = true,
            'M' => self.serves_otherwise = true,
            _ => {}
        }
    }

    fn option(&mut self, letter: char, value: &str) {
        match letter {
            'L' => self.forwards.extend(forward(value)),
            'R' => (self.serves_otherwise, self.forwards_back) = (true, true),
            'D' | 'W' | 'w' => self.serves_otherwise = true,
            'O' => self.is_message = true,
            'o' => self.setting(value),
            _ => {}
        }
        if matches!(letter, 'F' | 'o' | 'l' | 'p') {
            self.configuration.extend([format!("-{letter}"), value.to_owned()]);
        }
    }

    /// A line of a configuration: `-o`, or what `ssh -G` prints. The name ends at a blank or at `=`.
    pub(super) fn setting(&mut self, line: &str) {
        let line = line.trim();
        let Some((name, value)) = line.split_once(|letter: char| letter.is_whitespace() || letter == '=') else {
            return;
        };
        let value = value.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '=').trim();
        match name.to_ascii_lowercase().as_str() {
            "localforward" => self.forwards.extend(forward(&value.split_whitespace().collect::<Vec<_>>().join(":"))),
            "remoteforward" => (self.serves_otherwise, self.forwards_back) = (true, true),
            "dynamicforward" => self.serves_otherwise = true,
            "controlmaster" => self.serves_otherwise |= !matches!(value, "no" | "false"),
            "sessiontype" => self.runs_nothing |= value == "none",
            _ => {}
        }
    }

    pub(super) fn forward_on(&self, port: u16) -> Option<&Forward> {
        self.forwards.iter().find(|forward| forward.port == Some(port))
    }
}

/// `[address:]port:host:hostport`, `[address:]port:/socket`, `/socket:host:hostport` or `/socket:/socket`, where an
/// address or a host may stand in brackets (`parse_forward` of readconf.c).
fn forward(text: &str) -> Option<Forward> {
    let fields = fields(text);
    let is_path = |field: &str| field.starts_with('/');
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let (listen, to) = match fields.as_slice() {
        [listen, path] if is_path(path) => (listen, (*path).to_owned()),
        [_, listen, path] if is_path(path) => (listen, (*path).to_owned()),
        [listen, host, port] | [_, listen, host, port] => (listen, format!("{host}:{port}")),
        _ => return None,
    };
    Some(Forward { port: port(listen), to })
}

/// Ports may be given by the names of their services.
fn port(text: &str) -> Option<u16> {
    match text {
        "postgresql" | "postgres" => Some(5432),
        number => number.parse().ok().filter(|port| *port != 0),
    }
}

/// Cuts at colons, but not inside brackets; the brackets go.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut inside = false;
    for letter in text.chars() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            ':' if !inside => fields.push(String::new()),
            letter => fields.last_mut().into_iter().for_each(|field| field.push(letter)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> SshCommand {
        SshCommand::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_spelling_of_a_forward_is_understood() {
        for line in [
            "-fNL 5432:db.example.com:5432 ec2-user@bastion",
            "-fNL5432:db.example.com:5432 ec2-user@bastion",
            "-f -N -L 5432:db.example.com:5432 ec2-user@bastion",
            "-N -L 127.0.0.1:5432:db.example.com:5432 bastion",
            "-N -L [::1]:5432:db.example.com:5432 bastion",
            "-N -L localhost:5432:db.example.com:5432 bastion",
            "-N -L *:5432:db.example.com:5432 bastion",
            "-N -L :5432:db.example.com:5432 bastion",
            "-N -L postgresql:db.example.com:5432 bastion",
            "bastion -N -L 5432:db.example.com:5432",
            "-i key -p 2222 -fN bastion -L5432:db.example.com:5432",
            "-4CqTnNL 5432:db.example.com:5432 bastion",
            "-L 6000:other:6000 -N -L 5432:db.example.com:5432 bastion",
            "-Nv -L 5432:db.example.com:5432 -- bastion",
        ] {
            let command = parse(line);
            let forward = command.forward_on(5432).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(forward.to, "db.example.com:5432", "{line}");
            assert!(command.runs_nothing, "{line}");
            assert!(command.destination.as_deref().unwrap().ends_with("bastion"), "{line}");
            assert!(!command.serves_otherwise, "{line}");
        }
        for setting in
            ["LocalForward 5432 db:5432", "localforward=127.0.0.1:5432 db:5432", "LocalForward = 5432\t[db]:5432"]
        {
            let command = SshCommand::parse(&["-o", setting, "-oSessionType=none", "bastion"].map(str::to_owned));
            assert_eq!(command.forward_on(5432).unwrap().to, "db:5432", "{setting}");
            assert!(command.runs_nothing);
        }
        assert_eq!(parse("-NL 5432:[fd00::7]:5432 bastion").forward_on(5432).unwrap().to, "fd00::7:5432");
        assert_eq!(
            parse("-NL 5432:/run/pg/.s.PGSQL.5432 bastion").forward_on(5432).unwrap().to,
            "/run/pg/.s.PGSQL.5432"
        );
    }

    #[test]
    fn what_merely_mentions_the_port_is_no_forward() {
        for line in [
            "bastion psql -h db -p 5432",
            "-t bastion ssh -fNL 5432:db:5432 inner",
            "bastion echo -L 5432:db:5432",
            "-p 5432 bastion",
            "-NR 5432:localhost:5432 bastion",
            "-ND 5432 bastion",
            "-NL 6000:db:5432 bastion",
            "-NL /run/me.sock:db:5432 bastion",
            "-N -- bastion -L 5432:db:5432",
            "-E /tmp/-L5432:db:5432 -N bastion",
            "-NL 0:db:5432 bastion",
            "-NL 99999:db:5432 bastion",
            "",
            "-",
        ] {
            assert_eq!(parse(line).forward_on(5432), None, "{line}");
        }
    }

    #[test]
    fn other_duties_are_seen() {
        for line in
            ["-NR 1:a:1 b", "-ND 1080 b", "-MNS /tmp/ctl b", "-NoControlMaster=auto b", "-W db:5432 b", "-w 0 b"]
        {
            assert!(parse(line).serves_otherwise, "{line}");
        }
        assert!(!parse("-No ControlMaster=no b").serves_otherwise);
        assert!(parse("-S /tmp/ctl -O forward -L 5432:db:5432 b").is_message);
    }

    #[test]
    fn what_tells_the_same_configuration_is_kept() {
        let command = parse("-fN -F /home/ada/conf -p2222 -i key -o User=ada shop-db");
        assert_eq!(command.configuration, ["-F", "/home/ada/conf", "-p", "2222", "-o", "User=ada"]);
        assert_eq!(command.destination.as_deref(), Some("shop-db"));
    }

    proptest! {
        #[test]
        fn no_command_line_is_too_strange(words in proptest::collection::vec("[-a-zA-Z0-9:/= \\[\\]é]{0,12}", 0..6)) {
            let _ = SshCommand::parse(&words);
        }
    }
}
