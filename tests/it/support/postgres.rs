use super::sshd::{eventually, free_port};
use devdb::connection::Connection;
use devdb::host::real_tools;
use devdb::migrate::{LedgerNames, MigrationDatabase, SessionSpec};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A throwaway cluster: scram, TLS with a certificate for `db.example`, a free port on 127.0.0.1.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
}

/// The password of `postgres`, of `app`, which may create nothing, and of `driver`.
pub(crate) const PASSWORD: &str = "p w'%/@";
pub(crate) const PASSWORD_ENCODED: &str = "p%20w%27%25%2F%40";

/// What the server keeps of that password, after one iteration instead of 4096: deriving the key again at every login
/// costs a build without optimisations 70 ms, and hundreds of tests log in.
const VERIFIER: &str = "SCRAM-SHA-256$1:c2l4dGVlbiBieXRlcyBpdA==\
                        $Gz7xYOOM1sVhqj6DOfpLTW7Y3cIOoIgXb+DyM1glRk8=:qqSLDLxdRJl9O70AaHP3EujvcCyxxQwesKM0vW1QTqY=";

/// Starts it on first use; it ends when the test binary does, however that ends.
pub(crate) fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| start("ssl=on"))
}

/// Another cluster with the same certificates at hand; it offers no TLS until it is told to. For one test at a time.
pub(crate) fn unsteady() -> MutexGuard<'static, Cluster> {
    static CLUSTER: OnceLock<Mutex<Cluster>> = OnceLock::new();
    let unsteady = CLUSTER.get_or_init(|| Mutex::new(start("ssl=off"))).lock();
    unsteady.unwrap_or_else(PoisonError::into_inner)
}

/// Another cluster, which writes its log; with `is_recovering` it never takes a session.
pub(crate) fn logging(is_recovering: bool) -> Cluster {
    let standby = if is_recovering { "\nhot_standby=off" } else { "" };
    start(&format!("ssl=on\nlogging_collector=on\nlog_directory='..'\nlog_filename='log'{standby}"))
}

impl Cluster {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Ends the recovery of one that is recovering: from now on it takes sessions.
    pub(crate) fn promote(&self) {
        run(as_server(&self.folder, &binary("pg_ctl")).arg("promote").arg("-D").arg(self.folder.join("data")));
    }

    /// Shows another certificate to whoever comes from now on; without one, offers no TLS.
    pub(crate) fn show(&self, certificate: Option<&str>) {
        let file = self.folder.join(certificate.unwrap_or("server")).with_extension("pem");
        let (file, ssl) = (file.display().to_string(), if certificate.is_some() { "on" } else { "off" });
        for (name, value) in [("ssl_cert_file", file.as_str()), ("ssl", ssl)] {
            psql(self.port, "postgres", &format!("alter system set {name} = '{value}'"));
        }
        psql(self.port, "postgres", "select pg_reload_conf()");
        let shown = "select current_setting('ssl_cert_file') || ' ' || current_setting('ssl')";
        let wanted = format!("{file} {ssl}");
        eventually("the certificate changes", Duration::from_secs(20), || {
            (psql(self.port, "postgres", shown) == wanted).then_some(())
        });
    }
}

