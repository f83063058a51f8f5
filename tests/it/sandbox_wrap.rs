//! `exec`, `psql` and `pgadmin` through a real tunnel.

use crate::support::drivers::{node_postgres, pgjdbc, psql, psycopg};
use crate::support::laptop::Laptop;
use std::ffi::OsStr;
use std::process::Command;

#[test]
fn exec_starts_the_tunnel_and_psql_finds_it() {
    let laptop = Laptop::new();
    laptop.devdb("bastion up").expect_code(0);
    let refused = laptop.shell("devdb psql -XAtc 'select 1'").expect_code(2);
    refused.says(&["warning: the tunnel is not up", "hint: run `devdb tunnel up`", "psql: error"]);
    assert!(refused.stderr.find("warning:") < refused.stderr.find("psql: error"), "{}", refused.stderr);

    let encrypted = "'select ssl from pg_stat_ssl where pid = pg_backend_pid()'";
    let answer = laptop.shell(&format!("devdb exec --up -- psql -XAtc {encrypted}")).expect_code(0);
    assert_eq!(answer.stdout, "t\n", "stdout is the program's alone");
    answer.says(&["tunnel started", "libpq verifies its certificate (environment dev)"]);
    assert_eq!(laptop.shell("devdb psql -E -XAtc 'select 7'").expect_code(0).stdout, "7\n");
    let reader = laptop.shell("devdb -q exec --reader -- sh -c 'echo $PGPORT; psql -XAtc \"select 8\"'").expect_code(0);
    assert_eq!(reader.stdout, "5433\n8\n");
    assert_eq!(laptop.shell("devdb exec -- sh -c 'exit 42'").expect_code(42).stdout, "");
    laptop.shell("devdb -e nowhere exec -- true").expect_code(125).says(&["there is no environment `nowhere`"]);
}

/// A program as a line of a shell, with the variables that are set for it.
fn line(program: &Command) -> String {
    let quoted = |text: &OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', "'\\''"));
    let variables = program.get_envs().filter_map(|(name, value)| Some((name.to_str()?, quoted(value?))));
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let words = std::iter::once(program.get_program()).chain(program.get_args()).map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_driver_goes_through_the_tunnel_with_what_env_printed_for_it() {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    for (client, program) in
        [("libpq", psql()), ("libpq", psycopg()), ("node", node_postgres()), ("jdbc", pgjdbc(laptop.home()))]
    {
        let connects = format!("eval \"$(devdb env --client {client})\" && {}", line(&program));
        let answer = laptop.shell(&connects).expect_code(0);
        assert!(["|t", "True", "ssl: true"].iter().any(|word| answer.stdout.contains(word)), "{}", answer.stdout);
    }
    // The same tunnel, and somebody else's authority: whoever verifies refuses.
    let other = laptop.home().join("other.pem").display().to_string();
    let made =
        format!("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out {other} -subj /CN=other -days 2");
    laptop.shell(&made).expect_code(0);
    for (client, program) in [("libpq", psql()), ("libpq", psycopg()), ("jdbc", pgjdbc(laptop.home()))] {
        let connects = format!("eval \"$(DEVDB_CA_FILE={other} devdb env --client {client})\" && {}", line(&program));
        let answer = laptop.shell(&connects);
        assert!(answer.code != 0 && answer.stderr.to_lowercase().contains("certif"), "{}", answer.stderr);
    }
    let answer = laptop.devdb_with(&[("DEVDB_CA_FILE", &other)], "schema").expect_code(1);
    answer.says(&["the server's certificate was not issued by an authority in", "hint: name the right CA file"]);
}

#[test]
fn pgadmin_logs_in_with_what_was_written_for_it() {
    let laptop = Laptop::new();
    laptop.devdb("up").expect_code(0);
    let folder = laptop.home().join("pgadmin");
    laptop.devdb(&format!("pgadmin --output {}", folder.display())).expect_code(0);
    let document = std::fs::read_to_string(folder.join("pgadmin-servers.json")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    for (number, name) in [("1", "shop dev"), ("2", "shop dev (reader)")] {
        let server = &document["Servers"][number];
        assert_eq!(server["Name"], name);
        let text = |key: &str| server[key].as_str().unwrap().to_owned();
        let parameters = server["ConnectionParameters"].as_object().unwrap();
        let parameters = parameters.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
        let parameters = parameters.collect::<Vec<_>>().join(" ");
        // As pgAdmin does it: from another folder, and with none of this shell's choices.
        let line = format!(
            "cd / && PGPASSWORD=$({}) psql -XAtc 'select 1' 'host={} port={} user={} dbname={} {parameters}'",
            text("PasswordExecCommand"),
            text("Host"),
            server["Port"],
            text("Username"),
            text("MaintenanceDB"),
        );
        assert_eq!(laptop.shell(&line).expect_code(0).stdout, "1\n");
    }
}
