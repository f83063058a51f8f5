"""What tests and the instance agent may change or read while the API runs.

One `Control` is shared by the patches of moto, the middleware and the control path (`/sandbox/...`).
"""

import threading
import time


class Control:
    def __init__(self):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        # Seconds that an instance spends in each state that moto skips.
        self.timings = {"pending": 1.0, "stopping": 1.0, "shutting-down": 1.0}
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

    def add_fault(self, fault):
        """See `middleware.py` for the keys of a fault."""
        with self.lock:
            self.faults.append({"action": "*", "count": 1, "when": "before", **fault})

    def take_fault(self, service, action):
        with self.lock:
            for fault in self.faults:
                wanted = fault["action"] in ("*", action) and fault.get("service", service) == service
                if wanted and fault["count"] > 0:
                    fault["count"] -= 1
                    return fault
        return None


control = Control()
