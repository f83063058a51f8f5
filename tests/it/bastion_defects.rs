//! A bastion that runs and is of no use: what is wrong is found out in time, said with its reason, and replaced.

use crate::bastion_rig::{COMPLETE, NOTHING, Rig};
use devdb::bastion::{BastionError, Console, Defect, Event, ShellError};
use devdb::system::CloudError;
use devdb::testing::{Answer, FakeCloud, Stage};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const COMMITTED: &str = "project = \"shop\"\n[environment.dev]\nstack = \"AppDbStack\"\n";
/// What a boot without the key leaves on the console, behind the chatter of every boot.
const CONSOLE: &str = "[    0.000000] Linux version 6.1\r\n\
                       ci-info: no authorized SSH keys fingerprints found for user ec2-user.\r\n\
                       [   12.5] Cloud-init v. 22.2.2 finished\r\n";
const REASON: &str = "ci-info: no authorized SSH keys fingerprints found for user ec2-user.";
const UP: [&str; 3] = ["devdb", "bastion", "up"];

type Answered = Result<(i32, String), ShellError>;
type Answering = Box<dyn Fn() -> Answered + Send + Sync>;

fn refused() -> Answered {
    Err(ShellError::Refused { message: "ec2-user@203.0.113.1: Permission denied (publickey).".to_owned() })
}

fn hung_up() -> Answered {
    Err(ShellError::HungUp { message: "kex_exchange_identification: read: Connection reset by peer".to_owned() })
}

fn said(code: i32, text: &'static str) -> impl Fn() -> Answered {
    move || Ok((code, text.to_owned()))
}

fn stage() -> (Stage, Arc<FakeCloud>) {
    let cloud = Arc::new(FakeCloud::default());
    cloud.set_console(Some(CONSOLE));
    let stage = Stage::new().file("devdb.toml", COMMITTED).cloud(&cloud);
    stage.tools.shell.spoil("i-0006", refused);
    (stage, cloud)
}

fn instances(cloud: &FakeCloud) -> Vec<String> {
    cloud.alive().into_iter().filter(|line| line.starts_with("instance ")).collect()
}

fn launches(cloud: &FakeCloud) -> usize {
    cloud.calls().iter().filter(|call| **call == "ec2:RunInstances").count()
}