/// One database of the cluster, for one test.
pub(crate) struct Database {
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        // A template without connections of others copies without waiting.
        psql(cluster().port, "postgres", &format!("create database {name} template template0"));
        Self { name }
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(cluster().port)
    }

    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD_ENCODED}@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    pub(crate) fn url_as(&self, user: &str) -> String {
        self.url().replace("postgres:p%", &format!("{user}:p%"))
    }

    /// Runs SQL with psql; fails loudly.
    pub(crate) fn sql(&self, sql: &str) -> String {
        psql(cluster().port, &self.name, sql)
    }

    /// Runs a script of any length with psql: in one transaction up to its end, or each statement alone, whatever becomes
    /// of the one before it. Answers with what psql has to say of it.
    pub(crate) fn script(&self, sql: &str, is_whole: bool) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), sql).unwrap();
        let mut command = psql_command(cluster().port, &self.name);
        command.args(if is_whole { &["-1"][..] } else { &["-v", "ON_ERROR_STOP=0"] }).arg("-f").arg(file.path());
        let output = command.output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// Removes it, for tests that make hundreds.
    pub(crate) fn remove(self) {
        psql(cluster().port, "postgres", &format!("drop database {} with (force)", self.name));
    }

    /// What psql tells of a relation.
    pub(crate) fn describe(&self, name: &str) -> String {
        let mut command = Command::new(binary("psql"));
        command.args(["-XA", "-h", "127.0.0.1", "-U", "postgres", "-d", &self.name, "-c", &format!("\\d+ {name}")]);
        run(command.env("PGPORT", cluster().port.to_string()).env("PGPASSWORD", PASSWORD))
    }

    /// The schema as PostgreSQL's own tool writes it.
    pub(crate) fn pg_dump(&self) -> String {
        self.dump(&["--schema-only"])
    }

    /// The same without owners and privileges, which devdb's dump leaves out.
    pub(crate) fn pg_dump_without_owners(&self) -> String {
        self.dump(&["--schema-only", "--no-owner", "--no-privileges"])
    }

    /// Everything, with the lines that only psql understands.
    pub(crate) fn pg_dump_as_it_is(&self) -> String {
        self.dump_of(&[])
    }

    fn dump_of(&self, args: &[&str]) -> String {
        let mut command = Command::new(binary("pg_dump"));
        command.args(args).args(["-h", "127.0.0.1", "-U", "postgres", "-d", &self.name]);
        run(command.env("PGPORT", cluster().port.to_string()).env("PGPASSWORD", PASSWORD))
    }

    fn dump(&self, args: &[&str]) -> String {
        // Newer releases put a random key around the dump.
        self.dump_of(args).lines().filter(|line| !line.contains("restrict ")).map(|line| format!("{line}\n")).collect()
    }

    /// Everything, rows included, as PostgreSQL's own tool writes it.
    pub(crate) fn pg_dump_with_rows(&self) -> String {
        self.dump(&[])
    }

    /// The same, without what devdb and Kysely keep for themselves.
    pub(crate) fn pg_dump_without_ledger(&self) -> String {
        self.dump(&["--exclude-table=kysely_*", "--exclude-table=devdb_*"])
    }

    /// Runs a file as `psql --single-transaction --file` does, from the folder of the file; true where it succeeds.
    pub(crate) fn psql_file(&self, file: &Path) -> bool {
        let mut command = psql_command(cluster().port, &self.name);
        command.args(["--single-transaction", "--file"]).arg(file);
        command.output().unwrap().status.success()
    }

    /// Runs SQL in a transaction that stays open until the answer is dropped.
    pub(crate) fn open_transaction(&self, sql: &str) -> OpenTransaction {
        let mut command = psql_command(cluster().port, &self.name);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "begin; {sql}; select 'held';").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "held\n");
        OpenTransaction { child, _stdin: stdin }
    }

    pub(crate) async fn session(&self) -> Box<dyn MigrationDatabase> {
        session(&Connection::from_url(&self.url(), None).unwrap(), &LedgerNames::default()).await
    }
}

