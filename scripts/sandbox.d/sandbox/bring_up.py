"""`sandbox up`: makes whatever is missing, so that it can be interrupted anywhere and run again."""

import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from . import control, network, project
from .database import Database, make_certificates
from .processes import Processes, run, wait_until
from .world import (
    CLUSTER_ENDPOINT,
    OTHER_CLUSTER,
    READER_ENDPOINT,
    READER_INSTANCE,
    SCRIPTS,
    WRITER_INSTANCE,
    Refused,
    write_json,
)

SYSTEM_PYTHON = "/usr/bin/python3"


class Step:
    """Prints one line with its time when a step is done."""

    def __init__(self, title):
        self.title = title

    def __enter__(self):
        self.started = time.monotonic()

    def __exit__(self, kind, error, trace):
        if kind is None:
            print(f"  {self.title:<52} {time.monotonic() - self.started:5.1f} s", flush=True)


def cache_folder(world):
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "devdb"
    run(*as_owner(world), "mkdir", "-p", folder)
    return folder


def as_owner(world):
    """With sudo: what belongs to the caller is made by the caller."""
    if os.geteuid() == 0 and world.owner.uid != 0:
        return ["setpriv", f"--reuid={world.owner.uid}", f"--regid={world.owner.gid}", "--init-groups"]
    return []


def python_environment(world):
    """Path of the python that has moto; made on first use, one per version of the pins."""
    pins = SCRIPTS / "requirements.txt"
    version = subprocess.run([SYSTEM_PYTHON, "--version"], capture_output=True, text=True).stdout
    digest = hashlib.sha256(pins.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache_folder(world) / f"sandbox-venv-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    with Step("python packages for the API (first time only)"):
        shutil.rmtree(folder, ignore_errors=True)
        # pip must compile the packages to byte code: without that the API takes 25 s to start instead of 5.
        compiling = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        run(*as_owner(world), SYSTEM_PYTHON, "-m", "venv", folder, env=compiling)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r", pins]
        run(*as_owner(world), *pip, env=compiling)
        run(*as_owner(world), "touch", folder / "complete")
    return python


def prepare_state(world):
    """The state folder, marked as ours before anything is put into it."""
    world.base.mkdir(mode=0o755, parents=True, exist_ok=True)
    if world.base.stat().st_uid not in (os.geteuid(), world.owner.uid):
        raise Refused(f"{world.base} belongs to another user", "set DEVDB_SANDBOX_DIR to a folder of your own")
    if world.state.exists() and not world.exists() and any(world.state.iterdir()):
        raise Refused(f"{world.state} exists and was not made by the sandbox", "remove it, or choose another --name")
    world.state.mkdir(mode=0o755, exist_ok=True)
    write_json(world.state / "world.json", world.description())
    for folder in (world.run, world.log, world.home, world.runtime):
        folder.mkdir(mode=0o755, exist_ok=True)
    world.run.chmod(0o700)
    world.runtime.chmod(0o700)
    (world.state / "instances").mkdir(mode=0o700, exist_ok=True)
    if not world.vpc_hosts.exists():
        world.vpc_hosts.write_text("127.0.0.1 localhost\n")
    # What a background process of devdb finds: it is given no credentials as variables.
    world.credentials.write_text("[default]\naws_access_key_id = sandbox-ada\naws_secret_access_key = sandbox-secret\n")
    for folder in (world.home, world.runtime):
        os.chown(folder, world.owner.uid, world.owner.gid)


def check_programs(world):
    """Without root nothing can be installed: say at once what is missing."""
    if not world.rootless:
        return
    missing = [name for name in ("git", "openssl", "unshare", "setpriv") if not shutil.which(name)]
    missing += [] if os.path.exists("/usr/sbin/sshd") else ["openssh-server"]
    if missing:
        raise Refused(f"missing programs: {', '.join(missing)}", "install them, or run scripts/sandbox up as root once")
    namespaces = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "true"]
    if subprocess.run(namespaces, capture_output=True).returncode != 0:
        raise Refused(
            "this machine allows neither root nor user namespaces, so names could not be made to resolve",
            "run scripts/sandbox as root or with sudo",
        )


def start_api(world, processes, python):
    inside = [] if world.rootless else ["nsenter", f"--net=/run/netns/{world.aws}"]
    fresh = processes.start(
        "aws",
        [*inside, python, "-m", "aws_api.server", world.state / "world.json"],
        env={**clean_environment(), "HOME": str(world.home)},
        cwd=SCRIPTS,
    )
    return fresh


