//! What the text of a secret says. What has one possible meaning is read; everything else is refused by name.

use super::{DatabaseSecret, Password, SecretFault, UrlError, database_url};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use zeroize::Zeroizing;

/// Above it, programs that read JSON numbers as floating point write another number (RFC 8259, section 6).
const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// A field's meaning, and the names it goes by: letters and digits alone, in lower case.
const ROLES: [(Role, &[&str]); 4] = [
    (
        Role::Password,
        &[
            "password",
            "pgpassword",
            "dbpassword",
            "databasepassword",
            "postgrespassword",
            "masterpassword",
            "masteruserpassword",
            "passwd",
            "pass",
            "pwd",
        ],
    ),
    (
        Role::User,
        &[
            "username",
            "user",
            "pguser",
            "dbuser",
            "dbusername",
            "databaseuser",
            "databaseusername",
            "postgresuser",
            "masterusername",
        ],
    ),
    (Role::Database, &["dbname", "database", "db", "pgdatabase", "databasename", "dbdatabase", "postgresdb"]),
    (
        Role::Address,
        &[
            "url",
            "uri",
            "dsn",
            "databaseurl",
            "databaseuri",
            "dburl",
            "dburi",
            "connectionstring",
            "connectionurl",
            "connectionuri",
            "postgresurl",
            "postgresqlurl",
            "jdbcurl",
            "jdbcdatabaseurl",
            "directurl",
        ],
    ),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Password,
    User,
    Database,
    Address,
}

fn role(key: &str) -> Option<Role> {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ROLES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(role, _)| *role)
}

/// Reads a secret string.
pub(super) fn read(text: &str) -> Result<DatabaseSecret, SecretFault> {
    // Editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err(SecretFault::Nul);
    }
    // The marks of UTF-8 and UTF-16, read as Latin-1.
    if ["\u{ef}\u{bb}\u{bf}", "\u{ff}\u{fe}", "\u{fe}\u{ff}"].iter().any(|mark| text.starts_with(mark)) {
        return Err(SecretFault::Shape("text in another encoding (it begins with a byte order mark)"));
    }
    // An editor or `echo` leaves a newline behind.
    let bare = text.trim_end_matches(['\r', '\n']);
    let json = bare.trim_matches([' ', '\t', '\n', '\r']);
    match serde_json::from_str(json) {
        Ok(Json::Object(fields)) => of_object(&fields),
        Ok(Json::Text(inner)) => of_json_string(&inner),
        Ok(Json::List) => Err(SecretFault::Shape("a JSON list")),
        Ok(Json::Null) => Err(SecretFault::Shape("the JSON value `null`")),
        Ok(Json::Bool) => Err(SecretFault::Shape("a JSON truth value")),
        Err(error) if json.starts_with(['{', '[', '"']) => {
            Err(SecretFault::Unreadable { line: error.line(), column: error.column() })
        }
        // A number's digits are what was written, whatever JSON would make of them.
        Ok(Json::Integer(_) | Json::Number) | Err(_) => of_bare(bare),
    }
}

fn of_json_string(inner: &str) -> Result<DatabaseSecret, SecretFault> {
    if matches!(serde_json::from_str(inner), Ok(Json::Object(_) | Json::List)) {
        return Err(SecretFault::Shape("JSON inside a JSON string"));
    }
    match is_address(inner) {
        true => of_address(inner),
        false => only_password(inner),
    }
}

fn of_bare(text: &str) -> Result<DatabaseSecret, SecretFault> {
    if is_address(text) {
        return of_address(text);
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    let quotes = ['\'', '`', '\u{2018}', '\u{201c}'];
    let shape = if text.contains(['\n', '\r']) {
        "text of several lines"
    } else if text.starts_with("arn:aws") {
        "the name of another secret"
    } else if text.starts_with("eyJ") && text.bytes().all(is_base64) {
        // `{"` in base64.
        "JSON in base64"
    } else if text.trim_start().starts_with(quotes) && text.trim_start().trim_start_matches(quotes).starts_with('{') {
        "JSON with a shell's quotes around it"
    } else if is_setting(text) {
        "a line that sets a password (`password=…`)"
    } else {
        return only_password(text);
    };
    Err(SecretFault::Shape(shape))
}

/// `PGPASSWORD=…`, `password: …`, `host=… user=… password=…`, `Server=…;Password=…`.
fn is_setting(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.split("password").skip(1).any(|behind| behind.trim_start().starts_with(['=', ':']))
}

fn is_address(text: &str) -> bool {
    let is_of_scheme = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.' | ':');
    text.trim_start().split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.chars().all(is_of_scheme)
    })
}

fn of_address(text: &str) -> Result<DatabaseSecret, SecretFault> {
    let mut found = Found::default();
    found.take_address("address", text).map_err(SecretFault::Address)??;
    found.finish()
}

