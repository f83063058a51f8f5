"""Asks the AWS API's control path over its unix socket, which is reachable from every namespace."""

import http.client
import json
import socket

from .world import Refused


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def request(world, method, path, body=None):
    connection = UnixConnection(world.control_socket)
    try:
        connection.request(method, f"/sandbox/{path}", None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def get(world, path, otherwise=None):
    """The answer, or `otherwise` while the API does not answer."""
    try:
        return request(world, "GET", path)
    except (OSError, ValueError, http.client.HTTPException):
        return otherwise


def post(world, path, body=None):
    try:
        return request(world, "POST", path, body or {})
    except OSError as error:
        raise Refused(f"the sandbox's API does not answer: {error}", "scripts/sandbox up") from error
