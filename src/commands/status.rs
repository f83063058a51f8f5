use super::account;
use super::context::Context;
use super::{bastion, database, environment, tunnel};
use crate::bastion::{BastionReport, BastionStatus, Caller};
use crate::config::Transport;
use crate::error::CommandError;
use crate::migrate::{MigrationState, StatusReport as MigrationReport};
use crate::tunnel::{TunnelReport, TunnelState};
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;
use std::collections::BTreeSet;

/// Show everything on one screen: identity, bastion, tunnel, database, migrations
///
/// Every part is asked, and one that cannot answer says why without hiding the others. Exit code 3 when something is
/// not up or a migration is pending.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {}

pub(crate) async fn run(_args: &StatusArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = context.settings()?;
    let step = context.printer().step("asking AWS, the tunnel and the database");
    let (identity, bastion, tunnel) = tokio::join!(identity(context), bastion::report(context), tunnel::asked(context));
    let tunnel = tunnel?;
    let (database, migrations) = match tunnel.state {
        TunnelState::Up => asked_database(context).await,
        _ => (Part::unknown("the tunnel is not up"), Part::unknown("the tunnel is not up")),
    };
    drop(step);
    // AWS refuses both for the same reason, as a rule: each hint once.
    let refusals = identity.as_ref().err().into_iter().chain(bastion.as_ref().err());
    let hints: BTreeSet<&String> = refusals.flat_map(|error| &error.hints).collect();
    hints.into_iter().for_each(|hint| context.printer().hint(hint));
    let report = WholeReport {
        project: settings.project.as_str().to_owned(),
        environment: settings.environment.clone(),
        alias: settings.alias.as_str().to_owned(),
        region: settings.region.clone(),
        transport: settings.transport,
        identity: Part::from(identity),
        time_left: None,
        bastion: Part::from(bastion),
        tunnel,
        database,
        migrations,
    };
    let report = report.with_time_left(context);
    let all_is_well = report.all_is_well();
    let has_leftovers = report.bastion.known().is_some_and(|bastion| !bastion.leftovers.is_empty());
    context.printer().report(&report)?;
    if has_leftovers {
        context.printer().hint("`devdb bastion gc` removes what is left of the bastion");
    }
    Ok(if all_is_well { ExitStatus::Success } else { ExitStatus::No })
}

async fn identity(context: &Context) -> Result<Caller, CommandError> {
    let caller = context.aws(&context.aws_target()?).await?.caller().await?;
    account::check(context, &caller)?;
    Ok(caller)
}

async fn asked_database(context: &Context) -> (Part<DatabaseReport>, Part<MigrationReport>) {
    let found = async {
        let connection = environment::environment_connection(context).await?;
        let mut session = database::environment_session(context, &connection, database::STATUS_LOCK_TIMEOUT).await?;
        let report = DatabaseReport {
            certificate_name: session.reached().certificate_name.clone(),
            name: connection.database,
            user: connection.user,
            host: connection.host,
        };
        Ok::<_, CommandError>((report, database::ledger_status(context, session.as_mut()).await))
    };
    match found.await {
        Ok((database, migrations)) => (Part::Known(database), Part::from(migrations)),
        Err(error) => (Part::from(Err(error)), Part::unknown("the database was not asked")),
    }
}

/// A part of the picture, or why it cannot be seen.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<T> {
    Known(T),
    Unknown { unknown: String },
}

impl<T> Part<T> {
    fn unknown(reason: &str) -> Self {
        Self::Unknown { unknown: reason.to_owned() }
    }

    fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

impl<T> From<Result<T, CommandError>> for Part<T> {
    fn from(result: Result<T, CommandError>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => {
                let reasons = std::iter::once(error.message.as_str()).chain(error.causes.iter().map(String::as_str));
                Self::Unknown { unknown: reasons.collect::<Vec<_>>().join(": ") }
            }
        }
    }
}

#[derive(Serialize)]
struct DatabaseReport {
    name: String,
    user: String,
    host: String,
    /// How it is known which database answered: the name that its certificate was verified for.
    certificate_name: Option<String>,
}

