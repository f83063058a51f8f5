use super::answer::{LONGEST_RAISED, cut};
use super::deliver::deliver;
use super::event::parse;
use super::world::{RealWorld, World};
use super::{Answer, Door, Envelope, Event, Handler, Kind, Malformed, NOT_CREATED, Reply, Request, body};
use crate::adapters::lambda::{HttpError, Invocation, RuntimeApi};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// What Lambda allows at most (developer guide, "Lambda quotas"), for an event that comes without a deadline.
const LONGEST: Duration = Duration::from_secs(900);

/// Kept for telling the Runtime API how it went.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Why the loop ended, or one event was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("AWS_LAMBDA_RUNTIME_API is not set: this program is the `bootstrap` of a Lambda function")]
    NotInLambda,
    #[error("the Runtime API: {0}")]
    RuntimeApi(HttpError),
    #[error(
        "the answer could not be delivered to {place} in {attempts} attempts: {error}; \
         in a VPC the function needs a NAT gateway or an S3 gateway endpoint"
    )]
    NotDelivered { place: String, attempts: u32, error: HttpError },
}

/// Serves events until the Runtime API goes away. Nothing is kept from one event to the next, and nothing is prepared
/// before the first one: what fails there could not be told to CloudFormation.
///
/// # Errors
/// [`ServeError`]; it comes back only with one.
pub fn run(vars: &BTreeMap<String, String>, log: &(dyn Fn(&str) + Sync)) -> ServeError {
    let Some(address) = vars.get("AWS_LAMBDA_RUNTIME_API") else { return ServeError::NotInLambda };
    let api = RuntimeApi::new(address);
    loop {
        let served =
            api.next().map_err(ServeError::RuntimeApi).and_then(|invocation| serve(&api, invocation, vars, log));
        if let Err(error) = served {
            return error;
        }
    }
}

fn serve(
    api: &RuntimeApi,
    invocation: Invocation,
    vars: &BTreeMap<String, String>,
    log: &(dyn Fn(&str) + Sync),
) -> Result<(), ServeError> {
    let Invocation { request_id, deadline, event } = invocation;
    let world = RealWorld;
    let left = || deadline.map_or(LONGEST, |deadline| remaining(deadline, world.now()));
    let reply = match parse(&event) {
        Ok(event) => {
            log(&format!("request {request_id}: {}", described(&event)));
            attend(event, left(), &Handler { world: &world, vars, log }, log)
        }
        Err(Malformed { reason, reply: Some(reply) }) => {
            let (envelope, physical_id) = *reply;
            Reply::Put(envelope, Answer::failed(physical_id.unwrap_or_else(|| NOT_CREATED.to_owned()), reason))
        }
        Err(Malformed { reason, reply: None }) => Reply::Raise(reason),
    };
    let told = match reply {
        Reply::Put(envelope, answer) => {
            log(&answer.told());
            let body = body(&envelope, &answer, &log_stream(vars));
            match deliver(&envelope, &body, left().saturating_sub(LAST_MOMENT), &|line: &str| log(line)) {
                Ok(()) => api.respond(&request_id, &serde_json::Value::Null),
                Err(error) => {
                    log(&error.to_string());
                    api.fail(&request_id, "AnswerNotDelivered", &error.to_string())
                }
            }
        }
        Reply::Return(value) => api.respond(&request_id, &value),
        Reply::Raise(reason) => {
            log(&format!("FAILED: {reason}"));
            api.fail(&request_id, "MigrationFailed", &cut(&reason, LONGEST_RAISED))
        }
    };
    told.map_err(ServeError::RuntimeApi)
}

/// Each event has a runtime of its own: when it is gone, so is everything that the event has begun.
fn attend(event: Event, left: Duration, handler: &Handler<'_>, log: &(dyn Fn(&str) + Sync)) -> Reply {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(event, &format!("nothing was begun: tokio's runtime: {error}")),
    };
    let kept = event.clone();
    let reply = catch_unwind(AssertUnwindSafe(|| runtime.block_on(handler.handle(event, left))));
    // A name that is still being looked up is nobody's business any more.
    runtime.shutdown_background();
    reply.unwrap_or_else(|_| {
        log("a bug in devdb; what it said is above");
        failed(kept, "a bug in devdb; the function's log has more")
    })
}

/// CloudFormation is answered whatever happened.
fn failed(event: Event, reason: &str) -> Reply {
    match event {
        Event::Direct { .. } => Reply::Raise(reason.to_owned()),
        Event::Resource(Request { door, kind, .. }) => {
            let physical_id = match kind {
                Kind::Create => NOT_CREATED.to_owned(),
                Kind::Update { physical_id } | Kind::Delete { physical_id } => physical_id,
            };
            Reply::to(door, Answer::failed(physical_id, reason))
        }
    }
}

fn remaining(deadline: i64, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(deadline.saturating_sub(now.as_millisecond())).unwrap_or(0))
}

fn log_stream(vars: &BTreeMap<String, String>) -> String {
    vars.get("AWS_LAMBDA_LOG_STREAM_NAME").map(|name| format!("log stream {name}")).unwrap_or_default()
}

/// For the log.
fn described(event: &Event) -> String {
    match event {
        Event::Direct { target } => format!("direct, to {target}"),
        Event::Resource(Request { door, kind, .. }) => {
            let what = match kind {
                Kind::Create => "Create".to_owned(),
                Kind::Update { physical_id } => format!("Update of {physical_id}"),
                Kind::Delete { physical_id } => format!("Delete of {physical_id}"),
            };
            match door {
                Door::Framework => format!("{what}, from the provider framework"),
                Door::CloudFormation(Envelope { logical_id, stack_id, request_id, .. }) => {
                    format!("{what}, {logical_id} in {stack_id}, request {request_id} of CloudFormation")
                }
            }
        }
    }
}
