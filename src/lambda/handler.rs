use super::cutoff::{Cutoff, Ended};
use super::rollback::{self, Undone};
use super::{
    Answer, Data, Downs, Event, Kind, NOT_CREATED, Reply, Request, Settings, Wanted, World, physical_id, reason,
};
use crate::connection::{Connection, DatabaseSecret, TokenLogin, compose, compose_with_token};
use crate::migrate::{
    Engine, Event as Progress, FolderSource, LedgerRow, MigrateError, MigrationDatabase, MigrationSource, Options,
    PlanError, RunReport, SessionSpec, Target, history,
};
use crate::system::DatabaseError;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long one statement may queue for a table's lock, and stop everybody behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long another run's lock is waited for at most.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// How long a database that sleeps may take to wake up (Aurora user guide, "Scaling to Zero ACUs": about 15 seconds).
const WAKING: Duration = Duration::from_secs(60);

const TOO_SHORT: &str = "the function has less than 10 seconds; nothing was begun; set its Timeout to 840 (seconds)";

/// Does what one event asks for.
pub struct Handler<'a> {
    pub world: &'a dyn World,
    /// The function's variables.
    pub vars: &'a BTreeMap<String, String>,
    /// Takes a line; never a secret.
    pub log: &'a (dyn Fn(&str) + Sync),
}

/// Everything that is needed to begin, with the connection open.
struct Ready {
    source: FolderSource,
    session: Box<dyn MigrationDatabase>,
    options: Options,
    physical_id: String,
}

/// How a run ended.
struct Ran {
    report: RunReport,
    /// It was stopped; the words for it.
    stopped: Option<String>,
}

