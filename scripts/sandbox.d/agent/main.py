"""The agent's loop: python -m agent.main WORLD.json

It waits for a change of the API's state, reads it, and makes the machine look like it: hosts run, rules hold,
names resolve. While an instance is between two states it looks again every 0.2 s.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from .cloud import Cloud
from .security_groups import ruleset

BETWEEN_STATES = ("pending", "stopping", "shutting-down")
BOOT_SECONDS = 1.0


def write_in_place(path, text):
    """Hosts files are bind mounts of their inode: they must be rewritten, not replaced."""
    try:
        with open(path) as file:
            if file.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w") as file:
        file.write(text)


class Agent:
    def __init__(self, world):
        self.world = world
        self.cloud = Cloud(world)
        if world["rootless"]:
            from .loopback_host import LoopbackHost as host_class
        else:
            from .host import Host as host_class
        self.host_class = host_class
        self.hosts = {}
        self.database_rules = {}
        self.fabric_rules = None
        self.generation = -1
        self.reboots = {}
        self.adopt()

    def adopt(self):
        """Instances that an earlier agent of this sandbox left running."""
        folder = Path(self.world["state"]) / "instances"
        for entry in folder.iterdir() if folder.exists() else []:
            self.hosts[entry.name] = self.host_class(self.world, entry.name)

    # ---- one look at the world ------------------------------------------------------------------

    def look(self):
        instances = self.cloud.instances()
        groups = self.cloud.groups()
        self.follow_instances(instances)
        self.write_names(instances)
        if not self.world["rootless"]:
            self.apply_fabric(instances)
            self.apply_groups(instances, groups)
        for host in self.hosts.values():
            text = host.console()
            if text is not None:
                self.cloud.control("POST", "console", {"instance_id": host.id, "text": text})
        return any(i["State"]["Name"] in BETWEEN_STATES for i in instances.values())

    def follow_instances(self, instances):
        for host_id in [known for known in self.hosts if known not in instances]:
            self.hosts.pop(host_id).remove()
        for instance_id, instance in instances.items():
            state = instance["State"]["Name"]
            host = self.hosts.get(instance_id)
            if state == "running":
                if host is None:
                    host = self.hosts[instance_id] = self.host_class(self.world, instance_id)
                self.keep_running(host, instance)
            elif host and state in ("stopping", "stopped"):
                host.disconnect()
                host.powered_off = False
            elif host and state in ("shutting-down", "terminated"):
                self.hosts.pop(instance_id).remove()

    def keep_running(self, host, instance):
        wanted_reboots = self.reboots.get(host.id, 0)
        running = host.pid() is not None
        if running and host.reboots_seen < wanted_reboots:
            host.halt()
            running = False
        host.reboots_seen = wanted_reboots
        if running or host.powered_off:
            return
        if host.exit_reason() == "poweroff":
            self.power_off(host)
            return
        print(f"booting {host.id}", flush=True)
        host.prepare(instance, self.cloud, BOOT_SECONDS)
        host.connect(instance)
        host.boot()

    def power_off(self, host):
        """The instance switched itself off: EC2 stops or terminates it, as it was launched."""
        host.powered_off = True
        behaviour = self.cloud.shutdown_behaviour(host.id)
        print(f"{host.id} powered off: {behaviour}", flush=True)
        (host.folder / "run" / "exit-reason").unlink(missing_ok=True)
        if behaviour == "terminate":
            self.cloud.ec2.terminate_instances(InstanceIds=[host.id])
        else:
            self.cloud.ec2.stop_instances(InstanceIds=[host.id])

    # ---- names and rules ------------------------------------------------------------------------

    def write_names(self, instances):
        """RDS names are private addresses for everyone; EC2 names are private ones inside the VPC only."""
        base = ["127.0.0.1 localhost", "::1 localhost"]
        base += [f"{address} {name}" for address, name in self.database_names()]
        public, private = [], []
        for instance in instances.values():
            name = instance.get("PublicDnsName")
            if name and instance.get("PublicIpAddress"):
                public.append(f"{instance['PublicIpAddress']} {name}")
                private.append(f"{instance['PrivateIpAddress']} {name}")
        write_in_place(self.world["laptop_hosts"], "\n".join([*base, *public]) + "\n")
        write_in_place(self.world["vpc_hosts"], "\n".join([*base, *private]) + "\n")

    def database_names(self):
        """As at the start, or as they are after a failover."""
        try:
            return json.loads((Path(self.world["state"]) / "names.json").read_text())
        except FileNotFoundError:
            return self.world["database_names"]

    def apply_fabric(self, instances):
        """The public addresses in force, as NAT in the fabric."""
        from .host import apply_rules

        pairs = sorted(
            (instance["PublicIpAddress"], instance["PrivateIpAddress"])
            for instance in instances.values()
            if instance["State"]["Name"] in ("pending", "running") and instance.get("PublicIpAddress")
        )
        lines = [f"flush map ip fabric {name}" for name in ("public_to_private", "private_to_public")]
        lines += [f"flush set ip fabric {name}" for name in ("public_addresses", "private_addresses")]
        for public, private in pairs:
            lines.append(f"add element ip fabric public_to_private {{ {public} : {private} }}")
            lines.append(f"add element ip fabric private_to_public {{ {private} : {public} }}")
            lines.append(f"add element ip fabric public_addresses {{ {public} }}")
            lines.append(f"add element ip fabric private_addresses {{ {private} }}")
        text = "\n".join(lines) + "\n"
        if text != self.fabric_rules:
            apply_rules(self.world["fabric"], text)
            self.fabric_rules = text

    def apply_groups(self, instances, groups):
        from .host import apply_rules

        members = {}
        for instance in instances.values():
            if instance["State"]["Name"] == "terminated":
                continue
            for interface in instance.get("NetworkInterfaces", []):
                for group in interface.get("Groups", []):
                    members.setdefault(group["GroupId"], set()).add(interface["PrivateIpAddress"])
        for instance_id, host in self.hosts.items():
            if instance_id not in instances or not host.pid():
                continue
            ids = {g["GroupId"] for nic in instances[instance_id].get("NetworkInterfaces", []) for g in nic["Groups"]}
            host.apply_rules(ruleset([groups[i] for i in sorted(ids) if i in groups], members))
        for namespace, ids in zip(self.world["databases"], self.cloud.database_groups()):
            # The databases of a cluster reach each other whatever the groups say.
            text = ruleset([groups[i] for i in ids if i in groups], members, always=self.world["database_addresses"])
            if self.database_rules.get(namespace) != text:
                apply_rules(namespace, text)
                self.database_rules[namespace] = text

    # ---- loop -----------------------------------------------------------------------------------

    def booting(self):
        """Hosts that need a look without a change in the API: still booting, or with an exit to notice."""
        return any(host.console_sent is None for host in self.hosts.values() if host.pid())

    def run(self, ready_file):
        while True:
            try:
                between = self.look()
                ready_file.touch()
                # Hosts may switch themselves off at any time; the API does not know that, so look now and then.
                patience = 0.2 if between or self.booting() else 1.0 if self.hosts else 30.0
                seen = self.cloud.wait_for_change(self.generation, patience)
                self.generation, self.reboots = seen["generation"], seen["reboots"]
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception:
                # The API may be gone for a moment; the next look repairs what this one left.
                traceback.print_exc()
                time.sleep(0.5)


def main():
    with open(sys.argv[1]) as file:
        world = json.load(file)
    # Children are hosts that outlive this process; nobody waits for them here.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Nothing to tidy: hosts outlive the agent on purpose.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    Agent(world).run(Path(world["state"]) / "run" / "agent.ready")


if __name__ == "__main__":
    main()
