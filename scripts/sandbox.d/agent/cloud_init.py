"""The part of cloud-init that a bastion's user data needs. Runs inside the instance's root, as its root user.

Stages and their order are those of cloud-init: `bootcmd` at every boot; `write_files`, users and ssh keys at the
first; then sshd starts; `runcmd` and scripts run last, at the first boot only.
"""

import base64
import grp
import gzip
import os
import pwd
import shlex
import subprocess

INSTANCE_FOLDER = "/var/lib/cloud/instance"
OUTPUT_LOG = "/var/log/cloud-init-output.log"
LOGIN_USER = "ec2-user"


def is_first_boot():
    return not os.path.exists(f"{INSTANCE_FOLDER}/sem/config_done")


def mark_configured():
    os.makedirs(f"{INSTANCE_FOLDER}/sem", exist_ok=True)
    open(f"{INSTANCE_FOLDER}/sem/config_done", "w").close()


def mark_finished():
    os.makedirs("/run/cloud-init", exist_ok=True)
    for path in (f"{INSTANCE_FOLDER}/boot-finished", "/run/cloud-init/result.json"):
        with open(path, "w") as file:
            file.write('{"v1": {"errors": []}}\n')


def decoded_content(entry):
    content = entry.get("content", "")
    data = content if isinstance(content, bytes) else str(content).encode()
    encoding = (entry.get("encoding") or "text/plain").lower()
    if encoding in ("b64", "base64"):
        return base64.b64decode(data)
    if encoding in ("gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
        return gzip.decompress(base64.b64decode(data))
    if encoding in ("gz", "gzip"):
        return gzip.decompress(data)
    return data


def write_files(config, deferred, log):
    for entry in config.get("write_files") or []:
        if bool(entry.get("defer")) != deferred:
            continue
        path = entry["path"]
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            mode = int(str(entry.get("permissions", "0644")), 8)
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if entry.get("append") else os.O_TRUNC)
            with os.fdopen(os.open(path, flags, mode), "wb") as file:
                file.write(decoded_content(entry))
            os.chmod(path, mode)
            owner, _, group = (entry.get("owner") or "root:root").partition(":")
            if os.geteuid() != 0:
                continue  # without root everything in the instance belongs to one user
            os.chown(path, pwd.getpwnam(owner).pw_uid, grp.getgrnam(group or owner).gr_gid)
        except (OSError, KeyError, ValueError) as error:
            log(f"write_files: {path}: {error}")


def write_key(path, text, mode):
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text if text.endswith("\n") else text + "\n")


def install_host_keys(config, log):
    """`ssh_deletekeys`, then the keys of `ssh_keys`; without any, fresh ones as sshd-keygen makes them."""
    folder = "/etc/ssh"
    if config.get("ssh_deletekeys", True):
        for name in os.listdir(folder):
            if name.startswith("ssh_host_"):
                os.unlink(f"{folder}/{name}")
    given = config.get("ssh_keys") or {}
    for name, text in given.items():
        kind, _, half = name.partition("_")
        if kind not in ("rsa", "ecdsa", "ed25519") or half not in ("private", "public", "certificate"):
            log(f"ssh_keys: unknown key {name}")
            continue
        suffix = {"private": "", "public": ".pub", "certificate": "-cert.pub"}[half]
        write_key(f"{folder}/ssh_host_{kind}_key{suffix}", text, 0o600 if half == "private" else 0o644)
        if half == "private" and f"{kind}_public" not in given:
            path = f"{folder}/ssh_host_{kind}_key"
            made = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True)
            if made.returncode == 0:
                write_key(f"{path}.pub", made.stdout, 0o644)
            else:
                log(f"ssh_keys: {name} is not a usable key: {made.stderr.strip()}")
    if not given:
        path = f"{folder}/ssh_host_ed25519_key"
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)


def install_login_keys(config, imported_key, console):
    """The instance's key pair and `ssh_authorized_keys` open the login user."""
    user = pwd.getpwnam(LOGIN_USER)
    keys = [key for key in [imported_key, *(config.get("ssh_authorized_keys") or [])] if key]
    folder = f"{user.pw_dir}/.ssh"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = f"{folder}/authorized_keys"
    write_key(path, "\n".join(key.strip() for key in keys), 0o600)
    if not keys:
        console.write(f"ci-info: no authorized SSH keys fingerprints found for user {LOGIN_USER}.\n")
    for owned in (folder, path):
        os.chown(owned, user.pw_uid, user.pw_gid)


def shell_script(commands):
    """A list entry is one command with its arguments; a string is a line of shell."""
    lines = ["#!/bin/sh"]
    for command in commands or []:
        lines.append(shlex.join(str(part) for part in command) if isinstance(command, list) else str(command))
    return "\n".join(lines) + "\n"


def run_bootcmd(config):
    if config.get("bootcmd"):
        with open(OUTPUT_LOG, "ab") as output:
            subprocess.run(["/bin/sh", "-c", shell_script(config["bootcmd"])], stdout=output, stderr=output)


def final_scripts(user_data):
    """Paths of what the last stage runs, in order."""
    folder = f"{INSTANCE_FOLDER}/scripts"
    os.makedirs(folder, exist_ok=True)
    paths = []
    texts = [("runcmd", shell_script(user_data["config"].get("runcmd")))] if user_data["config"].get("runcmd") else []
    texts += [(f"part-{number:03}", text) for number, text in enumerate(user_data["scripts"], start=1)]
    for name, text in texts:
        write_key(f"{folder}/{name}", text, 0o700)
        paths.append(f"{folder}/{name}")
    return paths
