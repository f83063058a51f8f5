//! The bastion is away: looking for it, asking AWS to mend the way, giving up.

use super::{Rehearsal, closes, talk};
use crate::tunnel::{HealOutcome, HealReport, ProbeError, Remedy, TunnelState};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The bastion cannot be reached, and everybody knows it.
async fn away() -> Rehearsal {
    let rehearsal = Rehearsal::up().await;
    rehearsal.ssh.set_unreachable(true);
    rehearsal.link().kill();
    rehearsal.state(TunnelState::Reconnecting).await;
    rehearsal
}

#[tokio::test(start_paused = true)]
async fn a_network_that_comes_back_is_noticed_at_once_by_whoever_waits() {
    let rehearsal = away().await;
    for outage in [3, 40, 600] {
        sleep(Duration::from_secs(outage)).await;
        let mut client = rehearsal.connect();
        sleep(Duration::from_secs(3)).await;
        rehearsal.ssh.set_unreachable(false);
        let back = Instant::now();
        talk(&mut client).await.unwrap();
        assert!(back.elapsed() <= Duration::from_secs(1), "{outage}: {:?}", back.elapsed());
        rehearsal.state(TunnelState::Up).await;
        rehearsal.ssh.set_unreachable(true);
        rehearsal.link().kill();
        rehearsal.state(TunnelState::Reconnecting).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_client_the_network_is_looked_for_every_few_seconds() {
    let rehearsal = away().await;
    sleep(Duration::from_secs(3600)).await;
    rehearsal.ssh.set_unreachable(false);
    let back = Instant::now();
    rehearsal.state(TunnelState::Up).await;
    assert!(back.elapsed() <= Duration::from_secs(6), "{:?}", back.elapsed());
}

fn healing(outcome: HealOutcome) -> HealReport {
    HealReport { outcome, changes: Vec::new(), cause: Some("the login has expired".to_owned()), hint: None }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_answer_a_new_link_is_brought_before_aws_before_it_is_given_up() {
    let rehearsal = Rehearsal::begin(|_, probe| probe.think(Duration::from_secs(9)));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(rehearsal.healer.visits(), 0, "it may wake up");
    sleep(Duration::from_secs(3)).await;
    assert_eq!((rehearsal.report().state, rehearsal.healer.visits()), (TunnelState::Starting, 1));
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rehearsal.healer.visits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_links_database_that_was_mended_is_asked_anew_and_the_late_answer_counts_no_more() {
    let rehearsal = Rehearsal::begin(|_, probe| {
        probe.think(Duration::from_secs(14));
        probe.answer([Err(ProbeError::Silent { limit: Duration::from_secs(14) })]);
    });
    rehearsal.healer.answer([healing(HealOutcome::Healed)]);
    sleep(Duration::from_secs(2)).await;
    rehearsal.probe.think(Duration::ZERO);
    let asked = Instant::now();
    rehearsal.state(TunnelState::Up).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    for _ in 0..200 {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(rehearsal.report().state, TunnelState::Up);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_database_that_may_be_waking_up_nothing_worse_is_said_whatever_aws_says() {
    for outcome in [HealOutcome::NeedsCredentials, HealOutcome::Failed, HealOutcome::Gone] {
        let rehearsal = Rehearsal::begin(|_, probe| probe.think(Duration::from_secs(9)));
        rehearsal.healer.answer([healing(outcome)]);
        sleep(Duration::from_secs(6)).await;
        let report = rehearsal.report();
        assert_eq!((report.state, report.cause, report.remedy), (TunnelState::Starting, None, None), "{outcome:?}");
        assert_eq!(rehearsal.healer.visits(), 1);
        rehearsal.state(TunnelState::Up).await;
        assert_eq!(rehearsal.ssh.links().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trouble_that_lasts_is_brought_before_aws_and_a_short_one_is_not() {
    let rehearsal = away().await;
    sleep(Duration::from_secs(2)).await;
    rehearsal.ssh.set_unreachable(false);
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rehearsal.healer.visits(), 0);

    rehearsal.healer.answer([healing(HealOutcome::NeedsCredentials)]);
    rehearsal.ssh.set_unreachable(true);
    rehearsal.link().kill();
    sleep(Duration::from_secs(10)).await;
    let report = rehearsal.report();
    assert_eq!((report.state, report.remedy), (TunnelState::Reconnecting, Some(Remedy::Credentials)));
    assert_eq!(report.cause.unwrap(), "needs-credentials: the login has expired");
    rehearsal.healer.log_in();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(rehearsal.healer.visits(), 2, "a new login is noticed at once");
    rehearsal.ssh.set_unreachable(false);
    assert_eq!(rehearsal.state(TunnelState::Up).await.remedy, None);
}

#[tokio::test(start_paused = true)]
async fn a_bastion_that_is_gone_closes_the_port_and_the_waiting() {
    let rehearsal = away().await;
    let mut client = rehearsal.connect();
    rehearsal.healer.answer([healing(HealOutcome::Gone)]);
    let report = rehearsal.state(TunnelState::Failed).await;
    assert_eq!(report.remedy, Some(Remedy::Bastion));
    closes(&mut client).await;
    assert_eq!(closes(&mut rehearsal.connect()).await, Duration::ZERO);
    rehearsal.ssh.set_unreachable(false);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(rehearsal.report().state, TunnelState::Failed);
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
}

#[tokio::test(start_paused = true)]
async fn a_stopped_ssh_whose_clients_are_stuck_does_not_live_for_ever() {
    let rehearsal = Rehearsal::up().await;
    let (mut stuck, old) = (rehearsal.connect(), rehearsal.link());
    talk(&mut stuck).await.unwrap();
    old.freeze();
    let mut waiting = rehearsal.connect();
    talk(&mut waiting).await.unwrap();
    assert_eq!(rehearsal.ssh.links().len(), 2);
    assert!(!old.is_dead(), "its connection may go on");
    sleep(Duration::from_secs(60)).await;
    assert!(old.is_dead());
    assert!(!rehearsal.link().is_dead());
}
