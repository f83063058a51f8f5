use super::{Connection, Password, Tls};
use serde::Serialize;

/// A kind of program, and with it the variables that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// psql, pg_dump, psycopg and everything else that is made with libpq.
    Libpq,
    /// node-postgres, which reads libpq's names but neither PGHOSTADDR nor PGSSLROOTCERT.
    Node,
    /// PgJDBC, which reads no variables: those that Heroku and Spring Boot programs hand to it.
    Jdbc,
}

/// One variable to set. `Debug` may show it: secrets are wrapped.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: &'static str,
    value: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Plain(String),
    Secret(Password),
}

impl Variable {
    pub fn plain(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: Content::Plain(value.into()) }
    }

    pub fn secret(name: &'static str, value: Password) -> Self {
        Self { name, value: Content::Secret(value) }
    }

    /// The value itself, secret or not.
    pub fn reveal(&self) -> &str {
        match &self.value {
            Content::Plain(text) => text,
            Content::Secret(password) => password.reveal(),
        }
    }

    pub fn is_secret(&self) -> bool {
        matches!(self.value, Content::Secret(_))
    }
}

const LIBPQ_NAMES: [&str; 8] =
    ["PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT"];
const NODE_NAMES: [&str; 7] =
    ["PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGSSLMODE", "NODE_EXTRA_CA_CERTS"];
const JDBC_NAMES: [&str; 6] = [
    "JDBC_DATABASE_URL",
    "JDBC_DATABASE_USERNAME",
    "JDBC_DATABASE_PASSWORD",
    "SPRING_DATASOURCE_URL",
    "SPRING_DATASOURCE_USERNAME",
    "SPRING_DATASOURCE_PASSWORD",
];

/// Variables of libpq that decide where a session leads or who is let in, and that devdb never sets: a service's host
/// is stronger than PGHOST (PostgreSQL documentation, "The Connection Service File").
const MISLEADING: [&str; 6] =
    ["PGSERVICE", "PGSSLCERT", "PGSSLKEY", "PGREQUIREAUTH", "PGREQUIRESSL", "PGTARGETSESSIONATTRS"];

impl ClientKind {
    /// Every variable that [`variables`] may set, in its order.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Libpq => &LIBPQ_NAMES,
            Self::Node => &NODE_NAMES,
            Self::Jdbc => &JDBC_NAMES,
        }
    }

    /// What must not be left over from before beside these variables: it would lead elsewhere.
    pub fn strays(self, set: &[Variable]) -> Vec<&'static str> {
        let misleading: &[&str] = if self == Self::Jdbc { &[] } else { &MISLEADING };
        // node-postgres tries PGHOST alone, but what was set for psql in the same shell would lead psql astray.
        let known = self.names().iter().chain(misleading).copied();
        known.filter(|name| set.iter().all(|variable| variable.name != *name)).collect()
    }
}

/// What this kind of program has to be told.
pub fn variables(connection: &Connection, client: ClientKind) -> Vec<Variable> {
    match client {
        ClientKind::Libpq => libpq(connection),
        ClientKind::Node => node(connection),
        ClientKind::Jdbc => jdbc(connection),
    }
}

/// PostgreSQL documentation, "Environment Variables".
///
/// PGHOST carries the endpoint's real name and PGHOSTADDR where to connect, so `verify-full` holds through a tunnel.
fn libpq(connection: &Connection) -> Vec<Variable> {
    let mut variables = vec![Variable::plain("PGHOST", &connection.host)];
    if let Some(address) = connection.hostaddr {
        variables.push(Variable::plain("PGHOSTADDR", address.to_string()));
    }
    login(connection, &mut variables);
    variables.push(Variable::plain("PGSSLMODE", connection.tls.sslmode()));
    if let Tls::VerifyFull { ca_file } = &connection.tls {
        variables.push(Variable::plain("PGSSLROOTCERT", ca_file.display().to_string()));
    }
    variables
}

/// Who verifies that the right database answers.
pub fn verification(connection: &Connection, client: ClientKind) -> &'static str {
    match (&connection.tls, client) {
        (Tls::VerifyFull { .. }, ClientKind::Libpq) => "libpq verifies its certificate",
        (Tls::VerifyFull { .. }, _) if connection.hostaddr.is_none() => "the driver verifies its certificate",
        (Tls::VerifyFull { .. }, ClientKind::Node) => "the tunnel verifies its certificate, node-postgres cannot",
        (Tls::VerifyFull { .. }, ClientKind::Jdbc) => "the tunnel verifies its certificate, PgJDBC only the authority",
        (Tls::Require | Tls::Prefer | Tls::Disable, _) => "nobody verifies its certificate",
    }
}

fn login(connection: &Connection, variables: &mut Vec<Variable>) {
    variables.push(Variable::plain("PGPORT", connection.port.to_string()));
    variables.push(Variable::plain("PGUSER", &connection.user));
    variables.push(Variable::plain("PGDATABASE", &connection.database));
    if let Some(password) = &connection.password {
        variables.push(Variable::secret("PGPASSWORD", password.clone()));
    }
}

