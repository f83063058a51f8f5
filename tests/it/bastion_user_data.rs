//! The user data, as the programs that will read it see it.

use crate::bastion_rig::spec;
use devdb::bastion::{UserData, sshd_settings};
use std::path::Path;

const HOST_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\n";

fn user_data() -> String {
    UserData::render(&spec(), HOST_KEY, "ssh-ed25519 AAAA devdb", "0123456789abcdef").unwrap().text.to_string()
}

/// The content of one file that cloud-init will write.
fn file(user_data: &str, path: &str) -> String {
    let (_, rest) = user_data.split_once(&format!("  - path: {path}\n")).unwrap();
    let (_, content) = rest.split_once("    content: |\n").unwrap();
    let lines = content.lines().take_while(|line| line.is_empty() || line.starts_with("      "));
    lines.map(|line| format!("{}\n", line.strip_prefix("      ").unwrap_or(line))).collect()
}

#[test]
fn it_is_what_was_reviewed() {
    insta::assert_snapshot!(user_data());
}

#[test]
fn the_host_key_stands_in_it_line_by_line() {
    assert!(
        user_data().contains("  ed25519_private: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    AAAA\n    BBBB\n")
    );
    assert!(user_data().len() < 16 * 1024);
}

#[test]
fn a_port_of_its_own_is_listened_on_besides_the_usual_one() {
    let mut spec = spec();
    spec.ssh_port = 443;
    assert!(sshd_settings(&spec).unwrap().starts_with("Port 22\nPort 443\n"));
}

/// The real programs judge.
fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = match std::process::Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{program}");
            return None;
        }
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn sshd_accepts_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("host_key");
    let Some((made, _)) = run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]) else {
        return;
    };
    assert!(made);
    let settings = file(&user_data(), "/etc/ssh/sshd_config.d/00-devdb.conf");
    assert!(settings.contains("PermitOpen appdb.cluster-abc.eu-west-1.rds.amazonaws.com:5432\n"), "{settings}");
    let settings = settings.replace("/etc/ssh/ssh_host_ed25519_key", key.to_str().unwrap());
    let config = write(folder.path(), "sshd_config", &settings);
    for sshd in ["/usr/sbin/sshd", "sshd"] {
        if let Some((accepted, said)) = run(sshd, &["-t", "-f", &config]) {
            assert!(accepted || said.contains("Missing privilege separation directory"), "{said}");
            return;
        }
    }
}

#[test]
fn systemd_accepts_its_units() {
    let folder = tempfile::tempdir().unwrap();
    let data = user_data();
    let script = write(folder.path(), "devdb-expire", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let service = file(&data, "/etc/systemd/system/devdb-expire.service");
    let service = service.replace("/usr/local/sbin/devdb-expire", &script);
    let service = write(folder.path(), "devdb-expire.service", &service);
    let timer = write(folder.path(), "devdb-expire.timer", &file(&data, "/etc/systemd/system/devdb-expire.timer"));
    if let Some((accepted, said)) = run("systemd-analyze", &["verify", "--man=no", &service, &timer]) {
        assert!(accepted && !said.contains("devdb-expire"), "{said}");
    }
}

/// Runs the very script that the user data carries, with its folders moved and `poweroff` replaced.
struct Deadline {
    folder: tempfile::TempDir,
    script: String,
}

impl Deadline {
    fn new(now: i64, ttl: i64, cap: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().to_str().unwrap().to_owned();
        for name in ["etc", "var", "bin"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (name, text) in [("poweroff", "echo off".to_owned()), ("date", "cat \"$NOW_FILE\"".to_owned())] {
            let text = format!("#!/bin/sh\n{}\n", text.replace("$NOW_FILE", &format!("{base}/now")));
            let path = write(&folder.path().join("bin"), name, &text);
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let text = file(&user_data(), "/usr/local/sbin/devdb-expire")
            .replace("/etc/devdb", &format!("{base}/etc"))
            .replace("/var/lib/devdb", &format!("{base}/var"));
        let script = write(folder.path(), "expire", &text);
        let deadline = Self { folder, script };
        deadline.set("etc/cap", &cap.to_string());
        deadline.set("etc/first-deadline", &(now + ttl).to_string());
        deadline.set("var/deadline", &(now + ttl).to_string());
        deadline
    }

    fn set(&self, name: &str, text: &str) {
        write(self.folder.path(), name, &format!("{text}\n"));
    }

    fn powers_off_at(&self, now: i64) -> bool {
        self.set("now", &now.to_string());
        let path = format!("PATH={}/bin:/usr/bin:/bin", self.folder.path().display());
        let (_, said) = run("env", &[&path, "sh", &self.script]).unwrap();
        match said.as_str() {
            "off\n" => true,
            "" => false,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_instance_ends_at_its_deadline_which_may_be_moved_but_never_past_the_cap() {
    let deadline = Deadline::new(1_000_000, 100, 1_000_500);
    assert!(!deadline.powers_off_at(1_000_099));
    assert!(deadline.powers_off_at(1_000_100));
    deadline.set("var/deadline", "1000300");
    assert!(!deadline.powers_off_at(1_000_299));
    assert!(deadline.powers_off_at(1_000_300));
    for beyond in ["1000900", "99999999999"] {
        deadline.set("var/deadline", beyond);
        assert!(!deadline.powers_off_at(1_000_499), "{beyond}");
        assert!(deadline.powers_off_at(1_000_500), "{beyond}");
    }
    // What is no number counts as never moved.
    for nonsense in ["", "soon", "999999999999999999", "-1", "1000300; echo x"] {
        deadline.set("var/deadline", nonsense);
        assert!(!deadline.powers_off_at(1_000_099), "{nonsense}");
        assert!(deadline.powers_off_at(1_000_100), "{nonsense}");
    }
    std::fs::remove_file(deadline.folder.path().join("var/deadline")).unwrap();
    assert!(deadline.powers_off_at(1_000_100));
}
