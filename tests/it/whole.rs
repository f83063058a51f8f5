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
fn advice_repeats_the_flags_that_chose_the_environment() {
    let cloud = Arc::new(FakeCloud::default());
    let staging = COMMITTED.replace("environment.dev", "environment.staging");
    let stage = Stage::new().file("devdb.toml", &staging).file("ca.pem", "").cloud(&cloud);
    let outcome = stage.run(["devdb", "-e", "staging", "env", "--only", "PGPORT"]);
    assert!(outcome.stderr.contains("hint: run `devdb -e staging tunnel up`"), "{outcome}");
    let outcome = stage.run(["devdb", "-e", "staging", "tunnel", "up"]);
    assert!(outcome.stderr.contains("`devdb -e staging bastion up`"), "{outcome}");
}

#[test]
fn a_file_without_an_environment_is_not_called_missing() {
    let outcome = Stage::new().file("devdb.toml", "project = \"shop\"\n").run(["devdb", "bastion", "up"]);
    insta::assert_snapshot!(outcome, @r#"
    ------- stderr -------
    error: [HOME]/project/devdb.toml describes no environment

    hint: add one: [environment.dev] with `region = "eu-west-1"` and `stack = "YourStack"`; the README has an example
    ------- exit 1
    "#);
}

#[test]
fn a_direct_route_needs_no_bastion_and_up_plans_none() {
    let (stage, cloud) = stage();
    let outcome = stage.var("DEVDB_TRANSPORT", "direct").run(["devdb", "up", "--dry-run"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(cloud.alive().is_empty() && !cloud.calls().contains(&"ec2:ImportKeyPair"));
}

#[test]
fn a_protected_environment_asks_for_its_name_however_the_database_is_named() {
    let protected = format!("{COMMITTED}kind = \"protected\"\n");
    let stage = Stage::new()
        .file("devdb.toml", &protected)
        .file("devdb.local.toml", "[environment.dev]\nkind = \"personal\"\n")
        .file("db/migrations/1.up.sql", "select 1;");
    let url = "postgres://app@127.0.0.1:1/app";
    let outcome = stage.run(["devdb", "--yes", "migrate", "to", "latest", "--database-url", url]);
    insta::assert_snapshot!(outcome, @r"
    ------- stderr -------
    error: environment dev is protected, and its name was not given

    hint: add `--confirm dev` if you mean it; `--yes` is never enough
    ------- exit 4
    ");
    let outcome = stage.run(["devdb", "--confirm", "dev", "migrate", "to", "latest", "--database-url", url]);
    assert_eq!(outcome.code, 1, "its name was given, so it is tried: {outcome}");
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