/// node-postgres (8, `connection-parameters.js`) takes the name to verify from the host that it dials, and no variable
/// tells it another one. Through a tunnel it can encrypt without verifying; that the tunnel leads to the right database
/// is what the supervisor proves, and `templates/node-postgres.ts` verifies once more.
fn node(connection: &Connection) -> Vec<Variable> {
    let dialled = connection.hostaddr.map_or_else(|| connection.host.clone(), |address| address.to_string());
    let mut variables = vec![Variable::plain("PGHOST", dialled)];
    login(connection, &mut variables);
    let is_indirect = connection.hostaddr.is_some();
    let mode = match &connection.tls {
        Tls::VerifyFull { .. } if is_indirect => "no-verify",
        Tls::VerifyFull { .. } => "verify-full",
        // Its `require` and `prefer` would verify.
        Tls::Require => "no-verify",
        Tls::Prefer | Tls::Disable => "disable",
    };
    variables.push(Variable::plain("PGSSLMODE", mode));
    if let Tls::VerifyFull { ca_file } = &connection.tls {
        variables.push(Variable::plain("NODE_EXTRA_CA_CERTS", ca_file.display().to_string()));
    }
    variables
}

/// PgJDBC documentation, "Initializing the driver". The password stands in a variable of its own: URLs are logged.
///
/// It verifies the name of the host that it dials, so through a tunnel only the authority can be verified.
fn jdbc(connection: &Connection) -> Vec<Variable> {
    let host = match connection.hostaddr {
        Some(address @ std::net::IpAddr::V6(_)) => format!("[{address}]"),
        Some(address) => address.to_string(),
        None if connection.host.contains(':') => format!("[{}]", connection.host),
        None => connection.host.clone(),
    };
    let mode = match &connection.tls {
        Tls::VerifyFull { .. } if connection.hostaddr.is_some() => "verify-ca",
        tls => tls.sslmode(),
    };
    let mut url =
        format!("jdbc:postgresql://{host}:{}/{}?sslmode={mode}", connection.port, url_part(&connection.database));
    if let Tls::VerifyFull { ca_file } = &connection.tls {
        url.push_str("&sslrootcert=");
        url.push_str(&url_part(&ca_file.display().to_string()));
    }
    let mut variables = Vec::new();
    for names in JDBC_NAMES.chunks_exact(3) {
        variables.push(Variable::plain(names[0], &url));
        variables.push(Variable::plain(names[1], &connection.user));
        if let Some(password) = &connection.password {
            variables.push(Variable::secret(names[2], password.clone()));
        }
    }
    variables
}

/// Percent-encoding (RFC 3986) of everything that means something in a URL, and of all that is not ASCII.
fn url_part(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(hostaddr: Option<&str>) -> Connection {
        Connection {
            host: "shop.cluster-x".into(),
            hostaddr: hostaddr.map(|address| address.parse().unwrap()),
            port: 15_432,
            user: "app".into(),
            database: "my shop".into(),
            password: Some(Password::new("canary")),
            tls: Tls::VerifyFull { ca_file: "/home/a b/ca.pem".into() },
            demands: crate::connection::Demands::default(),
        }
    }

    fn shown(client: ClientKind, hostaddr: Option<&str>) -> Vec<String> {
        let variables = variables(&connection(hostaddr), client);
        assert!(variables.iter().all(|variable| client.names().contains(&variable.name)));
        assert!(!format!("{variables:?}").contains("canary"));
        variables.iter().map(|variable| format!("{}={}", variable.name, variable.reveal())).collect()
    }

    #[test]
    fn node_dials_the_tunnel_without_verifying_and_the_endpoint_with() {
        let through = shown(ClientKind::Node, Some("127.0.0.1"));
        assert!(through.contains(&"PGHOST=127.0.0.1".into()) && through.contains(&"PGSSLMODE=no-verify".into()));
        let direct = shown(ClientKind::Node, None);
        assert!(direct.contains(&"PGHOST=shop.cluster-x".into()) && direct.contains(&"PGSSLMODE=verify-full".into()));
        assert!(direct.contains(&"NODE_EXTRA_CA_CERTS=/home/a b/ca.pem".into()));
    }

    #[test]
    fn the_jdbc_url_holds_no_password() {
        let through = shown(ClientKind::Jdbc, Some("::1"));
        let url = "jdbc:postgresql://[::1]:15432/my%20shop?sslmode=verify-ca&sslrootcert=/home/a%20b/ca.pem";
        assert_eq!(through[0], format!("JDBC_DATABASE_URL={url}"));
        assert_eq!(through[2], "JDBC_DATABASE_PASSWORD=canary");
        let direct = shown(ClientKind::Jdbc, None);
        assert!(direct[3].starts_with(
            "SPRING_DATASOURCE_URL=jdbc:postgresql://shop.cluster-x:15432/my%20shop?sslmode=verify-full&"
        ));
    }

    #[test]
    fn what_an_earlier_route_left_behind_is_a_stray() {
        let direct = variables(&connection(None), ClientKind::Libpq);
        let strays = ClientKind::Libpq.strays(&direct);
        assert!(strays.contains(&"PGHOSTADDR") && strays.contains(&"PGSERVICE") && !strays.contains(&"PGHOST"));
        let through = variables(&connection(Some("127.0.0.1")), ClientKind::Libpq);
        assert!(!ClientKind::Libpq.strays(&through).contains(&"PGHOSTADDR"));
    }
}
