use super::{Connection, Password, Tls};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Why an address of a database cannot be used. Nothing here quotes more than a name: an address holds a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("the database address does not begin with postgres:// or postgresql://")]
    Scheme,
    #[error("the database address has a `%` that is not followed by two hexadecimal digits, or does not spell UTF-8")]
    Encoding,
    #[error("the database address names several hosts; name one")]
    SeveralHosts,
    #[error("the port must be a number from 1 to 65535")]
    Port,
    #[error("{name} must be an IP address")]
    HostAddress { name: &'static str },
    #[error("neither the address nor the environment names the database user")]
    NoUser,
    #[error("the host name is empty or contains a space")]
    Host,
    #[error("{} is not a known sslmode", value.as_deref().unwrap_or("what the address names"))]
    SslMode { value: Option<String> },
    /// libpq would accept any certificate from the authority, whoever it is for.
    #[error("sslmode=verify-ca is not supported")]
    VerifyCa,
    #[error("sslmode=verify-full needs sslrootcert, a file of CA certificates")]
    NoRootCertificate,
    #[error("the database address has {}, which devdb does not know", parameter(name.as_deref()))]
    UnknownParameter { name: Option<String> },
    /// An `@` where none may stand: the password may reach up to it.
    #[error("where the password ends in the database address is not clear")]
    Ambiguous,
    /// A service file, a password file or the like would decide where this leads.
    #[error("{name} is set, which devdb does not read")]
    UnsupportedVariable { name: &'static str },
}

fn parameter(name: Option<&str>) -> String {
    name.map_or_else(|| "a parameter".to_owned(), |name| format!("the parameter `{name}`"))
}

/// libpq's parameters that change nothing about where a session leads and what it may do.
const HARMLESS: [&str; 12] = [
    "application_name",
    "channel_binding",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "sslnegotiation",
    "tcp_user_timeout",
];

/// What a URL or the variables said, before defaults.
#[derive(Default)]
struct Draft {
    host: Option<String>,
    hostaddr: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<Password>,
    database: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    /// A `password` stood among the parameters: one with an `&` in it makes parameters of its own.
    is_guarded: bool,
}

impl Connection {
    /// Reads `postgres://user:password@host:port/database?sslmode=…` (PostgreSQL documentation, "Connection URIs").
    ///
    /// What is left out is libpq's default, except the user, which falls back to `login`.
    ///
    /// # Errors
    /// [`UrlError`]; it never quotes the password.
    pub fn from_url(url: &str, login: Option<&str>) -> Result<Self, UrlError> {
        let mut draft = Draft::default();
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or(UrlError::Scheme)?;
        let (login_part, rest) = split_login(rest)?;
        let (user, password) = match login_part.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login_part, None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let filled = |text: &str| decode(text).map(|text| Some(text).filter(|text| !text.is_empty()));
        draft.user = filled(user)?;
        draft.password = password.map(decode).transpose()?.filter(|text| !text.is_empty()).map(Password::new);
        draft.database = filled(path)?;
        let (host, port) = split_place(place)?;
        draft.host = filled(host)?;
        draft.port = filled(port)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            draft.set(&decode(name)?, decode(value)?)?;
        }
        draft.finish(login)
    }

    /// Reads libpq's variables (PostgreSQL documentation, "Environment Variables"); `None` when none of them is set
    /// that names a server or a database.
    ///
    /// # Errors
    /// [`UrlError`], also for variables that would lead somewhere else than devdb can see.
    pub fn from_variables(vars: &BTreeMap<String, String>) -> Result<Option<Self>, UrlError> {
        let get = |name: &str| vars.get(name).filter(|value| !value.is_empty()).cloned();
        if ["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"].iter().all(|name| get(name).is_none()) {
            return Ok(None);
        }
        for name in ["PGSERVICE", "PGOPTIONS", "PGSSLCERT", "PGSSLKEY"] {
            if get(name).is_some() {
                return Err(UrlError::UnsupportedVariable { name });
            }
        }
        let draft = Draft {
            host: get("PGHOST"),
            hostaddr: get("PGHOSTADDR"),
            port: get("PGPORT"),
            user: get("PGUSER"),
            password: get("PGPASSWORD").map(Password::new),
            database: get("PGDATABASE"),
            sslmode: get("PGSSLMODE"),
            sslrootcert: get("PGSSLROOTCERT"),
            is_guarded: false,
        };
        draft.finish(vars.get("USER").map(String::as_str)).map(Some)
    }
}

impl Draft {
    fn set(&mut self, name: &str, value: String) -> Result<(), UrlError> {
        let place = match name {
            "host" => &mut self.host,
            "hostaddr" => &mut self.hostaddr,
            "port" => &mut self.port,
            "user" => &mut self.user,
            "dbname" => &mut self.database,
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "password" => {
                self.password = Some(Password::new(value));
                self.is_guarded = true;
                return Ok(());
            }
            name if HARMLESS.contains(&name) => return Ok(()),
            name => return Err(UrlError::UnknownParameter { name: self.quotable(name) }),
        };
        *place = Some(value);
        Ok(())
    }

