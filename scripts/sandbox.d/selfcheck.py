#!/usr/bin/env python3
"""Goes through the runbook on a running sandbox with plain tools: boto3, ssh, psql. Removes what it made.

scripts/sandbox up && scripts/sandbox.d/selfcheck.py [NAME]
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SANDBOX = HERE.parent / "sandbox"
ALIAS = "selfcheck"

failures = []


def check(title, good, detail=""):
    print(f"  {'ok  ' if good else 'FAIL'}  {title}{'' if good else ': ' + str(detail).strip()[-400:]}", flush=True)
    if not good:
        failures.append(title)
    return good


def wait_until(condition, seconds, pause=0.05):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(pause)


def error_code(function, **arguments):
    """The AWS error code that a call answers, or None if it succeeds."""
    from botocore.exceptions import ClientError

    try:
        function(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def connects(address, port, source=None, seconds=1.5):
    """`open`, `refused` or `silent`."""
    with socket.socket() as client:
        client.settimeout(seconds)
        try:
            if source:
                client.bind((source, 0))
            client.connect((address, port))
            return "open"
        except ConnectionRefusedError:
            return "refused"
        except OSError as error:
            return "silent" if isinstance(error, TimeoutError) else str(error)


class Runbook:
    def __init__(self, facts):
        import boto3
        from botocore.config import Config

        self.facts = facts
        once = Config(retries={"total_max_attempts": 1})
        self.ec2, self.rds, self.cloudformation, self.secrets, self.sts = (
            boto3.client(name, config=once) for name in ("ec2", "rds", "cloudformation", "secretsmanager", "sts")
        )
        self.folder = Path(tempfile.mkdtemp(prefix="ddb-check-"))
        # Without root security groups are not enforced and the link cannot be disturbed.
        self.enforced = not facts["rootless"]
        self.nobody = "silent" if self.enforced else "refused"
        self.group = self.key_id = self.instance_id = self.database_rule = None
        self.tunnel = None

    # ---- steps ----------------------------------------------------------------------------------

    def discover(self):
        check("credentials answer", bool(self.sts.get_caller_identity()["Account"]))
        stack = self.cloudformation.describe_stacks(StackName=self.facts["stack"])["Stacks"][0]
        check("stack is complete", stack["StackStatus"] == "CREATE_COMPLETE", stack["StackStatus"])
        resources = self.cloudformation.describe_stack_resources(StackName=self.facts["stack"])["StackResources"]
        types = {r["ResourceType"] for r in resources if r.get("PhysicalResourceId")}
        wanted = {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance",
                  "AWS::SecretsManager::Secret"}  # fmt: skip
        check("stack lists network, database and secret", wanted <= types, wanted - types)
        tag = {"Name": "tag:aws:cloudformation:stack-name", "Values": [self.facts["stack"]]}
        self.vpc = self.ec2.describe_vpcs(Filters=[tag])["Vpcs"][0]["VpcId"]
        subnets = self.ec2.describe_subnets(Filters=[tag, {"Name": "tag:aws-cdk:subnet-name", "Values": ["Ingress"]}])[
            "Subnets"
        ]
        check("two Ingress subnets in two zones", len({s["AvailabilityZone"] for s in subnets}) == 2, subnets)
        tables = self.ec2.describe_route_tables(
            Filters=[{"Name": "association.subnet-id", "Values": [subnets[0]["SubnetId"]]}]
        )["RouteTables"]
        gateways = [route.get("GatewayId", "") for table in tables for route in table["Routes"]]
        check("Ingress routes to an internet gateway", any(g.startswith("igw-") for g in gateways), gateways)
        self.subnet = subnets[0]["SubnetId"]
        cluster = self.rds.describe_db_clusters()["DBClusters"][0]
        members = {m["DBInstanceIdentifier"]: m["IsClusterWriter"] for m in cluster["DBClusterMembers"]}
        check("cluster has one writer and one reader", sorted(members.values()) == [False, True], members)
        tags = {t["Key"]: t["Value"] for t in cluster["TagList"]}
        check(
            "cluster carries CloudFormation's tags",
            tags.get("aws:cloudformation:stack-name") == self.facts["stack"],
            tags,
        )
        writer = next(name for name, is_writer in members.items() if is_writer)
        instance = self.rds.describe_db_instances(DBInstanceIdentifier=writer)["DBInstances"][0]
        self.database_group = instance["VpcSecurityGroups"][0]["VpcSecurityGroupId"]
        secret = self.secrets.get_secret_value(SecretId=self.facts["secret_arn"])
        self.login = json.loads(secret["SecretString"])
        check("password is a nasty one", all(c in self.login["password"] for c in "'\"$` \\"), "too tame")
        check("secret names the cluster", self.login["host"] == self.facts["cluster_endpoint"], self.login["host"])

    def public_address(self):
        import urllib.request

        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        answer = direct.open(self.facts["echo_url"], timeout=3).read().decode().strip()
        if self.enforced:
            check("echo service knows the laptop's address", answer == self.facts["laptop_addresses"][0], answer)
        self.address = answer

    def user_data(self):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "host", "-f", self.folder / "host_key"], check=True
        )
        private = (self.folder / "host_key").read_text()
        permitted = " ".join(f"{self.facts[e]}:5432" for e in ("cluster_endpoint", "reader_endpoint"))
        config = {
            "ssh_deletekeys": True,
            "ssh_keys": {"ed25519_private": private, "ed25519_public": (self.folder / "host_key.pub").read_text()},
            "write_files": [
                {
                    "path": "/etc/ssh/sshd_config.d/10-bastion.conf",
                    "permissions": "0600",
                    "content": f"PermitOpen {permitted}\nX11Forwarding no\nAllowAgentForwarding no\nUseDNS no\n",
                },
                {"path": "/etc/systemd/system/expire.service", "content": "[Service]\nType=oneshot\nExecStart=/usr/local/bin/expire\n"},
                {
                    "path": "/etc/systemd/system/expire.timer",
                    "content": "[Timer]\nOnBootSec=1\nOnUnitActiveSec=1\nPersistent=true\n[Install]\nWantedBy=timers.target\n",
                },
                {
                    "path": "/usr/local/bin/expire",
                    "permissions": "0755",
                    "content": "#!/bin/sh\n[ -e /home/ec2-user/expired ] && systemctl poweroff\nexit 0\n",
                },
            ],
            "runcmd": [
                ["systemctl", "daemon-reload"],
                ["systemctl", "enable", "--now", "expire.timer"],
                "sysctl -w net.ipv4.tcp_congestion_control=bbr || true",
                ["sh", "-c", "echo ready > /var/lib/bastion-ready"],
            ],
        }  # fmt: skip
        # JSON is YAML, too.
        return "#cloud-config\n" + json.dumps(config, indent=1)

    def provision(self):
        created = self.ec2.create_security_group(
            GroupName=f"devdb-{ALIAS}", Description="self check", VpcId=self.vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "devdb:owner", "Value": ALIAS}]}],
        )  # fmt: skip
        self.group = created["GroupId"]
        self.ec2.revoke_security_group_egress(
            GroupId=self.group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        )
        self.ec2.authorize_security_group_egress(
            GroupId=self.group, IpPermissions=[tcp(5432, "10.0.4.0/24"), tcp(5432, "10.0.5.0/24")]
        )
        rules = self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpPermissions=[tcp(22, f"{self.address}/32"), tcp(2222, f"{self.address}/32")]
        )["SecurityGroupRules"]
        check("authorizing two permissions answers two rules", len(rules) == 2, rules)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "key"], check=True)
        public = (self.folder / "key.pub").read_text()
        pair = self.ec2.import_key_pair(KeyName=f"devdb-{ALIAS}", PublicKeyMaterial=public.encode())
        self.key_id = pair["KeyPairId"]
        printed = subprocess.run(["ssh-keygen", "-lf", self.folder / "key.pub"], capture_output=True, text=True).stdout
        fingerprint = printed.split()[1].removeprefix("SHA256:")
        check("key pair has OpenSSH's fingerprint", pair["KeyFingerprint"].rstrip("=") == fingerprint, pair)
        launch = {
            "ImageId": "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
            "InstanceType": "t2.micro",
            "KeyName": f"devdb-{ALIAS}",
            "MinCount": 1,
            "MaxCount": 1,
            "ClientToken": f"token-{os.getpid()}",
            "UserData": self.user_data(),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "NetworkInterfaces": [
                {"DeviceIndex": 0, "SubnetId": self.subnet, "Groups": [self.group], "AssociatePublicIpAddress": True}
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": [{"Key": "devdb:owner", "Value": ALIAS}]}
                for kind in ("instance", "volume", "network-interface")
            ],
        }
        first = self.ec2.run_instances(**launch)["Instances"][0]
        again = self.ec2.run_instances(**launch)["Instances"][0]
        self.instance_id = first["InstanceId"]
        check("launch begins as pending", first["State"]["Name"] == "pending", first["State"])
        check("the same client token makes no second instance", again["InstanceId"] == self.instance_id)
        check("another request with that token is refused",
              error_code(self.ec2.run_instances, **{**launch, "InstanceType": "t3.micro"}) == "IdempotentParameterMismatch")  # fmt: skip
        check(
            "instance shows its group",
            [g["GroupId"] for g in first["SecurityGroups"]] == [self.group],
            first["SecurityGroups"],
        )
        check("network interface carries its tag",
              first["NetworkInterfaces"] and self.interface_tag() == ALIAS)  # fmt: skip
        by_token = self.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": [launch["ClientToken"]]}])
        check("the client token finds the instance", len(by_token["Reservations"]) == 1, by_token["Reservations"])
        started = time.monotonic()
        found = wait_until(lambda: self.describe() if self.state() == "running" else None, 10)
        check(f"instance runs ({time.monotonic() - started:.1f} s)", found, self.state())
        self.public_ip, self.dns = found["PublicIpAddress"], found["PublicDnsName"]
        self.private_ip = found["PrivateIpAddress"]
        check(
            "public name is AWS's form",
            self.dns == f"ec2-{self.public_ip.replace('.', '-')}.eu-west-1.compute.amazonaws.com",
            self.dns,
        )
        known = (self.folder / "host_key.pub").read_text().split()[:2]
        (self.folder / "known_hosts").write_text(f"{self.instance_id} {' '.join(known)}\n")

    def interface_tag(self):
        found = self.ec2.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [self.instance_id]}]
        )["NetworkInterfaces"][0]
        return {t["Key"]: t["Value"] for t in found["TagSet"]}.get("devdb:owner")

    def describe(self):
        return self.ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"][0]["Instances"][0]

    def state(self):
        return self.describe()["State"]["Name"]

    def ssh(self, *words, options=(), background=False):
        command = ["ssh", "-F", "none", "-i", self.folder / "key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}",
                   "-o", f"HostKeyAlias={self.instance_id}", "-o", "ConnectTimeout=3",
                   "-p", str(self.facts["ssh_port"]),
                   *options, f"ec2-user@{self.dns}", *words]  # fmt: skip
        if background:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def log_in(self):
        started = time.monotonic()
        done = wait_until(lambda: (lambda d: d if d.returncode == 0 else None)(self.ssh("id -un")), 15)
        check(f"ssh as ec2-user with a strict host key ({time.monotonic() - started:.1f} s)",
              done and done.stdout.strip() == "ec2-user", done and done.stderr)  # fmt: skip
        ready = wait_until(lambda: self.ssh("cat /var/lib/bastion-ready").stdout.strip() == "ready", 10)
        check("runcmd ran to its end", ready, self.ssh("cat /var/log/cloud-init-output.log").stdout)
        console = wait_until(lambda: self.ec2.get_console_output(InstanceId=self.instance_id).get("Output"), 5)
        check("console output shows the host key", console and "BEGIN SSH HOST KEY" in console, console)
        if not self.enforced:
            return
        check(
            "22 from another address is silent",
            connects(self.public_ip, 22, self.facts["laptop_addresses"][1]) == "silent",
        )
        check("another port of the instance is silent", connects(self.public_ip, 80) == "silent")
        check("the database is not reachable from the laptop",
              connects(self.facts["database_addresses"][0], 5432) == "silent")  # fmt: skip

    def forward(self, endpoint="cluster_endpoint"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        target = f"127.0.0.1:{self.port}:{self.facts[endpoint]}:5432"
        self.tunnel = self.ssh(options=("-N", "-L", target, "-o", "ExitOnForwardFailure=yes",
                                        "-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"), background=True)  # fmt: skip
        wait_until(lambda: connects("127.0.0.1", self.port) == "open", 5)

    def psql(self, query, timeout=4, endpoint="cluster_endpoint"):
        environment = {**os.environ, "PGHOST": self.facts[endpoint], "PGHOSTADDR": "127.0.0.1", "PGPORT": str(self.port),
                       "PGUSER": self.login["username"], "PGPASSWORD": self.login["password"],
                       "PGDATABASE": self.login["dbname"], "PGSSLMODE": "verify-full",
                       "PGSSLROOTCERT": self.facts["ca_file"], "PGCONNECT_TIMEOUT": str(timeout)}  # fmt: skip
        return subprocess.run(["psql", "-XAtc", query], env=environment, capture_output=True, text=True, timeout=30)

    def database(self):
        if self.enforced:
            self.forward()
            check("5432 is silent before the rule", self.psql("select 1", timeout=2).returncode != 0)
            self.end_tunnel()
        answer = self.ec2.authorize_security_group_ingress(
            GroupId=self.database_group, IpPermissions=[tcp(5432, f"{self.private_ip}/32")]
        )
        self.database_rule = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
        self.forward()
        done = wait_until(
            lambda: (lambda d: d if d.returncode == 0 else None)(
                self.psql("select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()")
            ),
            5,
        )
        check(
            "psql verify-full through the tunnel",
            done and done.stdout.strip() == f"{self.login['username']}|t",
            done and done.stderr,
        )
        done = self.psql(
            "create table if not exists check_it (n int); insert into check_it values (1); select pg_is_in_recovery(), rolsuper from pg_roles where rolname = current_user"
        )
        check(
            "the master user may create tables and is no superuser",
            done.stdout.strip().endswith("f|f"),
            done.stderr + done.stdout,
        )
        refused = self.ssh(options=("-W", f"{self.facts['instance_endpoints'][0]}:5432"))
        check("sshd's PermitOpen holds", "administratively prohibited" in refused.stderr, refused.stderr)
        self.ec2.revoke_security_group_ingress(GroupId=self.database_group, SecurityGroupRuleIds=[self.database_rule])
        self.database_rule = self.ec2.authorize_security_group_ingress(
            GroupId=self.database_group,
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": self.group}]}],
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]  # fmt: skip
        check("a rule that names the bastion's group works too",
              wait_until(lambda: self.psql("select 1").returncode == 0, 5))  # fmt: skip
        check("a group in use cannot be deleted",
              error_code(self.ec2.delete_security_group, GroupId=self.group) == "DependencyViolation")  # fmt: skip
        unknown = {"GroupId": self.database_group, "SecurityGroupRuleIds": ["sgr-00000000000000000"]}
        code = error_code(self.ec2.revoke_security_group_ingress, **unknown)
        check("revoking an unknown rule says so", code == "InvalidSecurityGroupRuleId.NotFound", code)
        self.end_tunnel()
        self.forward("reader_endpoint")
        replica = self.psql("select pg_is_in_recovery(), n from check_it", endpoint="reader_endpoint")
        check(
            "the reader endpoint is a replica that follows",
            replica.stdout.strip() == "t|1",
            replica.stdout + replica.stderr,
        )
        self.end_tunnel()
        self.forward()
        self.psql("drop table check_it")

    def faults(self):
        ask("fault kill-sshd")
        code = wait_until(lambda: self.tunnel.poll(), 3)
        check("kill-sshd ends the tunnel's ssh", code is not None)
        self.end_tunnel()
        check("ssh works again after it", self.ssh("true").returncode == 0)
        ask("fault kill-sshd --listener")
        check("with --listener, its port is refused", connects(self.public_ip, self.facts["ssh_port"]) == "refused")
        ask("fault clear")
        check("clear brings sshd back", wait_until(lambda: self.ssh("true").returncode == 0, 5))
        if self.enforced:
            self.link_faults()
        ask("fault api " + json.dumps({"action": "DescribeVpcs", "code": "RequestLimitExceeded", "status": 503}))
        check("an armed API fault hits once", error_code(self.ec2.describe_vpcs) == "RequestLimitExceeded")
        check("and only once", error_code(self.ec2.describe_vpcs) is None)

    def link_faults(self):
        ask("fault cut")
        check("cut makes the link silent", connects(self.public_ip, 22, seconds=1) == "silent")
        ask("fault clear")
        check("clear restores the link", wait_until(lambda: connects(self.public_ip, 22) == "open", 5))
        ask("fault delay 40")
        connects(self.public_ip, 22)
        started = time.monotonic()
        connects(self.public_ip, 22)
        took = time.monotonic() - started
        check(f"delay 40 makes a connect take 80 ms ({took * 1000:.0f} ms)", 0.078 < took < 0.2)
        ask("fault clear")

    def stop_and_start(self):
        old = self.public_ip
        self.ec2.stop_instances(InstanceIds=[self.instance_id])
        check("stopping takes time", self.state() == "stopping", self.state())
        check("stopped in the end", wait_until(lambda: self.state() == "stopped", 10))
        check("a stopped instance does not answer", connects(old, self.facts["ssh_port"]) == self.nobody)
        self.ec2.start_instances(InstanceIds=[self.instance_id])
        found = wait_until(lambda: self.describe() if self.state() == "running" else None, 10)
        self.public_ip, self.dns = found["PublicIpAddress"], found["PublicDnsName"]
        check("start gives a new public address", self.public_ip != old, old)
        check("same host key after start", wait_until(lambda: self.ssh("true").returncode == 0, 10))
        check("its files are still there", self.ssh("cat /var/lib/bastion-ready").stdout.strip() == "ready")

    def expire(self):
        """The instance's own timer powers it off, which terminates it."""
        self.ssh("touch expired")
        check("the timer on the instance terminates it",
              wait_until(lambda: self.state() in ("shutting-down", "terminated"), 10), self.state())  # fmt: skip
        check("terminated in the end", wait_until(lambda: self.state() == "terminated", 10))
        check(
            "terminating again is fine",
            error_code(self.ec2.terminate_instances, InstanceIds=[self.instance_id]) is None,
        )
        check("a terminated instance does not answer", connects(self.public_ip, self.facts["ssh_port"]) == self.nobody)
        gone = wait_until(lambda: self.instance_id not in ask("instances"), 5)
        check("nothing of it is left on the machine", gone)

    def end_tunnel(self):
        if self.tunnel:
            self.tunnel.kill()
            self.tunnel.wait()
            self.tunnel = None

    def remove(self):
        self.end_tunnel()
        if self.database_rule:
            self.ec2.revoke_security_group_ingress(
                GroupId=self.database_group, SecurityGroupRuleIds=[self.database_rule]
            )
        if self.instance_id:
            self.ec2.terminate_instances(InstanceIds=[self.instance_id])
            wait_until(lambda: self.state() == "terminated", 10)
        if self.group:
            self.ec2.delete_security_group(GroupId=self.group)
        if self.key_id:
            self.ec2.delete_key_pair(KeyPairId=self.key_id)
            left = self.ec2.describe_key_pairs()["KeyPairs"]
            check("the key pair is gone", self.key_id not in [k["KeyPairId"] for k in left])
        shutil.rmtree(self.folder)


