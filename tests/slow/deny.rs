//! `deny.toml` against the dependencies that there are, judged by cargo-deny itself.

use std::path::Path;
use std::process::{Command, Output};

const RULES: &str = include_str!("../../deny.toml");

fn judged(rules: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deny.toml");
    std::fs::write(&file, rules).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/deny");
    Command::new(script).arg("--config").arg(&file).output().unwrap()
}

#[test]
fn the_dependencies_are_as_deny_toml_wants_them() {
    let output = judged(RULES);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_deny_toml_does_not_want_is_found() {
    for (from, to, found) in [
        ("allow = [\"Apache-2.0\", \"MIT\"]", "allow = [\"MIT\"]", "error[rejected]"),
        ("{ allow = [\"ISC\"], crate = \"untrusted\" },", "", "error[rejected]"),
        (
            "crate = \"sha2@0.10.9\"",
            "crate = \"sha2@0.9.9\"",
            "error[duplicate]: found 2 duplicate entries for crate 'sha2'",
        ),
        ("crate = \"native-tls\"", "crate = \"rustls\"", "error[banned]"),
        ("[sources]", "[sources]\nallow-registry = []", "error[source-not-allowed]"),
        // An exception that nothing needs.
        ("skip = [", "skip = [\n    { crate = \"serde@0.9.0\", reason = \"none\" },", "error[unmatched-skip]"),
    ] {
        assert_eq!(RULES.matches(from).count(), 1, "{from}");
        let output = judged(&RULES.replace(from, to));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(found), "{to}: {said}");
    }
}
