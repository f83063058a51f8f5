//! Completion scripts in the real shells, and manual pages in a real formatter.

use crate::support::readers::readers;
use crate::support::terminal::Terminal;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const DEVDB: &str = env!("CARGO_BIN_EXE_devdb");

/// A folder with `devdb.SHELL` for this shell.
fn scripts(shells: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for shell in shells {
        let printed = Command::new(DEVDB).args(["completions", shell]).current_dir(&folder).output().unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty(), "{shell}");
        let script = String::from_utf8(printed.stdout).unwrap();
        assert!(!script.contains("heal"), "{shell} offers what help hides");
        fs::write(folder.path().join(format!("devdb.{shell}")), script).unwrap();
    }
    folder
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_and_zsh_complete_a_verb_at_the_tab_key() {
    let folder = scripts(&["bash", "zsh"]);
    let mut setting = Command::new("bash");
    setting.current_dir(&folder).env("HOME", folder.path());
    let mut terminal = Terminal::open(&setting);
    terminal.types("source devdb.bash\r");
    terminal.shows("ready> ");
    terminal.types("devdb tunnel res\t");
    terminal.shows("devdb tunnel restart ");
    terminal.types("\u{15}zsh -f\r");
    terminal.types("PS1='set> '; autoload -Uz compinit; compinit -u -d dump; source devdb.zsh; PS1='go> '\r");
    terminal.shows("go> ");
    terminal.types("devdb migrate rep\t");
    // It writes what is missing only.
    terminal.shows("rep");
    terminal.shows("air");
    terminal.types("\u{15}exit\r");
    terminal.close();
}

#[test]
fn fish_completes_verbs_and_values() {
    let folder = scripts(&["fish"]);
    let complete = |line: &str| {
        let script = format!("source devdb.fish; complete -C '{line}'");
        said(Command::new("fish").args(["--no-config", "-c", &script]).current_dir(&folder).output().unwrap())
    };
    assert!(complete("devdb tun").starts_with("tunnel\tKeep local ports connected"));
    assert!(complete("devdb tunnel res").starts_with("restart\tReplace the SSH connection"));
    assert!(complete("devdb env --shell f").starts_with("fish"));
}

#[test]
fn nushell_knows_every_command() {
    let folder = scripts(&["nu"]);
    let script = "source devdb.nu; scope externs | get name | where $it == 'devdb tunnel restart' | length";
    let mut nu = Command::new(readers().nu());
    nu.args(["--no-config-file", "--commands", script]).current_dir(&folder).env("HOME", folder.path());
    assert_eq!(said(nu.output().unwrap()).trim(), "1");
}

fn format(page: &Path) -> Output {
    Command::new("groff").args(["-Kutf8", "-man", "-ww", "-z", "-Tutf8"]).arg(page).output().unwrap()
}

#[test]
fn every_command_has_a_page_that_a_formatter_finds_no_fault_with() {
    let folder = tempfile::tempdir().unwrap();
    let written = Command::new(DEVDB).args(["man", "--output", "pages"]).current_dir(&folder).output().unwrap();
    let told = said(written);
    let pages: Vec<_> = fs::read_dir(folder.path().join("pages")).unwrap().map(|page| page.unwrap().path()).collect();
    assert!(told.ends_with(&format!("/pages: {} pages\n", pages.len())) && pages.len() > 40, "{told}");
    for page in &pages {
        let formatted = format(page);
        let complaint = String::from_utf8_lossy(&formatted.stderr);
        assert!(formatted.status.success() && complaint.is_empty(), "{}: {complaint}", page.display());
    }
    let of = |name: &str| fs::read_to_string(folder.path().join("pages").join(name)).unwrap();
    assert!(of("devdb-tunnel-up.1").contains("A supervisor in the background"));
    assert!(!of("devdb-tunnel.1").contains("heal"));

    let printed = said(Command::new(DEVDB).arg("man").current_dir(&folder).output().unwrap());
    assert_eq!(printed, of("devdb.1"));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let refused = Command::new(DEVDB).args(["man", "--output", "file"]).current_dir(&folder).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("/file could not be written"), "{said}");
    assert!(refused.stdout.is_empty());
}
