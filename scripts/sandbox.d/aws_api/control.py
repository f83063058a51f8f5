"""What tests and the instance agent may change or read while the API runs.

One `Control` is shared by the patches of moto, the middleware and the control path (`/sandbox/...`).
"""

import threading
import time


class Control:
    def __init__(self):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.moto = threading.Lock()
        # Seconds that an instance spends in each state that moto skips, and that a terminated one stays listed.
        self.timings = {"pending": 1.0, "stopping": 1.0, "shutting-down": 1.0, "terminated": 30.0}
        # Public addresses: an IPv4 prefix for instances, and whether their DNS name is the AWS form.
        self.public_prefix = "203.0.113."
        self.instance_names_are_addresses = False
        self.endpoint_addresses = {}
        self.generation = 0
        self.reboots = {}
        self.console = {}
        self.facts = {}
        self.forget()

    def forget(self):
        """Drop faults and the call log; the world itself stays."""
        with self.lock:
            self.faults = []
            self.calls = []
            self.held = set()

    def note_change(self):
        with self.changed:
            self.generation += 1
            self.changed.notify_all()

    def note_reboot(self, instance_id):
        with self.changed:
            self.reboots[instance_id] = self.reboots.get(instance_id, 0) + 1
            self.generation += 1
            self.changed.notify_all()

    def wait_for_change(self, since, seconds):
        """Return as soon as something changed after generation `since`, or after `seconds`."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while self.generation <= since:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self.changed.wait(left)
            return {"generation": self.generation, "reboots": dict(self.reboots)}

    def note_held(self, key_id):
        with self.changed:
            self.held.add(key_id)
            self.changed.notify_all()

    def wait_for_hold(self, key_id, seconds):
        """Return as soon as a call with this access key id is held by a fault, or after `seconds`."""
        with self.changed:
            return {"held": self.changed.wait_for(lambda: key_id in self.held, seconds)}

    def add_fault(self, fault):
        """See `middleware.py` for the keys of a fault."""
        with self.lock:
            self.faults.append({"action": "*", "count": 1, "skip": 0, "when": "before", "hit": [], **fault})

    def take_fault(self, call):
        """The fault that this call meets, if any."""
        with self.lock:
            return next((fault for fault in self.faults if hits(fault, call)), None)


def hits(fault, call):
    """Whether the fault hits this call; counts it."""
    if fault["action"] not in ("*", call.action):
        return False
    if fault.get("service", call.service) != call.service or fault.get("key", call.key_id) != call.key_id:
        return False
    if fault["skip"] > 0:
        fault["skip"] -= 1
        return False
    if fault.get("each"):
        request = repr(call.request)
        if request in fault["hit"]:
            return False
        fault["hit"].append(request)
        return True
    fault["count"] -= 1
    return fault["count"] >= 0


control = Control()
