#!/usr/bin/python3 -I
"""Stands in, inside an instance, for programs that talk to systemd. What it is called as decides what it does.

It sends one line of JSON to the instance's init and prints the answer: systemctl, poweroff, halt, reboot,
shutdown, cloud-init.
"""

import json
import os
import socket
import sys

SOCKET = "/run/sandbox/init.sock"


def ask(*words):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(SOCKET)
        except PermissionError:
            print("Interactive authentication required.", file=sys.stderr)
            sys.exit(1)
        client.sendall(json.dumps(words).encode() + b"\n")
        answer = json.loads(client.makefile().readline() or "{}")
    if answer.get("out"):
        print(answer["out"])
    if answer.get("err"):
        print(answer["err"], file=sys.stderr)
    sys.exit(answer.get("code", 1))


name = os.path.basename(sys.argv[0])
arguments = sys.argv[1:]
if name == "systemctl":
    options = [word for word in arguments if word.startswith("-")]
    words = [word for word in arguments if not word.startswith("-")]
    ask("systemctl", options, *words)
elif name in ("poweroff", "halt"):
    ask("poweroff")
elif name == "reboot":
    ask("reboot")
elif name == "shutdown":
    flags = [word for word in arguments if word.startswith("-")]
    times = [word for word in arguments if not word.startswith("-")]
    if "-c" in flags:
        ask("shutdown-cancel")
    ask("shutdown", "reboot" if "-r" in flags else "poweroff", times[0] if times else "+1")
elif name == "cloud-init":
    ask("cloud-init", *arguments)
sys.exit(f"{name}: not available in the sandbox")
