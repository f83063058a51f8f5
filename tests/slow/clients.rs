//! Real drivers with exactly what `devdb env` printed for them, in front of the real server: psql, psycopg, node-postgres
//! and PgJDBC, the templates for the last two, and how each refuses a wrong certificate.

use crate::support::drivers::{PGJDBC, QUERY, java_main, node_postgres, node_variables, pgjdbc, psql, psycopg};
use crate::support::postgres::{Cluster, Database, PASSWORD, cluster};
use crate::support::readers::readers;
use devdb::connection::{ShellKind, render};
use devdb::testing::{FakeCloud, Outcome, Stage};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// A home of its own, and a database behind what looks like a tunnel.
struct Place {
    home: tempfile::TempDir,
    database: Database,
}

impl Place {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), database: Database::create() }
    }

    /// What `devdb env` prints for this endpoint and this authority.
    fn printed(&self, host: &str, authority: &str, route: &str, client: &str) -> Outcome {
        let Cluster { port, folder } = cluster();
        let cloud = Arc::new(FakeCloud::default());
        cloud.set_writer_endpoint(host);
        cloud.set_port(*port);
        cloud.set_secret(&[Some(&serde_json::json!({ "username": "driver", "password": PASSWORD }).to_string())]);
        Stage::new()
            .file(
                "devdb.toml",
                "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\n",
            )
            .var("DEVDB_CA_FILE", &folder.join(authority).with_extension("pem").display().to_string())
            .var("DEVDB_TRANSPORT", route)
            .var("DEVDB_TUNNEL_WRITER_PORT", &port.to_string())
            .var("DEVDB_DATABASE", &self.database.name)
            .cloud(&cloud)
            .run(["devdb", "-q", "env", "--shell", "bash", "--client", client])
    }

    /// Runs `eval "$(devdb env --client …)"`, then the program.
    fn run(&self, host: &str, authority: &str, route: &str, client: &str, program: &Command) -> Output {
        let printed = if (client, route) == ("node", "ssh") {
            let variables = node_variables(host, authority, "driver", &self.database.name);
            render(&variables, &[], ShellKind::Bash).unwrap()
        } else {
            let printed = self.printed(host, authority, route, client);
            assert_eq!(printed.code, 0, "{printed}");
            printed.stdout
        };
        std::fs::write(self.home.path().join("printed"), printed).unwrap();
        let mut shell = Command::new("bash");
        shell.args(["--norc", "-c", "eval \"$(cat printed)\"; exec \"$@\"", "bash"]).arg(program.get_program());
        shell.args(program.get_args()).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(self.home.path()).stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    fn reaches(&self, client: &str, program: &Command) {
        let output = self.run("db.example", "ca", "ssh", client, program);
        let shown = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && shown.contains(&self.database.name) && said.is_empty(), "{shown}{said}");
        let is_encrypted = ["True", "ssl: true", "|t"].iter().any(|word| shown.contains(word));
        assert!(is_encrypted, "not encrypted: {shown}");
    }

    #[track_caller]
    fn is_refused(&self, host: &str, authority: &str, route: &str, client: &str, program: &Command, why: &str) {
        let output = self.run(host, authority, route, client, program);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why) && !said.contains(PASSWORD), "{said}");
    }
}

#[test]
fn psql_verifies_the_certificate_through_the_tunnel() {
    let place = Place::new();
    place.reaches("libpq", &psql());
    place.is_refused("other.example", "ca", "ssh", "libpq", &psql(), "does not match host name \"other.example\"");
    place.is_refused("db.example", "other-ca", "ssh", "libpq", &psql(), "certificate verify failed");
}

#[test]
fn psycopg_verifies_the_certificate_through_the_tunnel() {
    let place = Place::new();
    place.reaches("libpq", &psycopg());
    place.is_refused("other.example", "ca", "ssh", "libpq", &psycopg(), "does not match host name");
    place.is_refused("db.example", "other-ca", "ssh", "libpq", &psycopg(), "certificate verify failed");
}

/// No variable tells node-postgres another name than that of the address it dials; without a tunnel it verifies.
#[test]
fn node_postgres_is_told_what_it_understands() {
    let place = Place::new();
    place.reaches("node", &node_postgres());
    let refused = place.printed("db.example", "ca", "ssh", "node");
    assert!(refused.code == 4 && refused.stdout.is_empty(), "this port is PostgreSQL's own: {refused}");
    let elsewhere = "does not match certificate's altnames";
    place.is_refused("localhost", "ca", "direct", "node", &node_postgres(), elsewhere);
    let untrusted = "unable to verify the first certificate";
    place.is_refused("localhost", "other-ca", "direct", "node", &node_postgres(), untrusted);
}

/// PgJDBC verifies the authority through a tunnel, and without one the name as well.
#[test]
fn pgjdbc_is_told_what_it_understands() {
    let place = Place::new();
    let java = pgjdbc(place.home.path());
    place.reaches("jdbc", &java);
    let untrusted = "PKIX path building failed";
    place.is_refused("db.example", "other-ca", "ssh", "jdbc", &java, untrusted);
    place.is_refused("localhost", "other-ca", "direct", "jdbc", &java, untrusted);
    let elsewhere = "The hostname localhost could not be verified";
    place.is_refused("localhost", "ca", "direct", "jdbc", &java, elsewhere);
}

fn template(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(name)
}

#[test]
fn the_template_for_node_postgres_verifies_the_name_too() {
    let place = Place::new();
    let home = place.home.path();
    // There are no types in it, so that any node reads it; imports look for modules beside the file.
    std::fs::copy(template("node-postgres.ts"), home.join("pool.mjs")).unwrap();
    std::os::unix::fs::symlink(readers().modules(), home.join("node_modules")).unwrap();
    let script = format!(
        "import {{pool}} from './pool.mjs'; console.log((await pool.query(`{QUERY}`)).rows[0]); await pool.end()"
    );
    std::fs::write(home.join("main.mjs"), script).unwrap();
    let mut main = Command::new("node");
    main.arg("main.mjs");
    place.reaches("libpq", &main);
    place.is_refused("other.example", "ca", "ssh", "libpq", &main, "does not match certificate's altnames");
    place.is_refused("db.example", "other-ca", "ssh", "libpq", &main, "unable to verify the first certificate");
}

#[test]
fn the_template_for_pgjdbc_verifies_the_name_too() {
    let place = Place::new();
    let home = place.home.path();
    java_main(home, "TunnelDatabase.connect()");
    std::fs::copy(template("TunnelDatabase.java"), home.join("TunnelDatabase.java")).unwrap();
    let mut compiler = Command::new("javac");
    compiler.args(["-Xlint:all", "-Werror", "-cp", PGJDBC, "Main.java", "TunnelDatabase.java"]).current_dir(home);
    let compiled = compiler.output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stdout));
    let mut java = Command::new("java");
    java.args(["-cp", &format!("{PGJDBC}:."), "Main"]);
    place.reaches("libpq", &java);
    let elsewhere = "could not be verified by hostnameverifier TunnelDatabase";
    place.is_refused("other.example", "ca", "ssh", "libpq", &java, elsewhere);
    place.is_refused("db.example", "other-ca", "ssh", "libpq", &java, "PKIX path building failed");
}
