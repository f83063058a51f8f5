//! The real program is killed, throttled and robbed of its answers at every AWS call, on the sandbox.
//!
//! The gate kills `bastion up` and `bastion down` right after every single call took effect (its answer never arrives),
//! and lets every call of one run fail once: throttled, with a 5xx, with its answer lost. `DEVDB_TEST_EVERY_FAULT=1`
//! adds what the gate leaves out for the sake of time: the kill before every call took effect, and each of the three
//! misfortunes at every single call with all others undisturbed. `bastion_crash` does the same and more on the fake.

use crate::support::api::Api;
use crate::support::laptop::Laptop;
use crate::support::trial::Trial;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many at once as keep two processors busy: a trial mostly waits for states and boots.
const AT_ONCE: usize = 6;

/// Where in a call's life something happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    After,
}

impl When {
    fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What happens to a call once; the SDK or the next run has to make up for it.
const MISFORTUNES: [(&str, &str); 3] = [
    ("throttled", r#""code":"RequestLimitExceeded","message":"Request limit exceeded.","status":503"#),
    ("answered 500", r#""code":"InternalError","message":"An internal error has occurred","status":500"#),
    ("done, but its answer is lost", r#""drop":true,"when":"after""#),
];

fn is_exhaustive() -> bool {
    std::env::var_os("DEVDB_TEST_EVERY_FAULT").is_some()
}

/// Runs the work for every number of a list, several at once; the first that fails ends the test.
fn side_by_side<T: Sync>(list: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(item) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

/// How many calls an undisturbed `up` and `down` make.
fn calls_of_a_story() -> (usize, usize) {
    let trial = Trial::new("calm");
    trial.succeeds("up");
    let up = trial.calls().len();
    trial.succeeds("down");
    let down = trial.calls().len();
    (up, down)
}

#[test]
fn a_run_that_was_killed_at_any_call_is_finished_or_undone_by_the_next() {
    if Api::is_out_of_reach() {
        let itself = "sandbox_crash::a_run_that_was_killed_at_any_call_is_finished_or_undone_by_the_next";
        let laptop = Laptop::new();
        laptop.repeats(itself);
        laptop.leftovers().expect_code(0);
        return;
    }
    let (of_up, of_down) = calls_of_a_story();
    assert!(of_up >= 15 && of_down >= 8, "up makes {of_up} calls, down {of_down}: what is left of this test?");
    let whens = if is_exhaustive() { [When::Before, When::After].as_slice() } else { &[When::After] };
    let trials: Vec<(usize, When)> =
        (1..=of_up.max(of_down)).flat_map(|number| whens.iter().map(move |when| (number, *when))).collect();
    side_by_side(&trials, |&(number, when)| {
        let story = format!("{} call {number}", when.word());
        if number <= of_up {
            // From nothing, topology included.
            let trial = Trial::new(&format!("undo{number}{}", when.word()));
            trial.killed("up", number, when.word());
            trial.succeeds("down");
            trial.has_nothing(&format!("up killed {story}, then down"));
        }
        let trial = Trial::new(&format!("redo{number}{}", when.word()));
        if number <= of_up {
            trial.killed("up", number, when.word());
        }
        trial.succeeds("up");
        trial.has_one_of_everything(&format!("up killed {story}, then up"));
        if number <= of_down {
            trial.killed("down", number, when.word());
            trial.succeeds("up");
            trial.has_one_of_everything(&format!("down killed {story}, then up"));
            trial.killed("down", number, when.word());
        }
        trial.succeeds("down");
        trial.has_nothing(&format!("down killed {story}, then down"));
    });
}

#[test]
fn a_call_that_fails_once_changes_nothing_about_the_end() {
    if Api::is_out_of_reach() {
        let itself = "sandbox_crash::a_call_that_fails_once_changes_nothing_about_the_end";
        let laptop = Laptop::new();
        laptop.repeats(itself);
        laptop.leftovers().expect_code(0);
        return;
    }
    // None: every call of the run fails once.
    let mut trials: Vec<(usize, Option<usize>)> = (0..MISFORTUNES.len()).map(|kind| (kind, None)).collect();
    if is_exhaustive() {
        let (of_up, _) = calls_of_a_story();
        trials.extend((0..MISFORTUNES.len()).flat_map(|kind| (1..=of_up).map(move |number| (kind, Some(number)))));
    }
    side_by_side(&trials, |&(kind, number)| {
        let (name, answer) = MISFORTUNES[kind];
        let which = number.map_or("every call".to_owned(), |number| format!("call {number}"));
        let story = format!("{which} is {name} once");
        let trial = Trial::new(&format!("fault{kind}x{}", number.unwrap_or_default()));
        let misfortune = match number {
            Some(number) => format!(r#""skip":{},{answer}"#, number - 1),
            None => format!(r#""each":true,{answer}"#),
        };
        trial.survives(&misfortune, "up");
        trial.has_one_of_everything(&format!("up: {story}"));
        trial.survives(&misfortune, "down");
        trial.has_nothing(&format!("down: {story}"));
    });
}
