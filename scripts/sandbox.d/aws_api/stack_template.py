"""The team's stack, shaped like what `cdk synth` writes: network, Aurora PostgreSQL with a reader, secret."""

SUBNETS = (("Ingress", "Public"), ("Application", "Private"), ("Database", "Isolated"))
ZONES = (1, 2)


def ref(name):
    return {"Ref": name}


def attribute(resource, name):
    return {"Fn::GetAtt": [resource, name]}


def tags(path):
    return [{"Key": "Name", "Value": path}]


def network(stack):
    resources = {
        "Vpc8378EB38": {
            "Type": "AWS::EC2::VPC",
            "Properties": {
                "CidrBlock": "10.0.0.0/16",
                "EnableDnsHostnames": True,
                "EnableDnsSupport": True,
                "InstanceTenancy": "default",
                "Tags": tags(f"{stack}/Vpc"),
            },
        },
        "VpcIGWD7BA715C": {"Type": "AWS::EC2::InternetGateway", "Properties": {"Tags": tags(f"{stack}/Vpc")}},
        "VpcVPCGWBF912B6E": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"InternetGatewayId": ref("VpcIGWD7BA715C"), "VpcId": ref("Vpc8378EB38")},
        },
    }
    third_byte = 0
    for name, kind in SUBNETS:
        for zone in ZONES:
            logical_id = f"Vpc{name}Subnet{zone}"
            path = f"{stack}/Vpc/{name}Subnet{zone}"
            resources[f"{logical_id}Subnet"] = {
                "Type": "AWS::EC2::Subnet",
                "Properties": {
                    "AvailabilityZone": {"Fn::Select": [zone - 1, {"Fn::GetAZs": ""}]},
                    "CidrBlock": f"10.0.{third_byte}.0/24",
                    "MapPublicIpOnLaunch": kind == "Public",
                    "Tags": [
                        {"Key": "aws-cdk:subnet-name", "Value": name},
                        {"Key": "aws-cdk:subnet-type", "Value": kind},
                        {"Key": "Name", "Value": path},
                    ],
                    "VpcId": ref("Vpc8378EB38"),
                },
            }
            resources[f"{logical_id}RouteTable"] = {
                "Type": "AWS::EC2::RouteTable",
                "Properties": {"Tags": tags(path), "VpcId": ref("Vpc8378EB38")},
            }
            resources[f"{logical_id}RouteTableAssociation"] = {
                "Type": "AWS::EC2::SubnetRouteTableAssociation",
                "Properties": {"RouteTableId": ref(f"{logical_id}RouteTable"), "SubnetId": ref(f"{logical_id}Subnet")},
            }
            third_byte += 1
    return resources


def routes(stack):
    def default_route(table, target):
        return {
            "Type": "AWS::EC2::Route",
            "Properties": {"DestinationCidrBlock": "0.0.0.0/0", "RouteTableId": ref(table), **target},
            "DependsOn": ["VpcVPCGWBF912B6E"],
        }

    resources = {
        "VpcIngressSubnet1EIP": {
            "Type": "AWS::EC2::EIP",
            "Properties": {"Domain": "vpc", "Tags": tags(f"{stack}/Vpc/IngressSubnet1")},
        },
        "VpcIngressSubnet1NATGateway": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {
                "AllocationId": attribute("VpcIngressSubnet1EIP", "AllocationId"),
                "SubnetId": ref("VpcIngressSubnet1Subnet"),
                "Tags": tags(f"{stack}/Vpc/IngressSubnet1"),
            },
        },
    }
    for zone in ZONES:
        resources[f"VpcIngressSubnet{zone}DefaultRoute"] = default_route(
            f"VpcIngressSubnet{zone}RouteTable", {"GatewayId": ref("VpcIGWD7BA715C")}
        )
        resources[f"VpcApplicationSubnet{zone}DefaultRoute"] = default_route(
            f"VpcApplicationSubnet{zone}RouteTable", {"NatGatewayId": ref("VpcIngressSubnet1NATGateway")}
        )
    return resources


