//! `devdb up` looks at its local ports before it pays for a bastion.

use crate::support::sshd::free_port;
use devdb::system::ProcessInfo;
use devdb::testing::{FakeCloud, Outcome, Stage};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

struct Desk {
    stage: Stage,
    cloud: Arc<FakeCloud>,
    writer: u16,
    reader: u16,
}

fn desk() -> Desk {
    let cloud = Arc::new(FakeCloud::default());
    let (writer, reader) = (free_port(), free_port());
    let committed = format!(
        "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n\
         [environment.dev.tunnel]\nwriter_port = {writer}\nreader_port = {reader}\n"
    );
    let stage = Stage::new().file("devdb.toml", &committed).file("ca.pem", "").cloud(&cloud);
    Desk { stage, cloud, writer, reader }
}

impl Desk {
    fn hold(&self, port: u16, command: &[&str]) -> TcpListener {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let (pid, name) = (4711, command[0].clone());
        self.stage.processes.add(ProcessInfo { pid, name, command, own: true, ..ProcessInfo::default() });
        self.stage.processes.listen(port, pid);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap()
    }

    #[track_caller]
    fn made_nothing(&self, outcome: &Outcome) {
        assert_eq!(outcome.code, 1, "{outcome}");
        let reads = ["Describe", "Get", "List"];
        let changes = self.cloud.calls().into_iter().filter(|call| !reads.iter().any(|read| call.contains(read)));
        assert_eq!(changes.collect::<Vec<_>>(), [""; 0], "{outcome}");
        assert_eq!(self.cloud.alive(), [""; 0]);
        let state = self.stage.home().join(".local/state/devdb/shop/dev/ada");
        assert!(!state.join("bastion_key").exists(), "no keys either");
    }
}

#[test]
fn a_port_that_another_program_holds_is_told_before_anything_is_made() {
    for is_reader in [false, true] {
        let desk = desk();
        let (name, port) = if is_reader { ("reader", desk.reader) } else { ("writer", desk.writer) };
        let _held = desk.hold(port, &["postgres", "-D", "/data"]);
        for words in [&["devdb", "up"][..], &["devdb", "up", "--yes"]] {
            let outcome = desk.stage.run_all(words);
            desk.made_nothing(&outcome);
            let hint = format!("hint: take a free port instead: set `{name}_port = ");
            let parts = [&port.to_string(), "postgres -D /data", &hint];
            parts.into_iter().for_each(|part| assert!(outcome.stderr.contains(part), "{part} in {outcome}"));
        }
    }
}

#[test]
fn the_tunnel_of_another_environment_is_told_before_anything_is_made() {
    let desk = desk();
    let _held = desk.hold(desk.writer, &["/usr/bin/devdb", "tunnel", "supervise", "--spec", "/elsewhere/tunnel.json"]);
    let outcome = desk.stage.run(["devdb", "up"]);
    desk.made_nothing(&outcome);
    assert!(outcome.stderr.contains("/elsewhere/tunnel.json"), "{outcome}");
}

#[test]
fn an_ssh_that_is_not_proven_stale_stays_and_nothing_is_made() {
    let desk = desk();
    let _held = desk.hold(desk.writer, &["ssh", "-fNL", &format!("{}:db:5432", desk.writer), "bastion"]);
    let outcome = desk.stage.run(["devdb", "up"]);
    desk.made_nothing(&outcome);
    assert!(outcome.stderr.contains("devdb tunnel kill-stale"), "{outcome}");
}

#[test]
fn a_bastion_alone_needs_no_port() {
    let desk = desk();
    let _held = desk.hold(desk.writer, &["postgres", "-D", "/data"]);
    assert_eq!(desk.stage.run(["devdb", "bastion", "up"]).code, 0);
    assert_eq!(desk.stage.run(["devdb", "up", "--dry-run"]).code, 0);
}
