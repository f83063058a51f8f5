//! Which database a command reaches, and what it says when it cannot.

use crate::support::postgres::{Database, cluster};
use crate::support::sshd::free_port;
use devdb::testing::{Outcome, Stage};
use std::io::{Read, Write};

fn status(url: &str) -> Outcome {
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;");
    stage.run(["devdb", "migrate", "status", "--database-url", url])
}

#[track_caller]
fn assert_says(outcome: &Outcome, text: &str) {
    assert!(outcome.stderr.contains(text), "{text}: {outcome}");
    assert!(!outcome.stderr.contains("p w"), "the password is quoted: {outcome}");
    assert_eq!(outcome.code, if text.starts_with("error") { 1 } else { 3 }, "{outcome}");
}

#[test]
fn a_verified_certificate_is_named_although_another_address_is_dialled() {
    let database = Database::create();
    let url = database.url().replace("127.0.0.1", "db.example").replace("sslmode=disable", "sslmode=verify-full");
    let outcome = status(&format!("{url}&hostaddr=127.0.0.1&sslrootcert={}/ca.pem", cluster().folder.display()));
    assert_says(&outcome, "certificate verified (from --database-url)");
}

#[test]
fn each_way_that_a_login_can_fail_is_told_apart() {
    let database = Database::create();
    assert_says(
        &status(&database.url().replace("p%20w", "wrong")),
        "error: the server does not let postgres in: password authentication failed for user \"postgres\"",
    );
    assert_says(
        &status(&database.url().replace(&database.name, "nowhere")),
        "error: there is no database nowhere on the server",
    );
    let free = free_port();
    assert_says(&status(&database.url_at(free)), &format!("error: nothing listens at 127.0.0.1:{free}"));
    assert_says(&status("postgres:///x?user=a&host=/nowhere"), "error: nothing listens at /nowhere");
    assert_says(&status("postgres://u@h/d?schema=x"), "error: the database address has the parameter `schema`");
    let unclear = status("postgres://app:5432/x?s3cret=y@db/shop");
    assert_says(&unclear, "error: where the password ends in the database address is not clear");
    assert!(!unclear.stderr.contains("s3cret"), "{unclear}");
}

/// A machine of the network that says it has no encryption is not told the password.
#[test]
fn a_password_is_not_sent_in_clear_to_another_machine() {
    // An address of this machine that is not loopback; nothing is sent.
    let route = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    route.connect("192.0.2.1:9").unwrap();
    let address = route.local_addr().unwrap().ip();
    let asks = |query: &'static str| {
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            let mut heard = Vec::new();
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = client.read(&mut bytes) {
                heard.extend_from_slice(&bytes[..count]);
                // `N` to the wish for TLS, and then the wish for a password in clear (protocol-message-formats).
                let answer: &[u8] = if heard.len() == 8 && heard[4..] == 80_877_103_u32.to_be_bytes() {
                    b"N"
                } else {
                    b"R\0\0\0\x08\0\0\0\x03"
                };
                client.write_all(answer).unwrap();
                if heard.windows(10).any(|part| part == b"swordfish\0") {
                    break;
                }
            }
            heard
        });
        let outcome = status(&format!("postgres://ada:swordfish@{address}:{port}/shop{query}"));
        let heard = String::from_utf8_lossy(&server.join().unwrap()).into_owned();
        (outcome, heard)
    };
    let (outcome, heard) = asks("");
    assert!(!heard.contains("swordfish"), "{heard:?}");
    assert!(outcome.code == 1 && outcome.stderr.contains("the server offers no TLS"), "{outcome}");
    assert!(outcome.stderr.contains("sslmode=disable"), "{outcome}");
    // Who says so is obeyed.
    for query in ["?sslmode=disable", "?sslmode=prefer"] {
        assert!(asks(query).1.contains("swordfish"), "{query}");
    }
}

#[test]
fn a_flag_wins_over_the_variables_and_the_variables_are_named() {
    let (first, second) = (Database::create(), Database::create());
    let stage = Stage::new().file("db/migrations/1_a.up.sql", "select 1;").var("DATABASE_URL", &first.url());
    let by_flag = stage.run(["devdb", "migrate", "status", "--database-url", &second.url()]);
    assert_says(&by_flag, &format!("database {} at 127.0.0.1", second.name));
    let by_variable = stage.run(["devdb", "migrate", "status"]);
    assert_says(&by_variable, &format!("database {} at 127.0.0.1", first.name));
    let port = cluster().port.to_string();
    let stage = Stage::new()
        .file("db/migrations/1_a.up.sql", "select 1;")
        .var("PGHOST", "127.0.0.1")
        .var("PGPORT", &port)
        .var("PGUSER", "postgres")
        .var("PGPASSWORD", crate::support::postgres::PASSWORD)
        .var("PGDATABASE", &second.name)
        .var("PGSSLMODE", "require");
    let outcome = stage.run(["devdb", "migrate", "status"]);
    assert_says(&outcome, "encrypted, certificate not verified (from the PG… variables)");
}

#[test]
fn without_any_name_the_ways_to_name_one_are_said() {
    let outcome = Stage::new().file("db/migrations/1_a.up.sql", "select 1;").run(["devdb", "migrate", "status"]);
    insta::assert_snapshot!(outcome, @"
    ------- stderr -------
    error: no database is named

    hint: name one with `--database-url postgres://user@host/database`, DATABASE_URL or PGHOST, or describe an environment in devdb.toml
    ------- exit 1
    ");
}

#[test]
fn bad_folders_and_files_are_errors_with_a_hint_and_still_a_document() {
    let missing = Stage::new().run(["devdb", "migrate", "to", "latest", "--json"]);
    insta::assert_snapshot!(missing, @r#"
    {
      "results": [],
      "error": {
        "message": "the migrations folder [HOME]/project/db/migrations was not found"
      }
    }
    ------- stderr -------
    {"error":{"causes":[],"hints":["make the first migration with `devdb migrate new NAME`, or set `dir` below [migrations] in devdb.toml"],"kind":"failed","message":"the migrations folder [HOME]/project/db/migrations was not found"}}
    ------- exit 1
    "#);
    let database = Database::create();
    let stage =
        Stage::new().var("DATABASE_URL", &database.url()).file("db/migrations/1_a.up.sql", "select 1;\n\\i x\n");
    let bad = stage.run(["devdb", "migrate", "to", "latest", "-q"]);
    insta::assert_snapshot!(bad, @"
    ------- stderr -------
    error: db/migrations/1_a.up.sql:2:1: this is a command of psql, not SQL

    hint: leave it out, or write the SQL that it stands for
    ------- exit 1
    ");
}

#[test]
fn new_makes_two_files_that_sort_last() {
    let stage = Stage::new().file("db/migrations/20990101000000_z.sql", "-- migrate:up\nselect 1;");
    insta::assert_snapshot!(stage.run(["devdb", "migrate", "new", "Add invoice index"]), @"
    db/migrations/20990101000001_add_invoice_index.up.sql
    db/migrations/20990101000001_add_invoice_index.down.sql
    ------- stderr -------
    ------- exit 0
    ");
    assert!(stage.project().join("db/migrations/20990101000001_add_invoice_index.down.sql").is_file());
}
