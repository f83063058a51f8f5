use super::claim::Claim;
use super::file::FileEntries;
use super::keys::{KEYS, Key, Kind, Scope};
use super::load::{Files, Root, Tracking, load_files};
use super::settings::{
    Alias, BastionSettings, DatabaseRule, EnvironmentKind, MigrationSettings, ProjectName, Settings, SshSettings,
    Transport, TunnelSettings, name_part,
};
use super::{ConfigError, Entry, Origin, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the command line and the surroundings say about the configuration.
pub struct Request<'a> {
    pub vars: &'a BTreeMap<String, String>,
    pub cwd: &'a Path,
    /// `--config FILE`.
    pub file: Option<PathBuf>,
    /// `-e NAME`.
    pub environment: Option<String>,
    /// Values given as flags: key name, flag, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// The address git knows the user by; asked only if nothing else names an alias.
    pub git_email: &'a dyn Fn() -> Option<String>,
    /// What git says of the personal file; asked only if there is one.
    pub tracking: &'a dyn Fn(&Path) -> Tracking,
}

/// The result: the settings of the selected environment, or the knowledge that there is no environment at all.
#[derive(Debug)]
pub enum Resolved {
    /// Boxed: the settings are large and the other case is empty.
    Environment(Box<Settings>),
    /// No file, or a file without any environment, and none was asked for: `migrate` may use `DATABASE_URL`.
    NoEnvironment { file: Option<PathBuf>, passed_over: Option<PathBuf>, migrations: MigrationSettings },
}

impl Resolved {
    pub fn environment(&self) -> Option<&Settings> {
        match self {
            Self::Environment(settings) => Some(settings),
            Self::NoEnvironment { .. } => None,
        }
    }
}

/// Resolves all layers.
///
/// # Errors
/// Everything that [`ConfigError`] names, except the state folder.
pub fn resolve(request: &Request<'_>) -> Result<Resolved, ConfigError> {
    let files = load_files(request)?;
    let Files { committed, personal, root } = &files;
    let asked = request
        .environment
        .clone()
        .map(|name| (name, Origin::Flag("--environment")))
        .or_else(|| variable(request.vars, "DEVDB_ENVIRONMENT"));
    let known: Vec<String> = {
        let mut names: Vec<String> =
            committed.environments.keys().chain(personal.environments.keys()).cloned().collect();
        names.sort();
        names.dedup();
        names
    };
    let layers = |name: &str| Layers { request, committed, personal, name: name.to_owned() };
    let (name, origin) = match asked {
        Some(asked) => asked,
        None if known.is_empty() => {
            let effective = layers("").collect(|key| key.scope == Scope::Project)?;
            let migrations = Read { entries: &effective, root }.migrations()?;
            return Ok(Resolved::NoEnvironment {
                file: files.root.file,
                passed_over: files.root.passed_over,
                migrations,
            });
        }
        None => ("dev".to_owned(), Origin::Default),
    };
    if !known.contains(&name) {
        if root.file.is_none() {
            return Err(root.not_found(request));
        }
        return Err(ConfigError::NoSuchEnvironment { name, origin, known });
    }
    let mut entries = layers(&name).collect(|_| true)?;
    keep_protection(committed, &name, &mut entries);
    add_alias(request, &mut entries);
    let settings = Read { entries: &entries, root }.settings(name)?;
    let needs_trust = |key: &Key| {
        let found = entries.get(key.name);
        key.needs_trust() && found.is_some_and(|entry| root.is_brought(&entry.origin))
    };
    let file = root.file.as_ref().filter(|_| KEYS.iter().any(needs_trust));
    let claim = file.map(|file| Claim::of(file, &files.brought()));
    Ok(Resolved::Environment(Box::new(Settings { claim, entries, ..settings })))
}

/// The settings that these values make.
pub(super) fn settings_of(
    environment: &str,
    folder: &Path,
    entries: BTreeMap<&'static str, Entry>,
) -> Result<Settings, ConfigError> {
    let root = Root { folder: folder.to_owned(), file: None, passed_over: None, is_proven_personal: true };
    let settings = Read { entries: &entries, root: &root }.settings(environment.to_owned())?;
    Ok(Settings { entries, ..settings })
}

/// A variable or a personal file may make an environment stricter than the team did, never laxer.
fn keep_protection(committed: &FileEntries, name: &str, entries: &mut BTreeMap<&'static str, Entry>) {
    let strictness = |entry: &Entry| match &entry.value {
        Value::Text(kind) if kind == "protected" => 2,
        Value::Text(kind) if kind == "personal" => 0,
        _ => 1,
    };
    let Some(agreed) = committed.environments.get(name).and_then(|entries| entries.get("kind")) else { return };
    if entries.get("kind").is_some_and(|chosen| strictness(chosen) < strictness(agreed)) {
        entries.insert("kind", agreed.clone());
    }
}

fn variable(vars: &BTreeMap<String, String>, name: &str) -> Option<(String, Origin)> {
    vars.get(name).filter(|value| !value.is_empty()).map(|value| (value.clone(), Origin::Variable(name.to_owned())))
}

