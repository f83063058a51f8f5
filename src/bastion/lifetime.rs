use super::{BastionAccess, BastionError, ShellError, Workshop};
use std::time::Duration;

/// Prints the instance's clock, the cap, the first deadline and the present one, a line each.
const LOOK: &str = "date +%s; cat /etc/devdb/cap /etc/devdb/first-deadline; head -c 16 /var/lib/devdb/deadline";

/// The deadline's file; the login user may write it, and only it.
const DEADLINE_FILE: &str = "/var/lib/devdb/deadline";

/// The timer looks once a minute, so less makes no difference.
const GRAIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// What the instance says about its own end, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub now: jiff::Timestamp,
    /// When it powers itself off.
    pub deadline: jiff::Timestamp,
    /// The deadline may not be moved past this: only root could change it, and nobody can log in as root.
    pub latest: jiff::Timestamp,
}

impl Lifetime {
    /// Reads what [`LOOK`] printed, as `devdb-expire` on the instance reads the same files.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut time = || jiff::Timestamp::from_second(lines.next()?.trim().parse().ok()?).ok();
        let (now, latest, first) = (time()?, time()?, time()?);
        Some(Self { now, latest, deadline: time().unwrap_or(first).min(latest) })
    }
}

/// How a deadline is moved: what is left to do, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// The deadline afterwards.
    pub until: jiff::Timestamp,
    /// It has to be written on the instance.
    pub write: bool,
    /// The instance's tag in AWS says something else.
    pub tag: bool,
}

impl Extension {
    /// The changes, a line each.
    pub fn lines(&self, instance_id: &str) -> Vec<String> {
        let until = self.until;
        [
            (self.write, format!("move the deadline on {instance_id} to {until}")),
            (self.tag, format!("write {until} into the tag of {instance_id}")),
        ]
        .into_iter()
        .filter_map(|(is_due, line)| is_due.then_some(line))
        .collect()
    }
}

/// Decides how the bastion gets at least this much time from now on. Pure. A later deadline stays.
///
/// # Errors
/// [`BastionError::BeyondCap`].
pub fn plan_extend(time: Duration, seen: &Lifetime, tag: Option<jiff::Timestamp>) -> Result<Extension, BastionError> {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let wanted = seen.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX);
    let write = wanted.duration_since(seen.deadline) >= GRAIN;
    if write && wanted > seen.latest {
        return Err(BastionError::BeyondCap { wanted, latest: seen.latest, now: seen.now });
    }
    let until = if write { wanted } else { seen.deadline };
    Ok(Extension { until, write, tag: tag != Some(until) })
}

/// Asks the instance how long it lives.
///
/// # Errors
/// What ssh says, and [`BastionError::NoDeadline`].
pub async fn observe_lifetime(workshop: &Workshop<'_>, access: &BastionAccess) -> Result<Lifetime, BastionError> {
    ask(workshop, access, LOOK).await
}

/// Applies a plan of [`plan_extend`]: writes, reads back, then updates the tag.
///
/// # Errors
/// What ssh and AWS say; the next run continues from what is there.
pub async fn extend(
    workshop: &Workshop<'_>,
    access: &BastionAccess,
    extension: &Extension,
) -> Result<(), BastionError> {
    let until = extension.until;
    if extension.write {
        let seen = ask(workshop, access, &write_command(until)).await?;
        if seen.deadline != until {
            return Err(BastionError::DeadlineNotKept { id: access.instance_id.clone(), until, kept: seen.deadline });
        }
    }
    if extension.tag {
        let tagged = workshop.cloud.tag_instance(&access.instance_id, super::EXPIRES_AT, &until.to_string()).await;
        tagged.map_err(|source| BastionError::TagBehind { until, source })?;
    }
    Ok(())
}

/// Writes over the old text without emptying the file first (`1<>`): the timer may look at any moment, and takes an
/// empty file for a deadline that was never moved.
fn write_command(until: jiff::Timestamp) -> String {
    let text = until.as_second().to_string();
    let bytes = text.len() + 1;
    format!(
        "echo {text} 1<>{DEADLINE_FILE} && truncate -s {bytes} {DEADLINE_FILE} && sync {DEADLINE_FILE} && {{ {LOOK}; }}"
    )
}

async fn ask(workshop: &Workshop<'_>, access: &BastionAccess, command: &str) -> Result<Lifetime, BastionError> {
    let id = access.instance_id.clone();
    match workshop.shell.run(access, command).await {
        Ok(said) => Lifetime::parse(&said.stdout).ok_or(BastionError::NoDeadline { id }),
        Err(ShellError::HostKey { message }) => Err(BastionError::HostKey { id, message }),
        Err(error @ ShellError::Unavailable(_)) => Err(BastionError::Ssh(error)),
        Err(source) => Err(BastionError::NoWayIn { id, source }),
    }
}
