use super::{UrlError, secret_text};
use crate::system::CloudError;
use async_trait::async_trait;
use std::fmt;
use zeroize::Zeroizing;

/// A password: never shown by `Debug`, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub(super) Zeroizing<String>);

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
    Binary(Zeroizing<Vec<u8>>),
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

/// Why a secret cannot be used. Nothing here quotes more of it than the name of a field that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    #[error("is binary, and a database secret is a text")]
    Binary,
    #[error("holds NUL characters, as text in UTF-16 does that is taken for UTF-8")]
    Nul,
    #[error("begins like JSON but cannot be read as a database secret (line {line}, column {column})")]
    Unreadable { line: usize, column: usize },
    #[error("is {0}, and not taken for a password")]
    Shape(&'static str),
    #[error("holds a database address that cannot be used: {0}")]
    Address(UrlError),
    #[error("has {what} as its `{key}`, and not a text")]
    Field { key: String, what: &'static str },
    #[error("says two different things in its {}", both(first, second))]
    Twice { first: String, second: String },
    #[error("has its password inside of another object")]
    Nested,
    #[error("has no password")]
    WithoutPassword,
}

fn both(first: &str, second: &str) -> String {
    if first == second { format!("two `{first}`") } else { format!("`{first}` and its `{second}`") }
}

/// What a database secret says. Every field but the password may be missing.
///
/// Shapes: the JSON that CDK's `DatabaseSecret` and Secrets Manager's rotation use (`username`, `password`, `host`,
/// `port`, `dbname`, …), the RDS-managed one (`username`, `password`), the same under the names that programs use
/// (`PGPASSWORD`, `DB_USER`, `DATABASE_URL`), an address, a JSON string or a bare password. Host and port are not read:
/// a restored cluster's secret still names the old one.
#[derive(Debug, Clone)]
pub struct DatabaseSecret {
    pub username: Option<String>,
    pub password: Password,
    pub database: Option<String>,
}

impl DatabaseSecret {
    /// Bytes are read where they can only be a JSON object; a bare password among them would be a guess.
    ///
    /// # Errors
    /// [`SecretFault`], which never quotes the secret.
    pub fn read(content: &SecretContent) -> Result<Self, SecretFault> {
        match content {
            SecretContent::Text(text) => Self::parse(text),
            SecretContent::Binary(bytes) => {
                let text = std::str::from_utf8(bytes).map_err(|_| SecretFault::Binary)?;
                match text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
                    true => Self::parse(text),
                    false => Err(SecretFault::Binary),
                }
            }
        }
    }

    /// Reads a secret string.
    ///
    /// # Errors
    /// [`SecretFault`], by name, for everything that has not one possible meaning.
    pub fn parse(text: &str) -> Result<Self, SecretFault> {
        secret_text::read(text)
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

    #[track_caller]
    fn read(text: &str) -> (String, Option<String>, Option<String>) {
        let secret = DatabaseSecret::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (secret.password.reveal().to_owned(), secret.username, secret.database)
    }

    #[test]
    fn what_has_one_possible_meaning_is_read() {
        for (text, password) in [
            ("\u{feff}{\"password\":\"pw\"}\r\n", "pw"),
            ("\u{feff}pw\n", "pw"),
            ("12345\n", "12345"),
            ("1e5", "1e5"),
            ("0.10", "0.10"),
            ("007", "007"),
            ("\"pw\"", "pw"),
            ("\"{pw\"\n", "{pw"),
            ("\"12345\"", "12345"),
            ("\"null\"", "null"),
            ("pw}", "pw}"),
            ("p{w:\"x\"}", "p{w:\"x\"}"),
            (" pw ", " pw "),
            ("a://b", "a://b"),
            (r#"{"password": 12345}"#, "12345"),
            (r#"{"password": -7}"#, "-7"),
            (r#"{"password": 9007199254740991}"#, "9007199254740991"),
            (r#"{"password": "{\"password\":\"x\"}"}"#, r#"{"password":"x"}"#),
            (r#"{"password": "null", "port": 5432, "host": null}"#, "null"),
            (r#"{"Password": "pw", "password": "pw"}"#, "pw"),
            (r#"{"password": "pw", "db": "", "username": null}"#, "pw"),
            (r#"{"password": "pw", "url": "https://wiki.example/shop"}"#, "pw"),
        ] {
            if text == "a://b" {
                assert!(matches!(DatabaseSecret::parse(text), Err(SecretFault::Address(UrlError::Scheme))));
                continue;
            }
            assert_eq!(read(text), (password.to_owned(), None, None), "{text}");
        }
    }

    #[test]
    fn fields_go_by_the_names_that_programs_use_and_addresses_are_read() {
        let all = |text: &str| {
            let found = ("p@ss".to_owned(), Some("app".to_owned()), Some("shop".to_owned()));
            assert_eq!(read(text), found, "{text}");
        };
        all(r#"{"username":"app","password":"p@ss","dbname":"shop","host":"h","port":"5432"}"#);
        all(r#"{"PGUSER":"app","PGPASSWORD":"p@ss","PGDATABASE":"shop","PGHOST":"h"}"#);
        all(r#"{"User":"app","Password":"p@ss","Database":"shop","Hostname":"h"}"#);
        all(r#"{"DB_USER":"app","DB_PASSWORD":"p@ss","DB_NAME":"shop"}"#);
        all(r#"{"db-username":"app","db-password":"p@ss","db":"shop"}"#);
        let address = "postgres://app:p%40ss@h:5432/shop";
        all(address);
        all(&format!("{address}?sslmode=require&channel_binding=require\n"));
        all(&format!("\"{address}\""));
        all("postgresql+asyncpg://app:p%40ss@h/shop");
        all("jdbc:postgresql://h:5432/shop?user=app&password=p%40ss");
        for key in ["url", "uri", "connectionString", "DATABASE_URL", "connection_string"] {
            all(&format!(r#"{{"{key}":"{address}"}}"#));
        }
        all(r#"{"url":"jdbc:postgresql://h/shop","username":"app","password":"p@ss"}"#);
        all(&format!(r#"{{"url":"{address}","username":"app","password":"p@ss","dbname":"shop"}}"#));
        assert_eq!(read(r#"{"username":12345,"password":"pw"}"#).1.as_deref(), Some("12345"));
    }

    #[test]
    fn everything_else_is_refused_by_name_and_nothing_is_quoted() {
        for (text, said) in [
            ("", "has no password"),
            ("\u{feff}\r\n", "has no password"),
            ("  \n", "has no password"),
            ("{}", "has no password"),
            ("\"\"", "has no password"),
            (r#"{"password":""}"#, "has no password"),
            (r#"{"password":null}"#, "has no password"),
            (r#"{"canary":"","canary2":"canary"}"#, "has no password"),
            (r#"{"db":{"password":"canary"}}"#, "has an object as its `db`"),
            (r#"{"prod":{"db":{"password":"canary"}}}"#, "has its password inside of another object"),
            (r#"{"password":{"value":"canary"}}"#, "has an object as its `password`, and not a text"),
            (r#"{"password":["canary"]}"#, "has a list as its `password`"),
            (r#"{"password":true}"#, "has a truth value as its `password`"),
            (r#"{"password":1e5}"#, "has a number that not every program writes alike as its `password`"),
            (r#"{"password":0.10}"#, "has a number that not every program"),
            (r#"{"password":12345678901234567890}"#, "has a number that not every program"),
            (r#"{"password":-0}"#, "has a number that not every program"),
            (r#"{"password":"canary\u0000"}"#, "holds NUL characters"),
            (r#"{"password":"canary","password":"canary2"}"#, "says two different things in its two `password`"),
            (
                r#"{"password":"canary","PGPASSWORD":"x"}"#,
                "says two different things in its `password` and its `PGPASSWORD`",
            ),
            (
                r#"{"password":"canary","url":"postgres://u:x@h/d"}"#,
                "says two different things in its `password` and its `url`",
            ),
            (r#"{"password":"canary","user":"a","username":"b"}"#, "in its `user` and its `username`"),
            (r#"{"password":"canary","dbname":[1]}"#, "has a list as its `dbname`"),
            (r#"{"password": 007}"#, "begins like JSON but cannot be read as a database secret (line 1, column 15)"),
            (r#"{"password":"canary""#, "begins like JSON but cannot be read as a database secret (line 1, column 20)"),
            (r#"{"password":"canary",}"#, "begins like JSON"),
            ("{canary", "begins like JSON"),
            ("{password:canary}", "begins like JSON"),
            ("[canary", "begins like JSON"),
            ("\"canary", "begins like JSON"),
            ("null", "is the JSON value `null`, and not taken for a password"),
            (" true\n", "is a JSON truth value"),
            ("false", "is a JSON truth value"),
            ("[\"canary\"]", "is a JSON list"),
            (r#""{\"password\":\"canary\"}""#, "is JSON inside a JSON string"),
            ("'{\"password\":\"canary\"}'", "is JSON with a shell's quotes around it"),
            ("eyJwYXNzd29yZCI6ImNhbmFyeSJ9", "is JSON in base64"),
            ("canary\ncanary", "is text of several lines"),
            ("PGPASSWORD=canary", "is a line that sets a password"),
            ("Password : canary", "is a line that sets a password"),
            ("host=h user=u password=canary", "is a line that sets a password"),
            ("arn:aws:secretsmanager:eu-west-1:1:secret:canary", "is the name of another secret"),
            ("{\0\"\0c\0", "holds NUL characters"),
            ("\u{ef}\u{bb}\u{bf}canary", "is text in another encoding"),
            ("\u{ff}\u{fe}canary", "is text in another encoding"),
            (
                "mysql://u:canary@h/d",
                "holds a database address that cannot be used: the database address does not begin",
            ),
            ("postgres://u:canary/x@h/d", "holds a database address that cannot be used: where the password ends"),
            ("postgres://u:canary@h/d?schema=public", "has the parameter `schema` (public), which devdb cannot honour"),
            ("postgres://u@h/canary", "has no password"),
            (r#"{"DATABASE_URL":"postgres://u@h/canary"}"#, "has no password"),
            (r#"{"url":"https://canary.example"}"#, "holds a database address that cannot be used"),
        ] {
            let error = DatabaseSecret::parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert!(error.to_string().contains(said), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }

    #[test]
    fn bytes_are_no_database_secret() {
        let read = |bytes: &[u8]| DatabaseSecret::read(&SecretContent::Binary(Zeroizing::new(bytes.to_vec())));
        for bytes in [b"\xff\xfe{\0" as &[u8], b"canary", b"\"canary\"", b"12345", b"", b"{\xff}"] {
            assert_eq!(read(bytes).unwrap_err(), SecretFault::Binary);
        }
        assert_eq!(read(b"\xef\xbb\xbf{\"password\":\"x\"}").unwrap().password.reveal(), "x");
        assert_eq!(read(b"{\0\"\0").unwrap_err(), SecretFault::Nul);
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
            password in "[^\0]{1,40}", user in "[^\0]{0,9}", fields in proptest::array::uniform7(field()), extra in "x[a-z]{1,8}",
        ) {
            let names = ["host", "port", "engine", "masterarn", "dbInstanceIdentifier", "multiuser", "resourceId"];
            let mut object = serde_json::Map::from_iter([("password".to_owned(), password.clone().into())]);
            for (name, value) in names.iter().zip(&fields) {
                object.extend(value.clone().map(|value| ((*name).to_owned(), value)));
            }
            object.insert("username".to_owned(), user.clone().into());
            object.entry(extra).or_insert(true.into());
            let secret = DatabaseSecret::parse(&serde_json::Value::Object(object).to_string()).unwrap();
            prop_assert_eq!(secret.password.reveal(), password);
            prop_assert_eq!((secret.username, secret.database), (Some(user).filter(|user| !user.is_empty()), None));
        }

        #[test]
        fn a_bare_password_is_taken_as_it_is(password in "[^{\\[\"'`\u{2018}\u{201c}\\s\0\u{feff}][^\0\r\n]{0,39}[^\\s\0]") {
            for text in [password.clone(), format!("{password}\n"), format!("\u{feff}{password}\r\n")] {
                let secret = DatabaseSecret::parse(&text).unwrap();
                prop_assert_eq!(secret.password.reveal(), &password);
            }
        }

        /// Whatever is taken for a password is one that a person may have meant, and no refusal quotes any of it.
        #[test]
        fn a_text_is_its_own_password_or_refused_without_a_word_of_it(
            parts in prop::collection::vec("[QXZ]{4}|[{}\\[\\]\"':,=@/ \n\0\u{feff}\\\\0-9.]|password|null|://|postgres://|\"password\":", 1..12),
        ) {
            let text: String = parts.concat();
            match DatabaseSecret::parse(&text) {
                Ok(secret) => {
                    let is_json = serde_json::from_str::<serde_json::Value>(text.trim_start_matches('\u{feff}').trim()).is_ok();
                    let bare = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end_matches(['\r', '\n']);
                    prop_assert!(is_json || text.contains("://") || secret.password.reveal() == bare, "{:?}", text);
                    prop_assert!(!secret.password.reveal().is_empty());
                }
                Err(error) => {
                    let said = format!("{error} {error:?}");
                    for part in parts.iter().filter(|part| part.starts_with(['Q', 'X', 'Z'])) {
                        prop_assert!(!said.contains(part.as_str()), "{} {}", text, said);
                    }
                }
            }
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let secret = DatabaseSecret::parse(r#"{"password":"canary"}"#).unwrap();
        assert!(!format!("{secret:?}").contains("canary"));
    }
}
