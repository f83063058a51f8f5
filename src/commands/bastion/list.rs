use super::bench::scope;
use super::status::{span, time_left};
use crate::bastion::{self, BastionStatus, Caller, Instance, OwnersPart, Place, Principal};
use crate::commands::context::Context;
use crate::error::CommandError;
use crate::system::one_line;
use crate::ui::{ExitStatus, Paint, Report, Table};
use serde::Serialize;

/// List everyone's bastions of the project: owner, state, age, time left
///
/// All environments of the project that live in the selected one's account and region. What is left over of bastions
/// that are gone is told as well.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {}

pub(crate) async fn run(_args: &ListArgs, context: &Context) -> Result<ExitStatus, CommandError> {
    let settings = context.settings()?;
    let aws = context.aws(&context.aws_target()?).await?;
    let (caller, stock) = tokio::try_join!(aws.caller(), aws.stock(settings.project.as_str()))?;
    let now = context.host().clock.now();
    let parts = bastion::plan_gc_all(stock, now);
    let place = Place { account: caller.account.clone(), region: aws.region().unwrap_or_default() };
    let report = ListReport {
        project: settings.project.as_str().to_owned(),
        bastions: parts.iter().flat_map(|part| rows(part, &caller, now)).collect(),
        leftovers: parts.iter().filter_map(leftovers).collect(),
        place,
    };
    let own = scope(settings);
    let mine = |one: &Leftovers| (&one.owner, &one.environment) == (&own.owner, &own.environment);
    let (is_any_mine, is_any_others) =
        (report.leftovers.iter().any(mine), report.leftovers.iter().any(|one| !mine(one)));
    context.printer().report(&report)?;
    if is_any_mine {
        context.printer().hint("`devdb bastion gc` removes your leftovers");
    }
    if is_any_others {
        context
            .printer()
            .hint("`devdb bastion gc --all` removes everyone's leftovers; it needs an administrator's rights");
    }
    Ok(ExitStatus::Success)
}

#[derive(Serialize)]
struct ListReport {
    project: String,
    #[serde(flatten)]
    place: Place,
    bastions: Vec<Row>,
    leftovers: Vec<Leftovers>,
}

#[derive(Serialize)]
struct Row {
    owner: String,
    environment: String,
    /// Made with the credentials that list it.
    mine: bool,
    state: BastionStatus,
    instance_id: String,
    instance_type: String,
    public_ip: Option<std::net::Ipv4Addr>,
    launched_at: Option<jiff::Timestamp>,
    age_ms: Option<i64>,
    expires_at: Option<jiff::Timestamp>,
    /// Negative when it should be gone.
    time_left_ms: Option<i64>,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    expires: String,
}

fn rows(part: &OwnersPart, caller: &Caller, now: jiff::Timestamp) -> Vec<Row> {
    let row = |instance: &Instance| Row {
        owner: part.identity.scope.owner.clone(),
        environment: part.identity.scope.environment.clone(),
        mine: part.identity.principal == Principal::from_user_id(&caller.user_id),
        state: instance.state.into(),
        instance_id: instance.id.clone(),
        instance_type: instance.instance_type.clone(),
        public_ip: instance.public_ip,
        launched_at: instance.launched_at,
        age_ms: instance.launched_at.map(|then| milliseconds(now.duration_since(then))),
        expires_at: instance.expires_at(),
        time_left_ms: instance.expires_at().map(|expiry| milliseconds(expiry.duration_since(now))),
        age: instance
            .launched_at
            .map(|then| format!("launched {} ago", span(now.duration_since(then))))
            .unwrap_or_default(),
        expires: instance.expires_at().map(|expiry| expires(expiry, now)).unwrap_or_default(),
    };
    part.observed.instances.iter().filter(|instance| instance.state.is_live()).map(row).collect()
}

fn milliseconds(span: jiff::SignedDuration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn expires(expiry: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let word = if expiry > now { "expires" } else { "expired" };
    format!("{word} {}", time_left(expiry, now))
}

#[derive(Serialize)]
struct Leftovers {
    owner: String,
    environment: String,
    /// What `gc` would do about them.
    steps: Vec<String>,
}

fn leftovers(part: &OwnersPart) -> Option<Leftovers> {
    part.leftovers.changes().then(|| Leftovers {
        owner: part.identity.scope.owner.clone(),
        environment: part.identity.scope.environment.clone(),
        steps: part.leftovers.lines(),
    })
}

impl Report for ListReport {
    fn text(&self, paint: Paint) -> String {
        let project = paint.strong(&self.project);
        let place = self.place.to_string();
        let place = one_line(&place);
        let mut text = match self.bastions.len() {
            0 => format!("no bastion of project {project} stands in {place}\n"),
            1 => format!("1 bastion of project {project} in {place}\n"),
            count => format!("{count} bastions of project {project} in {place}\n"),
        };
        let mut table = Table::new();
        for row in &self.bastions {
            let state = row.state.name();
            let is_late = row.time_left_ms.is_some_and(|left| left <= 0);
            table.row([
                format!("{}{}", row.owner, if row.mine { " (you)" } else { "" }),
                row.environment.clone(),
                if row.state == BastionStatus::Running { paint.good(state) } else { paint.warn(state) },
                row.instance_id.clone(),
                row.instance_type.clone(),
                row.age.clone(),
                if is_late { paint.bad(&row.expires) } else { row.expires.clone() },
            ]);
        }
        text.push_str(&table.render(2));
        for one in &self.leftovers {
            let count = one.steps.len();
            let things = if count == 1 { "leftover" } else { "leftovers" };
            text.push_str(&format!(
                "{count} {things} of {} in environment {}\n",
                one_line(&one.owner),
                one_line(&one.environment)
            ));
        }
        text
    }
}
