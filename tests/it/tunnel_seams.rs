//! What every link and every probe must do, asked of the fakes and of the real ones.

use crate::support::database::{Authority, Database};
use crate::support::sshd::{Sshd, free_port};
use devdb::host::Host;
use devdb::testing::{FakeProbe, FakeSsh};
use devdb::tunnel::{
    BoxStream, HostName, Link, LinkError, LinkRequest, Probe, ProbeError, Ssh, SshPath, TargetSpec, identify,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LIMIT: Duration = Duration::from_secs(10);

/// A bastion in front of an endpoint that echoes.
struct Bastion {
    sshd: Sshd,
    folder: tempfile::TempDir,
    echo: u16,
}

impl Bastion {
    async fn new() -> Self {
        let echo = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = echo.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        let folder = tempfile::Builder::new().prefix("l").tempdir_in("/tmp").unwrap();
        Self { sshd: Sshd::start(), folder, echo: port }
    }

    fn request(&self) -> LinkRequest {
        let target = |port| TargetSpec {
            name: "writer".to_owned(),
            host: HostName::parse("127.0.0.1").unwrap(),
            port,
            local_port: 1,
        };
        LinkRequest {
            link: self.sshd.link(),
            targets: vec![target(self.echo), target(free_port())],
            folder: self.folder.path().to_owned(),
        }
    }
}

fn real_ssh() -> Arc<dyn Ssh> {
    Host::from_process().tools.ssh()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

/// A connection through the link, which has carried something there and back.
async fn echoes(link: &dyn Link) -> BoxStream {
    let mut stream = within("connect", link.connect(0)).await.unwrap();
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    within("the echo", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"ping");
    stream
}

async fn a_link_carries_bytes_answers_and_ends(ssh: &dyn Ssh, request: &LinkRequest) {
    let link = within("open", ssh.open(request)).await.unwrap();
    assert!(link.lives().await && link.answers(LIMIT).await);
    let mut stream = echoes(link.as_ref()).await;

    let closed = link.closed();
    tokio::pin!(closed);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut closed).await.is_err(), "it is alive");
    within("close", link.close()).await;
    within("closed", closed).await;
    within("closed, asked again", link.closed()).await;
    assert!(!link.lives().await && link.connect(0).await.is_err());
    let rest = within("the connection's end", stream.read(&mut [0; 4])).await;
    assert!(matches!(rest, Ok(0) | Err(_)));
    within("close, asked again", link.close()).await;
}

#[tokio::test]
async fn a_fake_link_keeps_the_contract() {
    let bastion = Bastion::new().await;
    a_link_carries_bytes_answers_and_ends(&FakeSsh::default(), &bastion.request()).await;
}

