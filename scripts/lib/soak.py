"""Random faults against a tunnel. Exit code 1 when `status` lied, a connection was refused, or something leaked.

    soak.py SANDBOX_SCRIPT MINUTES SEED DELAY

DELAY: how long a packet takes to the bastion, in milliseconds.
"""

import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from tunnel_peers import background, state_folder

SANDBOX, MINUTES, SEED, DELAY = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
DEVDB = os.environ["DEVDB_BIN"]
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
# A tunnel that calls itself up must serve within so long.
SERVED_WITHIN = 10
# From a round trip of 40 ms on one ssh stands in reserve.
IDLE_SSH = 2 if 2 * DELAY >= 40 else 1
# After the last fault's end the tunnel must be up again within so long.
RECOVERED_WITHIN = 60

wrong = []
# When `status` was asked, and the state that it told.
told = []


def complain(text):
    line = f"{time.strftime('%H:%M:%S')} {text}"
    print(f"WRONG {line}", flush=True)
    wrong.append(line)


def devdb(*words):
    answer = subprocess.run([DEVDB, "--json", *words], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)
    except ValueError:
        return {"state": "unknown", "said": answer.stderr}


def fault(*words):
    subprocess.run([SANDBOX, "fault", *words], check=True, stdout=subprocess.DEVNULL)


def knock(limit):
    """How a driver fares that says its first word."""
    try:
        with socket.create_connection(("127.0.0.1", 5432), timeout=limit) as stream:
            stream.sendall(SSL_REQUEST)
            return "served" if stream.recv(1) == b"S" else "closed"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"


def clients(stop):
    while not stop.is_set():
        began = time.monotonic()
        outcome = knock(60)
        lasted = time.monotonic() - began
        if outcome == "refused":
            complain("a connection was refused")
        if outcome != "served" or lasted > SERVED_WITHIN:
            hold_to_its_word(began, lasted, outcome)
        stop.wait(0.2)


def hold_to_its_word(began, lasted, outcome):
    """A tunnel must not call itself up all the time while somebody waits in vain."""
    states = {state for at, state in told if began <= at <= began + max(lasted, SERVED_WITHIN)}
    if states == {"up"} and lasted > SERVED_WITHIN:
        complain(f"a connection was {outcome} after {lasted:.1f} s, and all the while the tunnel called itself up")


def watch(stop):
    while not stop.is_set():
        told.append((time.monotonic(), devdb("tunnel", "status").get("state")))
        stop.wait(0.5)


def masters():
    return (devdb("tunnel", "status").get("bastion") or {}).get("ssh_pids") or []


def signal_some(chance, number):
    """All of them, or any number of them."""
    pids = masters()
    for pid in chance.choice([pids, chance.sample(pids, chance.randint(0, len(pids)))]):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it was not needed any more


def kill_ssh(chance):
    signal_some(chance, signal.SIGKILL)


def stop_ssh(chance):
    signal_some(chance, signal.SIGSTOP)


def freeze_supervisor(chance):
    pid = devdb("tunnel", "status").get("pid")
    if pid:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(chance.uniform(1, 8))
        os.kill(pid, signal.SIGCONT)


def kill_supervisor(chance):
    """Its watchdog starts another one, which may be killed as soon as it is there."""
    global supervisor
    for _ in range(chance.choice([1, 1, 6])):
        os.kill(supervisor, signal.SIGKILL)
        end = time.monotonic() + RECOVERED_WITHIN
        while (pid := devdb("tunnel", "status").get("pid")) in (None, supervisor):
            if time.monotonic() > end:
                return complain("a killed supervisor is not back")
            time.sleep(0.05)
        supervisor = pid


def kill_watchdog(_):
    for pid in background("watchdog"):
        os.kill(pid, signal.SIGKILL)


def sleep_whole(chance):
    """As a lid that is closed: ssh and supervisor stand still together, and meanwhile a router may forget them."""
    ssh = masters()
    pids = [pid for pid in (devdb("tunnel", "status").get("pid"), *background("watchdog"), *ssh) if pid]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGSTOP)
        except ProcessLookupError:
            pass  # it was not needed any more
    if ssh and chance.random() < 0.5:
        fault("forget")
    time.sleep(chance.uniform(6, 40))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # a restart that was under way has ended it


def forget(_):
    if masters():
        fault("forget")


def failover(chance):
    fault("failover", *chance.choice([[], ["--silent"]]))
    time.sleep(chance.uniform(1, 15))
    fault("clear")


def restart(_):
    subprocess.run([DEVDB, "tunnel", "restart"], capture_output=True)


