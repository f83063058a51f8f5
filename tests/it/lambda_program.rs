//! The program that the zip holds, as a process of its own.

use crate::support::database::Authority;
use crate::support::lambda::Lambda;
use crate::support::postgres::{Database, PASSWORD_ENCODED, cluster};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

const PROGRAM: &str = env!("CARGO_BIN_EXE_devdb-migrate-lambda");

#[test]
fn it_migrates_over_verified_tls() {
    let database = Database::create();
    let cluster = cluster();
    let url = |authority: &str| {
        format!(
            "postgres://postgres:{PASSWORD_ENCODED}@db.example:{}/{}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}/{authority}.pem",
            cluster.port,
            database.name,
            cluster.folder.display()
        )
    };
    let lambda = Lambda::spawn(PROGRAM, &[("DATABASE_URL", &url("ca")), ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/[1]abc")]);
    lambda.bundle(&[("20260101_one", "create table one (id int);", "drop table one;")]);
    let created = lambda.invoke(&lambda.request("Create", "c", json!({}))).success().clone();
    assert_eq!(created["PhysicalResourceId"], format!("devdb-migrations:db.example/{}/public", database.name));
    assert_eq!(database.sql("select to_regclass('one') is not null and pg_is_in_recovery() is false"), "t");
    assert!(lambda.log().contains("up 20260101_one: done"), "{}", lambda.log());
    let other =
        Lambda::spawn(PROGRAM, &[("DATABASE_URL", &url("other-ca")), ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/[1]abc")]);
    let told = other.invoke(&other.request("Create", "c", json!({})));
    let reason = told.failed();
    assert!(
        reason.contains("was not issued by an authority") && reason.ends_with(" (log stream 2026/[1]abc)"),
        "{reason}"
    );
}

#[test]
fn outside_of_lambda_it_says_what_it_is() {
    let output = Command::new(PROGRAM).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: AWS_LAMBDA_RUNTIME_API is not set: this program is the `bootstrap` of a Lambda function\n"
    );
}

/// A database that asks for the password as RDS does for tokens, in clear inside of TLS, and lets nobody in.
fn ask_for_password(listener: &TcpListener, config: Arc<ServerConfig>) -> Option<String> {
    let (mut stream, _): (TcpStream, _) = listener.accept().ok()?;
    let mut request = [0; 8];
    stream.read_exact(&mut request).ok()?;
    stream.write_all(b"S").ok()?;
    let mut tls = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let message = |tls: &mut StreamOwned<ServerConnection, TcpStream>| {
        let mut length = [0; 4];
        tls.read_exact(&mut length).ok()?;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()? - 4];
        tls.read_exact(&mut body).ok()?;
        Some(body)
    };
    message(&mut tls)?;
    // AuthenticationCleartextPassword (PostgreSQL documentation, "Message Formats").
    tls.write_all(b"R\x00\x00\x00\x08\x00\x00\x00\x03").ok()?;
    tls.read_exact(&mut [0]).ok()?;
    let password = String::from_utf8(message(&mut tls)?).ok()?;
    let fields = b"SFATAL\0C28000\0MPAM authentication failed\0\0";
    tls.write_all(b"E").ok()?;
    tls.write_all(&u32::try_from(fields.len() + 4).ok()?.to_be_bytes()).ok()?;
    tls.write_all(fields).ok()?;
    Some(password.trim_end_matches('\0').to_owned())
}

#[test]
fn it_logs_in_with_a_token_of_iam() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let config = Authority::new(&ca_file).server_config("localhost");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let database = std::thread::spawn(move || ask_for_password(&listener, config));
    let lambda = Lambda::spawn(
        PROGRAM,
        &[
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            ("AWS_REGION", "eu-west-1"),
            ("DEVDB_CA_FILE", ca_file.to_str().unwrap()),
        ],
    );
    let properties = json!({ "Host": "localhost", "Port": port, "User": "ada_iam", "Database": "shop", "Iam": "true" });
    let told = lambda.invoke(&lambda.request("Create", "c", properties));
    assert_eq!(
        told.failed(),
        "the server does not let ada_iam in: PAM authentication failed; check the secret, or for Iam that the user has rds_iam"
    );
    let token = database.join().unwrap().unwrap();
    let begin = format!("localhost:{port}/?Action=connect&DBUser=ada_iam&X-Amz-Algorithm=AWS4-HMAC-SHA256&");
    assert!(token.starts_with(&begin) && token.contains("&X-Amz-Expires=900&"), "{token}");
    assert!(!lambda.log().contains("X-Amz"), "{}", lambda.log());
}
