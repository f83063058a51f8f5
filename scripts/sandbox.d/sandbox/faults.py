"""What can go wrong, on request. One function per fault; `fault list` prints the first line of its docstring."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from . import control, network
from .database import Database
from .processes import Processes, run
from .world import Refused, write_json

REGISTRY = {}


def fault(function):
    REGISTRY[function.__name__.replace("_", "-")] = function
    return function


def need_root(world):
    if world.rootless:
        raise Refused("this fault needs the sandbox with namespaces (root)", "run scripts/sandbox as root or with sudo")


def instances(world):
    """Folders of the running instances."""
    return sorted(path for path in (world.state / "instances").iterdir() if (path / "process.json").exists())


def tell_instance(folder, *words):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(folder / "run" / "init.sock"))
        client.sendall(json.dumps(words).encode() + b"\n")
        return json.loads(client.makefile().readline() or "{}")


def option(arguments, name):
    """Remove `name VALUE` from the arguments and return VALUE."""
    if name not in arguments:
        return None
    position = arguments.index(name)
    if position + 1 >= len(arguments):
        raise Refused(f"{name} needs a value")
    value = arguments[position + 1]
    del arguments[position : position + 2]
    return value


def flag(arguments, name):
    if name in arguments:
        arguments.remove(name)
        return True
    return False


def duration(text):
    """`5s`, `500ms`, `2m` or plain seconds."""
    for suffix, factor in (("ms", 0.001), ("s", 1), ("m", 60)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def no_more(arguments):
    if arguments:
        raise Refused(f"not understood: {' '.join(arguments)}", "scripts/sandbox fault list")


def block_link(world, blocked):
    """Silence both ways, without the relay's help: also works where the link is a plain veth."""
    rules = "table netdev sandbox_cut\ndelete table netdev sandbox_cut\n"
    if blocked:
        rules += (
            "table netdev sandbox_cut {\n"
            '  chain incoming { type filter hook ingress device "laptop" priority -500; policy drop; }\n'
            "}\n"
        )
    subprocess.run(["nsenter", f"--net=/run/netns/{world.fabric}", "nft", "-f", "-"], input=rules, text=True)


def set_link(world, cut, direction=""):
    if Processes(world).pid("link"):
        network.ask_relay(world, f"cut {direction}" if cut else "restore")
    else:
        block_link(world, cut)


@fault
def cut(world, arguments):
    """cut [--for 5s] [--one-way out|in]: the laptop's link goes silent; nothing is refused, nothing is closed"""
    need_root(world)
    seconds = option(arguments, "--for")
    way = option(arguments, "--one-way")
    no_more(arguments)
    if way not in (None, "out", "in"):
        raise Refused(f"--one-way is out or in, not {way}")
    set_link(world, True, {"out": "a-to-b", "in": "b-to-a", None: ""}[way])
    if seconds is None:
        print("link cut; `scripts/sandbox fault clear` restores it")
        return
    try:
        time.sleep(duration(seconds))
    finally:
        set_link(world, False)
    print(f"link was cut for {seconds}")


def change_rules(world, rules):
    subprocess.run(["nsenter", f"--net=/run/netns/{world.fabric}", "nft", "-f", "-"], input=rules, text=True, check=True)


@fault
def forget(world, arguments):
    """forget: a router forgets the laptop's ssh connections: those that stand go silent, new ones pass"""
    need_root(world)
    no_more(arguments)
    listed = run("ip", "netns", "exec", world.laptop, "ss", "-Htn", "state", "established", "dport = :22")
    ports = sorted({line.split()[2].rpartition(":")[2] for line in listed.splitlines()})
    if not ports:
        raise Refused("the laptop has no ssh connection that could be forgotten")
    change_rules(
        world,
        "table ip sandbox_forgotten {\n"
        "  set ports { type inet_service; }\n"
        "  chain flows {\n"
        "    type filter hook prerouting priority -400;\n"
        "  }\n"
        "}\n"
        "flush chain ip sandbox_forgotten flows\n"
        "add rule ip sandbox_forgotten flows tcp dport 22 tcp sport @ports drop\n"
        "add rule ip sandbox_forgotten flows tcp sport 22 tcp dport @ports drop\n"
        f"add element ip sandbox_forgotten ports {{ {', '.join(ports)} }}\n",
    )
    print(f"forgotten: the connections from port {', '.join(ports)}")


