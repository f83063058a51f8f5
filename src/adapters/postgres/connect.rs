use super::cancel::Cancel;
use super::error;
use super::notices::Notices;
use crate::adapters::certificates::{self, Seen, Trust};
use crate::connection::{ChannelBinding, Connection, Tls, WantedServer};
use crate::system::{DatabaseError, Reached, TlsError};
use std::future::poll_fn;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::config::{self, SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting, TLS and login may take together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A session, and the task that moves its bytes.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) reached: Reached,
    pub(super) notices: Notices,
    tls: Option<MakeRustlsConnect>,
    driver: JoinHandle<()>,
}

impl Session {
    pub(super) fn cancel(&self) -> Cancel {
        Cancel { token: self.client.cancel_token(), tls: self.tls.clone() }
    }
}

impl Drop for Session {
    /// Cuts the connection at once. Left alone, the task would first send all that is queued, the commit included,
    /// after the user had cancelled.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects and logs in.
///
/// # Errors
/// [`DatabaseError`], each way to fail as its own variant; within [`CONNECT_TIMEOUT`].
pub(super) async fn connect(connection: &Connection, application_name: &str) -> Result<Session, DatabaseError> {
    let seen = Seen::default();
    let config = config(connection, application_name);
    let translate = |error| error::on_connect(error, connection, &seen);
    let notices = Notices::default();
    let connecting = async {
        if config.get_ssl_mode() == SslMode::Disable {
            let (client, driver) = config.connect(NoTls).await.map_err(translate)?;
            return Ok::<_, DatabaseError>((client, None, tokio::spawn(drive(driver, notices.clone()))));
        }
        let tls = MakeRustlsConnect::new(tls(connection, &seen)?);
        let (client, driver) = config.connect(tls.clone()).await.map_err(translate)?;
        Ok((client, Some(tls), tokio::spawn(drive(driver, notices.clone()))))
    };
    let (client, tls, driver) =
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| error::timed_out(connection))??;
    let is_verified = matches!(connection.tls, Tls::VerifyFull { .. });
    // The name that was asked for is the name that was verified; wildcards would tell less.
    let certificate_name = is_verified.then(|| connection.host.clone());
    let reached = Reached { certificate_name, encrypted: !seen.is_empty() };
    Ok(Session { client, reached, notices, tls, driver })
}

fn tls(connection: &Connection, seen: &Seen) -> Result<rustls::ClientConfig, TlsError> {
    let trust = match &connection.tls {
        Tls::VerifyFull { ca_file } => Trust::Authorities(
            certificates::authorities(ca_file)
                .map_err(|source| TlsError::CaFile { path: ca_file.to_owned(), source })?,
        ),
        Tls::Require | Tls::Prefer | Tls::Disable => Trust::Anybody,
    };
    certificates::client_config(trust, seen).map_err(|error| TlsError::Failed { source: Box::new(error) })
}

async fn drive<S, T>(mut connection: tokio_postgres::Connection<S, T>, notices: Notices)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // An error reaches the code that waits for an answer; none does here.
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notice(notice) = message {
            notices.tell(notice).await;
        }
    }
}

fn config(connection: &Connection, application_name: &str) -> Config {
    let mut config = Config::new();
    let is_socket = connection.host.starts_with('/');
    if is_socket {
        config.host_path(&connection.host);
    } else {
        config.host(&connection.host);
    }
    if let Some(address) = connection.hostaddr {
        config.hostaddr(address);
    }
    config
        .port(connection.port)
        .user(&connection.user)
        .dbname(&connection.database)
        .application_name(application_name)
        .keepalives(true)
        // A dead path must be noticed in less than the patience of whoever waits for a migration.
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .ssl_mode(match connection.tls {
            _ if is_socket => SslMode::Disable,
            Tls::VerifyFull { .. } | Tls::Require => SslMode::Require,
            Tls::Prefer => SslMode::Prefer,
            Tls::Disable => SslMode::Disable,
        });
    config.channel_binding(match connection.demands.channel_binding {
        ChannelBinding::Disable => config::ChannelBinding::Disable,
        ChannelBinding::Prefer => config::ChannelBinding::Prefer,
        ChannelBinding::Require => config::ChannelBinding::Require,
    });
    config.target_session_attrs(match connection.demands.server {
        WantedServer::Any => TargetSessionAttrs::Any,
        WantedServer::ReadWrite => TargetSessionAttrs::ReadWrite,
        WantedServer::ReadOnly => TargetSessionAttrs::ReadOnly,
    });
    if let Some(password) = &connection.password {
        config.password(password.reveal());
    }
    config
}
