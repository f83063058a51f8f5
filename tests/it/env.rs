//! What `devdb env` prints for whom, in a sealed box. `shells.rs` reads it back with the real shells.

use devdb::system::{CloudError, ProcessInfo};
use devdb::testing::{FakeCloud, Stage};
use std::sync::Arc;

const COMMITTED: &str =
    "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\nstack = \"AppDbStack\"\nca_file = \"ca.pem\"\n";

fn stage() -> Stage {
    Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(&Arc::new(FakeCloud::default()))
}

#[test]
fn each_shell_is_spoken_to_in_its_own_words() {
    let mut shown = String::new();
    for shell in ["bash", "zsh", "fish", "powershell", "nu", "dotenv", "json"] {
        for words in
            [&["env", "--only", "PGPASSWORD", "--shell", shell] as &[&str], &["env", "--unset", "--shell", shell]]
        {
            let argv: Vec<&str> = ["devdb", "-q"].iter().chain(words).copied().collect();
            let outcome = stage().run_all(&argv);
            shown.push_str(&format!("$ {}\n{outcome}\n", argv.join(" ")));
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn the_shell_is_the_one_that_runs_devdb() {
    for (parent, line) in [
        ("-bash", "export PGPORT='5432';"),
        ("dash", "export PGPORT='5432';"),
        ("zsh", "export PGPORT='5432';"),
        ("fish", "set -gx PGPORT '5432';"),
        ("pwsh", "$env:PGPORT = '5432';"),
        ("make", "export PGPORT='5432';"),
    ] {
        let stage = stage();
        stage.processes.set_parent(parent);
        assert_eq!(stage.run(["devdb", "env", "--only", "PGPORT"]).stdout.trim_end(), line, "{parent}");
    }
}

#[test]
fn other_clients_are_told_what_their_drivers_understand() {
    let run = |client, transport| {
        let stage = stage().var("DEVDB_TRANSPORT", transport);
        stage.run(["devdb", "-q", "env", "--shell", "bash", "--client", client])
    };
    insta::assert_snapshot!("env_client_node_direct", run("node", "direct"));
    insta::assert_snapshot!("env_client_jdbc", run("jdbc", "ssh"));
    let configured = stage().var("DEVDB_ENV_CLIENT", "jdbc").run(["devdb", "env", "--shell", "bash"]);
    assert_eq!(configured.stdout, run("jdbc", "ssh").stdout);
    let reader = stage().run(["devdb", "env", "--reader", "--only", "PGHOST", "--shell", "plain"]);
    assert_eq!(reader.stdout, "appdb.cluster-ro-abc123.eu-west-1.rds.amazonaws.com\n");
}

#[test]
fn what_an_earlier_eval_left_behind_is_taken_away() {
    let stage = stage().var("DEVDB_TRANSPORT", "direct").var("PGHOSTADDR", "127.0.0.1").var("PGSERVICE", "prod");
    let shown = stage.run(["devdb", "env", "--shell", "fish"]).stdout;
    assert!(shown.starts_with("set -e PGHOSTADDR;\nset -e PGSERVICE;\nset -gx PGHOST "), "{shown}");
    let only = stage.run(["devdb", "env", "--shell", "fish", "--only", "PGPORT"]).stdout;
    assert_eq!(only, "set -gx PGPORT '5432';\n");
}

#[test]
fn whoever_would_read_the_password_on_the_screen_is_told_how_to_hide_it() {
    let hint = |words: &[&str]| {
        let argv: Vec<&str> = ["devdb", "env"].iter().chain(words).copied().collect();
        let stage = stage().screen();
        let outcome = stage.run_all(&argv);
        assert_eq!(outcome.code, 0, "{outcome}");
        outcome.stderr.lines().find(|line| line.contains("password")).map(str::to_owned)
    };
    for (shell, line) in [
        ("bash", "`eval \"$(devdb env)\"`"),
        ("fish", "`devdb env | source`"),
        ("powershell", "`devdb env | Out-String | Invoke-Expression`"),
        ("nu", "`devdb env | from json | load-env`"),
    ] {
        assert!(hint(&["--shell", shell]).unwrap().ends_with(line), "{shell}");
    }
    assert_eq!(hint(&["--only", "PGPORT"]), None);
}

#[test]
fn nothing_is_printed_where_anything_fails() {
    let refused = |words: &[&str], code: u8, text: &str| {
        let argv: Vec<&str> = ["devdb", "env"].iter().chain(words).copied().collect();
        let outcome = stage().run_all(&argv);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", code), "{outcome}");
        assert!(outcome.stderr.contains(text), "{outcome}");
    };
    refused(&["--shell", "plain"], 2, "error: a bare value needs a name");
    refused(&["--only", "PGPASS"], 2, "`devdb env` does not set PGPASS");
    refused(&["--client", "jdbc", "--only", "PGHOST"], 2, "it sets JDBC_DATABASE_URL, ");
    refused(&["--unset", "--shell", "dotenv"], 1, "hint: name a shell: `devdb env --unset --shell bash`");
    refused(&["--shell", "tcsh"], 2, "invalid value 'tcsh'");
    for shell in ["bash", "fish", "powershell", "nu", "dotenv", "json"] {
        let cloud = Arc::new(FakeCloud::default());
        let action = "secretsmanager:GetSecretValue";
        let denied = move || CloudError::Denied { action: action.to_owned(), source: None };
        cloud.fail_action(action, false, Arc::new(denied));
        let stage = Stage::new().file("devdb.toml", COMMITTED).file("ca.pem", "").cloud(&cloud);
        let outcome = stage.run(["devdb", "env", "--shell", shell]);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 1), "{outcome}");
    }
}

#[test]
fn pgadmin_is_given_a_command_and_no_password() {
    let stage = stage().var("AWS_PROFILE", "ada's");
    let outcome = stage.run(["devdb", "pgadmin", "--output", "out"]);
    let file = std::fs::read_to_string(stage.project().join("out/pgadmin-servers.json")).unwrap();
    assert!(!file.contains("s3cret"), "{file}");
    let file = file.replace(&stage.home().display().to_string(), "[HOME]");
    insta::assert_snapshot!(format!("{outcome}\n{file}"));
    let document: serde_json::Value = serde_json::from_str(&file).unwrap();
    assert_eq!(document["Servers"]["1"]["ConnectionParameters"]["hostaddr"], "127.0.0.1");
}

#[test]
fn pgadmins_file_is_not_written_through_a_link() {
    let stage = stage().file("profile", "mine");
    let file = stage.project().join("profile");
    std::os::unix::fs::symlink(&file, stage.project().join("pgadmin-servers.json")).unwrap();
    let outcome = stage.run(["devdb", "pgadmin", "--output", "."]);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
    assert!(outcome.code == 1 && outcome.stderr.contains("it is a symbolic link"), "{outcome}");
}

#[test]
fn pgadmin_is_told_where_trust_is_kept() {
    let stage = stage();
    let (state, trusted) = (stage.home().join("ada's state"), stage.project().join("devdb.toml"));
    let stage = stage.var("XDG_STATE_HOME", state.to_str().unwrap());
    assert_eq!(stage.run(["devdb", "pgadmin", "--output", "out"]).code, 0);
    let file = std::fs::read(stage.project().join("out/pgadmin-servers.json")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let line = document["Servers"]["1"]["PasswordExecCommand"].as_str().unwrap();
    let asked = format!("devdb() {{ printf '%s\n' \"$XDG_STATE_HOME\" \"$DEVDB_TRUSTED_CONFIG\"; }}; {line}");
    let mut shell = std::process::Command::new("sh");
    let said = shell.env_clear().env("PATH", "/usr/bin:/bin").args(["-c", &asked]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said, format!("{}\n{}\n", state.display(), trusted.display()));
}

/// The process table of a laptop where the tunnel is down and its port is taken.
fn taken(own: bool) -> Stage {
    let stage = stage();
    stage.processes.add(ProcessInfo { pid: 4711, own, ..ProcessInfo::default() });
    stage.processes.listen(5432, 4711);
    stage
}

#[test]
fn no_password_is_handed_out_while_another_user_holds_the_port() {
    for verb in [&["env"][..], &["env", "--client", "jdbc"], &["exec", "--", "true"], &["psql"], &["pgadmin"]] {
        let stage = taken(false);
        let outcome = stage.run_all(&[&["devdb"], verb].concat());
        let refused = if matches!(verb[0], "exec" | "psql") { 125 } else { 4 };
        assert!(outcome.code == refused && outcome.stdout.is_empty(), "{verb:?}: {outcome}");
        assert!(outcome.stderr.contains("another user listens at 127.0.0.1:5432"), "{verb:?}: {outcome}");
        assert!(stage.processes.spawned().is_empty(), "{verb:?}");
    }
    let own = taken(true).run(["devdb", "env"]);
    assert!(own.code == 0 && own.stderr.contains("another process of yours holds its port"), "{own}");
}

#[test]
fn a_client_that_verifies_nothing_is_told_no_password_while_the_tunnel_is_down() {
    insta::assert_snapshot!("env_client_node", stage().run(["devdb", "env", "--client", "node"]));
    for stage in [stage(), taken(true), taken(false)] {
        let printed = stage.run(["devdb", "env", "--client", "node"]);
        assert!(printed.code == 4 && printed.stdout.is_empty(), "{printed}");
        let run = stage.run(["devdb", "exec", "--client", "node", "--", "true"]);
        assert!(run.code == 125 && stage.processes.spawned().is_empty(), "{run}");
    }
}