@fault
def vpn(world, arguments):
    """vpn [off]: the laptop is led into the VPC, as by a Client VPN; `off` takes the route away without a word"""
    need_root(world)
    off = flag(arguments, "off")
    no_more(arguments)
    change_rules(world, "flush set ip fabric routed\n")
    if not off:
        change_rules(world, f"add element ip fabric routed {{ {world.vpc_range} }}\n")
    print("the VPN is off" if off else f"the VPN is on; in the VPC the laptop is {world.vpc_gateway}")


def set_relay(world, what, arguments, unit):
    """Tells the relay one number, and returns it as it is to be told."""
    need_root(world)
    if len(arguments) != 1:
        raise Refused(f"{what} needs a number of {unit}")
    if not Processes(world).pid("link"):
        raise Refused(f"this machine has no /dev/net/tun, so the link has no {what} that could be changed")
    try:
        number = f"{float(arguments[0]):g}"
    except ValueError as error:
        raise Refused(f"not a number of {unit}: {arguments[0]}") from error
    network.ask_relay(world, f"{what} {number}")
    return number


@fault
def delay(world, arguments):
    """delay MS: one-way delay of the laptop's link in milliseconds (0 for none)"""
    print(f"link delay is {set_relay(world, 'delay', arguments, 'milliseconds')} ms each way")


@fault
def rate(world, arguments):
    """rate MBIT: the laptop's link carries so many megabits a second each way (0 for as many as it can)"""
    megabits = set_relay(world, "rate", arguments, "megabits a second")
    print("link carries as much as it can" if megabits == "0" else f"link carries {megabits} Mbit/s each way")


@fault
def loss(world, arguments):
    """loss PERCENT: frames lost at random on the laptop's link (0 for none)"""
    print(f"link loses {set_relay(world, 'loss', arguments, 'percent')} % of frames")


@fault
def change_address(world, arguments):
    """change-address: the laptop gets its second public address, as after a change of network"""
    need_root(world)
    no_more(arguments)
    first, second = world.laptop_addresses
    run("ip", "-n", world.laptop, "addr", "del", f"{first}/24", "dev", "eth0")
    run("ip", "-n", world.laptop, "addr", "replace", f"{second}/24", "dev", "eth0")
    network.add_default_route(world.laptop, world.laptop_gateway, source=second)
    print(f"the laptop's public address is now {second}")


@fault
def kill_sshd(world, arguments):
    """kill-sshd [--listener] [INSTANCE]: sshd's sessions die at once; with --listener port 22 stays closed too"""
    listener = flag(arguments, "--listener")
    wanted = arguments.pop(0) if arguments else None
    no_more(arguments)
    folders = [folder for folder in instances(world) if wanted in (None, folder.name)]
    if not folders:
        raise Refused("no instance runs" if wanted is None else f"instance {wanted} does not run")
    for folder in folders:
        answer = tell_instance(folder, "kill-sshd", listener)
        print(f"{folder.name}: {answer.get('out') or answer.get('err')}")


@fault
def change_host_key(world, arguments):
    """change-host-key: every instance's sshd answers with another host key; `clear` brings the old one back"""
    no_more(arguments)
    for folder in instances(world):
        tell_instance(folder, "change-host-key")
        print(f"{folder.name}: another host key answers")


BAD_BOOTS = ("no-key", "half", "stuck", "no-shell", "shell-missing", "locked", "expired", "closing")


@fault
def bad_boot(world, arguments):
    """bad-boot no-key|half|stuck|no-shell|shell-missing|locked|expired|closing: so ends the first boot of instances that start from now on"""
    kind = arguments.pop(0) if arguments else None
    no_more(arguments)
    if kind not in BAD_BOOTS:
        raise Refused(f"bad-boot is one of {', '.join(BAD_BOOTS)}, not {kind}")
    if kind not in ("no-key", "half"):
        need_root(world)
    (world.state / "bad-boot").write_text(kind)
    print(f"first boots go wrong from now on: {kind}; `clear` ends that, and mends no instance")