    /// What may be shown: a plain word, and none that may be a piece of the password.
    fn quotable(&self, text: &str) -> Option<String> {
        let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        (is_word && !self.is_guarded).then(|| text.to_owned())
    }

    fn finish(self, login: Option<&str>) -> Result<Connection, UrlError> {
        let user = self.user.clone().or_else(|| login.map(str::to_owned)).ok_or(UrlError::NoUser)?;
        let host = self.host.clone().or_else(|| self.hostaddr.clone()).unwrap_or_else(|| "localhost".to_owned());
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(UrlError::Host);
        }
        if host.contains(',') {
            return Err(UrlError::SeveralHosts);
        }
        let port: u16 = self.port.as_ref().map_or(Ok(5432), |port| port.parse()).map_err(|_| UrlError::Port)?;
        let hostaddr = self.hostaddr.as_ref().map(|text| text.parse::<IpAddr>()).transpose();
        let ca_file =
            || self.sslrootcert.clone().filter(|path| !path.is_empty() && path != "system").map(PathBuf::from);
        // libpq checks the chain under `require` too, as soon as a root certificate is named; devdb checks the name as
        // well, because a certificate of somebody else's database is no proof.
        let tls = match self.sslmode.as_deref().unwrap_or("prefer") {
            "disable" => Tls::Disable,
            "allow" | "prefer" => Tls::Prefer,
            "require" => ca_file().map_or(Tls::Require, |ca_file| Tls::VerifyFull { ca_file }),
            "verify-full" => Tls::VerifyFull { ca_file: ca_file().ok_or(UrlError::NoRootCertificate)? },
            "verify-ca" => return Err(UrlError::VerifyCa),
            value => return Err(UrlError::SslMode { value: self.quotable(value) }),
        };
        Ok(Connection {
            host,
            hostaddr: hostaddr.map_err(|_| UrlError::HostAddress { name: "hostaddr" })?,
            port: if port == 0 { return Err(UrlError::Port) } else { port },
            database: self.database.unwrap_or_else(|| user.clone()),
            user,
            password: self.password,
            tls,
        })
    }
}

/// Splits `user:password@` from what follows.
///
/// libpq looks for the `@` before anything else, up to the first `/`, so a `?` may stand in the password (17,
/// `fe-connect.c`, `conninfo_uri_parse_options`). It takes the first `@`; the clients for JavaScript take the last one,
/// and so does this: then the password is all of what it can be. Wherever the two readings lead to different servers,
/// or an `@` is left over behind the `/`, nothing is guessed: the rest would be shown, and it may be the password's.
fn split_login(rest: &str) -> Result<(&str, &str), UrlError> {
    let end = rest.find('/').unwrap_or(rest.len());
    let (login, rest) = match rest[..end].rfind('@') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => ("", rest),
    };
    let user = login.split(':').next().unwrap_or_default();
    let behind_first = login.split_once('@').map_or("", |(_, behind)| behind);
    if rest.contains('@') || user.contains('?') || behind_first.contains('?') {
        return Err(UrlError::Ambiguous);
    }
    Ok((login, rest))
}

/// Splits `host:port`; an IPv6 address stands in brackets.
fn split_place(place: &str) -> Result<(&str, &str), UrlError> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        return Ok((host, rest.strip_prefix(':').unwrap_or(rest)));
    }
    if place.contains(',') {
        return Err(UrlError::SeveralHosts);
    }
    Ok(place.split_once(':').unwrap_or((place, "")))
}

