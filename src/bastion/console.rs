use super::Cloud;
use crate::system::CloudError;
use std::collections::BTreeSet;
use std::fmt;

/// So many lines of a console are shown at most, each of this many characters.
const LINES: usize = 5;
const WIDTH: usize = 160;

/// What an unbroken run of letters and digits may measure at most: identifiers fit into it, and no piece of a key that
/// is worth having does.
const LONGEST_RUN: usize = 23;

/// What an instance's console tells about a boot that went wrong: the telling lines, without control characters and
/// without anything that could be a key or a password.
///
/// The user data holds the host's private key, and cloud-init prints pieces of what it cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Console {
    Tells(Vec<String>),
    /// There is a text, and nothing in it tells of a failure.
    TellsNothing,
    /// EC2 posts it some minutes after the boot (EC2 API reference, "GetConsoleOutput").
    NotThereYet,
    Unreadable(String),
}

impl Console {
    /// Reads the console of an instance; that it cannot be read is a finding, too.
    pub(super) async fn of(cloud: &dyn Cloud, instance_id: &str) -> Self {
        match cloud.console(instance_id).await {
            Ok(Some(text)) => Self::read(&text),
            Ok(None) => Self::NotThereYet,
            Err(error @ CloudError::Denied { .. }) => Self::Unreadable(error.to_string()),
            Err(error) => Self::Unreadable(plain(&error.to_string())),
        }
    }

    /// Picks the telling lines. Pure.
    pub fn read(text: &str) -> Self {
        let mut in_key = false;
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for (number, raw) in text.split(['\n', '\r']).enumerate() {
            in_key |= raw.contains("-----BEGIN") && raw.contains("PRIVATE KEY");
            let is_secret = in_key || raw.contains("PRIVATE KEY");
            in_key &= !raw.contains("-----END");
            let line = without_time(&plain(raw)).to_owned();
            let weight = if is_secret { 0 } else { weight(&line) };
            let line = without_secrets(&line);
            if weight > 0 && seen.insert(line.clone()) {
                found.push((weight, number, line));
            }
        }
        found.sort_by_key(|(weight, number, _)| (u8::MAX - weight, *number));
        found.truncate(LINES);
        found.sort_by_key(|(_, number, _)| *number);
        let lines: Vec<String> = found.into_iter().map(|(_, _, line)| line).collect();
        if lines.is_empty() { Self::TellsNothing } else { Self::Tells(lines) }
    }

    /// A line for each thing that there is to say.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Tells(lines) => lines.iter().map(|line| format!("its console: {line}")).collect(),
            Self::TellsNothing => vec!["its console tells no reason".to_owned()],
            Self::NotThereYet => vec!["EC2 has no console output of it yet".to_owned()],
            Self::Unreadable(why) => vec![format!("its console could not be read: {why}")],
        }
    }
}

impl fmt::Display for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

/// How much a line tells: 0 for nothing.
fn weight(line: &str) -> u8 {
    const REASONS: [&str; 9] = [
        "no authorized ssh keys",
        "no space left on device",
        "read-only file system",
        "kernel panic",
        "out of memory",
        "emergency mode",
        "devdb-boot",
        "sshd does not start",
        "bad configuration option",
    ];
    const SPEAKERS: [&str; 5] = ["cloud-init", "ci-info", "sshd", "[warning]", "[error]"];
    const TROUBLE: [&str; 12] = [
        "fail",
        "error",
        "warning",
        "traceback",
        "not found",
        "no such",
        "denied",
        "invalid",
        "unable",
        "cannot",
        "missing",
        "refus",
    ];
    // The kernel says these on every healthy boot.
    const HARMLESS: [&str; 3] = ["errors=remount", "errors collector", "error: 0"];
    let line = line.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let is_trouble = has(&TROUBLE) && !has(&HARMLESS);
    match (has(&REASONS), has(&SPEAKERS)) {
        (true, _) => 3,
        (false, true) if is_trouble => 2,
        (false, false) if is_trouble => 1,
        _ => 0,
    }
}

/// Without what a terminal would obey or hide: escape sequences, control and format characters. At most [`WIDTH`] long.
pub(super) fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        // ECMA-48, 5.4: a control sequence ends with a byte from 0x40 to 0x7e.
        if letter == '\u{1b}' && letters.as_str().starts_with('[') {
            letters.next();
            let _ = letters.by_ref().find(|letter| ('\u{40}'..='\u{7e}').contains(letter));
        } else if letter.is_ascii_graphic() || letter.is_alphanumeric() {
            kept.push(letter);
        } else if letter.is_whitespace() && !kept.ends_with(' ') {
            kept.push(' ');
        }
    }
    let kept = kept.trim();
    match kept.char_indices().nth(WIDTH) {
        Some((cut, _)) => format!("{}…", &kept[..cut]),
        None => kept.to_owned(),
    }
}

/// The kernel's `[   12.345678] `, which would make each repetition a line of its own.
fn without_time(line: &str) -> &str {
    let time = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    time.filter(|(time, _)| time.trim().parse::<f64>().is_ok()).map_or(line, |(_, rest)| rest.trim())
}

