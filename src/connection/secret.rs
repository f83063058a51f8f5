use super::ConnectionError;
use crate::system::CloudError;
use async_trait::async_trait;
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

/// A password: never shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The password itself; whoever calls this decides where it goes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Where secrets are kept.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The current secret string of this name or ARN.
    ///
    /// # Errors
    /// [`CloudError::NotFound`] when there is no such secret, or it is binary (`what` says so).
    async fn secret(&self, id: &str) -> Result<Zeroizing<String>, CloudError>;
}

/// What a database secret says. Every field but the password may be missing.
///
/// Shapes: the JSON that CDK's `DatabaseSecret` and Secrets Manager's rotation use (`username`, `password`, `host`,
/// `port`, `dbname`, …), the RDS-managed one (`username`, `password`), or a bare password.
#[derive(Debug, Clone)]
pub struct DatabaseSecret {
    pub username: Option<String>,
    pub password: Password,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub database: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    host: Option<String>,
    #[serde(default, deserialize_with = "port")]
    port: Option<u16>,
    dbname: Option<String>,
}

/// Secrets carry the port as a number or as a text.
fn port<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u16),
        Text(String),
    }
    Ok(match Option::<Either>::deserialize(deserializer)? {
        Some(Either::Number(number)) => Some(number),
        Some(Either::Text(text)) => text.trim().parse().ok(),
        None => None,
    })
}

impl DatabaseSecret {
    /// Reads a secret string.
    ///
    /// # Errors
    /// [`ConnectionError::SecretWithoutPassword`] for a JSON object that has none; the error never quotes the secret.
    pub fn parse(text: &str) -> Result<Self, ConnectionError> {
        if !text.trim_start().starts_with('{') {
            let password = Password::new(text.trim_end_matches(['\r', '\n']));
            if password.reveal().is_empty() {
                return Err(ConnectionError::SecretWithoutPassword);
            }
            return Ok(Self { username: None, password, host: None, port: None, database: None });
        }
        let fields: Fields = serde_json::from_str(text).map_err(|_| ConnectionError::SecretUnreadable)?;
        let password = fields.password.filter(|password| !password.is_empty());
        Ok(Self {
            username: fields.username.filter(|name| !name.is_empty()),
            password: Password(password.ok_or(ConnectionError::SecretWithoutPassword)?),
            host: fields.host.filter(|host| !host.is_empty()),
            port: fields.port,
            database: fields.dbname.filter(|name| !name.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cdk_secret_has_everything() {
        let secret = DatabaseSecret::parse(
            r#"{"username":"app","password":"p w'$","host":"db.example","port":"5432","dbname":"shop","engine":"postgres","extra":[1]}"#,
        )
        .unwrap();
        assert_eq!(secret.username.as_deref(), Some("app"));
        assert_eq!(secret.password.reveal(), "p w'$");
        assert_eq!(secret.port, Some(5432));
        assert_eq!(secret.database.as_deref(), Some("shop"));
    }

    #[test]
    fn an_rds_managed_secret_has_two_fields() {
        let secret = DatabaseSecret::parse(r#"{"username":"app","password":"x"}"#).unwrap();
        assert_eq!((secret.host, secret.port, secret.database), (None, None, None));
    }

    #[test]
    fn a_bare_string_is_the_password() {
        assert_eq!(DatabaseSecret::parse("s3 cret\n").unwrap().password.reveal(), "s3 cret");
    }

    #[test]
    fn a_secret_without_a_password_is_an_error_that_quotes_nothing() {
        for text in ["", "\n", "{}", r#"{"password":""}"#, r#"{"password": 12}"#, r#"{"password": "canary"#] {
            let error = DatabaseSecret::parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let secret = DatabaseSecret::parse(r#"{"password":"canary"}"#).unwrap();
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
