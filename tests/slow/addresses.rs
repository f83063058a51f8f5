//! What an address or the variables mean: psql, node-postgres and devdb in front of the same server, whose certificate is
//! for another name than 127.0.0.1.

use crate::support::drivers::{QUERY, node_postgres, node_variables, psql};
use crate::support::postgres::{Database, PASSWORD, cluster};
use crate::support::readers::readers;
use devdb::testing::{FakeCloud, Stage};
use std::process::Command;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Encrypted,
    Plain,
    Refused,
}
use Met::{Encrypted, Plain, Refused};

/// Runs a program that asks [`QUERY`], with these variables and no others.
fn asked(mut program: Command, vars: &[(&str, &str)]) -> Met {
    let modules = std::ffi::OsString::from(readers().modules());
    program.env_clear().env("PATH", "/usr/bin:/bin").env("NODE_PATH", modules).envs(vars.iter().copied());
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true if ["|t", "ssl: true"].iter().any(|word| said.contains(word)) => Encrypted,
        true if ["|f", "ssl: false"].iter().any(|word| said.contains(word)) => Plain,
        true => panic!("{program:?}: {said}"),
        false => Refused,
    }
}

/// What devdb reached, and what it said.
fn devdb(words: &[&str], vars: &[(&str, &str)]) -> (Met, String) {
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;");
    let stage = vars.iter().fold(stage, |stage, (name, value)| stage.var(name, value));
    let outcome = stage.run_all(&[&["devdb", "migrate", "status"], words].concat());
    assert!(!outcome.stderr.contains(PASSWORD), "{outcome}");
    let met = match outcome.code {
        3 if outcome.stderr.contains(", encrypted, certificate not verified") => Encrypted,
        3 if outcome.stderr.contains(", not verified") => Plain,
        1 => Refused,
        _ => panic!("{outcome}"),
    };
    (met, outcome.stderr)
}

#[test]
fn each_parameter_means_what_psql_or_node_postgres_makes_of_it() {
    let (database, read_only) = (Database::create(), Database::create());
    read_only.sql(&format!("alter database {} set default_transaction_read_only = on", read_only.name));
    for (query, by_psql, by_node, by_devdb, said) in [
        ("", Encrypted, Plain, Encrypted, ""),
        ("sslmode=disable", Plain, Plain, Plain, ""),
        ("sslmode=require", Encrypted, Refused, Encrypted, ""),
        ("sslmode=no-verify", Refused, Encrypted, Encrypted, ""),
        ("ssl=no-verify", Refused, Encrypted, Encrypted, ""),
        ("ssl=true", Encrypted, Refused, Encrypted, ""),
        ("ssl=0", Refused, Plain, Plain, ""),
        ("sslmode=require&uselibpqcompat=true", Refused, Encrypted, Encrypted, ""),
        ("sslmode=require&uselibpqcompat=false", Refused, Refused, Refused, "needs sslrootcert"),
        ("sslmode=no-verify&uselibpqcompat=true", Refused, Refused, Refused, "`uselibpqcompat` and `sslmode`"),
        ("sslmode=no-verify&channel_binding=require", Refused, Encrypted, Encrypted, ""),
        ("sslmode=require&channel_binding=require", Encrypted, Refused, Encrypted, ""),
        ("sslmode=disable&channel_binding=require", Refused, Plain, Refused, "channel_binding=require is asked for"),
        ("target_session_attrs=read-write", Encrypted, Plain, Encrypted, ""),
        ("target_session_attrs=read-only", Refused, Plain, Refused, "target_session_attrs=read-only is asked for"),
        ("target_session_attrs=prefer-standby", Encrypted, Plain, Encrypted, ""),
        ("target_session_attrs=standby", Refused, Plain, Refused, "the parameter `target_session_attrs` (standby)"),
        ("gssencmode=require", Refused, Plain, Refused, "the parameter `gssencmode` (require)"),
        ("application_name=a&connect_timeout=3&keepalives=1", Encrypted, Plain, Encrypted, ""),
        ("schema=public", Refused, Plain, Refused, "the parameter `schema` (public)"),
        ("pgbouncer=true", Refused, Plain, Refused, "the parameter `pgbouncer` (true)"),
        ("options=-csearch_path%3Dx", Encrypted, Plain, Refused, "the parameter `options`"),
        ("connection_limit=5", Refused, Plain, Encrypted, ""),
        ("sslmode=verify-full", Refused, Refused, Refused, "sslmode=verify-full needs sslrootcert"),
    ] {
        let url = database.url().replace("sslmode=disable", query);
        let mut libpq = Command::new("psql");
        libpq.args(["-XAt", "-c", QUERY, &url]);
        assert_eq!(asked(libpq, &[]), by_psql, "psql: {query}");
        let script = format!(
            "const {{Client}} = require('pg'); (async () => {{ const client = new Client(process.env.ADDRESS); \
             await client.connect(); console.log((await client.query(`{QUERY}`)).rows[0]); await client.end() }})()"
        );
        let mut node = readers().node();
        node.args(["--input-type=commonjs", "--no-deprecation", "-e", &script]);
        assert_eq!(asked(node, &[("ADDRESS", &url)]), by_node, "node-postgres: {query}");
        let (met, stderr) = devdb(&["--database-url", &url], &[]);
        assert_eq!(met, by_devdb, "{query}: {stderr}");
        assert!(stderr.contains(said) && (said.is_empty() || stderr.contains("\nhint: ")), "{query}: {stderr}");
        assert_eq!(devdb(&["--from-env"], &[("DATABASE_URL", &url)]).0, by_devdb, "DATABASE_URL: {query}");
    }
    let url = read_only.url().replace("sslmode=disable", "target_session_attrs=read-write");
    let mut libpq = Command::new("psql");
    libpq.args(["-XAt", "-c", QUERY, &url]);
    assert_eq!(asked(libpq, &[]), Refused);
    let (met, stderr) = devdb(&["--database-url", &url], &[]);
    assert_eq!(met, Refused);
    assert!(
        stderr.contains("error: target_session_attrs=read-write is asked for, but the server takes no"),
        "{stderr}"
    );
}