fn decode(text: &str) -> Result<String, UrlError> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = text.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or(UrlError::Encoding)?;
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    // NUL cannot stand in any of libpq's parameters.
    String::from_utf8(decoded).ok().filter(|text| !text.contains('\0')).ok_or(UrlError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn encode(text: &str) -> String {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}");
            }
            encoded
        })
    }

    fn read(url: &str) -> Connection {
        Connection::from_url(url, Some("ada")).unwrap()
    }

    #[test]
    fn a_full_address_is_read() {
        let found = read(
            "postgres://app:p%40ss%2F@db.example:6543/shop?sslmode=verify-full&sslrootcert=%2Fca.pem&hostaddr=127.0.0.1",
        );
        assert_eq!((found.host.as_str(), found.port, found.user.as_str()), ("db.example", 6543, "app"));
        assert_eq!(found.password.unwrap().reveal(), "p@ss/");
        assert_eq!(found.hostaddr, Some([127, 0, 0, 1].into()));
        assert_eq!(found.tls, Tls::VerifyFull { ca_file: "/ca.pem".into() });
    }

    #[test]
    fn what_is_left_out_is_libpqs_default() {
        let found = read("postgresql://");
        assert_eq!((found.host.as_str(), found.port), ("localhost", 5432));
        assert_eq!((found.user.as_str(), found.database.as_str(), found.tls), ("ada", "ada", Tls::Prefer));
        assert_eq!(read("postgres:///shop?host=/run/postgresql").host, "/run/postgresql");
        assert_eq!(read("postgres://%2Frun%2Fpostgresql/shop").host, "/run/postgresql");
        assert_eq!(read("postgres://a@[::1]:5433/x").host, "::1");
        assert_eq!(read("postgres://a@h/x?connect_timeout=3").host, "h");
    }

    #[test]
    fn what_cannot_be_honoured_is_an_error_that_quotes_no_password() {
        for url in [
            "mysql://u:canary@h/d",
            "postgres://u:canary%zz@h/d",
            "postgres://u:canary@h,i/d",
            "postgres://u:canary@h:0/d",
            "postgres://u:canary@h:x/d",
            "postgres://u:canary@h/d?sslmode=verify-ca",
            "postgres://u:canary@h/d?sslmode=verify-full",
            "postgres://u:canary@h/d?sslmode=on",
            "postgres://u:canary@h/d?schema=public",
            "postgres://u:canary@h/d?options=-csearch_path%3Dx",
            "postgres://u:canary@h/d?hostaddr=localhost",
            "postgres://u:canary@h /d",
        ] {
            let error = Connection::from_url(url, None).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
        assert_eq!(Connection::from_url("postgres://h/d", None).unwrap_err(), UrlError::NoUser);
    }

    #[test]
    fn variables_are_read_as_libpq_reads_them() {
        let vars = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert!(Connection::from_variables(&vars(&[("PGUSER", "app"), ("USER", "ada")])).unwrap().is_none());
        let found = Connection::from_variables(&vars(&[("PGHOST", "h"), ("PGUSER", "app"), ("PGSSLMODE", "require")]));
        let found = found.unwrap().unwrap();
        assert_eq!((found.host.as_str(), found.database.as_str(), found.tls), ("h", "app", Tls::Require));
        let error = Connection::from_variables(&vars(&[("PGSERVICE", "x")])).unwrap_err();
        assert_eq!(error, UrlError::UnsupportedVariable { name: "PGSERVICE" });
    }

    #[test]
    fn a_question_mark_before_the_at_sign_belongs_to_the_password() {
        let found = read("postgres://app:s3cr?et@db/shop?connect_timeout=3");
        assert_eq!((found.host.as_str(), found.database.as_str()), ("db", "shop"));
        assert_eq!(found.password.unwrap().reveal(), "s3cr?et");
        // Not libpq's reading, which ends the password at the first one, but that of the clients for JavaScript.
        assert_eq!(read("postgres://app:p@ss@db/shop").password.unwrap().reveal(), "p@ss");
    }

    #[test]
    fn where_the_password_ends_is_never_guessed() {
        for url in [
            "postgres://app:s3/cret@db/shop",
            "postgres://app:5432/secret@db/shop",
            "postgres://app:5432/d?user=secret@db/shop",
            "postgres://app:x@h?sslrootcert=secret@db/shop",
            "postgres://h?password=secret@db",
        ] {
            assert_eq!(Connection::from_url(url, None).unwrap_err(), UrlError::Ambiguous, "{url}");
        }
        let error = Connection::from_url("postgres://app@db/shop?password=s3cr&et=1", None).unwrap_err();
        assert_eq!(error, UrlError::UnknownParameter { name: None });
    }

    proptest! {
        #[test]
        fn no_error_ever_quotes_a_part_of_the_password(
            // Letters that no message and no other part of the address holds, between all that is special in one.
            parts in prop::collection::vec("[QXZ]{4}", 1..5),
            between in prop::collection::vec("[@:/?#&=%\\[\\],;+ ]|sslmode=|/5432/|5432\\?|@h\\?|&user=|%40", 4),
            rest in "(db|db:x|\\[::1|a,b)(/shop)?(\\?(schema=x|sslmode=on|hostaddr=x|sslmode=verify-ca))?",
            in_query in any::<bool>(),
        ) {
            let mut password = String::new();
            for (part, between) in parts.iter().zip(&between) {
                password.push_str(part);
                password.push_str(between);
            }
            let url = if in_query {
                format!("postgres://app@db/shop?password={password}&sslmode=on")
            } else {
                format!("postgres://app:{password}@{rest}")
            };
            if let Err(error) = Connection::from_url(&url, None) {
                let said = format!("{error} {error:?}");
                for part in &parts {
                    prop_assert!(!said.contains(part.as_str()), "{} {}", url, said);
                }
            }
        }

        #[test]
        fn any_login_survives_an_address(user in "[^\0]{1,8}", password in "[^\0]{1,12}", database in "[^\0]{1,8}", port in 1..=u16::MAX) {
            let url = format!("postgres://{}:{}@db.example:{port}/{}", encode(&user), encode(&password), encode(&database));
            let found = read(&url);
            prop_assert_eq!((found.user, found.database, found.port), (user, database, port));
            prop_assert_eq!(found.password.unwrap().reveal().to_owned(), password);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = Connection::from_url(&format!("postgres://{text}"), None);
        }
    }
}
