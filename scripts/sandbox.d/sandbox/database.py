"""Aurora's stand-in: PostgreSQL with TLS for the cluster's names, and a streaming replica as the reader."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from . import network
from .processes import run, wait_until
from .world import Refused, write_private

# Durability is not what a sandbox is for; the rest is close to Aurora's defaults.
CONFIGURATION = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{socket_folder}'
unix_socket_permissions = 0700
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
password_encryption = 'scram-sha-256'
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 250
wal_level = replica
hot_standby = on
wal_keep_size = 64MB
logging_collector = off
log_connections = on
log_disconnections = on
log_line_prefix = '%m [%p] %u@%d %a '
timezone = 'UTC'
"""

# As with rds.force_ssl = 1, Aurora's default since version 15. The socket is reachable by the server's user only.
CLIENT_RULES = """
local    all          all         trust
local    replication  all         trust
hostssl  replication  replicator  {network}  scram-sha-256
hostssl  all          all         0.0.0.0/0  scram-sha-256
"""

# The master user of Aurora is no superuser; this is what it may do.
MASTER_ROLE = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'rds_superuser') then
    create role rds_superuser nologin;
    grant pg_monitor, pg_signal_backend, pg_checkpoint to rds_superuser with admin option;
    create role rds_iam nologin;
    create role rds_replication nologin;
  end if;
  if not exists (select from pg_roles where rolname = {user_text}) then
    create role {user} login createrole createdb;
    grant rds_superuser to {user};
  end if;
end $$;
alter role {user} password {password};
"""


# Not the caller's environment: its HOME has certificates and settings that the server's user may not read.
SERVER_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def binaries():
    """The newest PostgreSQL of this machine."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not folders:
        raise Refused("PostgreSQL's server programs are missing", "apt-get install postgresql")
    return folders[-1].parent


