//! `devdb env`, `status` and `down` in a sealed box: what is said, where, and with which exit code.

use devdb::system::CloudError;
use devdb::testing::{FakeCloud, Stage};
use std::sync::Arc;

const COMMITTED: &str =
    "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    (Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(&cloud), cloud)
}

#[test]
fn env_prints_what_a_shell_can_eval_and_warns_that_the_tunnel_is_down() {
    let (stage, _cloud) = stage();
    insta::assert_snapshot!(stage.run(["devdb", "env", "--shell", "bash"]));
}

#[test]
fn env_speaks_the_language_of_the_shell_that_runs_it() {
    let (stage, _cloud) = stage();
    stage.processes.set_parent("zsh");
    insta::assert_snapshot!(stage.run(["devdb", "env", "--only", "PGPASSWORD"]));
}

#[test]
fn env_with_a_warm_cache_asks_aws_for_the_secret_and_nothing_else() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "env"]).code, 0);
    cloud.forget_calls();
    assert_eq!(stage.run(["devdb", "env"]).code, 0);
    assert_eq!(cloud.calls(), ["secretsmanager:GetSecretValue"]);
}

#[test]
fn another_account_or_region_of_the_variables_is_discovered_anew() {
    let cloud = Arc::new(FakeCloud::default());
    let committed = COMMITTED.replace("region = \"eu-west-1\"\n", "");
    let mut stage = Stage::new().file("devdb.toml", &committed).file("ca.pem", "").cloud(&cloud);
    for (name, value) in [("AWS_PROFILE", "staging"), ("AWS_DEFAULT_REGION", "eu-west-2"), ("AWS_REGION", "eu-west-3")]
    {
        assert_eq!(stage.run(["devdb", "env"]).code, 0);
        stage = stage.var(name, value);
        cloud.forget_calls();
        assert_eq!(stage.run(["devdb", "env"]).code, 0);
        assert!(cloud.calls().contains(&"cloudformation:ListStackResources"), "{name}: {:?}", cloud.calls());
    }
    cloud.forget_calls();
    assert_eq!(stage.run(["devdb", "env"]).code, 0);
    assert_eq!(cloud.calls(), ["secretsmanager:GetSecretValue"]);
}

#[test]
fn env_takes_back_what_it_set_without_asking_anybody() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!(stage.run(["devdb", "env", "--unset", "--shell", "bash"]));
    assert!(cloud.calls().is_empty());
}

#[test]
fn a_ca_file_that_is_not_there_is_named() {
    let (stage, _cloud) = stage();
    insta::assert_snapshot!(stage.var("DEVDB_CA_FILE", "nowhere.pem").run(["devdb", "env"]), @r"
    ------- stderr -------
    error: there is no CA file [HOME]/project/nowhere.pem

    hint: correct `ca_file` in devdb.toml, or leave it out to use the RDS bundle that devdb brings
    ------- exit 1
    ");
}

#[test]
fn env_leaves_stdout_empty_when_it_fails() {
    let (stage, cloud) = stage();
    let expired = || CloudError::ExpiredCredentials { profile: None, source: None };
    cloud.fail_action("secretsmanager:GetSecretValue", false, Arc::new(expired));
    let outcome = stage.run(["devdb", "env"]);
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 1));
    insta::assert_snapshot!(stage.run(["devdb", "env", "--only", "PGPASS"]), @r"
    ------- stderr -------
    error: `devdb env` does not set PGPASS

    hint: it sets PGHOST, PGHOSTADDR, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT
    ------- exit 2
    ");
}

#[test]
fn status_shows_every_part_even_where_one_cannot_answer() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!("status_nothing_stands", stage.run(["devdb", "status"]));
    insta::assert_snapshot!("status_json", stage.run(["devdb", "status", "--json"]));
    let denied = || CloudError::Denied { action: "ec2:DescribeInstances".to_owned(), source: None };
    cloud.fail_action("ec2:DescribeInstances", false, Arc::new(denied));
    insta::assert_snapshot!("status_denied", stage.run(["devdb", "status"]));
}

#[test]
fn down_takes_everything_down_and_twice_changes_nothing() {
    let (stage, cloud) = stage();
    assert_eq!(stage.run(["devdb", "bastion", "up"]).code, 0);
    insta::assert_snapshot!("whole_down_dry_run", stage.run(["devdb", "down", "--dry-run"]));
    assert!(!cloud.alive().is_empty());
    insta::assert_snapshot!("whole_down", stage.run(["devdb", "down"]));
    assert!(cloud.alive().is_empty());
    insta::assert_snapshot!("whole_down_again", stage.run(["devdb", "down"]));
}
