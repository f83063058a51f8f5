"""What devdb has left: asks the API, the processes, the ports and the sockets, never devdb itself.

Runs on the sandbox's laptop. Prints a line for each kind and exits with 1 if anything is left.
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3

OURS = [{"Name": "tag-key", "Values": ["devdb:project"]}]


def tagged(ec2):
    """Everything that carries devdb's tags; a terminated instance is only a record that EC2 keeps for an hour."""
    reservations = ec2.describe_instances(Filters=OURS)["Reservations"]
    instances = [i for r in reservations for i in r["Instances"] if i["State"]["Name"] != "terminated"]
    yield "instances", [f"{i['InstanceId']} ({i['State']['Name']})" for i in instances]
    yield "volumes", [v["VolumeId"] for v in ec2.describe_volumes(Filters=OURS)["Volumes"]]
    interfaces = ec2.describe_network_interfaces(Filters=OURS)["NetworkInterfaces"]
    yield "network interfaces", [i["NetworkInterfaceId"] for i in interfaces]
    yield "security groups", [g["GroupId"] for g in ec2.describe_security_groups(Filters=OURS)["SecurityGroups"]]
    rules = ec2.describe_security_group_rules(Filters=OURS)["SecurityGroupRules"]
    yield "security group rules", [r["SecurityGroupRuleId"] for r in rules]
    yield "key pairs", [k["KeyName"] for k in ec2.describe_key_pairs(Filters=OURS)["KeyPairs"]]


def processes():
    """Processes of this laptop (its network namespace) that are devdb or ssh."""
    here = os.readlink("/proc/self/ns/net")
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if os.readlink(folder / "ns/net") != here:
                continue
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(command[0].decode(errors="replace").removesuffix(":")).name in ("devdb", "ssh"):
            found.append(f"{folder.name} {b' '.join(command).decode(errors='replace').strip()}")
    return found


def listeners():
    lines = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[3] for line in lines]


def sockets():
    """Open ones of this laptop, and files that nobody serves any more."""
    lines = subprocess.run(["ss", "-lxH"], capture_output=True, text=True, check=True).stdout.splitlines()
    folders = [Path(os.environ["XDG_RUNTIME_DIR"]), Path(os.environ["HOME"], ".local/state/devdb")]
    ours = (*map(str, folders), f"/tmp/devdb-{os.getuid()}/")
    open_ones = [path for path in (line.split()[4] for line in lines) if path.startswith(ours)]
    files = [str(path) for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_socket()]
    return sorted({*open_ones, *files})


def main():
    ec2 = boto3.client("ec2", region_name=os.environ["AWS_REGION"])
    clean = True
    checks = [*tagged(ec2), ("devdb and ssh processes", processes()), ("listening ports", listeners())]
    for kind, found in [*checks, ("unix sockets", sockets())]:
        print(f"  {kind:<24} {'none' if not found else ', '.join(found)}")
        clean = clean and not found
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