def up_many(_):
    for child in [subprocess.Popen([DEVDB, "tunnel", "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(5)]:
        child.wait()


def remove_sockets(_):
    sockets = list(pathlib.Path(os.environ["XDG_RUNTIME_DIR"], "devdb").glob("*/.ssh-*/t0"))
    if masters() and not sockets:
        complain("no socket of an ssh was found that could be removed")
    for socket in sockets:
        socket.unlink(missing_ok=True)


def remove_state(_):
    for path in state_folder().glob("tunnel.lock"):
        path.unlink(missing_ok=True)


def new_address(_):
    fault("change-address")
    time.sleep(12)
    fault("clear")


def database(chance):
    fault("database-down")
    time.sleep(chance.uniform(1, 6))
    fault("clear")


FAULTS = {
    "ssh killed": kill_ssh,
    "ssh stopped": stop_ssh,
    "supervisor frozen": freeze_supervisor,
    "watchdog killed": kill_watchdog,
    "laptop asleep": sleep_whole,
    "connection forgotten": forget,
    "writer moved, and back": failover,
    "silence": lambda chance: fault("cut", "--for", f"{chance.choice([1, 3, 8, 20, 120])}s"),
    "silence, one way": lambda chance: fault("cut", "--for", "6s", "--one-way", chance.choice(["in", "out"])),
    "sshd's sessions killed": lambda _: fault("kill-sshd"),
    "restart asked for": restart,
    "up, five times at once": up_many,
    "forward sockets deleted": remove_sockets,
    "lock deleted": remove_state,
    "another address for a while": new_address,
    "database restarted": database,
}
# In the first half alone: what a supervisor leaks is to be seen in the second.
FAULTS_OF_THE_FIRST_HALF = {**FAULTS, "supervisor killed": kill_supervisor}


def belongings(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    memory = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])
    masters = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        masters += words[0] == b"ssh" and b"-M" in words and any(f"{os.environ['XDG_RUNTIME_DIR']}/".encode() in word for word in words)
    return {"kB of its own": memory, "open files": len(os.listdir(f"/proc/{pid}/fd")), "ssh": masters}


def settle(what):
    """Waits for `up`, and then holds the tunnel to its word."""
    end = time.monotonic() + RECOVERED_WITHIN
    while (report := devdb("tunnel", "status")).get("state") != "up":
        if time.monotonic() > end:
            complain(f"after `{what}` it is not up within {RECOVERED_WITHIN} s: {json.dumps(report)[:500]}")
            return
        time.sleep(0.5)
    began = time.monotonic()
    outcome = knock(SERVED_WITHIN)
    if outcome != "served":
        complain(f"after `{what}` it says up, and a connection is {outcome} after {time.monotonic() - began:.1f} s")


def main():
    global supervisor
    chance = random.Random(SEED)
    print(f"seed {SEED}, {MINUTES:g} minutes, {DELAY:g} ms each way", flush=True)
    subprocess.run([DEVDB, "up"], check=True, stdout=subprocess.DEVNULL)
    supervisor = devdb("tunnel", "status")["pid"]
    settle("the start")
    before = belongings(supervisor)
    stop = threading.Event()
    crowd = [threading.Thread(target=clients, args=(stop,)) for _ in range(4)]
    crowd.append(threading.Thread(target=watch, args=(stop,)))
    for client in crowd:
        client.start()
    end, rounds = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < end:
        began = time.monotonic()
        faults = FAULTS_OF_THE_FIRST_HALF if began < end - MINUTES * 30 else FAULTS
        what = chance.choice(list(faults))
        faults[what](chance)
        settle(what)
        rounds += 1
        print(f"{rounds:4}  {what:30} {time.monotonic() - began:6.1f} s", flush=True)
        time.sleep(chance.uniform(0, 3))
    stop.set()
    for client in crowd:
        client.join()
    if devdb("tunnel", "status").get("pid") != supervisor:
        complain("it is another supervisor than the one that is known")
    else:
        # A link that is out of use is looked at every 20 s, for 15 s; unused ssh live on for a minute.
        time.sleep(75)
        after = belongings(supervisor)
        print(f"before {before}\nafter  {after}", flush=True)
        if after["ssh"] != IDLE_SSH or after["open files"] > before["open files"] + 8 or after["kB of its own"] > before["kB of its own"] + 8192:
            complain("something leaked")
        if [len(background(verb)) for verb in ("supervise", "watchdog")] != [1, 1]:
            complain("there is more or less than one supervisor and one watchdog")
    subprocess.run([DEVDB, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"{rounds} faults, {len(wrong)} complaints", flush=True)
    sys.exit(1 if wrong else 0)


main()
