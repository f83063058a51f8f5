//! What a repository's own configuration may run when devdb asks git about it: nothing. Each program leaves a mark, and
//! plain git shows first that it would.

use crate::support::postgres::Database;
use devdb::host::real_tools;
use devdb::testing::Stage;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a line of shell in a folder, with a home of its own; whether it succeeded.
fn try_sh(folder: &Path, marks: &Path, line: &str) -> (bool, String) {
    let output = Command::new("sh")
        .args(["-euc", line])
        .current_dir(folder)
        .env_clear()
        .envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")])
        .envs([("GIT_AUTHOR_NAME", "ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .envs([("HOME", marks), ("MARKS", marks)])
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn sh(folder: &Path, marks: &Path, line: &str) -> String {
    let (succeeded, said) = try_sh(folder, marks, line);
    assert!(succeeded, "{line}: {said}");
    said.trim().to_owned()
}

const A: &str = "db/migrations/20260101_a.up.sql";
const B: &str = "db/migrations/20260201_b.up.sql";

/// On `main` there are two migrations; on `mine`, which is checked out, the second was deleted and a third was added.
fn project(marks: &Path) -> Stage {
    let stage = Stage::new().file(A, "create table a ();\n").file(B, "create table b ();\n");
    let stage = stage.file("devdb.toml", "project = \"shop\"\n[environment.dev]\nkind = \"personal\"\n");
    sh(&stage.project(), marks, "git init -q -b main; git add -A; git commit -qm first; git switch -qc mine");
    let line =
        format!("git rm -q {B}; echo 'select 3;' > db/migrations/20260301_c.up.sql; git add -A; git commit -qm mine");
    sh(&stage.project(), marks, &line);
    stage
}

struct Kind {
    name: &'static str,
    /// Makes the repository hostile; `$PWNED` is a program that leaves the mark.
    hostile: &'static str,
    /// What lets plain git run it.
    control: &'static str,
}

const fn kind(name: &'static str, hostile: &'static str, control: &'static str) -> Kind {
    Kind { name, hostile, control }
}

const KINDS: &[Kind] = &[
    kind(
        "clean filter",
        r#"git config filter.x.clean "$PWNED; cat"; git config filter.x.required true
        echo '*.sql filter=x' > .git/info/attributes"#,
        "git hash-object db/migrations/20260101_a.up.sql",
    ),
    kind(
        "process filter, by a macro of .gitattributes",
        r#"git config filter.a=b.process "$PWNED"; printf '[attr]sql filter=a=b\n*.sql sql\n' > .gitattributes"#,
        "git hash-object db/migrations/20260101_a.up.sql",
    ),
    kind(
        "filter called as an attribute that is set",
        r#"git config filter.set.clean "$PWNED; cat"; git config filter.set.required true
        echo '*.sql filter=set' > .gitattributes"#,
        "git hash-object db/migrations/20260101_a.up.sql",
    ),
    kind(
        "filter called as an attribute that is not set",
        r#"git config filter.unset.process "$PWNED"; echo '*.sql filter=unset' > .gitattributes"#,
        "git hash-object db/migrations/20260101_a.up.sql || true",
    ),
    kind(
        "filter called as no attribute at all",
        r#"git config filter.unspecified.clean "$PWNED; cat"; git config filter.unspecified.process "$PWNED"
        git config filter.unspecified.required true; echo '*.sql filter=unspecified' > .git/info/attributes"#,
        "git hash-object db/migrations/20260101_a.up.sql || true",
    ),
    kind(
        "smudge filter",
        r#"git config filter.x.smudge "$PWNED; cat"; echo '*.sql filter=x' > db/migrations/.gitattributes"#,
        "git cat-file --filters HEAD:db/migrations/20260101_a.up.sql",
    ),
    kind(
        "included filter",
        r#"git config -f extra filter.x.clean "$PWNED; cat"; git config includeIf.gitdir:/.path ../extra
        echo '*.sql filter=x' > .gitattributes"#,
        "git hash-object db/migrations/20260101_a.up.sql",
    ),
    kind(
        "filter of a file's attributes elsewhere",
        r#"echo '*.sql filter=x' > attributes; git config core.attributesFile "$PWD/attributes"
        git config extensions.worktreeConfig true; git config --worktree filter.x.clean "$PWNED; cat""#,
        "git hash-object db/migrations/20260101_a.up.sql",
    ),
    kind("fsmonitor", r#"git config core.fsmonitor "$PWNED""#, "git update-index --fsmonitor; git ls-files"),
    kind(
        "hooks",
        r#"mkdir hooks; for hook in post-index-change reference-transaction post-checkout pre-commit; do
            printf '#!/bin/sh\n%s\n' "$PWNED" > hooks/$hook; chmod +x hooks/$hook; done
        git config core.hooksPath "$PWD/hooks""#,
        "git update-ref refs/heads/other HEAD",
    ),
    kind(
        "gpg",
        r#"git config log.showSignature true; git config gpg.program "$PWD/gpg"; git config gpg.ssh.program "$PWD/gpg"
        git config gpg.x509.program "$PWD/gpg"; printf '#!/bin/sh\n%s\n' "$PWNED" > gpg; chmod +x gpg
        sign() { git cat-file commit $1 | sed "0,/^\$/s//gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n/" \
            | git hash-object -t commit -w --stdin; }
        git update-ref refs/heads/mine $(sign mine)"#,
        "git log -1",
    ),
    kind(
        "textconv",
        r#"git config diff.x.textconv "$PWNED; cat"; echo '*.sql diff=x' > .git/info/attributes
        git config log.diffMerges on"#,
        "git log -p -1",
    ),
    kind("external diff", r#"git config diff.external "$PWNED""#, "git diff HEAD~1"),
    kind(
        "diff command",
        r#"git config diff.x.command "$PWNED"; echo '*.sql diff=x' > .git/info/attributes"#,
        "git diff HEAD~1",
    ),
    kind(
        "pager",
        r#"git config core.pager "$PWNED"; git config pager.log "$PWNED""#,
        "script -qec 'git log' /dev/null",
    ),
    kind(
        "alias",
        r#"for word in x log rev-parse ls-tree hash-object cat-file config; do git config alias.$word "!$PWNED"; done"#,
        "git x",
    ),
    kind(
        "ssh command",
        r#"git config core.sshCommand "$PWNED"; git config remote.origin.url ssh://h/r"#,
        "git fetch || true",
    ),
    kind(
        "promisor remote",
        r#"git config extensions.partialClone origin; git config remote.origin.promisor true
        git config remote.origin.url "file://$PWD/nowhere"; git config remote.origin.uploadpack "$PWNED; false"
        git config protocol.allow always; git config protocol.file.allow always
        git rev-parse main:db/migrations/20260201_b.up.sql > lost
        rm .git/objects/$(sed 's|^..|&/|' lost)"#,
        "git cat-file -p $(cat lost) || true",
    ),
    kind(
        "promisor remote of a transport of its own",
        r#"git config extensions.partialClone origin; git config remote.origin.promisor true
        git config remote.origin.url "ext::$PWNED"; git config protocol.ext.allow always
        git rev-parse main:db/migrations/20260201_b.up.sql > lost
        rm .git/objects/$(sed 's|^..|&/|' lost)"#,
        "git cat-file -p $(cat lost) || true",
    ),
    kind(
        "alternates",
        r#"git clone -q --bare . other; mkdir -p .git/objects/info; echo "$PWD/other/objects" > .git/objects/info/alternates
        git config core.alternateRefsCommand "$PWNED""#,
        "git rev-list --alternate-refs -1",
    ),
    kind(
        "credentials",
        r#"git config credential.helper "!$PWNED; true"; git config core.askPass "$PWNED""#,
        "printf 'protocol=https\nhost=h\nusername=u\npassword=p\n\n' | git credential approve",
    ),
    kind("editor", r#"git config core.editor "$PWNED""#, "git config -e"),
    kind(
        "submodule",
        r#"git init -q ../sub; git -C ../sub commit -q --allow-empty -m x
        git -c protocol.file.allow=always submodule --quiet add ../sub sub; git -C sub commit -q --allow-empty -m y
        git config submodule.sub.update "!$PWNED; true"; git config submodule.recurse true; git config status.submoduleSummary true"#,
        "git submodule update",
    ),
];

struct Marks(tempfile::TempDir);

impl Marks {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("mark")
    }

    /// A line of shell that leaves the mark.
    fn program(&self) -> String {
        format!("PWNED='touch {}'", self.file().display())
    }
}

/// All that devdb asks git, with the right answers.
fn asks(stage: &Stage, kind: &str, marks: &Marks) {
    let dir = stage.project().join("db/migrations");
    // What is right is asked without the hostile configuration.
    let trusted = tempfile::tempdir().unwrap();
    let git = |words: &str| {
        let clean = format!(
            "mkdir -p {0}/g; cp -r .git/refs .git/HEAD {0}/g; cp -r .git/objects {0}/g 2>/dev/null || true
            printf '[core]\\nrepositoryformatversion = 0\\n' > {0}/g/config; rm -f {0}/g/objects/info/alternates
            git --git-dir={0}/g {words}",
            trusted.path().display()
        );
        sh(&stage.project(), marks.0.path(), &clean)
    };
    let (head, main) = (git("rev-parse mine"), git("rev-parse main"));
    let tools = real_tools();
    let history = tools.file_history(&dir);
    assert_eq!(history.head().as_deref(), Some(head.as_str()), "{kind}");
    assert_eq!(history.written("20260101_a"), Some((main.clone(), "ada".to_owned())), "{kind}");
    let found = history.find("20260201_b");
    if kind.starts_with("promisor") {
        // Its content is nowhere.
        assert_eq!(found, None, "{kind}");
    } else {
        let found = found.unwrap();
        let file = ("20260201_b.up.sql".to_owned(), b"create table b ();\n".to_vec());
        assert_eq!((found.commit, found.branch, found.files), (main, Some("main".to_owned()), vec![file]), "{kind}");
    }
    let repository = tools.repository(&dir);
    let base = repository.base("main").unwrap();
    let names: Vec<&str> = base.tip.keys().map(String::as_str).filter(|name| name.ends_with(".sql")).collect();
    assert_eq!(names, ["20260101_a.up.sql", "20260201_b.up.sql"], "{kind}");
    let contents = repository.contents(&["20260101_a.up.sql", "20260301_c.up.sql"]).unwrap();
    assert_eq!(contents["20260101_a.up.sql"], git(&format!("rev-parse main:{A}")), "{kind}");
    assert_eq!(contents.len(), 2, "{kind}");
    let checked = stage.run(["devdb", "migrate", "check", "--base", "main", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    let problems = report["findings"].as_array().unwrap().iter();
    let problems: Vec<_> = problems.map(|finding| (&finding["migration"], &finding["problem"])).collect();
    assert_eq!(problems, [(&"20260201_b".into(), &"deleted".into())], "{kind}: {checked}");
    assert_eq!(report["new"], serde_json::json!(["20260301_c"]), "{kind}");
}

#[test]
fn nothing_that_a_repository_configures_is_run() {
    for Kind { name, hostile, control } in KINDS {
        let marks = Marks::new();
        let stage = project(marks.0.path());
        sh(&stage.project(), marks.0.path(), &format!("{}; {hostile}", marks.program()));
        let _ = fs::remove_file(marks.file());
        // Of another copy, which the control may change.
        let copy = marks.0.path().join("copy");
        sh(&stage.project(), marks.0.path(), &format!("cp -r . {}", copy.display()));
        let (_, said) = try_sh(&copy, marks.0.path(), control);
        assert!(marks.file().exists(), "{name}: plain git does not run it: {said}");
        fs::remove_file(marks.file()).unwrap();
        asks(&stage, name, &marks);
        assert!(!marks.file().exists(), "{name}: it was run");
    }
}

#[test]
fn a_work_tree_that_is_configured_elsewhere_changes_no_answer() {
    for hostile in ["git config core.worktree \"$MARKS/elsewhere\"", "git config core.bare true"] {
        let marks = Marks::new();
        let stage = project(marks.0.path());
        let line = format!(
            r#"{}; mkdir -p "$MARKS/elsewhere/db/migrations"; echo x > "$MARKS/elsewhere/{A}"
            echo '*.sql filter=x' > "$MARKS/elsewhere/.gitattributes"; git config filter.x.clean "$PWNED; cat"; {hostile}"#,
            marks.program()
        );
        sh(&stage.project(), marks.0.path(), &line);
        asks(&stage, hostile, &marks);
        assert!(!marks.file().exists(), "{hostile}: it was run");
    }
}

#[test]
fn verbs_that_use_a_database_run_nothing_of_the_repository_either() {
    let marks = Marks::new();
    let stage = project(marks.0.path());
    let hostile: Vec<&str> = KINDS
        .iter()
        .filter(|kind| ["clean filter", "fsmonitor", "hooks", "gpg", "pager", "alias"].contains(&kind.name))
        .map(|kind| kind.hostile)
        .collect();
    sh(&stage.project(), marks.0.path(), &format!("{}\n{}", marks.program(), hostile.join("\n")));
    let _ = fs::remove_file(marks.file());
    let database = Database::create();
    let url = database.url();
    let c = stage.project().join("db/migrations/20260301_c.up.sql");
    for verb in [&["to", "latest"][..], &["status"], &["repair", "--check"], &["repair"], &["sync"]] {
        // What was run and is not there any more is looked for in the history.
        if verb == ["repair", "--check"] {
            fs::remove_file(&c).unwrap();
        }
        let words = [&["devdb", "--yes", "--confirm", "dev", "migrate"], verb, &["--database-url", &url]].concat();
        let outcome = stage.run_all(&words);
        assert!(outcome.code != 2 && !outcome.stderr.contains("bug"), "{verb:?}: {outcome}");
        assert!(!marks.file().exists(), "{verb:?} ran it");
    }
    let head = fs::read_to_string(stage.project().join(".git/refs/heads/mine")).unwrap();
    let noted = database.sql("select string_agg(distinct git_commit, ',') from devdb_migration_journal");
    assert_eq!(noted, head.trim());
}

/// Relative folders, the empty one among them, are those of the top of the work tree.
#[test]
fn git_and_its_libraries_are_not_looked_for_in_the_repository() {
    let marks = Marks::new();
    let stage = project(marks.0.path());
    let top = stage.project();
    sh(&top, marks.0.path(), "printf '#!/bin/sh\nexit 1\n' > git; chmod +x git; echo none > libz.so.1");
    let seen = |program: &str, folder: &Path, words: &[&str], vars: [(&str, &str); 2]| {
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(folder)
            .env_clear()
            .envs(vars)
            .envs([("DEVDB_ALIAS", "ada"), ("HOME", "/nowhere")]);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let usual = "/usr/bin:/bin";
    for vars in [
        [("PATH", ""), ("LD_LIBRARY_PATH", "/usr/lib")],
        [("PATH", ".:/usr/bin"), ("LD_LIBRARY_PATH", "/usr/lib")],
        [("PATH", usual), ("LD_LIBRARY_PATH", "/usr/lib:")],
    ] {
        // Libraries of that name are Linux's.
        if vars[0].1 != usual || cfg!(target_os = "linux") {
            let plain = seen("/usr/bin/env", &top, &["git", "rev-parse", "HEAD"], vars);
            assert!(!plain.0, "{vars:?}: plain git is looked for elsewhere");
        }
        let words = ["migrate", "check", "--base", "mine", "--config", "../devdb.toml"];
        let (is_well, said) = seen(env!("CARGO_BIN_EXE_devdb"), &top.join("db"), &words, vars);
        assert!(is_well, "{vars:?}: {said}");
    }
}

/// The bare repository that the pull request of `security.md` brings as its migrations folder.
#[test]
fn a_folder_that_is_a_bare_repository_itself_is_a_folder_like_any_other() {
    let marks = Marks::new();
    let stage = project(marks.0.path());
    let line = format!(
        r#"{}
        git init -q --bare inner; git -C inner config core.worktree .; git -C inner config core.bare false
        git -C inner config filter.x.clean "$PWNED; cat"; git -C inner config core.fsmonitor "$PWNED"
        git -C inner config user.email mallory@example.com
        cp -r inner/HEAD inner/config inner/objects inner/refs db/migrations; rm -rf inner
        touch db/migrations/objects/keep db/migrations/refs/keep; echo '*.sql filter=x' > db/migrations/.gitattributes
        git add -A; git commit -qm hostile; rm -f "$MARKS/mark"; git clone -q . "$MARKS/clone""#,
        marks.program()
    );
    sh(&stage.project(), marks.0.path(), &line);
    let clone = marks.0.path().join("clone");
    try_sh(&clone.join("db/migrations"), marks.0.path(), "git hash-object 20260101_a.up.sql");
    assert!(marks.file().exists(), "plain git does not run it");
    fs::remove_file(marks.file()).unwrap();
    asks(&stage, "bare repository", &marks);
    let tools = real_tools();
    let dir = clone.join("db/migrations");
    assert!(tools.repository(&dir).base("origin/main").unwrap().tip.contains_key("20260101_a.up.sql"));
    assert!(tools.file_history(&dir).head().is_some());
    assert!(!marks.file().exists(), "it was run");
}

#[test]
fn only_what_holds_a_dot_git_is_a_repository() {
    let marks = Marks::new();
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;\n");
    sh(
        &stage.project(),
        marks.0.path(),
        "git init -q --bare db/migrations; git -C db/migrations config core.bare false",
    );
    let outcome = stage.run(["devdb", "migrate", "check", "--base", "main"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("/db/migrations is in no git repository"), "{outcome}");
}
