//! All help there is, as one text: read it as a user would.

use devdb::testing::Stage;

/// Every command that `--help` shows, found by reading the help itself.
fn all_help(stage: &Stage, path: &mut Vec<String>, text: &mut String) {
    let mut argv: Vec<&str> = vec!["devdb"];
    argv.extend(path.iter().map(String::as_str));
    argv.push("--help");
    let outcome = stage.run_all(&argv);
    assert_eq!(outcome.code, 0, "{argv:?}: {outcome}");
    text.push_str(&format!("\n$ {}\n", argv.join(" ")));
    // The global options are the same everywhere.
    let shown = outcome.stdout.split("\nGlobal options:").next().unwrap_or_default();
    text.push_str(if path.is_empty() { &outcome.stdout } else { shown });
    let commands: Vec<String> = shown
        .split("\nCommands:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .map(|list| list.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect())
        .unwrap_or_default();
    for command in commands {
        path.push(command);
        all_help(stage, path, text);
        path.pop();
    }
}

#[test]
fn help_teaches() {
    let mut text = String::new();
    all_help(&Stage::new(), &mut Vec::new(), &mut text);
    insta::assert_snapshot!(text);
}
