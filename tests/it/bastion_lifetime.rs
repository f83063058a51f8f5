//! How long a bastion lives: the very scripts that the user data carries, on a machine of folders; and `extend`.

use crate::bastion_rig::Rig;
use crate::bastion_user_data::{file, user_data};
use async_trait::async_trait;
use devdb::bastion::{
    self, BastionAccess, BastionError, Extension, Lifetime, Said, Shell, ShellError, Workshop, observe_lifetime,
    plan_extend,
};
use devdb::system::SpawnSpec;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const BORN: i64 = 1_767_323_045;
const HOUR: i64 = 3600;
const TTL: i64 = 12 * HOUR;
const WEEK: i64 = 7 * 24 * HOUR;

/// An instance: its folders moved below one of ours, and the programs that would touch the real machine replaced by
/// notes of what they were asked.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["bin", "etc/sudoers.d"] {
            std::fs::create_dir_all(machine.path(name)).unwrap();
        }
        machine.set("etc/sudoers.d/90-cloud-init-users", "ec2-user ALL=(ALL) NOPASSWD:ALL");
        for name in ["systemctl", "poweroff", "chown", "modprobe", "sysctl", "sshd"] {
            machine.program(name, &format!("echo \"{name} $*\" >>'{}'", machine.path("asked").display()));
        }
        machine.program("date", &format!("cat '{}'", machine.path("now").display()));
        machine.at(BORN);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn set(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), format!("{text}\n")).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sets its clock.
    fn at(&self, now: i64) {
        self.set("now", &now.to_string());
    }

    /// Runs text that was meant for the instance.
    fn run(&self, text: &str) -> Output {
        let root = self.folder.path().display();
        let text = text.replace("/etc/", &format!("{root}/etc/")).replace("/var/lib/", &format!("{root}/"));
        let path = format!("{root}/bin:/usr/bin:/bin");
        Command::new("sh").arg("-c").arg(text).env("PATH", path).output().unwrap()
    }

    fn first_boot(&self) -> Output {
        self.run(&file(&user_data(), "/usr/local/sbin/devdb-boot"))
    }

    /// What the timer does every minute, and as soon as a boot brings it up again.
    fn powers_off(&self) -> bool {
        let _ = std::fs::remove_file(self.path("asked"));
        let ran = self.run(&file(&user_data(), "/usr/local/sbin/devdb-expire"));
        assert_eq!(String::from_utf8_lossy(&ran.stderr), "");
        match self.read("asked").as_str() {
            "poweroff \n" => true,
            "" => false,
            other => panic!("{other}"),
        }
    }

    fn powers_off_at(&self, now: i64) -> bool {
        self.at(now);
        self.powers_off()
    }
}

/// As the login user: what devdb sends over ssh is what a shell there gets to read.
#[async_trait]
impl Shell for Machine {
    async fn run(&self, _access: &BastionAccess, command: &str) -> Result<Said, ShellError> {
        let ran = Machine::run(self, command);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok(Said { code: ran.status.code().unwrap_or(255), stdout: text(ran.stdout), stderr: text(ran.stderr) })
    }

    async fn knock(&self, _access: &BastionAccess) -> Result<(), ShellError> {
        Ok(())
    }

    fn command_line(&self, _access: &BastionAccess, _words: &[String]) -> Result<SpawnSpec, ShellError> {
        Err(ShellError::Unavailable("nobody logs in here".into()))
    }
}

fn booted() -> Machine {
    let machine = Machine::new();
    let booted = machine.first_boot();
    assert!(booted.status.success(), "{}", String::from_utf8_lossy(&booted.stderr));
    machine
}

#[test]
fn the_first_boot_sets_the_deadline_takes_sudo_away_and_says_ready_last() {
    let machine = booted();
    assert_eq!(machine.read("devdb/deadline"), format!("{}\n", BORN + TTL));
    assert_eq!(machine.read("etc/devdb/cap"), format!("{}\n", BORN + WEEK));
    assert_eq!(machine.read("devdb/ready"), "ready 0123456789abcdef\n");
    assert!(!machine.path("etc/sudoers.d/90-cloud-init-users").exists());
    let asked = machine.read("asked");
    assert!(asked.contains("systemctl enable --now devdb-expire.timer\n"), "{asked}");
    assert!(asked.ends_with("sshd -t\n"), "{asked}");
}

