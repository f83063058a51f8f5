//! Homes and state folders with names that ssh, a shell or a configuration file would read as more than a name: real ssh
//! and sshd.

use crate::support::database::is_served;
use crate::support::sshd::{Sshd, command};
use crate::support::world::World;
use devdb::bastion::{BastionAccess, Shell};
use devdb::host::Host;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// What ssh takes for a token, a comment, a quote or an end, and can still be told.
const SPELLABLE: [&str; 9] =
    ["100%", "%h%%d%u", "a b", "o'brien", "#1", "$HOME ~ $x", "a;b&c|d>e", "=,*?[a]", "gr\u{fc}n"];

/// What no release before 8.7 can be told, or none at all.
const UNSPEAKABLE: [&str; 4] = ["a\"b", "a\\b", "${HOME}", "a\nb"];

/// One verb in a home of this name, with everything of devdb's own below it.
fn verb(world: &World, home: &Path, verb: &str) -> Command {
    let mut devdb = world.command(verb);
    devdb.env("HOME", home).env("XDG_STATE_HOME", home.join("state")).env("XDG_RUNTIME_DIR", home.join("run"));
    devdb
}

#[track_caller]
fn done(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_tunnel_comes_up_whatever_the_home_is_called() {
    let world = World::new();
    for name in SPELLABLE.iter().chain(&UNSPEAKABLE) {
        let home = world.path(&format!("homes/{name}"));
        std::fs::create_dir_all(home.join("run")).unwrap();
        let keys = if SPELLABLE.contains(name) { home.clone() } else { world.path("") };
        for (from, to) in [("login_key", "identity_file"), ("known_hosts", "known_hosts_file")] {
            std::fs::copy(world.sshd.path(from), keys.join(from)).unwrap();
            world.change_spec(|spec| spec["link"][to] = keys.join(from).to_str().unwrap().into());
        }
        done(verb(&world, &home, "up"));
        is_served(world.address(), LIMIT).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = verb(&world, &home, "status").output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        // The runbook's line is one that a shell and ssh read as the same paths.
        let line = report["equivalent"].as_str().unwrap().split(" -fN").next().unwrap().replacen("ssh ", "ssh -G ", 1);
        let read = command("sh").args(["-c", &format!("{line} x")]).output().unwrap();
        let read = String::from_utf8(read.stdout).unwrap();
        let known = format!("userknownhostsfile {}", keys.join("known_hosts").display());
        assert!(read.lines().any(|line| line == known), "{name}: {line}: {read}");
        done(verb(&world, &home, "down"));
    }
}

/// A bastion whose key and known hosts lie in this folder.
fn access(bastion: &Sshd, folder: &Path) -> BastionAccess {
    std::fs::create_dir_all(folder).unwrap();
    for name in ["login_key", "known_hosts"] {
        std::fs::copy(bastion.path(name), folder.join(name)).unwrap();
    }
    BastionAccess {
        instance_id: "i-0test".to_owned(),
        public_ip: [127, 0, 0, 1].into(),
        public_dns: None,
        user: Sshd::user(),
        port: bastion.port,
        key_file: folder.join("login_key"),
        known_hosts_file: folder.join("known_hosts"),
        expires_at: None,
        place: None,
        proxy_command: None,
        proxy_jump: None,
    }
}

fn shell(folder: &Path) -> Arc<dyn Shell> {
    let host = Host::from_process();
    host.tools.bastion_shell(host.processes, folder)
}

#[tokio::test]
async fn the_bastion_is_reached_from_any_state_folder_or_the_path_is_named() {
    let (bastion, home) = (Sshd::start(), tempfile::tempdir().unwrap());
    for name in SPELLABLE {
        let folder = home.path().join(name);
        let access = access(&bastion, &folder);
        let said = shell(&folder).run(&access, "echo here").await.unwrap();
        assert_eq!((said.code, said.stdout.as_str()), (0, "here\n"), "{name}");
        // For a jump ssh starts another ssh, which has to find the same file.
        let jump = Some("gate@127.0.0.1:1".to_owned());
        let line = shell(&folder).command_line(&BastionAccess { proxy_jump: jump, ..access }, &[]).unwrap();
        let output = command(line.program).args(line.args).current_dir(line.cwd.unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("connect to host 127.0.0.1 port 1: Connection refused"), "{name}: {said}");
    }
    for name in UNSPEAKABLE {
        let folder = home.path().join(name);
        let refused = shell(&folder).run(&access(&bastion, &folder), "echo here").await.unwrap_err();
        let said = std::error::Error::source(&refused).map_or(refused.to_string(), ToString::to_string);
        assert!(said.contains("cannot be used as a path in the ssh configuration: ssh"), "{name}: {said}");
    }
}
