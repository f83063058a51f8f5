"""CloudFormation resources that moto lacks: Aurora cluster and instances, secret and attachment, CDK metadata.

moto finds resource classes as direct subclasses of `CloudFormationModel` whose module has a dotted name
that begins with `moto.`; hence `__module__` in each class here.
"""

import json
import random
import re
import string
import uuid

import moto.cloudformation.parsing as parsing
from moto.core.common_models import CloudFormationModel
from moto.rds import models as rds
from moto.secretsmanager.models import secretsmanager_backends

# The part of AWS's generated endpoint names that is the same for all databases of an account and region.
ACCOUNT_PART = "abc123xyz"

# A generated password contains all of these (unless excluded): whatever quotes it wrongly, shows.
NASTY_CHARACTERS = "'\"$` \\!#&*;%"

CLUSTER_PROPERTIES = {
    "Engine": "engine",
    "EngineVersion": "engine_version",
    "DatabaseName": "database_name",
    "Port": "port",
    "StorageEncrypted": "storage_encrypted",
    "VpcSecurityGroupIds": "vpc_security_group_ids",
    "ManageMasterUserPassword": "manage_master_user_password",
    "DeletionProtection": "deletion_protection",
}


def stack_tags(arguments):
    """The tags that CloudFormation puts on what it makes."""
    stack_id = arguments["StackId"]
    return [
        {"Key": "aws:cloudformation:stack-name", "Value": stack_id.split("/")[1]},
        {"Key": "aws:cloudformation:stack-id", "Value": stack_id},
        {"Key": "aws:cloudformation:logical-id", "Value": arguments["LogicalId"]},
    ]


def generated_password(wanted):
    """As `GenerateSecretString` would make it, with every nasty character that is not excluded."""
    excluded = set(wanted.get("ExcludeCharacters", ""))
    length = int(wanted.get("PasswordLength", 32))
    chooser = random.SystemRandom()
    nasty = [] if wanted.get("ExcludePunctuation") else [c for c in NASTY_CHARACTERS if c not in excluded]
    if not wanted.get("IncludeSpace"):
        nasty = [c for c in nasty if c != " "]
    plain = [c for c in string.ascii_letters + string.digits if c not in excluded]
    inner = nasty + [chooser.choice(plain) for _ in range(length - len(nasty) - 2)]
    chooser.shuffle(inner)
    # A space at either end is lost too easily by what people paste; AWS has none there in practice either.
    return chooser.choice(plain) + "".join(inner) + chooser.choice(plain)


def secret_value(backend, secret_id):
    secret = backend.secrets[secret_id]
    return json.loads(secret.versions[secret.default_version_id]["secret_string"])


class Resource:
    """What moto asks of every CloudFormation resource."""

    def __init__(self, physical_id, attributes=None):
        self.physical_resource_id = physical_id
        self.attributes = attributes or {}

    def get_cfn_attribute(self, name):
        value = self.attributes[name]
        return value() if callable(value) else value

    @classmethod
    def has_cfn_attr(cls, _attribute):
        return True

    @property
    def type(self):
        return self.cloudformation_type()

    def is_created(self):
        return True