/// See [`Database::open_transaction`].
pub(crate) struct OpenTransaction {
    child: Child,
    _stdin: ChildStdin,
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn session(connection: &Connection, ledger: &LedgerNames) -> Box<dyn MigrationDatabase> {
    real_tools().migration_database(connection, &spec(ledger)).await.unwrap()
}

pub(crate) fn spec(ledger: &LedgerNames) -> SessionSpec {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    SessionSpec {
        ledger: ledger.clone(),
        application_name: format!("devdb/test/{:08x}", NEXT.fetch_add(1, Ordering::Relaxed)),
        lock_timeout: Duration::from_secs(5),
    }
}

/// Waits until a query answers what is wanted.
pub(crate) fn until(database: &Database, sql: &str, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while database.sql(sql) != wanted {
        assert!(Instant::now() < deadline, "`{sql}` never answered `{wanted}`");
        std::thread::yield_now();
    }
}

fn psql_command(port: u16, database: &str) -> Command {
    let mut command = Command::new(binary("psql"));
    command
        .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", database])
        .env("PGPORT", port.to_string())
        .env("PGPASSWORD", PASSWORD);
    command
}

fn psql(port: u16, database: &str, sql: &str) -> String {
    let output = psql_command(port, database).args(["-c", sql]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn binary(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = match fs::read_dir("/usr/lib/postgresql") {
        Ok(versions) => versions.map(|version| version.unwrap().path().join("bin").join(name)).collect(),
        Err(error) => panic!("PostgreSQL is not installed (apt-get install postgresql): {error}"),
    };
    versions.retain(|path| path.is_file());
    versions.sort();
    versions
        .pop()
        .unwrap_or_else(|| panic!("there is no {name} below /usr/lib/postgresql (apt-get install postgresql)"))
}

#[expect(clippy::zombie_processes, reason = "it ends after this process, so nobody is left to wait")]
fn start(settings: &str) -> Cluster {
    let folder = tempfile::Builder::new().prefix("devdb-pg-").tempdir_in("/tmp").unwrap().keep();
    certificates(&folder);
    fs::write(folder.join("password"), PASSWORD).unwrap();
    if is_root() {
        run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&folder));
    }
    let as_server = |program: &Path| as_server(&folder, program);
    let data = folder.join("data");
    run(as_server(&binary("initdb"))
        .args(["-N", "-E", "UTF8", "--locale=C.UTF-8", "-U", "postgres", "-A", "scram-sha-256"])
        .arg("--pwfile")
        .arg(folder.join("password"))
        .arg("-D")
        .arg(&data));
    let port = free_port();
    let is_recovering = settings.contains("hot_standby=off");
    let settings = format!(
        "listen_addresses='127.0.0.1'\nport={port}\nunix_socket_directories='{folder}'\nfsync=off\nfull_page_writes=off\n\
         max_connections=200\n{settings}\nssl_cert_file='{folder}/server.pem'\nssl_key_file='{folder}/server.key'\n",
        folder = folder.display()
    );
    fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
    if is_recovering {
        run(as_server(Path::new("touch")).arg(data.join("standby.signal")));
    }
    // The shell outlives this process just long enough: its stdin closes when the test binary ends, even by SIGKILL.
    let script = "\"$@\" & read -r _; kill -INT \"$(head -n1 \"$DATA/postmaster.pid\")\"; wait; rm -rf \"$FOLDER\"";
    let server = as_server(&binary("postgres"));
    let mut watched = Command::new("sh");
    watched.args(["-c", script, "sh"]).arg(server.get_program()).args(server.get_args()).arg("-D").arg(&data);
    watched.env("DATA", &data).env("FOLDER", &folder).stdin(Stdio::piped()).stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = watched.current_dir(&folder).spawn().unwrap();
    std::mem::forget(child.stdin.take());
    let cluster = Cluster { port, folder };
    let deadline = Instant::now() + Duration::from_secs(60);
    let ready = || Command::new(binary("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status();
    // PostgreSQL documentation, "pg_isready": 0 is accepting, 1 is rejecting.
    while ready().unwrap().code() != Some(i32::from(is_recovering)) {
        assert!(child.try_wait().unwrap().is_none(), "the server ended at once");
        assert!(Instant::now() < deadline, "the server did not come up");
    }
    if is_recovering {
        return cluster;
    }
    psql(port, "postgres", &format!("alter role postgres password '{VERIFIER}'"));
    psql(port, "postgres", &format!("create role app login password '{VERIFIER}'"));
    // For PgJDBC, which refuses fewer iterations than PostgreSQL's own.
    let role = format!("create role driver login password '{}'", PASSWORD.replace('\'', "''"));
    psql(port, "postgres", &role);
    cluster
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

/// The server refuses to run as root, and owns what it reads.
fn as_server(folder: &Path, program: &Path) -> Command {
    let is_root = is_root();
    let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
    if is_root {
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    }
    command.current_dir(folder);
    command
}

/// `ca.pem` signs `server.pem` (for `db.example`) and `expired.pem`; `other-ca.pem` signs nothing, and nobody has signed
/// `self-signed.pem`, which is made as PostgreSQL's documentation does it ("Creating Certificates").
fn certificates(folder: &Path) {
    let openssl = |args: &str| {
        run(Command::new("openssl").args(args.split_whitespace()).current_dir(folder));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    fs::write(folder.join("names"), "subjectAltName=DNS:db.example\n").unwrap();
    for authority in ["ca", "other-ca"] {
        openssl(&format!("req -x509 {key} -keyout {authority}.key -out {authority}.pem -subj /CN={authority} -days 2"));
    }
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
    openssl("req -new -x509 -days 2 -nodes -key server.key -out self-signed.pem -subj /CN=db.example");
    for (file, days) in [("server.pem", "2"), ("expired.pem", "-1")] {
        openssl(&format!(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} -extfile names -out {file}"
        ));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
