"""Security groups as nftables rules in the namespace of an instance or a database."""

import ipaddress

PROTOCOLS = {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "icmp": "icmp", "1": "icmp"}


def port_match(permission):
    """The nftables match for protocol and ports, or None for what cannot apply here."""
    protocol = str(permission["IpProtocol"])
    if protocol == "-1":
        return ""
    name = PROTOCOLS.get(protocol)
    if name is None:
        return None
    first, last = permission.get("FromPort", -1), permission.get("ToPort", -1)
    if name == "icmp" or first == -1:
        return f"meta l4proto {name}"
    return f"{name} dport {first}" if first == last else f"{name} dport {first}-{last}"


def peers(permission, members):
    """The IPv4 networks on the other side: CIDRs, and the private addresses of a referenced group's members."""
    networks = [str(ipaddress.ip_network(r["CidrIp"], strict=False)) for r in permission.get("IpRanges", [])]
    for pair in permission.get("UserIdGroupPairs", []):
        networks += sorted(members.get(pair["GroupId"], ()))
    return networks


def rules(permissions, members, field):
    lines = []
    for permission in permissions:
        match = port_match(permission)
        if match is None:
            continue
        for network in peers(permission, members):
            lines.append(f"        ip {field} {network} {match} accept".replace("  accept", " accept"))
    return sorted(set(lines))


def ruleset(groups, members, always=()):
    """The whole table: default is a silent drop; `always` are addresses outside of any group's say."""
    ingress = [permission for group in groups for permission in group["IpPermissions"]]
    egress = [permission for group in groups for permission in group["IpPermissionsEgress"]]
    own = [f"        ip {{field}} {address} accept" for address in always]

    def chain(name, hook, device, field, permissions):
        return [
            f"    chain {name} {{",
            f"        type filter hook {hook} priority filter; policy drop;",
            f'        {device} "lo" accept',
            "        ct state established,related accept",
            "        ct state invalid drop",
            *[line.format(field=field) for line in own],
            *rules(permissions, members, field),
            "    }",
        ]

    return "\n".join(
        [
            "table inet security_groups",
            "delete table inet security_groups",
            "table inet security_groups {",
            *chain("ingress", "input", "iifname", "saddr", ingress),
            *chain("egress", "output", "oifname", "daddr", egress),
            "}",
            "",
        ]
    )
