//! git's other kinds of work tree, and contents that a filter or a line ending changes on the way in.

use devdb::host::real_tools;
use devdb::testing::Stage;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a line of shell in a folder, as a person whose own configuration is in `home`.
fn sh(folder: &Path, home: &Path, line: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", line])
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
        .envs([("GIT_AUTHOR_NAME", "ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .env("HOME", home)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const MAKE: &str = "git init -q -b main; mkdir -p db/migrations; echo 'select 1;' > db/migrations/1_a.up.sql
    git add -A; git commit -qm first; git branch base";

/// What devdb knows of a folder with `1_a`, whose base is `base`, and of an edit of it.
fn is_known(folder: &Path, home: &Path) {
    let dir = folder.join("db/migrations");
    let (repository, history) = (real_tools().repository(&dir), real_tools().file_history(&dir));
    let base = repository.base("base").unwrap();
    assert_eq!(base.tip.keys().collect::<Vec<_>>(), ["1_a.up.sql"], "{folder:?}");
    assert_eq!(base.fork.as_ref(), Some(&base.tip), "{folder:?}");
    assert_eq!(repository.contents(&["1_a.up.sql"]).unwrap(), base.tip, "{folder:?}");
    assert_eq!(history.head(), Some(sh(folder, home, "git rev-parse HEAD")), "{folder:?}");
    assert_eq!(history.find("1_a").unwrap().files[0].1, b"select 1;\n", "{folder:?}");
    fs::write(dir.join("1_a.up.sql"), "select 2;\n").unwrap();
    assert_ne!(repository.contents(&["1_a.up.sql"]).unwrap(), base.tip, "{folder:?}");
}

#[test]
fn every_kind_of_work_tree_is_known() {
    let root = tempfile::tempdir().unwrap();
    let at = |folder: &str| root.path().join(folder);
    let run = |line: &str| sh(root.path(), root.path(), line);
    run(&format!("mkdir plain; cd plain; {MAKE}"));
    run("git -C plain worktree add -q ../linked base~0 --detach; git -C plain worktree add -q ../branch -b mine");
    run("git clone -q --bare plain around/.git; git -C around worktree add -q inner base~0 --detach");
    run(
        "git clone -q --bare plain bare/.bare; echo 'gitdir: ./.bare' > bare/.git; git -C bare worktree add -q main main",
    );
    run("git clone -q --separate-git-dir=elsewhere plain apart; git -C apart branch base origin/base");
    run("git init -q outer; cd outer; git -c protocol.file.allow=always submodule --quiet add ../plain sub
        git -C sub branch base origin/base; git commit -qm sub");
    // The whole folder of migrations may be one.
    run("mkdir migrations; cd migrations; git init -q -b main; echo 'select 1;' > 1_a.up.sql; git add -A; git commit -qm a
        git branch base; git init -q ../shop; cd ../shop; mkdir db
        git -c protocol.file.allow=always submodule --quiet add ../migrations db/migrations
        git -C db/migrations branch base origin/base");
    run("ln -s plain/db link; mkdir through; cd through; ln -s ../plain/db db");
    for folder in ["linked", "branch", "around/inner", "bare/main", "apart", "outer/sub", "through", "plain"] {
        if folder == "through" {
            // Counted from where the link leads.
            assert!(real_tools().repository(&at("through/db/migrations")).base("base").unwrap().fork.is_some());
            continue;
        }
        is_known(&at(folder), root.path());
    }
    let repository = real_tools().repository(&at("shop/db/migrations"));
    let base = repository.base("base").unwrap();
    assert_eq!(repository.contents(&["1_a.up.sql"]).unwrap(), base.tip);
}

#[test]
fn migrations_at_the_top_and_below_names_with_spaces_and_stars_are_known() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a b*[c]");
    let dir = folder.join("d:e é*");
    fs::create_dir_all(&dir).unwrap();
    sh(
        &folder,
        root.path(),
        "git init -q -b main; echo 'select 1;' > '1_x y.up.sql'; cp 1* d*/; git add -A; git commit -qm a",
    );
    for dir in [&folder, &dir] {
        let repository = real_tools().repository(dir);
        let base = repository.base("main").unwrap();
        assert_eq!(base.tip.keys().map(String::as_str).filter(|name| name.ends_with(".sql")).count(), 1, "{dir:?}");
        assert_eq!(repository.contents(&["1_x y.up.sql"]).unwrap()["1_x y.up.sql"], base.tip["1_x y.up.sql"]);
        let found = real_tools().file_history(dir).find("1_x y").unwrap();
        assert_eq!((found.branch.as_deref(), found.files.len()), (Some("main"), 1));
    }
}

#[test]
fn a_file_behind_a_filter_counts_as_it_was_added_and_line_endings_as_git_stores_them() {
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;\n").file("db/migrations/2_b.up.sql", "x\r\n");
    let marks = tempfile::tempdir().unwrap();
    let run = |line: &str| sh(&stage.project(), marks.path(), line);
    let mark = marks.path().join("mark");
    fs::write(marks.path().join("clean"), format!("#!/bin/sh\ntouch {}; rev\n", mark.display())).unwrap();
    run("chmod +x \"$HOME/clean\"; git config --global filter.rev.clean \"$HOME/clean\"
        git init -q -b main; printf '1_* filter=rev\\n2_* text\\n' > db/migrations/.gitattributes
        git add -A; git commit -qm a; rm \"$HOME/mark\"");
    let check = || stage.run(["devdb", "migrate", "check", "--base", "main"]).code;
    assert_eq!(check(), 0);
    run("echo 'select 2;' > db/migrations/1_a.up.sql; git add -A; rm \"$HOME/mark\"");
    assert_eq!(check(), 3);
    run("git reset -q --hard; rm -f \"$HOME/mark\"; printf 'y\\r\\n' > db/migrations/2_b.up.sql");
    assert_eq!(check(), 3);
    assert!(!mark.exists(), "the filter was run");
}

#[test]
fn a_hook_of_git_names_no_other_repository() {
    let root = tempfile::tempdir().unwrap();
    let run = |line: &str| sh(root.path(), root.path(), line);
    run(&format!("mkdir plain; cd plain; {MAKE}; echo 'project = \"shop\"' > devdb.toml"));
    run(&format!("mkdir other; cd other; {MAKE}; git commit -q --allow-empty -m other; git branch -D base"));
    let devdb = env!("CARGO_BIN_EXE_devdb");
    let line = format!(
        "cd plain; export GIT_DIR=$PWD/../other/.git GIT_WORK_TREE=$PWD/../other GIT_INDEX_FILE=/nowhere GIT_PREFIX=x/
        export GIT_OBJECT_DIRECTORY=/nowhere GIT_COMMON_DIR=/nowhere GIT_NAMESPACE=x GIT_CEILING_DIRECTORIES=$PWD
        export GIT_EXTERNAL_DIFF='touch mark' GIT_SSH_COMMAND='touch mark' GIT_TRACE=$PWD/mark GIT_LITERAL_PATHSPECS=0
        DEVDB_ALIAS=ada {devdb} migrate check --base base; test ! -e mark"
    );
    run(&line);
}