struct Layers<'a> {
    request: &'a Request<'a>,
    committed: &'a FileEntries,
    personal: &'a FileEntries,
    name: String,
}

impl Layers<'_> {
    /// The strongest value of each wanted key.
    fn collect(&self, wanted: impl Fn(&Key) -> bool) -> Result<BTreeMap<&'static str, Entry>, ConfigError> {
        let mut found = BTreeMap::new();
        for key in KEYS.iter().filter(|key| wanted(key)) {
            if let Some(entry) = self.strongest(key)? {
                found.insert(key.name, entry);
            }
        }
        Ok(found)
    }

    fn strongest(&self, key: &Key) -> Result<Option<Entry>, ConfigError> {
        let flag = self.request.flags.iter().find(|(name, ..)| *name == key.name);
        if let Some((_, flag, text)) = flag {
            return parse_text(key, text, Origin::Flag(flag)).map(Some);
        }
        if let Some((text, origin)) = variable(self.request.vars, &key.variable()) {
            return parse_text(key, &text, origin).map(Some);
        }
        for file in [self.personal, self.committed] {
            let entry = match key.scope {
                Scope::Environment => file.environments.get(&self.name).and_then(|entries| entries.get(key.name)),
                Scope::Project | Scope::Personal => file.top.get(key.name),
            };
            if let Some(entry) = entry {
                return Ok(Some(entry.clone()));
            }
        }
        key.default.map(|text| parse_text(key, text, Origin::Default)).transpose()
    }
}

/// A flag's or a variable's text as a value of the key's kind.
fn parse_text(key: &Key, text: &str, origin: Origin) -> Result<Entry, ConfigError> {
    let bad = |reason: &str| ConfigError::BadValue {
        key: key.name.to_owned(),
        value: text.to_owned(),
        origin: origin.clone(),
        reason: reason.to_owned(),
    };
    let list = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let value = match key.kind {
        Kind::Text | Kind::Path | Kind::Duration | Kind::Choice(_) => Value::Text(text.to_owned()),
        Kind::Port => Value::Integer(text.parse().map_err(|_| bad("use a number from 1 to 65535"))?),
        Kind::Boolean => Value::Boolean(text.parse().map_err(|_| bad("use true or false"))?),
        Kind::List => Value::List(list().map(str::to_owned).collect()),
        Kind::Map => Value::Map(
            list()
                .map(|item| item.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())))
                .collect::<Option<_>>()
                .ok_or_else(|| bad("use NAME=VALUE,NAME=VALUE"))?,
        ),
    };
    Ok(Entry { value, origin })
}

/// `$DEVDB_ALIAS` and the personal file were tried; then git's address, then the login.
fn add_alias(request: &Request<'_>, entries: &mut BTreeMap<&'static str, Entry>) {
    if entries.contains_key("alias") {
        return;
    }
    let from_git = (request.git_email)().and_then(|email| Alias::from_login(&email)).map(|alias| (alias, Origin::Git));
    let from_login = || {
        let (user, origin) = variable(request.vars, "USER")?;
        Some((Alias::from_login(&user)?, origin))
    };
    if let Some((alias, origin)) = from_git.or_else(from_login) {
        entries.insert("alias", Entry { value: Value::Text(alias.as_str().to_owned()), origin });
    }
}

struct Read<'a> {
    entries: &'a BTreeMap<&'static str, Entry>,
    root: &'a Root,
}

