use super::{
    Blocker, Direction, Failed, History, JournalRow, LedgerRow, Location, MigrateError, MigrationName, MigrationSource,
    Notice, PlanError, Route, fingerprint, history,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kysely's `MigrationResult.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ResultStatus {
    Success,
    Error,
    NotExecuted,
}

/// Kysely's `MigrationResult`, with its own key names, and one more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationResult {
    pub migration_name: MigrationName,
    pub direction: Direction,
    pub status: ResultStatus,
    /// It ran, but nothing of it remains because a later one failed, or itself.
    pub rolled_back: bool,
}

impl MigrationResult {
    /// It ran, and its work is there.
    pub fn counts(&self) -> bool {
        self.status == ResultStatus::Success && !self.rolled_back
    }
}

/// What a run did. `results` is empty when nothing was to be done, or nothing was begun.
#[derive(Debug, Default, Serialize)]
pub struct RunReport {
    pub results: Vec<MigrationResult>,
    /// What the server said beside its answers; the first thousand of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeReport>,
    #[serde(serialize_with = "as_report")]
    pub error: Option<MigrateError>,
}

impl RunReport {
    /// Lists what will run.
    pub(super) fn plan(&mut self, route: &Route) {
        let result = |name: &MigrationName| MigrationResult {
            migration_name: name.clone(),
            direction: route.direction,
            status: ResultStatus::NotExecuted,
            rolled_back: false,
        };
        self.results = route.names.iter().map(result).collect();
    }

    pub(super) fn keep(&mut self, notice: NoticeReport) {
        const MOST: usize = 1000;
        if self.notices.len() < MOST {
            self.notices.push(notice);
        }
    }

    pub fn succeeded(&self) -> usize {
        self.results.iter().filter(|result| result.counts()).count()
    }
}

/// A notice of the server, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoticeReport {
    pub migration: MigrationName,
    pub file: String,
    /// Where the statement begins; counted from 1.
    pub line: usize,
    pub severity: String,
    /// SQLSTATE; class 01 is a warning.
    pub sqlstate: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl NoticeReport {
    pub(super) fn new(migration: MigrationName, place: Location, notice: Notice) -> Self {
        let Notice { severity, code, message, detail, hint } = notice;
        let file = place.file.display().to_string();
        Self { migration, file, line: place.line, severity, sqlstate: code, message, detail, hint }
    }
}

impl fmt::Display for NoticeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.severity, self.message)
    }
}

/// An error as the JSON document shows it. Keys that do not apply are left out, `message` never.
#[derive(Debug, Serialize)]
pub struct ErrorReport {
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is left in the database; not there when that is not known, or nothing had begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remains: Option<String>,
    /// Who had a lock that was not free in time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
}

impl From<&MigrateError> for ErrorReport {
    fn from(error: &MigrateError) -> Self {
        let server = match error.database() {
            Some(crate::system::DatabaseError::Server(server)) => Some(server),
            _ => None,
        };
        let failed = match error {
            MigrateError::Failed(failed) => Some(failed),
            _ => None,
        };
        let place = failed.map(|failed| &failed.location);
        Self {
            message: server.map_or_else(|| error.to_string(), |server| server.message.clone()),
            migration: failed.map(|failed| failed.migration.to_string()),
            file: place.map(|place| place.file.display().to_string()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            statement: failed.and_then(|failed| match &failed.what {
                Failed::Statement(statement) => Some(statement.clone()),
                Failed::Deferred | Failed::Row => None,
            }),
            sqlstate: server.map(|server| server.code.clone()),
            detail: server.and_then(|server| server.detail.clone()),
            hint: server.and_then(|server| server.hint.clone()),
            remains: error.remains().filter(|_| error.has_begun()).map(ToString::to_string),
            blockers: error.blockers().to_vec(),
        }
    }
}

fn as_report<S: serde::Serializer>(error: &Option<MigrateError>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ErrorReport::from).serialize(serializer)
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    Executed,
    Pending,
    /// It is in the ledger, but there is no file.
    Missing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusRow {
    pub name: String,
    pub state: MigrationState,
    /// The ledger's own text.
    pub executed_at: Option<String>,
    /// The file is not what was executed: its statements were edited since.
    pub edited: bool,
}

/// What the ledger and the files say together.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// In file order; what is missing comes last.
    pub migrations: Vec<StatusRow>,
    /// Why Kysely and devdb would refuse to run anything.
    pub problem: Option<String>,
}

impl StatusReport {
    pub(super) fn new(files: &[MigrationName], rows: &[LedgerRow], problem: Option<&PlanError>) -> Self {
        // Without readable times the table's own order must do.
        let executed = match history(rows) {
            Ok(History { executed, .. }) => executed,
            Err(_) => rows.iter().map(|row| row.name.clone()).collect(),
        };
        let times: BTreeMap<&str, &str> = rows.iter().map(|row| (row.name.as_str(), row.timestamp.as_str())).collect();
        let known: BTreeSet<&str> = files.iter().map(MigrationName::as_str).collect();
        let row = |name: &str, otherwise: MigrationState| StatusRow {
            name: name.to_owned(),
            state: if times.contains_key(name) && known.contains(name) { MigrationState::Executed } else { otherwise },
            executed_at: times.get(name).map(|time| (*time).to_owned()),
            edited: false,
        };
        let listed = files.iter().map(|name| row(name.as_str(), MigrationState::Pending));
        let missing = executed.iter().filter(|name| !known.contains(name.as_str()));
        Self {
            migrations: listed.chain(missing.map(|name| row(name, MigrationState::Missing))).collect(),
            problem: problem.map(ToString::to_string),
        }
    }

    /// Compares the files with what these rows of the journal say was executed; each of them has to be read.
    pub(super) fn mark_edited(&mut self, source: &dyn MigrationSource, journal: &[JournalRow]) {
        let known: BTreeMap<&str, &JournalRow> = journal.iter().map(|row| (row.name.as_str(), row)).collect();
        for row in self.migrations.iter_mut().filter(|row| row.state == MigrationState::Executed) {
            let entry = known.get(row.name.as_str()).filter(|entry| row.executed_at.as_ref() == Some(&entry.timestamp));
            if let (Some(entry), Ok(name)) = (entry, MigrationName::parse(&row.name)) {
                // A file that cannot be read is no edit that could be told.
                let script = source.script(&name, Direction::Up).ok().flatten();
                row.edited = script.is_some_and(|script| fingerprint(&script) != entry.hash);
            }
        }
    }

    pub fn count(&self, state: MigrationState) -> usize {
        self.migrations.iter().filter(|row| row.state == state).count()
    }
}