#[test]
fn an_instance_that_never_gets_ready_ends_all_the_same() {
    for broken in ["chown", "sshd"] {
        let machine = Machine::new();
        machine.program(broken, "exit 1");
        assert!(!machine.first_boot().status.success());
        assert!(machine.read("asked").contains("systemctl enable --now devdb-expire.timer\n"), "{broken}");
        assert_eq!(machine.read("devdb/ready"), "", "{broken}");
        assert!(!machine.powers_off_at(BORN + TTL - 1), "{broken}");
        assert!(machine.powers_off_at(BORN + TTL), "{broken}");
    }
}

#[test]
fn a_boot_behind_the_deadline_ends_at_once_and_one_before_it_changes_nothing() {
    // A missed minute is made up for when the timer comes back (systemd.timer(5), `Persistent=`), whatever the clock
    // counted while the machine was off; the first boot's script does not run again.
    let timer = file(&user_data(), "/etc/systemd/system/devdb-expire.timer");
    assert!(timer.contains("\nOnCalendar=minutely\n") && timer.contains("\nPersistent=true\n"), "{timer}");
    assert!(timer.contains("\nWantedBy=timers.target\n"), "it comes back with every boot: {timer}");
    let machine = booted();
    assert!(!machine.powers_off_at(BORN + HOUR));
    assert_eq!(machine.read("devdb/deadline"), format!("{}\n", BORN + TTL));
    assert!(machine.powers_off_at(BORN + 30 * 24 * HOUR));
}

#[test]
fn the_deadline_may_be_moved_but_never_past_the_cap() {
    let machine = booted();
    machine.set("devdb/deadline", &(BORN + 20 * HOUR).to_string());
    assert!(!machine.powers_off_at(BORN + 20 * HOUR - 1));
    assert!(machine.powers_off_at(BORN + 20 * HOUR));
    for beyond in ["99999999999", &(BORN + WEEK + 1).to_string()] {
        machine.set("devdb/deadline", beyond);
        assert!(!machine.powers_off_at(BORN + WEEK - 1), "{beyond}");
        assert!(machine.powers_off_at(BORN + WEEK), "{beyond}");
    }
    // What is no number counts as never moved.
    for nonsense in ["", "soon", "999999999999999999", "-1", "1767366245; echo x", "1767366245\n1767366245"] {
        machine.set("devdb/deadline", nonsense);
        assert!(!machine.powers_off_at(BORN + TTL - 1), "{nonsense}");
        assert!(machine.powers_off_at(BORN + TTL), "{nonsense}");
    }
    std::fs::remove_file(machine.path("devdb/deadline")).unwrap();
    assert!(machine.powers_off_at(BORN + TTL));
}

fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap()
}

#[test]
fn an_extension_is_planned_from_what_the_instance_says() {
    let seen = Lifetime { now: at(BORN), deadline: at(BORN + 4 * HOUR), latest: at(BORN + WEEK) };
    let plan = |seconds: i64, tag: i64| plan_extend(Duration::from_secs(seconds.unsigned_abs()), &seen, Some(at(tag)));
    let same = BORN + 4 * HOUR;
    for (case, seconds, tag, until, write, is_tag_due) in [
        ("more", 5 * HOUR, same, BORN + 5 * HOUR, true, true),
        ("less than it has", HOUR, same, same, false, false),
        ("what it has", 4 * HOUR, same, same, false, false),
        ("the same again, seconds later", 4 * HOUR + 59, same, same, false, false),
        ("a tag that lags behind", HOUR, BORN, same, false, true),
        ("all there is", WEEK, same, BORN + WEEK, true, true),
    ] {
        let expected = Extension { until: at(until), write, tag: is_tag_due };
        assert_eq!(plan(seconds, tag).unwrap(), expected, "{case}");
    }
    for beyond in [WEEK + 1, i64::MAX] {
        let refused = plan(beyond, same).unwrap_err();
        assert!(matches!(refused, BastionError::BeyondCap { latest, .. } if latest == at(BORN + WEEK)), "{refused}");
    }
    assert!(plan_extend(Duration::from_secs(1), &seen, None).unwrap().tag, "no tag at all");
}

