use crate::tunnel::LinkSpec;

/// `ssh -F` replaces the user's and the system's configuration, so nobody's `Host *` can bend the tunnel.
/// Old releases of ssh refuse comments behind a value, so the reasons stand here:
/// no agent (its keys would use up MaxAuthTries), keepalive 1 s × 6 (a silent cut is noticed after 6 to 7 s),
/// AES-GCM first (twice as fast as ssh's own first choice where the processor knows AES), no key exchange by sntrup761
/// (0.2 s of processor time for each new ssh; what passes through is TLS, and mlkem768 stays where both know it), IPQoS none (some
/// Wi-Fi and VPN equipment drops marked packets), `Host *` last for the ssh of a ProxyJump.
const TEMPLATE: &str = include_str!("../../templates/ssh_config");

/// The configuration that one link is opened with. Every value was parsed; paths are quoted here.
pub(super) fn render(link: &LinkSpec) -> String {
    let proxy = match (&link.proxy_command, &link.proxy_jump) {
        (Some(command), _) => format!("ProxyCommand {command}"),
        (None, Some(jump)) => format!("ProxyJump {jump}"),
        (None, None) => "ProxyCommand none".to_owned(),
    };
    let values = [
        ("instance_id", link.instance_id.to_string()),
        ("address", link.address.to_string()),
        ("ssh_port", link.ssh_port.to_string()),
        ("user", link.user.to_string()),
        ("identity_file", link.identity_file.quoted()),
        ("known_hosts_file", link.known_hosts_file.quoted()),
        ("proxy", proxy),
    ];
    // Split on the marks instead of replacing one after the other: a value that looks like a mark stays a value.
    let mut text = String::with_capacity(TEMPLATE.len() * 2);
    for (number, part) in TEMPLATE.split("{{").enumerate() {
        match part.split_once("}}").filter(|_| number > 0) {
            Some((name, rest)) => {
                let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
                debug_assert!(value.is_some(), "the template asks for `{name}`");
                text.push_str(value.unwrap_or_default());
                text.push_str(rest);
            }
            None => text.push_str(part),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tunnel::{HostName, LoginName, ProxyJump, SshPath};

    fn link() -> LinkSpec {
        LinkSpec {
            instance_id: HostName::parse("i-0abc").unwrap(),
            address: HostName::parse("203.0.113.7").unwrap(),
            ssh_port: 22,
            user: LoginName::parse("ec2-user").unwrap(),
            identity_file: SshPath::parse("/state/my keys/100%/id").unwrap(),
            known_hosts_file: SshPath::parse("/state/known_hosts").unwrap(),
            proxy_command: None,
            proxy_jump: None,
        }
    }

    #[test]
    fn values_are_quoted_and_percent_signs_doubled() {
        let text = render(&link());
        assert!(text.starts_with("Host i-0abc\n  HostName 203.0.113.7\n  Port 22\n  User ec2-user\n"), "{text}");
        assert!(text.contains("\n  IdentityFile \"/state/my keys/100%%/id\"\n"), "{text}");
        assert!(text.contains("\n  ProxyCommand none\n"), "{text}");
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_jump_is_passed_on() {
        let jump = Some(ProxyJump::parse("gate.example.com").unwrap());
        assert!(render(&LinkSpec { proxy_jump: jump, ..link() }).contains("\n  ProxyJump gate.example.com\n"));
    }
}
