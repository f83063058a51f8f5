"""Processes that the sandbox started: recorded with pid and start time, so that only they are ever ended."""

import json
import os
import signal
import subprocess
import time

from .world import Refused, write_json


def start_time(pid):
    """The kernel's start time of a process, or None if there is none (a zombie counts as gone)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def boot_id():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def wait_until(condition, seconds, pause=0.02):
    """Poll until the condition holds; its last value is the answer."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() >= deadline:
            return value
        time.sleep(pause)


def run(*command, **options):
    """Run to completion; a failure is an error with the command's own words."""
    options = {"capture_output": True, "text": True, **options}
    done = subprocess.run([str(part) for part in command], **options)
    if done.returncode != 0:
        words = ((done.stderr or "") + (done.stdout or "")).strip()
        raise Refused(f"{' '.join(str(part) for part in command[:4])} … failed: {words[-600:]}")
    return done.stdout


class Processes:
    """The recorded processes of one sandbox."""

    def __init__(self, world):
        self.world = world

    def record_path(self, label):
        return self.world.run / f"{label}.process"

    def record(self, label):
        try:
            return json.loads(self.record_path(label).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def pid(self, label):
        """The pid, if the recorded process still runs."""
        record = self.record(label)
        if not record or record["boot"] != boot_id() or start_time(record["pid"]) != record["start"]:
            return None
        return record["pid"]

    def start(self, label, command, **options):
        """Start a background process unless it runs; its output goes to log/LABEL.log."""
        if self.pid(label):
            return False
        with open(self.world.log / f"{label}.log", "ab") as log:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        write_json(self.record_path(label), {"pid": child.pid, "start": start_time(child.pid), "boot": boot_id()})
        return True

    def stop(self, label, first=signal.SIGTERM, seconds=5):
        pid = self.pid(label)
        if pid:
            end_process(pid, first, seconds)
        self.record_path(label).unlink(missing_ok=True)

    def labels(self):
        return sorted(path.stem for path in self.world.run.glob("*.process"))

    def tail(self, label, lines=8):
        try:
            text = (self.world.log / f"{label}.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def end_process(pid, first=signal.SIGTERM, seconds=5):
    """Ask, wait, then insist. The start time tells whether a pid was given to someone else meanwhile."""
    started = start_time(pid)
    if started is None:
        return
    for number in (first, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        reap(pid)
        if wait_until(lambda: reap(pid) or start_time(pid) != started, seconds):
            return


def reap(pid):
    """Collect the process if it is our child; otherwise its parent does."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False
