"""Makes variants of the team's stack through the sandbox's API, for tests of discovery: variants.py NAME..."""

import copy
import json
import sys

import boto3

from aws_api.stack_template import ref, tags, template

cloudformation = boto3.client("cloudformation")
ec2 = boto3.client("ec2")
NAME_TAG = "aws-cdk:subnet-name"


def create(name, resources, outputs=None):
    body = {"Resources": resources, "Outputs": outputs or {}}
    try:
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(body))
    except cloudformation.exceptions.AlreadyExistsException:
        pass  # from an earlier run of the tests on the same sandbox


def team(name, project):
    return copy.deepcopy(template(name, project)["Resources"])


def untagged(resources):
    for resource in resources.values():
        if resource["Type"] == "AWS::EC2::Subnet":
            resource["Properties"]["Tags"] = [t for t in resource["Properties"]["Tags"] if t["Key"] != NAME_TAG]
    return resources


def paged():
    """More than one page of resources, the database's among the last."""
    fillers = {
        f"Setting{number}": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": f"/paged/{number}", "Type": "String", "Value": "x"},
        }
        for number in range(120)
    }
    create("PagedStack", {**fillers, **team("PagedStack", "paged")})
    first_page = cloudformation.list_stack_resources(StackName="PagedStack")
    kinds = {one["ResourceType"] for one in first_page["StackResourceSummaries"]}
    assert first_page["NextToken"] and "AWS::RDS::DBCluster" not in kinds, kinds


def nested():
    """The database two stacks down."""
    bucket = "templates"
    s3 = boto3.client("s3")
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})

    def nested_stack(key, body):
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(body).encode())
        url = f"https://s3.amazonaws.com/{bucket}/{key}"
        return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}

    inner = nested_stack("inner.json", {"Resources": team("Inner", "nested")})
    middle = nested_stack("middle.json", {"Resources": {"Database": inner}})
    empty = nested_stack("empty.json", {"Resources": {"CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {}}}})
    create("NestedStack", {"Storage": middle, "Queues": empty})


def two():
    """Two clusters and two VPCs, each with subnets called Ingress."""
    resources = team("TwoStack", "two")
    blog = {
        "Blog0A1B2C3D": copy.deepcopy(resources["DatabaseB269D8BB"]),
        "BlogSecret1A2B3C4D": copy.deepcopy(resources["DatabaseSecret3B817195"]),
        "BlogSecretAttachment4D3C2B1A": copy.deepcopy(resources["DatabaseSecretAttachmentE5D1B020"]),
        "Blogwriter0F0F0F0F": copy.deepcopy(resources["Databasewriter2462CC03"]),
    }
    blog["Blog0A1B2C3D"]["Properties"]["DBClusterIdentifier"] = "two-blog"
    blog["BlogSecretAttachment4D3C2B1A"]["Properties"] |= {
        "SecretId": ref("BlogSecret1A2B3C4D"),
        "TargetId": ref("Blog0A1B2C3D"),
    }
    blog["Blogwriter0F0F0F0F"] |= {"DependsOn": ["Blog0A1B2C3D"]}
    blog["Blogwriter0F0F0F0F"]["Properties"] |= {
        "DBClusterIdentifier": ref("Blog0A1B2C3D"),
        "DBInstanceIdentifier": "two-blog-writer",
    }
    other_vpc = {
        "OtherVpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16", "Tags": tags("Other")}},
        "OtherIngressSubnet1Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {
                "VpcId": ref("OtherVpc"),
                "CidrBlock": "10.9.0.0/24",
                "Tags": [{"Key": NAME_TAG, "Value": "Ingress"}],
            },
        },
    }
    create("TwoStack", {**resources, **blog, **other_vpc}, {"OtherVpc": {"Value": ref("OtherVpc")}})


def untagged_subnets():
    create("UntaggedStack", untagged(team("UntaggedStack", "untagged")))


def named_subnets():
    """Not made by the CDK, as far as tags tell: nothing but a Name."""
    create("NamedStack", untagged(team("NamedStack", "named")))
    found = ec2.describe_subnets(Filters=[{"Name": "tag:aws:cloudformation:stack-name", "Values": ["NamedStack"]}])
    ids = [subnet["SubnetId"] for subnet in found["Subnets"]]
    ec2.delete_tags(Resources=ids, Tags=[{"Key": "aws:cloudformation:logical-id"}])


def closed():
    """Ingress subnets that lead nowhere."""
    resources = team("ClosedStack", "closed")
    create("ClosedStack", {name: one for name, one in resources.items() if "IngressSubnet" not in name or "Default" not in name})


def public():
    """The way out is called otherwise."""
    resources = team("PublicStack", "public")
    text = json.dumps(resources).replace("IngressSubnet", "PublicSubnet").replace('"Ingress"', '"Public"')
    create("PublicStack", json.loads(text))


for name in sys.argv[1:]:
    globals()[name]()
