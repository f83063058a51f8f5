//! What a committed devdb.toml may do before it is trusted.

use crate::support::terminal::Terminal;
use devdb::testing::{Answer, FakeCloud, Stage};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const SHOP: &str = "project = \"shop\"
[environment.dev]
region = \"eu-west-1\"
[environment.dev.ssh]
proxy_command = \"touch pwned; nc %h %p\"
";

/// A box whose file is a stranger's: the variable that names it is not set.
fn cloned(text: &str) -> Stage {
    Stage::new().var("DEVDB_TRUSTED_CONFIG", "").file("devdb.toml", text)
}

fn is_asked_for(stage: &Stage, verb: &[&str]) -> bool {
    let outcome = stage.run_all(verb);
    let says = outcome.stderr.contains("devdb trust");
    assert_eq!(outcome.code == 4, says, "{verb:?}: {outcome}");
    says
}

#[test]
fn values_of_a_clone_are_shown_before_anything_of_them_is_used() {
    let stage = cloned(SHOP);
    insta::assert_snapshot!("refused", stage.run(["devdb", "tunnel", "up"]));
    insta::assert_snapshot!("shown", stage.run(["devdb", "trust", "--show"]));
    insta::assert_snapshot!("trusted", stage.run(["devdb", "trust"]));
    assert!(!is_asked_for(&stage, &["devdb", "tunnel", "status"]));
    let changed = stage.file("devdb.toml", &SHOP.replace("pwned", "pwned2"));
    insta::assert_snapshot!("changed", changed.run(["devdb", "tunnel", "status"]));
    let back = changed.file("devdb.toml", SHOP);
    assert!(!is_asked_for(&back, &["devdb", "tunnel", "status"]), "the same values are trusted still");
    insta::assert_snapshot!("taken_back", back.run(["devdb", "untrust"]));
    assert!(is_asked_for(&back, &["devdb", "tunnel", "status"]));
}

#[test]
fn every_verb_that_would_use_the_environment_asks_first() {
    let asking: [&[&str]; 22] = [
        &["up"],
        &["down"],
        &["status"],
        &["env"],
        &["exec", "--", "true"],
        &["psql"],
        &["pgadmin"],
        &["bastion", "up"],
        &["bastion", "down"],
        &["bastion", "status"],
        &["bastion", "list"],
        &["bastion", "ssh"],
        &["bastion", "extend", "1h"],
        &["bastion", "allow-ip"],
        &["bastion", "gc"],
        &["tunnel", "up"],
        &["tunnel", "down"],
        &["tunnel", "restart"],
        &["tunnel", "status"],
        &["tunnel", "logs"],
        &["tunnel", "wait"],
        &["schema"],
    ];
    for verb in asking {
        let stage = cloned(SHOP);
        let outcome = stage.run_all(&[&["devdb"], verb].concat());
        let refused = if matches!(verb[0], "exec" | "psql") { 125 } else { 4 };
        assert_eq!(outcome.code, refused, "{verb:?}: {outcome}");
        assert!(outcome.stdout.is_empty() && outcome.stderr.contains("proxy_command"), "{verb:?}: {outcome}");
        assert!(stage.processes.captured().iter().all(|child| child.program == "git"), "{verb:?}");
    }
}

#[test]
fn what_only_reads_the_repository_asks_nothing() {
    let stage = cloned(SHOP).file("db/migrations/1_a.up.sql", "create table a ();");
    for verb in [&["config", "show"][..], &["migrate", "lint", "--all"], &["completions", "bash"]] {
        assert!(!is_asked_for(&stage, &[&["devdb"], verb].concat()), "{verb:?}");
    }
    let named = ["devdb", "migrate", "status", "--database-url", "postgres://app@127.0.0.1:1/app"];
    let outcome = stage.run(named);
    assert!(outcome.code == 1 && !outcome.stderr.contains("trust"), "{outcome}");
}

