use super::{
    FakeCloud, FakeEcho, FakeKeys, FakeLedger, FakeProbe, FakeProcesses, FakeShell, FakeSsh, FixedClock,
    ScriptedPrompter,
};
use crate::bastion::{AddressEcho, KeyMaker, Shell};
use crate::config::TRUSTED_CONFIG;
use crate::connection::Connection;
use crate::host::{Aws, AwsTarget, Host, Surroundings, Tools, real_tools};
use crate::migrate::import::Recorder;
use crate::migrate::{FileHistory, Linter, MigrationDatabase, Repository, Scratch, SessionSpec};
use crate::schema::Catalog;
use crate::system::{CloudError, DatabaseError, Processes};
use crate::tunnel::{Probe, Ssh};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The fakes that a sealed command is given instead of AWS, PostgreSQL and the rest.
#[derive(Default)]
pub struct FakeTools {
    /// Without it, AWS answers that there are no credentials.
    pub aws: Mutex<Option<Arc<dyn Aws>>>,
    /// Without it, the database that a test names is reached for real.
    pub ledger: Mutex<Option<FakeLedger>>,
    pub shell: Arc<FakeShell>,
    pub echo: Arc<FakeEcho>,
    pub keys: Arc<FakeKeys>,
    pub ssh: Arc<FakeSsh>,
    pub probe: Arc<FakeProbe>,
}

#[async_trait]
impl Tools for FakeTools {
    async fn migration_database(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
    ) -> Result<Box<dyn MigrationDatabase>, DatabaseError> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match ledger {
            Some(ledger) => Ok(Box::new(ledger.connect(spec))),
            None => real_tools().migration_database(connection, spec).await,
        }
    }

    /// The database that a test names is read for real.
    async fn catalog(
        &self,
        connection: &Connection,
        application_name: &str,
    ) -> Result<Box<dyn Catalog>, DatabaseError> {
        real_tools().catalog(connection, application_name).await
    }

    /// The project's own folder is asked for real.
    fn file_history(&self, dir: &Path) -> Arc<dyn FileHistory> {
        real_tools().file_history(dir)
    }

    async fn aws(&self, target: &AwsTarget) -> Result<Arc<dyn Aws>, CloudError> {
        let aws = self.aws.lock().unwrap_or_else(PoisonError::into_inner).clone();
        aws.ok_or_else(|| CloudError::NoCredentials { profile: target.profile.clone(), source: None })
    }

    fn bastion_shell(&self, _processes: Arc<dyn Processes>, _state_dir: &Path) -> Arc<dyn Shell> {
        self.shell.clone()
    }

    fn address_echo(&self) -> Arc<dyn AddressEcho> {
        self.echo.clone()
    }

    fn key_maker(&self) -> Arc<dyn KeyMaker> {
        self.keys.clone()
    }

    fn ssh(&self) -> Arc<dyn Ssh> {
        self.ssh.clone()
    }

    fn probe(&self) -> Arc<dyn Probe> {
        self.probe.clone()
    }

    /// On the server that a test names.
    async fn scratch(
        &self,
        connection: &Connection,
        application_name: &str,
    ) -> Result<Box<dyn Scratch>, DatabaseError> {
        real_tools().scratch(connection, application_name).await
    }

    fn linter(&self) -> Arc<dyn Linter> {
        real_tools().linter()
    }

    /// The project's own Kysely, and the Node.js of this machine.
    fn recorder(&self) -> Arc<dyn Recorder> {
        real_tools().recorder()
    }

    /// The project's own folder is all that git is asked about.
    fn repository(&self, dir: &Path) -> Arc<dyn Repository> {
        real_tools().repository(dir)
    }
}

