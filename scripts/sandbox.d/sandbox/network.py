"""Namespaces and links (root only).

    laptop --- link relay ("internet") --- fabric --- veth --- aws   (API and echo service)
                                              |
                                        bridge "vpc" --- db1, db2, one namespace per instance

`fabric` is the internet and the VPC's router in one: it routes, gives instances their public address by NAT
(an instance knows only its private one, as on EC2), and drops in silence what AWS would drop. There is no way
from any of these namespaces to the machine's own network.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from .processes import run, wait_until
from .world import Refused

# Sets and maps are filled by the instance agent.
FABRIC_RULES = """
table ip fabric {
    map public_to_private { type ipv4_addr : ipv4_addr; }
    map private_to_public { type ipv4_addr : ipv4_addr; }
    set public_addresses { type ipv4_addr; }
    set private_addresses { type ipv4_addr; }
    # What a VPN leads the laptop to; it comes out of the VPN's own address in the VPC.
    set routed { type ipv4_addr; flags interval; }

    chain prerouting {
        type nat hook prerouting priority dstnat;
        iifname != "vpc" dnat to ip daddr map @public_to_private
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        oifname != "vpc" snat to ip saddr map @private_to_public
        oifname "vpc" ip saddr != @routed ct original ip daddr @routed snat to VPN_ADDRESS
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        iifname "vpc" oifname "vpc" accept
        iifname { "laptop", "aws" } oifname { "laptop", "aws" } accept
        iifname "laptop" oifname "vpc" ct original ip daddr @routed accept
        # A public address that was taken away is silent at once, for old connections too.
        iifname { "laptop", "aws" } oifname "vpc" ct direction original ct original ip daddr != @public_addresses drop
        iifname { "laptop", "aws" } oifname "vpc" ct status dnat accept
        iifname "vpc" ip saddr @private_addresses accept
        ct state established,related accept
    }
    chain output {
        type filter hook output priority filter;
        # Where nothing answers, AWS is silent; a router here would say "unreachable".
        icmp type destination-unreachable drop
    }
}
"""


def ip(*arguments):
    return run("ip", *arguments)


def namespace_exists(name):
    return Path("/run/netns", name).exists()


def add_namespace(name):
    """A namespace with its own hosts file, unless it is there already."""
    files = Path("/etc/netns", name)
    files.mkdir(parents=True, exist_ok=True)
    if not (files / "hosts").exists():
        (files / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    # Nothing listens there: a name that is not in the hosts file fails at once instead of leaving the machine.
    (files / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if namespace_exists(name):
        ip("-n", name, "link", "set", "lo", "up")
        return
    ip("netns", "add", name)
    ip("-n", name, "link", "set", "lo", "up")


def set_sysctl(namespace, key, value):
    """Set a network setting of a namespace; kernels that lack it are left alone."""
    subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", "sh", "-c", f"echo {value} > /proc/sys/{key.replace('.', '/')}"],
        capture_output=True,
    )


def connect(fabric, fabric_interface, namespace, bridge=None):
    """A veth pair: FABRIC_INTERFACE in the fabric, eth0 in the namespace."""
    if not link_exists(fabric, fabric_interface):
        ip("-n", fabric, "link", "add", fabric_interface, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    if bridge:
        ip("-n", fabric, "link", "set", fabric_interface, "master", bridge)
    ip("-n", fabric, "link", "set", fabric_interface, "up")
    ip("-n", namespace, "link", "set", "eth0", "up")


def add_default_route(namespace, gateway, source=None):
    """Cubic as on a real laptop: a machine's default may be another, and a namespace inherits it."""
    for extra in (["congctl", "cubic"], []):
        command = ["ip", "-n", namespace, "route", "replace", "default", "via", gateway, *extra]
        done = subprocess.run(command + (["src", source] if source else []), capture_output=True)
        if done.returncode == 0:
            return
    raise Refused(f"no default route in {namespace}: {done.stderr.decode().strip()}")


def compiled_relay(cache):
    """Compile link_relay.c into the cache, once for each version of its source."""
    source = Path(__file__).with_name("link_relay.c")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    program = cache / f"link-relay-{digest}"
    if not program.exists():
        temporary = cache / f"link-relay-{digest}.{os.getpid()}"
        run("cc", "-O2", "-o", temporary, source)
        temporary.rename(program)
    return program


def ask_relay(world, line):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        client.connect(str(world.link_socket))
        client.sendall(line.encode() + b"\n")
        return client.recv(500).decode().strip()


