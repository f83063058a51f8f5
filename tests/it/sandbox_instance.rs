//! The instance as it really stands: hardened, mortal, and behind whatever a company puts in the way.

use crate::support::laptop::{Answer, Laptop, eventually};
use serde_json::Value;
use std::time::Duration;

/// Asks EC2 without devdb: prints the answer's XML without blanks between its elements.
const EC2: &str = r#"
import os, re, sys, urllib.request
scope = "sandbox-ada/20260101/" + os.environ["AWS_REGION"] + "/ec2/aws4_request"
head = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
data = (sys.argv[1] + "&Version=2016-11-15").encode()
answer = urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], data, head))
print(re.sub(r">\s+<", "><", answer.read().decode()))
"#;

/// Passes plain HTTP on, refuses CONNECT, and writes down whom it was asked for.
const PROXY: &str = r#"
import http.server, sys, urllib.error, urllib.request
class Proxy(http.server.BaseHTTPRequestHandler):
    def forward(self):
        with open(sys.argv[1], "a") as log:
            print(self.command, self.path, file=log)
        if self.command == "CONNECT":
            return self.send_error(502)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        head = {name: value for name, value in self.headers.items() if "connection" not in name.lower()}
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            answer = direct.open(urllib.request.Request(self.path, body or None, head, method=self.command))
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_CONNECT = forward
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
print(server.server_port, flush=True)
server.serve_forever()
"#;

fn ec2(laptop: &Laptop, request: &str) -> String {
    std::fs::write(laptop.home().join("ec2.py"), EC2).unwrap();
    laptop.shell(&format!("python3 \"$HOME/ec2.py\" '{request}'")).expect_code(0).stdout
}

