use super::{Connection, ConnectionError, DatabaseSecret, Demands, Password, Tls};
use std::net::IpAddr;
use std::path::PathBuf;

/// Which endpoint of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Writer,
    Reader,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
        }
    }
}

/// Where the database is, and where to connect instead.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The endpoint's real name.
    pub host: String,
    pub port: u16,
    /// The tunnel's local end; `None` where the endpoint is reached directly.
    pub local: Option<(IpAddr, u16)>,
}

/// What the settings and the cluster say about who logs in to what, the stronger first.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub user: Option<String>,
    pub database: Option<String>,
    /// What the cluster was created with: the last resort, after the secret.
    pub cluster_user: Option<String>,
    pub cluster_database: Option<String>,
}

/// Puts a connection together: settings over secret over cluster. Host and port are the endpoint's, never the
/// secret's: a restored cluster's secret still names the old one.
///
/// # Errors
/// [`ConnectionError::Incomplete`] when nobody names the user or the database.
pub fn compose(
    endpoint: Endpoint,
    login: Login,
    secret: DatabaseSecret,
    ca_file: PathBuf,
) -> Result<Connection, ConnectionError> {
    let user = login.user.or(secret.username).or(login.cluster_user);
    let database = login.database.or(secret.database).or(login.cluster_database);
    let (hostaddr, port) = match endpoint.local {
        Some((address, port)) => (Some(address), port),
        None => (None, endpoint.port),
    };
    Ok(Connection {
        host: endpoint.host,
        hostaddr,
        port,
        user: user.ok_or(ConnectionError::Incomplete { what: "user" })?,
        database: database.ok_or(ConnectionError::Incomplete { what: "database" })?,
        password: Some(secret.password),
        tls: Tls::VerifyFull { ca_file },
        demands: Demands::default(),
    })
}

/// The same with a token in place of the secret, which says nothing about user and database.
///
/// # Errors
/// [`ConnectionError::Incomplete`] when nobody names the database.
pub fn compose_with_token(
    endpoint: Endpoint,
    user: &str,
    login: Login,
    token: Password,
    ca_file: PathBuf,
) -> Result<Connection, ConnectionError> {
    let secret = DatabaseSecret { username: None, password: token, database: None };
    compose(endpoint, Login { user: Some(user.to_owned()), ..login }, secret, ca_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint { host: "shop.cluster-x".into(), port: 5432, local: Some(([127, 0, 0, 1].into(), 15432)) }
    }

    #[test]
    fn the_settings_win_over_the_secret_and_the_secret_over_the_cluster() {
        let secret = || DatabaseSecret::parse(r#"{"username":"app","password":"x","dbname":"shop"}"#).unwrap();
        let login = Login { cluster_user: Some("root".into()), ..Login::default() };
        let connection = compose(endpoint(), login.clone(), secret(), "ca".into()).unwrap();
        assert_eq!((connection.user.as_str(), connection.database.as_str()), ("app", "shop"));
        let login = Login { user: Some("me".into()), database: Some("other".into()), ..login };
        let connection = compose(endpoint(), login, secret(), "ca".into()).unwrap();
        assert_eq!((connection.user.as_str(), connection.database.as_str()), ("me", "other"));
    }

    #[test]
    fn the_secrets_host_is_never_believed() {
        let secret = DatabaseSecret::parse(
            r#"{"username":"app","password":"x","dbname":"shop","host":"old.cluster-x","port":6000}"#,
        );
        let connection = compose(endpoint(), Login::default(), secret.unwrap(), "ca".into()).unwrap();
        assert_eq!((connection.host.as_str(), connection.port), ("shop.cluster-x", 15432));
        assert_eq!(connection.hostaddr, Some([127, 0, 0, 1].into()));
    }

    #[test]
    fn a_missing_database_name_is_said() {
        let secret = DatabaseSecret::parse(r#"{"username":"app","password":"x"}"#).unwrap();
        let error = compose(endpoint(), Login::default(), secret, "ca".into()).unwrap_err();
        assert_eq!(error.to_string(), "neither the settings nor the secret name the database");
    }
}
