"""What the tunnel's benches share: devdb, and the same forward by autossh and by a plain ssh through the same bastion."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEVDB = os.environ["DEVDB_BIN"]
PORTS = {"devdb": 5432, "autossh": 6001, "ssh -fNL": 6002}
PEERS = ("autossh", "ssh -fNL")
# The quickest that ssh's manual lets one hope for with some sense.
QUICK = ["ServerAliveInterval=5", "ServerAliveCountMax=2", "ConnectTimeout=5", "ExitOnForwardFailure=yes"]


def devdb(*words):
    return json.loads(subprocess.run([DEVDB, "--json", *words], check=True, capture_output=True, text=True).stdout)


def status():
    """It exits with 3 where the tunnel is not up, and tells the same."""
    return json.loads(subprocess.run([DEVDB, "--json", "tunnel", "status"], capture_output=True, text=True).stdout)


def quietly(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def up():
    quietly(DEVDB, "up")


def down():
    quietly(DEVDB, "down")


def fault(*words):
    quietly(ROOT / "scripts/sandbox", "fault", *words)


def variables():
    """What psql needs besides the port."""
    return {name: value for name, value in devdb("env").items() if name != "PGPORT"}


def state_folder():
    return next(pathlib.Path.home().glob(".local/state/devdb/*/*/*/bastion_ssh_config")).parent


def ssh_words(local_port):
    """The forward that devdb keeps, as words for ssh."""
    config = state_folder() / "bastion_ssh_config"
    bastion = re.search(r"^Host (i-\S+)", config.read_text(), re.M)[1]
    options = [word for option in QUICK for word in ("-o", option)]
    endpoint = status()["targets"][0]["endpoint"]
    return ["-F", str(config), *options, "-L", f"127.0.0.1:{local_port}:{endpoint}", bastion]


def start_peer(name):
    command = ["autossh", "-M", "0"] if name == "autossh" else ["ssh"]
    # A fresh ssh may meet the last effects of a fault.
    for attempt in range(10):
        with tempfile.TemporaryFile("w+") as said:
            surroundings = {**os.environ, "AUTOSSH_GATETIME": "0"}
            started = subprocess.run([*command, "-fN", *ssh_words(PORTS[name])], stdout=said, stderr=said, env=surroundings)
            said.seek(0)
            if started.returncode == 0:
                return
            words = said.read()
        time.sleep(1)
    sys.exit(f"{name} does not start: {words}")


def processes(name, *programs):
    """Those that a peer consists of, autossh before its ssh."""
    forward = f"127.0.0.1:{PORTS[name]}:".encode()
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        program = words[0].rsplit(b"/", 1)[-1].decode()
        if any(word.startswith(forward) for word in words) and program in (programs or ("autossh", "ssh")):
            found.append((program, int(path.parent.name)))
    return [pid for _, pid in sorted(found)]


def end_peer(name):
    # Again and again: autossh may start another ssh in this very moment.
    for attempt in range(100):
        pids = processes(name)
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # autossh and its ssh end together
        time.sleep(0.05)
    sys.exit(f"{name} does not end: {processes(name)}")


def every_ssh_of(name):
    """While somebody works devdb has several."""
    return (status()["bastion"] or {}).get("ssh_pids", []) if name == "devdb" else processes(name, "ssh")


def background(verb):
    """Processes of devdb's tunnel: those that `supervise`, or its `watchdog`, which starts them again."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"tunnel", verb.encode()] and str(state_folder() / "tunnel.json").encode() in words:
            found.append(int(path.parent.name))
    return found


def memory(pid, key="VmRSS"):
    """In MB. RssAnon leaves out what is mapped from files, as the program itself."""
    return int(re.search(rf"^{key}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]) * 1024 / 1e6


def row(what, ours, peer, theirs, unit, more_is_better=False):
    ratio = "" if 0 in (ours, theirs) else f"{theirs / ours if not more_is_better else ours / theirs:.2f} x"
    print(f"{what}\t{ours:.3g} {unit}\t{peer}\t{theirs:.3g} {unit}\t{ratio}", flush=True)
