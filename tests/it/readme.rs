//! The README's own commands, as they stand there.

use crate::support::postgres::Database;
use devdb::testing::{Answer, Stage};
use std::path::Path;
use std::process::Command;

/// The commands of the first console block below a heading, each with the lines that it is said to print.
fn commands(heading: &str) -> Vec<(String, Vec<String>)> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => found.push((command.split(" #").next().unwrap().trim().to_owned(), Vec::new())),
            None => found.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    found
}

fn git(folder: &Path, words: &str) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main"]);
    let output = git.args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {words}: {output:?}");
}

#[test]
fn the_story_of_the_branch_that_ran_before_main() {
    let database = Database::create();
    let stage = Stage::new().terminal().var("NO_COLOR", "1").var("DATABASE_URL", &database.url());
    let folder = stage.project();
    let commit = |name: &str, text: &str| {
        let file = folder.join(format!("db/migrations/{name}.sql"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        git(&folder, "add db");
        git(&folder, &format!("commit -qm {name}"));
    };
    git(&folder, "init -q");
    commit(
        "20260201_invoice",
        "-- migrate:up\ncreate table invoice (number int);\n-- migrate:down\ndrop table invoice;\n",
    );
    assert_eq!(stage.run(["devdb", "migrate", "to", "latest"]).code, 0);
    git(&folder, "switch -qc flags");
    commit(
        "20260305_user_flags",
        "-- migrate:up\ncreate table user_flag (id int);\n-- migrate:down\ndrop table user_flag;\n",
    );
    git(&folder, "switch -q main");
    commit("20260301_invoice_index", "-- migrate:up\ncreate index on invoice (number);\n");
    let story = commands("### When a branch ran before main");
    assert!(story.len() >= 5, "{story:?}");
    stage.prompter.script([Answer::Confirm(true)]);
    for (command, printed) in story {
        if let Some(words) = command.strip_prefix("git ") {
            git(&folder, words);
            continue;
        }
        let outcome = stage.run_all(&command.split_whitespace().collect::<Vec<_>>());
        let spaceless = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = spaceless(&format!("{}\n{}", outcome.stderr, outcome.stdout));
        for line in printed {
            assert!(said.contains(&spaceless(&line)), "`{command}` does not say `{line}`: {outcome}");
        }
    }
    assert_eq!(stage.prompter.questions(), ["apply this?"]);
    let order = database.sql("select string_agg(name, ' ' order by timestamp) from kysely_migration");
    assert_eq!(order, "20260201_invoice 20260301_invoice_index 20260305_user_flags");
}
