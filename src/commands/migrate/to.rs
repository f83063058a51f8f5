use crate::commands::context::Context;
use crate::commands::database::{self, DatabaseArgs};
use crate::error::{CommandError, describe_holder};
use crate::migrate::{
    Blocker, Direction, Engine, Event, FolderSource, Holder, MigrationName, MigrationResult, NoticeReport, Options,
    Recognition, ResultStatus, RunReport, Target,
};
use crate::ui::{ExitStatus, Paint, Report, Step, Table};
use serde::Serialize;
use std::time::Duration;

/// Run or undo migrations until the database is at the target
///
/// `latest` runs all that are pending, `none` undoes all. A pending NAME is run, with those before it; an executed NAME
/// stays, and those after it are undone. Everything happens in one transaction unless a statement cannot run in one.
#[derive(Debug, clap::Args)]
pub(crate) struct ToArgs {
    /// latest, none, or a migration's name
    #[arg(value_name = "latest|NAME|none")]
    target: String,
    #[command(flatten)]
    run: RunArgs,
}

/// What every verb that runs migrations takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Wait so many seconds for another run to end
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(super) lock_wait: u64,
    /// Let a statement queue so many seconds for a table; then everything is rolled back and tried again
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(super) lock_timeout: u64,
}

pub(crate) async fn run(args: &ToArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    migrate(context, &args.run, &Target::parse(&args.target)).await
}

/// Runs migrations and tells what happened; the one way of all verbs.
pub(super) async fn migrate(context: &Context, args: &RunArgs, target: &Target) -> Result<ExitStatus, CommandError> {
    let mut report = match execute(context, args, target).await {
        Ok(report) => report,
        Err(error) => {
            if context.printer().settings().json {
                context.printer().report(&NotBegun::of(&error))?;
            }
            return Err(error);
        }
    };
    context.printer().report(&report)?;
    match report.error.take() {
        Some(error) => Err(error.into()),
        None => Ok(ExitStatus::Success),
    }
}

async fn execute(context: &Context, args: &RunArgs, target: &Target) -> Result<RunReport, CommandError> {
    let settings = database::migration_settings(context)?;
    let source = FolderSource::open(&settings.dir, &context.host().surroundings.cwd)?;
    let (connection, provenance) = database::connection(context, &args.database).await?;
    database::confirm_write(context)?;
    let lock_timeout = Duration::from_secs(args.lock_timeout);
    let mut session = database::migration_database(context, &connection, &provenance, lock_timeout).await?;
    let options = Options {
        allow_unordered: settings.allow_unordered,
        lock_wait: Duration::from_secs(args.lock_wait),
        history: Some(context.host().tools.file_history(&settings.dir)),
        ..Options::default()
    };
    let mut progress = Progress::new(context, "migrating");
    let mut tell = |event: Event| progress.tell(&event);
    let mut ask = |holder: &Holder| {
        let question = format!(
            "{} holds the migration lock and does nothing. If that is a run of yours whose connection was cut, it stays so \
             for minutes. End it?",
            describe_holder(holder)
        );
        // Without anybody to answer, it is waited for like any other.
        context.confirm(&question).unwrap_or(false)
    };
    let recognition = database::own_alias(context).map(|owner| Recognition { owner, ask: &mut ask });
    Ok(Engine { source: &source, options }.migrate_asking(session.as_mut(), target, recognition, &mut tell).await)
}

/// What the screen shows while a run is under way.
pub(super) struct Progress<'a> {
    context: &'a Context,
    step: Step,
    names: Vec<MigrationName>,
    done: usize,
    /// Told already.
    blockers: Vec<Blocker>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(context: &'a Context, label: &str) -> Self {
        Self { context, step: context.printer().step(label), names: Vec::new(), done: 0, blockers: Vec::new() }
    }

    /// Says what happens while it happens.
    pub(super) fn tell(&mut self, event: &Event) {
        // Another attempt at the same plan is not announced again.
        let is_news = !matches!(event, Event::Planned { names, .. } if *names == self.names);
        match narrate(event) {
            _ if !is_news => {}
            Telling::Line(text) => self.context.printer().status(&text),
            Telling::Warning(text) => self.context.printer().warning(&text),
            Telling::Nothing => {}
        }
        if let Event::TableLockBusy { blockers, .. } = event
            && *blockers != self.blockers
        {
            self.blockers.clone_from(blockers);
            table(blockers).lines().for_each(|line| self.context.printer().status(line));
        }
        match event {
            Event::Planned { names, .. } => (self.names, self.done) = (names.clone(), 0),
            Event::Finished { .. } => self.done += 1,
            _ => return,
        }
        let current = self.names.get(self.done).map_or("committing", MigrationName::as_str);
        self.step.progress(self.done, self.names.len(), current);
    }
}