impl Read<'_> {
    fn settings(&self, environment: String) -> Result<Settings, ConfigError> {
        if let Err(reason) = name_part(&environment, 40) {
            return Err(ConfigError::BadValue {
                key: "environment".to_owned(),
                value: environment,
                origin: Origin::Flag("--environment"),
                reason,
            });
        }
        Ok(Settings {
            project: self.parsed("project", ProjectName::parse)?.ok_or(self.missing("project", None))?,
            alias: self.parsed("alias", Alias::parse)?.ok_or(self.missing("alias", None))?,
            kind: match self.choice("kind")?.as_str() {
                "personal" => EnvironmentKind::Personal,
                "protected" => EnvironmentKind::Protected,
                _ => EnvironmentKind::Shared,
            },
            profile: self.text("profile")?,
            region: self.text("region")?,
            stack: self.text("stack")?,
            vpc: self.text("vpc")?,
            cluster: self.text("cluster")?,
            secret: self.text("secret")?,
            database: self.text("database")?,
            user: self.text("user")?,
            iam: self.boolean("iam"),
            iam_user: self.text("iam_user")?,
            env_client: self.choice("env.client")?,
            transport: if self.choice("transport")? == "direct" { Transport::Direct } else { Transport::Ssh },
            subnet_name: self.text("subnet_name")?.unwrap_or_default(),
            ca_file: self.path("ca_file")?,
            echo_url: self.text("echo_url")?.unwrap_or_default(),
            bastion: BastionSettings {
                instance_type: self.text("bastion.instance_type")?.unwrap_or_default(),
                instance_type_is_chosen: self
                    .entries
                    .get("bastion.instance_type")
                    .is_some_and(|entry| entry.origin != Origin::Default),
                ttl: self.duration("bastion.ttl")?,
                database_rule: if self.choice("bastion.database_rule")? == "security-group" {
                    DatabaseRule::SecurityGroup
                } else {
                    DatabaseRule::PrivateIp
                },
                allow_cidrs: self.list("bastion.allow_cidrs")?,
                ssh_port: self.port("bastion.ssh_port")?,
                ssh_user: self.text("bastion.ssh_user")?.unwrap_or_default(),
                ami: self.text("bastion.ami")?,
                kms_key: self.text("bastion.kms_key")?,
                tags: self.map("bastion.tags")?,
            },
            tunnel: TunnelSettings {
                writer_port: self.port("tunnel.writer_port")?,
                reader_port: match self.port("tunnel.reader_port")? {
                    same if same == self.port("tunnel.writer_port")? => {
                        return Err(self.bad("tunnel.reader_port", "the writer has this port; choose another"));
                    }
                    port => port,
                },
                hold: self.duration("tunnel.hold")?,
                serves_all_users: self.choice("tunnel.users")? == "all",
            },
            ssh: SshSettings {
                proxy_command: self.text("ssh.proxy_command")?,
                proxy_jump: self.text("ssh.proxy_jump")?,
            },
            migrations: self.migrations()?,
            environment,
            file: self.root.file.clone(),
            claim: None,
            entries: BTreeMap::new(),
        })
    }

    fn migrations(&self) -> Result<MigrationSettings, ConfigError> {
        Ok(MigrationSettings {
            dir: self.path("migrations.dir")?.unwrap_or_else(|| self.root.folder.clone()),
            dir_is_brought: self
                .entries
                .get("migrations.dir")
                .is_none_or(|entry| entry.origin == Origin::Default || self.root.is_brought(&entry.origin)),
            table: self.text("migrations.table")?.unwrap_or_default(),
            lock_table: self.text("migrations.lock_table")?.unwrap_or_default(),
            schema: self.text("migrations.schema")?,
            allow_unordered: self.boolean("migrations.allow_unordered"),
        })
    }

    fn missing(&self, key: &'static str, environment: Option<String>) -> ConfigError {
        ConfigError::Missing { key, environment }
    }

    fn bad(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let entry = self.entries.get(key);
        ConfigError::BadValue {
            key: key.to_owned(),
            value: entry.map(|entry| entry.value.to_string()).unwrap_or_default(),
            origin: entry.map_or(Origin::Default, |entry| entry.origin.clone()),
            reason: reason.into(),
        }
    }

    /// An empty text counts as not set, so that a variable or the personal file can unset a value.
    fn text(&self, key: &'static str) -> Result<Option<String>, ConfigError> {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.bad(key, "use a text in quotes")),
        }
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(key)?.map(|text| parse(&text)).transpose().map_err(|reason| self.bad(key, reason))
    }

    fn choice(&self, key: &'static str) -> Result<String, ConfigError> {
        let text = self.text(key)?.unwrap_or_default();
        match KEYS.iter().find(|known| known.name == key).map(|known| known.kind) {
            Some(Kind::Choice(choices)) if !choices.contains(&text.as_str()) => {
                Err(self.bad(key, format!("use one of {}", choices.join(", "))))
            }
            _ => Ok(text),
        }
    }

    /// A path is relative to the file that names it, else to the working directory; the default to the project.
    fn path(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let base = match self.entries.get(key).map(|entry| &entry.origin) {
            Some(Origin::File { path, .. }) => path.parent().unwrap_or(&self.root.folder).to_owned(),
            _ => self.root.folder.clone(),
        };
        Ok(Some(base.join(text)))
    }

    fn port(&self, key: &'static str) -> Result<u16, ConfigError> {
        match self.entries.get(key).map(|entry| &entry.value) {
            Some(Value::Integer(number)) => u16::try_from(*number).ok().filter(|port| *port > 0),
            _ => None,
        }
        .ok_or_else(|| self.bad(key, "use a number from 1 to 65535"))
    }

    fn duration(&self, key: &'static str) -> Result<Duration, ConfigError> {
        let text = self.text(key)?.unwrap_or_default();
        text.parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .filter(|duration| !duration.is_zero())
            .ok_or_else(|| self.bad(key, "use a time such as 30s, 12h or 1h 30m"))
    }

    fn boolean(&self, key: &'static str) -> bool {
        matches!(self.entries.get(key), Some(Entry { value: Value::Boolean(true), .. }))
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => Ok(items.clone()),
            Some(_) => Err(self.bad(key, "use a list of texts")),
        }
    }

    fn map(&self, key: &'static str) -> Result<BTreeMap<String, String>, ConfigError> {
        match self.entries.get(key).map(|entry| &entry.value) {
            None => Ok(BTreeMap::new()),
            Some(Value::Map(items)) => Ok(items.clone()),
            Some(_) => Err(self.bad(key, "use a table of texts")),
        }
    }
}
