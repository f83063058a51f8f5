//! The writer becomes another instance.

use super::*;
use crate::tunnel::ProbeReport;

/// A certificate with the endpoint's name and the instance's own.
fn instance(name: &str) -> Result<ProbeReport, ProbeError> {
    let names = vec!["db.example.com".to_owned(), name.to_owned()];
    Ok(ProbeReport { names, ..FakeProbe::certificate("db.example.com") })
}

#[tokio::test(start_paused = true)]
async fn connections_to_the_old_writer_are_closed_and_those_that_wait_for_it_go_to_the_new_one() {
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([instance("one"), instance("one")]));
    rehearsal.state(TunnelState::Up).await;
    let (mut old, mut retired) = (rehearsal.connect(), rehearsal.connect());
    talk(&mut retired).await.unwrap();
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
    talk(&mut old).await.unwrap();

    // Its host falls silent; the next one to connect waits.
    rehearsal.link().freeze();
    let mut waiting = rehearsal.connect();
    waiting.write_all(b"hello").await.unwrap();
    sleep(Duration::from_millis(100)).await;
    rehearsal.link().thaw();
    sleep(Duration::from_secs(1)).await;
    let mut fresh = rehearsal.connect();
    talk(&mut fresh).await.unwrap();
    rehearsal.probe.answer([instance("two")]);
    rehearsal.ask().await;
    assert!(closes(&mut old).await.is_zero() && closes(&mut retired).await.is_zero());
    let mut answer = [0; 5];
    timeout(Duration::from_secs(1), waiting.read_exact(&mut answer)).await.unwrap().unwrap();

    talk(&mut fresh).await.unwrap();

    rehearsal.probe.answer([instance("two")]);
    rehearsal.ask().await;
    let idle = waiting.read(&mut answer);
    assert!(timeout(Duration::from_secs(60), idle).await.is_err(), "the same instance again ends nobody");
    assert_eq!((rehearsal.report().state, rehearsal.ssh.links().len()), (TunnelState::Up, 2));
}

#[tokio::test(start_paused = true)]
async fn whoever_got_no_answer_where_others_are_answered_by_now_asks_again() {
    let rehearsal = Rehearsal::up().await;
    rehearsal.link().freeze();
    // What the first one's doubt has asked is no answer for those who begin to doubt before it is there.
    rehearsal.probe.think(Duration::from_millis(300));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = rehearsal.connect();
        client.write_all(&FakeLink::SSL_REQUEST).await.unwrap();
        clients.push(client);
        sleep(Duration::from_millis(100)).await;
    }
    rehearsal.link().thaw();
    let asked = Instant::now();
    for client in &mut clients {
        timeout(Duration::from_secs(60), client.read_exact(&mut [0])).await.unwrap().unwrap();
        talk(client).await.unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert_eq!((rehearsal.report().restarts.len(), rehearsal.ssh.links().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_has_moved_unseen_is_seen_by_whoever_connects_a_minute_later() {
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([instance("one"), instance("two")]));
    rehearsal.state(TunnelState::Up).await;
    let mut pooled = rehearsal.connect();
    talk(&mut pooled).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    talk(&mut rehearsal.connect()).await.unwrap();
    sleep(Duration::from_secs(31)).await;
    talk(&mut pooled).await.unwrap();
    talk(&mut rehearsal.connect()).await.unwrap();
    assert!(closes(&mut pooled).await.is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_a_connection_by_itself_is_asked_who_it_is_and_one_that_a_client_left_is_not() {
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([instance("one")]));
    rehearsal.state(TunnelState::Up).await;
    let (mut pooled, mut leaving) = (rehearsal.connect(), rehearsal.connect());
    talk(&mut pooled).await.unwrap();
    talk(&mut leaving).await.unwrap();
    rehearsal.probe.answer([instance("two")]);
    drop(leaving);
    sleep(Duration::from_secs(120)).await;
    talk(&mut pooled).await.unwrap();

    let mut ended = rehearsal.connect();
    ended.write_all(FakeLink::LAST_WORD).await.unwrap();
    let mut answer = Vec::new();
    ended.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, FakeLink::LAST_WORD);
    assert!(closes(&mut pooled).await <= Duration::from_secs(1));
}
