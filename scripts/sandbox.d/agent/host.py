"""One EC2 instance as a thing that runs: namespace, private root, processes (root only)."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.network import add_default_route, add_namespace, connect, link_exists, remove_namespace, set_sysctl
from sandbox.processes import boot_id, end_process, start_time

from . import user_data

SYSTEM_PYTHON = "/usr/bin/python3"


class Host:
    def __init__(self, world, instance_id):
        self.world = world
        self.id = instance_id
        self.folder = Path(world["state"]) / "instances" / instance_id
        self.short = instance_id.removeprefix("i-")[:8]
        self.namespace = f"{world['prefix']}-i{self.short}"
        self.rules = None
        self.console_sent = None
        self.powered_off = False
        self.reboots_seen = 0

    # ---- process --------------------------------------------------------------------------------

    @property
    def record_path(self):
        return self.folder / "process.json"

    def pid(self):
        try:
            record = json.loads(self.record_path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        if record["boot"] != boot_id() or start_time(record["pid"]) != record["start"]:
            return None
        return record["pid"]

    def exit_reason(self):
        try:
            return (self.folder / "run" / "exit-reason").read_text()
        except FileNotFoundError:
            return None

    def prepare(self, instance, cloud, boot_seconds):
        """Write what the instance's first process needs to know."""
        (self.folder / "run").mkdir(parents=True, exist_ok=True)
        for leftover in ("exit-reason", "finished"):
            (self.folder / "run" / leftover).unlink(missing_ok=True)
        known = self.folder / "instance.json"
        if known.exists():
            facts = json.loads(known.read_text())
        else:
            facts = {
                "user_data": user_data.parse(cloud.user_data(self.id)),
                "login_key": cloud.public_key(instance.get("KeyName")),
                "bad_boot": self.bad_boot(),
            }
        facts |= {
            "instance_id": self.id,
            "host_name": "ip-" + instance["PrivateIpAddress"].replace(".", "-"),
            "hosts_file": self.world["vpc_hosts"],
            "boot_seconds": boot_seconds,
        }
        # The user data holds a private host key.
        descriptor = os.open(known, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file)

    def bad_boot(self):
        """What the fault `bad-boot` wants to go wrong at the first boot."""
        try:
            return (Path(self.world["state"]) / "bad-boot").read_text().strip()
        except FileNotFoundError:
            return None

    def connect(self, instance):
        add_namespace(self.namespace)
        if not link_exists(self.world["fabric"], f"i{self.short}"):
            connect(self.world["fabric"], f"i{self.short}", self.namespace, bridge="vpc")
            address = instance["PrivateIpAddress"]
            # The interface's own hardware address, so that neighbours need not learn a new one after stop and start.
            hardware = instance["NetworkInterfaces"][0]["MacAddress"]
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "eth0", "address", hardware], check=True)
            subprocess.run(["ip", "-n", self.namespace, "addr", "add", f"{address}/16", "dev", "eth0"], check=True)
            # An earlier instance may have had this private address.
            for neighbour in (self.world["fabric"], *self.world["databases"]):
                subprocess.run(["ip", "-n", neighbour, "neigh", "flush", "to", address], check=True)
            add_default_route(self.namespace, "10.0.0.1")
            # A packet in the middle of a forgotten connection must not start a new one.
            set_sysctl(self.namespace, "net.netfilter.nf_conntrack_tcp_loose", 0)
            set_sysctl(self.namespace, "net.ipv4.tcp_congestion_control", "cubic")

    def namespaces(self):
        """The command that puts what follows into namespaces of its own."""
        return [
            "nsenter", f"--net=/run/netns/{self.namespace}",
            "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL", "--uts", "--ipc",
        ]  # fmt: skip

    def boot(self):
        command = [*self.namespaces(), SYSTEM_PYTHON, "-m", "agent.instance_init", str(self.folder)]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with open(self.folder / "init.log", "ab") as log:
            child = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        record = {"pid": child.pid, "start": start_time(child.pid), "boot": boot_id()}
        self.record_path.write_text(json.dumps(record))
        self.console_sent = None

    def halt(self):
        """Power cut: the first process dies and the kernel ends the rest."""
        pid = self.pid()
        if pid:
            end_process(pid, signal.SIGKILL, 3)
        self.record_path.unlink(missing_ok=True)

    def disconnect(self):
        self.halt()
        # A namespace lives on for a while after its deletion, and would answer for an address that the next instance has.
        if link_exists(self.world["fabric"], f"i{self.short}"):
            subprocess.run(["ip", "-n", self.world["fabric"], "link", "delete", f"i{self.short}"], check=True)
        remove_namespace(self.namespace)
        self.rules = None

    def remove(self):
        self.disconnect()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- network --------------------------------------------------------------------------------

    def apply_rules(self, text):
        if text != self.rules:
            apply_rules(self.namespace, text)
            self.rules = text

    def console(self):
        """The console's text once the boot has finished and it has something new; else None."""
        if not (self.folder / "run" / "finished").exists():
            return None
        text = (self.folder / "console.log").read_text(errors="replace")[-65536:]
        if text == self.console_sent:
            return None
        self.console_sent = text
        return text


def apply_rules(namespace, text):
    """Replace a namespace's rules in one step."""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", "nft", "-f", "-"], input=text, text=True, capture_output=True
    )
    if done.returncode != 0:
        print(f"nft in {namespace}: {done.stderr}\n{text}", file=sys.stderr, flush=True)
