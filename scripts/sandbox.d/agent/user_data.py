"""EC2 user data -> a plain dictionary that instance_init.py can apply (it has no YAML parser)."""

import base64
import email
import gzip

import yaml


def parse(encoded):
    """`{"config": {...}, "scripts": [...], "problems": [...]}` from the base64 that EC2 keeps."""
    result = {"config": {}, "scripts": [], "problems": []}
    if not encoded:
        return result
    data = base64.b64decode(encoded)
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    add_part(data.decode("utf-8", errors="replace"), result)
    return result


def add_part(text, result):
    """One part by its first line, as cloud-init tells them apart."""
    first_line = text.lstrip().split("\n", 1)[0].strip()
    if first_line.startswith(("MIME-Version:", "Content-Type:")):
        for part in email.message_from_string(text).walk():
            if not part.is_multipart():
                add_part(part.get_payload(decode=True).decode("utf-8", errors="replace"), result)
    elif first_line == "#cloud-config":
        try:
            parsed = yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            # cloud-init warns and goes on without the part: the instance comes up unconfigured.
            result["problems"].append(f"cloud-config is not valid YAML: {error}")
            return
        if isinstance(parsed, dict):
            result["config"].update(parsed)
        else:
            result["problems"].append("cloud-config is not a mapping")
    elif first_line.startswith("#!"):
        result["scripts"].append(text)
    elif text.strip():
        result["problems"].append(f"unhandled user data that begins with {first_line[:40]!r}")
