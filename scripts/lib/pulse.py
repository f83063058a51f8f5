"""A loop of psql through a local port: four a second, each with a connection of its own. Writes down how each ended:
began, ended, outcome.

    pulse.py PORT STOP_FILE

What psql needs besides the port is in its variables (`devdb exec -- pulse.py …`). Ends, when every psql has ended, after
STOP_FILE appears.
"""

import os
import subprocess
import sys
import threading
import time

PAUSE = 0.25
PATIENCE = 45


def ask(environment):
    try:
        psql = subprocess.run(
            ["psql", "-XAtqc", "select 1"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return "silent"
    if psql.stdout == "1\n":
        return "served"
    return "refused" if "Connection refused" in psql.stderr else "closed"


def beat(environment):
    began = time.time()
    outcome = ask(environment)
    # One write, so that the lines of two of them do not run into each other.
    os.write(1, f"{began:.3f} {time.time():.3f} {outcome}\n".encode())


def main():
    port, stop = sys.argv[1:]
    environment = {**os.environ, "PGPORT": port, "LC_ALL": "C"}
    beats = []
    while not os.path.exists(stop):
        beats.append(threading.Thread(target=beat, args=(environment,)))
        beats[-1].start()
        time.sleep(PAUSE)
    for one in beats:
        one.join()


main()
