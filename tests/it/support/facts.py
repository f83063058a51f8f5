"""Reads a bastion back through the API, past devdb: facts.py ALIAS, JSON on stdout."""

import json
import sys

import boto3

ec2, rds = boto3.client("ec2"), boto3.client("rds")
alias = sys.argv[1]


def tagged(resource):
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


named = [{"Name": "tag:Name", "Values": [f"{alias}-db-bastion"]}, {"Name": "instance-state-name", "Values": ["running"]}]
found = ec2.describe_instances(Filters=named)["Reservations"]
(instance,) = [one for reservation in found for one in reservation["Instances"]]
(volume,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}])["Volumes"]
(subnet,) = ec2.describe_subnets(SubnetIds=[instance["SubnetId"]])["Subnets"]
(group,) = instance["NetworkInterfaces"][0]["Groups"]
shutdown = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="instanceInitiatedShutdownBehavior")
(pair,) = ec2.describe_key_pairs(KeyNames=[instance["KeyName"]], IncludePublicKey=True)["KeyPairs"]

(cluster,) = rds.describe_db_clusters(DBClusterIdentifier="shop-cluster")["DBClusters"]
(writer,) = [one["DBInstanceIdentifier"] for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]]
(database,) = rds.describe_db_instances(DBInstanceIdentifier=writer)["DBInstances"]


def rules(group_id):
    listed = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group_id]}])
    return [
        {
            "egress": rule["IsEgress"],
            "protocol": rule["IpProtocol"],
            "ports": [rule["FromPort"], rule["ToPort"]],
            "source": rule.get("CidrIpv4") or rule.get("ReferencedGroupInfo", {}).get("GroupId"),
            "is_devdbs": "devdb:owner" in tagged(rule),
        }
        for rule in listed["SecurityGroupRules"]
    ]


print(
    json.dumps(
        {
            "type": instance["InstanceType"],
            "name": tagged(instance)["Name"],
            "vpc": instance["VpcId"],
            "database_vpc": database["DBSubnetGroup"]["VpcId"],
            "subnet_name": tagged(subnet)["aws-cdk:subnet-name"],
            "subnet_zone": subnet["AvailabilityZone"],
            "writer_zone": database["AvailabilityZone"],
            "private_ip": instance["PrivateIpAddress"],
            "public_ip": instance.get("PublicIpAddress"),
            "tokens": instance["MetadataOptions"]["HttpTokens"],
            "encrypted": volume["Encrypted"],
            "shutdown": shutdown["InstanceInitiatedShutdownBehavior"]["Value"],
            "key_name": instance["KeyName"],
            "public_key": pair["PublicKey"],
            "group": group["GroupName"],
            "group_id": group["GroupId"],
            "group_rules": rules(group["GroupId"]),
            "database_rules": rules(database["VpcSecurityGroups"][0]["VpcSecurityGroupId"]),
        }
    )
)
