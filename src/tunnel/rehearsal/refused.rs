//! The database takes no connections: it restarts, or its role moves to another instance.

use super::{Rehearsal, closes, talk};
use crate::testing::{FakeLink, FakeProbe};
use crate::tunnel::{ProbeError, ProbeReport, TunnelState};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

/// A client that has asked for TLS.
async fn asks(rehearsal: &Rehearsal) -> DuplexStream {
    let mut client = rehearsal.connect();
    client.write_all(&FakeLink::SSL_REQUEST).await.unwrap();
    client
}

async fn is_told_yes(client: &mut DuplexStream) {
    let mut yes = [0];
    client.read_exact(&mut yes).await.unwrap();
    assert_eq!(yes, *b"S");
    talk(client).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_while_the_database_restarts_waits_and_is_served_when_it_is_back() {
    let rehearsal = Rehearsal::up().await;
    for outage in [1, 5, 25] {
        rehearsal.link().hang_up();
        let mut clients = Vec::new();
        for _ in 0..200 {
            clients.push(asks(&rehearsal).await);
        }
        sleep(Duration::from_secs(outage)).await;
        let report = rehearsal.report();
        assert_eq!((report.state, report.targets[0].connections.held), (TunnelState::Suspect, 200));
        rehearsal.link().take_up();
        let back = Instant::now();
        for client in &mut clients {
            is_told_yes(client).await;
        }
        assert!(back.elapsed() <= Duration::from_millis(20 + 10 * outage), "{outage}: {:?}", back.elapsed());
        rehearsal.state(TunnelState::Up).await;
    }
    assert_eq!(rehearsal.ssh.links().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_while_the_database_starts_up_is_not_sent_away() {
    let rehearsal = Rehearsal::up().await;
    let starting = ProbeReport {
        unready: Some("the database system is starting up".to_owned()),
        ..FakeProbe::certificate("db.example.com")
    };
    rehearsal.probe.answer(vec![Ok(starting); 40]);
    rehearsal.ask().await;
    let mut client = asks(&rehearsal).await;
    sleep(Duration::from_millis(500)).await;
    let report = rehearsal.report();
    assert_eq!((report.state, report.targets[0].connections.held), (TunnelState::Suspect, 1));
    assert_eq!(report.cause.unwrap(), "the database takes no sessions: the database system is starting up");
    assert_eq!(rehearsal.link().carries(), 0);
    // Forty answers, twenty to thirty milliseconds apart.
    timeout(Duration::from_secs(1), is_told_yes(&mut client)).await.unwrap();
    rehearsal.state(TunnelState::Up).await;
}

#[tokio::test(start_paused = true)]
async fn a_next_ssh_leads_nobody_to_a_database_that_is_known_to_be_starting_up() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().hang_up();
    let mut client = asks(&rehearsal).await;
    sleep(Duration::from_secs(1)).await;
    let starting = ProbeReport { unready: Some("starting up".to_owned()), ..FakeProbe::certificate("db.example.com") };
    rehearsal.probe.answer(vec![Ok(starting); 20]);
    rehearsal.link().kill();
    sleep(Duration::from_millis(100)).await;
    assert_eq!((rehearsal.ssh.links().len(), rehearsal.link().carries()), (2, 0));
    timeout(Duration::from_secs(2), is_told_yes(&mut client)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_request_waits_for_no_database() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().hang_up();
    let _waiting = asks(&rehearsal).await;
    sleep(Duration::from_secs(1)).await;
    let mut cancelling = rehearsal.connect();
    cancelling.write_all(&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4]).await.unwrap();
    assert_eq!(closes(&mut cancelling).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_clients_and_answers_the_probe_is_tried_a_few_times() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().hang_up();
    rehearsal.probe.answer(vec![Ok(FakeProbe::certificate("db.example.com")); 100]);
    assert!(closes(&mut asks(&rehearsal).await).await < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_database_that_is_known_to_be_down() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().hang_up();
    let mut first = asks(&rehearsal).await;
    sleep(Duration::from_secs(20)).await;
    let mut second = asks(&rehearsal).await;
    assert_eq!(closes(&mut first).await.as_secs(), 10);
    assert!(closes(&mut second).await < Duration::from_secs(1), "it has refused for 30 seconds");
    assert_eq!(closes(&mut asks(&rehearsal).await).await, Duration::ZERO);
    rehearsal.link().take_up();
    is_told_yes(&mut asks(&rehearsal).await).await;
    rehearsal.link().hang_up();
    assert!(timeout(Duration::from_secs(29), closes(&mut asks(&rehearsal).await)).await.is_err(), "a new trouble");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_database_goes_on_with_the_next_ssh_and_whoever_leaves_frees_the_place() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().hang_up();
    let (mut client, leaving) = (asks(&rehearsal).await, asks(&rehearsal).await);
    sleep(Duration::from_secs(2)).await;
    drop(leaving);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(rehearsal.report().targets[0].connections.held, 1);
    rehearsal.link().kill();
    is_told_yes(&mut client).await;
    assert_eq!((rehearsal.ssh.links().len(), rehearsal.report().targets[0].connections.held), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_query_is_no_reason_to_doubt_the_tunnel() {
    let rehearsal = Rehearsal::up().await;
    let mut snapshot = rehearsal.snapshot.clone();
    rehearsal.link().hang_up();
    let mut client = rehearsal.connect();
    client.write_all(&[0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 0, 7, 1, 2, 3, 4]).await.unwrap();
    closes(&mut client).await;
    let doubted = snapshot.wait_for(|snapshot| snapshot.report(&[]).state == TunnelState::Suspect);
    assert!(timeout(Duration::from_secs(60), doubted).await.is_err(), "{:?}", rehearsal.report());
    // A start-up that ends like this is another matter.
    let (mut client, asked) = (rehearsal.connect(), Instant::now());
    client.write_all(b"hello").await.unwrap();
    closes(&mut client).await;
    assert_eq!(asked.elapsed(), Duration::ZERO, "ssh lives, so this is the database's own word");
    rehearsal.state(TunnelState::Suspect).await;
}

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_is_asked_again_on_the_same_link() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.probe.answer([Err(ProbeError::Closed), Err(ProbeError::Closed)]);
    rehearsal.ask().await;
    assert_eq!(rehearsal.report().state, TunnelState::Suspect);
    rehearsal.state(TunnelState::Up).await;
    assert_eq!(rehearsal.ssh.links().len(), 1);
}
