//! The whole product on the sandbox: real API, real sshd, real PostgreSQL, enforced security groups.

use crate::support::laptop::{Laptop, eventually};
use std::io::{BufRead, BufReader};
use std::time::Duration;

const QUERY: &str =
    r#"eval "$(devdb env)" && psql -Atc 'select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()'"#;

#[test]
fn the_runbook_runs_end_to_end() {
    let laptop = Laptop::new();
    laptop.devdb("bastion status").expect_code(3);
    laptop.devdb("tunnel status").expect_code(3);

    let planned = laptop.devdb("bastion up --dry-run").expect_code(0);
    assert!(planned.stdout.contains("would be brought up"), "{}", planned.stdout);
    laptop.leftovers().expect_code(0);

    laptop.devdb("bastion up").expect_code(0);
    let again = laptop.devdb("bastion up").expect_code(0);
    assert!(again.stdout.contains("nothing was changed"), "{}", again.stdout);
    let bastion = laptop.devdb("bastion status --json").expect_code(0).json();
    assert_eq!(bastion["state"], "running");
    assert_eq!(bastion["instance_type"], "t2.micro");

    laptop.devdb("tunnel up").expect_code(0);
    let tunnel = laptop.devdb("tunnel status --json").expect_code(0).json();
    assert_eq!(tunnel["state"], "up");
    assert!(
        tunnel["targets"][0]["certificate_name"].as_str().is_some_and(|name| name.contains(".cluster-")),
        "{tunnel:#}"
    );

    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "shop_admin|t\n");

    laptop.devdb("migrate status").expect_code(3);
    let run = laptop.devdb("migrate to latest --json").expect_code(0).json();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 5, "{run:#}");
    assert!(results.iter().all(|result| result["status"] == "Success"), "{run:#}");
    laptop.devdb("migrate status").expect_code(0);
    laptop.devdb("migrate to none").expect_code(0);
    laptop.devdb("migrate to 2024-03-05-orders").expect_code(0);
    laptop.devdb("migrate to latest").expect_code(0);
    laptop.devdb("status").expect_code(0);

    // Connections that are made while ssh is replaced wait for it.
    let line = r#"eval "$(devdb env)"; for n in $(seq 30); do psql -Atc 'select 1' || exit 1; done"#;
    let clients = laptop.start_shell(line);
    laptop.devdb("tunnel restart").expect_code(0);
    let clients = clients.wait_with_output().unwrap();
    assert!(clients.status.success(), "{}", String::from_utf8_lossy(&clients.stderr));

    laptop.devdb("migrate to none").expect_code(0);
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
    laptop.devdb("down").expect_code(0);
}

#[test]
fn a_killed_sshd_and_a_silent_cut_are_survived() {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "shop_admin|t\n");
    laptop.fault("kill-sshd");
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "shop_admin|t\n");
    laptop.fault("cut");
    eventually("the cut is noticed", Duration::from_secs(30), || {
        laptop.devdb("tunnel status --json").json()["state"] != "up"
    });
    laptop.fault("clear");
    assert_eq!(laptop.shell(QUERY).expect_code(0).stdout, "shop_admin|t\n");
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn ctrl_c_at_any_moment_leaves_what_the_next_run_continues_from() {
    let laptop = Laptop::new();
    // A step that was done is a line on stderr.
    for (steps, then) in [(1, "up"), (3, "down"), (5, "up"), (7, "down"), (9, "up"), (10, "down")] {
        let mut child = laptop.start("bastion up");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said: Vec<String> = lines.by_ref().take(steps).collect::<Result<_, _>>().unwrap();
        assert_eq!(said.len(), steps, "{said:?}");
        laptop.interrupt();
        let rest: Vec<String> = lines.collect::<Result<_, _>>().unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(130), "after {said:?}: {rest:?}");
        assert!(rest.iter().any(|line| line.contains("run the same command again")), "{rest:?}");
        if then == "up" {
            laptop.devdb("bastion up --yes").expect_code(0);
            let left = laptop.leftovers().expect_code(1).stdout;
            for kind in ["instances", "security groups ", "key pairs"] {
                let line = left.lines().find(|line| line.trim_start().starts_with(kind)).unwrap();
                assert!(!line.contains("none") && !line.contains(','), "exactly one: {left}");
            }
        }
        laptop.devdb("bastion down").expect_code(0);
        laptop.leftovers().expect_code(0);
    }
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let laptop = Laptop::new();
    let none = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SHARED_CREDENTIALS_FILE"].map(|name| (name, ""));
    laptop.devdb_with(&none, "bastion up").expect_code(1).says(&["no AWS credentials were found", "hint:", "profile"]);
    let expired = [("AWS_ACCESS_KEY_ID", "ASIAEXPIRED0")];
    laptop.devdb_with(&expired, "bastion up").expect_code(1).says(&["credentials have expired", "aws sso login"]);
    let status = laptop.devdb_with(&expired, "status").expect_code(3);
    status.says(&["hint:", "aws sso login"]);
    assert!(status.stdout.contains("the AWS credentials have expired: "), "{}", status.stdout);
    assert!(!status.stdout.contains("rror"), "not as the SDK says it: {}", status.stdout);
    laptop.devdb("bastion up --region eu-central-1").expect_code(1).says(&["AppDbStack", "eu-central-1", "hint:"]);
    let stack = [("DEVDB_STACK", "NoSuchStack")];
    laptop.devdb_with(&stack, "bastion up").expect_code(1).says(&["NoSuchStack", "hint:"]);
    laptop.devdb("tunnel up").expect_code(1).says(&["bastion is not running", "devdb bastion up"]);
    laptop.devdb("migrate to latest").expect_code(1).says(&["error:", "devdb tunnel up"]);
    let folder = [("DEVDB_MIGRATIONS_DIR", "/nowhere")];
    laptop.devdb_with(&folder, "migrate to latest").expect_code(1).says(&["/nowhere", "hint:"]);
    let env = laptop.devdb("env").expect_code(0);
    env.says(&["the tunnel is not up", "devdb tunnel up"]);
    assert!(env.stdout.contains("export PGPASSWORD="));
    let broken = laptop.devdb_with(&expired, "env").expect_code(1);
    assert_eq!(broken.stdout, "");
    laptop.leftovers().expect_code(0);
}

