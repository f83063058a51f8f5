//! `devdb bastion extend` and `devdb bastion ssh` as a developer sees them.

use devdb::bastion::ShellError;
use devdb::system::CloudError;
use devdb::testing::{FakeCloud, Stage};
use std::sync::Arc;

/// When the fixed clock starts.
const BORN: i64 = 1_767_323_045;

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    let committed = "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\n";
    let stage = Stage::new().file("devdb.toml", committed).cloud(&cloud);
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    (stage, cloud)
}

/// What the instance answers next: `hours` after its birth, with this deadline.
fn instance_says(stage: &Stage, hours: i64, deadline: i64) {
    let at = |hours: i64| BORN + hours * 3600;
    let text = format!("{}\n{}\n{}\n{}\n", at(hours), at(7 * 24), at(12), at(deadline));
    stage.tools.shell.script([Ok((0, text))]);
}

#[test]
fn extend_moves_the_deadline_and_status_shows_it() {
    let (stage, cloud) = stage();
    instance_says(&stage, 4, 12);
    insta::assert_snapshot!("extend_dry_run", stage.run(["devdb", "bastion", "extend", "--dry-run"]));
    assert!(!cloud.calls().contains(&"ec2:CreateTags"));
    instance_says(&stage, 4, 12);
    instance_says(&stage, 4, 16);
    insta::assert_snapshot!("extend", stage.run(["devdb", "bastion", "extend"]));
    insta::assert_snapshot!("status_extended", stage.run(["devdb", "bastion", "status"]));
    let cache = std::fs::read_to_string(stage.home().join(".local/state/devdb/shop/dev/ada/bastion.json")).unwrap();
    assert!(cache.contains("\"2026-01-02T19:04:05Z\""), "{cache}");
    instance_says(&stage, 4, 16);
    insta::assert_snapshot!("extend_again", stage.run(["devdb", "bastion", "extend", "30m"]));
    instance_says(&stage, 5, 16);
    instance_says(&stage, 5, 25);
    insta::assert_snapshot!("extend_json", stage.run(["devdb", "--json", "bastion", "extend", "20h"]));
    // The next `up` finds nothing to do, and takes nothing back.
    assert!(stage.run(["devdb", "bastion", "up"]).stdout.contains("2026-01-03T04:04:05Z"));
}

#[test]
fn a_ttl_counts_for_a_new_bastion_and_one_that_stands_is_left_to_extend() {
    let (stage, _cloud) = stage();
    let stands = stage.run(["devdb", "bastion", "up", "--ttl", "27h 30m"]);
    assert!(stands.stdout.contains("2026-01-02T15:04:05Z") && stands.code == 0, "{stands}");
    assert!(stands.stderr.contains("it ends sooner than that; `devdb bastion extend 27h30m`"), "{stands}");
    assert!(!stage.run(["devdb", "bastion", "up", "--ttl", "12h"]).stderr.contains("hint"));
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    let made = stage.run(["devdb", "up", "--ttl", "90m", "--dry-run"]);
    assert_eq!(made.code, 0, "{made}");
    let made = stage.run(["devdb", "bastion", "up", "--ttl", "90m"]);
    assert!(made.stdout.contains("2026-01-02T04:34:05Z"), "{made}");
    assert_eq!(stage.run(["devdb", "up", "--ttl", "0s"]).code, 2);
}

#[test]
fn what_cannot_be_extended_says_why() {
    let (stage, cloud) = stage();
    instance_says(&stage, 4, 12);
    insta::assert_snapshot!("extend_beyond_the_cap", stage.run(["devdb", "bastion", "extend", "200h"]));
    stage.tools.shell.script([Ok((1, "1767323045\n".to_owned()))]);
    insta::assert_snapshot!("extend_unreadable", stage.run(["devdb", "bastion", "extend"]));
    let message = "connect to host 203.0.113.1 port 22: Connection timed out".to_owned();
    stage.tools.shell.script([Err(ShellError::NoAnswer { message, timed_out: true })]);
    insta::assert_snapshot!("extend_no_answer", stage.run(["devdb", "bastion", "extend"]));
    let message = "Host key verification failed.".to_owned();
    stage.tools.shell.script([Err(ShellError::HostKey { message })]);
    insta::assert_snapshot!("extend_host_key", stage.run(["devdb", "bastion", "extend", "--yes"]));
    instance_says(&stage, 4, 12);
    instance_says(&stage, 4, 16);
    let denied = || CloudError::Denied { action: "ec2:CreateTags".to_owned(), source: None };
    cloud.fail_action("ec2:CreateTags", false, Arc::new(denied));
    insta::assert_snapshot!("extend_tag_behind", stage.run(["devdb", "-q", "bastion", "extend"]));
    assert_eq!(stage.run(["devdb", "bastion", "extend", "0s"]).code, 2);
    assert_eq!(stage.run(["devdb", "bastion", "extend", "soon"]).code, 2);
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    insta::assert_snapshot!("extend_absent", stage.run(["devdb", "bastion", "extend"]));
}

#[test]
fn ssh_becomes_ssh_with_the_words_as_they_are() {
    let (stage, _cloud) = stage();
    let argv = ["devdb", "bastion", "ssh", "--dry-run", "--", "psql", "-c", "select 'it''s'"];
    insta::assert_snapshot!(stage.run(argv), @r"
    ssh i-0006 psql -c 'select '\''it'\'''\''s'\'''
    ------- stderr -------
    ------- exit 0
    ");
    assert!(stage.processes.spawned().is_empty());
    assert_eq!(stage.run(["devdb", "bastion", "ssh"]).code, 0);
    assert_eq!(stage.run(["devdb", "bastion", "ssh", "--", "uptime", "--pretty"]).code, 0);
    let args: Vec<Vec<String>> = stage.processes.spawned().into_iter().map(|spec| words(spec.args)).collect();
    assert_eq!(args, [vec!["i-0006"], vec!["i-0006", "uptime", "--pretty"]]);
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    insta::assert_snapshot!("ssh_absent", stage.run(["devdb", "bastion", "ssh"]));
}

fn words(words: Vec<std::ffi::OsString>) -> Vec<String> {
    words.into_iter().map(|word| word.into_string().unwrap()).collect()
}