#[tokio::test]
async fn a_real_link_keeps_the_contract_and_leaves_no_file() {
    let bastion = Bastion::new().await;
    a_link_carries_bytes_answers_and_ends(real_ssh().as_ref(), &bastion.request()).await;
    let left: Vec<_> =
        std::fs::read_dir(bastion.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ssh_config"]);
}

/// `heir`: of another process than the one that opened the link.
async fn a_link_that_was_left_goes_on(ssh: &dyn Ssh, heir: &dyn Ssh, request: &LinkRequest) {
    assert!(heir.resume(request).await.is_none(), "there is none");
    let left = within("open", ssh.open(request)).await.unwrap();
    let mut elsewhere = request.clone();
    elsewhere.targets.pop();
    assert!(heir.resume(&elsewhere).await.is_none(), "it leads elsewhere");

    let link = within("resume", heir.resume(request)).await.unwrap();
    assert_eq!(link.pid(), left.pid());
    assert!(link.lives().await && link.answers(LIMIT).await);
    echoes(link.as_ref()).await;

    link.disown();
    assert!(heir.resume(request).await.is_none() && link.lives().await, "it is out of use");

    within("close", link.close()).await;
    within("closed", left.closed()).await;
    assert!(heir.resume(request).await.is_none(), "it has ended");
}

#[tokio::test]
async fn the_fake_and_the_real_ssh_go_on_with_a_link_that_was_left() {
    let bastion = Bastion::new().await;
    let fake = FakeSsh::default();
    a_link_that_was_left_goes_on(&fake, &fake, &bastion.request()).await;
    a_link_that_was_left_goes_on(real_ssh().as_ref(), real_ssh().as_ref(), &bastion.request()).await;
}

#[tokio::test]
async fn an_ssh_that_stands_still_is_not_gone_on_with() {
    let bastion = Bastion::new().await;
    let link = within("open", real_ssh().open(&bastion.request())).await.unwrap();
    let pid = link.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    assert!(within("resume", real_ssh().resume(&bastion.request())).await.is_none());
    within("close", link.close()).await;
}

#[tokio::test]
async fn the_death_of_a_real_master_is_noticed_whatever_killed_it() {
    let bastion = Bastion::new().await;
    let link = within("open", real_ssh().open(&bastion.request())).await.unwrap();
    let pid = link.pid().unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    within("closed", link.closed()).await;
    assert!(link.connect(0).await.is_err());
    link.close().await;
}

#[tokio::test]
async fn a_stopped_master_answers_nothing_and_is_ended_all_the_same() {
    let bastion = Bastion::new().await;
    let link = within("open", real_ssh().open(&bastion.request())).await.unwrap();
    let pid = link.pid().unwrap();
    assert!(std::process::Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap().success());
    assert!(!link.answers(Duration::from_millis(200)).await);
    within("close", link.close()).await;
    within("closed", link.closed()).await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_does_not_end_the_link() {
    let bastion = Bastion::new().await;
    let link = within("open", real_ssh().open(&bastion.request())).await.unwrap();
    let mut stream = within("connect", link.connect(1)).await.unwrap();
    let read = within("the refusal", stream.read(&mut [0])).await;
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(link.answers(LIMIT).await);
    assert!(link.end().to_string().contains("connect failed"), "{}", link.end());
    link.close().await;
}

#[tokio::test]
async fn each_refusal_of_a_bastion_has_its_name() {
    let mut bastion = Bastion::new().await;
    let ssh = real_ssh();
    let mut stranger = bastion.request();
    stranger.link.identity_file = SshPath::from_path(&bastion.sshd.path("host_key")).unwrap();
    let refused = ssh.open(&stranger).await.err().unwrap();
    assert!(matches!(refused, LinkError::Authentication { .. }), "{refused:?}");

    bastion.sshd.swap_host_key();
    let refused = ssh.open(&bastion.request()).await.err().unwrap();
    assert!(matches!(refused, LinkError::HostKey { .. }), "{refused:?}");

    bastion.sshd.stop();
    let refused = ssh.open(&bastion.request()).await.err().unwrap();
    assert!(matches!(refused, LinkError::Refused { .. }), "{refused:?}");
}

async fn the_wanted_database_is_identified(probe: &dyn Probe, port: Option<u16>, ca_file: &Path) {
    let host = HostName::parse("localhost").unwrap();
    let stream: devdb::tunnel::BoxStream = match port {
        Some(port) => Box::new(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap()),
        None => {
            let (near, mut far) = tokio::io::duplex(64);
            tokio::spawn(async move {
                let mut byte = [0];
                far.read_exact(&mut byte).await.unwrap();
                far.write_all(&byte).await.unwrap();
            });
            Box::new(near)
        }
    };
    let report = within("probe", probe.probe(stream, &host, ca_file, &|_| true)).await.unwrap();
    assert_eq!(identify(&report, &host).unwrap(), "localhost");
}

#[tokio::test]
async fn both_probes_identify_the_wanted_database() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let authority = Authority::new(&ca_file);
    let database = Database::start(&authority, "localhost");
    the_wanted_database_is_identified(&FakeProbe::default(), None, &ca_file).await;
    the_wanted_database_is_identified(Host::from_process().tools.probe().as_ref(), Some(database.port), &ca_file).await;
}

async fn probe_port(port: u16, ca_file: &Path) -> Result<devdb::tunnel::ProbeReport, ProbeError> {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let host = HostName::parse("localhost").unwrap();
    within("probe", Host::from_process().tools.probe().probe(Box::new(stream), &host, ca_file, &|_| true)).await
}

#[tokio::test]
async fn a_probe_tells_whose_certificate_it_saw_and_why_it_does_not_believe_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, other_file) = (folder.path().join("ca.pem"), folder.path().join("other.pem"));
    let authority = Authority::new(&ca_file);
    let _other = Authority::new(&other_file);
    let host = HostName::parse("localhost").unwrap();

    let staging = Database::start(&authority, "staging");
    let report = probe_port(staging.port, &ca_file).await.unwrap();
    assert_eq!((report.names.clone(), &report.distrust), (vec!["staging".to_owned()], &None));
    assert!(identify(&report, &host).unwrap_err().cause.contains("for staging"));

    let database = Database::start(&authority, "localhost");
    let report = probe_port(database.port, &other_file).await.unwrap();
    assert!(report.distrust.is_some());
    assert!(identify(&report, &host).is_err());

    let missing = probe_port(database.port, &folder.path().join("none.pem")).await;
    assert!(matches!(missing, Err(ProbeError::Authority { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_probe_tells_a_server_without_tls_from_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    let _authority = Authority::new(&ca_file);
    for (answer, expected) in [(b"N", ProbeError::NoTls), (b"H", ProbeError::NotPostgres)] {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_exact(&mut [0; 8]).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        assert_eq!(probe_port(port, &ca_file).await, Err(expected));
    }
}