#[test]
fn doctor_names_it_and_asks_nothing() {
    let stage = cloned(SHOP).terminal();
    let outcome = stage.run(["devdb", "doctor"]);
    assert!(outcome.code == 3 && outcome.stdout.contains("devdb trust"), "{outcome}");
    assert_eq!(stage.prompter.questions(), Vec::<String>::new());
}

#[test]
fn a_terminal_is_asked_once_and_yes_is_no_answer() {
    let stage = cloned(SHOP).terminal();
    stage.prompter.script([Answer::Confirm(false), Answer::Confirm(true)]);
    let outcome = stage.run(["devdb", "--yes", "tunnel", "status"]);
    assert!(outcome.code == 4 && outcome.stderr.contains("touch pwned; nc %h %p"), "{outcome}");
    assert_eq!(stage.run(["devdb", "--quiet", "tunnel", "status"]).code, 3);
    assert_eq!(stage.run(["devdb", "tunnel", "status"]).code, 3, "it is not asked again");
    assert_eq!((stage.prompter.questions().len(), stage.prompter.left_over()), (2, 0));
}

#[test]
fn the_variable_trusts_the_file_that_it_names_and_no_other() {
    let stage = cloned(SHOP);
    let path = stage.project().join("devdb.toml").display().to_string();
    let elsewhere = stage.home().join("devdb.toml").display().to_string();
    assert!(is_asked_for(&stage, &["devdb", "tunnel", "status"]));
    let stage = stage.var("DEVDB_TRUSTED_CONFIG", &elsewhere);
    assert!(is_asked_for(&stage, &["devdb", "tunnel", "status"]));
    let stage = stage.var("DEVDB_TRUSTED_CONFIG", &path);
    assert!(!is_asked_for(&stage, &["devdb", "tunnel", "status"]));
    let relative = stage.var("DEVDB_TRUSTED_CONFIG", "devdb.toml").run(["devdb", "tunnel", "status"]);
    assert!(relative.code == 2 && relative.stderr.contains("absolute"), "{relative}");
}

#[test]
fn another_repository_with_the_same_project_is_told_whose_tunnel_it_would_share() {
    let stage = cloned(SHOP).file("other/devdb.toml", SHOP);
    assert_eq!(stage.run(["devdb", "trust"]).code, 0);
    let outcome = stage.run(["devdb", "--config", "other/devdb.toml", "tunnel", "down"]);
    assert_eq!(outcome.code, 4, "{outcome}");
    assert!(outcome.stderr.contains("[HOME]/project/devdb.toml has the same project"), "{outcome}");
}

#[test]
fn the_authority_that_a_file_names_is_trusted_with_its_content() {
    let shop = "project = \"shop\"\n[environment.dev]\nca_file = \"ca.pem\"\n";
    let stage = cloned(shop).file("ca.pem", "one");
    assert_eq!(stage.run(["devdb", "trust"]).code, 0);
    assert!(!is_asked_for(&stage, &["devdb", "tunnel", "status"]));
    let stage = stage.file("ca.pem", "another");
    let outcome = stage.run(["devdb", "tunnel", "status"]);
    assert!(outcome.code == 4 && outcome.stderr.contains("dev.ca_file"), "{outcome}");
}

#[test]
fn an_authority_that_is_swapped_behind_the_question_is_not_used() {
    let shop =
        "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\ntransport = \"direct\"\nca_file = \"ca.pem\"\n";
    let stage = cloned(shop).file("ca.pem", "one").cloud(&Arc::new(FakeCloud::default())).terminal();
    let file = stage.project().join("ca.pem");
    stage.prompter.meanwhile(move || std::fs::write(file, "another").unwrap());
    stage.prompter.script([Answer::Confirm(true)]);
    let outcome = stage.run(["devdb", "env"]);
    assert!(outcome.code == 4 && outcome.stdout.is_empty() && outcome.stderr.contains("has changed"), "{outcome}");
    let stage = stage.file("ca.pem", "one");
    assert_eq!(stage.run(["devdb", "env"]).code, 0, "what was trusted is used");
}