/// `devdb bastion extend` on this machine, and what the timer makes of it.
async fn extend(machine: &Machine, rig: &Rig, hours: i64) -> Result<Extension, BastionError> {
    let access = rig.up().await?.1;
    let quiet = |_| {};
    let workshop = Workshop { shell: machine, ..rig.workshop(&quiet) };
    let seen = observe_lifetime(&workshop, &access).await?;
    let tag = bastion::status(&*rig.cloud, &rig.scope).await?.expires_at;
    let extension = plan_extend(Duration::from_secs((hours * HOUR).unsigned_abs()), &seen, tag)?;
    bastion::extend(&workshop, &access, &extension).await?;
    assert_eq!(bastion::status(&*rig.cloud, &rig.scope).await?.expires_at, Some(extension.until));
    Ok(extension)
}

#[tokio::test]
async fn an_extended_bastion_lives_until_its_new_deadline() {
    let (machine, rig) = (booted(), Rig::new());
    machine.at(BORN + 10 * HOUR);
    assert!(extend(&machine, &rig, 12).await.unwrap().write);
    let again = extend(&machine, &rig, 12).await.unwrap();
    assert_eq!(again, Extension { until: at(BORN + 22 * HOUR), write: false, tag: false });
    assert!(!machine.powers_off_at(BORN + 22 * HOUR - 1));
    assert!(machine.powers_off_at(BORN + 22 * HOUR));

    machine.at(BORN + WEEK - HOUR);
    let refused = extend(&machine, &rig, 2).await.unwrap_err();
    assert!(matches!(refused, BastionError::BeyondCap { .. }), "{refused}");
    assert_eq!(machine.read("devdb/deadline"), format!("{}\n", BORN + 22 * HOUR));
}

#[tokio::test]
async fn rubbish_in_the_deadlines_file_is_replaced_by_a_deadline() {
    for rubbish in ["", "soon", "a long text that somebody has left there, for whatever reason"] {
        let (machine, rig) = (booted(), Rig::new());
        machine.set("devdb/deadline", rubbish);
        assert_eq!(extend(&machine, &rig, 24).await.unwrap().until, at(BORN + 24 * HOUR), "{rubbish}");
        assert_eq!(machine.read("devdb/deadline"), format!("{}\n", BORN + 24 * HOUR));
    }
}

#[tokio::test]
async fn a_deadline_that_cannot_be_read_or_written_is_an_error() {
    let (machine, rig) = (Machine::new(), Rig::new());
    let early = extend(&machine, &rig, 24).await.unwrap_err();
    assert!(matches!(early, BastionError::NoDeadline { .. }), "{early}");
    machine.first_boot();
    std::fs::remove_file(machine.path("devdb/deadline")).unwrap();
    std::fs::create_dir(machine.path("devdb/deadline")).unwrap();
    let unwritable = extend(&machine, &rig, 24).await.unwrap_err();
    assert!(matches!(unwritable, BastionError::NoDeadline { .. }), "{unwritable}");
}

/// The tag comes last: it may lag behind, and the next run catches up.
#[tokio::test]
async fn a_tag_that_could_not_be_written_is_written_by_the_next_run() {
    let (machine, rig) = (booted(), Rig::new());
    rig.up().await.unwrap();
    rig.cloud.fail_action("ec2:CreateTags", false, std::sync::Arc::new(crate::bastion_rig::throttled));
    let behind = extend(&machine, &rig, 24).await.unwrap_err();
    assert!(matches!(behind, BastionError::TagBehind { until, .. } if until == at(BORN + 24 * HOUR)), "{behind}");
    rig.cloud.clear_faults();
    let caught_up = extend(&machine, &rig, 24).await.unwrap();
    assert_eq!(caught_up, Extension { until: at(BORN + 24 * HOUR), write: false, tag: true });
}