def start_link(world, processes, cache, delay):
    """The laptop's link to the internet: the relay, or a plain veth where there is no /dev/net/tun."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        connect(world.fabric, "laptop", world.laptop)
        return False
    if processes.pid("link"):
        ask_relay(world, f"delay {delay}")
        return True
    command = [compiled_relay(cache), world.laptop, "eth0", world.fabric, "laptop", world.link_socket, delay]
    world.link_socket.unlink(missing_ok=True)
    processes.start("link", command)
    if not wait_until(world.link_socket.exists, 5):
        raise Refused(f"the link relay did not start: {processes.tail('link')}")
    return True


def link_exists(namespace, interface):
    shown = subprocess.run(["ip", "-n", namespace, "link", "show", interface], capture_output=True)
    return shown.returncode == 0


def address_laptop(world):
    """Addresses and route of the laptop's interface; idempotent, since a restarted relay makes a new one."""
    for address in world.laptop_addresses:
        ip("-n", world.laptop, "addr", "replace", f"{address}/24", "dev", "eth0")
    ip("-n", world.laptop, "link", "set", "eth0", "up")
    ip("-n", world.fabric, "addr", "replace", f"{world.laptop_gateway}/24", "dev", "laptop")
    ip("-n", world.fabric, "link", "set", "laptop", "up")
    # Everything goes by the default route, so a private address of the VPC is silence, not "unreachable".
    add_default_route(world.laptop, world.laptop_gateway, source=world.laptop_addresses[0])


def build(world, processes, cache, delay):
    """Make whatever is missing; returns whether the link can delay and cut by itself."""
    for name in (world.laptop, world.fabric, world.aws, *world.databases):
        add_namespace(name)
    # Every step may be repeated: an earlier `up` may have been interrupted after any of them.
    if not link_exists(world.fabric, "vpc"):
        # An address of its own: a bridge without one takes the lowest of its ports', and when an instance goes, those
        # that stay would go on sending to an address that is gone, for most of a minute.
        ip("-n", world.fabric, "link", "add", "vpc", "address", "02:00:0a:00:00:01", "type", "bridge")
    ip("-n", world.fabric, "addr", "replace", f"{world.vpc_gateway}/16", "dev", "vpc")
    ip("-n", world.fabric, "link", "set", "vpc", "up")
    set_sysctl(world.fabric, "net.ipv4.ip_forward", 1)
    # Traffic between hosts of the VPC is filtered at the hosts, not by the bridge.
    set_sysctl(world.fabric, "net.bridge.bridge-nf-call-iptables", 0)
    inside = ["nsenter", f"--net=/run/netns/{world.fabric}"]
    if subprocess.run([*inside, "nft", "list", "table", "ip", "fabric"], capture_output=True).returncode != 0:
        run(*inside, "nft", "-f", "-", input=FABRIC_RULES.replace("VPN_ADDRESS", world.vpc_gateway))
    ip("-n", world.fabric, "route", "replace", "blackhole", world.public_range)
    connect(world.fabric, "aws", world.aws)
    ip("-n", world.fabric, "addr", "replace", f"{world.aws_gateway}/24", "dev", "aws")
    for address in (world.aws_address, world.echo_address):
        ip("-n", world.aws, "addr", "replace", f"{address}/24", "dev", "eth0")
    add_default_route(world.aws, world.aws_gateway)
    for number, (namespace, address) in enumerate(zip(world.databases, world.database_addresses), start=1):
        connect(world.fabric, f"db{number}", namespace, bridge="vpc")
        ip("-n", namespace, "addr", "replace", f"{address}/16", "dev", "eth0")
        add_default_route(namespace, world.vpc_gateway)
    has_relay = start_link(world, processes, cache, delay)
    address_laptop(world)
    return has_relay


def own_namespaces(world):
    """Every namespace of this sandbox, those of instances included."""
    names = set()
    for folder in ("/run/netns", "/etc/netns"):
        path = Path(folder)
        if path.exists():
            names |= {entry.name for entry in path.iterdir() if entry.name in expected_names(world, entry.name)}
    return sorted(names)


def expected_names(world, name):
    """{name} if that is a namespace of this sandbox; another sandbox may have a name that begins like ours."""
    rest = name.removeprefix(f"{world.prefix}-")
    known = rest in ("laptop", "fabric", "aws", "db1", "db2")
    instance = len(rest) == 9 and rest[0] == "i" and all(c in "0123456789abcdef" for c in rest[1:])
    return {name} if rest != name and (known or instance) else set()


def pids_in(namespace):
    listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True)
    return [int(pid) for pid in listed.stdout.split()]


def end_all_in(name):
    """End every process of a namespace. Whoever is in a namespace that we made was started through us."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids_in(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        if wait_until(lambda: not pids_in(name), 1):
            return


def remove_namespace(name):
    end_all_in(name)
    if namespace_exists(name):
        ip("netns", "delete", name)
    shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)


def remove_all(world):
    for name in own_namespaces(world):
        remove_namespace(name)
    try:
        Path("/etc/netns").rmdir()  # only if nobody else has something there
    except OSError:
        pass
