//! What the programs that devdb starts find in their environment, read from `/proc`.

use crate::support::database::is_served;
use crate::support::sshd::eventually;
use crate::support::world::World;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

/// As shells of developers have them; no two have one value.
const SECRETS: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "secret-1"),
    ("AWS_SECRET_ACCESS_KEY", "secret-2"),
    ("AWS_SESSION_TOKEN", "secret-3"),
    ("PGPASSWORD", "secret-4"),
    ("DATABASE_URL", "postgres://ada:secret-5@db.example/shop"),
    ("GITHUB_TOKEN", "secret-6"),
    ("MY_OWN_THING", "secret-7"),
    ("SSH_AUTH_SOCK", "/nowhere/secret-8"),
    ("GIT_SSH_COMMAND", "secret-9"),
];

/// What must arrive, because a way to the bastion or to AWS may hang on it.
const NEEDED: &[(&str, &str)] =
    &[("AWS_PROFILE", "shop"), ("HTTPS_PROXY", "http://proxy:3128"), ("LANG", "C.UTF-8"), ("DEVDB_ALIAS", "ada")];

fn environment(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/environ")).unwrap()).replace('\0', "\n")
}

#[test]
fn what_lives_behind_a_tunnel_holds_no_secret_of_the_shell() {
    let world = World::new();
    let shell = |verb: &str| {
        let mut command = world.command(verb);
        command.envs(SECRETS.iter().chain(NEEDED).copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {}\n{}", String::from_utf8_lossy(&output.stderr), world.log());
    };
    shell("up");
    is_served(world.address(), LIMIT).unwrap();
    let look = |what: &str| {
        let watchdog = world.watchdog();
        let all = [world.supervisors(), vec![watchdog], world.masters()].concat();
        assert!(all.len() >= 3, "{what}: {all:?}");
        for pid in all {
            let found = environment(pid);
            assert!(!found.contains("secret-"), "{what}: {pid}: {found}");
            for (name, value) in NEEDED {
                assert!(found.contains(&format!("{name}={value}")), "{what}: {pid}: {name}: {found}");
            }
        }
        // The watchdog starts the next supervisor; no crash of either writes its memory down.
        for pid in [world.supervisors(), vec![watchdog]].concat() {
            let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            assert_eq!(core.split_whitespace().nth(4), Some("0"), "{what}: {pid}: {core}");
        }
    };
    look("up");
    shell("restart");
    look("restart");
    let killed = world.supervisors();
    world.signal(killed[0], "-9");
    eventually("another one", LIMIT, || world.supervisors().first().copied().filter(|pid| *pid != killed[0]));
    is_served(world.address(), LIMIT).unwrap();
    look("killed");
    world.done("down");
    world.assert_nothing_is_left();
}

/// A way to sshd that notes its environment.
const RELAY: &str = r#"
import os, select, socket, sys
with open(FOUND, "w") as found:
    found.write("".join(f"{name}={value}\n" for name, value in os.environ.items()))
sshd = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while True:
    for ready in select.select([0, sshd], [], [])[0]:
        data = os.read(0 if ready == 0 else sshd.fileno(), 65536)
        if not data:
            sys.exit()
        sshd.sendall(data) if ready == 0 else os.write(1, data)
"#;

#[test]
fn a_proxy_command_is_given_no_secret() {
    let world = World::new();
    let found = world.path("found");
    let (proxy, port) = (world.path("proxy"), world.sshd.port);
    let script = format!("#!/usr/bin/python3\nFOUND = '{}'\n{RELAY}", found.display());
    std::fs::write(&proxy, script).unwrap();
    std::fs::set_permissions(&proxy, std::fs::Permissions::from_mode(0o755)).unwrap();
    world.change_spec(|spec| spec["link"]["proxy_command"] = format!("{} {port}", proxy.display()).into());
    let output = world.command("up").envs(SECRETS.iter().chain(NEEDED).copied()).output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), world.log());
    let found = std::fs::read_to_string(found).unwrap();
    assert!(found.contains("AWS_PROFILE=shop") && !found.contains("secret-"), "{found}");
    world.done("down");
}

/// The project's code runs with what it may look for, and without secrets. A `node` of our own shows what it gets.
#[test]
fn node_is_given_no_secret() {
    let world = World::new();
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let found = world.path("found");
    std::fs::write(bin.join("node"), format!("#!/bin/sh\nenv > {}\n", found.display())).unwrap();
    std::fs::set_permissions(bin.join("node"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let project = world.path("project");
    std::fs::create_dir(project.join("src")).unwrap();
    std::fs::write(project.join("src/1_a.ts"), "export const up = () => {}\n").unwrap();
    let mut devdb = Command::new(env!("CARGO_BIN_EXE_devdb"));
    devdb.args(["migrate", "import", "src"]).current_dir(&project).env_clear();
    devdb.envs(SECRETS[..7].iter().filter(|(name, _)| *name != "MY_OWN_THING").copied()).env("DB_SCHEMA", "shop");
    devdb.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("HOME", world.path("."));
    devdb.env("DEVDB_ALIAS", "ada");
    let output = devdb.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = std::fs::read_to_string(found).unwrap_or_else(|_| panic!("{said}"));
    assert!(found.contains("DB_SCHEMA=shop") && !found.contains("secret-"), "{found}");
}

/// Another process of this user cannot read it: what the kernel hides from other processes belongs to root (proc(5)).
#[test]
fn no_file_of_the_state_folder_is_open_to_others() {
    let world = World::new();
    // As an earlier release left it.
    let log = world.state("tunnel.log");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "").unwrap();
    std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
    world.done("up");
    world.done("restart");
    world.signal(world.supervisors()[0], "-9");
    world.wait_for_state("up");
    let mut folders = vec![world.path(".local/state/devdb"), world.path("run/devdb")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // It may end at this moment.
            let Ok(about) = path.symlink_metadata() else { continue };
            if about.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(about.mode() & 0o077, 0, "{}", path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 5, "{found}");
    world.done("down");
}

#[test]
fn the_memory_of_a_command_is_hidden_and_that_of_its_program_is_not() {
    /// Another user, where root runs the tests: root's own files belong to root anyway.
    const OTHER: u32 = 65534;
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = if is_root { OTHER } else { std::fs::metadata("/proc/self").unwrap().uid() };
    let start = |words: &[&str]| {
        // A folder above the program may be closed to others.
        let line = r#"exec 9< "$0"; exec "$@""#;
        let mut sh = Command::new("sh");
        sh.args(["-c", line, env!("CARGO_BIN_EXE_devdb")]);
        if is_root {
            sh.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        }
        sh.arg("/proc/self/fd/9")
            .args(words)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/");
        Running(sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let owner = |child: &Running| std::fs::metadata(format!("/proc/{}/environ", child.0.id())).unwrap().uid();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("postgres://ada:pw@{}/shop?sslmode=disable", silent.local_addr().unwrap());
    silent.set_nonblocking(true).unwrap();
    let waits = start(&["schema", "--database-url", &url]);
    let _connection = eventually("it has connected", LIMIT, || silent.accept().ok());
    assert_eq!(owner(&waits), 0);
    let program = start(&["exec", "--database-url", &url, "--", "cat"]);
    eventually("its program", LIMIT, || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", program.0.id())).unwrap();
        (name == "cat\n").then_some(())
    });
    assert_eq!(owner(&program), user);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
