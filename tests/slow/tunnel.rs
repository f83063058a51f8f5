//! The real binary, a real sshd, and a database that shakes hands.

use crate::support::database::{Authority, Database, is_served};
use crate::support::sshd::{eventually, free_port};
use crate::support::world::World;
use devdb::testing::Stage;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn up_status_restart_and_down_leave_nothing_behind() {
    let world = World::new();
    let report = world.done("up");
    assert_eq!(report["state"], "up");
    assert_eq!(report["targets"][0]["certificate_name"], "localhost");
    assert_eq!(report["targets"][0]["local"][0], world.address().to_string());
    is_served(world.address(), LIMIT).unwrap();

    let report = world.status();
    assert_eq!((&report["state"], &report["targets"][0]["state"]), (&"up".into(), &"up".into()));
    assert!(report["targets"][0]["rtt_ms"].as_f64().unwrap() > 0.0);
    assert!(report["targets"][0]["bytes"].as_u64().unwrap() >= 9);

    let (supervisors, masters) = (world.supervisors(), world.masters());
    assert_eq!((supervisors.len(), masters.len()), (1, 1));
    let report = world.done("restart");
    assert_eq!(report["restarts"][0]["cause"], "restart was asked for");
    assert_eq!(world.supervisors(), supervisors);
    eventually("one new master", LIMIT, || Some(world.masters()).filter(|new| new.len() == 1 && *new != masters));
    is_served(world.address(), LIMIT).unwrap();

    assert_eq!(world.done("down")["was_running"], true);
    world.assert_nothing_is_left();
    assert_eq!(world.done("down")["was_running"], false);
    assert_eq!(world.run("status").status.code(), Some(3));
}