impl Handler<'_> {
    /// Never fails: whatever happens is an answer. `left`: until Lambda ends the invocation.
    pub async fn handle(&self, event: Event, left: Duration) -> Reply {
        match event {
            Event::Direct { target } => Reply::Return(self.direct(&target, left).await),
            Event::Resource(Request { door, kind, properties }) => {
                Reply::to(door, self.resource(kind, &properties, left).await)
            }
        }
    }

    async fn resource(&self, kind: Kind, properties: &Map<String, Value>, left: Duration) -> Answer {
        match kind {
            Kind::Create => match self.deploy(properties, left).await {
                Ok(answer) => answer,
                Err(reason) => Answer::failed(NOT_CREATED, reason),
            },
            // The id stays: another one would be a replacement, and the old resource would be removed.
            Kind::Update { physical_id } => match self.deploy(properties, left).await {
                Ok(answer) => answer,
                Err(reason) => Answer::failed(physical_id, reason),
            },
            Kind::Delete { physical_id } => self.remove(physical_id, properties, left).await,
        }
    }

    async fn deploy(&self, properties: &Map<String, Value>, left: Duration) -> Result<Answer, String> {
        let settings = Settings::read(properties, self.vars).map_err(|error| error.to_string())?;
        let cutoff = Cutoff::new(left).ok_or(TOO_SHORT)?;
        let mut ready = self.prepare(&settings, &cutoff).await?;
        let target = match settings.target.clone() {
            // Who is rolled back asks for less than there is.
            Target::Name(name) if settings.on_rollback == Downs::Keep => Target::AtLeast(name),
            target => target,
        };
        let mut ran = self.migrate(&mut ready, &target, &cutoff).await;
        let mut note = None;
        if matches!(ran.report.error, Some(MigrateError::Plan(PlanError::Missing { .. }))) {
            let rows = ready.session.read_ledger().await.unwrap_or_default().unwrap_or_default();
            let beyond = rollback::ahead(ready.source.names(), &rows, settings.allow_unordered);
            if !beyond.is_empty() {
                ran.report.error = None;
                note = Some(rollback::note(&beyond));
                if settings.on_rollback == Downs::Down {
                    match self.roll_back(&mut ready, &cutoff).await {
                        Ok(undone) => (ran, note) = (undone, None),
                        Err(why) => note = Some(format!("{}: {why}", rollback::note(&beyond))),
                    }
                }
            }
        }
        if let Some(reason) = failure(&ran) {
            return Err(reason);
        }
        let rows = match tokio::time::timeout(LOCK_TIMEOUT, ready.session.read_ledger()).await {
            Ok(Ok(rows)) => rows.unwrap_or_default(),
            // What was asked for is done; this would only have been a figure.
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        Ok(Answer::success(ready.physical_id, Some(data(&ran.report, &rows)), note))
    }

    /// Nothing is undone unless that was asked for, and a database that cannot be reached stops no stack from going.
    async fn remove(&self, physical_id: String, properties: &Map<String, Value>, left: Duration) -> Answer {
        let kept = |why: &str| {
            (self.log)(why);
            Answer::success(physical_id.clone(), None, None)
        };
        if physical_id == NOT_CREATED {
            return kept("nothing is undone: the resource was never made");
        }
        let settings = match Settings::read(properties, self.vars) {
            Ok(settings) if settings.on_delete == Downs::Down => settings,
            Ok(_) => return kept("nothing is undone when the resource goes, unless OnDelete is `down`"),
            Err(error) => return kept(&format!("nothing is undone: {error}")),
        };
        let Some(cutoff) = Cutoff::new(left) else { return Answer::failed(physical_id, TOO_SHORT) };
        let mut ready = match self.prepare(&settings, &cutoff).await {
            Ok(ready) if ready.physical_id == physical_id => ready,
            Ok(ready) => return kept(&format!("nothing is undone: {physical_id} is not {}", ready.physical_id)),
            Err(reason) => return kept(&format!("nothing is undone: {reason}")),
        };
        let ran = self.migrate(&mut ready, &Target::Nothing, &cutoff).await;
        match failure(&ran) {
            Some(reason) => Answer::failed(physical_id, reason),
            None => Answer::success(physical_id, Some(data(&ran.report, &[])), None),
        }
    }

    /// Kysely's result set.
    async fn direct(&self, target: &str, left: Duration) -> Value {
        let not_begun = |reason: String| json!({ "results": [], "error": { "message": reason } });
        let said = Map::from_iter([("Target".to_owned(), Value::from(target))]);
        let settings = match Settings::read(&said, self.vars) {
            Ok(settings) => settings,
            Err(error) => return not_begun(error.to_string()),
        };
        let Some(cutoff) = Cutoff::new(left) else { return not_begun(TOO_SHORT.to_owned()) };
        let mut ready = match self.prepare(&settings, &cutoff).await {
            Ok(ready) => ready,
            Err(reason) => return not_begun(reason),
        };
        let ran = self.migrate(&mut ready, &settings.target, &cutoff).await;
        let mut document = serde_json::to_value(&ran.report).unwrap_or_default();
        if let Some(stopped) = &ran.stopped {
            document["error"]["message"] = stopped.clone().into();
        }
        document
    }

    async fn prepare(&self, settings: &Settings, cutoff: &Cutoff) -> Result<Ready, String> {
        let source = FolderSource::open(&settings.migrations_dir, &settings.root);
        let source = source.map_err(|error| reason::chain(&error))?;
        let connection = cutoff
            .or_drop(self.connection(settings))
            .await
            .ok_or_else(|| format!("timed out after {}, before it was known how to log in", cutoff.elapsed()))??;
        let spec = SessionSpec {
            ledger: settings.ledger.clone(),
            application_name: self.application_name(),
            lock_timeout: LOCK_TIMEOUT,
        };
        let session = self.connect(&connection, &spec, cutoff).await?;
        let physical_id = physical_id(&connection, settings.ledger.schema.as_deref());
        (self.log)(&format!("connected: {physical_id}, {} migrations in the bundle", source.names().len()));
        let lock_wait = LOCK_WAIT.min(cutoff.left().saturating_sub(Duration::from_secs(1)));
        let options = Options { allow_unordered: settings.allow_unordered, lock_wait, ..Options::default() };
        Ok(Ready { source, session, options, physical_id })
    }

    async fn connection(&self, settings: &Settings) -> Result<Connection, String> {
        let cloud = |error| reason::of_cloud(&error);
        let ca_file = settings.ca_file.clone();
        let connection = match settings.database.clone() {
            Wanted::Url(connection) => return Ok(*connection),
            Wanted::Secret { id, endpoint, login } => {
                let content = self.world.keys().await.map_err(cloud)?.secret(&id).await.map_err(cloud)?;
                let secret = DatabaseSecret::read(&content).map_err(|fault| format!("secret `{id}` {fault}"))?;
                compose(endpoint, login, secret, ca_file)
            }
            Wanted::Iam { user, endpoint, login } => {
                let wanted = TokenLogin { host: endpoint.host.clone(), port: endpoint.port, user: user.clone() };
                let keys = self.world.keys().await.map_err(cloud)?;
                let token = keys.database_token(&wanted, self.world.now()).await.map_err(cloud)?;
                compose_with_token(endpoint, &user, login, token, ca_file)
            }
        };
        connection.map_err(|error| error.to_string())
    }

    /// A database that has gone to sleep, or is just starting, is waited for.
    async fn connect(
        &self,
        connection: &Connection,
        spec: &SessionSpec,
        cutoff: &Cutoff,
    ) -> Result<Box<dyn MigrationDatabase>, String> {
        let began = Instant::now();
        let mut said = String::new();
        loop {
            let Some(connected) = cutoff.or_drop(self.world.database(connection, spec)).await else { break };
            let error = match connected {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            // 57P03: cannot_connect_now.
            let may_wake = matches!(error, DatabaseError::TimedOut { .. }) || error.code() == Some("57P03");
            let reason = reason::of_database(&error);
            if !may_wake {
                return Err(reason);
            }
            if began.elapsed() >= WAKING {
                let waited = began.elapsed().as_secs();
                return Err(format!("the database did not wake up within {waited} s: {reason}"));
            }
            (self.log)(&format!("{error}; trying again"));
            said = format!(": {reason}");
            if cutoff.or_drop(sleep(Duration::from_secs(1))).await.is_none() {
                break;
            }
        }
        Err(format!(
            "timed out after {}, before the database was reached{said}; one that sleeps may need a minute to wake up, \
             so set the function's Timeout to 840 (seconds)",
            cutoff.elapsed()
        ))
    }

    async fn migrate(&self, ready: &mut Ready, target: &Target, cutoff: &Cutoff) -> Ran {
        let Ready { source, session, options, .. } = ready;
        let engine = Engine { source, options: options.clone() };
        let interrupt = session.interrupt();
        let mut names = Vec::new();
        let mut done = 0;
        let mut tell = |event: Progress| {
            match &event {
                Progress::Planned { names: planned, .. } => (names, done) = (planned.clone(), 0),
                Progress::Finished { .. } => done += 1,
                _ => {}
            }
            (self.log)(&told(&event));
        };
        let ended = cutoff.or_interrupt(engine.migrate(session.as_mut(), target, &mut tell), interrupt.as_ref()).await;
        let after = cutoff.elapsed();
        match ended {
            Ended::InTime(report) => Ran { report, stopped: None },
            // It was about to be done when it was told to stop.
            Ended::Interrupted(report) if report.error.is_none() => Ran { report, stopped: None },
            Ended::Interrupted(report) => {
                let said = report.error.as_ref().map(reason::of_run).unwrap_or_default();
                Ran { report, stopped: Some(format!("timed out after {after}: {said}")) }
            }
            Ended::Abandoned => {
                let current = names.get(done).map_or("the commit", |name| name.as_str());
                let stopped = format!(
                    "timed out after {after} in {current}, and the database did not say what became of it; \
                     deploy again: it begins by looking at the ledger"
                );
                Ran { report: RunReport::default(), stopped: Some(stopped) }
            }
        }
    }

    async fn roll_back(&self, ready: &mut Ready, cutoff: &Cutoff) -> Result<Ran, String> {
        let Ready { source, session, options, .. } = ready;
        let interrupt = session.interrupt();
        let mut tell = |event: Progress| (self.log)(&told(&event));
        let undoing = rollback::undo(source, options, session.as_mut(), &mut tell);
        match cutoff.or_interrupt(undoing, interrupt.as_ref()).await {
            Ended::InTime(Undone::Kept(why)) | Ended::Interrupted(Undone::Kept(why)) => Err(why),
            Ended::InTime(Undone::Ran(report)) => Ok(Ran { report, stopped: None }),
            Ended::Interrupted(Undone::Ran(report)) => {
                let stopped = report.error.as_ref().map(reason::of_run);
                let stopped = stopped.map(|said| format!("timed out after {}: {said}", cutoff.elapsed()));
                Ok(Ran { report, stopped })
            }
            Ended::Abandoned => Ok(Ran {
                report: RunReport::default(),
                stopped: Some(format!("timed out after {} while migrations were undone", cutoff.elapsed())),
            }),
        }
    }

    /// `devdb/<function>/<run>`; PostgreSQL cuts it at 63 bytes.
    fn application_name(&self) -> String {
        let function = self.vars.get("AWS_LAMBDA_FUNCTION_NAME").map_or("lambda", String::as_str);
        let function: String = function.chars().filter(char::is_ascii_graphic).take(32).collect();
        // The hasher's keys are random: two runs never share a name.
        format!("devdb/{function}/{:08x}", RandomState::new().build_hasher().finish() & 0xffff_ffff)
    }
}

fn failure(ran: &Ran) -> Option<String> {
    ran.stopped.clone().or_else(|| ran.report.error.as_ref().map(reason::of_run))
}

fn data(report: &RunReport, rows: &[LedgerRow]) -> Data {
    let current = history(rows).ok().and_then(|history| history.executed.last().cloned());
    Data { applied: report.succeeded(), current: current.unwrap_or_default(), ledger_count: rows.len() }
}

/// A line for the log.
fn told(event: &Progress) -> String {
    match event {
        Progress::LockBusy(Some(holder)) => {
            format!("waiting for the migration lock: {} has it", holder.application_name)
        }
        Progress::LockBusy(None) => "waiting for the migration lock".to_owned(),
        Progress::Planned { direction, names, transactions } => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!("{} in {transactions} transactions: {}", direction.word(), names.join(", "))
        }
        Progress::WithoutJournal => "devdb_migration_journal cannot be written or made by this role".to_owned(),
        Progress::Notice(notice) => notice.to_string(),
        Progress::Finished { name, direction } => format!("{} {name}: done", direction.word()),
        Progress::TableLockBusy { attempt, of, blockers } => {
            let who = blockers.first().map(|blocker| format!(": {blocker}")).unwrap_or_default();
            format!("another session holds a table{who}; everything was rolled back, trying again ({attempt} of {of})")
        }
        Progress::BuildFailed { index, attempt, of } => {
            format!("the build of {index} was disturbed, trying again ({attempt} of {of})")
        }
        Progress::DroppedInvalidIndex { name } => {
            format!("dropped the invalid index {name}, which a failed build had left")
        }
        Progress::AskingForOutcome => "the connection was lost; asking the database what was committed".to_owned(),
    }
}
