"""EC2 instances as AWS behaves: states take time, launches are idempotent and validated."""

import base64
import copy
import re
import time

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2 import utils
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import elastic_network_interfaces as interfaces
from moto.ec2.models import instances as models
from moto.ec2.responses.general import General
from moto.ec2.responses.instances import InstanceResponse
from moto.ssm.models import ssm_backends

from .control import control

LARGEST_USER_DATA = 16384

# (account, region, client token) -> (parameters of the first call, reservation id)
launches_by_token = {}


class AwsError(EC2ClientError):
    def __init__(self, code, message):
        super().__init__(code, message)


# ---- states that take time ------------------------------------------------------------------

# moto's final state -> the state that AWS shows first, with its code
TRANSITIONS = {"running": ("pending", 0), "stopped": ("stopping", 64), "terminated": ("shutting-down", 32)}


def visible_state(instance):
    """moto's state, or the transitional state before it while its time has not passed."""
    final = instance._state
    since = getattr(instance, "sandbox_state_since", None)
    if since is None:
        since = instance.sandbox_state_since = time.monotonic()
    name, code = TRANSITIONS.get(final.name, (None, None))
    if name and time.monotonic() - since < control.timings[name]:
        return models.InstanceState(name, code)
    return final


def with_transition(method_name, refused_in):
    """Wrap Instance.start/stop/terminate: stamp the time, refuse what AWS refuses."""
    original = getattr(models.Instance, method_name)

    def changed(instance):
        current = visible_state(instance)
        if instance._state.name == "terminated" and method_name == "terminate":
            return copy.copy(instance._state)  # terminating twice is fine on AWS
        if current.name in refused_in:
            raise AwsError(
                "IncorrectInstanceState",
                f"The instance '{instance.id}' is not in a state from which it can be {method_name}"
                f"{'p' if method_name == 'stop' else ''}ed.",
            )
        if method_name == "start" and current.name == "running":
            return copy.copy(current)
        if method_name == "stop" and instance._state.name == "stopped":
            return copy.copy(current)
        instance.sandbox_state_since = time.monotonic()
        previous = original(instance)
        if method_name == "terminate":
            # AWS deletes the interfaces that a launch made; moto keeps those given with NetworkInterfaces.
            for interface in instance.nics.values():
                instance.ec2_backend.enis.pop(interface.id, None)
        return models.InstanceState(current.name, current.code) if current is not instance._state else previous

    setattr(models.Instance, method_name, changed)


# ---- addresses --------------------------------------------------------------------------------

public_addresses_given = 0


def next_public_address():
    """A new address at each start, as on AWS; the range is reserved for documentation."""
    global public_addresses_given
    with control.lock:
        public_addresses_given += 1
        return f"{control.public_prefix}{10 + (public_addresses_given - 1) % 240}"


def public_dns_name(instance):
    address = instance.public_ip
    if not address:
        return None
    if control.instance_names_are_addresses:
        return address
    dashed = address.replace(".", "-")
    if instance.region_name == "us-east-1":
        return f"ec2-{dashed}.compute-1.amazonaws.com"
    return f"ec2-{dashed}.{instance.region_name}.compute.amazonaws.com"


# ---- RunInstances -----------------------------------------------------------------------------


def resolve_image(response, image):
    """`resolve:ssm:NAME` is looked up in the parameter store, as AWS does."""
    if not image.startswith("resolve:ssm:"):
        return image
    backend = response.ec2_backend
    name = image.removeprefix("resolve:ssm:")
    parameter = ssm_backends[backend.account_id][backend.region_name].get_parameter(name)
    if parameter is None:
        raise AwsError("InvalidParameterValue", f"Unable to resolve parameter {name}")
    return parameter.value


