//! Hints that hold words of others, pasted into a real shell: each arrives as one word, and nothing else runs.

use devdb::bastion::{BastionError, Place};
use devdb::config::{ConfigError, Origin, ProfileFinding, SignIn};
use devdb::connection::{ConnectionError, SecretFault};
use devdb::discovery::DiscoveryError;
use devdb::error::CommandError;
use devdb::migrate::repair::{Reason, Refused, RepairError};
use devdb::migrate::{NameError, PlanError, RepositoryError};
use devdb::system::{CloudError, shell_word, toml_key, toml_text};
use devdb::testing::Stage;
use devdb::tunnel::TunnelError;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Words that a shell, or the end of a command in a hint, would make something of.
const WORDS: [&str; 9] = [
    "x`; touch pwned #",
    "x'; touch pwned; '",
    "$(touch pwned)",
    "a\"; touch pwned; \"b",
    "a\ntouch pwned\n#",
    "\u{1b}[2Jx\u{202e}`touch pwned`",
    "a b\\c %s !! ~ *",
    "it's \u{9b}% 'q' !x",
    "-x;touch pwned",
];

/// Every hint that is made of words from elsewhere.
fn hints(word: &str) -> Vec<String> {
    let (text, some) = (|| word.to_owned(), || Some(word.to_owned()));
    let missing = || CloudError::NoRegion;
    let place = |region: &str| Place { account: "1".to_owned(), region: region.to_owned() };
    let denied = |path: &str| std::io::Error::new(std::io::ErrorKind::PermissionDenied, path.to_owned());
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let file = PathBuf::from("/tmp").join(word.replace('/', "")).join("file");
    let reasons = vec![Reason::Unknown { name: text() }];
    let errors: Vec<CommandError> = vec![
        CloudError::NoCredentials { profile: some(), source: None }.into(),
        CloudError::ExpiredCredentials { profile: some(), source: None }.into(),
        CloudError::InvalidCredentials { profile: some(), message: text() }.into(),
        DiscoveryError::StackNotFound { stack: text(), region: some(), source: missing() }.into(),
        DiscoveryError::Ambiguous { what: "cluster", key: "cluster", candidates: vec![text()] }.into(),
        DiscoveryError::NoSubnet { vpc: text(), wanted: text(), seen: vec![text()], open: vec![text(), text()] }.into(),
        ConnectionError::Secret { id: text(), fault: SecretFault::Binary }.into(),
        ConfigError::NoSuchEnvironment { name: text(), origin: Origin::Default, known: vec![text()] }.into(),
        RepositoryError::NoReference { reference: format!("origin/{word}"), is_shallow: false }.into(),
        RepositoryError::NoReference { reference: format!("{word}/main"), is_shallow: false }.into(),
        RepositoryError::NoReference { reference: format!("--upload-pack={word}/main"), is_shallow: false }.into(),
        NameError::TooLate { newest: text() }.into(),
        PlanError::OutOfOrder { executed: text(), index: 0, found: text() }.into(),
        PlanError::NoDown { name: text() }.into(),
        BastionError::Elsewhere { here: place("here"), there: place(word) }.into(),
        TunnelError::File { path: file.clone(), source: denied(word) }.into(),
        TunnelError::File { path: file, source: full }.into(),
        RepairError::Refused(Refused { problems: Vec::new(), reasons }).into(),
    ];
    let findings = [
        ProfileFinding::NoProfile { profile: text(), path: PathBuf::new(), nearest: some() },
        ProfileFinding::NoProfile { profile: text(), path: PathBuf::new(), nearest: None },
        ProfileFinding::NoSource { profile: text(), wanted: text(), nearest: None },
        ProfileFinding::NoSource { profile: text(), wanted: text(), nearest: some() },
        ProfileFinding::NoSsoSession { profile: text(), session: text(), nearest: None },
        ProfileFinding::Incomplete { profile: text(), key: "aws_secret_access_key" },
        ProfileFinding::Incomplete { profile: text(), key: "source_profile" },
        ProfileFinding::Incomplete { profile: text(), key: "sso_region" },
        ProfileFinding::Empty { profile: text() },
        ProfileFinding::Mfa { profile: text() },
    ];
    let ways = [SignIn::Sso, SignIn::Console, SignIn::Process, SignIn::Keys, SignIn::WebIdentity];
    let ways = ways.map(|way| ProfileFinding::SignsIn { profile: text(), way });
    let signed_out = || CommandError::from(CloudError::NoCredentials { profile: some(), source: None });
    let found = findings.into_iter().chain(ways).map(|finding| signed_out().with_profile(|_| Some(finding)));
    errors.into_iter().chain(found).flat_map(|error| error.hints).collect()
}