def tcp(port, cidr):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}


def ask(words):
    """Ask the outer process (it is on the machine, not on the laptop) to do something; returns its answer."""
    print(f"@{words}", flush=True)
    return sys.stdin.readline()


def check_credentials():
    import boto3
    from botocore.exceptions import ClientError

    expected = {"ec2": "RequestExpired", "rds": "ExpiredToken", "secretsmanager": "ExpiredTokenException",
                "cloudformation": "ExpiredToken", "sts": "ExpiredToken"}  # fmt: skip
    calls = {"ec2": "describe_vpcs", "rds": "describe_db_clusters", "secretsmanager": "list_secrets",
             "cloudformation": "list_stacks", "sts": "get_caller_identity"}  # fmt: skip
    for service, code in expected.items():
        client = boto3.client(service, aws_access_key_id="ASIAEXPIRED1", aws_secret_access_key="x")
        try:
            getattr(client, calls[service])()
            check(f"expired credentials: {service}", False, "accepted")
        except ClientError as error:
            check(f"expired credentials: {service}", error.response["Error"]["Code"] == code, error)


def inside(state):
    """On the laptop."""
    with open(f"{state}/endpoints.json") as file:
        facts = json.load(file)
    # boto3 does not read AWS_REGION, unlike the other SDKs.
    os.environ["AWS_DEFAULT_REGION"] = os.environ["AWS_REGION"]
    runbook = Runbook(facts)
    try:
        for step in (
            "discover",
            "public_address",
            "provision",
            "log_in",
            "database",
            "faults",
            "stop_and_start",
            "expire",
        ):
            print(f"@say {step.replace('_', ' ')}", flush=True)
            sys.stdin.readline()
            getattr(runbook, step)()
        check_credentials()
    finally:
        runbook.remove()
    return 1 if failures else 0


