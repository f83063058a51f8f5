use super::parameters::Draft;
use super::{Connection, Password, Setting, UrlError};
use std::collections::BTreeMap;

impl Connection {
    /// Reads `postgres://user:password@host:port/database?sslmode=…` (PostgreSQL documentation, "Connection URIs").
    ///
    /// What is left out is libpq's default, except the user, which falls back to `login`.
    ///
    /// # Errors
    /// [`UrlError`]; it never quotes the password.
    pub fn from_url(url: &str, login: Option<&str>) -> Result<Self, UrlError> {
        read(url)?.finish(login)
    }

    /// Reads libpq's variables (PostgreSQL documentation, "Environment Variables"), and those that node-postgres is
    /// given; `None` when none of them is set that names a server or a database.
    ///
    /// # Errors
    /// [`UrlError`], also for variables that would lead somewhere else than devdb can see.
    pub fn from_variables(vars: &BTreeMap<String, String>) -> Result<Option<Self>, UrlError> {
        let is_set = |name: &str| vars.get(name).is_some_and(|value| !value.is_empty());
        if !["PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE"].into_iter().any(is_set) {
            return Ok(None);
        }
        let mut vars = vars.clone();
        // `devdb env --client node` names the authority there, because node-postgres does not read PGSSLROOTCERT.
        if vars.get("PGSSLMODE").is_some_and(|mode| mode == "verify-full") && !is_set("PGSSLROOTCERT") {
            let authority = vars.get("NODE_EXTRA_CA_CERTS").cloned();
            vars.extend(authority.map(|path| ("PGSSLROOTCERT".to_owned(), path)));
        }
        Draft::of_variables(&vars)?.finish(vars.get("USER").map(String::as_str)).map(Some)
    }
}

/// What an address says, before defaults.
pub(super) fn read(url: &str) -> Result<Draft, UrlError> {
    let mut draft = Draft::of_address();
    let (login_part, rest) = split_login(without_scheme(url)?)?;
    let (user, password) = match login_part.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login_part, None),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let filled = |text: &str| decode(text).map(|text| Some(text).filter(|text| !text.is_empty()));
    draft.password = password.map(decode).transpose()?.filter(|text| !text.is_empty()).map(Password::new);
    let (host, port) = split_place(place)?;
    for (name, value) in [("user", user), ("dbname", path), ("host", host), ("port", port)] {
        draft.place(name, filled(value)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        draft.set(&decode(name)?, decode(value)?)?;
    }
    Ok(draft)
}

