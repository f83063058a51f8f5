//! Key cabinet: what the process was given (arguments apart), and the only place that picks an adapter.

use crate::bastion::{AddressEcho, Cloud, KeyMaker, Shell};
use crate::connection::{Connection, SecretStore, TokenSigner};
use crate::discovery::Inventory;
use crate::migrate::import::Recorder;
use crate::migrate::{FileHistory, Linter, MigrationDatabase, Repository, Scratch, SessionSpec};
use crate::schema::Catalog;
use crate::system::{Clock, CloudError, DatabaseError, Processes};
use crate::tunnel::{Probe, Ssh};
use crate::ui::Prompter;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The surroundings of the process, captured once.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Variables whose name and value are UTF-8; others are nobody's settings.
    pub vars: BTreeMap<String, String>,
    pub cwd: PathBuf,
    /// This very program, to start the supervisor with.
    pub executable: PathBuf,
    pub stdin_is_terminal: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

/// Which AWS account and region to talk to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsTarget {
    pub profile: Option<String>,
    pub region: Option<String>,
}

/// All that devdb asks of AWS; one adapter, one fake.
pub trait Aws: SecretStore + TokenSigner + Inventory + Cloud {}

/// The taps: turned on only when somebody asks (`devdb env` with a warm cache never loads the AWS configuration).
#[async_trait]
pub trait Tools: Send + Sync {
    /// A client for the account. Loading it costs no call; wrong credentials show at the first one.
    async fn aws(&self, target: &AwsTarget) -> Result<Arc<dyn Aws>, CloudError>;

    /// A session for migrations on this database; connecting and login happen here.
    async fn migration_database(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
    ) -> Result<Box<dyn MigrationDatabase>, DatabaseError>;
    /// A session that reads this database's catalog; connecting and login happen here.
    async fn catalog(&self, connection: &Connection, application_name: &str)
    -> Result<Box<dyn Catalog>, DatabaseError>;
    /// A new database on the server of this one; it is gone when the value is, however that ends.
    async fn scratch(&self, connection: &Connection, application_name: &str)
    -> Result<Box<dyn Scratch>, DatabaseError>;
    /// What git knows about the files of a folder.
    fn file_history(&self, dir: &Path) -> Arc<dyn FileHistory>;
    /// ssh to the bastion, one command at a time.
    fn bastion_shell(&self, processes: Arc<dyn Processes>, state_dir: &Path) -> Arc<dyn Shell>;
    /// Who we are on the internet.
    fn address_echo(&self) -> Arc<dyn AddressEcho>;
    fn key_maker(&self) -> Arc<dyn KeyMaker>;

    /// Opens links to the bastion.
    fn ssh(&self) -> Arc<dyn Ssh>;

    /// Asks a database who it is.
    fn probe(&self) -> Arc<dyn Probe>;

    /// Asks git about the migrations folder.
    fn repository(&self, dir: &Path) -> Arc<dyn Repository>;

    /// Knows what SQL does to a busy database.
    fn linter(&self) -> Arc<dyn Linter>;

    /// Runs a Kysely project's migrations on a database that is not there.
    fn recorder(&self) -> Arc<dyn Recorder>;
}

/// The taps of the real world.
pub fn real_tools() -> Arc<dyn Tools> {
    Arc::new(RealTools)
}

/// A stream that can be shared with a printer.
pub type Stream = Arc<Mutex<Box<dyn Write + Send>>>;

/// Everything a command may use.
#[derive(Clone)]
pub struct Host {
    pub surroundings: Surroundings,
    pub clock: Arc<dyn Clock>,
    pub processes: Arc<dyn Processes>,
    pub prompter: Arc<dyn Prompter>,
    pub tools: Arc<dyn Tools>,
    pub out: Stream,
    pub err: Stream,
}

impl Host {
    /// The real thing.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the surroundings are captured")]
    pub fn from_process() -> Self {
        let surroundings = Surroundings {
            vars: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            cwd: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("devdb")),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        };
        Self {
            surroundings,
            clock: Arc::new(crate::adapters::clock::SystemClock),
            processes: Arc::new(crate::adapters::process::SystemProcesses),
            prompter: Arc::new(crate::adapters::terminal::TerminalPrompter),
            tools: real_tools(),
            out: Arc::new(Mutex::new(Box::new(std::io::stdout()))),
            err: Arc::new(Mutex::new(Box::new(std::io::stderr()))),
        }
    }
}

struct RealTools;

#[async_trait]
impl Tools for RealTools {
    async fn migration_database(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
    ) -> Result<Box<dyn MigrationDatabase>, DatabaseError> {
        Ok(Box::new(crate::adapters::postgres::PostgresMigrations::connect(connection, spec).await?))
    }

    async fn catalog(
        &self,
        connection: &Connection,
        application_name: &str,
    ) -> Result<Box<dyn Catalog>, DatabaseError> {
        Ok(Box::new(crate::adapters::postgres::PostgresCatalog::connect(connection, application_name).await?))
    }

    #[cfg(feature = "aws")]
    async fn aws(&self, target: &AwsTarget) -> Result<Arc<dyn Aws>, CloudError> {
        Ok(Arc::new(crate::adapters::aws::AwsAdapter::load(target).await?))
    }

    #[cfg(not(feature = "aws"))]
    async fn aws(&self, _target: &AwsTarget) -> Result<Arc<dyn Aws>, CloudError> {
        Err(CloudError::not_built("aws"))
    }

    fn file_history(&self, dir: &Path) -> Arc<dyn FileHistory> {
        Arc::new(crate::adapters::git::Git::new(Arc::new(crate::adapters::process::SystemProcesses), dir))
    }

    fn bastion_shell(&self, processes: Arc<dyn Processes>, state_dir: &Path) -> Arc<dyn Shell> {
        Arc::new(crate::adapters::bastion_shell::SshShell::new(processes, state_dir))
    }

    fn address_echo(&self) -> Arc<dyn AddressEcho> {
        Arc::new(crate::adapters::echo::HttpEcho)
    }

    fn key_maker(&self) -> Arc<dyn KeyMaker> {
        Arc::new(crate::adapters::keys::Ed25519Keys)
    }

    fn ssh(&self) -> Arc<dyn Ssh> {
        Arc::new(crate::adapters::ssh::OpenSsh::new(Arc::new(crate::adapters::process::SystemProcesses)))
    }

    fn probe(&self) -> Arc<dyn Probe> {
        Arc::new(crate::adapters::probe::TlsProbe)
    }

    async fn scratch(
        &self,
        connection: &Connection,
        application_name: &str,
    ) -> Result<Box<dyn Scratch>, DatabaseError> {
        Ok(Box::new(crate::adapters::postgres::PostgresScratch::create(connection, application_name).await?))
    }

    fn linter(&self) -> Arc<dyn Linter> {
        Arc::new(crate::adapters::lint::Squawk)
    }

    fn recorder(&self) -> Arc<dyn Recorder> {
        Arc::new(crate::adapters::node::Node)
    }

    fn repository(&self, dir: &Path) -> Arc<dyn Repository> {
        Arc::new(crate::adapters::git::Git::new(Arc::new(crate::adapters::process::SystemProcesses), dir))
    }
}