def outside(name):
    """On the machine: starts the laptop's part, prints what it says, does what it asks for."""
    owner = os.environ.get("SUDO_UID", os.getuid())
    base = os.environ.get("DEVDB_SANDBOX_DIR") or f"/tmp/devdb-sandbox-{owner}"
    state = Path(base) / name
    facts = json.loads((state / "endpoints.json").read_text())
    started = time.monotonic()
    child = subprocess.Popen(
        [SANDBOX, "exec", "--name", name, "--", facts["python"], Path(__file__).resolve(), "--inside", state],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in child.stdout:
        if not line.startswith("@"):
            print(line, end="", flush=True)
            continue
        verb, _, rest = line[1:].strip().partition(" ")
        answer = ""
        if verb == "say":
            print(rest)
        elif verb == "fault":
            fault_name, _, argument = rest.partition(" ")
            words = [fault_name, *([argument] if argument.startswith("{") else argument.split())]
            done = subprocess.run([SANDBOX, "fault", "--name", name, *words], capture_output=True, text=True)
            answer = (done.stdout + done.stderr).strip().replace("\n", "; ")
            print(f"        {answer}")
        elif verb == "instances":
            namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
            answer = " ".join(path.name for path in (state / "instances").iterdir())
            answer += " ".join(n for n in namespaces.split() if n.startswith(f"ddb-{name}-i"))
        child.stdin.write(answer + "\n")
        child.stdin.flush()
    code = child.wait()
    print(f"self check {'passed' if code == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)")
    return code


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(inside(sys.argv[2]))
    sys.exit(outside(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("DEVDB_SANDBOX") or "main"))
