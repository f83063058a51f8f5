use super::{ChannelBinding, Connection, Demands, Password, Setting, Tls, UrlError, WantedServer};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// What devdb makes of a parameter.
enum Meaning {
    /// [`Draft::finish`] reads it.
    Read,
    /// It changes nothing about where a session leads and what it may do.
    Harmless,
    /// It changes nothing with one of these values.
    Only(&'static [&'static str]),
    /// Without it the session would be another one, and devdb cannot make that.
    Never,
}
use Meaning::{Harmless, Never, Only, Read};

/// The parameters of an address and the variables that stand for them; either may be missing.
///
/// Sources: PostgreSQL documentation (18), "Parameter Key Words" and "Environment Variables"; pg-connection-string 2 for
/// `ssl` and `uselibpqcompat`; Prisma documentation, "PostgreSQL connection URL", for the last ones.
const PARAMETERS: [(&str, &str, Meaning); 56] = [
    ("host", "PGHOST", Read),
    ("hostaddr", "PGHOSTADDR", Read),
    ("port", "PGPORT", Read),
    ("user", "PGUSER", Read),
    ("dbname", "PGDATABASE", Read),
    ("passfile", "PGPASSFILE", Read),
    ("sslmode", "PGSSLMODE", Read),
    ("", "PGREQUIRESSL", Read),
    ("sslrootcert", "PGSSLROOTCERT", Read),
    ("sslnegotiation", "PGSSLNEGOTIATION", Read),
    ("channel_binding", "PGCHANNELBINDING", Read),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Read),
    ("application_name", "PGAPPNAME", Harmless),
    ("fallback_application_name", "", Harmless),
    ("client_encoding", "PGCLIENTENCODING", Harmless),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Harmless),
    ("keepalives", "", Harmless),
    ("keepalives_count", "", Harmless),
    ("keepalives_idle", "", Harmless),
    ("keepalives_interval", "", Harmless),
    ("tcp_user_timeout", "", Harmless),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Harmless),
    ("sslcompression", "PGSSLCOMPRESSION", Harmless),
    ("krbsrvname", "PGKRBSRVNAME", Harmless),
    ("gsslib", "PGGSSLIB", Harmless),
    ("gssdelegation", "PGGSSDELEGATION", Harmless),
    ("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"])),
    ("sslsni", "PGSSLSNI", Only(&["1"])),
    ("sslcertmode", "PGSSLCERTMODE", Only(&["disable", "allow"])),
    // What rustls speaks anyway.
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Only(&["TLSv1.3"])),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"])),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Harmless),
    ("replication", "", Only(&["false", "off", "no", "0"])),
    ("service", "PGSERVICE", Never),
    ("options", "PGOPTIONS", Never),
    ("sslcert", "PGSSLCERT", Never),
    ("sslkey", "PGSSLKEY", Never),
    ("sslpassword", "", Never),
    ("sslcrl", "PGSSLCRL", Never),
    ("sslcrldir", "PGSSLCRLDIR", Never),
    ("sslkeylogfile", "", Never),
    ("requirepeer", "PGREQUIREPEER", Never),
    ("require_auth", "PGREQUIREAUTH", Never),
    // libpq sets them in each session, and what a migration does may hang on them.
    ("", "PGDATESTYLE", Never),
    ("", "PGTZ", Never),
    ("", "PGGEQO", Never),
    ("ssl", "", Read),
    ("uselibpqcompat", "", Read),
    ("sslaccept", "", Read),
    ("connection_limit", "", Harmless),
    ("pool_timeout", "", Harmless),
    ("statement_cache_size", "", Harmless),
    ("pgbouncer", "", Only(&["false"])),
    ("schema", "", Never),
    ("sslidentity", "", Never),
];

/// Who spoke: an address, or libpq's variables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Address,
    Variables,
}

/// What an address or the variables said, before defaults.
pub(super) struct Draft {
    source: Source,
    said: BTreeMap<Setting, String>,
    pub(super) password: Option<Password>,
    /// A `password` stood among the parameters: one with an `&` in it makes parameters of its own.
    is_guarded: bool,
}