#[test]
fn a_taken_port_and_a_database_that_is_down_are_named() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    let listen = "import socket, sys; s = socket.create_server(('127.0.0.1', 5432)); print('ready', flush=True); sys.stdin.read()";
    let line = format!(
        r#"coproc python3 -c "{listen}"; read -r _ <&"${{COPROC[0]}}"; devdb tunnel up; code=$?; kill "$COPROC_PID"; exit $code"#
    );
    laptop.shell(&line).expect_code(1).says(&["5432", "python3", "hint:"]);
    laptop.fault("database-down");
    laptop.devdb("tunnel up").expect_code(1).says(&["error:", "hint:"]);
    laptop.fault("clear");
    laptop.devdb("down").expect_code(0);
    laptop.leftovers().expect_code(0);
}

#[test]
fn the_password_is_nowhere_but_where_it_was_asked_for() {
    let laptop = Laptop::new();
    // Whoever looks at the processes at any moment of all this.
    let watch = r#"until [ -e "$HOME/enough" ]; do
        cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >>"$HOME/cmdlines"; echo >>"$HOME/cmdlines"; done"#;
    let mut watching = laptop.start_shell(watch);
    laptop.devdb("up -vv").expect_code(0);
    let variables = laptop.devdb("env --json --only PGPASSWORD").expect_code(0).json();
    let password = variables["PGPASSWORD"].as_str().unwrap().to_owned();
    assert!(password.len() > 8);
    let mut seen = String::new();
    for words in [
        "status --json",
        "tunnel status --json -vv",
        "bastion status -vv",
        "migrate status -vv",
        "config show",
        "schema -vv",
        "schema --dump --json",
        "pgadmin --json",
        "exec -- psql -XAtc \\conninfo",
        "exec -- psql --no-such-option",
        "env --unset",
        "env --only NOTHING",
    ] {
        let answer = laptop.devdb(words);
        seen.push_str(&answer.stdout);
        seen.push_str(&answer.stderr);
    }
    let lacks_everything = [("DEVDB_DATABASE", "nowhere")];
    let failed = laptop.devdb_with(&lacks_everything, "schema -vv --json").expect_code(1);
    failed.says(&["there is no database nowhere"]);
    seen.push_str(&failed.stderr);
    std::fs::write(laptop.home().join("enough"), "").unwrap();
    assert!(watching.wait().unwrap().success());
    // Needles are given through a file: grep's own arguments would otherwise be what it finds.
    // In JSON it would stand escaped.
    let quoted = serde_json::to_string(&password).unwrap();
    let needles = [password.as_str(), quoted.trim_matches('"')];
    std::fs::write(laptop.home().join("needle"), needles.join("\n")).unwrap();
    let line = r#"
        grep -q tunnel.supervise "$HOME/cmdlines" && grep -q conninfo "$HOME/cmdlines" || exit 9
        grep -rlFf "$HOME/needle" "$HOME/cmdlines" "$HOME/.local" "$XDG_RUNTIME_DIR" 2>/dev/null"#;
    let found = laptop.shell(line).expect_code(1);
    assert_eq!(found.stdout, "");
    assert!(!needles.iter().any(|needle| seen.contains(needle)), "{seen}");
    assert!(laptop.state().join("known_hosts").is_file());
    laptop.devdb("down").expect_code(0);
}
