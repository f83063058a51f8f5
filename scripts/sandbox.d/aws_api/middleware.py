"""Around moto's WSGI application: faults, call log, credentials that expired, errors in each protocol's form.

A fault is a JSON object, posted to /sandbox/faults:
    action   name of the call, "*" for any             service  e.g. "ec2"; any when absent
    key      the caller's access key id; any when absent
    skip     how many such calls pass first (default 0)
    count    how many calls it hits (default 1)        delay    seconds to wait first
    each     hits every different request once, and never its repetitions; `count` says nothing then
    code, message, status                              answer this error
    drop     close the connection without an answer
    hold     no answer until the caller has hung up; GET /sandbox/held?key=… tells when a call is held
    when     "before": moto never sees the call; "after": moto does it and the answer is lost
"""

import io
import json
import re
import select
import socket
import time
import traceback
import urllib.parse
import uuid
from xml.sax.saxutils import escape

from .control import control

JSON_SERVICES = {"secretsmanager", "ssm", "acm", "logs", "tagging", "kms"}
REST_JSON_SERVICES = {"lambda", "ec2-instance-connect"}

# Credentials whose key id begins with these always fail, as they would on AWS.
EXPIRED_KEYS = "ASIAEXPIRED"
UNKNOWN_KEYS = "AKIAINVALID"
# The agent's own calls are left out of the call log and meet no faults.
AGENT_KEY = "SANDBOXAGENT"

# Of no interest, or long, or secret.
NOT_LOGGED = {"Action", "Version", "UserData", "PublicKeyMaterial", "SecretString"}

# A caller that should have been ended long ago is let go.
LONGEST_HOLD = 120

READING = re.compile(r"^(Describe|Get|List|BatchGet|Decode)")


class Call:
    """Which AWS call a request is."""

    def __init__(self, environ, body):
        credential = re.search(r"Credential=([^/]*)/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        self.key_id, self.region, self.service = credential.groups() if credential else ("", "", "")
        target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        form = texts(body) if target else dict(urllib.parse.parse_qsl(body.decode("latin1")))
        self.action = target or form.get("Action") or environ.get("PATH_INFO", "")
        self.request = (self.service, self.action, body)
        self.parameters = {name: value for name, value in form.items() if name not in NOT_LOGGED}
        self.started, self.at = time.monotonic(), time.time()

    @property
    def by_agent(self):
        return self.key_id == AGENT_KEY

    def log(self, status):
        if self.by_agent:
            return
        entry = {
            "service": self.service,
            "action": self.action,
            "region": self.region,
            "key": self.key_id,
            "parameters": self.parameters,
            "status": status,
            "at": round(self.at, 4),
            "ms": round((time.monotonic() - self.started) * 1000, 1),
        }
        with control.lock:
            control.calls.append(entry)


def texts(body):
    """The parameters of a JSON protocol that are texts."""
    try:
        return {name: value for name, value in json.loads(body).items() if isinstance(value, str)}
    except (ValueError, AttributeError):
        return {}


def error_answer(service, code, message, status):
    """(status, headers, body) of an error in the protocol of that service."""
    request_id = uuid.uuid4()
    if service == "ec2":
        kind = "text/xml"
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
            f"<Message>{escape(message)}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    elif service in JSON_SERVICES:
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
    elif service in REST_JSON_SERVICES:
        kind = "application/json"
        body = json.dumps({"Message": message})
    else:
        kind = "text/xml"
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    data = body.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("x-amzn-RequestId", str(request_id))]
    if service in JSON_SERVICES | REST_JSON_SERVICES:
        headers.append(("x-amzn-ErrorType", code))
    return f"{status} Error", headers, data


def refused_credentials(call):
    """The error that AWS gives for expired or unknown credentials, or None."""
    if call.key_id.startswith(EXPIRED_KEYS):
        if call.service == "ec2":
            return "RequestExpired", "Request has expired.", 400
        if call.service in JSON_SERVICES | REST_JSON_SERVICES:
            return "ExpiredTokenException", "The security token included in the request is expired", 400
        return "ExpiredToken", "The security token included in the request is expired", 403
    if call.key_id.startswith(UNKNOWN_KEYS):
        if call.service == "ec2":
            return "AuthFailure", "AWS was not able to validate the provided access credentials", 401
        if call.service in JSON_SERVICES | REST_JSON_SERVICES:
            return "UnrecognizedClientException", "The security token included in the request is invalid.", 400
        return "InvalidClientTokenId", "The security token included in the request is invalid.", 403
    return None


