//! A developer's laptop in front of the sandbox: the real binary, the real services. `scripts/check` starts the sandbox.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One world, one test at a time: faults and leftovers concern everybody.
static WORLD: Mutex<()> = Mutex::new(());

pub(crate) struct Laptop {
    home: tempfile::TempDir,
    /// What its owner has set for good.
    variables: Vec<(String, String)>,
    /// Holds the mounts that its programs alone see, until its stdin ends; with its pid, which may not be the child's.
    mounts: Option<(Child, String)>,
    /// Missing where another laptop of the same test holds it.
    _alone: Option<MutexGuard<'static, ()>>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/sandbox")
}

fn sandbox(args: &[&str]) -> Command {
    let name = std::env::var("DEVDB_TEST_SANDBOX").unwrap_or_else(|_| {
        panic!("these tests need a sandbox: run scripts/check, or `scripts/sandbox up --name it` and set DEVDB_TEST_SANDBOX=it")
    });
    let mut command = Command::new(script());
    command.env("DEVDB_SANDBOX", name).env("DEVDB_BIN", env!("CARGO_BIN_EXE_devdb")).args(args).stdin(Stdio::null());
    command
}

impl Laptop {
    /// A laptop with an empty home.
    pub(crate) fn new() -> Self {
        let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        Self { home: Self::empty_home(), variables: Vec::new(), mounts: None, _alone: Some(alone) }
    }