class Database:
    """One server: number 1 is the writer, 2 the reader."""

    def __init__(self, world, processes, number):
        self.world = world
        self.processes = processes
        self.label = f"db{number}"
        self.folder = world.state / self.label
        self.data = self.folder / "data"
        self.address = world.database_addresses[number - 1]
        self.namespace = world.databases[number - 1]
        self.programs = binaries()

    def as_server_user(self):
        if self.world.rootless:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]

    def inside(self):
        return [] if self.namespace is None else ["nsenter", f"--net=/run/netns/{self.namespace}"]

    def own(self, path):
        if not self.world.rootless:
            user = pwd.getpwnam("postgres")
            os.chown(path, user.pw_uid, user.pw_gid)

    def make_folder(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o755)
        (self.folder / "socket").mkdir(mode=0o700)
        for path in (self.folder, self.folder / "socket"):
            self.own(path)

    def is_made(self):
        return (self.folder / "made").exists()

    def configure(self):
        settings = CONFIGURATION.format(
            address=self.address, port=self.world.database_port, socket_folder=self.folder / "socket"
        )
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(settings)

    def install_certificate(self, label=None):
        """Its own, or that of LABEL; a server that runs shows it after its next SIGHUP."""
        for suffix, name in (("pem", "server.crt"), ("key", "server.key")):
            target = self.data / name
            shutil.copyfile(self.world.state / "tls" / f"{label or self.label}.{suffix}", target)
            target.chmod(0o600)
            self.own(target)

    def make_writer(self):
        if self.is_made():
            return
        self.make_folder()
        run(
            *self.as_server_user(), self.programs / "initdb", "-D", self.data, "-U", "postgres", "-N",
            "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", cwd="/", env=SERVER_ENVIRONMENT,
        )  # fmt: skip
        network = "127.0.0.0/8" if self.world.rootless else self.world.vpc_range
        (self.data / "pg_hba.conf").write_text(CLIENT_RULES.format(network=network))
        self.configure()
        self.install_certificate()
        (self.folder / "made").touch()

    def make_reader(self, writer):
        if self.is_made():
            return
        self.make_folder()
        run(
            *self.as_server_user(), self.programs / "pg_basebackup", "-h", writer.folder / "socket", "-U", "postgres",
            "-p", self.world.database_port, "-D", self.data, "-X", "stream", "-c", "fast", "--no-sync",
            cwd="/", env=SERVER_ENVIRONMENT,
        )  # fmt: skip
        self.configure()
        self.install_certificate()
        self.follow(writer)
        (self.folder / "made").touch()

    def follow(self, writer):
        """From its next start on this server is a replica of WRITER."""
        password = secrets.token_hex(16)
        writer.sql(
            "do $$ begin if not exists (select from pg_roles where rolname = 'replicator') then "
            "create role replicator login replication; end if; end $$;\n"
            f"alter role replicator password {literal(password)};"
        )
        source = (
            f"host={writer.address} port={self.world.database_port} user=replicator password={password} "
            f"sslmode=require application_name={self.label}"
        )
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(f"primary_conninfo = {literal(source)}\n")
        (self.data / "standby.signal").touch()
        self.own(self.data / "standby.signal")

    def is_replica(self):
        return (self.data / "standby.signal").exists()

    def promote(self):
        self.sql("select pg_promote(true, 30);")

    def start(self):
        if not self.processes.pid(self.label):
            # A server that was killed leaves children for a moment, and a lock file that names a dead process.
            if self.namespace:
                network.end_all_in(self.namespace)
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.processes.start(
            self.label,
            [*self.inside(), *self.as_server_user(), self.programs / "postgres", "-D", self.data],
            cwd="/",
            env=SERVER_ENVIRONMENT,
        )
        socket_file = self.folder / "socket" / f".s.PGSQL.{self.world.database_port}"
        ready = [str(self.programs / "pg_isready"), "-q", "-U", "postgres", "-h", str(self.folder / "socket")]
        ready += ["-p", str(self.world.database_port)]
        # A shell that did `eval "$(devdb env)"` has a PGHOSTADDR, which would win over the socket.
        is_ready = lambda: subprocess.run(ready, env=SERVER_ENVIRONMENT).returncode == 0
        answered = wait_until(lambda: not self.processes.pid(self.label) or (socket_file.exists() and is_ready()), 20)
        if not answered or not self.processes.pid(self.label):
            raise Refused(f"PostgreSQL ({self.label}) did not start:\n{self.processes.tail(self.label)}")

    def stop(self, how=signal.SIGQUIT):
        """At once, since there is nothing to keep; SIGINT says goodbye to clients and replicas first."""
        self.processes.stop(self.label, how)

    def sql(self, text, database="postgres"):
        """As the superuser, over the private socket; statements go by stdin, so no secret is in an argv."""
        return run(
            *self.as_server_user(), self.programs / "psql", "-h", self.folder / "socket", "-U", "postgres",
            "-p", self.world.database_port, "-d", database, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-f", "-",
            input=text, cwd="/", env=SERVER_ENVIRONMENT,
        )  # fmt: skip

    def set_master(self, secret):
        """Role, password and database as the stack's secret says."""
        user, name = secret["username"], secret["dbname"]
        self.sql(
            MASTER_ROLE.format(user=identifier(user), user_text=literal(user), password=literal(secret["password"]))
        )
        if not self.sql(f"select 1 from pg_database where datname = {literal(name)};").strip():
            self.sql(f"create database {identifier(name)} owner {identifier(user)};")
            self.sql(f"alter schema public owner to {identifier(user)};", database=name)


def make_certificates(world, names):
    """A CA of this sandbox's own and, for each server as in Aurora, a certificate with the cluster's names and its own."""
    folder = world.state / "tls"
    if (folder / "complete").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run(
        "openssl", "req", "-x509", *key, "-days", "30", "-subj", "/CN=devdb sandbox root CA", "-keyout",
        folder / "ca.key", "-out", folder / "ca.pem", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    for label, own_names in names.items():
        file = folder / label
        run(
            "openssl", "req", *key, "-subj", f"/CN={own_names[0]}", "-keyout", f"{file}.key", "-out", f"{file}.csr",
        )  # fmt: skip
        alternatives = ",".join(f"DNS:{name}" for name in own_names)
        write_private(folder / "extensions", f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n")
        run(
            "openssl", "x509", "-req", "-in", f"{file}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", folder / "extensions", "-out", f"{file}.pem",
        )  # fmt: skip
    shutil.copyfile(folder / "ca.pem", world.ca_file)
    world.ca_file.chmod(0o644)
    (folder / "complete").touch()