/// A word with a long run in it becomes `…`; behind a password's name the line ends.
fn without_secrets(line: &str) -> String {
    const NAMES: [&str; 5] = ["password", "passwd", "passphrase", "secret", "token"];
    let lower = line.to_ascii_lowercase();
    let named = NAMES.iter().filter_map(|name| {
        let behind = lower.find(name)? + name.len();
        lower[behind..].find([':', '=']).filter(|at| *at < 4).map(|at| behind + at + 1)
    });
    let (line, cut) = named.min().map_or((line, ""), |cut| (&line[..cut], " …"));
    let word = |word: &str| {
        let runs = word.split(|letter: char| !(letter.is_ascii_alphanumeric() || "+=".contains(letter)));
        if runs.map(str::len).max().unwrap_or_default() > LONGEST_RUN { "…".to_owned() } else { word.to_owned() }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ") + cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        match Console::read(text) {
            Console::Tells(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reason_is_picked_out_of_a_boots_chatter() {
        let text = "[    0.000000] Linux version 6.1\r\n[    0.4] RAS: Correctable Errors collector initialized.\r\n\
                    [    0.5] EXT4-fs (xvda1): mounted. Opts: errors=remount-ro\r\n\
                    [   12.1] cloud-init[1503]: chown: invalid user: 'ec2-usr'\r\n\
                    [   12.2] cloud-init[1503]: 2026-01-02 cc_scripts_user.py[WARNING]: Failed to run module scripts_user\r\n\
                    ci-info: no authorized SSH keys fingerprints found for user ec2-user.\r\n\
                    [   12.9] Cloud-init v. 22.2.2 finished at Fri, 02 Jan 2026\r\n";
        let wanted = [
            "cloud-init[1503]: chown: invalid user: 'ec2-usr'",
            "cloud-init[1503]: 2026-01-02 cc_scripts_user.py[WARNING]: Failed to run module scripts_user",
            "ci-info: no authorized SSH keys fingerprints found for user ec2-user.",
        ];
        assert_eq!(told(text), wanted);
        assert_eq!(Console::read("[ 0.1] Linux\n[ 9.0] Cloud-init v. 22.2.2 finished\n"), Console::TellsNothing);
        assert_eq!(Console::read(""), Console::TellsNothing);
    }

    #[test]
    fn a_console_full_of_complaints_is_cut_to_those_that_tell_most() {
        let mut text: String = (0..500).map(|number| format!("[ {number}.0] usb {number}: failed\n")).collect();
        text.push_str(&format!("[ 600.0] cloud-init: no space left on device {}\n", "x-".repeat(1000)));
        let lines = told(&text);
        assert_eq!(lines.len(), LINES);
        assert!(lines[4].starts_with("cloud-init: no space left on device x-"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH + 1), "{lines:?}");
        assert_eq!(told("sshd: failed\n[ 1.0] sshd: failed\n[ 2.0] sshd: failed"), ["sshd: failed"]);
    }

    /// OpenSSH's private keys, as they could get onto a console: whole, in pieces, on one line, encoded once more.
    #[test]
    fn no_piece_of_a_key_and_no_password_is_shown() {
        let body = [
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW",
            "QyNTUxOQAAACB+kUr6g5T8SRrL5lMZ1b8zEGTE/bWGS7mib6Zkfc82EgAAAJgAAAAAAAAA",
            "AAAAC3NzaC1lZDI1NTE5AAAAIH6RSvqDlPxJGsvmUxnVvzMQZMT9tYZLuaJvpmR9zzYS",
        ];
        let key =
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----", body.join("\n"));
        let one_line = key.replace('\n', "\\n");
        let each = body.map(|line| format!("cloud-init: failed: {line}\n")).concat();
        let indented = body.map(|line| format!("cloud-init error    \"{line}\"\n")).concat();
        let text = format!(
            "cloud-init: Failed loading yaml blob\n{key}\nerror {one_line}\n{each}{indented}\
             cloud-init: error: PGPASSWORD=hunter2 is wrong\nfailed: the Password : hunter2\nsshd error token=hunter2\n"
        );
        let shown = Console::read(&text).to_string();
        for line in body {
            let pieces = (0..line.len() - 12).map(|at| &line[at..at + 12]);
            pieces.for_each(|piece| assert!(!shown.contains(piece), "{piece} in {shown}"));
        }
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("Failed loading yaml blob"), "{shown}");
        // What is no key stays readable.
        let path = "cloud-init: failed to run /var/lib/cloud/instance/scripts/runcmd of i-0123456789abcdef0";
        assert_eq!(told(path), [path]);
    }

    #[test]
    fn a_terminal_is_given_nothing_to_obey() {
        let text =
            "\u{1b}]0;title\u{7}\u{1b}[31;1mcloud-init: failed\u{1b}[0m\u{8}\u{8} \u{202e}txet\u{200b}\u{85}\u{9b}2J";
        assert_eq!(told(text), ["]0;titlecloud-init: failed txet 2J"]);
    }
}
