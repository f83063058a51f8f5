//! A run may end anywhere: killed, refused, or with an answer that got lost. The next one finishes the work.

use crate::bastion_rig::{COMPLETE, NOTHING, Rig, throttled};
use std::sync::Arc;

/// Calls of an undisturbed run.
async fn calls_of(after_up: bool) -> usize {
    let rig = Rig::new();
    if after_up {
        rig.up().await.unwrap();
        rig.cloud.forget_calls();
        rig.down().await.unwrap();
    } else {
        rig.up().await.unwrap();
    }
    rig.cloud.calls().len()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verb {
    Up,
    Down,
}

async fn run(rig: &Rig, verb: Verb) -> bool {
    match verb {
        Verb::Up => rig.up().await.is_ok(),
        Verb::Down => rig.down().await.is_ok(),
    }
}

/// Kills the process at its k-th call, before or after the call took effect.
async fn killed(rig: &Rig, verb: Verb, number: usize, after: bool) {
    rig.cloud.cut_at(number, after);
    tokio::select! {
        _ = run(rig, verb) => {}
        () = rig.cloud.was_cut() => {}
    }
    rig.cloud.clear_faults();
}

fn is_a_look(call: &str) -> bool {
    call.contains(":Describe") || call == "sts:GetCallerIdentity"
}

fn check(rig: &Rig, last: Verb, story: &str) {
    let wanted = if last == Verb::Up { COMPLETE } else { NOTHING };
    assert_eq!(rig.count(), wanted, "{story}: {:#?}", rig.cloud.alive());
}

async fn finish(rig: &Rig, last: Verb, story: &str) {
    let outcome = match last {
        Verb::Up => rig.up().await.map(|_| ()),
        Verb::Down => rig.down().await,
    };
    assert!(outcome.is_ok(), "{story}: {outcome:?}");
    check(rig, last, story);
    if last == Verb::Up {
        rig.cloud.forget_calls();
        assert!(rig.up().await.is_ok(), "{story}: the run after that");
        let changed: Vec<_> = rig.cloud.calls().into_iter().filter(|call| !is_a_look(call)).collect();
        assert!(changed.is_empty(), "{story}: the run after that changed something: {changed:?}");
    }
    if last == Verb::Down {
        assert!(!rig.local.is_used(), "{story}: something was left on the laptop");
    }
}

#[tokio::test(start_paused = true)]
async fn an_up_that_was_killed_at_any_call_is_finished_by_up_and_undone_by_down() {
    let calls = calls_of(false).await;
    for number in 1..=calls {
        for after in [false, true] {
            for last in [Verb::Up, Verb::Down] {
                let story =
                    format!("up killed {} call {number}, then {last:?}", if after { "after" } else { "before" });
                let rig = Rig::new();
                rig.cloud.take_time(2);
                killed(&rig, Verb::Up, number, after).await;
                finish(&rig, last, &story).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_down_that_was_killed_at_any_call_is_finished_by_down_and_undone_by_up() {
    let calls = calls_of(true).await;
    for number in 1..=calls {
        for after in [false, true] {
            for last in [Verb::Down, Verb::Up] {
                let story =
                    format!("down killed {} call {number}, then {last:?}", if after { "after" } else { "before" });
                let rig = Rig::new();
                rig.cloud.take_time(2);
                rig.up().await.unwrap();
                killed(&rig, Verb::Down, number, after).await;
                finish(&rig, last, &story).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_once_or_whose_answer_is_lost_is_made_up_for_by_the_next_run() {
    for verb in [Verb::Up, Verb::Down] {
        for number in 1..=calls_of(verb == Verb::Down).await {
            for after in [false, true] {
                let story =
                    format!("{verb:?}: call {number} fails {}", if after { "after its effect" } else { "at once" });
                let rig = Rig::new();
                if verb == Verb::Down {
                    rig.up().await.unwrap();
                }
                rig.cloud.fail_at(number, after, Arc::new(throttled));
                assert!(!run(&rig, verb).await, "{story}: it must not be hidden");
                finish(&rig, verb, &story).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_bastion_is_replaced_after_a_crash_too() {
    let calls = calls_of(false).await;
    for number in 1..=calls + 4 {
        for after in [false, true] {
            let story = format!("renewal killed at call {number} (after: {after})");
            let rig = Rig::new();
            rig.up().await.unwrap();
            rig.cloud.set_state(devdb::bastion::InstanceState::Terminated);
            killed(&rig, Verb::Up, number, after).await;
            finish(&rig, Verb::Up, &story).await;
        }
    }
}