#[test]
fn a_link_to_a_trusted_file_is_not_trusted() {
    let stage = cloned(SHOP).file("evil/a", "");
    assert_eq!(stage.run(["devdb", "trust"]).code, 0);
    let (file, link) = (stage.project().join("devdb.toml"), stage.project().join("evil/devdb.toml"));
    std::os::unix::fs::symlink("../devdb.toml", link).unwrap();
    let status = |stage: &Stage, file: &str| stage.run(["devdb", "--config", file, "tunnel", "status"]).code;
    assert_eq!(status(&stage, "evil/devdb.toml"), 4, "what lies beside the link is another's");
    let stage = stage.var("DEVDB_TRUSTED_CONFIG", file.to_str().unwrap());
    assert_eq!(status(&stage, "evil/devdb.toml"), 4);
    std::os::unix::fs::symlink(stage.project(), stage.home().join("linked")).unwrap();
    let through = stage.home().join("linked/devdb.toml").display().to_string();
    assert_eq!(status(&stage, &through), 3, "a folder's link is none");
}

/// Changes who may write to a file or folder.
fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_record_that_others_may_write_is_none() {
    let stage = cloned(SHOP);
    let status = ["devdb", "tunnel", "status"];
    let state = stage.home().join(".local/state/devdb");
    assert_eq!(stage.run(["devdb", "trust"]).code, 0);
    for folder in [state.clone(), state.join(".trust")] {
        allow(&folder, 0o777);
        assert!(is_asked_for(&stage, &status), "{}", folder.display());
        assert_eq!(stage.run(["devdb", "trust"]).code, 0);
        assert!(!is_asked_for(&stage, &status), "{} is the user's alone again", folder.display());
    }
    let record = std::fs::read_dir(state.join(".trust")).unwrap().next().unwrap().unwrap();
    allow(&record.path(), 0o666);
    assert!(is_asked_for(&stage, &status));
}