fn only_password(text: &str) -> Result<DatabaseSecret, SecretFault> {
    let password = Password::new(text);
    match text.trim().is_empty() {
        true => Err(SecretFault::WithoutPassword),
        false => Ok(DatabaseSecret { username: None, password, database: None }),
    }
}

fn of_object(fields: &[(String, Json)]) -> Result<DatabaseSecret, SecretFault> {
    let mut found = Found::default();
    let known = || fields.iter().filter_map(|(key, value)| Some((role(key)?, key, value)));
    for (role, key, value) in known().filter(|(role, ..)| *role != Role::Address) {
        if let Some(text) = value.text(key)? {
            found.take(role, key, text)?;
        }
    }
    let mut fault = None;
    for (_, key, value) in known().filter(|(role, ..)| *role == Role::Address) {
        let Json::Text(text) = value else { continue };
        match found.take_address(key, text) {
            Ok(taken) => taken?,
            // The address of something else beside a password says nothing about the database.
            Err(UrlError::Scheme) if found.password.is_some() || text.is_empty() => {}
            Err(error) => fault = Some(error),
        }
    }
    match (fault, found.password.is_none()) {
        (Some(error), _) => Err(SecretFault::Address(error)),
        (None, true) if fields.iter().any(|(_, value)| value.holds_password()) => Err(SecretFault::Nested),
        (None, _) => found.finish(),
    }
}

/// What a secret says, each with the key that said it.
#[derive(Default)]
struct Found {
    password: Option<(String, Zeroizing<String>)>,
    user: Option<(String, Zeroizing<String>)>,
    database: Option<(String, Zeroizing<String>)>,
}

impl Found {
    fn take(&mut self, role: Role, key: &str, text: &str) -> Result<(), SecretFault> {
        let place = match role {
            Role::Password => &mut self.password,
            Role::User => &mut self.user,
            Role::Database => &mut self.database,
            Role::Address => return Ok(()),
        };
        match place {
            Some((first, before)) if before.as_str() != text => {
                Err(SecretFault::Twice { first: first.clone(), second: key.to_owned() })
            }
            Some(_) => Ok(()),
            None => {
                *place = Some((key.to_owned(), Zeroizing::new(text.to_owned())));
                Ok(())
            }
        }
    }

    /// Who logs in to what stands at the same places in the addresses of libpq, JDBC and SQLAlchemy.
    fn take_address(&mut self, key: &str, address: &str) -> Result<Result<(), SecretFault>, UrlError> {
        let address = address.trim();
        let address = address.strip_prefix("jdbc:").unwrap_or(address);
        let (scheme, rest) = address.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = scheme.split('+').next().unwrap_or_default();
        let draft = database_url::read(&Zeroizing::new(format!("{scheme}://{rest}")))?;
        let password = draft.password.as_ref().map(Password::reveal);
        let said =
            [(Role::Password, password), (Role::User, draft.value("user")), (Role::Database, draft.value("dbname"))];
        let filled = said.into_iter().filter_map(|(role, text)| Some((role, text.filter(|text| !text.is_empty())?)));
        Ok(filled.into_iter().try_for_each(|(role, text)| self.take(role, key, text)))
    }

    fn finish(self) -> Result<DatabaseSecret, SecretFault> {
        let plain = |found: Option<(String, Zeroizing<String>)>| found.map(|(_, text)| text.to_string());
        let (_, password) = self.password.ok_or(SecretFault::WithoutPassword)?;
        Ok(DatabaseSecret { username: plain(self.user), password: Password(password), database: plain(self.database) })
    }
}

/// JSON, as far as it matters here. An object keeps its keys in their order, twice where one stands twice.
enum Json {
    Null,
    Bool,
    /// One that every program writes with the same digits.
    Integer(String),
    Number,
    Text(Zeroizing<String>),
    List,
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What a field says; nothing where it is empty.
    fn text(&self, key: &str) -> Result<Option<&str>, SecretFault> {
        let wrong = |what| Err(SecretFault::Field { key: key.to_owned(), what });
        match self {
            Self::Null => Ok(None),
            Self::Text(text) if text.contains('\0') => Err(SecretFault::Nul),
            Self::Text(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Self::Integer(digits) => Ok(Some(digits)),
            Self::Number => wrong("a number that not every program writes alike"),
            Self::Bool => wrong("a truth value"),
            Self::List => wrong("a list"),
            Self::Object(_) => wrong("an object"),
        }
    }

    fn holds_password(&self) -> bool {
        let Self::Object(fields) = self else { return false };
        fields.iter().any(|(key, value)| role(key) == Some(Role::Password) || value.holds_password())
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(if number <= LARGEST_INTEGER { Json::Integer(number.to_string()) } else { Json::Number })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        let is_exact = number.unsigned_abs() <= LARGEST_INTEGER;
        Ok(if is_exact { Json::Integer(number.to_string()) } else { Json::Number })
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        while list.next_element::<Json>()?.is_some() {}
        Ok(Json::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}