/// JDBC's addresses and SQLAlchemy's begin like libpq's, and their parameters mean other things.
fn without_scheme(url: &str) -> Result<&str, UrlError> {
    let Some((scheme, rest)) = url.split_once("://") else { return Err(UrlError::Scheme) };
    match scheme {
        "postgres" | "postgresql" => Ok(rest),
        _ if scheme.starts_with("jdbc:") => Err(UrlError::Jdbc),
        _ if scheme.starts_with("postgresql+") || scheme.starts_with("postgres+") => Err(UrlError::Driver),
        _ => Err(UrlError::Scheme),
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

const HOST: Setting = Setting::Parameter("host");

/// Splits `host:port`; an IPv6 address stands in brackets.
fn split_place(place: &str) -> Result<(&str, &str), UrlError> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host { setting: HOST })?;
        return Ok((host, rest.strip_prefix(':').unwrap_or(rest)));
    }
    if place.contains(',') {
        return Err(UrlError::SeveralHosts { setting: HOST });
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
    use crate::connection::{ChannelBinding, Tls, WantedServer};
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

    #[track_caller]
    fn read(url: &str) -> Connection {
        Connection::from_url(url, Some("ada")).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
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
        assert!(Connection::from_variables(&vars(&[("PGUSER", "app"), ("USER", "ada")])).unwrap().is_none());
        let found = Connection::from_variables(&vars(&[("PGHOST", "h"), ("PGUSER", "app"), ("PGSSLMODE", "require")]));
        let found = found.unwrap().unwrap();
        assert_eq!((found.host.as_str(), found.database.as_str(), found.tls), ("h", "app", Tls::Require));
    }

    /// Each with the other variables that name a server.
    fn by_variable(name: &str, value: &str) -> Result<Connection, UrlError> {
        let mut all = vars(&[("PGHOST", "h"), ("PGUSER", "u"), ("PGPASSWORD", "canary")]);
        all.insert(name.to_owned(), value.to_owned());
        Connection::from_variables(&all).map(Option::unwrap)
    }

    #[test]
    fn what_every_client_calls_encryption_is_understood() {
        let full = || Tls::VerifyFull { ca_file: "/ca".into() };
        for (query, tls) in [
            ("ssl=true", Tls::Require),
            ("ssl=1", Tls::Require),
            ("ssl=0", Tls::Disable),
            ("ssl=no-verify", Tls::Require),
            ("sslmode=no-verify", Tls::Require),
            ("sslmode=no-verify&sslrootcert=/ca", Tls::Require),
            ("sslmode=require&ssl=true&sslrootcert=/ca", full()),
            ("sslmode=require&uselibpqcompat=true", Tls::Require),
            ("uselibpqcompat=true&sslmode=require&sslrootcert=/ca", full()),
            ("uselibpqcompat=true", Tls::Prefer),
            ("uselibpqcompat=false", Tls::Prefer),
            ("uselibpqcompat=false&sslmode=no-verify", Tls::Require),
            ("uselibpqcompat=false&sslmode=require&sslrootcert=/ca", full()),
            ("uselibpqcompat=false&ssl=true&sslrootcert=/ca", full()),
            ("sslmode=require&sslaccept=accept_invalid_certs", Tls::Require),
            ("sslaccept=strict&sslrootcert=/ca", full()),
            ("sslmode=require&sslnegotiation=direct", Tls::Require),
            ("sslnegotiation=postgres&gssencmode=prefer&sslcompression=0&sslsni=1", Tls::Prefer),
            ("connection_limit=5&pool_timeout=10&pgbouncer=false", Tls::Prefer),
        ] {
            assert_eq!(read(&format!("postgres://a@h/d?{query}")).tls, tls, "{query}");
        }
        assert_eq!(by_variable("PGSSLMODE", "no-verify").unwrap().tls, Tls::Require);
        assert_eq!(by_variable("PGREQUIRESSL", "1").unwrap().tls, Tls::Require);
        assert_eq!(by_variable("PGREQUIRESSL", "0").unwrap().tls, Tls::Prefer);
        let node =
            vars(&[("PGHOST", "h"), ("PGUSER", "u"), ("PGSSLMODE", "verify-full"), ("NODE_EXTRA_CA_CERTS", "/ca")]);
        assert_eq!(Connection::from_variables(&node).unwrap().unwrap().tls, full());
    }

    #[test]
    fn demands_are_kept() {
        let found = read("postgres://a@h/d?channel_binding=require&target_session_attrs=read-write").demands;
        assert_eq!((found.channel_binding, found.server), (ChannelBinding::Require, WantedServer::ReadWrite));
        let found = read("postgres://a@h/d?channel_binding=disable&target_session_attrs=prefer-standby").demands;
        assert_eq!((found.channel_binding, found.server), (ChannelBinding::Disable, WantedServer::Any));
        assert_eq!(
            by_variable("PGCHANNELBINDING", "require").unwrap().demands.channel_binding,
            ChannelBinding::Require
        );
        assert_eq!(by_variable("PGTARGETSESSIONATTRS", "read-only").unwrap().demands.server, WantedServer::ReadOnly);
    }

    #[test]
    fn what_cannot_be_honoured_is_called_what_the_user_called_it() {
        for (query, said) in [
            ("sslmode=on", "`on` in sslmode is not a known sslmode"),
            ("sslmode=verify-ca", "sslmode=verify-ca is not supported"),
            ("sslmode=verify-full", "sslmode=verify-full needs sslrootcert"),
            ("uselibpqcompat=false&sslmode=require", "sslmode=verify-full needs sslrootcert"),
            ("ssl=false", "`ssl` (false), which devdb cannot honour"),
            ("ssl=%7B%22rejectUnauthorized%22%3Afalse%7D", "the parameter `ssl`, which devdb cannot honour"),
            ("ssl=true&sslmode=disable", "`ssl` and `sslmode` contradict each other"),
            ("ssl=0&sslmode=require", "`ssl` and `sslmode` contradict each other"),
            ("ssl=no-verify&sslmode=verify-full&sslrootcert=/ca", "`ssl` and `sslmode` contradict each other"),
            ("sslmode=no-verify&uselibpqcompat=true", "`uselibpqcompat` and `sslmode` contradict each other"),
            ("sslmode=disable&sslaccept=strict", "`sslaccept` and `sslmode` contradict each other"),
            ("sslaccept=strict", "sslmode=verify-full needs sslrootcert"),
            ("sslaccept=on", "`sslaccept` (on)"),
            ("sslnegotiation=direct", "`sslnegotiation` (direct), which devdb cannot honour"),
            ("sslrootcert=system&sslmode=verify-full", "`sslrootcert` (system)"),
            ("schema=public", "the parameter `schema` (public), which devdb cannot honour"),
            ("pgbouncer=true", "`pgbouncer` (true)"),
            ("options=-csearch_path%3Dx", "the parameter `options`, which devdb cannot honour"),
            ("gssencmode=require", "`gssencmode` (require)"),
            ("channel_binding=on", "`channel_binding` (on)"),
            ("target_session_attrs=primary", "`target_session_attrs` (primary)"),
            ("ssl_min_protocol_version=TLSv1.3", "`ssl_min_protocol_version`"),
            ("service=x", "`service` (x)"),
            ("passfile=/p", "`passfile`"),
            ("currentSchema=x", "the parameter `currentSchema`, which devdb does not know"),
        ] {
            let error = Connection::from_url(&format!("postgres://a@h/d?{query}"), None).unwrap_err();
            assert!(error.to_string().contains(said), "{query}: {error}");
        }
        for (name, value, said) in [
            ("PGSSLMODE", "on", "`on` in PGSSLMODE is not a known sslmode"),
            ("PGSSLMODE", "verify-ca", "PGSSLMODE=verify-ca is not supported"),
            ("PGSSLMODE", "verify-full", "PGSSLMODE=verify-full needs PGSSLROOTCERT"),
            ("PGSSLROOTCERT", "system", "PGSSLROOTCERT=system is set, which devdb cannot honour"),
            ("PGSERVICE", "x", "PGSERVICE=x is set, which devdb cannot honour"),
            ("PGOPTIONS", "-c statement_timeout=1", "PGOPTIONS is set, which devdb cannot honour"),
            ("PGTARGETSESSIONATTRS", "standby", "PGTARGETSESSIONATTRS=standby is set"),
            ("PGCHANNELBINDING", "on", "PGCHANNELBINDING=on is set"),
            ("PGREQUIREAUTH", "scram-sha-256", "PGREQUIREAUTH is set"),
            ("PGREQUIREPEER", "postgres", "PGREQUIREPEER=postgres is set"),
            ("PGSSLCERT", "/c", "PGSSLCERT is set"),
            ("PGSSLCRL", "/c", "PGSSLCRL is set"),
            ("PGGSSENCMODE", "require", "PGGSSENCMODE=require is set"),
            ("PGSSLNEGOTIATION", "x", "PGSSLNEGOTIATION=x is set"),
            ("PGTZ", "UTC", "PGTZ=UTC is set"),
            ("PGPORT", "x", "PGPORT must be a number from 1 to 65535"),
            ("PGHOSTADDR", "localhost", "PGHOSTADDR must be an IP address"),
            ("PGHOST", "a,b", "PGHOST names several hosts"),
            ("PGHOST", "a b", "PGHOST is empty or contains a space"),
        ] {
            let error = by_variable(name, value).unwrap_err().to_string();
            assert!(error.starts_with(said) && !error.contains("address has"), "{name}={value}: {error}");
        }
        // Only where it would be read.
        assert!(by_variable("PGPASSFILE", "/p").is_ok());
        let error = Connection::from_variables(&vars(&[("PGHOST", "h"), ("PGUSER", "u"), ("PGPASSFILE", "/p")]));
        assert_eq!(error.unwrap_err().to_string(), "PGPASSFILE is set, which devdb cannot honour");
        for (url, said) in [
            ("jdbc:postgresql://h/d", "is one for JDBC"),
            ("postgresql+asyncpg://a@h/d", "names a driver"),
            ("mysql://a@h/d", "does not begin with postgres://"),
            ("host=h dbname=d", "does not begin with postgres://"),
        ] {
            assert!(Connection::from_url(url, None).unwrap_err().to_string().contains(said), "{url}");
        }
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
            between in prop::collection::vec("[@:/?#&=%\\[\\],;+ ]|sslmode=|/5432/|5432\\?|@h\\?|&user=|%40|&ssl=|&schema=|&sslaccept=|&pgbouncer=", 4),
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
