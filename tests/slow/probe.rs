//! The tunnel's probe, asked of real servers.

use crate::support::postgres::{Cluster, logging};
use crate::support::sshd::eventually;
use devdb::host::Host;
use devdb::tunnel::{Absence, HostName, ProbeReport, Unusable, judge};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

async fn probed(server: &Cluster, goes_on: bool) -> ProbeReport {
    let host = HostName::parse("db.example").unwrap();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let probe = Host::from_process().tools.probe();
    probe.probe(Box::new(stream), &host, &server.folder.join("ca.pem"), &|_| goes_on).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_sessions_is_down_although_it_answers() {
    let server = logging(true);
    assert_eq!(probed(&server, false).await.unready, None, "it is not to be asked more than who it is");
    let report = probed(&server, true).await;
    assert_eq!((report.names.as_slice(), &report.distrust), (["db.example".to_owned()].as_slice(), &None));
    let judged = judge(&Ok(report), &HostName::parse("db.example").unwrap());
    let Err(Unusable::Down { cause, absence: Absence::Unready }) = judged else { panic!("{judged:?}") };
    assert!(cause.starts_with("the database takes no sessions: the database system is "), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_sessions_is_ready_and_its_log_knows_nothing_of_the_probe() {
    let server = logging(false);
    let before = server.log();
    for _ in 0..10 {
        assert_eq!(probed(&server, true).await.unready, None);
    }
    // What does leave a line: whoever leaves before the TLS handshake.
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.write_all(&SSL_REQUEST).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    drop(stream);
    let log = eventually("the line", Duration::from_secs(20), || {
        let log = server.log();
        log.contains("SSL").then_some(log)
    });
    let new = log.strip_prefix(&before).unwrap();
    assert_eq!(new.lines().count(), 1, "{new}");
}
