"""The facts of one sandbox: its name, where its state lies, its addresses and names."""

import json
import os
import pwd
import re
import zlib
from pathlib import Path

PROJECT = "shop"
STACK = "AppDbStack"
REGION = "eu-west-1"
ACCOUNT_PART = "abc123xyz"

SCRIPTS = Path(__file__).resolve().parent.parent  # scripts/sandbox.d

CLUSTER_ENDPOINT = f"{PROJECT}-cluster.cluster-{ACCOUNT_PART}.{REGION}.rds.amazonaws.com"
READER_ENDPOINT = f"{PROJECT}-cluster.cluster-ro-{ACCOUNT_PART}.{REGION}.rds.amazonaws.com"
# The name in the certificate that the fault `another-cluster` shows.
OTHER_CLUSTER = f"billing-cluster.cluster-{ACCOUNT_PART}.{REGION}.rds.amazonaws.com"
WRITER_INSTANCE = f"{PROJECT}-writer.{ACCOUNT_PART}.{REGION}.rds.amazonaws.com"
READER_INSTANCE = f"{PROJECT}-reader.{ACCOUNT_PART}.{REGION}.rds.amazonaws.com"


class Refused(Exception):
    """A mistake or a situation that the user can do something about."""

    def __init__(self, message, hint=None):
        super().__init__(message)
        self.hint = hint


class Owner:
    """Who runs the sandbox; with sudo that is the caller, not root."""

    def __init__(self):
        self.uid = int(os.environ.get("SUDO_UID", os.getuid()))
        self.gid = int(os.environ.get("SUDO_GID", os.getgid()))
        self.name = pwd.getpwuid(self.uid).pw_name


class World:
    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,11}", name):
            raise Refused(
                f"'{name}' is not a name for a sandbox",
                "up to 12 lower-case letters, digits and dashes",
            )
        self.name = name
        self.owner = Owner()
        self.rootless = os.geteuid() != 0
        self.base = Path(os.environ.get("DEVDB_SANDBOX_DIR") or f"/tmp/devdb-sandbox-{self.owner.uid}")
        self.state = self.base / name
        self.prefix = f"ddb-{name}"
        self.region = REGION
        self.stack = STACK
        self.project_name = PROJECT
        if self.rootless:
            self.use_loopback()
        else:
            self.use_namespaces()

    # ---- places -------------------------------------------------------------------------------

    @property
    def run(self):
        return self.state / "run"

    @property
    def log(self):
        return self.state / "log"

    @property
    def home(self):
        return self.state / "home"

    @property
    def credentials(self):
        return self.state / "credentials"

    @property
    def runtime(self):
        """The laptop's XDG_RUNTIME_DIR: a short path, for the sockets that devdb makes in it."""
        return self.state / "xdg"

    @property
    def project(self):
        return self.state / "project"

    @property
    def ca_file(self):
        return self.state / "ca.pem"

    @property
    def control_socket(self):
        return self.run / "control.sock"

    @property
    def link_socket(self):
        return self.run / "link.sock"

    @property
    def endpoints_file(self):
        return self.state / "endpoints.json"

    @property
    def vpc_hosts(self):
        """The hosts file that bastions see."""
        return self.state / "hosts.vpc"

    @property
    def laptop_hosts(self):
        """The hosts file that the developer's laptop sees."""
        if self.rootless:
            return self.state / "hosts.laptop"
        return Path("/etc/netns") / self.laptop / "hosts"

    def exists(self):
        return (self.state / "world.json").exists()

    # ---- addresses ----------------------------------------------------------------------------

    def use_namespaces(self):
        """Public addresses are from the ranges reserved for documentation; nothing is routed out of here."""
        self.laptop = f"{self.prefix}-laptop"
        self.fabric = f"{self.prefix}-fabric"
        self.aws = f"{self.prefix}-aws"
        self.databases = (f"{self.prefix}-db1", f"{self.prefix}-db2")
        self.laptop_addresses = ("198.51.100.10", "198.51.100.11")
        self.laptop_gateway = "198.51.100.1"
        self.aws_address, self.aws_port = "192.0.2.1", 5000
        self.echo_address, self.echo_port = "192.0.2.2", 80
        self.aws_gateway = "192.0.2.254"
        self.public_range = "203.0.113.0/24"
        self.vpc_range = "10.0.0.0/16"
        self.vpc_gateway = "10.0.0.1"
        self.database_addresses = ("10.0.4.10", "10.0.5.10")
        self.database_port = 5432
        self.echo_answer = None

    def use_loopback(self):
        """Each sandbox has a block 127.X.Y.0/24 of its own, chosen by its name and owner."""
        mark = zlib.crc32(f"{self.owner.uid}/{self.name}".encode())
        block = f"127.{64 + mark % 60}.{(mark >> 8) % 250}"
        self.laptop = self.fabric = self.aws = None
        self.databases = (None, None)
        self.laptop_addresses = ("127.0.0.1",)
        self.aws_address, self.aws_port = f"{block}.1", 5000
        self.echo_address, self.echo_port = f"{block}.2", 8080
        self.database_addresses = (f"{block}.4", f"{block}.5")
        self.database_port = 5432
        self.public_prefix = f"{block}."
        self.bastion_ssh_port = 20000 + mark % 10000
        # The caller's address on loopback says nothing; a public one from the documentation range does.
        self.echo_answer = "198.51.100.10"

    @property
    def aws_endpoint(self):
        return f"http://{self.aws_address}:{self.aws_port}"

    @property
    def echo_url(self):
        port = "" if self.echo_port == 80 else f":{self.echo_port}"
        return f"http://{self.echo_address}{port}/"

    @property
    def namespaces(self):
        return [n for n in (self.laptop, self.fabric, self.aws, *self.databases) if n]

    def database_names(self, failed_over=False):
        """(address, name) of every name that RDS hands out; after a failover the cluster's two have changed places."""
        first, second = self.database_addresses
        writer, reader = (second, first) if failed_over else (first, second)
        return [
            (writer, CLUSTER_ENDPOINT),
            (first, WRITER_INSTANCE),
            (reader, READER_ENDPOINT),
            (second, READER_INSTANCE),
        ]

    @property
    def names_file(self):
        """Where the agent looks for names that are not those of the start."""
        return self.state / "names.json"

    def description(self, timings=None):
        """What the AWS API and the agent are told, as world.json."""
        facts = {
            "name": self.name,
            "prefix": self.prefix,
            "state": str(self.state),
            "rootless": self.rootless,
            "region": self.region,
            "stack": self.stack,
            "project": self.project_name,
            "aws_address": self.aws_address,
            "aws_port": self.aws_port,
            "aws_endpoint": self.aws_endpoint,
            "echo_address": self.echo_address,
            "echo_port": self.echo_port,
            "echo_answer": self.echo_answer,
            "control_socket": str(self.control_socket),
            "fabric": self.fabric,
            "laptop": self.laptop,
            "databases": list(self.databases),
            "database_addresses": list(self.database_addresses),
            "database_port": self.database_port,
            "database_names": self.database_names(),
            "laptop_hosts": str(self.laptop_hosts),
            "vpc_hosts": str(self.vpc_hosts),
            "timings": timings or {},
        }
        if self.rootless:
            facts |= {
                "public_prefix": self.public_prefix,
                "ssh_port": self.bastion_ssh_port,
            }
        return facts


def write_private(path, text):
    """Write a file that only its owner may read, replacing it as a whole."""
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.rename(path)


def write_json(path, value):
    write_private(path, json.dumps(value, indent=2) + "\n")
