//! Programs that have run out of something, as the kernel counts it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A program that gets no further thread, and the folder that it is started from.
///
/// The limit counts all processes of a user, and root is under none: root starts it as a user who has nothing else.
pub(crate) fn without_threads(program: impl AsRef<Path>) -> (Command, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("program");
    fs::copy(program, &copy).unwrap();
    for path in [folder.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = as_limited(&["prlimit", "--nproc=1:"]);
    command.arg(copy);
    (command, folder)
}

fn as_limited(words: &[&str]) -> Command {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let user = 100_000 + std::process::id() % 100_000;
    let other = ["setpriv", &format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"];
    let words: Vec<&str> = other.into_iter().filter(|_| is_root).chain(words.iter().copied()).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Gives a process back what [`without_threads`] took.
pub(crate) fn give_threads(pid: u32) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max processes")).unwrap();
    let hard = line.split_whitespace().nth(3).unwrap();
    // The user's own: root of a container may be forbidden to.
    limit(as_limited(&["prlimit"]), pid, &format!("--nproc={hard}:"));
}

/// Lets a process open so many more files: the limit is a bound for their numbers.
pub(crate) fn leave_files(pid: u32, count: usize) {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open: BTreeSet<usize> = open.map(|file| file.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    let last = (0..).filter(|number| !open.contains(number)).nth(count - 1).unwrap();
    limit(Command::new("prlimit"), pid, &format!("--nofile={}:", last + 1));
}

fn limit(mut prlimit: Command, pid: u32, what: &str) {
    let status = prlimit.args(["--pid", &pid.to_string(), what]).status().unwrap();
    assert!(status.success(), "prlimit {what}");
}
