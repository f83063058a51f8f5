use super::connect::CONNECT_TIMEOUT;
use crate::adapters::certificates::{Fault, Seen, fault};
use crate::connection::{Connection, Tls};
use crate::system::{DatabaseError, ServerError, TlsError};
use std::error::Error;
use std::io;
use tokio_postgres::error::{DbError, ErrorPosition};

/// Translates an error of a session that was up.
pub(super) fn in_session(error: tokio_postgres::Error) -> DatabaseError {
    if let Some(server) = error.as_db_error() {
        return DatabaseError::Server(Box::new(server_error(server)));
    }
    // Anything but an answer of the server ends the connection: closed, reset, or unreadable.
    let is_transport = error.is_closed() || find::<io::Error>(&error).is_some();
    if is_transport {
        return DatabaseError::Lost { source: Some(Box::new(error)) };
    }
    DatabaseError::Protocol { source: Some(Box::new(error)) }
}

/// Translates an error of connecting and logging in.
pub(super) fn on_connect(error: tokio_postgres::Error, connection: &Connection, seen: &Seen) -> DatabaseError {
    if let Some(server) = error.as_db_error() {
        let message = server.message().to_owned();
        return match server.code().code() {
            code if code.starts_with("28") => DatabaseError::Login { user: connection.user.clone(), message },
            "3D000" => DatabaseError::NoSuchDatabase { database: connection.database.clone() },
            _ => DatabaseError::Server(Box::new(server_error(server))),
        };
    }
    if let Some(refused) = find::<rustls::Error>(&error) {
        return tls(refused, connection, seen).unwrap_or(TlsError::Failed { source: Box::new(error) }).into();
    }
    if error.to_string().contains("TLS handshake") {
        // tokio-postgres has no kind for it; the text is the only difference from a failed handshake.
        let is_refusal = error.source().is_some_and(|source| source.to_string().contains("does not support TLS"));
        return if is_refusal { TlsError::NotOffered } else { TlsError::Failed { source: Box::new(error) } }.into();
    }
    if let Some(unmet) = unmet(&error) {
        return unmet;
    }
    let address = address(connection);
    let io = find::<io::Error>(&error);
    // The resolver's errors have no kind of their own; the text is std's.
    if io.is_some_and(|error| error.to_string().contains("lookup address")) {
        return DatabaseError::UnknownHost { host: connection.host.clone(), source: Box::new(error) };
    }
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => DatabaseError::Refused { address },
        // A unix socket that is not there.
        Some(io::ErrorKind::NotFound) => DatabaseError::Refused { address },
        Some(io::ErrorKind::TimedOut) => timed_out(connection),
        _ => DatabaseError::Unreachable { address, source: Box::new(error) },
    }
}

/// tokio-postgres (0.7, `connect.rs` and `connect_raw.rs`) has no kinds for these; the texts are its own.
fn unmet(error: &tokio_postgres::Error) -> Option<DatabaseError> {
    let said = error.source()?.to_string();
    let (asked, found) = match said.as_str() {
        "database does not allow writes" => ("target_session_attrs=read-write", "the server takes no writes"),
        "database is not read only" => ("target_session_attrs=read-only", "the server takes writes"),
        said if said.contains("channel binding") => ("channel_binding=require", "the login does without"),
        _ => return None,
    };
    Some(DatabaseError::Unmet { asked, found })
}

pub(super) fn timed_out(connection: &Connection) -> DatabaseError {
    DatabaseError::TimedOut { address: address(connection), after: CONNECT_TIMEOUT }
}

/// Where it was tried, and under which name if that is another.
pub(super) fn address(connection: &Connection) -> String {
    match connection.hostaddr {
        Some(address) => format!("{} ({})", std::net::SocketAddr::new(address, connection.port), connection.host),
        None => format!("{}:{}", connection.host, connection.port),
    }
}

fn tls(error: &rustls::Error, connection: &Connection, seen: &Seen) -> Option<TlsError> {
    match (fault(error)?, &connection.tls) {
        (Fault::UnknownIssuer, Tls::VerifyFull { ca_file }) => {
            Some(TlsError::UnknownIssuer { ca_file: ca_file.clone() })
        }
        (Fault::UnknownIssuer, _) => None,
        (Fault::OtherName, _) => Some(TlsError::WrongName { expected: connection.host.clone(), names: seen.names() }),
        (Fault::Expired, _) => Some(TlsError::Expired),
    }
}

fn server_error(error: &DbError) -> ServerError {
    let position = match error.position() {
        Some(ErrorPosition::Original(position)) => usize::try_from(*position).ok(),
        // It points into a query that a function made, not into ours.
        Some(ErrorPosition::Internal { .. }) | None => None,
    };
    ServerError {
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        context: error.where_().map(str::to_owned),
        position,
    }
}

/// The first of this type in the chain; `io::Error` hides what it carries from `source`.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = carried.and_then(|carried| carried.downcast_ref::<T>()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
