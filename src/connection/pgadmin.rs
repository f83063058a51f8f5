use super::{Connection, Tls};
use serde_json::{Value, json};

/// A server in pgAdmin's tree.
pub struct PgAdminServer<'a> {
    pub name: String,
    pub connection: &'a Connection,
    /// A line of the shell that prints the password and nothing else.
    pub password_command: String,
}

/// How long pgAdmin uses a password before it runs the command again, in seconds: an IAM token lives 900.
const PASSWORD_LIFE: u32 = 600;

/// The document that pgAdmin imports (pgAdmin documentation, "Import/Export Servers", "JSON format"). It holds no
/// password: pgAdmin runs the command each time it logs in.
pub fn pgadmin_servers(group: &str, servers: &[PgAdminServer<'_>]) -> Value {
    let entry = |server: &PgAdminServer<'_>| {
        let connection = server.connection;
        let mut parameters = serde_json::Map::new();
        parameters.insert("sslmode".to_owned(), connection.tls.sslmode().into());
        if let Tls::VerifyFull { ca_file } = &connection.tls {
            parameters.insert("sslrootcert".to_owned(), ca_file.display().to_string().into());
        }
        parameters.extend(connection.hostaddr.map(|address| ("hostaddr".to_owned(), address.to_string().into())));
        json!({
            "Name": server.name,
            "Group": group,
            "Host": connection.host,
            "Port": connection.port,
            "MaintenanceDB": connection.database,
            "Username": connection.user,
            "ConnectionParameters": parameters,
            "PasswordExecCommand": server.password_command,
            "PasswordExecExpiration": PASSWORD_LIFE,
        })
    };
    let numbered = servers.iter().zip(1..).map(|(server, number)| (i32::to_string(&number), entry(server)));
    json!({ "Servers": numbered.collect::<serde_json::Map<_, _>>() })
}
