//! Real drivers with exactly what devdb hands them: psycopg, node-postgres, and the template for it.

use crate::support::postgres::{Cluster, PASSWORD, cluster};
use crate::support::readers::readers;
use crate::wrap::Desk;
use std::process::{Command, Output};

/// What a program made with libpq, or with node-postgres, does without a word about where and who.
const PSYCOPG: &str = "import psycopg
with psycopg.connect() as connection:
    print(connection.execute('select current_database(), ssl from pg_stat_ssl where pid = pg_backend_pid()').fetchone())";
const QUERY: &str = "select current_database() as name, ssl from pg_stat_ssl where pid = pg_backend_pid()";

fn devdb(desk: &Desk, options: &[&str], program: &Command) -> Output {
    let mut words = vec!["-q", "exec"];
    words.extend(options);
    words.push("--");
    let mut command = desk.command(&words);
    command.arg(program.get_program()).args(program.get_args());
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.output().unwrap()
}

#[track_caller]
fn assert_reached(desk: &Desk, output: &Output) {
    let shown = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && shown.contains(&desk.database.name) && said.is_empty(), "{shown}{said}");
    assert!(shown.contains("True") || shown.contains("ssl: true"), "not encrypted: {shown}");
}

#[track_caller]
fn assert_refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why) && !said.contains(PASSWORD), "{said}");
}

/// An address whose certificate is for somebody else, or signed by nobody who is trusted.
fn with(desk: &Desk, host: &str, authority: &str) -> String {
    let Cluster { folder, .. } = cluster();
    let trusted = folder.join("ca.pem").display().to_string();
    let other = folder.join(authority).with_extension("pem").display().to_string();
    desk.url().replace("db.example", host).replace(&trusted, &other)
}

fn psycopg() -> Command {
    let mut python = Command::new(readers().python());
    python.args(["-c", PSYCOPG]).env("PSYCOPG_IMPL", "python");
    python
}

fn node(script: &str) -> Command {
    let mut node = readers().node();
    node.args(["--input-type=commonjs", "-e", script]);
    node
}

#[test]
fn psycopg_verifies_the_certificate_through_the_tunnel() {
    let desk = Desk::new();
    assert_reached(&desk, &devdb(&desk, &[], &psycopg()));
    let elsewhere = with(&desk, "other.example", "ca");
    assert_refused(&devdb(&desk, &["--database-url", &elsewhere], &psycopg()), "does not match host name");
    let untrusted = with(&desk, "db.example", "other-ca");
    assert_refused(&devdb(&desk, &["--database-url", &untrusted], &psycopg()), "certificate verify failed");
}

#[test]
fn node_postgres_is_told_what_it_understands() {
    let desk = Desk::new();
    let script = format!(
        "const {{Client}} = require('pg'); (async () => {{ const client = new Client(); await client.connect();
         console.log((await client.query(`{QUERY}`)).rows[0]); await client.end() }})()"
    );
    assert_reached(&desk, &devdb(&desk, &["--client", "node"], &node(&script)));
}

#[test]
fn the_template_for_node_postgres_verifies_the_name_too() {
    let desk = Desk::new();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/node-postgres.ts");
    // There are no types in it, so that any node reads it; imports look for modules beside the file.
    std::fs::copy(template, desk.home().join("pool.mjs")).unwrap();
    std::os::unix::fs::symlink(readers().modules(), desk.home().join("node_modules")).unwrap();
    let script = format!(
        "import {{pool}} from './pool.mjs'; console.log((await pool.query(`{QUERY}`)).rows[0]); await pool.end()"
    );
    std::fs::write(desk.home().join("main.mjs"), script).unwrap();
    let mut main = Command::new("node");
    main.arg("main.mjs");
    assert_reached(&desk, &devdb(&desk, &[], &main));
    let elsewhere = with(&desk, "other.example", "ca");
    assert_refused(&devdb(&desk, &["--database-url", &elsewhere], &main), "does not match certificate's altnames");
    let untrusted = with(&desk, "db.example", "other-ca");
    assert_refused(&devdb(&desk, &["--database-url", &untrusted], &main), "unable to verify the first certificate");
}
