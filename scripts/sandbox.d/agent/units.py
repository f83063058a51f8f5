"""A very small systemd for the inside of an instance: services and timers that user data installs.

Known: Type=simple and oneshot, ExecStart=, ExecStartPre=, Environment=, User=; OnBootSec=, OnStartupSec=,
OnActiveSec=, OnUnitActiveSec=, OnUnitInactiveSec=, OnCalendar= (common forms), Persistent=, Unit=.
"""

import datetime
import os
import re
import shlex
import subprocess
import time

FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
WANTS = "/etc/systemd/system/sandbox.wants"
STAMPS = "/var/lib/systemd/timers"
SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
}
SPAN_UNITS = {
    "": 1, "s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 0.001, "us": 1e-6,
    "m": 60, "min": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400, "w": 604800, "week": 604800, "weeks": 604800,
}  # fmt: skip


def with_suffix(name):
    return name if re.search(r"\.(service|timer|target|socket|path)$", name) else f"{name}.service"


def unit_path(name):
    for folder in FOLDERS:
        path = f"{folder}/{name}"
        if os.path.exists(path):
            return path
    return None


def read_unit(name):
    """{"Section": {"Key": [values]}}, with drop-ins; an empty value resets the list, as in systemd."""
    path = unit_path(name)
    if path is None:
        return None
    sections, section = {}, {}
    paths = [path]
    drop_ins = f"/etc/systemd/system/{name}.d"
    if os.path.isdir(drop_ins):
        paths += sorted(f"{drop_ins}/{entry}" for entry in os.listdir(drop_ins) if entry.endswith(".conf"))
    for path in paths:
        with open(path, errors="replace") as file:
            text = file.read().replace("\\\n", " ")
        for line in text.splitlines():
            line = line.strip()
            if line.startswith("[") and line.endswith("]"):
                section = sections.setdefault(line[1:-1], {})
            elif line and line[0] not in "#;" and "=" in line:
                key, _, value = line.partition("=")
                if value.strip():
                    section.setdefault(key.strip(), []).append(value.strip())
                else:
                    section[key.strip()] = []
    return sections


def seconds(span):
    """`1h 30min` -> 5400"""
    total = 0.0
    for number, unit in re.findall(r"([\d.]+)\s*([a-z]*)", span):
        total += float(number) * SPAN_UNITS.get(unit, 1)
    return total


def field_matches(pattern, value):
    """One field of a calendar expression: `*`, `5`, `1,3`, `0/5`, `*/5`, `1..5`."""
    for part in pattern.split(","):
        base, _, step = part.partition("/")
        if ".." in base:
            low, high = (int(bound) for bound in base.split(".."))
            if low <= value <= high:
                return True
        elif base == "*" and not step:
            return True
        elif step:
            start = 0 if base == "*" else int(base)
            if value >= start and (value - start) % int(step) == 0:
                return True
        elif int(base) == value:
            return True
    return False


