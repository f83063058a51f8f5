"""What the agent reads from the API, in the shape it needs."""

import http.client
import json
import socket

import boto3
from botocore.config import Config


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Cloud:
    def __init__(self, world):
        # This key id marks the agent's calls: they are not in the call log and meet no faults.
        session = boto3.Session("SANDBOXAGENT", "sandbox", region_name=world["region"])
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=60)
        self.ec2 = session.client("ec2", endpoint_url=world["aws_endpoint"], config=config)
        self.rds = session.client("rds", endpoint_url=world["aws_endpoint"], config=config)
        self.control_socket = world["control_socket"]
        self.cluster = f"{world['project']}-cluster"

    def control(self, method, path, body=None, timeout=10):
        connection = UnixConnection(self.control_socket, timeout)
        try:
            connection.request(method, f"/sandbox/{path}", json.dumps(body) if body is not None else None)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def wait_for_change(self, since, seconds):
        return self.control("GET", f"changes?since={since}&wait={seconds}", timeout=seconds + 10)

    def instances(self):
        found = {}
        for page in self.ec2.get_paginator("describe_instances").paginate():
            for reservation in page["Reservations"]:
                for instance in reservation["Instances"]:
                    found[instance["InstanceId"]] = instance
        return found

    def groups(self):
        pages = self.ec2.get_paginator("describe_security_groups").paginate()
        return {group["GroupId"]: group for page in pages for group in page["SecurityGroups"]}

    def database_groups(self):
        """Group ids of each database instance, the writer first (as the addresses are given)."""
        # Other stacks may have databases too; behind those there is nothing.
        instances = self.rds.describe_db_instances()["DBInstances"]
        by_name = {
            instance["DBInstanceIdentifier"]: [g["VpcSecurityGroupId"] for g in instance["VpcSecurityGroups"]]
            for instance in instances
            if instance["DBClusterIdentifier"] == self.cluster
        }
        return [by_name[name] for name in sorted(by_name, reverse=True)]

    def user_data(self, instance_id):
        answer = self.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        return answer.get("UserData", {}).get("Value")

    def shutdown_behaviour(self, instance_id):
        answer = self.ec2.describe_instance_attribute(
            InstanceId=instance_id, Attribute="instanceInitiatedShutdownBehavior"
        )
        return answer.get("InstanceInitiatedShutdownBehavior", {}).get("Value") or "stop"

    def public_key(self, name):
        """The imported key pair's public half; the instance keeps it even if the pair is deleted later."""
        if not name:
            return None
        pairs = self.ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"]
        return pairs[0].get("PublicKey") if pairs else None