def wait_for_hang_up(connection):
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll(LONGEST_HOLD * 1000)


class Middleware:
    def __init__(self, moto, control_path):
        self.moto = moto
        self.control_path = control_path

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ.get("PATH_INFO", "")
        if path.startswith("/sandbox/"):
            return self.control_path(path, environ, body, start_response)
        if path.startswith("/moto-api"):
            control.note_change()
            return self.moto(environ, start_response)
        call = Call(environ, body)
        status, headers, data = self.answer(call, environ)
        start_response(status, headers)
        return [data]

    def answer(self, call, environ):
        refused = refused_credentials(call)
        if refused:
            call.log(refused[2])
            return error_answer(call.service, *refused)
        fault = None if call.by_agent else control.take_fault(call)
        if fault and fault.get("delay"):
            time.sleep(fault["delay"])
        if fault and fault["when"] == "before":
            lost = self.fail(call, fault, environ)
            if lost:
                return lost
        status, headers, data = self.ask_moto(call, environ)
        if not READING.match(call.action):
            control.note_change()
        if fault and fault["when"] == "after":
            lost = self.fail(call, fault, environ)
            if lost:
                return lost
        call.log(int(status[:3]))
        return status, headers, data

    def fail(self, call, fault, environ):
        """The fault's error; None when the fault was only a delay."""
        if fault.get("hold"):
            call.log("held")
            control.note_held(call.key_id)
            wait_for_hang_up(environ["werkzeug.socket"])
            raise ConnectionResetError("held by a fault until the caller hung up")
        if fault.get("drop"):
            call.log("dropped")
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("dropped by a fault")
        if not fault.get("code"):
            return None
        status = fault.get("status", 400)
        call.log(status)
        return error_answer(call.service, fault["code"], fault.get("message", fault["code"]), status)

    def ask_moto(self, call, environ):
        got = {}

        def start_response(status, headers, _exc_info=None):
            got["status"], got["headers"] = status, headers

        try:
            # moto walks through its dictionaries while other threads change them.
            with control.moto:
                data = b"".join(self.moto(environ, start_response))
        except Exception as error:
            # moto_server would answer HTML with status 500, which SDKs take for a server that is worth a retry.
            traceback.print_exc()
            code = "NotImplementedByMoto" if isinstance(error, NotImplementedError) else "MotoBug"
            return error_answer(call.service, code, f"{call.service}:{call.action}: {error!r}", 400)
        status, headers = got["status"], got["headers"]
        if status.startswith("500") and data.lstrip().lower().startswith(b"<!doctype"):
            return error_answer(call.service, "NotImplementedByMoto", f"{call.service}:{call.action}", 400)
        return status, headers, data


class ControlPath:
    """/sandbox/...: GET answers JSON, POST takes JSON."""

    def __call__(self, path, environ, body, start_response):
        query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        given = json.loads(body) if body else {}
        answer, status = {"ok": True}, "200 OK"
        name = path.removeprefix("/sandbox/").rstrip("/")
        posted = environ["REQUEST_METHOD"] == "POST"
        match name, posted:
            case "calls", False:
                with control.lock:
                    answer = [call for call in control.calls if query.get("key", call["key"]) == call["key"]]
            case "calls/clear", True:
                control.calls.clear()
            case "faults", True:
                control.add_fault(given)
            case "faults", False:
                answer = control.faults
            case "held", False:
                answer = control.wait_for_hold(query["key"], float(query.get("wait", 0)))
            case "forget", True:
                control.forget()
            case "timings", True:
                control.timings.update(given)
            case "timings", False:
                answer = control.timings
            case "console", True:
                control.console[given["instance_id"]] = given["text"]
            case "changes", False:
                answer = control.wait_for_change(int(query.get("since", -1)), float(query.get("wait", 0)))
            case "facts", False:
                answer = control.facts
            case _:
                answer, status = {"error": f"no such path or method: {path}"}, "404 Not Found"
        data = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]
