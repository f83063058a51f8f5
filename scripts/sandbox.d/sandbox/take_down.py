"""`sandbox down` and `sandbox status`."""

import json
import shutil
import signal
import subprocess
import time

from . import control, network
from .processes import Processes, boot_id, end_process, start_time
from .world import Refused

# The agent first, or it would bring back what is taken away.
ORDER = ("agent", "aws", "db2", "db1", "link")


def mounts_below(folder):
    with open("/proc/self/mounts") as file:
        points = [line.split()[1].replace("\\040", " ") for line in file]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def stop_instances(world):
    for record in (world.state / "instances").glob("*/process.json"):
        try:
            known = json.loads(record.read_text())
        except ValueError:
            continue
        if known["boot"] == boot_id() and start_time(known["pid"]) == known["start"]:
            end_process(known["pid"], signal.SIGKILL, 3)


def down(world):
    started = time.monotonic()
    if world.state.exists() and not world.exists() and any(world.state.iterdir()):
        raise Refused(f"{world.state} was not made by the sandbox; it is left alone")
    namespaces = [] if world.rootless else network.own_namespaces(world)
    if not world.state.exists() and not namespaces:
        print(f"sandbox '{world.name}' is not there; nothing to do")
        return
    if world.exists():
        processes = Processes(world)
        for label in (label for label in ORDER if processes.record(label)):
            processes.stop(label, signal.SIGQUIT if label.startswith("db") else signal.SIGTERM)
        stop_instances(world)
    if not world.rootless:
        network.remove_all(world)
    for point in mounts_below(world.state):
        subprocess.run(["umount", point], check=True)
    remove_state(world)
    print(f"sandbox '{world.name}' is down ({time.monotonic() - started:.1f} s)")


def remove_state(world):
    """The mark goes last, so that an interrupted `down` can be repeated."""
    if not world.state.exists():
        return
    for entry in world.state.iterdir():
        if entry.name == "world.json":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (world.state / "world.json").unlink(missing_ok=True)
    world.state.rmdir()


def remove_base(world):
    try:
        world.base.rmdir()
    except OSError:
        pass  # other sandboxes are there


def status(world):
    """Prints what runs; the answer is whether everything does."""
    if not world.exists():
        print(f"sandbox '{world.name}' is not up")
        return False
    processes = Processes(world)
    labels = {"aws": "AWS API", "agent": "instance agent", "db1": "database writer", "db2": "database reader"}
    if processes.record("link"):
        labels["link"] = "internet link"
    good = True
    print(f"sandbox '{world.name}'  {world.state}")
    for label, title in labels.items():
        pid = processes.pid(label)
        good = good and pid is not None
        print(f"  {title:<16} {'runs, pid ' + str(pid) if pid else 'does not run'}")
    if processes.pid("link"):
        words = dict(part.split("=") for part in network.ask_relay(world, "stats").split())
        cut = words["a_to_b_cut"] == "1" or words["b_to_a_cut"] == "1"
        print(f"  {'link':<16} {'CUT' if cut else 'open'}, delay {words['delay_ms']} ms each way")
    for record in sorted((world.state / "instances").glob("*/process.json")):
        known = json.loads(record.read_text())
        runs = start_time(known["pid"]) == known["start"]
        print(f"  {record.parent.name:<16} {'runs, pid ' + str(known['pid']) if runs else 'does not run'}")
    armed = [f for f in control.get(world, "faults", []) if f["count"] > 0]
    for fault in armed:
        print(f"  armed fault      {json.dumps(fault)}")
    if world.rootless:
        print("  without root: loopback addresses, security groups are NOT enforced")
    return good