#[derive(Serialize)]
struct WholeReport {
    project: String,
    environment: String,
    alias: String,
    region: Option<String>,
    transport: Transport,
    identity: Part<Caller>,
    bastion: Part<BastionReport>,
    #[serde(skip)]
    time_left: Option<String>,
    tunnel: TunnelReport,
    database: Part<DatabaseReport>,
    migrations: Part<MigrationReport>,
}

impl WholeReport {
    fn with_time_left(mut self, context: &Context) -> Self {
        let expires_at = self.bastion.known().and_then(|bastion| bastion.expires_at);
        self.time_left = expires_at.map(|expiry| bastion::time_left(expiry, context.host().clock.now()));
        self
    }

    fn all_is_well(&self) -> bool {
        let runs = |bastion: &BastionReport| bastion.state == BastionStatus::Running;
        let way_is_open = self.transport == Transport::Direct || self.bastion.known().is_some_and(runs);
        let migrated = self
            .migrations
            .known()
            .is_some_and(|migrations| migrations.problem.is_none() && migrations.count(MigrationState::Pending) == 0);
        way_is_open && self.tunnel.state == TunnelState::Up && migrated
    }

    fn bastion_line(&self, bastion: &BastionReport, paint: Paint) -> String {
        let state = bastion.state.name();
        let shown = if bastion.state == BastionStatus::Running { paint.good(state) } else { paint.warn(state) };
        let facts = [
            Some(shown),
            bastion.instance_id.clone(),
            bastion.public_ip.map(|address| address.to_string()),
            self.time_left.as_ref().map(|left| format!("expires {left}")),
            (!bastion.leftovers.is_empty()).then(|| format!("with {} leftovers", bastion.leftovers.len())),
        ];
        facts.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }

    fn tunnel_line(&self, paint: Paint) -> String {
        let word = self.tunnel.state.word();
        let shown = if self.tunnel.state == TunnelState::Up { paint.good(word) } else { paint.warn(word) };
        let mut line = shown;
        if let Some(writer) = self.tunnel.targets.first() {
            if let Some(local) = writer.local.first() {
                line.push_str(&format!("  {local}"));
            }
            if let Some(milliseconds) = writer.rtt_ms {
                line.push_str(&format!("  {milliseconds:.0} ms round trip"));
            }
        }
        if let Some(cause) = &self.tunnel.cause {
            line.push_str(&format!("  {cause}"));
        }
        line
    }

    fn migrations_line(migrations: &MigrationReport, paint: Paint) -> String {
        let pending = migrations.count(MigrationState::Pending);
        let pending = format!("{pending} pending");
        let executed = format!("{} executed", migrations.count(MigrationState::Executed));
        let shown = if pending == "0 pending" { paint.good(&pending) } else { paint.warn(&pending) };
        match &migrations.problem {
            Some(problem) => format!("{executed}, {shown}  {}", paint.bad(problem)),
            None => format!("{executed}, {shown}"),
        }
    }
}

fn cell<T>(part: &Part<T>, paint: Paint, show: impl FnOnce(&T) -> String) -> String {
    match part {
        Part::Known(value) => show(value),
        Part::Unknown { unknown } => paint.faint(&format!("unknown: {unknown}")),
    }
}

impl Report for WholeReport {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new();
        let region = self.region.as_deref().unwrap_or("no region set");
        let identity = cell(&self.identity, paint, |caller| format!("{}  {region}", caller.arn));
        table.row(["identity", &identity]);
        table.row(["bastion", &cell(&self.bastion, paint, |bastion| self.bastion_line(bastion, paint))]);
        table.row(["tunnel", &self.tunnel_line(paint)]);
        let database = cell(&self.database, paint, |found| {
            let verified = if found.certificate_name.is_some() { "certificate verified" } else { "not verified" };
            format!("{} as {}  {verified}", found.name, found.user)
        });
        table.row(["database", &database]);
        // On a line of its own: an endpoint's name alone can be as wide as half a terminal.
        if let Some(found) = self.database.known() {
            table.row(["", &paint.faint(&found.host)]);
        }
        table.row(["migrations", &cell(&self.migrations, paint, |found| Self::migrations_line(found, paint))]);
        let heading = format!("{} {} ({})", self.project, self.environment, self.alias);
        format!("{}\n{}", paint.strong(&heading), table.render(2))
    }
}
