"""First boots that go wrong, as the fault `bad-boot` asks for. Runs inside the instance's root, before sshd starts."""

import os
import re

from .cloud_init import LOGIN_USER


def rewrite(path, pattern, replacement):
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(re.sub(pattern, replacement, text, flags=re.MULTILINE))


def spoil(kind):
    match kind:
        case None | "no-key":
            pass  # the agent gives cloud-init no key
        case "half":
            # devdb-boot cannot write its mark, and cloud-init ends all the same.
            os.makedirs("/var/lib/devdb/ready.part")
        case "stuck":
            # devdb-boot hangs when it asks systemd, and cloud-init with it.
            with open("/usr/local/bin/systemctl", "w") as file:
                file.write("#!/bin/sh\nexec sleep 3600\n")
            os.chmod("/usr/local/bin/systemctl", 0o755)
        case "no-shell":
            rewrite("/etc/passwd", f"^({LOGIN_USER}:.*):[^:]*$", r"\1:/usr/sbin/nologin")
        case "shell-missing":
            rewrite("/etc/passwd", f"^({LOGIN_USER}:.*):[^:]*$", r"\1:/usr/bin/no-such-shell")
        case "locked":
            rewrite("/etc/shadow", f"^{LOGIN_USER}:[^:]*:", f"{LOGIN_USER}:!:")
        case "expired":
            rewrite("/etc/shadow", f"^{LOGIN_USER}:.*$", f"{LOGIN_USER}:*:19000:0:99999:7::1:")
        case "closing":
            # Debian's sshd asks libwrap, and hangs up before it says its name.
            with open("/etc/hosts.deny", "w") as file:
                file.write("sshd: ALL\n")
        case _:
            raise ValueError(kind)
