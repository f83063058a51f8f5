//! A real pgbouncer in front of the tests' PostgreSQL.

use super::postgres::{Database, PASSWORD};
use super::sshd::eventually;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// It ends when it is dropped.
pub(crate) struct Pgbouncer {
    pub(crate) port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

/// A client that has short transactions one after the other, until it is dropped.
pub(crate) struct BusyClient(Child);

impl Pgbouncer {
    /// `mode` is `session` or `transaction`; `servers` how many sessions it may have with PostgreSQL for each database.
    pub(crate) fn start(server: u16, mode: &str, servers: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("devdb-pgbouncer-").tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("users"), format!("\"postgres\" \"{PASSWORD}\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = {servers}\nserver_idle_timeout = 5\n",
            path("users").display()
        );
        fs::write(path("settings.ini"), settings).unwrap();
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = Command::new("/usr/sbin/pgbouncer");
        if is_root {
            // It refuses to run as root.
            let owned = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder.path()).status().unwrap();
            assert!(owned.success());
            command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", "/usr/sbin/pgbouncer"]);
        }
        command.arg("-q").arg(path("settings.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let pooler = Self { port, child, _folder: folder };
        eventually("pgbouncer's port", Duration::from_secs(20), || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_| ())
        });
        pooler
    }

    pub(crate) fn busy_client(&self, database: &Database) -> BusyClient {
        let mut command = Command::new("psql");
        command.args(["-XAtq", "-h", "127.0.0.1", "-U", "postgres", "-d", &database.name]).env("PGPASSWORD", PASSWORD);
        command.env("PGPORT", self.port.to_string()).env("PGSSLMODE", "disable");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // A minute of them, at the most.
        let transactions = "begin; select pg_sleep(0.003); commit;\n".repeat(20_000);
        let mut stdin = child.stdin.take().unwrap();
        std::thread::spawn(move || stdin.write_all(transactions.as_bytes()));
        BusyClient(child)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for BusyClient {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
