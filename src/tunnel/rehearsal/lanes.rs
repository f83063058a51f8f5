//! Several ssh masters side by side.

use super::*;
use crate::tunnel::ProbeReport;

/// Somebody works without a pause for so many seconds.
async fn work(rehearsal: &Rehearsal, seconds: u64) {
    let mut client = rehearsal.connect();
    for _ in 0..seconds * 10 {
        talk(&mut client).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
}

/// Links that live.
fn alive(rehearsal: &Rehearsal) -> Vec<Arc<FakeLink>> {
    rehearsal.ssh.links().into_iter().filter(|link| !link.is_dead()).collect()
}

/// Up, with as many lanes as there may be.
async fn busy() -> Rehearsal {
    let rehearsal = Rehearsal::up().await;
    work(&rehearsal, 5).await;
    // Until its end is no traffic of the last half second any more.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(&rehearsal).len(), 4);
    rehearsal
}

#[tokio::test(start_paused = true)]
async fn work_opens_further_lanes_new_connections_are_spread_and_a_quiet_minute_closes_what_is_unused() {
    let rehearsal = busy().await;
    let mut clients: Vec<_> = (0..8).map(|_| rehearsal.connect()).collect();
    for client in &mut clients {
        talk(client).await.unwrap();
    }
    // Each lane carries two of the eight.
    for (number, lane) in alive(&rehearsal).into_iter().enumerate() {
        assert_eq!(lane.carries(), 2, "lane {number}");
    }
    let last = clients.pop().unwrap();
    drop(clients);
    sleep(Duration::from_secs(70)).await;
    assert_eq!(alive(&rehearsal).len(), 1, "only the one that is used");
    assert_eq!(alive(&rehearsal)[0].carries(), 1);
    drop(last);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(alive(&rehearsal).len(), 1, "never none");
    assert_eq!((rehearsal.report().state, rehearsal.report().restarts.len()), (TunnelState::Up, 0));
}

#[tokio::test(start_paused = true)]
async fn connections_whose_client_has_left_are_in_nobodys_way_while_they_end() {
    let rehearsal = busy().await;
    let round_trip = Duration::from_millis(80);
    alive(&rehearsal).into_iter().for_each(|lane| lane.linger(round_trip));
    for last in 0..4 {
        let mut earlier: Vec<_> = (0..8).map(|_| rehearsal.connect()).collect();
        for client in &mut earlier {
            talk(client).await.unwrap();
        }
        // The two of one lane leave last.
        let (of_one, others): (Vec<_>, Vec<_>) = earlier.into_iter().enumerate().partition(|(at, _)| at % 4 == last);
        drop(others);
        sleep(round_trip * 2).await;
        drop(of_one);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(alive(&rehearsal)[last].carries(), 2, "they end by and by");
        let mut clients: Vec<_> = (0..4).map(|_| rehearsal.connect()).collect();
        for client in &mut clients {
            talk(client).await.unwrap();
        }
        sleep(round_trip * 2).await;
        for (number, lane) in alive(&rehearsal).into_iter().enumerate() {
            assert_eq!(lane.carries(), 1, "lane {number} after {last}");
        }
        drop(clients);
        sleep(round_trip * 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_whose_last_lane_ends_while_the_silent_ones_are_found_out_is_replaced() {
    let rehearsal = busy().await;
    let lanes = alive(&rehearsal);
    let (answers, silent) = lanes.split_last().unwrap();
    silent.iter().for_each(|lane| lane.freeze());
    let mut client = rehearsal.connect();
    client.write_all(b"hello").await.unwrap();
    // The client's doubt has begun a look by then, and this lane has answered it.
    sleep(Duration::from_secs(3)).await;
    answers.kill();
    let mut answer = [0; 5];
    timeout(Duration::from_secs(10), client.read_exact(&mut answer)).await.unwrap().unwrap();
    rehearsal.state(TunnelState::Up).await;
    assert_eq!(rehearsal.ssh.links().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_pauses_open_no_further_lane() {
    let rehearsal = Rehearsal::up().await;
    let mut clients: Vec<_> = (0..20).map(|_| rehearsal.connect()).collect();
    for client in &mut clients {
        talk(client).await.unwrap();
        sleep(Duration::from_millis(1100)).await;
    }
    assert_eq!(rehearsal.ssh.links().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_death_of_a_lane_is_not_the_links_and_it_is_replaced_while_there_is_work() {
    let rehearsal = busy().await;
    let mut elsewhere = rehearsal.connect();
    talk(&mut elsewhere).await.unwrap();
    let unused = alive(&rehearsal).into_iter().filter(|lane| lane.carries() == 0);
    unused.for_each(|lane| lane.kill());
    assert_eq!(alive(&rehearsal).len(), 1);
    let asked = Instant::now();
    talk(&mut rehearsal.connect()).await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO, "somebody waited");
    talk(&mut elsewhere).await.unwrap();
    assert_eq!((rehearsal.report().state, rehearsal.report().restarts.len()), (TunnelState::Up, 0));
    work(&rehearsal, 5).await;
    assert_eq!(alive(&rehearsal).len(), 4);
    alive(&rehearsal).into_iter().for_each(|lane| lane.kill());
    talk(&mut rehearsal.connect()).await.unwrap();
    let report = rehearsal.state(TunnelState::Up).await;
    assert_eq!(report.restarts[0].cause, "ssh ended: killed by the test");
}

/// Up, with a database so far away.
async fn up_at(round_trip: Duration) -> Rehearsal {
    let rehearsal = Rehearsal::begin(|_, probe| probe.move_away(round_trip));
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(1)).await;
    rehearsal
}

#[tokio::test(start_paused = true)]
async fn far_away_one_ssh_stands_in_reserve_and_serves_when_the_other_ends() {
    let rehearsal = up_at(Duration::from_millis(80)).await;
    for _ in 0..3 {
        sleep(Duration::from_secs(600)).await;
        assert_eq!(alive(&rehearsal).len(), 2);
        alive(&rehearsal)[0].kill();
        let asked = Instant::now();
        talk(&mut rehearsal.connect()).await.unwrap();
        assert_eq!(asked.elapsed(), Duration::ZERO, "somebody waited");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(rehearsal.ssh.links().len(), 5, "each that was killed has been replaced");
    // One that is used and one that is not are enough, whichever is the older one.
    let mut both = [rehearsal.connect(), rehearsal.connect()];
    for client in &mut both {
        talk(client).await.unwrap();
    }
    let [older, newer] = both;
    drop(older);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(alive(&rehearsal).iter().map(|lane| lane.carries()).collect::<Vec<_>>(), [0, 1]);
    drop(newer);
    work(&rehearsal, 5).await;
    assert_eq!(alive(&rehearsal).len(), 4);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(alive(&rehearsal).len(), 2);
    assert_eq!((rehearsal.report().state, rehearsal.report().restarts.len()), (TunnelState::Up, 0));
}

#[tokio::test(start_paused = true)]
async fn nearby_there_is_no_reserve_and_one_slow_answer_does_not_keep_it() {
    let rehearsal = up_at(Duration::from_millis(39)).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(rehearsal.ssh.links().len(), 1);
    let slow = ProbeReport { round_trip: Duration::from_millis(200), ..FakeProbe::certificate("db.example.com") };
    let rehearsal = Rehearsal::begin(|_, probe| probe.answer([Ok(slow)]));
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(rehearsal.ssh.links().len(), 1);
    let rehearsal = up_at(Duration::from_millis(200)).await;
    assert_eq!(alive(&rehearsal).len(), 2);
    rehearsal.probe.move_away(Duration::from_millis(12));
    rehearsal.ask().await;
    rehearsal.probe.move_away(Duration::from_millis(200));
    rehearsal.ask().await;
    sleep(Duration::from_secs(70)).await;
    assert_eq!(alive(&rehearsal).len(), 1);
    // A new link may lead elsewhere.
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(&rehearsal).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_bastion_where_an_ssh_ends_as_soon_as_there_is_another_is_asked_less_and_less_often() {
    let rehearsal = Rehearsal::begin(|_, probe| probe.move_away(Duration::from_millis(80)));
    let opened = |count: usize| {
        let rehearsal = &rehearsal;
        async move {
            let begun = Instant::now();
            while rehearsal.ssh.links().len() < count {
                assert!(begun.elapsed() < Duration::from_secs(7200), "only {} ssh", rehearsal.ssh.links().len());
                sleep(Duration::from_millis(100)).await;
            }
            begun.elapsed().as_secs_f64()
        }
    };
    opened(2).await;
    for (at, pause) in [2, 8, 32, 128, 512, 2048, 3600].into_iter().enumerate() {
        rehearsal.ssh.links()[at].kill();
        let took = opened(at + 3).await - f64::from(pause);
        assert!((0.0..1.0).contains(&took), "{took} s more than {pause} s");
    }
    assert_eq!((rehearsal.report().state, rehearsal.report().restarts.len()), (TunnelState::Up, 0));
    // It was not that, after all.
    sleep(Duration::from_secs(60)).await;
    alive(&rehearsal)[0].kill();
    assert!(opened(10).await < 1.0);
    alive(&rehearsal)[0].kill();
    assert!((2.0..3.0).contains(&opened(11).await));
    alive(&rehearsal)[0].kill();
    // A restart that is asked for begins anew.
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
    assert!(opened(13).await < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_bastion_that_allows_only_one_ssh_is_not_tried_again_and_again() {
    let rehearsal = Rehearsal::begin(|ssh, probe| {
        probe.move_away(Duration::from_millis(80));
        ssh.allow_only_one(Duration::from_millis(700));
    });
    sleep(Duration::from_secs(24 * 3600)).await;
    // After 2, 8, 32, 128, 512 and 2048 s, and then once an hour; each time two that follow each other.
    assert_eq!(rehearsal.report().state, TunnelState::Up);
    assert!((50..70).contains(&rehearsal.ssh.links().len()), "{}", rehearsal.ssh.links().len());
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_silent_alone_is_set_aside_and_whoever_waits_on_it_is_served_by_another() {
    let rehearsal = busy().await;
    let mut old = rehearsal.connect();
    talk(&mut old).await.unwrap();
    let first = alive(&rehearsal)[0].clone();
    assert_eq!(first.carries(), 1);
    drop(old);
    sleep(Duration::from_millis(10)).await;
    first.freeze();
    let asked = Instant::now();
    let mut waiting = rehearsal.connect();
    talk(&mut waiting).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(1)).await;
    assert!(first.is_dead());
    assert_eq!(rehearsal.report().restarts.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn when_all_lanes_are_silent_the_link_is_replaced() {
    let rehearsal = busy().await;
    alive(&rehearsal).into_iter().for_each(|lane| lane.freeze());
    talk(&mut rehearsal.connect()).await.unwrap();
    assert_eq!(rehearsal.report().restarts[0].cause, "the bastion does not answer any more");
}

#[tokio::test(start_paused = true)]
async fn a_bastion_that_lets_no_further_ssh_in_is_asked_after_a_minute_and_then_less_and_less_often() {
    let rehearsal = Rehearsal::up().await;
    let refusal = || LinkError::Refused { said: String::new() };
    rehearsal.ssh.refuse([refusal(), refusal()]);
    work(&rehearsal, 50).await;
    assert_eq!(rehearsal.ssh.links().len(), 1);
    work(&rehearsal, 200).await;
    assert_eq!(rehearsal.ssh.links().len(), 1, "the second refusal");
    work(&rehearsal, 60).await;
    assert_eq!(rehearsal.ssh.links().len(), 4);
    assert_eq!((rehearsal.report().state, rehearsal.report().restarts.len()), (TunnelState::Up, 0));
}

#[tokio::test(start_paused = true)]
async fn a_restart_lets_each_lane_finish_by_itself_and_stopping_ends_them_all() {
    let rehearsal = busy().await;
    let mut old = rehearsal.connect();
    talk(&mut old).await.unwrap();
    rehearsal.restart().await;
    rehearsal.state(TunnelState::Up).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(alive(&rehearsal).len(), 2, "the new one, and the one that is used");
    talk(&mut old).await.unwrap();
    work(&rehearsal, 5).await;
    assert_eq!(alive(&rehearsal).len(), 5);
    rehearsal.commands.send(Command::Stop).unwrap();
    closes(&mut old).await;
    sleep(Duration::from_secs(1)).await;
    assert!(alive(&rehearsal).is_empty());
}
