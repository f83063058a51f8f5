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

/// What Secrets Manager keeps under one name: a text or bytes, never both.
#[derive(Clone)]
pub enum SecretContent {
    Text(Zeroizing<String>),
    Binary,
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretContent(…)")
    }
}

/// Where secrets are kept.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The current content of the secret with this name or ARN.
    ///
    /// # Errors
    /// [`CloudError::NotFound`] when there is no such secret.
    async fn secret(&self, id: &str) -> Result<SecretContent, CloudError>;
}

/// Why a secret cannot be used. Nothing here quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    #[error("is binary, and a database secret is a text")]
    Binary,
    #[error("begins like JSON but cannot be read as a database secret")]
    Unreadable,
    #[error("has no password")]
    WithoutPassword,
}

/// What a database secret says. Every field but the password may be missing.
///
/// Shapes: the JSON that CDK's `DatabaseSecret` and Secrets Manager's rotation use (`username`, `password`, `host`,
/// `port`, `dbname`, …), the RDS-managed one (`username`, `password`), or a bare password. Host and port are not read:
/// a restored cluster's secret still names the old one.
#[derive(Debug, Clone)]
pub struct DatabaseSecret {
    pub username: Option<String>,
    pub password: Password,
    pub database: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "text")]
    username: Option<String>,
    password: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "text")]
    dbname: Option<String>,
}

/// A text; anything else in its place says nothing.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) if !text.is_empty() => Some(text),
        Either::Text(_) | Either::Other(_) => None,
    })
}

impl DatabaseSecret {
    /// # Errors
    /// [`SecretFault`], which never quotes the secret.
    pub fn read(content: &SecretContent) -> Result<Self, SecretFault> {
        match content {
            SecretContent::Text(text) => Self::parse(text),
            SecretContent::Binary => Err(SecretFault::Binary),
        }
    }

    /// Reads a secret string.
    ///
    /// # Errors
    /// [`SecretFault::WithoutPassword`] for a JSON object that has none, or for nothing at all.
    pub fn parse(text: &str) -> Result<Self, SecretFault> {
        if !text.trim_start().starts_with('{') {
            // An editor or `echo` leaves a newline behind; inside a password it stays.
            let password = Password::new(text.trim_end_matches(['\r', '\n']));
            if password.reveal().is_empty() {
                return Err(SecretFault::WithoutPassword);
            }
            return Ok(Self { username: None, password, database: None });
        }
        let fields: Fields = serde_json::from_str(text).map_err(|_| SecretFault::Unreadable)?;
        let password = fields.password.filter(|password| !password.is_empty());
        Ok(Self {
            username: fields.username,
            password: Password(password.ok_or(SecretFault::WithoutPassword)?),
            database: fields.dbname,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cdk_secret_has_everything() {
        let secret = DatabaseSecret::parse(
            r#"{"username":"app","password":"p w'$","host":"db.example","port":"5432","dbname":"shop","engine":"postgres","extra":[1]}"#,
        )
        .unwrap();
        assert_eq!(secret.username.as_deref(), Some("app"));
        assert_eq!(secret.password.reveal(), "p w'$");
        assert_eq!(secret.database.as_deref(), Some("shop"));
    }

    #[test]
    fn an_rds_managed_secret_has_two_fields() {
        let secret = DatabaseSecret::parse(r#"{"username":"app","password":"x"}"#).unwrap();
        assert_eq!((secret.username.as_deref(), secret.database), (Some("app"), None));
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
    fn bytes_are_no_database_secret() {
        assert_eq!(DatabaseSecret::read(&SecretContent::Binary).unwrap_err(), SecretFault::Binary);
    }

    /// A field of a secret: absent, null, a number, a list, a text.
    fn field() -> impl Strategy<Value = Option<serde_json::Value>> {
        prop_oneof![
            Just(None),
            Just(Some(serde_json::Value::Null)),
            any::<u32>().prop_map(|number| Some(number.into())),
            Just(Some(serde_json::json!([1, {"a": null}]))),
            ".{0,12}".prop_map(|text| Some(text.into())),
        ]
    }

    proptest! {
        #[test]
        fn any_subset_of_fields_and_any_others_are_read(
            password in ".{1,40}", fields in proptest::array::uniform7(field()), extra in "[a-z]{1,8}",
        ) {
            let names = ["username", "dbname", "host", "port", "engine", "masterarn", "dbInstanceIdentifier"];
            let mut object = serde_json::Map::from_iter([("password".to_owned(), password.clone().into())]);
            for (name, value) in names.iter().zip(&fields) {
                object.extend(value.clone().map(|value| ((*name).to_owned(), value)));
            }
            object.entry(extra).or_insert(true.into());
            let secret = DatabaseSecret::parse(&serde_json::Value::Object(object).to_string()).unwrap();
            prop_assert_eq!(secret.password.reveal(), password);
            let said = |field: &Option<serde_json::Value>| {
                field.as_ref()?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
            };
            prop_assert_eq!((secret.username, secret.database), (said(&fields[0]), said(&fields[1])));
        }

        #[test]
        fn a_bare_password_is_taken_as_it_is(password in "[^{\\s].{0,39}[^\\s]") {
            for text in [password.clone(), format!("{password}\n")] {
                let secret = DatabaseSecret::parse(&text).unwrap();
                prop_assert_eq!(secret.password.reveal(), &password);
            }
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let secret = DatabaseSecret::parse(r#"{"password":"canary"}"#).unwrap();
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
