//! The local ports serve their own user.

use crate::support::database::is_served;
use crate::support::world::World;
use std::process::Command;
use std::time::Duration;

/// What another user of this machine hears who asks for TLS: `S`, or nothing.
fn heard_by_another_user(host: &str, port: u16) -> String {
    let family = if host.contains(':') { "AF_INET6" } else { "AF_INET" };
    let program = format!(
        "import os, socket\nos.setuid(65534)\ns = socket.socket(socket.{family})\ns.connect(('{host}', {port}))\n\
         s.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))\n\
         try: print(s.recv(1).decode(), end='')\nexcept ConnectionResetError: pass"
    );
    let mut python = match rustix::process::geteuid().is_root() {
        true => Command::new("python3"),
        false => Command::new("sudo"),
    };
    if !rustix::process::geteuid().is_root() {
        python.args(["-n", "python3"]);
    }
    let output = python.args(["-c", &program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn another_user_of_the_machine_is_not_served_unless_the_settings_say_so() {
    let world = World::new();
    world.done("up");
    for host in ["127.0.0.1", "::1"] {
        assert_eq!(heard_by_another_user(host, world.port), "", "{host}");
    }
    is_served(world.address(), Duration::from_secs(15)).unwrap();
    let told = "closed a connection of another user (uid 65534)";
    assert_eq!(world.log().matches(told).count(), 1, "{}", world.log());
    world.change_spec(|spec| spec["serves_all_users"] = true.into());
    world.done("up");
    assert_eq!(heard_by_another_user("127.0.0.1", world.port), "S");
    world.done("down");
    world.assert_nothing_is_left();
}