#[test]
fn restart_waits_for_a_slow_reader_before_it_complains_about_it() {
    let world = World::new();
    let reader = Database::slow(&world.authority, "localhost", Duration::from_millis(500));
    let target = serde_json::json!({
        "name": "reader", "host": "localhost", "port": reader.port, "local_port": free_port(),
    });
    world.change_spec(|spec| spec["targets"].as_array_mut().unwrap().push(target));
    for verb in ["up", "restart"] {
        let output = world.run(verb);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("the reader is not up"), "{verb}: {said}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["targets"][1]["state"], "up", "{verb}: {report}");
    }
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_killed_master_is_replaced_and_the_next_connection_is_served() {
    let world = World::new();
    world.done("up");
    let old = world.masters();
    world.signal(old[0], "-9");
    is_served(world.address(), LIMIT).unwrap();
    let report = world.wait_for_state("up");
    assert_eq!(report["restarts"].as_array().unwrap().len(), 1);
    assert_ne!(world.masters(), old);
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn no_connection_is_refused_while_the_link_is_replaced_again_and_again() {
    let world = World::new();
    world.done("up");
    let served = world.served_while(|| {
        world.done("restart");
        if let Some(master) = world.masters().first() {
            world.signal(*master, "-9");
        }
        world.wait_for_state("up");
        world.done("restart");
    });
    assert!(served > 20, "{served}");
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_swapped_host_key_ends_the_tunnel_and_the_port_closes_at_once() {
    let mut world = World::new();
    world.done("up");
    world.sshd.swap_host_key();
    let master = world.masters()[0];
    world.signal(master, "-9");
    let report = world.wait_for_state("failed");
    assert_eq!(report["remedy"], "host_key");
    assert!(report["cause"].as_str().unwrap().contains("host key"), "{report}");
    assert!(world.masters().is_empty());
    // A connection that is held is held for longer than this waits.
    let closed = is_served(world.address(), LIMIT).unwrap_err().kind();
    assert!(matches!(closed, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{closed}");

    let (code, said) = world.refused("up");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("host key") && said.contains("hints"), "{said}");
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn an_unknown_host_key_is_not_trusted_on_first_use() {
    let world = World::new();
    world.write_spec("i-0other");
    let (code, said) = world.refused("up");
    assert_eq!(code, 4, "{said}");
    let known_hosts = std::fs::read_to_string(world.sshd.path("known_hosts")).unwrap();
    assert!(!known_hosts.contains("i-0other"), "{known_hosts}");
    world.done("down");
}

#[test]
fn another_database_behind_the_endpoint_is_refused() {
    let mut world = World::new();
    world.database = None;
    world.database = Some(Database::start_on(&world.authority, "staging", world.database_port));
    let (code, said) = world.refused("up");
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("certificate is for staging, not for localhost"), "{said}");
    assert!(is_served(world.address(), LIMIT).is_err());
    eventually("no master", LIMIT, || world.masters().is_empty().then_some(()));
    world.done("down");
}

#[test]
fn a_database_that_is_down_is_told_apart_from_a_dead_link_and_comes_back_by_itself() {
    let mut world = World::new();
    world.done("up");
    let masters = world.masters();
    world.database = None;
    let report = world.status();
    assert_eq!((&report["state"], &report["targets"][0]["state"]), (&"suspect".into(), &"down".into()));
    world.database = Some(Database::start_on(&world.authority, "localhost", world.database_port));
    world.wait_for_state("up");
    is_served(world.address(), LIMIT).unwrap();
    assert_eq!(world.masters(), masters, "a database that is down is no reason for a new ssh");
    world.done("down");
}

#[test]
fn a_tunnel_whose_state_folder_was_deleted_goes_down_all_the_same() {
    let world = World::new();
    world.done("up");
    world.watchdog();
    let folder = world.socket_folder();
    std::fs::remove_dir_all(world.path(".local")).unwrap();
    world.done("down");
    assert!(!folder.exists());
    world.assert_nothing_is_left();
}

#[test]
fn twenty_at_once_start_one_supervisor() {
    let world = World::new();
    let start = |_| world.command("up").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let all: Vec<_> = (0..20).map(start).collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), world.log());
    }
    assert_eq!((world.supervisors().len(), world.masters().len()), (1, 1));
    assert_eq!(world.log().matches("supervises as process").count(), 1);
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_busy_port_is_told_with_its_owner_and_nobody_is_ended() {
    let world = World::new();
    let owner = TcpListener::bind(world.address()).unwrap();
    let (code, said) = world.refused("up");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("port {} is in use on 127.0.0.1", world.port)), "{said}");
    assert!(said.contains(&format!("pid {}", std::process::id())), "{said}");
    assert!(said.contains("writer_port = "), "{said}");
    assert_eq!(world.processes(), []);
    drop(owner);
    world.done("up");
    world.done("down");
}

#[test]
fn a_vanished_forward_socket_is_repaired_while_the_next_connection_waits() {
    let world = World::new();
    world.done("up");
    let old = world.masters();
    let folder = world.socket_folder();
    let homes = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let forwards: Vec<_> = homes.map(|home| home.join("t0")).filter(|forward| forward.exists()).collect();
    assert_eq!(forwards.len(), 1);
    std::fs::remove_file(&forwards[0]).unwrap();
    is_served(world.address(), LIMIT).unwrap_or_else(|error| panic!("{error}: {}", world.log()));
    let report = world.wait_for_state("up");
    assert_eq!(report["restarts"][0]["cause"], "the socket of ssh has vanished or is closed");
    eventually("one new master", LIMIT, || Some(world.masters()).filter(|new| new.len() == 1 && *new != old));
    world.done("down");
    world.assert_nothing_is_left();
}

#[test]
fn a_runtime_folder_that_a_logout_removed_is_no_end_of_the_tunnel() {
    let world = World::new();
    world.done("up");
    let (supervisors, masters, folder) = (world.supervisors(), world.masters(), world.socket_folder());
    std::fs::remove_dir_all(world.path("run")).unwrap();
    is_served(world.address(), LIMIT).unwrap_or_else(|error| panic!("{error}: {}", world.log()));
    world.wait_for_state("up");
    assert_eq!(world.supervisors(), supervisors);
    assert_ne!(world.socket_folder(), folder);
    let one = || Some(world.masters()).filter(|new| new.len() == 1 && *new != masters);
    eventually("one new master", LIMIT, one);
    // Whatever the next shell's variables say: the lock tells where it is.
    world.done("up");
    assert_eq!(world.supervisors(), supervisors);
    let moved = world.socket_folder();
    world.done("down");
    world.assert_nothing_is_left();
    assert!(!moved.exists());
}