impl Draft {
    pub(super) fn of_address() -> Self {
        Self { source: Source::Address, said: BTreeMap::new(), password: None, is_guarded: false }
    }

    /// # Errors
    /// [`UrlError::NotHonoured`] for a variable that would make another session of it.
    pub(super) fn of_variables(vars: &BTreeMap<String, String>) -> Result<Self, UrlError> {
        let get = |name: &str| vars.get(name).filter(|value| !value.is_empty());
        let password = get("PGPASSWORD").map(Password::new);
        let mut draft = Self { source: Source::Variables, password, ..Self::of_address() };
        for (parameter, variable, meaning) in &PARAMETERS {
            if let Some(value) = get(variable) {
                draft.take(draft.setting(parameter, variable), meaning, value.clone())?;
            }
        }
        Ok(draft)
    }

    /// What the address itself said, whatever a parameter says later.
    pub(super) fn place(&mut self, parameter: &'static str, value: Option<String>) {
        self.said.extend(value.map(|value| (Setting::Parameter(parameter), value)));
    }

    /// One parameter of an address.
    ///
    /// # Errors
    /// [`UrlError`] for one that devdb does not know, or cannot honour.
    pub(super) fn set(&mut self, name: &str, value: String) -> Result<(), UrlError> {
        if name == "password" {
            self.password = Some(Password::new(value));
            self.is_guarded = true;
            return Ok(());
        }
        let known = PARAMETERS.iter().find(|(parameter, ..)| !parameter.is_empty() && *parameter == name);
        let Some((parameter, _, meaning)) = known else {
            return Err(UrlError::UnknownParameter { name: self.quotable(name) });
        };
        self.take(Setting::Parameter(parameter), meaning, value)
    }

    fn take(&mut self, setting: Setting, meaning: &Meaning, value: String) -> Result<(), UrlError> {
        match meaning {
            Harmless => {}
            Only(values) if values.contains(&value.as_str()) => {}
            Only(_) | Never => return Err(self.refusal(setting, &value)),
            Read => drop(self.said.insert(setting, value)),
        }
        Ok(())
    }

    fn setting(&self, parameter: &'static str, variable: &'static str) -> Setting {
        match self.source {
            Source::Address => Setting::Parameter(parameter),
            Source::Variables => Setting::Variable(variable),
        }
    }

    /// A parameter as its source calls it, and what was said about it.
    fn named(&self, parameter: &'static str) -> (Setting, Option<&str>) {
        let variable =
            PARAMETERS.iter().find(|(known, ..)| *known == parameter).map_or("", |(_, variable, _)| variable);
        let setting = self.setting(parameter, variable);
        (setting, self.said.get(&setting).map(String::as_str))
    }

    pub(super) fn value(&self, parameter: &'static str) -> Option<&str> {
        self.named(parameter).1
    }

    fn refusal(&self, setting: Setting, value: &str) -> UrlError {
        UrlError::NotHonoured { setting, value: self.quotable(value) }
    }

    /// What may be shown: a plain word, and none that may be a piece of the password.
    fn quotable(&self, text: &str) -> Option<String> {
        let is_word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-');
        (!text.is_empty() && text.bytes().all(is_word) && !self.is_guarded).then(|| text.to_owned())
    }