/// The pieces of a hint that are shown as typed.
fn typed(hint: &str) -> Vec<&str> {
    assert!(hint.matches('`').count().is_multiple_of(2), "{hint}");
    hint.split('`').skip(1).step_by(2).collect()
}

/// In place of the programs, and of what no hint may run.
const TELLING: &str = "told() { printf '%s\\0' \"$@\" >> words; }; touch() { : > pwned; }
    aws() { told \"$@\"; }; devdb() { told \"$@\"; }; git() { told \"$@\"; }; ls() { told \"$@\"; }; df() { told \"$@\"; }\n";

/// Pastes a line where programs only tell their words; what they were given.
fn pasted(shell: &[&str], line: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(format!("{TELLING}{line}")).current_dir(folder.path());
    command.env_clear().env("PATH", folder.path()).env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    assert!(!folder.path().join("pwned").exists(), "{shell:?}: {line}");
    let words = String::from_utf8(fs::read(folder.path().join("words")).unwrap_or_default()).unwrap();
    words.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn a_pasted_hint_hands_each_word_over_as_one() {
    for word in WORDS {
        let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
        for hint in hints(word) {
            assert!(!hint.contains(devdb::system::is_unseen), "{hint:?}");
            for line in typed(&hint) {
                let program = line.split(' ').next().unwrap();
                let Some(program) = ["aws", "devdb", "git", "ls", "df"].into_iter().find(|known| *known == program)
                else {
                    continue;
                };
                let words = pasted(&["/bin/sh", "-c"], line);
                *arrived.entry(program).or_default() += usize::from(words.iter().any(|one| one.contains(word)));
                let options = words.iter().filter(|one| one.starts_with("--upload-pack")).count();
                assert_eq!(options, 0, "{line}");
            }
        }
        // A path has no slash in a name, and every other hint holds the word as it is.
        assert!(arrived["aws"] >= 18 && arrived["git"] >= 1 && arrived["devdb"] >= 2, "{word}: {arrived:?}");
        assert!(arrived["ls"] == 1 && arrived["df"] == 1, "{word}: {arrived:?}");
    }
}

#[test]
fn flags_that_are_said_again_in_a_hint_are_quoted() {
    for word in WORDS {
        let stage = Stage::new().file("devdb.toml", "project = \"shop\"\n[environment.dev]\nregion = \"eu-west-1\"\n");
        let outcome =
            stage.run_all(&["devdb", "--json", &format!("--profile={word}"), "tunnel", "kill-stale", "--force", "1"]);
        let error: serde_json::Value = serde_json::from_str(&outcome.stderr).unwrap();
        let hint = error["error"]["hints"][0].as_str().unwrap();
        let words = pasted(&["/bin/sh", "-c"], typed(hint)[0]);
        assert_eq!(words[..3], ["--profile".to_owned(), word.to_owned(), "tunnel".to_owned()], "{hint}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_word_is_one_word_of_every_shell(text in "[^\0]{0,12}") {
        for shell in [&["/bin/sh", "-c"], &["/bin/bash", "-c"]] {
            let line = format!("devdb {}", shell_word(&text));
            let wanted = if text.ends_with('\n') { "…".to_owned() } else { text.clone() };
            prop_assert_eq!(pasted(shell, &line), vec![wanted]);
        }
    }

    #[test]
    fn any_text_is_a_string_of_toml(text in any::<String>()) {
        let document = format!("{} = {}", toml_key(&text), toml_text(&text));
        prop_assert!(!document.contains('`') && !document.contains(devdb::system::is_unseen));
        let read: BTreeMap<String, String> = toml::from_str(&document).unwrap();
        prop_assert_eq!(read, BTreeMap::from([(text.clone(), text)]));
    }
}
