"""Entry point: python -m aws_api.server WORLD.json

WORLD.json (written by `sandbox up`) says where to listen. The control path is also served on a unix socket,
which is reachable from every network namespace.
"""

import json
import logging
import os
import socket
import sys
import threading
import traceback

# moto checks these only if asked to; AWS always does.
os.environ.setdefault("MOTO_ENABLE_KEYPAIR_VALIDATION", "1")
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from . import cloudformation_types, groups_and_keys, instances, stacks
from .control import control
from .middleware import ControlPath, Middleware
from .stack_template import template


class QuietHandler(MotoRequestHandler):
    def log_request(self, code="-", size="-"):
        """The call log has it already, with names."""


def echo(environ, start_response):
    """Answers with the caller's address, like checkip.amazonaws.com."""
    address = echo.fixed_answer or environ["REMOTE_ADDR"]
    data = f"{address}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


echo.fixed_answer = None


# http.server looks up the name of the address it binds; no name server can be reached from here.
socket.getfqdn = lambda name="": name


def serve(application, host, port):
    server = make_server(host, port, application, threaded=True, request_handler=QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def create_stack(world):
    """Create the team's stack through the API itself and remember what tests want to know about it."""
    session = boto3.Session("SANDBOXAGENT", "sandbox", region_name=world["region"])
    endpoint = {"endpoint_url": world["aws_endpoint"]}
    session.client("ssm", **endpoint).put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String", Overwrite=True
    )
    cloudformation = session.client("cloudformation", **endpoint)
    cloudformation.create_stack(
        StackName=world["stack"], TemplateBody=json.dumps(template(world["stack"], world["project"]))
    )
    stack = cloudformation.describe_stacks(StackName=world["stack"])["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    secret = session.client("secretsmanager", **endpoint).get_secret_value(SecretId=outputs["DatabaseSecretArn"])
    control.facts = {
        "stack_status": stack["StackStatus"],
        "vpc_id": outputs["VpcId"],
        "writer_endpoint": outputs["DatabaseEndpoint"],
        "reader_endpoint": outputs["DatabaseReadEndpoint"],
        "secret_arn": outputs["DatabaseSecretArn"],
        # For `sandbox up`, which sets this password in PostgreSQL; it is not written to endpoints.json.
        "secret": json.loads(secret["SecretString"]),
    }


def main():
    with open(sys.argv[1]) as file:
        world = json.load(file)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    control.timings.update(world.get("timings", {}))
    control.instance_names_are_addresses = world.get("instance_names_are_addresses", False)
    control.public_prefix = world.get("public_prefix", control.public_prefix)
    echo.fixed_answer = world.get("echo_answer")
    for patches in (instances, groups_and_keys, cloudformation_types, stacks):
        patches.install()
    application = Middleware(DomainDispatcherApplication(create_backend_app), ControlPath())
    serve(application, world["aws_address"], world["aws_port"])
    serve(echo, world["echo_address"], world["echo_port"])
    control_socket = world["control_socket"]
    if os.path.exists(control_socket):
        os.unlink(control_socket)
    serve(application, f"unix://{control_socket}", 0)
    os.chmod(control_socket, 0o600)
    try:
        create_stack(world)
    except Exception as error:
        traceback.print_exc()
        control.facts = {"error": f"the stack could not be created: {error}"}
    threading.Event().wait()


if __name__ == "__main__":
    main()
