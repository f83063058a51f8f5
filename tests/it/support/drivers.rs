//! Programs that ask one question, each with a driver that people use.

use super::postgres::{Cluster, PASSWORD, cluster};
use super::readers::readers;
use devdb::connection::{ClientKind, DatabaseSecret, Endpoint, Login, SecretContent, Variable, compose, variables};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program does that has no word of its own about where and who.
pub(crate) const QUERY: &str = "select current_database() as name, ssl from pg_stat_ssl where pid = pg_backend_pid()";

pub(crate) fn psql() -> Command {
    let mut psql = Command::new("psql");
    psql.args(["-XAt", "-c", QUERY]);
    psql
}

pub(crate) fn psycopg() -> Command {
    let mut python = Command::new(readers().python());
    let script = format!("import psycopg\nwith psycopg.connect() as it: print(it.execute('{QUERY}').fetchone())");
    python.args(["-c", &script]).env("PSYCOPG_IMPL", "python");
    python
}

pub(crate) fn node_postgres() -> Command {
    let script = format!(
        "const {{Client}} = require('pg'); (async () => {{ const client = new Client(); await client.connect();
         console.log((await client.query(`{QUERY}`)).rows[0]); await client.end() }})()"
    );
    let mut node = readers().node();
    node.args(["--input-type=commonjs", "-e", &script]);
    node
}

/// Debian's package of the driver.
pub(crate) const PGJDBC: &str = "/usr/share/java/postgresql.jar";

/// A program of one file, which java compiles by itself, in this folder.
pub(crate) fn pgjdbc(folder: &Path) -> Command {
    let connect = "java.sql.DriverManager.getConnection(System.getenv(\"JDBC_DATABASE_URL\"), \
                   System.getenv(\"JDBC_DATABASE_USERNAME\"), System.getenv(\"JDBC_DATABASE_PASSWORD\"))";
    let mut java = Command::new("java");
    java.args(["-cp", PGJDBC]).arg(java_main(folder, connect));
    java
}

/// A program that connects in this way and asks [`QUERY`].
pub(crate) fn java_main(folder: &Path, connect: &str) -> PathBuf {
    let file = folder.join("Main.java");
    let program = format!(
        "public class Main {{ public static void main(String[] words) throws Exception {{\n\
         try (var connection = {connect}; var rows = connection.createStatement().executeQuery(\"{QUERY}\")) {{\n\
         rows.next(); System.out.println(rows.getString(1) + \"|\" + rows.getString(2)); }} }} }}\n"
    );
    std::fs::write(&file, program).unwrap();
    file
}

/// What node-postgres is told while the tunnel is up, which a box has none of: the cluster's own port stands for it.
pub(crate) fn node_variables(host: &str, authority: &str, user: &str, database: &str) -> Vec<Variable> {
    let Cluster { port, folder } = cluster();
    let secret = serde_json::json!({ "username": user, "password": PASSWORD }).to_string();
    let secret = DatabaseSecret::read(&SecretContent::Text(secret.into())).unwrap();
    let endpoint = Endpoint { host: host.to_owned(), port: *port, local: Some((Ipv4Addr::LOCALHOST.into(), *port)) };
    let login = Login { database: Some(database.to_owned()), ..Login::default() };
    let connection = compose(endpoint, login, secret, folder.join(authority).with_extension("pem")).unwrap();
    variables(&connection, ClientKind::Node)
}
