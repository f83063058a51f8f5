//! `devdb doctor` in a sealed box: every link, and what helps.

use devdb::system::{Captured, ProcessInfo};
use devdb::testing::{FakeCloud, Stage};
use std::sync::Arc;

const COMMITTED: &str = "project = \"shop\"\n\
                         [environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n\
                         [environment.staging]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    let stage = Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(&cloud);
    let stderr = b"OpenSSH_9.2p1 Debian-2, OpenSSL 3.0\n".to_vec();
    stage.processes.set_output("ssh", Captured { code: 0, stdout: Vec::new(), stderr });
    (stage, cloud)
}

#[test]
fn what_is_missing_is_named_with_what_helps_and_nothing_is_changed() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!(stage.run(["devdb", "-e", "staging", "doctor"]));
    let reads = ["Describe", "Get", "List"];
    let changes = cloud.calls().into_iter().filter(|call| !reads.iter().any(|read| call.contains(read)));
    assert_eq!(changes.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_bastion_that_stands_is_looked_at_from_both_ends() {
    let (stage, _cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    insta::assert_snapshot!("bastion", stage.run(["devdb", "doctor"]));
    let id = 4711;
    stage.processes.add(ProcessInfo {
        pid: id,
        name: "ssh".to_owned(),
        command: ["ssh", "-fNL", "5432:db:5432", "bastion"].map(str::to_owned).to_vec(),
        own: true,
        ..ProcessInfo::default()
    });
    stage.processes.listen(5432, id);
    insta::assert_snapshot!("busy_port", stage.run(["devdb", "doctor"]));
}

#[test]
fn what_hangs_on_a_broken_link_is_not_guessed_at() {
    // Without a cloud nobody has credentials, and here nobody has ssh either.
    let stage = Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "");
    insta::assert_snapshot!(stage.run(["devdb", "doctor"]));
}

#[test]
fn without_settings_there_is_nothing_to_look_at() {
    insta::assert_snapshot!("no_settings", Stage::new().run(["devdb", "doctor"]));
    let stage = Stage::new().file("devdb.toml", &COMMITTED.replace("region", "regoin"));
    insta::assert_snapshot!("misspelled", stage.run(["devdb", "doctor"]));
}

#[test]
fn the_document_holds_what_the_text_says() {
    let (stage, _cloud) = stage();
    let outcome = stage.run(["devdb", "doctor", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let links = document["links"].as_array().unwrap();
    let of = |name: &str| links.iter().find(|link| link["link"] == name).unwrap();
    assert_eq!((outcome.code, &of("ssh")["verdict"], &of("tunnel")["verdict"]), (3, &"ok".into(), &"fail".into()));
    assert_eq!(of("tunnel")["hints"][0], "`devdb tunnel up` starts it");
}
