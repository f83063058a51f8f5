//! What devdb logs in with: every shape of secret, one that was rotated meanwhile, an IAM token.

use crate::support::postgres::{Database, PASSWORD, cluster};
use devdb::testing::{FakeCloud, Outcome, Stage};
use std::sync::Arc;

const COMMITTED: &str =
    "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

fn stage(cloud: &Arc<FakeCloud>) -> Stage {
    Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(cloud)
}

fn read(secret: Option<&str>) -> Outcome {
    let cloud = Arc::new(FakeCloud::default());
    cloud.set_secret(&[secret]);
    stage(&cloud).run(["devdb", "-q", "env", "--shell", "dotenv"])
}

#[test]
fn what_a_secret_leaves_out_the_cluster_knows() {
    let logins = |secret| {
        let outcome = read(Some(secret));
        assert_eq!(outcome.code, 0, "{outcome}");
        let wanted = |line: &&str| ["PGUSER", "PGDATABASE", "PGPASSWORD"].iter().any(|name| line.starts_with(name));
        outcome.stdout.lines().filter(wanted).collect::<Vec<_>>().join(" ")
    };
    let managed = r#"{"username":"root","password":"x"}"#;
    assert_eq!(logins(managed), "PGUSER=root PGDATABASE=app PGPASSWORD=x");
    assert_eq!(logins(r#"{"password":12345,"port":99999,"more":{}}"#), "PGUSER=app PGDATABASE=app PGPASSWORD=12345");
    assert_eq!(logins("\u{feff}{\"password\":\"x\"}"), "PGUSER=app PGDATABASE=app PGPASSWORD=x");
    assert_eq!(logins("postgres://u:x@old.example:6000/d"), "PGUSER=u PGDATABASE=d PGPASSWORD=x");
    assert_eq!(logins(r#"{"password":"x","port":99999,"more":{}}"#), "PGUSER=app PGDATABASE=app PGPASSWORD=x");
    assert_eq!(logins("bare #1\n"), "PGUSER=app PGDATABASE=app PGPASSWORD='bare #1'");
    let all = r#"{"username":"u","password":"x","dbname":"d","host":"old.example","port":"6000"}"#;
    assert_eq!(logins(all), "PGUSER=u PGDATABASE=d PGPASSWORD=x");
}

#[test]
fn a_secret_that_is_none_is_named_and_never_quoted() {
    let id = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-Ab12Cd";
    for (secret, fault) in [
        (None, "is binary, and a database secret is a text"),
        (Some(""), "has no password"),
        (Some(r#"{"username":"canary"}"#), "has no password"),
        (Some("{canary"), "begins like JSON but cannot be read as a database secret (line 1, column 2)"),
        (Some("null"), "is the JSON value `null`, and not taken for a password"),
        (Some("[\"canary\"]"), "is a JSON list, and not taken for a password"),
        (
            Some(r#"{"password":1e5,"x":"canary"}"#),
            "has a number that not every program writes alike as its `password`",
        ),
        (
            Some(r#"{"password":"canary","PGPASSWORD":"x"}"#),
            "says two different things in its `password` and its `PGPASSWORD`",
        ),
        (Some("mysql://u:canary@h/d"), "holds a database address that cannot be used"),
        (Some(r#"{"password":"canary""#), "begins like JSON but cannot be read as a database secret"),
    ] {
        let outcome = read(secret);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 1), "{outcome}");
        assert!(outcome.stderr.contains(&format!("error: secret `{id}` {fault}")), "{outcome}");
        assert!(!outcome.stderr.contains("canary") && outcome.stderr.contains("\nhint: "), "{outcome}");
    }
}

#[test]
fn the_settings_name_a_secret_by_name_or_arn() {
    for id in ["team/shop", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/shop-Zz9"] {
        let cloud = Arc::new(FakeCloud::default());
        cloud.add_secret(id, r#"{"username":"team","password":"x"}"#);
        let outcome =
            stage(&cloud).var("DEVDB_SECRET", id).run(["devdb", "env", "--only", "PGUSER", "--shell", "plain"]);
        assert_eq!(outcome.stdout, "team\n", "{outcome}");
    }
    let outcome = stage(&Arc::default()).var("DEVDB_SECRET", "nowhere").run(["devdb", "env"]);
    assert!(outcome.stderr.contains("error: secret `nowhere` was not found"), "{outcome}");
}

/// A stage in front of the real server, which a tunnel on its port would lead to.
fn in_front_of_postgres(cloud: &Arc<FakeCloud>, database: &Database) -> Stage {
    cloud.set_writer_endpoint("db.example");
    let authority = std::fs::read_to_string(cluster().folder.join("ca.pem")).unwrap();
    stage(cloud)
        .file("ca.pem", &authority)
        .file("db/migrations/1_a.up.sql", "select 1;")
        .var("DEVDB_TUNNEL_WRITER_PORT", &cluster().port.to_string())
        .var("DEVDB_DATABASE", &database.name)
}

#[test]
fn a_password_that_was_rotated_in_between_is_fetched_once_more() {
    let database = Database::create();
    let secret = |password: &str| serde_json::json!({ "username": "app", "password": password }).to_string();
    let (right, old, older) = (secret(PASSWORD), secret("old"), secret("older"));
    let run = |argv: &[&str], versions: &[&str]| {
        let cloud = Arc::new(FakeCloud::default());
        cloud.set_secret(&versions.iter().copied().map(Some).collect::<Vec<_>>());
        let stage = in_front_of_postgres(&cloud, &database);
        let outcome = stage.run_all(&[&["devdb"], argv].concat());
        let fetched = cloud.calls().iter().filter(|call| **call == "secretsmanager:GetSecretValue").count();
        assert!(!outcome.stderr.contains("older") && !outcome.stderr.contains(PASSWORD), "{outcome}");
        (outcome, fetched)
    };
    for (argv, code) in [(&["migrate", "status"] as &[&str], 3), (&["schema"], 0), (&["schema", "--dump"], 0)] {
        let (outcome, fetched) = run(argv, &[&old, &right]);
        assert_eq!((outcome.code, fetched), (code, 2), "{outcome}");
        assert!(outcome.stderr.contains("certificate verified (environment dev)"), "{outcome}");
        let (outcome, fetched) = run(argv, &[&right]);
        assert_eq!((outcome.code, fetched), (code, 1), "{outcome}");
        // Once, and not for as long as it takes.
        for versions in [&[&old, &older, &right] as &[&String], &[&old]] {
            let (outcome, fetched) = run(argv, &versions.iter().map(|text| text.as_str()).collect::<Vec<_>>());
            assert_eq!((outcome.code, fetched), (1, 2), "{outcome}");
            assert!(outcome.stderr.contains("the server does not let app in"), "{outcome}");
        }
    }
}

#[test]
fn a_token_is_for_the_endpoint_itself_and_needs_no_secret() {
    let token = "appdb.cluster-abc123.eu-west-1.rds.amazonaws.com:5432/?Action=connect&DBUser=";
    for (settings, words, user) in [
        (&[("DEVDB_IAM_USER", "reader_iam")] as &[(&str, &str)], "--iam", "reader_iam"),
        (&[("DEVDB_USER", "app")], "--iam", "app"),
        (&[("DEVDB_IAM", "true"), ("DEVDB_USER", "app"), ("DEVDB_IAM_USER", "me")], "-q", "me"),
    ] {
        let cloud = Arc::new(FakeCloud::default());
        let stage = settings.iter().fold(stage(&cloud), |stage, (name, value)| stage.var(name, value));
        let shown = |name| stage.run(["devdb", "env", "--shell", "plain", words, "--only", name]).stdout;
        let outcome = stage.run(["devdb", "env", "--shell", "plain", words, "--only", "PGPASSWORD"]);
        let password = outcome.stdout.clone();
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(password.starts_with(&format!("{token}{user}&")), "{password}");
        assert_eq!((shown("PGUSER").trim_end(), shown("PGPORT").trim_end()), (user, "5432"));
        assert!(!cloud.calls().contains(&"secretsmanager:GetSecretValue"));
    }
    let outcome = stage(&Arc::default()).run(["devdb", "env", "--iam"]);
    insta::assert_snapshot!(outcome, @"
    ------- stderr -------
    error: no database user is named that IAM may log in

    hint: set `iam_user` in [environment.dev] to a user that has the role: `grant rds_iam to NAME`
    ------- exit 1
    ");
}

#[test]
fn yesterdays_variables_never_redirect_a_command() {
    let (today, yesterday) = (Database::create(), Database::create());
    yesterday.sql("create table left_behind ()");
    let cloud = Arc::new(FakeCloud::default());
    let secret = serde_json::json!({ "username": "postgres", "password": PASSWORD }).to_string();
    cloud.set_secret(&[Some(&secret)]);
    let port = cluster().port.to_string();
    let exported = [
        ("PGHOST", "127.0.0.1"),
        ("PGHOSTADDR", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "postgres"),
        ("PGPASSWORD", PASSWORD),
        ("PGDATABASE", &yesterday.name),
        ("PGSSLMODE", "disable"),
        ("DATABASE_URL", &yesterday.url()),
    ];
    let stage = in_front_of_postgres(&cloud, &today);
    let stage = exported.iter().fold(stage, |stage, (name, value)| stage.var(name, value));
    let schema = stage.run(["devdb", "schema"]);
    assert_eq!((schema.code, schema.stdout.as_str()), (0, "0 tables, 0 B\n"), "{schema}");
    assert!(schema.stderr.contains("warning: the variables name another database"), "{schema}");
    let migrated = stage.run(["devdb", "migrate", "to", "latest"]);
    assert_eq!(migrated.code, 0, "{migrated}");
    let ledger = "select count(*) from pg_tables where tablename = 'kysely_migration'";
    assert_eq!((today.sql(ledger), yesterday.sql(ledger)), ("1".to_owned(), "0".to_owned()));
    // Whoever means them says so.
    assert!(stage.run(["devdb", "schema", "--from-env"]).stdout.contains("left_behind"));
}

/// What is said when the login of this profile fails, with these files in front of it.
fn refused(profile: &'static str, config: &str, credentials: &str) -> String {
    let cloud = Arc::new(FakeCloud::default());
    let failure = move || devdb::system::CloudError::NoCredentials {
        profile: Some(profile.to_owned()),
        source: Some("initialization error already taken".into()),
    };
    cloud.fail_action("secretsmanager:GetSecretValue", false, Arc::new(failure));
    let stage = stage(&cloud).file("aws/config", config).file("aws/credentials", credentials);
    let folder = stage.project().join("aws").display().to_string();
    let stage = stage.var("AWS_CONFIG_FILE", &format!("{folder}/config"));
    let stage = stage.var("AWS_SHARED_CREDENTIALS_FILE", &format!("{folder}/credentials"));
    let outcome = stage.run(["devdb", "env"]);
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 1), "{outcome}");
    assert!(!outcome.stderr.contains("already taken"), "{outcome}");
    outcome.stderr
}

#[test]
fn a_login_that_fails_is_told_by_what_is_wrong_with_the_profile() {
    let sso = "[profile dev]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n";
    let session = "[sso-session corp]\nsso_start_url = https://x\nsso_region = eu-west-1\n";
    let role = "[profile role]\nrole_arn = r\nsource_profile = dev\n";
    for (profile, config, cause, hint) in [
        ("devv", sso.to_owned(), "there is no profile `devv` in", "did you mean `--profile dev`?"),
        ("role", role.to_owned(), "there is no profile `dev`", "`aws configure --profile dev` makes it"),
        ("dev", sso.to_owned(), "there is no [sso-session corp]", "`aws configure sso-session` makes it"),
        ("dev", format!("{sso}{session}"), "signs in by `aws sso login`", "hint: `aws sso login --profile dev`"),
        ("role", format!("{sso}{session}{role}"), "`dev` signs in by", "hint: `aws sso login --profile dev`"),
        ("a", "[profile a]\nrole_arn=r\nsource_profile=a\n".to_owned(), "in a circle: a → a", "credentials of its own"),
        ("a", "[profile a]\nlogin_session = x\n".to_owned(), "by `aws login`", "hint: `aws login --profile a`"),
        ("a", "[profile a]\ncredential_process = x\n".to_owned(), "`credential_process`", "runs that program"),
        ("a", "[profile a]\nrole_arn=r\nmfa_serial=m\nsource_profile=b\n".to_owned(), "MFA", "export-credentials"),
        ("a", "profile a]\n".to_owned(), "config:1 is neither", "correct that line"),
    ] {
        let said = refused(profile, &config, "");
        assert!(said.contains(&format!("error: no AWS credentials were found (profile `{profile}`)")), "{said}");
        assert!(said.contains(cause) && said.contains(hint), "{said}");
        assert_eq!(said.contains("aws sso login"), hint.contains("aws sso login"), "{said}");
    }
    let said = refused("keys", "", "[keys]\naws_access_key_id = a\naws_secret_access_key = canary\n");
    assert!(
        said.contains("`aws configure --profile keys` sets other access keys") && !said.contains("canary"),
        "{said}"
    );
}