    fn empty_home() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("ddb").tempdir().unwrap()
    }

    /// A second laptop in the same world, with an empty home and these variables; it must not outlive the first.
    pub(crate) fn beside(&self, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { home: Self::empty_home(), variables, mounts: None, _alone: None }
    }

    /// A laptop whose state and runtime folder have this little room, and whose owner is not root.
    pub(crate) fn with_small_disk(kilobytes: u32) -> Self {
        let mut laptop = Self::new();
        let (state, runtime) = (laptop.home().join(".local"), laptop.home().join("run"));
        laptop.variables.push(("XDG_RUNTIME_DIR".to_owned(), runtime.display().to_string()));
        let line = format!(
            r#"for folder; do mkdir "$folder" && mount -t tmpfs -o size={kilobytes}k,mode=0700 small "$folder" || exit; done
            echo $$ && exec cat"#
        );
        let folders = [&state, &runtime].map(|folder| folder.to_str().unwrap());
        let mut argv =
            vec!["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "sh", "-c", &line, "sh"];
        argv.extend(folders);
        let mut holder = laptop.command(&[], &argv).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut pid = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        assert!(!pid.is_empty(), "this machine allows neither root nor user namespaces");
        laptop.mounts = Some((holder, pid.trim().to_owned()));
        laptop
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder where devdb keeps its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".local/state/devdb/shop/dev/ada")
    }

    fn command(&self, extra: &[(&str, &str)], argv: &[&str]) -> Command {
        // `env` wants the variables to take away before the ones to set.
        let mut command = sandbox(&["exec", "--"]);
        if let Some((_, pid)) = &self.mounts {
            // Entering leads to `/`. Even root is let in only where a file's mode says so, without capabilities.
            let enter = r#"exec nsenter --target="$0" --user --preserve-credentials --mount \
                setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
                sh -c 'cd "$0" && exec "$@"' "$PWD" "$@""#;
            command.args(["sh", "-c", enter]).arg(pid);
        }
        command.args(["env", "-u", "RUST_BACKTRACE"]);
        for (name, _) in extra.iter().filter(|(_, value)| value.is_empty()) {
            command.args(["-u", name]);
        }
        command.arg(format!("HOME={}", self.home().display()));
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command
            .args(extra.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value}")));
        command.args(argv);
        command
    }

    /// Runs a command line of a shell on the laptop.
    #[must_use = "check the exit code"]
    pub(crate) fn shell(&self, line: &str) -> Answer {
        Answer::of(line, self.command(&[], &["bash", "-c", line]).output().unwrap())
    }

    /// Runs a script of `tests/it/support` with a Python that has boto3 and the sandbox's own modules.
    #[must_use = "check the exit code"]
    pub(crate) fn python(&self, script: &str, args: &[&str]) -> Answer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let modules = format!("PYTHONPATH={}", root.join("scripts/sandbox.d").display());
        let script = root.join("tests/it/support").join(script);
        let find = r#"exec "$(sed -n 's/.*"python": "\(.*\)".*/\1/p' "$DEVDB_SANDBOX_ENDPOINTS")" -B "$@""#;
        let mut argv = vec!["env", &modules, "bash", "-c", find, "python", script.to_str().unwrap()];
        argv.extend(args);
        Answer::of(&script.display().to_string(), self.command(&[], &argv).output().unwrap())
    }

    /// Runs lines of python that know `boto3`; their stdout.
    #[track_caller]
    pub(crate) fn python_lines(&self, lines: &str) -> String {
        let line = r#"python=$(python3 -c 'import json, os; print(json.load(open(os.environ["DEVDB_SANDBOX_ENDPOINTS"]))["python"])') && exec "$python" -c "$0""#;
        let output = self.command(&[], &["bash", "-c", line, lines]).output().unwrap();
        Answer::of(lines, output).expect_code(0).stdout
    }

    /// Runs `devdb` with these words.
    #[must_use = "check the exit code"]
    pub(crate) fn devdb(&self, words: &str) -> Answer {
        self.devdb_with(&[], words)
    }

    /// The same with other variables; an empty value takes one away.
    #[must_use = "check the exit code"]
    pub(crate) fn devdb_with(&self, extra: &[(&str, &str)], words: &str) -> Answer {
        let argv: Vec<&str> = std::iter::once("devdb").chain(words.split_whitespace()).collect();
        Answer::of(words, self.command(extra, &argv).output().unwrap())
    }

    /// Starts `devdb` and returns at once.
    pub(crate) fn start(&self, words: &str) -> Child {
        let _ = std::fs::remove_file(self.home().join("pid"));
        let line = format!(r#"echo $$ >"$HOME/pid.new"; mv "$HOME/pid.new" "$HOME/pid"; exec devdb {words}"#);
        self.command(&[], &["bash", "-c", &line]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Ctrl-C for what was started last, once it has said something. The child may be `sudo`, which is root's.
    pub(crate) fn interrupt(&self) {
        let file = self.home().join("pid");
        eventually("devdb is started", Duration::from_secs(60), || file.exists());
        let pid = std::fs::read_to_string(file).unwrap();
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    pub(crate) fn start_shell(&self, line: &str) -> Child {
        self.command(&[], &["bash", "-c", line]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs one test of this very binary on the laptop.
    #[track_caller]
    pub(crate) fn repeats(&self, test: &str) {
        let binary = std::env::current_exe().unwrap();
        let argv = [binary.to_str().unwrap(), "--exact", test, "--nocapture"];
        let answer = Answer::of(test, self.command(&[], &argv).output().unwrap()).expect_code(0);
        assert!(answer.stdout.contains("1 passed"), "{}", answer.stdout);
    }

    pub(crate) fn fault(&self, words: &str) {
        let argv: Vec<&str> = ["fault"].into_iter().chain(words.split_whitespace()).collect();
        Answer::of(words, sandbox(&argv).output().unwrap()).expect_code(0);
    }

    /// What is left, according to the API and the operating system.
    #[must_use = "check the exit code"]
    pub(crate) fn leftovers(&self) -> Answer {
        Answer::of("leftovers", sandbox(&["leftovers"]).output().unwrap())
    }
}

impl Drop for Laptop {
    /// The next test finds an empty world, however this one ended.
    fn drop(&mut self) {
        let _ = sandbox(&["fault", "clear"]).output();
        let _ = self.command(&[], &["devdb", "down", "--yes"]).output();
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    fn of(what: &str, output: Output) -> Self {
        Self {
            what: what.to_owned(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "`{}`\n--- stdout\n{}--- stderr\n{}", self.what, self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("`{}`: {error}\n--- stdout\n{}", self.what, self.stdout))
    }

    /// The error, its causes and its hints.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.stderr.contains(part), "`{}` does not say `{part}`:\n{}", self.what, self.stderr);
        }
    }
}

/// Polls until the answer is yes.
#[track_caller]
pub(crate) fn eventually(what: &str, limit: Duration, mut question: impl FnMut() -> bool) {
    let began = Instant::now();
    while !question() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::yield_now();
    }
}