#[tokio::test(start_paused = true)]
async fn each_defect_is_believed_when_it_has_been_seen_for_long_enough() {
    let closed = "This account is currently not available.\n";
    let cases: [(Answering, Defect, u64); 7] = [
        (
            Box::new(refused),
            Defect::Refuses { said: "ec2-user@203.0.113.1: Permission denied (publickey).".to_owned() },
            30,
        ),
        (Box::new(said(1, closed)), Defect::RunsNothing { said: closed.trim().to_owned() }, 30),
        (Box::new(said(1, "")), Defect::RunsNothing { said: "exit code 1".to_owned() }, 30),
        (
            Box::new(|| {
                Err(ShellError::Broken { message: "Connection to 203.0.113.1 closed by remote host.".to_owned() })
            }),
            Defect::RunsNothing { said: "Connection to 203.0.113.1 closed by remote host.".to_owned() },
            30,
        ),
        (Box::new(said(0, "ended\n")), Defect::Unfinished, 1),
        (Box::new(said(0, "booting\n")), Defect::Unending { seconds: 300 }, 300),
        (
            Box::new(hung_up),
            Defect::HangsUp { said: "kex_exchange_identification: read: Connection reset by peer".to_owned() },
            60,
        ),
    ];
    for (answer, wanted, seconds) in cases {
        let rig = Rig::new();
        rig.cloud.set_console(Some(CONSOLE));
        rig.shell.spoil("i-", answer);
        // The next run finds it out as soon, and no later.
        for _ in 0..2 {
            let began = Instant::now();
            let error = rig.up().await.unwrap_err();
            let waited = began.elapsed();
            let BastionError::Defective { defect, console, .. } = error else { panic!("{error:?}") };
            assert_eq!((&defect, console), (&wanted, Console::Tells(vec![REASON.to_owned()])));
            let limit = Duration::from_secs(seconds);
            assert!(waited >= limit && waited < limit + Duration::from_secs(4), "{wanted:?}: {waited:?}");
        }
        assert_eq!(rig.count(), COMPLETE, "nothing is replaced unasked");
        rig.down().await.unwrap();
        assert_eq!(rig.count(), NOTHING);
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_has_had_its_time_to_boot_is_given_a_minute() {
    let rig = Rig::new();
    rig.up().await.unwrap();
    rig.clock.advance(Duration::from_secs(20 * 60));
    rig.shell.spoil("i-", || Err(ShellError::NoAnswer { message: "Connection refused".to_owned(), timed_out: false }));
    let began = Instant::now();
    let error = rig.up().await.unwrap_err();
    assert!(matches!(error, BastionError::NotReady { seconds: 60, .. }), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(63));
    rig.shell.spoil("i-", said(0, "booting\n"));
    let BastionError::Defective { defect, .. } = rig.up().await.unwrap_err() else { panic!("another error") };
    assert_eq!(defect, Defect::Unending { seconds: 60 });
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for() {
    let no_answer = || Err(ShellError::NoAnswer { message: "Connection refused".to_owned(), timed_out: false });
    let many = |answer: fn() -> Answered, count: usize| (0..count).map(move |_| answer());
    let rig = Rig::new();
    rig.shell.script(many(refused, 14).chain([Ok((0, "booting\n".to_owned()))]).chain(many(refused, 14)));
    rig.up().await.unwrap();
    rig.shell.script(many(refused, 14).chain([no_answer()]).chain(many(refused, 14)));
    rig.up().await.unwrap();
    // The mark is written between the two looks of one login.
    rig.shell.script([Ok((0, "ended\n".to_owned())), Ok((0, "ready 5d41402a\n".to_owned()))]);
    rig.up().await.unwrap();
    rig.shell.script(many(hung_up, 25).chain([Ok((0, "ended\n".to_owned()))]));
    rig.up().await.unwrap();
    assert_eq!(launches(&rig.cloud), 1);
}

#[tokio::test(start_paused = true)]
async fn an_sshd_that_hangs_up_on_whom_it_refused_too_often_still_refuses() {
    let rig = Rig::new();
    let calls = Mutex::new(0);
    rig.shell.spoil("i-", move || {
        let mut number = calls.lock().unwrap();
        *number += 1;
        if *number % 4 == 1 { refused() } else { hung_up() }
    });
    let began = Instant::now();
    let BastionError::Defective { defect, .. } = rig.up().await.unwrap_err() else { panic!("another error") };
    assert!(matches!(defect, Defect::Refuses { .. }), "{defect:?}");
    assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn sshd_is_not_hammered_and_the_wait_is_told() {
    let rig = Rig::new();
    rig.shell.spoil("i-", refused);
    let events = Mutex::new(Vec::new());
    let tell = |event| events.lock().unwrap().push(event);
    rig.up_telling(&tell).await.unwrap_err();
    assert!((10..=20).contains(&rig.shell.commands().len()), "{}", rig.shell.commands().len());
    let waiting = Event::Waiting("waiting for ssh: permission denied (publickey)".to_owned());
    assert!(events.lock().unwrap().contains(&waiting));
}

#[tokio::test(start_paused = true)]
async fn a_console_that_cannot_be_read_keeps_nothing_back() {
    let denied = || CloudError::Denied { action: "ec2:GetConsoleOutput".to_owned(), source: None };
    let (stage, cloud) = stage();
    cloud.fail_action("ec2:GetConsoleOutput", false, Arc::new(denied));
    let outcome = stage.play(&UP).await;
    assert_eq!(outcome.code, 1, "{outcome}");
    let word = "its console could not be read: AWS does not allow `ec2:GetConsoleOutput`";
    assert!(outcome.stderr.contains("refuses the login") && outcome.stderr.contains(word), "{outcome}");
    cloud.set_console(None);
    let outcome = stage.play(&UP).await;
    assert!(outcome.stderr.contains("EC2 has no console output of it yet"), "{outcome}");
    cloud.set_console(Some("[ 0.0] Linux\n"));
    let outcome = stage.play(&UP).await;
    assert!(outcome.stderr.contains("its console tells no reason"), "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn without_a_terminal_it_is_said_with_a_hint_that_works() {
    let (stage, cloud) = stage();
    insta::assert_snapshot!("refused", stage.play(&UP).await);
    assert_eq!(instances(&cloud), ["instance i-0006"]);
    let quiet = stage.play(&["devdb", "-q", "bastion", "up"]).await;
    insta::assert_snapshot!("refused_quiet", quiet);
    let json = stage.play(&["devdb", "--json", "bastion", "up"]).await;
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((json.code, &error["error"]["kind"]), (1, &"failed".into()));
    assert_eq!(error["error"]["causes"][0], format!("its console: {REASON}"));
    // What the hint says, as it stands there.
    let hint = quiet.stderr.lines().find(|line| line.contains("--replace")).unwrap();
    let command: Vec<&str> = hint.split('`').nth(1).unwrap().split(' ').collect();
    cloud.forget_calls();
    insta::assert_snapshot!("replaced_by_the_hint", stage.play(&command).await);
    assert_eq!((launches(&cloud), instances(&cloud).len()), (1, 1));
    assert_ne!(instances(&cloud), ["instance i-0006"]);
    assert_eq!(cloud.alive().len(), 7, "{:?}", cloud.alive());
}

#[tokio::test(start_paused = true)]
async fn yes_replaces_it_and_only_once() {
    let (stage, cloud) = stage();
    let outcome = stage.play(&["devdb", "bastion", "up", "--yes"]).await;
    insta::assert_snapshot!("replaced_with_yes", outcome);
    assert_eq!((launches(&cloud), cloud.alive().len()), (2, 7), "{:?}", cloud.alive());
    assert!(stage.play(&UP).await.stdout.contains("nothing was changed"));
    stage.tools.shell.spoil("i-", refused);
    cloud.forget_calls();
    let outcome = stage.play(&["devdb", "--yes", "bastion", "up"]).await;
    assert_eq!((outcome.code, launches(&cloud)), (1, 1), "the new one does the same: {outcome}");
    assert!(outcome.stderr.contains("see `ami` and `ssh_user`"), "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn at_a_terminal_it_is_asked_and_a_no_changes_nothing() {
    let (stage, cloud) = stage();
    let stage = stage.terminal();
    stage.prompter.script([Answer::Confirm(false)]);
    let outcome = stage.play(&UP).await;
    assert_eq!((outcome.code, launches(&cloud)), (130, 1), "{outcome}");
    assert!(outcome.stderr.contains("answers with its pinned host key and refuses the login"), "{outcome}");
    assert!(outcome.stderr.contains(REASON), "{outcome}");
    stage.prompter.script([Answer::Confirm(true)]);
    assert_eq!(stage.play(&UP).await.code, 0);
    assert_eq!((launches(&cloud), cloud.alive().len()), (2, 7));
    assert_eq!(stage.prompter.questions().last().unwrap(), "replace instance i-0006: it refuses the login?");
}

/// A firewall that ends connections is no reason to end an instance.
#[tokio::test(start_paused = true)]
async fn what_is_not_proven_is_not_replaced_by_yes() {
    let (stage, cloud) = stage();
    stage.tools.shell.spoil("i-", hung_up);
    let outcome = stage.play(&["devdb", "--yes", "bastion", "up"]).await;
    insta::assert_snapshot!("hung_up", outcome);
    assert_eq!(launches(&cloud), 1);
    stage.tools.shell.script([Err(ShellError::HostKey { message: "changed".to_owned() })]);
    let outcome = stage.play(&["devdb", "--yes", "bastion", "up"]).await;
    assert_eq!((outcome.code, launches(&cloud)), (4, 1), "{outcome}");
}

#[test]
fn replace_is_planned_like_everything_else() {
    let cloud = Arc::new(FakeCloud::default());
    let stage = Stage::new().file("devdb.toml", COMMITTED).cloud(&cloud);
    assert_eq!(stage.run(UP).code, 0);
    let alive = cloud.alive();
    insta::assert_snapshot!("replace_dry_run", stage.run(["devdb", "bastion", "up", "--replace", "--dry-run"]));
    assert_eq!(cloud.alive(), alive);
    assert_eq!(stage.run(["devdb", "bastion", "up", "--replace"]).code, 0);
    assert_eq!(cloud.alive().len(), 7);
    assert_ne!(cloud.alive(), alive);
    // Where nothing stands it is an `up`.
    assert_eq!(stage.run(["devdb", "bastion", "down"]).code, 0);
    assert_eq!(stage.run(["devdb", "bastion", "up", "--replace"]).code, 0);
}

#[tokio::test(start_paused = true)]
async fn doctor_tries_the_login_and_says_the_same() {
    let (stage, cloud) = stage();
    let up = stage.play(&UP).await;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let changes = cloud.alive();
    let doctor = stage.play(&["devdb", "doctor"]).await;
    assert_eq!(doctor.code, 3, "{doctor}");
    for part in [
        "fail way in the bastion i-0006 answers with its pinned host key and refuses the login: ec2-user@203.0.113.1: Permission denied (publickey).",
        &format!("its console: {REASON}"),
        "hint: `devdb bastion up --replace` puts a new one in its place",
    ] {
        assert!(words(&doctor.stdout).contains(part), "{part} in {doctor}");
        assert!(words(&up.stderr).contains(part.trim_start_matches("fail way in ")), "{part} in {up}");
    }
    for (answer, verdict, part) in [
        (said(0, "booting\n"), "warn", "its first boot has not finished yet"),
        (said(0, "ended\n"), "fail", "its first boot failed"),
        (said(1, "This account is currently not available.\n"), "fail", "This account is currently not available."),
        (said(0, "ready 5d41402a\n"), "ok", "and the login works"),
    ] {
        stage.tools.shell.spoil("i-0006", answer);
        let doctor = stage.play(&["devdb", "doctor"]).await;
        let text = words(&doctor.stdout);
        assert!(text.contains(&format!("{verdict} way in")) && text.contains(part), "{verdict} {part}: {doctor}");
    }
    stage.tools.shell.spoil("i-0006", hung_up);
    assert!(stage.play(&["devdb", "doctor"]).await.stdout.contains("a firewall or proxy on the way"));
    stage.tools.shell.spoil("i-0006", || Err(ShellError::HostKey { message: "changed".to_owned() }));
    assert!(stage.play(&["devdb", "doctor"]).await.stdout.contains("somebody may be in between"));
    assert_eq!(cloud.alive(), changes);
}