/// A notice as psql shows it.
fn said(notice: &NoticeReport) -> String {
    let more = [("detail", &notice.detail), ("hint", &notice.hint)];
    let more = more.into_iter().filter_map(|(word, text)| text.as_ref().map(|text| format!("\n{word}: {text}")));
    format!("{notice}{}", more.collect::<String>())
}

enum Telling {
    Line(String),
    Warning(String),
    Nothing,
}

fn narrate(event: &Event) -> Telling {
    match event {
        Event::LockBusy(Some(holder)) => {
            Telling::Line(format!("waiting for another run: {} holds the migration lock", describe_holder(holder)))
        }
        Event::LockBusy(None) => Telling::Line("waiting for another run, which holds the migration lock".to_owned()),
        Event::Planned { direction, names, transactions } => {
            let transactions = match transactions {
                1 => "one transaction".to_owned(),
                count => format!("{count} transactions, because some statements cannot share one"),
            };
            Telling::Line(format!("{} to {}, in {transactions}", migration_count(names.len()), action(*direction)))
        }
        Event::Finished { .. } => Telling::Nothing,
        // Class 01 is a warning (PostgreSQL documentation, appendix A).
        Event::Notice(notice) if notice.sqlstate.starts_with("01") => Telling::Warning(said(notice)),
        Event::Notice(notice) => Telling::Line(said(notice)),
        Event::WithoutJournal => Telling::Line(
            "devdb_migration_journal cannot be written or made by this role; the run goes on without it".to_owned(),
        ),
        Event::TableLockBusy { attempt, of, .. } => Telling::Warning(format!(
            "another session holds a table; everything was rolled back, trying again ({attempt} of {of})"
        )),
        Event::BuildFailed { index, attempt, of } => Telling::Warning(format!(
            "another session was in the way of the build of {index}; dropping what is left of it and trying again ({attempt} of {of})"
        )),
        Event::DroppedInvalidIndex { name } => {
            Telling::Line(format!("dropped the invalid index {name}, which a failed build had left"))
        }
        Event::AskingForOutcome => {
            Telling::Warning("the connection was lost; asking the database what was committed".to_owned())
        }
    }
}

/// Who is in the way: those who stop another one of them stand below it.
fn table(blockers: &[Blocker]) -> String {
    let mut table = Table::new();
    if !blockers.is_empty() {
        table.row(["process", "user", "program", "state", "since", "lock", "query"]);
    }
    for Blocker { pid, stops, user, application_name, state, since, locks, query } in blockers {
        let process = if stops.is_some() { format!("  {pid}") } else { pid.to_string() };
        table.row([&process, user, application_name, state, since, locks, query]);
    }
    table.render(2)
}

fn action(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "run",
        Direction::Down => "undo",
    }
}

fn migration_count(count: usize) -> String {
    if count == 1 { "1 migration".to_owned() } else { format!("{count} migrations") }
}

impl RunReport {
    /// Each migration, its direction, and how it ended.
    pub(super) fn rows(&self, paint: Paint) -> String {
        let mut table = Table::new();
        for MigrationResult { migration_name, direction, status, rolled_back } in &self.results {
            let shown = match status {
                ResultStatus::Success if *rolled_back => paint.warn("Success, rolled back"),
                ResultStatus::Success => paint.good("Success"),
                ResultStatus::Error => paint.bad("Error"),
                ResultStatus::NotExecuted => paint.faint("NotExecuted"),
            };
            table.row([migration_name.to_string(), format!("{direction:?}"), shown]);
        }
        table.render(2)
    }
}

impl Report for RunReport {
    fn text(&self, paint: Paint) -> String {
        let count = |direction: Direction, word: &str| {
            let count = self.results.iter().filter(|result| result.direction == direction).count();
            (count > 0).then(|| format!("{} {word}", migration_count(count)))
        };
        let counts = [count(Direction::Down, "undone"), count(Direction::Up, "done")];
        match (&self.error, self.results.is_empty()) {
            (None, true) => "nothing to do\n".to_owned(),
            (None, false) => {
                format!("{}{}\n", self.rows(paint), counts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            (Some(_), _) => self.rows(paint),
        }
    }
}

/// The document of a run that never began.
#[derive(Serialize)]
pub(super) struct NotBegun<'a> {
    results: [(); 0],
    error: Message<'a>,
}

impl<'a> NotBegun<'a> {
    pub(super) fn of(error: &'a CommandError) -> Self {
        Self { results: [], error: Message { message: &error.message } }
    }
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
}

impl Report for NotBegun<'_> {
    fn text(&self, _paint: Paint) -> String {
        String::new()
    }
}