def next_calendar_time(expression, after):
    """The next UTC time (as a timestamp) of an OnCalendar expression; None if it has passed for good."""
    expression = SHORTHANDS.get(expression.strip().lower(), expression.strip())
    expression = re.sub(r"\s+UTC$", "", expression)
    expression = re.sub(r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\S*\s+", "", expression)
    date, clock = "*-*-*", "00:00:00"
    for part in re.split(r"[ T]", expression):
        if ":" in part:
            clock = part if part.count(":") == 2 else f"{part}:00"
        elif "-" in part:
            date = part if part.count("-") == 2 else f"*-{part}"
    year, month, day = date.split("-")
    hour, minute, second = clock.split(":")
    if not any(mark in date for mark in "*,/."):
        exact = datetime.datetime(int(year), int(month), int(day), tzinfo=datetime.timezone.utc)
        if not any(mark in clock for mark in "*,/."):
            exact = exact.replace(hour=int(hour), minute=int(minute), second=int(second))
            return exact.timestamp() if exact.timestamp() > after else None
    moment = datetime.datetime.fromtimestamp(int(after) + 1, datetime.timezone.utc)
    limit = moment + datetime.timedelta(days=366)
    while moment < limit:
        if not (
            field_matches(year, moment.year) and field_matches(month, moment.month) and field_matches(day, moment.day)
        ):
            moment = moment.replace(hour=0, minute=0, second=0) + datetime.timedelta(days=1)
        elif not field_matches(hour, moment.hour):
            moment = moment.replace(minute=0, second=0) + datetime.timedelta(hours=1)
        elif not field_matches(minute, moment.minute):
            moment = moment.replace(second=0) + datetime.timedelta(minutes=1)
        elif not field_matches(second, moment.second):
            moment += datetime.timedelta(seconds=1)
        else:
            return moment.timestamp()
    return None


class Timer:
    def __init__(self, name, unit, booted):
        settings = unit.get("Timer", {})
        self.name = name
        self.service = settings.get("Unit", [name.removesuffix(".timer") + ".service"])[0]
        self.settings = settings
        self.due = None
        now = time.time()
        moments = [booted + seconds(span) for key in ("OnBootSec", "OnStartupSec") for span in settings.get(key, [])]
        moments += [now + seconds(span) for span in settings.get("OnActiveSec", [])]
        since = now
        if settings.get("Persistent", ["no"])[0].lower() in ("yes", "true", "on", "1"):
            since = self.last_trigger() or now
        for expression in settings.get("OnCalendar", []):
            moment = next_calendar_time(expression, since)
            if moment is not None:
                moments.append(max(moment, now))
        if moments:
            self.due = min(moments)

    @property
    def stamp(self):
        return f"{STAMPS}/stamp-{self.name}"

    def last_trigger(self):
        """The stamp file's time: systemd makes one when a persistent timer is first started."""
        try:
            return os.stat(self.stamp).st_mtime
        except FileNotFoundError:
            self.touch()
            return None

    def touch(self):
        os.makedirs(STAMPS, exist_ok=True)
        with open(self.stamp, "w"):
            pass
        os.utime(self.stamp)

    def triggered(self):
        """Note that it fired now and compute the next time."""
        now = time.time()
        self.touch()
        moments = [
            now + seconds(span)
            for key in ("OnUnitActiveSec", "OnUnitInactiveSec")
            for span in self.settings.get(key, [])
        ]
        for expression in self.settings.get("OnCalendar", []):
            moment = next_calendar_time(expression, now)
            if moment is not None:
                moments.append(moment)
        self.due = min(moments, default=None)


class Units:
    """The state of all units but sshd, which instance_init.py keeps itself."""

    def __init__(self, log):
        self.log = log
        self.booted = time.time()
        self.timers = {}
        self.services = {}  # name -> Popen of the last start

    def enable(self, name):
        os.makedirs(WANTS, exist_ok=True)
        link = f"{WANTS}/{name}"
        if not os.path.lexists(link):
            os.symlink(unit_path(name) or f"/etc/systemd/system/{name}", link)

    def disable(self, name):
        if os.path.lexists(f"{WANTS}/{name}"):
            os.unlink(f"{WANTS}/{name}")

    def is_enabled(self, name):
        return os.path.lexists(f"{WANTS}/{name}")

    def start_enabled(self):
        if os.path.isdir(WANTS):
            for name in sorted(os.listdir(WANTS)):
                self.start(name)

    def start(self, name):
        """Returns an error text or None."""
        unit = read_unit(name)
        if unit is None:
            return f"Unit {name} not found."
        if name.endswith(".timer"):
            self.timers.setdefault(name, Timer(name, unit, self.booted))
            return None
        if name.endswith(".service"):
            return self.start_service(name, unit.get("Service", {}))
        return None

    def start_service(self, name, settings):
        running = self.services.get(name)
        if running and running.poll() is None:
            return None
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        for line in settings.get("Environment", []):
            environment |= dict(part.split("=", 1) for part in shlex.split(line) if "=" in part)
        commands = [
            shlex.split(line.lstrip("-@+!:")) for key in ("ExecStartPre", "ExecStart") for line in settings.get(key, [])
        ]
        if not commands:
            return None
        script = " && ".join(shlex.join(command) for command in commands)
        identity = {"user": settings["User"][0]} if settings.get("User") and os.geteuid() == 0 else {}
        self.log(f"starting {name}")
        with open("/var/log/units.log", "ab") as output:
            child = subprocess.Popen(
                ["/bin/sh", "-c", script],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **identity,
            )
        self.services[name] = child
        return None

    def stop(self, name):
        self.timers.pop(name, None)
        child = self.services.pop(name, None)
        if child and child.poll() is None:
            child.terminate()

    def is_active(self, name):
        if name in self.timers:
            return True
        child = self.services.get(name)
        return bool(child and child.poll() is None)

    def next_due(self):
        return min((timer.due for timer in self.timers.values() if timer.due), default=None)

    def run_due(self):
        now = time.time()
        for timer in list(self.timers.values()):
            if timer.due and timer.due <= now:
                timer.triggered()
                problem = self.start(timer.service)
                if problem:
                    self.log(f"{timer.name}: {problem}")
