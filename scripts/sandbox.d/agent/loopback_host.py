"""One EC2 instance without root: the same first process in a user namespace, sshd on a loopback address.

Port 22 needs root, so sshd listens on the sandbox's own ssh port. Security groups are not enforced.
"""

import json
import shutil

from .host import Host


class LoopbackHost(Host):
    def prepare(self, instance, cloud, boot_seconds):
        super().prepare(instance, cloud, boot_seconds)
        path = self.folder / "instance.json"
        facts = json.loads(path.read_text())
        facts |= {
            "rootless": True,
            "listen_address": instance.get("PublicIpAddress") or "127.0.0.1",
            "ssh_port": self.world["ssh_port"],
        }
        path.write_text(json.dumps(facts))

    def connect(self, instance):
        """There is no network of its own."""

    def disconnect(self):
        self.halt()

    def remove(self):
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def namespaces(self):
        return [
            "unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "--propagation", "private", "--pid",
            "--fork", "--kill-child=SIGKILL", "--uts", "--ipc",
        ]  # fmt: skip