class Secret(Resource, CloudFormationModel):
    __module__ = "moto.secretsmanager.sandbox"

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(cls, name, definition, account, region, **arguments):
        properties = definition["Properties"]
        backend = secretsmanager_backends[account][region]
        text = properties.get("SecretString")
        wanted = properties.get("GenerateSecretString")
        if wanted:
            value = json.loads(wanted.get("SecretStringTemplate", "{}"))
            value[wanted.get("GenerateStringKey", "password")] = generated_password(wanted)
            text = json.dumps(value)
        answer = backend.create_secret(
            name=properties.get("Name", name),
            secret_string=text,
            secret_binary=None,
            description=properties.get("Description"),
            tags=[*properties.get("Tags", []), *stack_tags(arguments)],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        arn = (json.loads(answer) if isinstance(answer, str) else answer)["ARN"]
        return cls(arn, {"Id": arn})


class SecretTargetAttachment(Resource, CloudFormationModel):
    """Writes host, port and database of the target into the secret."""

    __module__ = "moto.secretsmanager.sandbox"

    @staticmethod
    def cloudformation_name_type():
        return ""

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::SecretTargetAttachment"

    @classmethod
    def create_from_cloudformation_json(cls, name, definition, account, region, **arguments):
        properties = definition["Properties"]
        secret_id = properties["SecretId"]
        backend = secretsmanager_backends[account][region]
        value = secret_value(backend, secret_id)
        cluster = rds.rds_backends[account][region].clusters.get(properties["TargetId"])
        if cluster is not None:
            value |= {
                "engine": "postgres",
                "host": cluster.endpoint,
                "port": cluster.port,
                "dbname": cluster.database_name,
                "dbClusterIdentifier": cluster.db_cluster_identifier,
            }
        backend.update_secret(
            secret_id=secret_id, secret_string=json.dumps(value), client_request_token=str(uuid.uuid4())
        )
        return cls(secret_id, {"Id": secret_id})


class Cluster(Resource, CloudFormationModel):
    __module__ = "moto.rds.sandbox"

    @staticmethod
    def cloudformation_name_type():
        return "DBClusterIdentifier"

    @staticmethod
    def cloudformation_type():
        return "AWS::RDS::DBCluster"

    @classmethod
    def create_from_cloudformation_json(cls, name, definition, account, region, **arguments):
        properties = definition["Properties"]
        secrets = secretsmanager_backends[account][region]

        def resolved(value):
            """`{{resolve:secretsmanager:ARN:SecretString:KEY::}}` -> the value of that key."""
            found = re.fullmatch(r"\{\{resolve:secretsmanager:(.+):SecretString:(\w+)::\}\}", str(value))
            return secret_value(secrets, found[1])[found[2]] if found else value

        options = {ours: properties[theirs] for theirs, ours in CLUSTER_PROPERTIES.items() if theirs in properties}
        group = properties.get("DBSubnetGroupName")
        options |= {
            "db_cluster_identifier": properties.get("DBClusterIdentifier", name).lower(),
            "db_subnet_group_name": getattr(group, "name", group),
            "master_username": resolved(properties.get("MasterUsername")),
            "master_user_password": resolved(properties.get("MasterUserPassword")),
            "tags": [*properties.get("Tags", []), *stack_tags(arguments)],
        }
        cluster = rds.rds_backends[account][region].create_db_cluster(options)
        attributes = {
            "Endpoint.Address": lambda: cluster.endpoint,
            "Endpoint.Port": lambda: str(cluster.port),
            "ReadEndpoint.Address": lambda: cluster.reader_endpoint,
            "DBClusterArn": lambda: cluster.arn,
            "DBClusterResourceId": lambda: cluster.db_cluster_resource_id,
            "MasterUserSecret.SecretArn": lambda: cluster.master_user_secret.secret_arn,
        }
        return cls(cluster.db_cluster_identifier, attributes)


class CdkMetadata(Resource, CloudFormationModel):
    __module__ = "moto.cloudformation.sandbox"

    @staticmethod
    def cloudformation_name_type():
        return ""

    @staticmethod
    def cloudformation_type():
        return "AWS::CDK::Metadata"

    @classmethod
    def create_from_cloudformation_json(cls, name, definition, account, region, **arguments):
        return cls(name)


def patch_cluster_instances():
    """moto's AWS::RDS::DBInstance ignores DBClusterIdentifier and demands storage."""
    original = rds.DBInstance.create_from_cloudformation_json.__func__

    def create(cls, name, definition, account, region, **arguments):
        properties = definition["Properties"]
        if "DBClusterIdentifier" not in properties:
            return original(cls, name, definition, account, region, **arguments)
        backend = rds.rds_backends[account][region]
        cluster = backend.clusters[properties["DBClusterIdentifier"]]
        zone = "ab"[len(cluster.members) % 2]
        return backend.create_db_instance(
            {
                "db_instance_identifier": properties.get("DBInstanceIdentifier", name).lower(),
                "db_cluster_identifier": cluster.db_cluster_identifier,
                "db_instance_class": properties["DBInstanceClass"],
                "engine": properties["Engine"],
                "availability_zone": f"{region}{zone}",
                "promotion_tier": properties.get("PromotionTier", 1),
                "db_subnet_group_name": cluster.db_subnet_group_name,
                "port": cluster.port,
                "vpc_security_group_ids": cluster.vpc_security_group_ids,
                "tags": [*properties.get("Tags", []), *stack_tags(arguments)],
            }
        )

    rds.DBInstance.create_from_cloudformation_json = classmethod(create)


def patch_endpoint_names():
    """The same names at every `up`, so that certificates can be made before the stack."""
    rds.DBCluster.url_identifier = property(lambda cluster: ACCOUNT_PART, lambda cluster, value: None)
    rds.DBInstance.address = property(
        lambda instance: f"{instance.db_instance_identifier}.{ACCOUNT_PART}.{instance.region}.rds.amazonaws.com"
    )
    rds.DBSubnetGroup.physical_resource_id = property(lambda group: group.name)


def patch_availability_zones():
    """`Fn::GetAZs` of "" or of a reference means the stack's own region; moto says us-east-1."""
    original = parsing.clean_json

    def clean_json(value, resources):
        if isinstance(value, dict) and "Fn::GetAZs" in value:
            region = value["Fn::GetAZs"]
            if not region or isinstance(region, dict):
                value = {"Fn::GetAZs": resources["AWS::Region"]}
        return original(value, resources)

    parsing.clean_json = clean_json


def install():
    patch_cluster_instances()
    patch_endpoint_names()
    patch_availability_zones()
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
