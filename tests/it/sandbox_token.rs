//! IAM tokens are botocore's, byte for byte.

use crate::support::laptop::Laptop;
use devdb::connection::TokenLogin;
use devdb::host::{AwsTarget, real_tools};
use jiff::Timestamp;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

const FILE: &str = "DEVDB_TEST_TOKENS";

fn logins(count: usize) -> Vec<(TokenLogin, Timestamp)> {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let any = (
        "[a-z0-9-]{1,20}\\.cluster-[a-z0-9]{12}\\.eu-west-1\\.rds\\.amazonaws\\.com",
        1024..=65_535_u16,
        "[a-zA-Z_][a-zA-Z0-9_$@.+%&=/ ~é日-]{0,62}",
        1_500_000_000..4_000_000_000_i64,
    );
    let any = any.prop_map(|(host, port, user, second)| {
        (TokenLogin { host, port, user }, Timestamp::from_second(second).unwrap())
    });
    (0..count).map(|_| any.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn tokens_are_botocores_with_and_without_a_session() {
    let laptop = Laptop::new();
    let session = "IQoJb3JpZ2luX2VjEPr//////////wEaCWV1LXdlc3QtMSJGMEQCIF+a/b=c==";
    for token in ["", session] {
        let file = laptop.home().join("tokens.json");
        let file = file.to_str().unwrap();
        let mut variables = vec![
            (FILE, file),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            ("AWS_REGION", "eu-west-1"),
        ];
        if !token.is_empty() {
            variables.push(("AWS_SESSION_TOKEN", token));
        }
        let signer = laptop.beside(&variables);
        signer.repeats("sandbox_token::somebody_signs");
        let compared = signer.python("tokens.py", &[file]).expect_code(0);
        assert_eq!(compared.stdout, "500 compared\n");
    }
}

/// The other half of [`tokens_are_botocores_with_and_without_a_session`]: the process with those credentials.
#[tokio::test]
async fn somebody_signs() {
    let Ok(file) = std::env::var(FILE) else { return };
    let aws = real_tools().aws(&AwsTarget { profile: None, region: None }).await.unwrap();
    let mut signed: Vec<Value> = Vec::new();
    for (login, now) in logins(500) {
        let token = aws.database_token(&login, now).await.unwrap();
        let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let TokenLogin { host, port, user } = login;
        signed.push(json!({ "host": host, "port": port, "user": user, "now": stamp, "token": token.reveal() }));
    }
    std::fs::write(file, serde_json::to_string(&signed).unwrap()).unwrap();
}

#[test]
fn env_prints_the_token_of_this_moment() {
    let laptop = Laptop::new();
    let variables = [("DEVDB_IAM_USER", "ada_iam")];
    let token = laptop.devdb_with(&variables, "env --iam --shell plain --only PGPASSWORD").expect_code(0).stdout;
    let part = |name: &str| {
        let rest = token.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("{token}")).1;
        rest.split('&').next().unwrap().to_owned()
    };
    let host = laptop.devdb("env --shell plain --only PGHOST").expect_code(0).stdout.trim().to_owned();
    assert!(token.starts_with(&format!("{host}:5432/?Action=connect&DBUser=ada_iam&")), "{token}");
    let case = json!([{
        "host": host, "port": 5432, "user": "ada_iam", "now": part("X-Amz-Date"), "token": token.trim(),
    }]);
    let file = laptop.home().join("token.json");
    std::fs::write(&file, case.to_string()).unwrap();
    laptop.python("tokens.py", &[file.to_str().unwrap()]).expect_code(0);
}
