//! The user data, as the programs that will read it see it.

use crate::bastion_rig::spec;
use devdb::bastion::{BastionSpec, UserData, sshd_settings};
use std::path::Path;

const HOST_KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\nBBBB\n-----END OPENSSH PRIVATE KEY-----\n";

pub(crate) fn user_data() -> String {
    rendered(&spec())
}

fn rendered(spec: &BastionSpec) -> String {
    UserData::render(spec, HOST_KEY, "ssh-ed25519 AAAA devdb", "0123456789abcdef").unwrap().text.to_string()
}

/// The content of one file that cloud-init will write.
pub(crate) fn file(user_data: &str, path: &str) -> String {
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

/// The real programs judge; `scripts/check` installs them.
fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = match std::process::Command::new(program).args(arguments).output() {
        Ok(output) => output,
        Err(error) => panic!("{program} is needed ({error}): apt-get install cloud-init systemd openssh-server"),
    };
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What can be configured, all of it at once.
fn another_spec() -> BastionSpec {
    let mut spec = spec();
    spec.ssh_port = 443;
    spec.ssh_user = "admin".to_owned();
    spec.site.endpoints.push("appdb.cluster-ro-abc.eu-west-1.rds.amazonaws.com".to_owned());
    spec.site.port = 6432;
    spec
}

fn both() -> [String; 2] {
    [user_data(), rendered(&another_spec())]
}

#[cfg(feature = "aws")] // cloud-init takes a second for each look
#[test]
fn cloud_init_knows_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let judge = |text: &str| run("cloud-init", &["schema", "--config-file", &write(folder.path(), "user-data", text)]);
    for text in both() {
        let (accepted, said) = judge(&text);
        assert!(accepted, "{said}");
    }
    // Not every release minds a key that it does not know; a value of no known key is never wrong.
    let is_key = |line: &&str| line.starts_with(|letter: char| letter.is_ascii_lowercase());
    let text = user_data();
    let keys: Vec<&str> = text.lines().filter(is_key).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    assert!(keys.contains(&"runcmd") && keys.len() > 6, "{keys:?}");
    let wrong: String = keys.iter().map(|key| format!("{key}: {{surely: wrong}}\n")).collect();
    let (accepted, said) = judge(&format!("#cloud-config\n{wrong}"));
    assert!(!accepted, "{said}");
    keys.iter().for_each(|key| assert!(said.contains(&format!("{key}:")), "{key} is not known: {said}"));
    for (good, bad) in [("permissions: '0600'", "permission: '0600'"), ("  - path", "  - paths"), ("#cloud", "# cloud")]
    {
        assert!(user_data().contains(good));
        let (accepted, said) = judge(&user_data().replace(good, bad));
        assert!(!accepted, "`{bad}` was accepted: {said}");
    }
}

#[test]
fn sshd_accepts_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("host_key");
    let (made, said) = run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
    assert!(made, "{said}");
    // sshd insists on this folder when it runs as root.
    let _ = std::fs::create_dir_all("/run/sshd");
    let judge = |settings: &str| {
        let settings = settings.replace("/etc/ssh/ssh_host_ed25519_key", key.to_str().unwrap());
        run("/usr/sbin/sshd", &["-t", "-f", &write(folder.path(), "sshd_config", &settings)])
    };
    for text in both() {
        let settings = file(&text, "/etc/ssh/sshd_config.d/00-devdb.conf");
        let (accepted, said) = judge(&settings);
        // An ordinary user cannot make the folder; sshd looks for it after it has read everything else.
        assert!(accepted || said.trim().starts_with("Missing privilege separation directory"), "{said}");
        for (good, bad) in [("PermitOpen ", "PermitOpen everything "), ("X11Forwarding no", "X11Forwarding off")] {
            assert!(settings.contains(good), "{settings}");
            let (accepted, said) = judge(&settings.replace(good, bad));
            assert!(!accepted && said.contains("sshd_config"), "`{bad}` was accepted: {said}");
        }
    }
}

#[test]
fn forwards_go_to_the_clusters_endpoints_only() {
    let opened = |text: &str| {
        let settings = file(text, "/etc/ssh/sshd_config.d/00-devdb.conf");
        settings.lines().find_map(|line| Some(line.strip_prefix("PermitOpen ")?.to_owned())).unwrap()
    };
    let [usual, another] = both();
    assert_eq!(opened(&usual), "appdb.cluster-abc.eu-west-1.rds.amazonaws.com:5432");
    assert_eq!(
        opened(&another),
        "appdb.cluster-abc.eu-west-1.rds.amazonaws.com:6432 appdb.cluster-ro-abc.eu-west-1.rds.amazonaws.com:6432"
    );
}

#[test]
fn systemd_accepts_its_units() {
    let folder = tempfile::tempdir().unwrap();
    let script = write(folder.path(), "devdb-expire", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let unit = |name: &str| {
        let text = file(&user_data(), &format!("/etc/systemd/system/{name}"));
        text.replace("/usr/local/sbin/devdb-expire", &script)
    };
    let judge = |service: &str, timer: &str| {
        let service = write(folder.path(), "devdb-expire.service", service);
        let timer = write(folder.path(), "devdb-expire.timer", timer);
        let (accepted, said) = run("systemd-analyze", &["verify", "--man=no", &service, &timer]);
        // It verifies what the units need as well, and this machine's own units may have flaws.
        let said: Vec<&str> = said.lines().filter(|line| line.contains("devdb-expire")).collect();
        (accepted && said.is_empty(), said.join("\n"))
    };
    let (service, timer) = (unit("devdb-expire.service"), unit("devdb-expire.timer"));
    assert_eq!(judge(&service, &timer), (true, String::new()));
    for (good, bad) in [("minutely", "every minute"), ("Persistent", "Persist"), ("[Timer]", "[Time]")] {
        assert!(!judge(&service, &timer.replace(good, bad)).0, "`{bad}` was accepted");
    }
    assert!(!judge(&service.replace(&script, "/nonexistent"), &timer).0, "a missing program was accepted");
}