def security_groups(stack):
    def group(description):
        return {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": description,
                "SecurityGroupEgress": [
                    {
                        "CidrIp": "0.0.0.0/0",
                        "Description": "Allow all outbound traffic by default",
                        "IpProtocol": "-1",
                    }
                ],
                "VpcId": ref("Vpc8378EB38"),
            },
        }

    port = attribute("DatabaseB269D8BB", "Endpoint.Port")
    return {
        "AppSecurityGroup0A1B2C3D": group(f"{stack}/AppSecurityGroup"),
        "DatabaseSecurityGroup5C91FDCB": group("RDS security group"),
        "DatabaseSecurityGroupfromAppSecurityGroup7E6F5A4B": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {
                "Description": f"from {stack}AppSecurityGroup:{{IndirectPort}}",
                "FromPort": port,
                "ToPort": port,
                "IpProtocol": "tcp",
                "GroupId": attribute("DatabaseSecurityGroup5C91FDCB", "GroupId"),
                "SourceSecurityGroupId": attribute("AppSecurityGroup0A1B2C3D", "GroupId"),
            },
        },
    }


def database(stack, project):
    def from_secret(key):
        return {
            "Fn::Join": ["", ["{{resolve:secretsmanager:", ref("DatabaseSecret3B817195"), f":SecretString:{key}::}}}}"]]
        }

    def instance(role, tier):
        return {
            "Type": "AWS::RDS::DBInstance",
            "Properties": {
                "DBClusterIdentifier": ref("DatabaseB269D8BB"),
                "DBInstanceClass": "db.t4g.medium",
                "DBInstanceIdentifier": f"{project}-{role}",
                "Engine": "aurora-postgresql",
                "PromotionTier": tier,
                "PubliclyAccessible": False,
            },
            "DependsOn": ["DatabaseB269D8BB"],
        }

    return {
        "DatabaseSubnets56F17B9A": {
            "Type": "AWS::RDS::DBSubnetGroup",
            "Properties": {
                "DBSubnetGroupDescription": "Subnets for Database database",
                "SubnetIds": [ref("VpcDatabaseSubnet1Subnet"), ref("VpcDatabaseSubnet2Subnet")],
            },
        },
        "DatabaseSecret3B817195": {
            "Type": "AWS::SecretsManager::Secret",
            "Properties": {
                "Description": f"Generated by the CDK for stack: {stack}",
                "GenerateSecretString": {
                    "GenerateStringKey": "password",
                    "IncludeSpace": True,
                    "PasswordLength": 40,
                    "SecretStringTemplate": f'{{"username":"{project}_admin"}}',
                },
            },
        },
        "DatabaseSecretAttachmentE5D1B020": {
            "Type": "AWS::SecretsManager::SecretTargetAttachment",
            "Properties": {
                "SecretId": ref("DatabaseSecret3B817195"),
                "TargetId": ref("DatabaseB269D8BB"),
                "TargetType": "AWS::RDS::DBCluster",
            },
        },
        "DatabaseB269D8BB": {
            "Type": "AWS::RDS::DBCluster",
            "Properties": {
                "CopyTagsToSnapshot": True,
                "DatabaseName": project,
                "DBClusterIdentifier": f"{project}-cluster",
                "DBSubnetGroupName": ref("DatabaseSubnets56F17B9A"),
                "Engine": "aurora-postgresql",
                "EngineVersion": "15.10",
                "MasterUsername": from_secret("username"),
                "MasterUserPassword": from_secret("password"),
                "Port": 5432,
                "StorageEncrypted": True,
                "VpcSecurityGroupIds": [attribute("DatabaseSecurityGroup5C91FDCB", "GroupId")],
            },
        },
        "Databasewriter2462CC03": instance("writer", 0),
        "Databasereader8C7A9B10": {**instance("reader", 2), "DependsOn": ["Databasewriter2462CC03"]},
    }


def template(stack, project):
    return {
        "Description": f"{project}: network and database",
        "Resources": {
            **network(stack),
            **routes(stack),
            **security_groups(stack),
            **database(stack, project),
            "CDKMetadata": {"Type": "AWS::CDK::Metadata", "Properties": {"Analytics": "v2:deflate64:H4sIAAAA"}},
        },
        "Outputs": {
            "VpcId": {"Value": ref("Vpc8378EB38"), "Export": {"Name": f"{stack}:VpcId"}},
            "DatabaseEndpoint": {"Value": attribute("DatabaseB269D8BB", "Endpoint.Address")},
            "DatabaseReadEndpoint": {"Value": attribute("DatabaseB269D8BB", "ReadEndpoint.Address")},
            "DatabaseSecretArn": {"Value": ref("DatabaseSecretAttachmentE5D1B020")},
        },
        "Parameters": {
            "BootstrapVersion": {
                "Type": "AWS::SSM::Parameter::Value<String>",
                "Default": "/cdk-bootstrap/hnb659fds/version",
                "Description": "Version of the CDK Bootstrap resources in this environment. [cdk:skip]",
            }
        },
    }