fn status(laptop: &Laptop) -> Value {
    laptop.devdb("bastion status --json").json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[track_caller]
fn holds(xml: &str, parts: &[&str]) {
    for part in parts {
        assert!(xml.contains(part), "no `{part}` in {xml}");
    }
}

/// A shell line on the laptop that knows `$config` and `$id` for an ssh of its own, and `$writer`.
fn with_ssh(laptop: &Laptop, line: &str) -> Answer {
    let words = laptop.devdb("bastion ssh --dry-run --json").expect_code(0).json()["command"].clone();
    let writer = laptop.devdb("env --json --only PGHOST").expect_code(0).json()["PGHOST"].clone();
    let (config, id) = (text(&words[2]), text(words.as_array().unwrap().last().unwrap()));
    laptop.shell(&format!("config='{config}' id='{id}' writer='{}'\n{line}", text(&writer)))
}

#[test]
fn the_bastion_serves_the_cluster_and_nothing_else() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    let id = status(&laptop)["instance_id"].clone();
    let id = text(&id);

    let instance = ec2(&laptop, &format!("Action=DescribeInstances&InstanceId.1={id}"));
    holds(&instance, &["<httpTokens>required</httpTokens>", "<httpPutResponseHopLimit>1</httpPutResponseHopLimit>"]);
    assert!(!instance.contains("<iamInstanceProfile>"), "it may do nothing in AWS: {instance}");
    let volumes = format!("Action=DescribeVolumes&Filter.1.Name=attachment.instance-id&Filter.1.Value.1={id}");
    holds(&ec2(&laptop, &volumes), &["<encrypted>true</encrypted>"]);
    let shutdown =
        format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute=instanceInitiatedShutdownBehavior");
    holds(&ec2(&laptop, &shutdown), &["<value>terminate</value>"]);

    // Forwards: the writer answers an SSLRequest, everything else is refused by sshd.
    let request = r"printf '\0\0\0\10\4\322\26\57'";
    let ask = format!("({request}; sleep 5) | ssh -F $config -W $writer:5432 $id | head -c 1");
    // The new rule works a moment after EC2 has taken it.
    eventually("the writer answers", Duration::from_secs(60), || with_ssh(&laptop, &ask).stdout == "S");
    for target in ["$writer:22", "127.0.0.1:22", "127.0.0.1:5432", "$(getent hosts $writer | cut -d' ' -f1):5432"] {
        let refused = with_ssh(&laptop, &format!("ssh -F $config -W {target} $id </dev/null")).expect_code(255);
        refused.says(&["administratively prohibited"]);
    }
    for forward in ["-R 0:127.0.0.1:22", "-R /tmp/a.sock:/tmp/b.sock"] {
        let refused = with_ssh(&laptop, &format!("ssh -F $config {forward} $id true")).expect_code(255);
        refused.says(&["remote port forwarding failed"]);
    }
    let agent = "ssh-agent sh -c 'ssh -v -F '$config' -o IdentityAgent=$SSH_AUTH_SOCK -A '$id' '\\''echo \"[$SSH_AUTH_SOCK]\"'\\'";
    let agent = with_ssh(&laptop, agent).expect_code(0);
    agent.says(&["Requesting authentication agent forwarding"]);
    assert_eq!(agent.stdout, "[]\n");
    let display = with_ssh(&laptop, "DISPLAY=:7 ssh -F $config -Y $id 'echo \"[$DISPLAY]\"'").expect_code(0);
    display.says(&["X11 forwarding request failed"]);
    assert_eq!(display.stdout, "[]\n");

    // Ways in.
    let passwords = "-o PubkeyAuthentication=no -o PreferredAuthentications=password,keyboard-interactive";
    for options in [passwords, "-l root"] {
        let refused = with_ssh(&laptop, &format!("ssh -F $config {options} $id true")).expect_code(255);
        refused.says(&["Permission denied (publickey)"]);
    }

    // Ways out, for whoever has a shell there.
    let reach = |target: &str| {
        let line = format!("ssh -F $config $id \"timeout 4 bash -c '</dev/tcp/{target}'\"");
        with_ssh(&laptop, &line).code
    };
    assert_eq!(reach("$writer/5432"), 0);
    for target in ["$writer/22", "10.0.0.1/5432", "192.0.2.1/5000", "192.0.2.2/80"] {
        assert_eq!(reach(target), 124, "{target} is silent");
    }
    laptop.devdb("bastion ssh -- sudo -n true").expect_code(1);

    laptop.fault("change-address");
    laptop.devdb("bastion ssh -- true").expect_code(1).says(&["cannot be reached", "timed out", "hint:"]);
    laptop.devdb("bastion extend 20h").expect_code(1).says(&["cannot be reached", "timed out", "hint:"]);
    laptop.fault("clear");
    laptop.devdb("bastion down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn another_host_key_stops_everything_but_down() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    let pinned = std::fs::read_to_string(laptop.state().join("known_hosts")).unwrap();
    laptop.fault("change-host-key");
    for words in ["bastion up", "bastion up --yes", "bastion extend 20h --yes", "tunnel up", "up --yes"] {
        laptop.devdb(words).expect_code(4).says(&["host key", "hint:"]);
    }
    laptop.devdb("bastion up --yes").expect_code(4).says(&["somebody may be in between", "devdb bastion down"]);
    laptop.devdb("bastion ssh -- true").expect_code(255).says(&["Host key verification failed"]);
    assert_eq!(std::fs::read_to_string(laptop.state().join("known_hosts")).unwrap(), pinned);
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
    laptop.devdb("bastion up").expect_code(0);
    assert_ne!(std::fs::read_to_string(laptop.state().join("known_hosts")).unwrap(), pinned);
    laptop.devdb("bastion ssh -- true").expect_code(0);
    laptop.devdb("bastion down").expect_code(0);
}

#[test]
fn a_bastion_keeps_its_deadline_through_stop_and_start_and_ends_behind_it() {
    let laptop = Laptop::new();
    let ttl = [("DEVDB_BASTION_TTL", "2h")];
    laptop.devdb_with(&ttl, "bastion up").expect_code(0);
    let id = status(&laptop)["instance_id"].clone();
    let id = text(&id);
    let deadline = || {
        let second = laptop.devdb("bastion ssh -- cat /var/lib/devdb/deadline").expect_code(0).stdout;
        jiff::Timestamp::from_second(second.trim().parse().unwrap()).unwrap().to_string()
    };

    // With and without a tunnel.
    laptop.devdb("bastion extend 5h").expect_code(0);
    laptop.devdb("tunnel up").expect_code(0);
    let extended = laptop.devdb("bastion extend 9h30m --json").expect_code(0).json();
    assert_eq!((&extended["changed"], text(&extended["expires_at"])), (&Value::Bool(true), deadline().as_str()));
    assert_eq!(status(&laptop)["expires_at"], extended["expires_at"]);
    assert!(laptop.devdb("bastion status").expect_code(0).stdout.contains("(in 9h 2"));
    let again = laptop.devdb("bastion extend 9h --json").expect_code(0).json();
    assert_eq!((&again["changed"], &again["expires_at"]), (&Value::Bool(false), &extended["expires_at"]));
    laptop.devdb("bastion extend 169h").expect_code(1).says(&["at the latest", "devdb bastion extend 167h"]);
    laptop.devdb("tunnel down").expect_code(0);

    // What the login user may not do.
    for words in ["tee /etc/devdb/cap", "rm -f /etc/devdb/cap", "rm -f /var/lib/devdb/deadline", "poweroff"] {
        assert_ne!(laptop.devdb(&format!("bastion ssh -- {words}")).code, 0, "{words}");
    }

    let state = || status(&laptop)["state"].clone();
    ec2(&laptop, &format!("Action=StopInstances&InstanceId.1={id}"));
    eventually("it stops", Duration::from_secs(60), || state() == "stopped");
    laptop.devdb("bastion extend").expect_code(1).says(&["not running", "devdb bastion up"]);
    laptop.devdb("bastion up").expect_code(0);
    assert_eq!(status(&laptop)["instance_id"], id);
    assert_eq!(deadline(), text(&extended["expires_at"]));

    laptop.devdb("bastion ssh -- echo 1767323045 >/var/lib/devdb/deadline").expect_code(0);
    ec2(&laptop, &format!("Action=RebootInstances&InstanceId.1={id}"));
    eventually("it ends within a minute or so", Duration::from_secs(180), || state() == "absent");
    laptop.devdb("bastion down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn a_company_may_ask_for_a_port_tags_an_image_a_key_and_a_gate() {
    let laptop = Laptop::new();
    // An image whose root device has another name than Amazon Linux's.
    let images = ec2(&laptop, "Action=DescribeImages&Filter.1.Name=architecture&Filter.1.Value.1=x86_64");
    let other = images.split("</item><item><").find(|item| item.contains("<rootDeviceName>/dev/sda1<"));
    let image = other.and_then(|item| item.split("<imageId>").nth(1)?.split('<').next()).unwrap();
    let key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let company = [
        ("DEVDB_BASTION_SSH_PORT", "443"),
        ("DEVDB_BASTION_TAGS", "CostCenter=4711,Team=db platform"),
        ("DEVDB_BASTION_AMI", image),
        ("DEVDB_BASTION_KMS_KEY", key),
    ];
    laptop.devdb_with(&company, "bastion up").expect_code(0);
    let bastion = status(&laptop);
    let (id, group) = (text(&bastion["instance_id"]), text(&bastion["security_group_id"]));
    let tags = ["<key>CostCenter</key><value>4711</value>", "<key>Team</key><value>db platform</value>"];
    let filter = |action: &str, name: &str, value: &str| {
        ec2(&laptop, &format!("Action={action}&Filter.1.Name={name}&Filter.1.Value.1={value}"))
    };
    let instance = filter("DescribeInstances", "instance-id", id);
    holds(&instance, &tags);
    holds(&instance, &[&format!("<imageId>{image}</imageId>"), "<deviceName>/dev/sda1</deviceName>"]);
    let volumes = filter("DescribeVolumes", "attachment.instance-id", id);
    holds(&volumes, &tags);
    holds(&volumes, &["<encrypted>true</encrypted>", &format!("<kmsKeyId>{key}</kmsKeyId>")]);
    assert_eq!(volumes.matches("<volumeId>").count(), 2, "one volume, named twice: {volumes}");
    holds(&filter("DescribeKeyPairs", "key-name", "devdb-shop-dev-ada"), &tags);
    holds(&filter("DescribeSecurityGroups", "group-id", group), &tags);
    let rules = filter("DescribeSecurityGroupRules", "tag:CostCenter", "4711");
    assert_eq!(rules.matches("<securityGroupRuleId>").count(), 4, "{rules}");
    assert_eq!(rules.matches(tags[1]).count(), 4, "{rules}");

    // One port is open, sshd listens on both.
    let reach = |port: u16| {
        let address = text(&bastion["public_ip"]);
        laptop.shell(&format!("timeout 4 bash -c '</dev/tcp/{address}/{port}'")).code
    };
    assert_eq!((reach(443), reach(22)), (0, 124));
    laptop.devdb_with(&company, "bastion ssh -- bash -c '</dev/tcp/127.0.0.1/22'").expect_code(0);

    // Through a gate, whose host key and login are the user's own affair: ssh finds them in the account's home.
    let gate = r#"
        set -e
        mkdir -m 700 "$HOME/.ssh" && cd "$HOME/.ssh" && mkdir -p /run/sshd || true
        ssh-keygen -q -t ed25519 -N '' -f id_ed25519
        ssh-keygen -q -t ed25519 -N '' -f gate_key
        echo "[127.0.0.1]:2222 $(cat gate_key.pub)" >known_hosts
        printf '%s\n' 'Port 2222' 'ListenAddress 127.0.0.1' "HostKey $PWD/gate_key" "PidFile $PWD/gate.pid" \
            "AuthorizedKeysFile $PWD/id_ed25519.pub" 'UsePAM no' 'StrictModes no' 'LogLevel VERBOSE' >gate_config
        /usr/sbin/sshd -f "$PWD/gate_config" -E "$PWD/gate.log"
        export DEVDB_SSH_PROXY_JUMP="$(id -un)@127.0.0.1:2222" DEVDB_BASTION_SSH_PORT=443
        cat >way <<'END'
            set -e
            # devdb may live in the account's home, which is covered now.
            mkdir "$HOME/bin" && mount --bind "$(dirname "$(command -v devdb)")" "$HOME/bin" && PATH=$HOME/bin:$PATH
            mount --bind "$HOME" "$1"
            cd "$PROJECT"
            devdb bastion ssh -- echo through
            devdb tunnel up
            eval "$(devdb env)" && psql -Atc 'select 1'
            devdb tunnel down
END
        account=$(getent passwd "$(id -u)" | cut -d: -f6)
        cd - >/dev/null
        PROJECT=$PWD unshare $([ "$(id -u)" = 0 ] || echo --user --map-current-user --keep-caps) --mount bash "$HOME/.ssh/way" "$account" || code=$?
        kill "$(cat "$HOME/.ssh/gate.pid")"
        grep -c 'Accepted publickey' "$HOME/.ssh/gate.log"
        exit "${code:-0}""#;
    let passed = laptop.shell(gate).expect_code(0);
    let said: Vec<&str> = passed.stdout.lines().collect();
    assert!(said.contains(&"through") && said.contains(&"1"), "{}", passed.stdout);
    assert!(said.last().unwrap().parse::<u32>().unwrap() >= 2, "both came through the gate: {}", passed.stdout);

    laptop.devdb("bastion down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn aws_is_asked_through_the_companys_proxy_and_the_address_past_it() {
    let laptop = Laptop::new();
    std::fs::write(laptop.home().join("proxy.py"), PROXY).unwrap();
    let asked = |variables: &str, words: &str, code: i32| {
        let line = format!(
            r#"
            : >"$HOME/asked"
            coproc python3 "$HOME/proxy.py" "$HOME/asked"
            read -r port <&"${{COPROC[0]}}"
            proxy="http://127.0.0.1:$port"
            env {variables} devdb {words} >&2
            code=$?
            kill "$COPROC_PID"
            sort -u "$HOME/asked"
            exit $code"#
        );
        laptop.shell(&line).expect_code(code)
    };
    for name in ["HTTP_PROXY", "http_proxy"] {
        let up = asked(&format!("{name}=$proxy"), "bastion up --dry-run", 0);
        assert_eq!(up.stdout, "POST http://192.0.2.1:5000/\n", "AWS and nothing else");
        up.says(&["198.51.100.10/32"]);
    }
    for exception in ["NO_PROXY=192.0.2.1", "no_proxy=192.0.2.0/24"] {
        assert_eq!(asked(&format!("HTTP_PROXY=$proxy {exception}"), "bastion status", 3).stdout, "", "{exception}");
    }
    // The real endpoints are https: the proxy is asked for a connection, and may refuse.
    let refused = asked("-u AWS_ENDPOINT_URL HTTPS_PROXY=$proxy", "bastion status", 1);
    // Both are asked at once, and the first refusal ends it.
    let connects = ["ec2", "sts"].map(|service| format!("CONNECT {service}.eu-west-1.amazonaws.com:443"));
    assert!(!refused.stdout.is_empty() && refused.stdout.lines().all(|line| connects.iter().any(|one| one == line)));
    refused.says(&["AWS could not be reached", "HTTPS_PROXY"]);
    for exception in [".amazonaws.com", "localhost,ec2.eu-west-1.amazonaws.com,sts.eu-west-1.amazonaws.com", "*"] {
        let variables = format!("-u AWS_ENDPOINT_URL HTTPS_PROXY=$proxy NO_PROXY='{exception}'");
        assert_eq!(asked(&variables, "bastion status", 1).stdout, "", "{exception}");
    }
}