#[test]
fn a_vanished_control_socket_does_not_hide_the_supervisor_for_long() {
    let world = World::new();
    world.done("up");
    std::fs::remove_file(world.socket_folder().join("devdb.sock")).unwrap();
    world.wait_for_state("up");
    assert_eq!(world.supervisors().len(), 1);
    world.done("down");
    world.assert_nothing_is_left();
}

const PROJECT: &str = "project = \"shop\"\n[environment.dev]\n";

#[test]
fn without_a_supervisor_status_says_so_and_exits_3() {
    let stage = Stage::new().file("devdb.toml", PROJECT);
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "status"]), @r"
    tunnel stopped
    ------- stderr -------
    ------- exit 3
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "down"]), @r"
    no tunnel was running
    ------- stderr -------
    ------- exit 0
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "wait", "--timeout", "10ms"]), @r"
    tunnel stopped
    ------- stderr -------
    warning: no tunnel runs, and none was started within 0.01 s
    hint: run `devdb tunnel up`
    ------- exit 3
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "wait", "--timeout", "2"]), @r"
    ------- stderr -------
    error: invalid value '2' for '--timeout <DURATION>': the unit is missing: write `2s` or `2min`

    For more information, try '--help'.
    ------- exit 2
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "logs"]), @r"
    ------- stderr -------
    hint: there is no log yet: `devdb tunnel up` starts the tunnel
    ------- exit 0
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "ports"]), @r"
    writer  5432  free
    reader  5433  free
    ------- stderr -------
    ------- exit 0
    ");
    insta::assert_snapshot!(stage.run(["devdb", "tunnel", "kill-stale"]), @r"
    no ssh holds port 5432 or 5433 or was started to hold it
    ------- stderr -------
    ------- exit 0
    ");
}

#[test]
fn a_direct_route_is_probed_and_needs_no_supervisor() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let authority = Authority::new(&ca_file);
    let database = Database::start(&authority, "localhost");
    let port = database.port;
    let spec = serde_json::json!({
        "link": null,
        "targets": [{"name": "writer", "host": "localhost", "port": port, "local_port": 5432}],
        "ca_file": ca_file,
        "hold_ms": 1000,
    });
    let stage = Stage::new().file("devdb.toml", PROJECT).file("spec.json", &spec.to_string());
    let text = |outcome: devdb::testing::Outcome| outcome.to_string().replace(&port.to_string(), "[PORT]");
    // The fake probe waits for an echo; this database answers `?` by closing, so the answer is scripted.
    let answer = || Ok(devdb::testing::FakeProbe::certificate("localhost"));
    stage.tools.probe.answer([answer(), answer()]);
    insta::assert_snapshot!(text(stage.run(["devdb", "tunnel", "up", "--spec", "spec.json"])), @r"
    tunnel up
      writer  localhost:[PORT]  12.0 ms
              certificate  verified
    ------- stderr -------
      tunnel not needed: the route is direct
    ------- exit 0
    ");
    assert_eq!(stage.run(["devdb", "tunnel", "status"]).code, 0);
    stage.tools.probe.answer([Err(devdb::tunnel::ProbeError::Unreachable { said: "timed out".to_owned() })]);
    insta::assert_snapshot!(text(stage.run(["devdb", "tunnel", "up", "--spec", "spec.json"])), @r#"
    ------- stderr -------
    error: the database cannot be used: the database could not be reached: timed out

    hint: connect the VPN that leads into the VPC, or set `transport = "ssh"` to go through a bastion
    ------- exit 1
    "#);
    assert!(stage.processes.spawned().is_empty());
}