#[test]
fn a_personal_file_that_others_may_write_is_refused_or_asked_about() {
    let personal = "[environment.dev]\nprofile = \"mallory\"\n";
    let clone =
        Clone::new(&[("devdb.toml", "project = \"shop\"\n[environment.dev]\n"), ("devdb.local.toml", personal)]);
    let file = clone.shop().join("devdb.toml").display().to_string();
    let status = |vars: &[(&str, &str)], args: &[&str]| {
        let mut devdb = clone.sealed(env!("CARGO_BIN_EXE_devdb"));
        let output = devdb.envs(vars.iter().copied()).args(args).args(["tunnel", "status"]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(clone.devdb(&["trust"]).0, 0);
    assert_eq!(status(&[], &[]).0, Some(3));
    allow(&clone.shop().join("devdb.local.toml"), 0o666);
    for vars in [&[][..], &[("DEVDB_TRUSTED_CONFIG", "/elsewhere/devdb.toml")]] {
        let (code, said) = status(vars, &[]);
        assert!(code == Some(4) && said.contains("others may write to"), "{said}");
    }
    let (code, said) = status(&[], &["--config", &file]);
    assert!(code == Some(4) && said.contains("mallory"), "{said}");
    assert_eq!(status(&[("DEVDB_TRUSTED_CONFIG", &file)], &[]).0, Some(3));
}

#[test]
fn a_file_of_ones_own_in_a_folder_of_others_is_not_passed_over_in_silence() {
    let stage = cloned(SHOP).var("DATABASE_URL", "postgres://app@127.0.0.1:1/app");
    allow(&stage.project(), 0o777);
    for verb in [&["migrate", "status"][..], &["migrate", "lint", "--all"], &["tunnel", "status"]] {
        let outcome = stage.run_all(&[&["devdb"], verb].concat());
        assert!(outcome.code == 4 && outcome.stderr.contains("devdb.toml is not read"), "{verb:?}: {outcome}");
    }
    allow(&stage.project(), 0o755);
    assert!(is_asked_for(&stage, &["devdb", "tunnel", "status"]));
}

#[test]
fn an_environment_stays_in_the_account_that_it_was_first_used_with() {
    let first = Arc::new(FakeCloud::default());
    let second = Arc::new(FakeCloud::elsewhere("210987654321", "eu-west-1"));
    [&first, &second].into_iter().for_each(|cloud| cloud.add_secret("shop/db", "s3cret"));
    let shop =
        "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\ntransport = \"direct\"\nsecret = \"shop/db\"\n";
    let stage = cloned(shop).cloud(&first);
    assert_eq!(stage.run(["devdb", "trust"]).code, 0);
    assert_eq!(stage.run(["devdb", "env"]).code, 0);
    let stage = stage.cloud(&second);
    let warm = stage.run(["devdb", "env"]);
    assert!(warm.code == 4 && warm.stdout.is_empty(), "what is known of the first account gets no other one's: {warm}");
    // With another profile nothing that is known of the first account is used.
    let moved = ["devdb", "--profile", "other", "env"];
    let refused = stage.run(moved);
    assert!(refused.code == 4 && refused.stdout.is_empty(), "{refused}");
    insta::assert_snapshot!("another_account", refused);
    let stage = stage.terminal();
    stage.prompter.script([Answer::Confirm(true)]);
    assert_eq!(stage.run(moved).code, 0);
    assert_eq!(stage.run(moved).code, 0);
    assert_eq!(stage.prompter.left_over(), 0);
}

/// A folder with git, for the real program.
struct Clone(tempfile::TempDir);

impl Clone {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("shop").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let clone = Self(folder);
        clone.git(&["init", "--quiet"]);
        clone
    }

    fn shop(&self) -> std::path::PathBuf {
        self.0.path().join("shop")
    }

    fn sealed(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.0.path()).current_dir(self.shop());
        command.env("DEVDB_ALIAS", "ada");
        command
    }

    fn git(&self, args: &[&str]) {
        assert!(self.sealed("git").args(args).status().unwrap().success());
    }

    fn devdb(&self, args: &[&str]) -> (i32, String) {
        let output = self.sealed(env!("CARGO_BIN_EXE_devdb")).args(args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn a_personal_file_counts_as_committed_where_git_tracks_it() {
    let personal = "[environment.dev.ssh]\nproxy_command = \"touch pwned\"\n";
    let clone = Clone::new(&[("devdb.toml", "[environment.dev]\n"), ("devdb.local.toml", personal)]);
    let status = ["--json", "tunnel", "status"];
    let named = [&["--config", "devdb.toml"][..], &status].concat();
    let own = |clone: &Clone, args: &[&str]| {
        let output =
            clone.sealed(env!("CARGO_BIN_EXE_devdb")).env("DEVDB_PROJECT", "shop").args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(own(&clone, &status).0, 3, "it is the user's own file");
    clone.git(&["add", "--all"]);
    for args in [&status[..], &named] {
        let (code, said) = own(&clone, args);
        assert!(code == 4 && said.contains("touch pwned"), "{code} {said}");
    }
    std::fs::write(clone.shop().join("devdb.local.toml"), "alias = \"eve\"\n").unwrap();
    let (code, said) = own(&clone, &status);
    assert!(code == 1 && said.contains("devdb.local.toml:1"), "{code} {said}");
    std::fs::remove_dir_all(clone.shop().join(".git")).unwrap();
    std::fs::write(clone.shop().join("devdb.local.toml"), personal).unwrap();
    assert_eq!(own(&clone, &status).0, 4, "an unpacked archive proves nothing");
}

#[test]
fn the_values_of_two_files_in_each_others_place_are_another_claim() {
    let clone = Clone::new(&[("devdb.toml", ""), ("devdb.local.toml", "")]);
    let write = |committed: &str, personal: &str| {
        let text = |profile: &str| format!("[environment.dev]\nprofile = \"{profile}\"\n");
        std::fs::write(clone.shop().join("devdb.toml"), format!("project = \"shop\"\n{}", text(committed))).unwrap();
        std::fs::write(clone.shop().join("devdb.local.toml"), text(personal)).unwrap();
    };
    write("production", "play");
    clone.git(&["add", "--all"]);
    let (code, said) = clone.devdb(&["trust"]);
    assert!(code == 0 && said.contains("dev.profile (devdb.local.toml)  play"), "{said}");
    assert_eq!(clone.devdb(&["tunnel", "status"]).0, 3);
    write("play", "production");
    let (code, said) = clone.devdb(&["tunnel", "status"]);
    assert!(code == 4 && said.contains("production  was play"), "{code} {said}");
}

#[test]
fn an_alias_that_no_person_wrote_is_part_of_the_claim() {
    let clone = Clone::new(&[("devdb.toml", SHOP)]);
    std::fs::remove_dir_all(clone.shop().join(".git")).unwrap();
    assert_eq!(clone.devdb(&["trust"]).0, 0);
    std::fs::write(clone.shop().join("devdb.local.toml"), "alias = \"grace\"\n").unwrap();
    let mut status = clone.sealed(env!("CARGO_BIN_EXE_devdb"));
    let status = status.env_remove("DEVDB_ALIAS").args(["tunnel", "status"]).output().unwrap();
    let said = String::from_utf8_lossy(&status.stderr);
    assert!(status.status.code() == Some(4) && said.contains("grace"), "{said}");
}

#[test]
fn a_real_terminal_is_asked_and_remembers() {
    let clone = Clone::new(&[("devdb.toml", SHOP)]);
    let mut setting = clone.sealed("true");
    setting.env("PROMPT_COMMAND", "").env("TERM", "xterm");
    let mut terminal = Terminal::open(&setting);
    let line = format!("'{}' tunnel status; echo code $?\r", env!("CARGO_BIN_EXE_devdb"));
    terminal.types(&line);
    terminal.shows("trust these values");
    terminal.types("y\r");
    terminal.shows("code 3");
    let (code, said) = clone.devdb(&["tunnel", "status"]);
    assert_eq!(code, 3, "{said}");
    let (code, said) = clone.devdb(&["trust", "--show"]);
    assert!(code == 0 && said.contains("trusted"), "{said}");
    assert!(!Path::new(&clone.shop()).join("pwned").exists());
}

/// Gives what lies there to another user; anyone but root asks sudo, which the gate installs.
fn give_away(path: &Path) {
    let mut chown = if rustix::process::geteuid().is_root() { Command::new("chown") } else { Command::new("sudo") };
    if !rustix::process::geteuid().is_root() {
        chown.args(["-n", "chown"]);
    }
    assert!(chown.args(["--no-dereference", "65534"]).arg(path).status().unwrap().success());
}

#[test]
fn what_another_user_wrote_decides_nothing_below_it() {
    let lies = |given: &str| {
        let clone = Clone::new(&[("devdb.toml", SHOP), ("deep/x", ""), ("real/devdb.toml", SHOP)]);
        if given == "link" {
            std::fs::rename(clone.shop().join("devdb.toml"), clone.shop().join("target")).unwrap();
            std::os::unix::fs::symlink("target", clone.shop().join("devdb.toml")).unwrap();
            give_away(&clone.shop().join("devdb.toml"));
        } else {
            give_away(&clone.shop().join(given));
        }
        clone
    };
    for given in ["devdb.toml", "", "link"] {
        let clone = lies(given);
        let mut below = clone.sealed(env!("CARGO_BIN_EXE_devdb"));
        let output = below.current_dir(clone.shop().join("deep")).args(["config", "show"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(4) && said.contains("belongs to another user (uid 65534)"),
            "{given}: {said}"
        );
        let named = clone.devdb(&["--config", "devdb.toml", "config", "show"]);
        assert_eq!(named.0, 0, "{given}: who names it means it: {named:?}");
    }
}