@fault
def database_down(world, arguments):
    """database-down: the writer's PostgreSQL stops at once; `clear` starts it again"""
    no_more(arguments)
    Processes(world).stop("db1", signal.SIGQUIT)
    print("the writer is down")


@fault
def another_cluster(world, arguments):
    """another-cluster: the writer shows another cluster's certificate to whoever connects from now on"""
    no_more(arguments)
    show_certificate(world, "other")
    print("another cluster answers behind the endpoint")


def show_certificate(world, label=None):
    Database(world, Processes(world), 1).install_certificate(label)
    os.kill(Processes(world).pid("db1"), signal.SIGHUP)


@fault
def failover(world, arguments):
    """failover [--silent]: the reader becomes the writer; the old writer is its reader, or with --silent gone mute"""
    silent = flag(arguments, "--silent")
    no_more(arguments)
    if silent:
        need_root(world)
    first, second = (Database(world, Processes(world), number) for number in (1, 2))
    if not second.is_replica():
        raise Refused("the failover has been made already", "scripts/sandbox fault clear")
    if silent:
        run("ip", "-n", world.fabric, "link", "set", "db1", "down")
    else:
        first.stop(signal.SIGINT)
    second.promote()
    write_json(world.names_file, world.database_names(failed_over=True))
    if not silent:
        first.follow(second)
        first.start()
    print(f"the writer is {second.label} now; the old one is {'mute' if silent else 'its reader'}")


def undo_failover(world):
    """The old roles; what was written meanwhile is lost."""
    first, second = (Database(world, Processes(world), number) for number in (1, 2))
    if second.is_replica():
        return
    if not world.rootless:
        run("ip", "-n", world.fabric, "link", "set", "db1", "up")
    second.stop()
    if first.is_replica():
        first.start()
        first.promote()
    first.start()
    (second.folder / "made").unlink()
    second.make_reader(first)
    second.start()
    world.names_file.unlink(missing_ok=True)


@fault
def api(world, arguments):
    """api JSON: fail AWS calls, e.g. '{"action":"RunInstances","code":"RequestLimitExceeded","status":503,"count":2}'"""
    if len(arguments) != 1:
        raise Refused("api needs one JSON object; its keys are described in aws_api/middleware.py")
    try:
        wanted = json.loads(arguments[0])
    except ValueError as error:
        raise Refused(f"not JSON: {error}") from error
    control.post(world, "faults", wanted)
    print(f"armed: {arguments[0]}")


def clear(world):
    """Undo every fault."""
    (world.state / "bad-boot").unlink(missing_ok=True)
    if not world.rootless:
        if Processes(world).pid("link"):
            for line in ("restore", f"delay {usual_delay(world)}", "loss 0", "rate 0"):
                network.ask_relay(world, line)
        block_link(world, False)
        change_rules(world, "flush set ip fabric routed\nadd table ip sandbox_forgotten\ndelete table ip sandbox_forgotten\n")
        network.address_laptop(world)
    for folder in instances(world):
        try:
            tell_instance(folder, "restore-sshd")
        except OSError:
            pass  # the instance is going down
    if (world.state / "db1" / "made").exists():
        if (world.state / "db2" / "made").exists():
            undo_failover(world)
        Database(world, Processes(world), 1).start()
        show_certificate(world)
    control.post(world, "forget")
    print("all faults cleared")


def usual_delay(world):
    """The delay that `up` was asked for."""
    try:
        return json.loads((world.state / "up.json").read_text())["delay"]
    except (FileNotFoundError, ValueError, KeyError):
        return 0


def print_list():
    for function in REGISTRY.values():
        usage, _, meaning = function.__doc__.strip().splitlines()[0].partition(": ")
        print(f"  {usage}\n      {meaning}")
    print("  clear\n      undo every fault")


def command(world, arguments):
    if not arguments or arguments[0] == "list":
        print_list()
        return
    if not world.exists():
        raise Refused(f"sandbox '{world.name}' is not up", "scripts/sandbox up")
    name, *rest = arguments
    if name in ("clear", "restore"):
        clear(world)
    elif name in REGISTRY:
        REGISTRY[name](world, rest)
    else:
        print_list()
        raise Refused(f"there is no fault named '{name}'")
    sys.stdout.flush()