def clean_environment():
    """No proxy, AWS or python setting of the caller may reach the services."""
    kept = {key: os.environ[key] for key in ("LANG", "LC_ALL", "TERM") if key in os.environ}
    return {
        **kept,
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": str(SCRIPTS),
        "PYTHONUNBUFFERED": "1",
        # The repository is not a place for byte code; pip has compiled the packages at installation.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def wait_for_stack(world, processes):
    def facts():
        if not processes.pid("aws"):
            return {"error": f"the API ended:\n{processes.tail('aws')}"}
        return control.get(world, "facts", {})

    found = wait_until(facts, 60, pause=0.05)
    if not found or "error" in found:
        raise Refused((found or {}).get("error", "the API did not answer within a minute"))
    return found


def start_databases(world, processes):
    of_cluster = [CLUSTER_ENDPOINT, READER_ENDPOINT]
    certificates = {"db1": [WRITER_INSTANCE, *of_cluster], "db2": [READER_INSTANCE, *of_cluster]}
    make_certificates(world, {**certificates, "other": [OTHER_CLUSTER]})
    writer, reader = Database(world, processes, 1), Database(world, processes, 2)
    writer.make_writer()
    writer.start()
    reader.make_reader(writer)
    reader.start()
    return writer


def start_agent(world, processes, python):
    ready = world.run / "agent.ready"
    if processes.pid("agent"):
        return
    ready.unlink(missing_ok=True)
    inside = [] if world.rootless else ["nsenter", f"--net=/run/netns/{world.aws}"]
    processes.start(
        "agent",
        [*inside, python, "-m", "agent.main", world.state / "world.json"],
        env={**clean_environment(), "HOME": str(world.home)},
        cwd=SCRIPTS,
    )
    if not wait_until(lambda: ready.exists() or not processes.pid("agent"), 20) or not ready.exists():
        raise Refused(f"the instance agent did not start:\n{processes.tail('agent')}")


class InBackground(threading.Thread):
    """Runs a function beside the rest; `result()` waits for it and raises what it raised."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.function(*self.arguments)
        except BaseException as error:
            self.error = error

    def result(self):
        self.join()
        if self.error:
            raise self.error
        return self.value


def endpoints(world, processes, facts, python):
    """Machine-readable facts for tests; no secret is in it."""
    return {
        "name": world.name,
        "rootless": world.rootless,
        "aws_endpoint": world.aws_endpoint,
        "echo_url": world.echo_url,
        "region": world.region,
        "stack": world.stack,
        "vpc_id": facts["vpc_id"],
        "secret_arn": facts["secret_arn"],
        "cluster_endpoint": facts["writer_endpoint"],
        "reader_endpoint": facts["reader_endpoint"],
        "instance_endpoints": [WRITER_INSTANCE, READER_INSTANCE],
        "database_addresses": list(world.database_addresses),
        "database_port": world.database_port,
        "database": facts["secret"]["dbname"],
        "database_user": facts["secret"]["username"],
        "ca_file": str(world.ca_file),
        "project": str(world.project),
        "home": str(world.home),
        "ssh_port": world.bastion_ssh_port if world.rootless else 22,
        "laptop_addresses": list(world.laptop_addresses),
        "namespaces": {
            "laptop": world.laptop,
            "fabric": world.fabric,
            "aws": world.aws,
            "databases": list(world.databases),
        },
        # A python with boto3, for checks that talk to the API.
        "python": str(python),
        "control_socket": str(world.control_socket),
        "link_socket": str(world.link_socket) if processes.pid("link") else None,
        "pids": {label: processes.pid(label) for label in processes.labels()},
    }


def stop_stale_parts(world, processes):
    """When the API died, its instances and secret are gone too: the agent starts afresh with the new ones."""
    if not processes.pid("aws") and processes.pid("agent"):
        processes.stop("agent")


def up(world, delay):
    started = time.monotonic()
    processes = Processes(world)
    # A child that ends is reaped by whoever looks at it; nothing must be left as a zombie of this short process.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    check_programs(world)
    prepare_state(world)
    python = python_environment(world)
    stop_stale_parts(world, processes)
    if not world.rootless:
        with Step("network: laptop, internet, VPC"):
            relay = network.build(world, processes, cache_folder(world), delay)
    else:
        relay = False
    api_started = time.monotonic()
    start_api(world, processes, python)
    with Step("PostgreSQL: writer and streaming replica, TLS"):
        writer = start_databases(world, processes)
    facts = wait_for_stack(world, processes)
    print(f"  {'AWS API and stack ' + world.stack:<52} {time.monotonic() - api_started:5.1f} s", flush=True)
    with Step("master user, instance agent, demo project"):
        agent = InBackground(start_agent, world, processes, python)
        writer.set_master(facts["secret"])
        project.render(world)
        agent.result()
    write_json(world.endpoints_file, endpoints(world, processes, facts, python))
    world.endpoints_file.chmod(0o644)
    summary(world, relay, delay, time.monotonic() - started)


def summary(world, relay, delay, seconds):
    name = "" if world.name == "main" else f" --name {world.name}"
    print(f"sandbox '{world.name}' is up ({seconds:.1f} s)")
    print(f"  AWS API    {world.aws_endpoint}   region {world.region}, stack {world.stack}")
    print(f"  database   {CLUSTER_ENDPOINT}")
    print(f"  project    {world.project}")
    if world.rootless:
        print("  without root: everything is on loopback addresses; security groups are NOT enforced,")
        print("  the link cannot be cut or delayed, and sshd listens on port", world.bastion_ssh_port)
    elif relay:
        print(f"  link       {delay:g} ms each way; `scripts/sandbox fault list` shows what can go wrong")
    else:
        print("  link       plain: there is no /dev/net/tun here, so no delay; `fault cut` works")
    print(f"next: scripts/sandbox{name} shell      (or: scripts/sandbox{name} exec -- CMD …)")