#[test]
fn each_variable_means_what_psql_or_node_postgres_makes_of_it() {
    let database = Database::create();
    let port = cluster().port.to_string();
    let place = [
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", port.as_str()),
        ("PGUSER", "postgres"),
        ("PGPASSWORD", PASSWORD),
        ("PGDATABASE", database.name.as_str()),
    ];
    for (name, value, by_psql, by_node, by_devdb) in [
        ("PGAPPNAME", "a", Encrypted, Plain, Encrypted),
        ("PGSSLMODE", "disable", Plain, Plain, Plain),
        ("PGSSLMODE", "require", Encrypted, Refused, Encrypted),
        ("PGSSLMODE", "no-verify", Refused, Encrypted, Encrypted),
        ("PGSSLMODE", "on", Refused, Plain, Refused),
        ("PGSSLMODE", "verify-full", Refused, Refused, Refused),
        ("PGREQUIRESSL", "1", Encrypted, Plain, Encrypted),
        ("PGCHANNELBINDING", "require", Encrypted, Plain, Encrypted),
        ("PGTARGETSESSIONATTRS", "read-write", Encrypted, Plain, Encrypted),
        ("PGTARGETSESSIONATTRS", "primary", Encrypted, Plain, Refused),
        ("PGGSSENCMODE", "require", Refused, Plain, Refused),
        ("PGSERVICE", "nowhere", Refused, Plain, Refused),
        ("PGOPTIONS", "-csearch_path=x", Encrypted, Plain, Refused),
        ("PGTZ", "UTC", Encrypted, Plain, Refused),
        ("PGREQUIREPEER", "root", Encrypted, Plain, Refused),
        ("PGPASSFILE", "/nowhere", Encrypted, Plain, Encrypted),
    ] {
        let vars: Vec<_> = place.into_iter().chain([(name, value)]).collect();
        assert_eq!(asked(psql(), &vars), by_psql, "psql: {name}={value}");
        assert_eq!(asked(node_postgres(), &vars), by_node, "node-postgres: {name}={value}");
        let (met, stderr) = devdb(&["--from-env"], &vars);
        assert_eq!(met, by_devdb, "{name}={value}: {stderr}");
        if met == Refused {
            let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
            assert!(error.contains(name) && !error.contains("address"), "{error}");
            assert!(stderr.contains("\nhint: "), "{stderr}");
        }
    }
}

#[test]
fn what_is_printed_for_node_postgres_leads_devdb_to_the_same_database() {
    let database = Database::create();
    let cloud = Arc::new(FakeCloud::default());
    cloud.set_writer_endpoint("db.example");
    let secret = serde_json::json!({ "username": "postgres", "password": PASSWORD }).to_string();
    cloud.set_secret(&[Some(&secret)]);
    let stage = Stage::new()
        .file("devdb.toml", "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\n")
        .file("db/migrations/1_a.up.sql", "select 1;")
        .var("DEVDB_CA_FILE", &cluster().folder.join("ca.pem").display().to_string())
        .var("DEVDB_TUNNEL_WRITER_PORT", &cluster().port.to_string())
        .var("DEVDB_DATABASE", &database.name)
        .cloud(&cloud);
    let told = node_variables("db.example", "ca", "postgres", &database.name);
    assert!(told.iter().any(|variable| (variable.name, variable.reveal()) == ("PGSSLMODE", "no-verify")));
    let stage = told.iter().fold(stage, |stage, variable| stage.var(variable.name, variable.reveal()));
    let outcome = stage.run(["devdb", "migrate", "status", "--from-env"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    let reached = format!("database {} at 127.0.0.1:{}", database.name, cluster().port);
    assert!(outcome.stderr.contains(&reached) && outcome.stderr.contains("encrypted"), "{outcome}");
    // They lead to where the environment leads: no warning.
    let outcome = stage.run(["devdb", "migrate", "status"]);
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(!outcome.stderr.contains("another database"), "{outcome}");
}
