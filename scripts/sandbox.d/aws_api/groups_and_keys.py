"""Security groups, key pairs and route tables as AWS behaves."""

import base64
import hashlib

from moto.core.responses import ActionResult
from moto.ec2.models import key_pairs as key_models
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.responses.key_pairs import KeyPairs
from moto.ec2.responses.security_groups import SecurityGroups

from .instances import AwsError


def users_of_group(backend, group_id):
    """Ids of everything that keeps a security group from being deleted."""
    interfaces = [
        interface.id
        for interface in backend.enis.values()
        if any(group.id == group_id for group in interface.group_set)
    ]
    groups = [
        group.id
        for by_id in backend.groups.values()
        for group in by_id.values()
        if group.id != group_id
        and any(
            (rule.source_group or {}).get("GroupId") == group_id for rule in [*group.ingress_rules, *group.egress_rules]
        )
    ]
    return interfaces + groups


def patch_delete_group():
    original = SecurityGroups.delete_security_group

    def delete_security_group(self):
        group_id = self._get_param("GroupId")
        if group_id:
            if self.ec2_backend.get_security_group_from_id(group_id) is None:
                raise AwsError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
            if users_of_group(self.ec2_backend, group_id):
                raise AwsError("DependencyViolation", f"resource {group_id} has a dependent object")
        return original(self)

    SecurityGroups.delete_security_group = delete_security_group


def patch_authorize():
    """With several permissions moto answers with the rules of the last one only."""

    def authorizer(direction):
        def authorize(self):
            self.error_on_dryrun()
            rules = []
            for arguments in self._process_rules_from_querystring():
                added, _ = getattr(self.ec2_backend, f"authorize_security_group_{direction}")(**arguments)
                rules += added
            return ActionResult({"Return": True, "SecurityGroupRules": rules})

        return authorize

    SecurityGroups.authorize_security_group_ingress = authorizer("ingress")
    SecurityGroups.authorize_security_group_egress = authorizer("egress")


def patch_revoke():
    """AWS names an unknown rule id as such; moto says that a permission is missing."""

    def revoker(original):
        def revoke(self):
            rule_ids = self._get_param("SecurityGroupRuleIds", [])
            group = self.ec2_backend.get_security_group_from_id(self._get_param("GroupId"))
            known = {rule.id for rule in [*group.ingress_rules, *group.egress_rules]} if group else set()
            unknown = [rule_id for rule_id in rule_ids if rule_id not in known]
            if group and unknown:
                message = f"The security group rule ID '{unknown[0]}' does not exist"
                raise AwsError("InvalidSecurityGroupRuleId.NotFound", message)
            return original(self)

        return revoke

    for direction in ("ingress", "egress"):
        name = f"revoke_security_group_{direction}"
        setattr(SecurityGroups, name, revoker(getattr(SecurityGroups, name)))


def patch_delete_key_pair():
    original = KeyPairs.delete_key_pair

    def delete_key_pair(self):
        """moto answers true to a KeyPairId and deletes nothing."""
        key_id = self._get_param("KeyPairId")
        if not key_id:
            return original(self)
        pairs = self.ec2_backend.key_pairs
        for name in [name for name, pair in pairs.items() if pair.id == key_id]:
            del pairs[name]
        return ActionResult({"Return": True, "KeyPairId": key_id})

    KeyPairs.delete_key_pair = delete_key_pair


def patch_import_fingerprint():
    """AWS gives an ed25519 key the fingerprint of OpenSSH: base64 of SHA-256 of the key."""
    original = key_models.KeyPairBackend.import_key_pair

    def import_key_pair(self, key_name, public_key_material, tags):
        pair = original(self, key_name, public_key_material, tags)
        if pair.key_type == "ed25519":
            blob = base64.b64decode(public_key_material.split()[1])
            pair.key_fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode()
        return pair

    key_models.KeyPairBackend.import_key_pair = import_key_pair


def patch_subnet_association():
    """moto's CloudFormation makes an association that no route table lists."""
    original = SubnetBackend.create_subnet_association

    def create_subnet_association(self, route_table_id, subnet_id):
        self.associate_route_table(route_table_id, gateway_id=None, subnet_id=subnet_id)
        return original(self, route_table_id, subnet_id)

    SubnetBackend.create_subnet_association = create_subnet_association


def install():
    patch_delete_group()
    patch_authorize()
    patch_revoke()
    patch_delete_key_pair()
    patch_import_fingerprint()
    patch_subnet_association()
