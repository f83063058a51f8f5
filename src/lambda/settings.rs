use crate::connection::{Connection, Endpoint, Login, UrlError};
use crate::migrate::{LedgerNames, Target};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a resource may say. A property `SecretArn` is also the function's variable `DEVDB_SECRET_ARN`. A variable that is
/// set stands: the right to send an event is no right to choose another database, another secret, or an end of it all.
/// None of them is ever renamed or taken away: rollback and removal of an old stack still carry them.
pub const PROPERTIES: [&str; 13] = [
    "Host",
    "Port",
    "Database",
    "User",
    "SecretArn",
    "Iam",
    "Target",
    "Schema",
    "Table",
    "LockTable",
    "AllowUnordered",
    "OnRollback",
    "OnDelete",
];

/// CloudFormation's own, and the one whose only job is to differ from deploy to deploy.
const OTHERS: [&str; 3] = ["ServiceToken", "ServiceTimeout", "MigrationsHash"];

/// Why the settings cannot be used. Nothing here quotes a value: one may be a password in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{name} is not a property that devdb knows; it knows {}", PROPERTIES.join(", "))]
    Unknown { name: String },
    #[error("the property {name} is neither a text nor a number nor true nor false")]
    NotText { name: &'static str },
    #[error(
        "the property {name} says something else than the function's variable {variable}, which no event can change"
    )]
    Fixed { name: &'static str, variable: String },
    #[error("{name} is neither {first} nor {second}")]
    NeitherNor { name: &'static str, first: &'static str, second: &'static str },
    #[error("Port is not a number from 1 to 65535")]
    Port,
    #[error("no database is named: set Host with SecretArn or Iam, or the function's variable DATABASE_URL")]
    NoDatabase,
    #[error("{name} is missing: Host says where the database is")]
    NoHost { name: &'static str },
    #[error("Host is set, but neither SecretArn nor Iam says how to log in")]
    NoKey,
    #[error("SecretArn and Iam exclude each other")]
    TwoKeys,
    #[error("{name} is missing: Iam logs in as a user that has to be named, to a database that has to be named")]
    IamNeeds { name: &'static str },
    #[error("DATABASE_URL: {0}")]
    Url(#[from] UrlError),
}

/// What happens to what was executed and is no longer wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Downs {
    #[default]
    Keep,
    Down,
}

/// How the database is reached.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// `DATABASE_URL`, password included.
    Url(Box<Connection>),
    Secret {
        id: String,
        endpoint: Endpoint,
        login: Login,
    },
    Iam {
        user: String,
        endpoint: Endpoint,
        login: Login,
    },
}

/// What one event is about: the function's variables, and the resource's properties where there is no variable.
#[derive(Debug, Clone)]
pub struct Settings {
    pub database: Wanted,
    /// For TLS.
    pub ca_file: PathBuf,
    /// Where the bundle is, and its migrations.
    pub root: PathBuf,
    pub migrations_dir: PathBuf,
    pub ledger: LedgerNames,
    pub target: Target,
    pub allow_unordered: bool,
    pub on_rollback: Downs,
    pub on_delete: Downs,
}

impl Settings {
    /// # Errors
    /// [`SettingsError`].
    pub fn read(properties: &Map<String, Value>, vars: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let is_known = |name: &str| PROPERTIES.contains(&name) || OTHERS.contains(&name);
        if let Some(name) = properties.keys().find(|name| !is_known(name)) {
            return Err(SettingsError::Unknown { name: name.clone() });
        }
        let said = Said { properties, vars };
        let root = PathBuf::from(said.variable("LAMBDA_TASK_ROOT").unwrap_or_else(|| ".".to_owned()));
        let within = |name: &str, default: &str| {
            root.join(said.variable(name).as_deref().map_or_else(|| Path::new(default), Path::new))
        };
        let names = LedgerNames::default();
        Ok(Self {
            database: said.database()?,
            ca_file: within("DEVDB_CA_FILE", "rds-ca-bundle.pem"),
            migrations_dir: within("DEVDB_MIGRATIONS_DIR", "migrations"),
            ledger: LedgerNames {
                schema: said.get("Schema")?,
                table: said.get("Table")?.unwrap_or(names.table),
                lock_table: said.get("LockTable")?.unwrap_or(names.lock_table),
            },
            target: said.get("Target")?.map_or(Target::Latest, |text| Target::parse(&text)),
            allow_unordered: said.choice("AllowUnordered", "false", "true")?,
            on_rollback: said.downs("OnRollback")?,
            on_delete: said.downs("OnDelete")?,
            root,
        })
    }
}

/// `SecretArn` → `DEVDB_SECRET_ARN`.
fn variable(property: &str) -> String {
    property.chars().fold("DEVDB".to_owned(), |mut name, letter| {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
        name
    })
}

struct Said<'a> {
    properties: &'a Map<String, Value>,
    vars: &'a BTreeMap<String, String>,
}

impl Said<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.vars.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// CloudFormation makes texts of numbers and truth values; other callers do not. An empty text says nothing.
    fn property(&self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let text = match self.properties.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(_) => return Err(SettingsError::NotText { name }),
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn get(&self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let variable = variable(name);
        match (self.variable(&variable), self.property(name)?) {
            (Some(set), Some(said)) if set != said => Err(SettingsError::Fixed { name, variable }),
            (set, said) => Ok(set.or(said)),
        }
    }

    /// True for the second word, false for the first and for none.
    fn choice(&self, name: &'static str, first: &'static str, second: &'static str) -> Result<bool, SettingsError> {
        match self.get(name)? {
            None => Ok(false),
            Some(text) if text == first => Ok(false),
            Some(text) if text == second => Ok(true),
            Some(_) => Err(SettingsError::NeitherNor { name, first, second }),
        }
    }

    fn downs(&self, name: &'static str) -> Result<Downs, SettingsError> {
        Ok(if self.choice(name, "keep", "down")? { Downs::Down } else { Downs::Keep })
    }

    fn database(&self) -> Result<Wanted, SettingsError> {
        let url = self.variable("DATABASE_URL").filter(|_| self.variable(&variable("Host")).is_none());
        for name in ["Host", "Port", "Database", "User", "SecretArn", "Iam"] {
            if url.is_some() && self.property(name)?.is_some() {
                return Err(SettingsError::Fixed { name, variable: "DATABASE_URL".to_owned() });
            }
        }
        if let Some(url) = url {
            return Ok(Wanted::Url(Box::new(Connection::from_url(&url, None)?)));
        }
        let Some(host) = self.get("Host")? else {
            for name in ["Port", "Database", "User", "SecretArn", "Iam"] {
                if self.property(name)?.is_some() {
                    return Err(SettingsError::NoHost { name: "Host" });
                }
            }
            return Err(SettingsError::NoDatabase);
        };
        let port = self.get("Port")?.map_or(Ok(5432), |port| port.parse::<u16>().map_err(|_| SettingsError::Port))?;
        let endpoint =
            Endpoint { host, port: if port == 0 { return Err(SettingsError::Port) } else { port }, local: None };
        let login = Login { user: self.get("User")?, database: self.get("Database")?, ..Login::default() };
        match (self.get("SecretArn")?, self.choice("Iam", "false", "true")?) {
            (Some(_), true) => Err(SettingsError::TwoKeys),
            (Some(id), false) => Ok(Wanted::Secret { id, endpoint, login }),
            (None, false) => Err(SettingsError::NoKey),
            (None, true) if login.database.is_none() => Err(SettingsError::IamNeeds { name: "Database" }),
            (None, true) => {
                let user = login.user.clone().ok_or(SettingsError::IamNeeds { name: "User" })?;
                Ok(Wanted::Iam { user, endpoint, login })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(properties: Value, vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::read(properties.as_object().unwrap(), &vars)
    }

    fn refused(properties: Value, vars: &[(&str, &str)]) -> String {
        read(properties, vars).unwrap_err().to_string()
    }

    #[test]
    fn variables_and_properties_win_over_defaults() {
        let vars = [("DEVDB_PORT", "6000"), ("DEVDB_SECRET_ARN", "s"), ("DEVDB_TABLE", "t")];
        let settings = read(json!({ "Host": "b", "ServiceToken": "x", "MigrationsHash": "1" }), &vars).unwrap();
        let Wanted::Secret { id, endpoint, .. } = settings.database else { panic!() };
        assert_eq!((id.as_str(), endpoint.host.as_str(), endpoint.port), ("s", "b", 6000));
        assert_eq!(
            (settings.ledger.table.as_str(), settings.ledger.lock_table.as_str()),
            ("t", "kysely_migration_lock")
        );
        assert_eq!((settings.target, settings.on_delete), (Target::Latest, Downs::Keep));
    }

    #[test]
    fn no_event_changes_what_the_function_has_set() {
        let set = |name: &str| match name {
            "Iam" | "AllowUnordered" => ("true", "false"),
            "OnRollback" | "OnDelete" => ("keep", "down"),
            "Port" => ("6000", "6001"),
            _ => ("here", "canary"),
        };
        let beside = |name: &str| match name {
            "Iam" => json!({ "Host": "h", "User": "u", "Database": "d" }),
            "SecretArn" => json!({ "Host": "h" }),
            _ => json!({ "Host": "h", "SecretArn": "s" }),
        };
        for name in PROPERTIES {
            let (variable, (here, canary)) = (variable(name), set(name));
            let with = |value: &str| {
                let mut properties = beside(name);
                properties[name] = value.into();
                read(properties, &[(&variable, here)])
            };
            assert_eq!(with(canary).unwrap_err(), SettingsError::Fixed { name, variable: variable.clone() });
            assert!(with(here).is_ok() && with("").is_ok(), "{name}");
        }
        let url = ("DATABASE_URL", "postgres://a@b/c");
        for name in ["Host", "Port", "Database", "User", "SecretArn", "Iam"] {
            let refused = read(json!({ name: "canary" }), &[url]).unwrap_err();
            assert_eq!(refused, SettingsError::Fixed { name, variable: "DATABASE_URL".to_owned() });
        }
        // The other way to log in, with what the function would send there.
        let iam = json!({ "Host": "h", "User": "u", "Database": "d", "Iam": "true" });
        assert_eq!(read(iam, &[("DEVDB_SECRET_ARN", "s")]).unwrap_err(), SettingsError::TwoKeys);
    }

    #[test]
    fn scalars_come_as_texts_or_as_they_are() {
        for properties in [json!({ "Port": "6000", "Iam": "true" }), json!({ "Port": 6000, "Iam": true })] {
            let vars = [("DEVDB_HOST", "a"), ("DEVDB_USER", "u"), ("DEVDB_DATABASE", "d")];
            let Wanted::Iam { user, endpoint, .. } = read(properties, &vars).unwrap().database else { panic!() };
            assert_eq!((user.as_str(), endpoint.port), ("u", 6000));
        }
    }

    #[test]
    fn paths_are_beside_the_binary_unless_they_are_absolute() {
        let url = ("DATABASE_URL", "postgres://a@b/c");
        let vars = [url, ("LAMBDA_TASK_ROOT", "/var/task"), ("DEVDB_CA_FILE", "/opt/ca.pem")];
        let settings = read(json!({}), &vars).unwrap();
        assert_eq!(settings.migrations_dir, Path::new("/var/task/migrations"));
        assert_eq!(settings.ca_file, Path::new("/opt/ca.pem"));
    }

    #[test]
    fn what_is_wrong_is_said_without_its_value() {
        let host = |name: &str, value: &str| json!({ "Host": "h", "SecretArn": "s", name: value });
        let said = [
            refused(json!({ "Hosts": "canary" }), &[]),
            refused(json!({}), &[]),
            refused(json!({ "SecretArn": "canary" }), &[]),
            refused(json!({ "Host": ["canary"] }), &[]),
            refused(json!({ "Host": "canary" }), &[]),
            refused(host("Port", "canary"), &[]),
            refused(host("Port", "0"), &[]),
            refused(host("Iam", "true"), &[]),
            refused(host("OnDelete", "canary"), &[]),
            refused(json!({ "Host": "h", "Iam": "true", "Database": "d" }), &[]),
            refused(json!({ "Host": "h", "Iam": "true", "User": "u" }), &[]),
            refused(json!({}), &[("DATABASE_URL", "mysql://canary")]),
            refused(json!({ "Host": "canary" }), &[("DEVDB_HOST", "h")]),
        ]
        .join("\n");
        assert!(!said.contains("canary"), "{said}");
        insta::assert_snapshot!(said);
    }

    #[test]
    fn every_property_has_its_variable() {
        assert_eq!(variable("SecretArn"), "DEVDB_SECRET_ARN");
        assert_eq!(variable("OnRollback"), "DEVDB_ON_ROLLBACK");
    }
}
