//! The zip of the Lambda function, as `scripts/build-lambda` makes it: what is in it, and that it runs from there.

use crate::support::exhausted::without_threads;
use crate::support::lambda::Lambda;
use crate::support::postgres::Database;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/sandbox.d/project/db/migrations");

/// Keeps the modes, as Lambda does and Python's own `extractall` does not.
const UNPACK: &str = "
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as bundle:
    for entry in bundle.infolist():
        mode = entry.external_attr >> 16
        os.chmod(bundle.extract(entry, sys.argv[2]), mode & 0o777)
        print(oct(mode), entry.filename)
";

fn build(migrations: &Path) -> Output {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/build-lambda"));
    // What cargo tells a test of its package would make crates that look at it be compiled again.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        script.env_remove(name);
    }
    script.arg(migrations).output().unwrap()
}

/// The path of the zip, and the hash of its migrations.
fn zip(migrations: &Path) -> (PathBuf, String) {
    let output = build(migrations);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    let hash = told.lines().find_map(|line| line.strip_prefix("MigrationsHash=")).unwrap_or_else(|| panic!("{told}"));
    (PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end()), hash.to_owned())
}

/// Refused before anything is built.
#[test]
fn a_link_does_not_bring_another_file_into_the_zip() {
    for target in ["/etc/passwd", "nowhere", "."] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1_a.up.sql"), "select 1;\n").unwrap();
        std::os::unix::fs::symlink(target, folder.path().join("1_a.down.sql")).unwrap();
        let output = build(folder.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("1_a.down.sql is no regular file"), "{said}");
    }
}

/// One test: there is one place for the zip.
#[test]
fn the_zip_holds_the_program_and_runs_from_where_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let empty = build(folder.path());
    assert_eq!(empty.status.code(), Some(1));
    assert!(String::from_utf8(empty.stderr).unwrap().starts_with("error: there is no .sql file in "));

    fs::write(folder.path().join("20260101_one.sql"), "-- migrate:up\nselect 1;\n").unwrap();
    let (path, other) = zip(folder.path());
    let (again, hash) = zip(Path::new(MIGRATIONS));
    assert!(path == again && other != hash, "{hash}");
    let first = fs::read(&path).unwrap();
    assert_eq!(zip(Path::new(MIGRATIONS)), (path.clone(), hash));
    assert!(fs::read(&path).unwrap() == first, "the same files make the same zip");

    let root = folder.path().join("task");
    let mut wanted: Vec<String> = fs::read_dir(MIGRATIONS)
        .unwrap()
        .map(|file| format!("0o100644 migrations/{}", file.unwrap().file_name().to_str().unwrap()))
        .collect();
    wanted.extend(["0o100755 bootstrap".to_owned(), "0o100644 rds-ca-bundle.pem".to_owned()]);
    wanted.sort();
    assert_eq!(unpack(&path, &root), wanted);
    it_migrates(&root);
    a_panic_is_answered(&root.join("bootstrap"));
}

/// What was in it, modes included.
fn unpack(zip: &Path, root: &Path) -> Vec<String> {
    let unpacked = Command::new("python3").args(["-c", UNPACK]).args([zip, root]).output().unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let mut listed: Vec<String> = String::from_utf8(unpacked.stdout).unwrap().lines().map(str::to_owned).collect();
    listed.sort();
    listed
}

fn it_migrates(root: &Path) {
    let database = Database::create();
    let vars = [
        ("LAMBDA_TASK_ROOT", root.to_str().unwrap().to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
        ("AWS_REGION", "eu-west-1".to_owned()),
    ];
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let url = database.url();
    let with_database = [vars.as_slice(), &[("DATABASE_URL", &url)]].concat();
    let lambda = Lambda::spawn(root.join("bootstrap"), &with_database);
    let created = lambda.invoke(&lambda.request("Create", "c", json!({}))).success().clone();
    let facts = json!({ "Applied": "5", "Current": "2024-06-02-order-numbers", "LedgerCount": "5" });
    assert_eq!(created["Data"], facts);
    assert_eq!(database.sql("select to_regclass('orders') is not null"), "t");

    // With the certificate authorities at hand the next thing that is missing is the host.
    let iam = json!({ "Host": "nowhere.invalid", "User": "u", "Database": "d", "Iam": "true" });
    let elsewhere = Lambda::spawn(root.join("bootstrap"), &vars);
    let told = elsewhere.invoke(&elsewhere.request("Create", "c", iam));
    assert!(told.failed().starts_with("the host name nowhere.invalid could not be resolved: "), "{}", told.failed());
}

/// Its profile has panics unwind: a program that aborts answers nothing.
fn a_panic_is_answered(program: &Path) {
    let database = Database::create();
    let (program, _folder) = without_threads(program);
    let lambda = Lambda::spawn_with(program, &[("DATABASE_URL", &database.url().replace("127.0.0.1", "localhost"))]);
    lambda.bundle(&[("20260101_one", "create table one (id int);", "")]);
    let told = lambda.invoke(&lambda.request("Create", "c", json!({})));
    assert_eq!(told.failed(), "a bug in devdb; the function's log has more");
}