/// A sealed box for whole commands: `Stage::new().file("devdb.toml", "…").run(["devdb", "config", "show"])`.
pub struct Stage {
    home: tempfile::TempDir,
    vars: BTreeMap<String, String>,
    terminal: bool,
    screen: bool,
    pub clock: Arc<FixedClock>,
    pub processes: Arc<FakeProcesses>,
    pub prompter: Arc<ScriptedPrompter>,
    pub tools: Arc<FakeTools>,
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Stage {
    /// # Panics
    /// When no temporary folder can be made.
    pub fn new() -> Self {
        let home = match tempfile::Builder::new().prefix("devdb-stage-").tempdir() {
            Ok(home) => home,
            Err(error) => panic!("a temporary home: {error}"),
        };
        let vars = BTreeMap::from([
            ("HOME".to_owned(), home.path().display().to_string()),
            ("DEVDB_ALIAS".to_owned(), "ada".to_owned()),
            // The box's own file; what is asked without it has tests of its own.
            (TRUSTED_CONFIG.to_owned(), home.path().join("project/devdb.toml").display().to_string()),
        ]);
        let stage = Self {
            home,
            vars,
            terminal: false,
            screen: false,
            clock: Arc::default(),
            processes: Arc::default(),
            prompter: Arc::default(),
            tools: Arc::default(),
        };
        if let Err(error) = std::fs::create_dir_all(stage.project()) {
            panic!("a project folder: {error}");
        }
        stage
    }

    /// The folder that commands run in.
    pub fn project(&self) -> PathBuf {
        self.home.path().join("project")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file of the project.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.project().join(name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = written {
            panic!("{}: {error}", path.display());
        }
        self
    }

    #[must_use]
    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Gives the box an AWS account with the stack `AppDbStack`.
    #[must_use]
    pub fn cloud(self, cloud: &Arc<FakeCloud>) -> Self {
        *self.tools.aws.lock().unwrap_or_else(PoisonError::into_inner) = Some(cloud.clone());
        self
    }

    /// Pretends that stdin and stderr are terminals, so that questions are asked (of [`Self::prompter`]).
    #[must_use]
    pub fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Pretends that stdout is a terminal too: somebody would see what is printed.
    #[must_use]
    pub fn screen(mut self) -> Self {
        self.screen = true;
        self
    }

    /// Runs one command line in the box.
    pub fn run<const N: usize>(&self, argv: [&str; N]) -> Outcome {
        self.run_all(&argv)
    }

    /// The same for a command line whose length is not known beforehand.
    pub fn run_all(&self, argv: &[&str]) -> Outcome {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("a runtime: {error}"),
        };
        runtime.block_on(self.play(argv))
    }

    /// The same on the test's own runtime, so that two commands can run at once.
    pub async fn play(&self, argv: &[&str]) -> Outcome {
        let (out, err) = (Shared::default(), Shared::default());
        let host = Host {
            surroundings: Surroundings {
                vars: self.vars.clone(),
                cwd: self.project(),
                executable: "devdb".into(),
                stdin_is_terminal: self.terminal,
                stdout_is_terminal: self.screen,
                // A spinner would draw on the real terminal; a dumb one asks, but does not animate.
                stderr_is_terminal: self.terminal,
            },
            clock: self.clock.clone(),
            processes: self.processes.clone(),
            prompter: self.prompter.clone(),
            tools: self.tools.clone(),
            out: Arc::new(Mutex::new(Box::new(out.clone()))),
            err: Arc::new(Mutex::new(Box::new(err.clone()))),
        };
        let status = crate::run(argv.iter().map(Into::into).collect(), host).await;
        let home = self.home.path().display().to_string();
        Outcome {
            stdout: out.text().replace(&home, "[HOME]"),
            stderr: err.text().replace(&home, "[HOME]"),
            code: status.code(),
        }
    }
}

/// How a command ended. `Display` is what snapshots hold: the same at every run, so without the time that steps took.
#[must_use = "snapshot the outcome, or check its code"]
#[derive(Debug, Clone)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: u8,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}------- stderr -------", self.stdout)?;
        self.stderr.lines().try_for_each(|line| writeln!(f, "{}", without_time(line)))?;
        write!(f, "------- exit {}", self.code)
    }
}

fn without_time(line: &str) -> &str {
    let is_time = |text: &str| text.strip_suffix(" s").is_some_and(|seconds| seconds.parse::<f64>().is_ok());
    line.rsplit_once(" · ").filter(|(_, end)| is_time(end)).map_or(line, |(start, _)| start)
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
