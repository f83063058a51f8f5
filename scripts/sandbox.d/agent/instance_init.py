"""Process 1 of an instance: builds its private root, boots it, keeps sshd, runs timers, powers off.

Started by the agent in the instance's own network, mount, process and host-name namespaces:
    python3 -m agent.instance_init FOLDER
FOLDER holds instance.json (what the API said), upper/ and work/ (what the instance wrote), home/ and run/.
When this process ends, the kernel ends everything in the instance, as a power cut would.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

from . import bad_boot, cloud_init, private_root
from .units import Units, unit_path, with_suffix

HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"
SSH_NAMES = ("sshd.service", "ssh.service")

# As on Amazon Linux 2023, except PAM: its session modules expect a booted systemd.
SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
PermitRootLogin no
UsePAM no
X11Forwarding yes
PrintMotd no
Subsystem sftp internal-sftp
"""


class Instance:
    def __init__(self, folder):
        self.folder = folder
        with open(f"{folder}/instance.json") as file:
            self.facts = json.load(file)
        self.user_data = self.facts["user_data"]
        self.rootless = self.facts.get("rootless", False)
        self.started = time.monotonic()
        self.console = open(f"{folder}/console.log", "a", buffering=1)
        self.sshd = None
        self.held_down = False  # a fault keeps sshd from being started
        self.final = []  # scripts of the last stage that have not run yet
        self.final_child = None
        self.finished = False
        self.output_shown = 0
        self.shutdown_at = None
        self.shutdown_kind = None
        self.units = Units(self.log)

    def log(self, text):
        self.console.write(f"[{time.monotonic() - self.started:10.3f}] {text}\n")

    # ---- boot -----------------------------------------------------------------------------------

    def prepare_ssh(self, first):
        os.makedirs("/etc/ssh/sshd_config.d", exist_ok=True)
        for name in os.listdir("/etc/ssh/sshd_config.d") if first else []:
            os.unlink(f"/etc/ssh/sshd_config.d/{name}")
        with open("/etc/ssh/sshd_config", "w") as file:
            if self.rootless:
                # The directories above belong to nobody in this user namespace.
                file.write(f"ListenAddress {self.facts['listen_address']}:{self.facts['ssh_port']}\nStrictModes no\n")
            file.write(SSHD_CONFIG)

    def boot(self):
        socket.sethostname(self.facts["host_name"])
        with open("/etc/hostname", "w") as file:
            file.write(self.facts["host_name"] + "\n")
        first = cloud_init.is_first_boot()
        config = self.user_data["config"]
        if first:
            private_root.make_user(self.rootless)
        if first or self.rootless:
            self.prepare_ssh(first)
        if first:
            os.makedirs(cloud_init.INSTANCE_FOLDER, exist_ok=True)
        for problem in self.user_data["problems"]:
            self.log(f"cloud-init: warning: {problem}")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        os.makedirs("/var/log", exist_ok=True)
        self.open_control_socket()
        cloud_init.run_bootcmd(config)
        if first:
            cloud_init.write_files(config, deferred=False, log=self.log)
            cloud_init.install_host_keys(config, self.log)
            wrong = self.facts.get("bad_boot")
            login_key = None if wrong == "no-key" else self.facts["login_key"]
            cloud_init.install_login_keys(config, login_key, self.console)
            bad_boot.spoil(wrong)
            cloud_init.mark_configured()
        # A kernel takes its time as well; what was done above counts towards it.
        time.sleep(max(0, self.facts["boot_seconds"] - (time.monotonic() - self.started)))
        self.start_sshd()
        self.units.start_enabled()
        if first:
            cloud_init.write_files(config, deferred=True, log=self.log)
            self.final = cloud_init.final_scripts(self.user_data)

    def start_sshd(self):
        """Returns an error text or None; an invalid configuration keeps it down, as on a real machine."""
        if self.held_down:
            return "sshd is held down by a fault"
        tested = subprocess.run(["/usr/sbin/sshd", "-t"], capture_output=True, text=True)
        if tested.returncode != 0:
            self.log(f"sshd does not start: {tested.stderr.strip()}")
            return tested.stderr.strip()
        log = open("/var/log/sshd.log", "ab")
        self.sshd = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        self.log("started sshd")
        return None

    def sshd_runs(self):
        return self.sshd is not None and self.sshd.poll() is None

    def run_final_stage(self):
        """One script after the other, without holding up the rest of the instance."""
        if self.finished or (self.final_child and self.final_child.poll() is None):
            return
        if self.final_child:
            self.show_output()
        if self.final_child and self.final_child.returncode:
            self.log(
                "cloud-init[2207]: cc_scripts_user.py[WARNING]: Failed to run module scripts_user "
                f"(scripts in {cloud_init.INSTANCE_FOLDER}/scripts)"
            )
        if self.final:
            with open(cloud_init.OUTPUT_LOG, "ab") as output:
                self.output_shown = output.tell()
                self.final_child = subprocess.Popen(
                    [self.final.pop(0)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            return
        self.finished = True
        cloud_init.mark_finished()
        self.print_host_keys()
        self.log("Cloud-init finished")
        open("/run/sandbox/finished", "w").close()

    def show_output(self):
        """What the scripts print goes to the console as well: systemd's StandardOutput=journal+console."""
        with open(cloud_init.OUTPUT_LOG, errors="replace") as output:
            output.seek(self.output_shown)
            for line in output:
                self.log(f"cloud-init[2207]: {line.rstrip()}")
            self.output_shown = output.tell()

    def print_host_keys(self):
        """cloud-init prints these on the console, where GetConsoleOutput shows them."""
        keys = []
        for name in sorted(os.listdir("/etc/ssh")):
            if name.startswith("ssh_host_") and name.endswith("_key.pub"):
                keys.append(open(f"/etc/ssh/{name}").read().strip())
        lines = ["-----BEGIN SSH HOST KEY KEYS-----", *keys, "-----END SSH HOST KEY KEYS-----"]
        self.console.write("\n".join(lines) + "\n")

    # ---- requests from inside the instance and from the sandbox -----------------------------------

    def open_control_socket(self):
        path = "/run/sandbox/init.sock"
        if os.path.exists(path):
            os.unlink(path)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(path)
        os.chmod(path, 0o600)
        self.control.listen(16)

    def serve_request(self):
        client, _ = self.control.accept()
        with client:
            client.settimeout(2)
            try:
                words = json.loads(client.makefile().readline())
                try:
                    answer = self.obey(words)
                except Exception as error:  # the instance must not die of a bad request
                    answer = {"code": 1, "err": repr(error)}
                client.sendall(json.dumps(answer or {"code": 0}).encode() + b"\n")
            except (OSError, ValueError):
                pass

    def obey(self, words):
        match words:
            case ["systemctl", options, *rest]:
                return self.systemctl(options, rest)
            case ["poweroff" | "reboot" as kind]:
                self.plan_shutdown(kind, 0.2)
            case ["shutdown", kind, "now" | "+0"]:
                self.plan_shutdown(kind, 0.2)
            case ["shutdown", kind, when]:
                self.plan_shutdown(kind, 60 * float(when.lstrip("+")))
                return {"code": 0, "err": "Shutdown scheduled, use 'shutdown -c' to cancel."}
            case ["shutdown-cancel"]:
                self.shutdown_at = None
            case ["cloud-init", "status", *_]:
                return {"code": 0, "out": f"status: {'done' if self.finished else 'running'}"}
            case ["kill-sshd", listener]:
                return self.kill_sshd(listener)
            case ["change-host-key"]:
                self.change_host_key()
            case ["restore-sshd"]:
                self.held_down = False
                self.restore_host_key()
                if not self.sshd_runs():
                    self.start_sshd()
            case _:
                return {"code": 1, "err": f"not understood: {words}"}
        return {"code": 0}

    def plan_shutdown(self, kind, seconds):
        self.shutdown_kind, self.shutdown_at = kind, time.monotonic() + seconds

    def systemctl(self, options, words):
        if not words:
            return {"code": 0}
        verb, names = words[0], [with_suffix(name) for name in words[1:]]
        if verb in ("poweroff", "halt", "reboot"):
            self.plan_shutdown("reboot" if verb == "reboot" else "poweroff", 0.2)
            return {"code": 0}
        problems, states = [], []
        for name in names:
            if name in SSH_NAMES:
                problem = self.systemctl_sshd(verb, states)
            else:
                problem = self.systemctl_unit(verb, name, "--now" in options, states)
            if problem:
                problems.append(problem)
        if verb in ("is-active", "is-enabled", "is-failed", "status"):
            good = all(state in ("active", "enabled") for state in states)
            return {"code": 0 if good else 3 if verb != "is-enabled" else 1, "out": "\n".join(states)}
        return {"code": 1 if problems else 0, "err": "\n".join(problems)}

    def systemctl_unit(self, verb, name, now, states):
        units = self.units
        if verb in ("enable", "disable", "start", "restart", "reenable") and unit_path(name) is None:
            return f"Failed to {verb} unit: Unit file {name} does not exist."
        match verb:
            case "enable" | "reenable":
                units.enable(name)
                return units.start(name) if now else None
            case "disable" | "mask":
                units.disable(name)
                if now or verb == "mask":
                    units.stop(name)
            case "start":
                return units.start(name)
            case "restart" | "try-restart" | "reload-or-restart":
                units.stop(name)
                return units.start(name)
            case "stop":
                units.stop(name)
            case "is-active" | "status":
                states.append("active" if units.is_active(name) else "inactive")
            case "is-enabled":
                states.append("enabled" if units.is_enabled(name) else "disabled")
        return None

    def systemctl_sshd(self, verb, states):
        match verb:
            case "reload" | "try-reload-or-restart" | "reload-or-restart" | "kill" if self.sshd_runs():
                tested = subprocess.run(["/usr/sbin/sshd", "-t"], capture_output=True, text=True)
                if tested.returncode != 0:
                    return tested.stderr.strip()
                self.sshd.send_signal(signal.SIGHUP)
            case "restart" | "try-restart" | "start" | "reload-or-restart":
                if verb != "start" and self.sshd_runs():
                    self.sshd.terminate()  # the listener only: sessions stay, as with KillMode=process
                    self.sshd.wait(5)
                if not self.sshd_runs():
                    return self.start_sshd()
            case "stop" if self.sshd_runs():
                self.sshd.terminate()
                self.sshd.wait(5)
            case "is-active" | "status":
                states.append("active" if self.sshd_runs() else "inactive")
            case "is-enabled":
                states.append("enabled")
        return None

    def kill_sshd(self, listener):
        """Fault: every session's sshd dies at once; with `listener` also the listener, until it is restored."""
        listening = self.sshd.pid if self.sshd_runs() else None
        if listener:
            self.held_down = True
            if listening:
                self.sshd.kill()
                self.sshd.wait(5)
        killed = 0
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in (1, listening):
                continue
            try:
                with open(f"/proc/{entry}/comm") as file:
                    if file.read().strip() == "sshd":
                        os.kill(int(entry), signal.SIGKILL)
                        killed += 1
            except (FileNotFoundError, ProcessLookupError):
                pass
        return {"code": 0, "out": f"{killed} session processes killed" + (", listener held down" if listener else "")}

    def change_host_key(self):
        """Fault: another host key answers, as a machine in between would; `restore-sshd` brings the old one back."""
        for name in (HOST_KEY, f"{HOST_KEY}.pub"):
            if not os.path.exists(f"{name}.before"):
                os.rename(name, f"{name}.before")
        if not os.path.exists(HOST_KEY):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY], check=True)
        self.systemctl_sshd("restart", [])

    def restore_host_key(self):
        if os.path.exists(f"{HOST_KEY}.before"):
            for name in (HOST_KEY, f"{HOST_KEY}.pub"):
                os.rename(f"{name}.before", name)
            self.systemctl_sshd("restart", [])

    # ---- main loop --------------------------------------------------------------------------------

    def reap(self):
        """As process 1, collect orphans; children that have a Popen are collected by it."""
        own = {child.pid for child in (self.sshd, self.final_child, *self.units.services.values()) if child}
        while True:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                return
            if found.si_pid in own:
                for child in (self.sshd, self.final_child, *self.units.services.values()):
                    if child and child.pid == found.si_pid:
                        child.poll()
            else:
                os.waitpid(found.si_pid, 0)

    def loop(self):
        while True:
            try:
                self.reap()
            except ChildProcessError:
                pass
            self.run_final_stage()
            self.units.run_due()
            now = time.monotonic()
            if self.shutdown_at is not None and now >= self.shutdown_at:
                return self.shutdown_kind
            waits = [0.05 if not self.finished else 1.0]
            if self.shutdown_at is not None:
                waits.append(self.shutdown_at - now)
            due = self.units.next_due()
            if due is not None:
                waits.append(due - time.time())
            readable, _, _ = select.select([self.control], [], [], max(0, min(waits)))
            if readable:
                self.serve_request()


def main():
    instance = Instance(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # Any child's end wakes the loop through an interrupted select.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    build = private_root.build_unprivileged if instance.rootless else private_root.build
    build(instance.folder, instance.facts)
    instance.boot()
    kind = instance.loop()
    instance.log(f"{kind}: Reached target System Shutdown")
    with open("/run/sandbox/exit-reason", "w") as file:
        file.write(kind)


if __name__ == "__main__":
    main()
