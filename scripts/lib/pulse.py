"""Knocks at a local port four times a second and writes down how each knock ended: began, ended, outcome.

    pulse.py PORT STOP_FILE

A knock is what a driver says first (PostgreSQL's SSLRequest); `served` is its first answer. Ends, when every knock has
ended, after STOP_FILE appears.
"""

import os
import socket
import struct
import sys
import threading
import time

PAUSE = 0.25
PATIENCE = 45
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def knock(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as stream:
            stream.sendall(SSL_REQUEST)
            return "served" if stream.recv(1) == b"S" else "closed"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed"


def beat(port):
    began = time.time()
    outcome = knock(port)
    # One write, so that the lines of two knocks do not run into each other.
    os.write(1, f"{began:.3f} {time.time():.3f} {outcome}\n".encode())


def main():
    port, stop = int(sys.argv[1]), sys.argv[2]
    beats = []
    while not os.path.exists(stop):
        beats.append(threading.Thread(target=beat, args=(port,)))
        beats[-1].start()
        time.sleep(PAUSE)
    for one in beats:
        one.join()


main()