    /// Fills in libpq's defaults, except the user, which falls back to `login`.
    ///
    /// # Errors
    /// [`UrlError`]
    pub(super) fn finish(self, login: Option<&str>) -> Result<Connection, UrlError> {
        let user = self.value("user").or(login).ok_or(UrlError::NoUser)?.to_owned();
        let (host_setting, host) = self.named("host");
        let host = host.or_else(|| self.value("hostaddr")).unwrap_or("localhost").to_owned();
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(UrlError::Host { setting: host_setting });
        }
        if host.contains(',') {
            return Err(UrlError::SeveralHosts { setting: host_setting });
        }
        let (port_setting, port) = self.named("port");
        let port = port.map_or(Ok(5432), str::parse::<u16>).ok().filter(|port| *port != 0);
        let (address_setting, hostaddr) = self.named("hostaddr");
        let hostaddr = hostaddr.map(str::parse::<IpAddr>).transpose();
        if let (setting, Some(_)) = self.named("passfile")
            && self.password.is_none()
        {
            return Err(UrlError::NotHonoured { setting, value: None });
        }
        Ok(Connection {
            host,
            hostaddr: hostaddr.map_err(|_| UrlError::HostAddress { setting: address_setting })?,
            port: port.ok_or(UrlError::Port { setting: port_setting })?,
            database: self.value("dbname").map_or_else(|| user.clone(), str::to_owned),
            user,
            tls: self.tls()?,
            demands: self.demands()?,
            password: self.password,
        })
    }

    fn tls(&self) -> Result<Tls, UrlError> {
        let (setting, _) = self.named("sslmode");
        let (root_setting, root) = self.named("sslrootcert");
        if root == Some("system") {
            return Err(self.refusal(root_setting, "system"));
        }
        let ca_file = || root.filter(|path| !path.is_empty()).map(PathBuf::from);
        // libpq checks the chain under `require` too, as soon as a root certificate is named; devdb checks the name as
        // well, because a certificate of another database is no proof.
        Ok(match self.mode()? {
            "disable" => Tls::Disable,
            "allow" | "prefer" => Tls::Prefer,
            "no-verify" => Tls::Require,
            "require" => ca_file().map_or(Tls::Require, |ca_file| Tls::VerifyFull { ca_file }),
            "verify-full" => {
                let ca_file = ca_file().ok_or(UrlError::NoRootCertificate { setting, root: root_setting })?;
                Tls::VerifyFull { ca_file }
            }
            "verify-ca" => return Err(UrlError::VerifyCa { setting }),
            value => return Err(UrlError::SslMode { setting, value: self.quotable(value) }),
        })
    }

    /// Without a word about encryption libpq goes on in clear with any server that says it has none. A password
    /// does not go to another machine that way. A name without a dot (`db`) is a container's beside this one, which has
    /// seldom a certificate.
    fn is_exposed(&self) -> bool {
        let place = self.value("hostaddr").or_else(|| self.value("host")).unwrap_or("localhost");
        let is_here = match place.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => place.starts_with('/') || !place.contains('.'),
        };
        self.password.is_some() && !is_here
    }

    /// The `sslmode` that everything about encryption adds up to: libpq's words, and node-postgres' `no-verify`, which
    /// encrypts and verifies nothing, whatever certificates are named.
    fn mode(&self) -> Result<&str, UrlError> {
        let (setting, said) = self.named("sslmode");
        let contradicted_by = |parameter| UrlError::Contradiction { first: self.named(parameter).0, second: setting };
        let required = self.said.get(&Setting::Variable("PGREQUIRESSL"));
        let required = required.map(|value| if value.starts_with('1') { "require" } else { "prefer" });
        // libpq reads `ssl=true` as `sslmode=require` ("for improved JDBC compatibility", `conninfo_uri_parse_params`).
        let ssl = match self.named("ssl") {
            (_, None) => None,
            (_, Some("true" | "1")) => Some("require"),
            (_, Some("0")) => Some("disable"),
            (_, Some("no-verify")) => Some("no-verify"),
            (ssl, Some(value)) => return Err(self.refusal(ssl, value)),
        };
        let mut mode =
            said.or(ssl).or(required).unwrap_or_else(|| if self.is_exposed() { "require" } else { "prefer" });
        let is_weak = |mode: &str| matches!(mode, "disable" | "allow" | "prefer");
        match ssl {
            Some("require") if is_weak(mode) => return Err(contradicted_by("ssl")),
            Some("disable") if mode != "disable" => return Err(contradicted_by("ssl")),
            Some("no-verify") if !matches!(mode, "no-verify" | "require") => return Err(contradicted_by("ssl")),
            Some("no-verify") => mode = "no-verify",
            _ => {}
        }
        match self.named("uselibpqcompat") {
            (_, None) => {}
            (_, Some("true")) if mode == "no-verify" => return Err(contradicted_by("uselibpqcompat")),
            (_, Some("true")) => {}
            // Without it, node-postgres verifies whatever is encrypted and not `no-verify`.
            (_, Some("false")) if (said.is_some() || ssl.is_some()) && !matches!(mode, "disable" | "no-verify") => {
                mode = "verify-full";
            }
            (_, Some("false")) => {}
            (compat, Some(value)) => return Err(self.refusal(compat, value)),
        }
        match self.named("sslaccept") {
            (_, None | Some("accept_invalid_certs")) => {}
            (_, Some("strict")) if matches!(mode, "disable" | "no-verify") => return Err(contradicted_by("sslaccept")),
            (_, Some("strict")) => mode = "verify-full",
            (accept, Some(value)) => return Err(self.refusal(accept, value)),
        }
        match self.named("sslnegotiation") {
            (_, None | Some("postgres")) => Ok(mode),
            // libpq refuses it with a mode that may do without encryption.
            (_, Some("direct")) if !is_weak(mode) => Ok(mode),
            (negotiation, Some(value)) => Err(self.refusal(negotiation, value)),
        }
    }

    fn demands(&self) -> Result<Demands, UrlError> {
        let channel_binding = match self.named("channel_binding") {
            (_, None | Some("prefer")) => ChannelBinding::Prefer,
            (_, Some("require")) => ChannelBinding::Require,
            (_, Some("disable")) => ChannelBinding::Disable,
            (setting, Some(value)) => return Err(self.refusal(setting, value)),
        };
        let server = match self.named("target_session_attrs") {
            // Of one host the preferred one is this one.
            (_, None | Some("any" | "prefer-standby")) => WantedServer::Any,
            (_, Some("read-write")) => WantedServer::ReadWrite,
            (_, Some("read-only")) => WantedServer::ReadOnly,
            (setting, Some(value)) => return Err(self.refusal(setting, value)),
        };
        Ok(Demands { channel_binding, server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Tls {
        Connection::from_url(url, None).unwrap().tls
    }

    #[test]
    fn a_password_goes_to_another_machine_in_clear_only_if_that_is_said() {
        let tls = |place: &str, query: &str| read(&format!("postgres://a:p@{place}/d{query}"));
        for far in ["db.example", "10.0.0.7", "[2001:db8::7]", "127.0.0.1.example"] {
            assert_eq!(tls(far, ""), Tls::Require, "{far}");
            assert_eq!(tls(far, "?connect_timeout=3"), Tls::Require, "{far}");
            assert_eq!(tls(far, "?sslmode=disable"), Tls::Disable, "{far}");
            assert_eq!(tls(far, "?ssl=0"), Tls::Disable, "{far}");
            assert_eq!(tls(far, "?sslmode=prefer"), Tls::Prefer, "{far}");
            assert_eq!(tls(far, "?hostaddr=127.0.0.1"), Tls::Prefer, "{far}");
            assert_eq!(tls(far, "?sslrootcert=/ca"), Tls::VerifyFull { ca_file: "/ca".into() }, "{far}");
        }
        for near in
            ["localhost", "LOCALHOST", "db", "127.0.0.1", "127.0.1.1", "[::1]", "[::ffff:127.0.0.1]", "%2Frun%2Fpg", ""]
        {
            assert_eq!(tls(near, ""), Tls::Prefer, "{near}");
            assert_eq!(tls(near, "?hostaddr=10.0.0.7"), Tls::Require, "{near}");
        }
        // Nothing to lose.
        assert_eq!(read("postgres://a@db.example/d"), Tls::Prefer);
        assert_eq!(read("postgres://a@db.example/d?password=p"), Tls::Require);
        let all = [("PGHOST", "db.example"), ("PGUSER", "u"), ("PGPASSWORD", "p")];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(Connection::from_variables(&all).unwrap().unwrap().tls, Tls::Require);
    }
}