def validate_launch(response, image):
    backend = response.ec2_backend
    if not image:
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", image):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    images = backend.describe_images(filters={"image-id": [image]})
    if not images:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
    key = response._get_param("KeyName")
    if key and key not in backend.key_pairs:
        raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    for interface in response._get_param("NetworkInterfaces", []):
        for group in interface.get("Groups", []):
            if backend.get_security_group_from_id(group) is None:
                raise AwsError("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
        subnet = interface.get("SubnetId")
        if subnet and not any(subnet in zone for zone in backend.subnets.values()):
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    if len(base64.b64decode(response._get_param("UserData") or b"")) > LARGEST_USER_DATA:
        raise AwsError("InvalidParameterValue", f"User data is limited to {LARGEST_USER_DATA} bytes")
    instance_type = response._get_param("InstanceType") or "m1.small"
    known = backend.describe_instance_types(filters={"instance-type": [instance_type]})
    if not known:
        raise AwsError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    supported = known[0].get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if supported and images[0].architecture not in supported:
        raise AwsError(
            "InvalidParameterValue",
            f"The architecture '{','.join(supported)}' of the specified instance type does not match the "
            f"architecture '{images[0].architecture}' of the specified AMI.",
        )


def complete_launch(response, reservation):
    """Fill what moto leaves empty: groups of the instance, tags of its network interface."""
    interface_tags = response._parse_tag_specification().get("network-interface", {})
    for instance in reservation.instances:
        instance.sandbox_state_since = time.monotonic()
        if not instance.security_groups:
            groups = {group.id: group for nic in instance.nics.values() for group in nic.group_set}
            instance.security_groups = list(groups.values())
        if interface_tags:
            for nic in instance.nics.values():
                nic.add_tags(interface_tags)


def remembered_launch(backend, token, parameters):
    """The reservation that this client token made before, if any."""
    if not token or (backend.account_id, backend.region_name, token) not in launches_by_token:
        return None
    first, reservation_id = launches_by_token[backend.account_id, backend.region_name, token]
    if first != parameters:
        raise AwsError(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    reservation = backend.reservations.get(reservation_id)
    if reservation is None or all(i._state.name == "terminated" for i in reservation.instances):
        raise AwsError("IdempotentInstanceTerminated", "The instance of this idempotent request has been terminated.")
    return reservation


def forget_terminated(backend):
    """AWS lists them for about an hour; here each of them would make every later listing slower."""
    long_ago = time.monotonic() - control.timings["terminated"]
    for reservation in list(backend.reservations.values()):
        if all(i._state.name == "terminated" and i.sandbox_state_since < long_ago for i in reservation.instances):
            del backend.reservations[reservation.id]


def patch_run_instances():
    original = InstanceResponse.run_instances

    def run_instances(self):
        backend = self.ec2_backend
        token = self._get_param("ClientToken")
        parameters = repr(sorted(self.data.items(), key=lambda item: item[0]))
        with control.lock:
            forget_terminated(backend)
            known = remembered_launch(backend, token, parameters)
            if known is not None:
                return ActionResult(known)
            image = resolve_image(self, self._get_param("ImageId") or "")
            self.params["ImageId"] = image
            validate_launch(self, image)
            answer = original(self)
            reservation = answer.result
            if token:
                launches_by_token[backend.account_id, backend.region_name, token] = (parameters, reservation.id)
            complete_launch(self, reservation)
            return answer

    InstanceResponse.run_instances = run_instances


def patch_reboot():
    original = models.Instance.reboot

    def reboot(self):
        original(self)
        control.note_reboot(self.id)

    models.Instance.reboot = reboot


def get_console_output(self):
    """The text that the agent collected at boot; absent until there is one, as on AWS."""
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    # Only Nitro instances can be asked for what is on the console now.
    if str(self._get_param("Latest")).lower() == "true" and instance.instance_type.startswith("t2."):
        raise AwsError("UnsupportedOperation", "This instance type does not support retrieving the latest console logs.")
    answer = {"InstanceId": instance.id, "Timestamp": models.utcnow()}
    text = control.console.get(instance.id)
    if text is not None:
        answer["Output"] = Base64EncodedString.from_raw_string(text)
    return ActionResult(answer)


def install():
    utils.filter_dict_attribute_mapping["client-token"] = "client_token"
    models.Instance.instance_state = property(visible_state)
    models.Instance.state = property(lambda instance: visible_state(instance).name)
    models.Instance.state_code = property(lambda instance: visible_state(instance).code)
    models.Instance.is_running = lambda instance: visible_state(instance).name == "running"
    with_transition("start", refused_in=("terminated", "shutting-down", "stopping", "pending"))
    with_transition("stop", refused_in=("terminated", "shutting-down", "pending"))
    with_transition("terminate", refused_in=())
    interfaces.random_public_ip = next_public_address
    interfaces.generate_dns_from_ip = lambda ip, dns_type="internal": (
        f"ec2-{ip.replace('.', '-')}.eu-west-1.compute.amazonaws.com"
    )
    models.Instance.public_dns_name = property(public_dns_name)
    patch_run_instances()
    patch_reboot()
    General.get_console_output = get_console_output
